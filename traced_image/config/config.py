"""All settings of a service in one value, checked when it is made."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Literal

from ..errors import InvalidAuth, InvalidOption, InvalidRetry, InvalidTimeout, InvalidTLS
from . import checks, tls
from .keystone import KeystoneHTTP, TokenSource, token_source
from .retry import RetryPolicy
from .server import Server, parse_servers

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger("traced_image.config")

AuthStrategy = Literal["noauth", "keystone"]


def _deadline(item: str, value: object, source: str) -> float | None:
    return None if value is None else _timeout(item, value, source)


def _text(item: str, value: object, source: str) -> str | None:
    if value is None or (isinstance(value, str) and value.isprintable() and value):
        return value
    mend = "give a name, or leave it out"
    raise InvalidOption(item, f"{checks.shown(value)} is no name", source=source, mend=mend)


def _retry(item: str, value: object, source: str) -> RetryPolicy:
    if isinstance(value, RetryPolicy):
        return value
    problem = f"{type(value).__name__} is no RetryPolicy"
    raise InvalidRetry(item, problem, source=source, mend="give RetryPolicy(...)")


def _check_sources(value: object) -> None:
    if not isinstance(value, Mapping):
        problem = f"{checks.shown(value)} can't be used"
        raise InvalidOption("sources", problem, mend="give a mapping, or leave it out")


_timeout = partial(checks.number, error=InvalidTimeout, zero=False)

_CHECKS: dict[str, Callable[[str, object, str], object]] = {
    "servers": lambda _item, value, source: parse_servers(value, source),
    "num_retries": partial(checks.integer, error=InvalidRetry),
    "retry": _retry,
    "connect_timeout": _timeout,
    "read_timeout": _timeout,
    "deadline": _deadline,
    "insecure": partial(checks.boolean, error=InvalidTLS),
    "cafile": tls.file_path,
    "certfile": tls.file_path,
    "keyfile": tls.file_path,
    "auth_strategy": partial(checks.choice, error=InvalidAuth, choices=("noauth", "keystone")),
    "api_version": partial(checks.choice, error=InvalidOption, choices=(1, 2)),
    "pool_size": partial(checks.integer, error=InvalidOption, least=1),
    "max_metadata_size": partial(checks.integer, error=InvalidOption, least=1),
    "region_name": _text,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """How a service reaches Glance, for as long as it lives.

    A list of servers that has one twice keeps the first. Fewer attempts than servers are logged
    as a warning, since a call may end before it has tried all of them; so is a CA file that
    `insecure` leaves unused.

    Attributes:
        servers: The servers of the cycle. The constructor also takes text; see `parse_servers`.
        num_retries: Attempts after the first; 3 as in today's nova (0 before bug 1888168).
        retry: When and how a failed attempt is repeated.
        connect_timeout: Seconds to connect to a server, TLS included.
        read_timeout: Seconds between two reads of a reply.
        deadline: Seconds for a whole call with its retries and waits, without the transfer of
            image data; None for no limit. Each call has its own where a method makes several:
            ``update`` with data gets, patches, uploads and gets again, and all but the upload
            may take as long as this.
        insecure: Whether the servers' certificates go unchecked; `cafile` is then not used.
        cafile: Path of a PEM file with the authorities to trust; None for the default ones.
        certfile: Path of a PEM file with the client's certificate.
        keyfile: Path of a PEM file with its key, without a passphrase; None where `certfile`
            has it too.
        auth_strategy: ``noauth`` sends no token, ``keystone`` the caller's or else the service's.
        auth: Gives the service's own token, and implies ``keystone``. The constructor also takes
            a keystoneauth1 plugin, and reaches Keystone with the TLS settings and
            `read_timeout` of this configuration.
        api_version: Version of the Image API, 1 or 2.
        pool_size: Connections that are kept alive for each server.
        max_metadata_size: Bytes of the largest reply that is not image data.
        region_name: The region of the catalogue in which the servers were looked up.
        sources: Where each value came from that is not a default, by the field's name.

    Raises:
        ConfigError: A value can't be used: `InvalidServer`, `InvalidRetry`, `InvalidTimeout`,
            `InvalidTLS`, `InvalidAuth` or `InvalidOption`.
    """

    servers: tuple[Server, ...] = ()
    num_retries: int = 3
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    connect_timeout: float = 5.0
    read_timeout: float = 60.0
    deadline: float | None = 120.0
    insecure: bool = False
    cafile: str | None = None
    certfile: str | None = None
    keyfile: str | None = None
    auth_strategy: AuthStrategy = "noauth"
    auth: TokenSource | None = field(default=None, repr=False)
    api_version: Literal[1, 2] = 2
    pool_size: int = 10
    max_metadata_size: int = 16 * 2**20
    region_name: str | None = None
    sources: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check_sources(self.sources)
        for name, check in _CHECKS.items():
            self._set(name, check(name, getattr(self, name), self._source(name)))
        self._check_tls()
        if self.auth is not None:
            self._set("auth", self._tokens())
            self._set("auth_strategy", "keystone")
        if self.num_retries < len(self.servers) - 1:
            logger.warning(
                "num_retries=%d allows %d attempts, but there are %d servers: a call may fail"
                " before it has tried them all; set num_retries to at least %d",
                self.num_retries,
                self.num_retries + 1,
                len(self.servers),
                len(self.servers) - 1,
            )

    def replace(self, **changes: object) -> Config:
        """Return a copy with other values, all of them checked again.

        Raises:
            ConfigError: A value can't be used, or there is no such field.
        """
        check_names(changes)
        sources = {name: source for name, source in self.sources.items() if name not in changes}
        return dataclasses.replace(self, **{"sources": sources, **changes})  # type: ignore[arg-type]

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def _source(self, name: str) -> str:
        return self.sources.get(name, "argument")

    def _check_tls(self) -> None:
        if self.insecure and self.cafile:
            logger.warning("cafile is not used, since insecure=True checks no certificate")
        elif self.cafile:
            tls.check_authorities(self.cafile, self._source("cafile"))
        if self.certfile:
            tls.check_client(self.certfile, self.keyfile, self._source("certfile"))
        elif self.keyfile:
            mend = "set certfile too, or leave out keyfile"
            source = self._source("keyfile")
            raise InvalidTLS("keyfile", "it is set without certfile", source=source, mend=mend)

    def _tokens(self) -> TokenSource:
        if "@" in str(getattr(self.auth, "auth_url", "")):
            mend = "leave out user:password@ and set username and password"
            problem = "its auth_url carries credentials (not shown here)"
            raise InvalidAuth("auth", problem, source=self._source("auth"), mend=mend)
        cert = self.certfile
        http = KeystoneHTTP(
            verify=not self.insecure and (self.cafile or True),
            cert=(cert, self.keyfile) if cert and self.keyfile else cert,
            timeout=self.read_timeout,
        )
        tokens = token_source(self.auth, http)
        if tokens is None:
            problem = f"{type(self.auth).__name__} gives no tokens"
            mend = "give a keystoneauth1 plugin, or an object with get_token() and invalidate()"
            raise InvalidAuth("auth", problem, source=self._source("auth"), mend=mend)
        return tokens


FIELDS = frozenset(each.name for each in dataclasses.fields(Config))


def check_names(values: Mapping[str, object], source: str = "argument") -> None:
    """Refuse names that are no fields of `Config`.

    Raises:
        InvalidOption: One is unknown.
    """
    for name in values:
        if name not in FIELDS:
            raise checks.unknown(name, FIELDS, source)
