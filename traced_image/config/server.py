"""Where a Glance server is, and the forms in which one may be written."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Literal, cast

import idna

from ..errors import InvalidServer
from .checks import shown

Scheme = Literal["http", "https"]

GLANCE_PORT = 9292
"""The port of a server that is written without a scheme."""

_SCHEME_PORTS = {"http": 80, "https": 443}
_LONGEST_TEXT = 2048
_LONGEST_NAME = 253
_HIGHEST_PORT = 65535
_FORM = re.compile(r"(?:(?P<scheme>[^:/]*)://)?(?P<authority>[^/]*)(?P<path>/.*)?", re.DOTALL)
_AUTHORITY = re.compile(r"(?P<host>\[[^]]*\]|[^:]*)(?::(?P<port>.*))?", re.DOTALL)
_NAME = re.compile(r"(?=.{1,253}\Z)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.(?!\Z)|\.?\Z))+")
_NUMBER_LAST = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)\.?\Z")
_PATH = re.compile(r"(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._~!$&'()*+=:-]+)*")
_VERSIONS = re.compile(r"(?:/v[12](?:\.[0-9]+)?)+\Z")


class _UnusableError(Exception):
    """What is wrong with a server, and the mend."""


@dataclass(frozen=True, slots=True)
class Server:
    """One Glance server of the cycle.

    Attributes:
        scheme: ``http`` or ``https``.
        host: A name in lower case (in its ASCII form), an IPv4 address, or an IPv6 address in its
            short form, without brackets.
        port: 1 to 65535.
        path: The prefix of all requests: empty, or ``/image``, without a slash at its end or the
            API's version.
        url: All of these as a URL; the port is always written.
        netloc: ``host:port``, with brackets around an IPv6 address.

    Raises:
        InvalidServer: A field is not in the form above; `Server.parse` takes looser forms.
    """

    scheme: Scheme
    host: str
    port: int
    path: str = ""
    url: str = field(init=False, repr=False, compare=False)
    netloc: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        try:
            _check_fields(self.scheme, self.host, self.port, self.path)
        except _UnusableError as error:
            problem, mend = error.args
            raise InvalidServer("Server", problem, mend=mend) from None
        host = f"[{self.host}]" if ":" in self.host else self.host
        object.__setattr__(self, "netloc", f"{host}:{self.port}")
        object.__setattr__(self, "url", f"{self.scheme}://{self.netloc}{self.path}")

    def __str__(self) -> str:
        return self.url

    @classmethod
    def parse(cls, text: str, source: str = "argument", *, item: str = "server") -> Server:
        """Read a server from text.

        The forms are ``host``, ``host:port``, either with a path prefix, and a URL of them. An
        IPv6 address needs brackets only before a port. Without a scheme, it is http and the
        port 9292 where none is given; a URL without a port has its scheme's own. An API version
        at the end of the path is dropped, as nova does with an endpoint (bug 1707995).

        Args:
            text: What to read.
            source: Where it came from, for the error.
            item: What it is there, for the error.

        Raises:
            InvalidServer: It is none of these forms, or it carries credentials, a query or an
                IPv6 zone. The message never shows credentials or a query.
        """
        try:
            return cls(*_parse(text))
        except _UnusableError as error:
            problem, mend = error.args
            raise InvalidServer(item, problem, source=source, mend=mend) from None


def parse_servers(servers: object, source: str = "argument") -> tuple[Server, ...]:
    """Read a list of servers, in its order and without what it has twice.

    Args:
        servers: An iterable of text and `Server`, or text with commas between the servers.
        source: Where it came from, for the error.

    Raises:
        InvalidServer: It is empty, or a member can't be used.
    """
    if isinstance(servers, str):
        servers = [part.strip() for part in servers.split(",")] if servers.strip() else []
    mend = 'give a list such as ["glance-1:9292", "https://glance.example/image"]'
    if not isinstance(servers, Iterable) or isinstance(servers, (bytes, bytearray)):
        problem = f"{type(servers).__name__} is no list of servers"
        raise InvalidServer("servers", problem, source=source, mend=mend)
    members = list(servers)
    if not members:
        raise InvalidServer("servers", "no server is configured", source=source, mend=mend)
    for number, member in enumerate(members):
        # Before any is parsed: a comma in a password would have cut it in two.
        if isinstance(member, str) and _has_credentials(member):
            problem, mend = _CREDENTIALS
            raise InvalidServer(f"servers[{number}]", problem, source=source, mend=mend)
    return tuple(
        dict.fromkeys(
            member
            if isinstance(member, Server)
            else Server.parse(member, source, item=f"servers[{number}]")
            for number, member in enumerate(members)
        )
    )


_CREDENTIALS = (
    "it carries credentials (not shown here)",
    "leave out user:password@ and set auth_strategy=keystone with auth or a cloud",
)


def _has_credentials(text: str) -> bool:
    return "@" in unicodedata.normalize("NFKC", text) or "%40" in text


def _parse(text: object) -> tuple[Scheme, str, int, str]:
    _check_text(text)
    form = cast("re.Match[str]", _FORM.fullmatch(cast("str", text)))
    scheme = "http" if form["scheme"] is None else form["scheme"].lower()
    if scheme not in _SCHEME_PORTS:
        raise _UnusableError(
            f"{shown(text)} has the unknown scheme {scheme!r}", "use http or https"
        )
    host, digits = _split(form["authority"])
    if digits is not None:
        port = _port(digits)
    else:
        port = GLANCE_PORT if form["scheme"] is None else _SCHEME_PORTS[scheme]
    path = _VERSIONS.sub("", (form["path"] or "").rstrip("/"))
    return cast("Scheme", scheme), _ascii_host(host), port, path


def _check_text(text: object) -> None:
    if not isinstance(text, str):
        raise _UnusableError(f"{type(text).__name__} is no text", "write it as host:port or a URL")
    if not text or len(text) > _LONGEST_TEXT:
        problem = "it is too long" if text else "it is empty"
        raise _UnusableError(problem, "write host:port or a URL, or leave it out")
    if _has_credentials(text):
        raise _UnusableError(*_CREDENTIALS)
    mark = next((c for c in text if c in "?#"), None)
    if mark:
        head = shown(text.partition(mark)[0])
        raise _UnusableError(
            f"{head} goes on with a query or fragment", f"leave out all from {mark} on"
        )
    if any(c.isspace() or unicodedata.category(c).startswith("C") for c in text):
        raise _UnusableError(f"{shown(text)} has a space or control character", "leave it out")


def _split(authority: str) -> tuple[str, str | None]:
    """Split ``host:port``, where IPv6 without brackets is all host."""
    if authority.count(":") > 1 and not authority.startswith("["):
        return authority, None
    found = _AUTHORITY.fullmatch(authority)
    if found is None:
        raise _UnusableError(f"{shown(authority)} is no host and port", "write [address]:port")
    host = found["host"]
    if host.startswith("["):
        host = host[1:-1]
        if ":" not in host:
            raise _UnusableError(
                f"{shown(authority)} has no IPv6 address in its brackets", "mend it"
            )
    return host, found["port"]


def _port(digits: str) -> int:
    if re.fullmatch(r"[0-9]{1,5}", digits):
        return int(digits)
    raise _UnusableError(f"{shown(digits)} is no port", "use a port from 1 to 65535")


def _ascii_host(host: str) -> str:
    """Return a host in its canonical form, or as it is where it has none."""
    if ":" in host:
        return _ipv6(host)
    if host.isascii() or len(host) > _LONGEST_NAME:
        return host.lower()
    try:
        return idna.encode(host, uts46=True).decode("ascii")
    except UnicodeError:  # of which idna.IDNAError is one
        problem = f"{shown(host)} is no internationalized host name"
        raise _UnusableError(problem, "write the name in its ASCII form, xn--...") from None


def _ipv6(host: str) -> str:
    if "%" in host:
        mend = "use an address that is not link-local"
        raise _UnusableError(f"{shown(host)} has an IPv6 zone", mend)
    try:
        return str(IPv6Address(host))
    except AddressValueError:
        mend = "write host:port, or [address]:port for IPv6"
        raise _UnusableError(f"{shown(host)} is no IPv6 address", mend) from None


def _check_fields(scheme: str, host: str, port: int, path: str) -> None:
    if scheme not in _SCHEME_PORTS:
        raise _UnusableError(f"{shown(scheme)} is an unknown scheme", "use http or https")
    _check_host(host)
    if type(port) is not int or not 1 <= port <= _HIGHEST_PORT:
        raise _UnusableError(
            f"the port {shown(port)} is out of range", "use a port from 1 to 65535"
        )
    if not _PATH.fullmatch(path) or _VERSIONS.search(path):
        mend = "use a plain prefix such as /image, without the API's version"
        raise _UnusableError(f"the path {shown(path)} can't be used", mend)


def _check_host(host: str) -> None:
    if ":" in host:
        if host != _ipv6(host):
            raise _UnusableError(f"{shown(host)} is no short IPv6 address", f"write {_ipv6(host)}")
    elif not host:
        raise _UnusableError("it names no host", "write one before the port")
    elif not _NAME.fullmatch(host):
        raise _UnusableError(f"{shown(host)} is no host name", "write a name or an IP address")
    elif _NUMBER_LAST.fullmatch(host):
        try:
            IPv4Address(host)
        except AddressValueError:
            raise _UnusableError(
                f"{shown(host)} is no IPv4 address", "write its four numbers"
            ) from None
