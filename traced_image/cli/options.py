"""Options that commands share: the servers, their configuration, and the form of the output."""

from __future__ import annotations

import functools
import logging
import re
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import click

from ..config import load_config
from ..config.checks import format_value
from ..config.parse import parse_duration
from ..errors import InvalidServer
from .exit_status import remember_given
from .output import make_line
from .signals import run_interruptibly

if TYPE_CHECKING:
    from ..config import Config


_PORT = re.compile(r"\d{1,5}", re.ASCII)


class ListenAddress(NamedTuple):
    """An address and a port to listen on."""

    host: str
    port: int


def read_duration(text: str) -> float:
    """Return the seconds of a duration in Prometheus's format: ``15s``, ``1m30s``, ``500ms``.

    Raises:
        BadParameter: The text is not a duration.
    """
    try:
        return parse_duration(text)
    except ValueError as error:
        raise click.BadParameter(f"{error}: write it like 15s, 1m or 500ms") from None


def read_seconds(text: str) -> float:
    """Return the seconds of a duration, as `read_duration` does, or of a number of seconds.

    Raises:
        BadParameter: The text is neither.
    """
    return read_duration(f"{text}s" if text.isascii() and text.isdigit() else text)


def read_address(text: str) -> ListenAddress:
    """Parse an address and a port: ``127.0.0.1:9293``, ``[::1]:9293``; ``:9293`` for all addresses.

    Raises:
        BadParameter: The text is not an address and a port.
    """
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not colon or not _PORT.fullmatch(port) or (":" in host and not bracketed):
        fix = "write it like 127.0.0.1:9293 or [::1]:9293"
        raise click.BadParameter(f"{format_value(text)} is not an address and a port: {fix}")
    everywhere = "::" if socket.has_dualstack_ipv6() else "0.0.0.0"  # noqa: S104 the user asked for it
    return ListenAddress(host.strip("[]") or everywhere, int(port))


_CommandT = TypeVar("_CommandT", bound=Callable[..., object])

_FILE = click.Path(path_type=str)
"""Only a hint for completion: the code that opens the file reports a file that can't be read."""


def name_parameter(field: str) -> str:
    """Return the name of the parameter that fills a field of `Choice`.

    The prefix keeps it apart from the parameters of a command's own options.
    """
    return f"choice_{field}"


_SERVERS = (
    click.option(
        "--server",
        name_parameter("servers"),
        multiple=True,
        metavar="URL",
        help="The URL of a Glance server; repeatable.",
    ),
    click.option(
        "--config",
        name_parameter("config_file"),
        type=_FILE,
        metavar="FILE",
        help="A nova.conf or cinder.conf; supplies what the other options leave out.",
    ),
    click.option(
        "--os-cloud",
        name_parameter("cloud"),
        metavar="NAME",
        help="A cloud of clouds.yaml, or envvars for that of the OS_ variables; supplies what the "
        "other options leave out.",
    ),
    click.option(
        "--insecure", name_parameter("insecure"), is_flag=True, help="Do not check certificates."
    ),
    click.option(
        "--cafile",
        name_parameter("cafile"),
        type=_FILE,
        metavar="FILE",
        help="Certificate authorities to trust, in PEM.",
    ),
)

verbose = click.option(
    "-v",
    "--verbose",
    name_parameter("verbose"),
    is_flag=True,
    help="Show attempts as they happen.",
)
json_output = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
trace_output = click.option("--trace", is_flag=True, help="Print the trace of each call as a tree.")
image = click.option(
    "--image", metavar="ID", help="Also ask each server for this image and its first megabyte."
)
timeout = click.option(
    "--timeout",
    type=read_duration,
    default="10s",
    show_default=True,
    metavar="DURATION",
    help="The time limit of a probe.",
)
deadline = click.option(
    "--timeout",
    name_parameter("deadline"),
    type=read_seconds,
    metavar="DURATION",
    help="The deadline of each call with its retries and waits, without the transfer of image "
    "data: 15s, 1m, or a number of seconds. By default that of the configuration, 120s.",
)

