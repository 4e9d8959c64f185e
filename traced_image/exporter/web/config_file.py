"""The web configuration file of Prometheus's exporter-toolkit, reloaded after each change."""

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

    from ...telemetry.updates import Update


LOG = logging.getLogger(__name__)

CHECK_SECONDS = 1.0
"""The shortest time between two checks of the files, in seconds."""

MOST_COST = 14
"""The highest accepted cost of a bcrypt hash: at 14, one check takes a second or more."""

_BCRYPT = re.compile(r"\$2[abxy]\$(\d\d)\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{31}")

_HEADERS: Mapping[str, tuple[str, ...]] = {
    "Content-Security-Policy": (),
    "Strict-Transport-Security": (),
    "X-Content-Type-Options": ("nosniff",),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-XSS-Protection": (),
}
"""The headers that the file can set, and their possible values; empty for any value."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A limit on the rate of requests.

    Attributes:
        interval: Seconds between two requests, on average.
        burst: How many requests may come at the same time.
    """

    interval: float
    burst: int


@dataclass(frozen=True, slots=True)
class WebConfig:
    """The settings in a web configuration file.

    Attributes:
        tls: The server's TLS; None for plain HTTP.
        headers: The headers added to each reply, with names in lower case.
        users: The bcrypt hash of each user's password; empty if no user is needed.
        rate: The limit on the rate of requests; None for no limit.
    """

    tls: tls.ServerTLS | None = None
    headers: tuple[tuple[bytes, bytes], ...] = ()
    users: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    rate: Rate | None = None


def read_config(path: Path) -> WebConfig:
    """Read a web configuration file.

    Raises:
        ConfigError: The file can't be read, or a value can't be used. The message contains no
            secret.
    """
    keys = ("tls_server_config", "http_server_config", "basic_auth_users", "rate_limit")
    top = Section(load_section(path), "", path, keys)
    http = top.section("http_server_config", ("http2", "headers"))
    # The key is checked but has no effect: the server offers HTTP/1.1 only, and TLS's ALPN lets a
    # client choose HTTP/2 only if a server offers it.
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
            raise section.refused(
                name, "has characters that are not allowed in a header", "leave them out"
            )
        yield name.lower().encode(), value.encode()


def _read_users(section: Section) -> Iterable[tuple[str, bytes]]:
    # Messages number the users: a name may be a password that was written in the wrong place.
    for number, (name, hashed) in enumerate(section, 1):
        which = f"user {number}"
        if not isinstance(name, str) or not name or ":" in name or not name.isprintable():
            fix = "write it in quotes, and without a colon"
            raise section.refused(which, "has a name that is not text or can't be sent", fix)
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
    """Return a duration in seconds, from Go's notation, where 0 needs no unit."""
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
    """The last configuration that could be used; each reload makes a new object.

    Attributes:
        config: The settings in the file.
        context: The server's TLS context; None for plain HTTP.
    """

    config: WebConfig
    context: ssl.SSLContext | None


class WebConfigFile:
    """A web configuration file, which is reloaded after it or a file that it names has changed.

    The old configuration stays in force if the new one can't be used, or if it would remove a
    protection, such as TLS or users. A file that is half written could do either. To remove a
    protection, restart the exporter.

    Args:
        path: The file.
        record: Sets the gauge `RELOADED`.
        clock: Returns seconds that never go back.

    Attributes:
        in_force: The configuration in force since the last check.

    Raises:
        ConfigError: The file can't be read, or a value can't be used.
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
        """Return the configuration in force; check the files if the last check is old enough."""
        now = self._clock()
        if now - self._checked >= CHECK_SECONDS:
            self._checked = now
            # After a problem, reload even without a change: the fix may be in a file that is not
            # among the checked ones, because the bad configuration was not read completely.
            if self._problem is not None or self._look() != self._seen:
                self._reload()
        return self.in_force

    def _look(self) -> tuple[object, ...]:
        return tuple(map(_read_trait, (str(self._path), *self._files)))

    def _read(self) -> CurrentConfig:
        # Each file's state is taken before the file is read, so that the next check sees a write
        # during the reading.
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
            LOG.info("%s was reloaded.", self._path)

    def _enforce(self, new: CurrentConfig) -> None:
        self.in_force, self._problem = new, None
        self._record(1.0, None)
        if new.config.tls is not None:
            new.config.tls.warn_of_readers()

    def _failed(self, problem: str) -> None:
        if problem != self._problem:
            self._problem = problem
            LOG.warning("%s The old configuration stays in force.", problem)
            self._record(0.0, None)

    def _keep_protection(self, new: WebConfig) -> None:
        for key in _list_protection(self.in_force.config):
            if key not in _list_protection(new):
                fix = "put it back, or restart the exporter without it"
                problem = "is a protection that a reload can't remove"
                raise InvalidOption(key, problem, source=str(self._path), fix=fix)


def _make_absolute(path: str | os.PathLike[str]) -> Path:
    """Return the absolute path, which stays valid if the process changes its directory."""
    return Path(path).absolute()


def _read_trait(path: str) -> tuple[int, ...] | None:
    """Return the size and times of a file, which change with it; None for a missing file."""
    try:
        found = Path(path).stat()
    except (OSError, ValueError):
        return None
    # The ctime differs even if the new file has the same size and mtime (`cp -p`, `touch -d`).
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _list_protection(config: WebConfig) -> tuple[str, ...]:
    """Return the keys of the settings that restrict or encrypt the access."""
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
