"""The web configuration file of Prometheus's exporter-toolkit: what it says, kept current."""

from __future__ import annotations

import logging
import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from ssl import CERT_REQUIRED
from typing import TYPE_CHECKING

from ...config.parse import parse_duration
from ...errors import ConfigError, InvalidOption
from . import tls
from .config_yaml import Section, load_section

if TYPE_CHECKING:
    import os
    import ssl
    from collections.abc import Callable, Iterable, Mapping

    from ...telemetry.backends import Update


LOG = logging.getLogger(__name__)

CHECK_SECONDS = 1.0
"""How often the files are looked at, at most."""

MOST_COST = 14
"""bcrypt's: at 14, to check one password takes a second or more."""

_BCRYPT = re.compile(r"\$2[abxy]\$(\d\d)\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{31}")

_HEADERS: Mapping[str, tuple[str, ...]] = {
    "Content-Security-Policy": (),
    "Strict-Transport-Security": (),
    "X-Content-Type-Options": ("nosniff",),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-XSS-Protection": (),
}
"""The headers that can be set, and the values that they can have if not any."""


@dataclass(frozen=True, slots=True)
class Rate:
    """How many requests are answered.

    Attributes:
        interval: Seconds between two, in the long run.
        burst: How many may come at once.
    """

    interval: float
    burst: int


@dataclass(frozen=True, slots=True)
class WebConfig:
    """What the file says.

    Attributes:
        tls: The server's TLS, if it has any.
        headers: What is added to each answer, by names in lower case.
        users: The users that are let in, and the hashes of their passwords; empty for everybody.
        rate: A bound on requests, if there is one.
    """

    tls: tls.ServerTLS | None = None
    headers: tuple[tuple[bytes, bytes], ...] = ()
    users: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    rate: Rate | None = None


def read_config(path: Path) -> WebConfig:
    """Read a file.

    Raises:
        ConfigError: It can't be read, or a value can't be used. The message has no secret.
    """
    keys = ("tls_server_config", "http_server_config", "basic_auth_users", "rate_limit")
    top = Section(load_section(path), "", path, keys)
    http = top.section("http_server_config", ("http2", "headers"))
    # HTTP/2 is for the client to choose among what it is offered, which here is HTTP/1.1 alone.
    http.flag("http2", default=True)
    return WebConfig(
        tls=tls.read_tls(top.section("tls_server_config", tls.KEYS)),
        headers=tuple(_read_headers(http.section("headers", _HEADERS))),
        users=dict(_read_users(top.section("basic_auth_users"))),
        rate=_read_rate(top.section("rate_limit", ("interval", "burst"))),
    )


def _read_headers(section: Section) -> Iterable[tuple[bytes, bytes]]:
    for name, values in _HEADERS.items():
        value = section.text(name)
        if value is None:
            continue
        if values:
            section.choice(name, values)
        if not (value.isascii() and value.isprintable()):
            raise section.refused(name, "has characters that no header can have", "leave them out")
        yield name.lower().encode(), value.encode()


def _read_users(section: Section) -> Iterable[tuple[str, bytes]]:
    # Messages count the users: a name may be a password that was put in the wrong place.
    for number, (name, hashed) in enumerate(section, 1):
        which = f"user {number}"
        if not isinstance(name, str) or not name or ":" in name or not name.isprintable():
            fix = "write it in quotes, and without a colon"
            raise section.refused(which, "has a name that is no text or can't be sent", fix)
        found = _BCRYPT.fullmatch(hashed) if isinstance(hashed, str) else None
        fix = "make one with `htpasswd -nBC 10 USER`"
        if found is None:
            raise section.refused(which, "has no bcrypt hash for a password", fix)
        if not 4 <= int(found[1]) <= MOST_COST:  # noqa: PLR2004 - bcrypt's least
            problem = f"has a bcrypt hash whose cost is not one of 4 to {MOST_COST}"
            raise section.refused(which, problem, fix)
        yield name, found[0].encode()


def _read_rate(section: Section) -> Rate | None:
    interval = _read_seconds(section, "interval")
    burst = section.number("burst")
    if not interval:
        return None
    if burst < 1:
        problem = f"{burst} would let no request through"
        raise section.refused("burst", problem, "set a whole number of 1 or more")
    return Rate(interval, burst)


