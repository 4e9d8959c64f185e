"""What commands take: which servers, from which configuration, and how it is printed."""

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
from .output import make_line
from .signals import run_interruptibly

if TYPE_CHECKING:
    from ..config import Config


_PORT = re.compile(r"\d{1,5}", re.ASCII)


class ListenAddress(NamedTuple):
    """Where to listen."""

    host: str
    port: int


def read_duration(text: str) -> float:
    """Seconds, written as Prometheus writes them: ``15s``, ``1m30s``, ``500ms``.

    Raises:
        BadParameter: It is none.
    """
    try:
        return parse_duration(text)
    except ValueError as error:
        raise click.BadParameter(f"{error}: write it like 15s, 1m or 500ms") from None


def read_address(text: str) -> ListenAddress:
    """An address and a port: ``127.0.0.1:9293``, ``[::1]:9293``, or ``:9293`` for all addresses.

    Raises:
        BadParameter: It is none.
    """
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not colon or not _PORT.fullmatch(port) or (":" in host and not bracketed):
        fix = "write it like 127.0.0.1:9293 or [::1]:9293"
        raise click.BadParameter(f"{format_value(text)} is no address and port: {fix}")
    everywhere = "::" if socket.has_dualstack_ipv6() else "0.0.0.0"  # noqa: S104 as was asked for
    return ListenAddress(host.strip("[]") or everywhere, int(port))


_CommandT = TypeVar("_CommandT", bound=Callable[..., object])

_FILE = click.Path(path_type=str)
"""No more than a hint for completion: whoever opens the file says what is wrong with it."""


def name_parameter(field: str) -> str:
    """Return the name of the parameter that fills a field of `Choice`; no command's own has it."""
    return f"choice_{field}"


_SERVERS = (
    click.option(
        "--server",
        name_parameter("servers"),
        multiple=True,
        metavar="URL",
        help="A Glance; repeatable.",
    ),
    click.option(
        "--config",
        name_parameter("config_file"),
        type=_FILE,
        metavar="FILE",
        help="A nova.conf or cinder.conf to take what is not said here from.",
    ),
    click.option(
        "--os-cloud",
        name_parameter("cloud"),
        metavar="NAME",
        help="A cloud of clouds.yaml to take it from.",
    ),
    click.option(
        "--insecure", name_parameter("insecure"), is_flag=True, help="Check no certificates."
    ),
    click.option(
        "--cafile",
        name_parameter("cafile"),
        type=_FILE,
        metavar="FILE",
        help="Authorities to trust, in PEM.",
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
trace_output = click.option("--trace", is_flag=True, help="Print the traces, as trees.")
image = click.option(
    "--image", metavar="ID", help="Ask each server for this image and its first megabyte, too."
)
timeout = click.option(
    "--timeout",
    type=read_duration,
    default="10s",
    show_default=True,
    metavar="DURATION",
    help="The most that a probe may take.",
)

_MANY = 10**6
"""Retries, where nothing is retried: no configuration has too few of them then."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What was asked for on the command line.

    Attributes:
        servers: Glance servers; none for those of the configuration.
        config_file: A file in nova's form.
        cloud: A cloud of clouds.yaml.
        insecure: Whether certificates go unchecked.
        cafile: Certificates to trust.
        verbose: Whether attempts are shown as they happen.
    """

    servers: tuple[str, ...] = ()
    config_file: str | None = None
    cloud: str | None = None
    insecure: bool = False
    cafile: str | None = None
    verbose: bool = False

    def config(self, *, retries: bool = True) -> Config:
        """The configuration that this is part of.

        Args:
            retries: Whether anything is to be retried.

        Raises:
            ConfigError: Something in it can't be used.
            UsageError: No server is configured.
        """
        said: dict[str, object] = {"config_file": self.config_file, "cloud": self.cloud}
        if self.servers:
            said["servers"] = self.servers
        if self.insecure:
            said["insecure"] = True
        if self.cafile is not None:
            said["cafile"] = self.cafile
        if not retries:
            said["num_retries"] = _MANY
        try:
            return run_interruptibly(lambda: load_config(**said))  # type: ignore[arg-type]
        except InvalidServer as error:
            if error.source != "any source":
                raise
            words = (
                "no server is configured: name one by --server, or what has some by --config or"
                " --os-cloud, or set TRACED_IMAGE_SERVERS"
            )
            raise click.UsageError(words) from error


def with_choice(command: _CommandT) -> _CommandT:
    """Give a command the options that say which servers; it is handed a `Choice`."""

    @functools.wraps(command)
    def with_values(**values: object) -> object:
        places = {field.name: name_parameter(field.name) for field in fields(Choice)}
        chosen = {name: values.pop(place) for name, place in places.items() if place in values}
        set_up_log()
        return command(Choice(**chosen), **values)  # type: ignore[arg-type]

    decorated: Callable[..., object] = with_values
    for option in reversed(_SERVERS):
        decorated = option(decorated)
    return decorated  # type: ignore[return-value]


class _LineHandler(logging.Handler):
    """Writes each record as a line on standard error, whatever that is by then.

    What is drawn on a terminal meanwhile makes room for it. That nobody reads it ends nothing.
    """

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(OSError):
            sys.stderr.write(f"traced-image: {make_line(record.getMessage())}\n")
            sys.stderr.flush()


_LINES = _LineHandler()


def set_up_log(level: int = logging.WARNING) -> None:
    """Say on standard error what is logged; the lines of the pipeline and Keystone are left out.

    What they tell is in the error that a command ends with, and with ``-v`` in its attempts.
    """
    for name in ("traced_image.pipeline", "keystoneauth"):
        told = logging.getLogger(name)
        told.propagate = False
        told.addHandler(logging.NullHandler())
    package = logging.getLogger("traced_image")
    package.setLevel(level)
    package.addHandler(_LINES)