_MANY = 10**6
"""Retries of commands that retry nothing, so that no check warns of too few for the servers."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The servers and the configuration that a command line names.

    Attributes:
        servers: URLs of Glance servers; if empty, the configuration's servers are used.
        config_file: The path of a file in nova's format.
        cloud: The name of a cloud in clouds.yaml.
        insecure: Whether certificates stay unchecked.
        cafile: The path of a file with certificate authorities to trust.
        verbose: Whether the command shows attempts as they happen.
        deadline: Seconds for each call; None for the configuration's.
    """

    servers: tuple[str, ...] = ()
    config_file: str | None = None
    cloud: str | None = None
    insecure: bool = False
    cafile: str | None = None
    verbose: bool = False
    deadline: float | None = None

    def list_options(self) -> list[str]:
        """Return the options that name the servers and their configuration, as they were given."""
        pairs: list[tuple[str, str | None]] = [("--server", each) for each in self.servers]
        pairs += [("--config", self.config_file), ("--os-cloud", self.cloud)]
        pairs += [("--cafile", self.cafile)]
        given = [part for name, value in pairs if value is not None for part in (name, value)]
        return [*given, *(["--insecure"] if self.insecure else [])]

    def config(
        self,
        *,
        retries: bool = True,
        run: Callable[[Callable[[], Config]], Config] = run_interruptibly,
    ) -> Config:
        """Load the configuration; the command line's options come before all other sources.

        Args:
            retries: Whether the command retries failed attempts; a probe does not.
            run: Runs a function that may wait for Keystone.

        Raises:
            ConfigError: A value of the configuration is invalid.
            UsageError: No server is configured.
        """
        said: dict[str, object] = {"config_file": self.config_file, "cloud": self.cloud}
        if self.servers:
            said["servers"] = self.servers
        if self.insecure:
            said["insecure"] = True
        if self.cafile is not None:
            said["cafile"] = self.cafile
        if self.deadline is not None:
            said["deadline"] = self.deadline
        if not retries:
            said["num_retries"] = _MANY
        try:
            return run(lambda: load_config(**said))  # type: ignore[arg-type]
        except InvalidServer as error:
            if error.source != "any source":
                raise
            words = (
                "no server is configured: name one by --server, or name a configuration that has"
                " servers by --config or --os-cloud, or set TRACED_IMAGE_SERVERS or OS_AUTH_URL"
            )
            raise click.UsageError(words) from error


def with_choice(command: _CommandT) -> _CommandT:
    """Decorate a command with the options that name servers; the command receives a `Choice`."""

    @functools.wraps(command)
    def with_values(**values: object) -> object:
        places = {field.name: name_parameter(field.name) for field in fields(Choice)}
        chosen = {name: values.pop(place) for name, place in places.items() if place in values}
        set_up_log()
        choice = Choice(**chosen)  # type: ignore[arg-type]
        remember_given(choice.list_options())
        return command(choice, **values)

    decorated: Callable[..., object] = with_values
    # Decorators apply from the bottom up; help lists the options in the order of _SERVERS.
    for option in reversed(_SERVERS):
        decorated = option(decorated)
    return decorated  # type: ignore[return-value]


class _LineHandler(logging.Handler):
    """Writes each record as one line on the current standard error.

    It looks up `sys.stderr` for each record, because rich replaces it while it draws a bar or a
    table; the line then appears above the drawing. A closed standard error ends nothing.
    """

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(OSError):
            sys.stderr.write(f"traced-image: {make_line(record.getMessage())}\n")
            sys.stderr.flush()


_LINES = _LineHandler()


def set_up_log(level: int = logging.WARNING) -> None:
    """Print the log on standard error, without the lines of the pipeline and of keystoneauth.

    The command's final error, and with ``-v`` its attempts, say the same as those lines.

    Args:
        level: The least level to print.
    """
    for name in ("traced_image.pipeline", "keystoneauth"):
        told = logging.getLogger(name)
        told.propagate = False
        told.addHandler(logging.NullHandler())
    package = logging.getLogger("traced_image")
    package.setLevel(level)
    package.addHandler(_LINES)