def _read_seconds(section: Section, key: str) -> float:
    """A duration in Go's notation, which has 0 without a unit."""
    text = section.text(key) or "0"
    if text == "0":
        return 0.0
    try:
        return parse_duration(text)
    except ValueError as error:
        raise section.refused(key, str(error), "write it like 500ms or 1s") from None


# --- what is in force --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CurrentConfig:
    """What was read last and could be used; another object after each reload.

    Attributes:
        config: What the file said.
        context: The server's side of TLS, if it has any.
    """

    config: WebConfig
    context: ssl.SSLContext | None


class WebConfigFile:
    """A web configuration file, read again when it or a file that it names has changed.

    A file that can't be used, and one that would take away what protects the exporter now, leave
    in force what was: half a file is there while it is being written. To take protection away
    needs a new start.

    Args:
        path: The file.
        record: Sets the gauge `RELOADED`.
        clock: Tells the time, in seconds.

    Attributes:
        in_force: What is in force since it was last looked at.

    Raises:
        ConfigError: It can't be read, or a value can't be used.
    """

    in_force: CurrentConfig

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        record: Update = lambda _value, _exemplar: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = _make_absolute(path)
        self._record = record
        self._clock = clock
        self._files: tuple[str, ...] = ()
        self._seen: tuple[object, ...] = ()
        self._problem: str | None = None
        self._checked = clock()
        self._enforce(self._read())

    def now(self) -> CurrentConfig:
        """What is in force, after a look at the files if the last one is some time ago."""
        now = self._clock()
        if now - self._checked >= CHECK_SECONDS:
            self._checked = now
            # What is wrong may be fixed in a file that has not been looked at.
            if self._problem is not None or self._look() != self._seen:
                self._reload()
        return self.in_force

    def _look(self) -> tuple[object, ...]:
        return tuple(map(_read_trait, (str(self._path), *self._files)))

    def _read(self) -> CurrentConfig:
        # Each file is looked at before it is read: what is written meanwhile is seen next time.
        self._seen = self._look()
        config = read_config(self._path)
        self._files = config.tls.files if config.tls else ()
        self._seen = (self._seen[0], *map(_read_trait, self._files))
        return CurrentConfig(config, tls.make_context(config.tls) if config.tls else None)

    def _reload(self) -> None:
        try:
            read_now = self._read()
            self._keep_protection(read_now.config)
        except ConfigError as error:
            self._failed(str(error))
        else:
            self._enforce(read_now)
            LOG.info("%s has been read again.", self._path)

    def _enforce(self, new: CurrentConfig) -> None:
        self.in_force, self._problem = new, None
        self._record(1.0, None)
        if new.config.tls is not None:
            new.config.tls.warn_of_readers()

    def _failed(self, problem: str) -> None:
        if problem != self._problem:
            self._problem = problem
            LOG.warning("%s What was in force before still is.", problem)
            self._record(0.0, None)

    def _keep_protection(self, new: WebConfig) -> None:
        for key in _list_protection(self.in_force.config):
            if key not in _list_protection(new):
                fix = "put it back, or start the exporter anew without it"
                raise InvalidOption(key, "protects no more", source=str(self._path), fix=fix)


def _make_absolute(path: str | os.PathLike[str]) -> Path:
    """The path wherever the process goes to later."""
    return Path(path).absolute()


def _read_trait(path: str) -> tuple[int, ...] | None:
    """What changes with a file; None if there is none."""
    try:
        found = Path(path).stat()
    except (OSError, ValueError):
        return None
    # The last is another even where a file was replaced by one of the same size and date.
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _list_protection(config: WebConfig) -> tuple[str, ...]:
    """The keys that keep anybody out, or from listening."""
    tls = config.tls
    return tuple(
        key
        for key, there in (
            ("tls_server_config", tls is not None),
            (
                "tls_server_config.client_auth_type",
                tls is not None and tls.clients is CERT_REQUIRED,
            ),
            ("tls_server_config.client_allowed_sans", tls is not None and bool(tls.allowed_sans)),
            ("basic_auth_users", bool(config.users)),
        )
        if there
    )
