"""All settings of a service in one value, which its constructor checks."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from ..errors import InvalidAuth, InvalidOption, InvalidRetry, InvalidTimeout, InvalidTLS
from . import checks, tls
from .keystone import KeystoneHTTP, TokenSource, make_token_source
from .option_definition import document_fields, list_options, option
from .parse import parse_boolean, parse_optional_number
from .retry_policy import RetryPolicy
from .server import Server, parse_servers

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ..errors import ConfigError
    from .keywords import ConfigKeywords

READ_TIMEOUT = 60.0
"""The default of ``read_timeout``, in seconds."""

logger = logging.getLogger("traced_image.config")

_T = TypeVar("_T")


def _check_servers(_item: str, value: object, source: str) -> tuple[Server, ...]:
    return parse_servers(value, source)


def _check_text(item: str, value: object, source: str) -> str:
    if isinstance(value, str) and value.isprintable() and value:
        return value
    fix = "give a name, or leave it out"
    raise InvalidOption(item, f"{checks.format_value(value)} is not a name", source=source, fix=fix)


def _check_retry(item: str, value: object, source: str) -> RetryPolicy:
    if isinstance(value, RetryPolicy):
        return value
    problem = f"{type(value).__name__} is not a RetryPolicy"
    raise InvalidRetry(item, problem, source=source, fix="give RetryPolicy(...)")


def _check_choice(error: type[ConfigError], *choices: _T) -> checks.Check[_T]:
    return partial(checks.check_choice, error=error, choices=choices)


def _check_sources(value: object) -> None:
    if not isinstance(value, Mapping):
        problem = f"{checks.format_value(value)} can't be used"
        raise InvalidOption("sources", problem, fix="give a mapping, or leave it out")


_seconds = partial(checks.check_number, error=InvalidTimeout, zero=False)
_size = partial(checks.check_integer, error=InvalidOption, least=1)


@document_fields
@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The settings of a service: its servers and how to reach them.

    If the list names a server twice, the first entry counts. The constructor logs a warning if
    there are fewer attempts than servers, because a call may end before it has tried all of
    them. It also logs a warning if `insecure` makes it ignore a CA file.

    Raises:
        ConfigError: A value can't be used: `InvalidServer`, `InvalidRetry`, `InvalidTimeout`,
            `InvalidTLS`, `InvalidAuth` or `InvalidOption`.
    """

    servers: tuple[Server, ...] = option(
        (),
        doc="The servers of the cycle. The constructor also takes text; see `parse_servers`.",
        check=_check_servers,
        read=str,
        nova="[glance] api_servers",
        cinder="[DEFAULT] glance_api_servers",
        cloud="image_endpoint_override",
    )
    num_retries: int = option(
        3,
        doc="Attempts after the first one; 3 as in today's nova (0 before bug 1888168).",
        check=partial(checks.check_integer, error=InvalidRetry),
        read=int,
        nova="[glance] num_retries",
        cinder="[DEFAULT] glance_num_retries",
    )
    retry: RetryPolicy = option(
        RetryPolicy(), doc="When and how a call repeats a failed attempt.", check=_check_retry
    )
    connect_timeout: float = option(
        5.0, doc="Seconds to connect to a server, with TLS.", check=_seconds, read=float
    )
    read_timeout: float = option(
        READ_TIMEOUT,
        doc="Seconds to wait for the next bytes of a reply, such as the first byte of a download.",
        check=_seconds,
        read=float,
        nova="[glance] timeout",
        cinder="[DEFAULT] glance_request_timeout",
    )
    request_timeout: float | None = option(
        None,
        doc="Seconds for one request and its whole reply, with the time to connect, if neither has"
        " image data. None for 30, or for `read_timeout` if that is set to more.",
        check=checks.allow_none(_seconds),
        read=parse_optional_number,
    )
    upload_timeout: float = option(
        600.0,
        doc="Seconds to wait for the answer to an upload after its last byte; 600 as in"
        " python-glanceclient.",
        check=_seconds,
        read=float,
    )
    trial_timeout: float = option(
        1.0,
        doc="Seconds for a request that tests a server after its cool-down, if another server is"
        " healthy and can be tried next. It is twice the time of a quick answer if that is longer.",
        check=_seconds,
        read=float,
    )
    deadline: float | None = option(
        120.0,
        doc="Seconds for a whole call with its retries and waits, without the transfer of image"
        " data; None for no limit. If a method makes several calls, each of them has its own"
        " deadline: ``update`` with data gets, patches, uploads and gets again, and each call"
        " except the upload may take this long.",
        check=checks.allow_none(_seconds),
        read=parse_optional_number,
    )
    insecure: bool = option(
        False,
        doc="Whether to accept any certificate of a server; if so, `cafile` is ignored.",
        check=partial(checks.check_boolean, error=InvalidTLS),
        read=parse_boolean,
        nova="[glance] insecure",
        cinder="[DEFAULT] glance_api_insecure",
        cloud="verify",
    )
    cafile: str | None = option(
        None,
        doc="Path of a PEM file with the CA certificates to trust; None for the default ones.",
        check=tls.check_path,
        read=str,
        nova="[glance] cafile",
        cinder="[DEFAULT] glance_ca_certificates_file",
        cloud="cacert",
    )
    certfile: str | None = option(
        None,
        doc="Path of a PEM file with the client's certificate.",
        check=tls.check_path,
        read=str,
        nova="[glance] certfile",
        cinder="[DEFAULT] glance_certfile",
        cloud="cert",
    )
    keyfile: str | None = option(
        None,
        doc="Path of a PEM file with the certificate's key, without a passphrase; None if"
        " `certfile` contains the key too.",
        check=tls.check_path,
        read=str,
        nova="[glance] keyfile",
        cinder="[DEFAULT] glance_keyfile",
        cloud="key",
    )
    auth_strategy: Literal["noauth", "keystone"] = option(
        "noauth",
        doc="``noauth`` sends no token; ``keystone`` sends the caller's token, or the service's own"
        " if the context is None.",
        check=_check_choice(InvalidAuth, "noauth", "keystone"),
        read=str,
        nova="[api] auth_strategy",
        cinder="[DEFAULT] auth_strategy",
    )
    auth: TokenSource | None = option(
        None,
        doc="The source of the service's own token; it implies ``keystone``. The constructor also"
        " takes a keystoneauth1 plugin, and reaches Keystone with the TLS settings and"
        " `read_timeout` of this configuration, and within the deadline of the call.",
        nova="[glance] auth_type",
        cloud="auth",
        shown=False,
    )
    service_auth: TokenSource | None = option(
        None,
        doc="The source of the token that is sent beside a caller's, as ``X-Service-Token``; it"
        " implies ``keystone``. With it, Glance accepts a caller's token that expired a while ago,"
        " as in a long upload. The constructor also takes a keystoneauth1 plugin, as for `auth`."
        " nova.conf and cinder.conf set it if ``send_service_user_token`` is true.",
        nova="[service_user] auth_type",
        shown=False,
    )
    api_version: Literal[1, 2] = option(
        2,
        doc="The version of the Image API, 1 or 2.",
        check=_check_choice(InvalidOption, 1, 2),
        read=int,
    )
    pool_size: int = option(
        10, doc="Idle connections to keep open for each server.", check=_size, read=int
    )
    max_metadata_size: int = option(
        16 * 2**20,
        doc="The most bytes that a reply without image data may have.",
        check=_size,
        read=int,
    )
    max_list_size: int = option(
        256 * 2**20,
        doc="The most bytes that the replies of one list may have together.",
        check=_size,
        read=int,
    )
    region_name: str | None = option(
        None,
        doc="The region whose image endpoint `load_config` takes from Keystone's catalogue.",
        check=checks.allow_none(_check_text),
        read=str,
        nova="[glance] region_name",
        cloud="region_name",
    )
    sources: Mapping[str, str] = field(
        default_factory=dict,
        repr=False,
        compare=False,
        metadata={"doc": "The source of each value that is not a default, by the field's name."},
    )

    if TYPE_CHECKING:

        def __init__(self, **fields: Unpack[ConfigKeywords]) -> None:
            """Accept the fields in all their forms, for type checkers."""

    def __post_init__(self) -> None:
        _check_sources(self.sources)
        for name, each in OPTIONS.items():
            self._set(name, each.check_value(name, getattr(self, name), self._source(name)))
        self._check_tls()
        # Last, because the token sources use the checked TLS settings and timeout.
        for name in ("auth", "service_auth"):
            if getattr(self, name) is not None:
                self._set(name, self._tokens(name))
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

    def replace(self, **changes: Unpack[ConfigKeywords]) -> Config:
        """Return a copy with other values; check all values again.

        Args:
            **changes: Any field of `Config`.

        Raises:
            ConfigError: A value can't be used, or a field does not exist.
        """
        check_names(changes)
        sources = {name: source for name, source in self.sources.items() if name not in changes}
        values: dict[str, Any] = {"sources": sources, **changes}
        return dataclasses.replace(self, **values)

    def _set(self, name: str, value: object) -> None:
        # The dataclass is frozen: ``__post_init__`` can store a checked value only in this way.
        object.__setattr__(self, name, value)

    def _source(self, name: str) -> str:
        return self.sources.get(name, "argument")

    def _check_tls(self) -> None:
        if self.insecure and self.cafile:
            logger.warning("cafile is ignored because insecure=True turns certificate checks off")
        elif self.cafile:
            tls.check_authorities(self.cafile, self._source("cafile"))
        if self.certfile:
            tls.check_client(self.certfile, self.keyfile, self._source("certfile"))
        elif self.keyfile:
            fix = "set certfile too, or leave out keyfile"
            source = self._source("keyfile")
            raise InvalidTLS("keyfile", "it is set without certfile", source=source, fix=fix)

    def _tokens(self, name: str) -> TokenSource:
        """Build the source of tokens for an option's value."""
        auth = getattr(self, name)
        # keystoneauth1 writes auth_url into its errors and debug log, with the password in it.
        if "@" in str(getattr(auth, "auth_url", "")):
            fix = "leave out user:password@ and set username and password"
            problem = "its auth_url carries credentials (not shown here)"
            raise InvalidAuth(name, problem, source=self._source(name), fix=fix)
        cert = self.certfile
        http = KeystoneHTTP(
            verify=not self.insecure and (self.cafile or True),
            cert=(cert, self.keyfile) if cert and self.keyfile else cert,
            timeout=self.read_timeout,
        )
        tokens = make_token_source(auth, http)
        if tokens is None:
            problem = f"{type(auth).__name__} gives no tokens"
            fix = "give a keystoneauth1 plugin, or an object with get_token() and invalidate()"
            raise InvalidAuth(name, problem, source=self._source(name), fix=fix)
        return tokens


OPTIONS = list_options(Config)
"""All options of a configuration, by the names of their fields."""

FIELDS = frozenset(each.name for each in dataclasses.fields(Config))


def check_names(values: Mapping[str, object], source: str = "argument") -> None:
    """Check that all names are fields of `Config`.

    Raises:
        InvalidOption: A name is unknown.
    """
    for name in values:
        if name not in FIELDS:
            raise checks.build_unknown_error(name, FIELDS, source)
