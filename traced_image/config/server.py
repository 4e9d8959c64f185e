"""The address of a Glance server, and the text forms that name one."""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Literal, cast

import idna

from ..errors import InvalidServer
from .checks import format_value

Scheme = Literal["http", "https"]

GLANCE_PORT = 9292
"""The port of a server that is written without a scheme."""

_SCHEME_PORTS = {"http": 80, "https": 443}
_LONGEST_TEXT = 2048  # far above any real URL; it bounds the time that the patterns below take
_LONGEST_NAME = 253  # of a DNS name in text form (RFC 1035, 2.3.4)
_HIGHEST_PORT = 65535
_FORM = re.compile(r"(?:(?P<scheme>[^:/]*)://)?(?P<authority>[^/]*)(?P<path>/.*)?", re.DOTALL)
_AUTHORITY = re.compile(r"(?:\[(?P<ipv6>[^]]*)\]|(?P<name>[^][:]*))(?::(?P<port>.*))?", re.DOTALL)
# RFC 1123, 2.1: at most 63 characters, no hyphen at an end. Container networks use "_" as well.
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_PORT = re.compile(r"[0-9]{1,5}")
_IPV6 = re.compile(r"[][0-9A-Fa-f:.]+")
_NO_PORT = re.compile(r":(?!//|[0-9]{1,5}(?:/|\Z)|\Z).*", re.DOTALL)
"""Text that may be the password of a ``user:password@`` that was cut before its ``@``."""
_PATH = re.compile(r"(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._~!$&'()*+=:-]+)*")
_VERSIONS = re.compile(r"(?:/v[12](?:\.[0-9]+)?)+\Z")


class UnusableError(Exception):
    """A text or field can't be used as a server's address.

    Attributes:
        problem: What is wrong.
        fix: What the user must do.
    """

    def __init__(self, problem: str, fix: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.fix = fix


def check_credentials(text: str) -> None:
    """Reject text that could contain a password, and show no part of it.

    Raises:
        UnusableError: The text has an ``@``, also percent-encoded or as a Unicode variant.
    """
    # NFKC turns the fullwidth and small forms of "@" into "@", as IDNA's mapping does.
    if "@" in unicodedata.normalize("NFKC", text) or "%40" in text:
        fix = "leave out user:password@ and set auth_strategy=keystone with auth or a cloud"
        raise UnusableError("it carries credentials (not shown here)", fix)


def parse(text: object) -> tuple[Scheme, str, int, str]:
    """Parse a server's text into scheme, host, port and path, in the form of `check`.

    Raises:
        UnusableError: The text can't be used.
    """
    form = cast("re.Match[str]", _FORM.fullmatch(_check_text(text)))
    scheme = cast("Scheme", "http" if form["scheme"] is None else form["scheme"].lower())
    _check_scheme(scheme)
    host, digits = _split_authority(form["authority"], in_url=form["scheme"] is not None)
    if digits is not None:
        port = _read_port(digits)
    else:
        port = GLANCE_PORT if form["scheme"] is None else _SCHEME_PORTS[scheme]
    # A catalogue's endpoint may end in /v2; each request adds the version itself (bug 1707995).
    path = _VERSIONS.sub("", (form["path"] or "").rstrip("/"))
    check(scheme, host, port, path)
    return scheme, host, port, path


def _check_text(text: object) -> str:
    fix = "write host:port or a URL"
    if not isinstance(text, str):
        raise UnusableError(f"{type(text).__name__} is not text", fix)
    if not text:
        raise UnusableError("it is empty", f"{fix}, or leave it out")
    check_credentials(text)
    if len(text) > _LONGEST_TEXT:
        raise UnusableError(f"{_format_refused(text)} is too long", fix)
    head, mark, _ = re.split(r"([?#]|\Z)", text, maxsplit=1)
    if mark:
        problem = f"{_format_refused(head)} has a query or fragment"
        raise UnusableError(problem, f"remove everything from {mark} on")
    if any(c.isspace() or unicodedata.category(c).startswith("C") for c in text):
        raise UnusableError(
            f"{_format_refused(text)} has a space or control character", "leave it out"
        )
    return text


def _split_authority(authority: str, *, in_url: bool) -> tuple[str, str | None]:
    """Split ``host:port`` into the two; a plain IPv6 address is a host without a port."""
    if authority.count(":") > 1 and not authority.startswith("["):
        return _read_plain_ipv6(authority, in_url=in_url), None
    found = _AUTHORITY.fullmatch(authority)
    if found is None:
        raise UnusableError(
            f"{_format_refused(authority)} is not a host and port", "write [address]:port"
        )
    if found["ipv6"] is not None:
        return _check_ipv6(found["ipv6"]), found["port"]
    return _encode_name(found["name"]), found["port"]


def _read_plain_ipv6(text: str, *, in_url: bool) -> str:
    """Read an IPv6 address without brackets, unless it may be one with a port.

    ``fd00::3:9292`` is an IPv6 address as a whole, so that nobody can tell a port in it. A URL
    always needs the brackets (RFC 3986, 3.2.2).
    """
    host = _check_ipv6(text)
    address, _, last = text.rpartition(":")
    if _PORT.fullmatch(last) and _is_ipv6(address):
        fix = f"write [{address}]:{last}, or [{text}] if that is the whole address"
    elif in_url:
        fix = f"write [{text}]"
    else:
        return host
    raise UnusableError(f"{format_value(text)} is an IPv6 address without brackets", fix)


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except AddressValueError:
        return False
    return True


def _format_refused(text: str) -> str:
    """Render rejected text for a message, without text after a colon that is not a port."""
    return format_value(text if _IPV6.fullmatch(text) else _NO_PORT.sub(":...", text))


def _read_port(digits: str) -> int:
    if not _PORT.fullmatch(digits):
        # The text after the colon may be a password: "user:password" without its host.
        return _refuse_port("what follows the colon (not shown)")
    return int(digits)


def _refuse_port(what: str) -> int:
    raise UnusableError(f"{what} is not a port", "use one from 1 to 65535")


def _check_ipv6(host: str) -> str:
    if "%" in host:
        fix = "use an address that is not link-local"
        raise UnusableError(f"{_format_refused(host)} has an IPv6 zone", fix)
    try:
        return str(IPv6Address(host))
    except AddressValueError:
        fix = "write host:port, or [address]:port for IPv6"
        raise UnusableError(f"{_format_refused(host)} is not an IPv6 address", fix) from None


def _encode_name(name: str) -> str:
    if name.isascii() or len(name) > _LONGEST_NAME:
        return name.lower()
    try:
        return idna.encode(name, uts46=True).decode("ascii")
    except UnicodeError:  # idna.IDNAError is a subclass
        problem = f"{format_value(name)} is not an internationalized host name"
        raise UnusableError(problem, "write the name in its ASCII form, xn--...") from None


def check(scheme: str, host: str, port: int, path: str) -> None:
    """Check that an address is in the one form that `Server` stores.

    Raises:
        UnusableError: A field is in another form.
    """
    _check_scheme(scheme)
    if ":" not in host:
        _check_name(host)
    elif host != _check_ipv6(host):
        raise UnusableError(
            f"{format_value(host)} is not in its short form", f"write {_check_ipv6(host)}"
        )
    if type(port) is not int or not 1 <= port <= _HIGHEST_PORT:
        _refuse_port(format_value(port))
    if not _PATH.fullmatch(path) or _VERSIONS.search(path):
        fix = "use a plain prefix such as /image, without the API's version"
        raise UnusableError(f"the path {format_value(path)} can't be used", fix)


def _check_scheme(scheme: str) -> None:
    if scheme not in _SCHEME_PORTS:
        raise UnusableError(f"{format_value(scheme)} is not a known scheme", "use http or https")


def _check_name(name: str) -> None:
    """Check that a name is a host name or an IPv4 address.

    A name with a number as its last label is an address, as in the WHATWG's URL standard.
    Otherwise the resolver would ask the name servers for ``10.0.0.300``.
    """
    if not name:
        raise UnusableError("it names no host", "write one before the port")
    labels = name.removesuffix(".").split(".")
    if len(name) > _LONGEST_NAME or not all(_LABEL.fullmatch(each) for each in labels):
        raise UnusableError(
            f"{format_value(name)} is not a host name", "write a name or an IP address"
        )
    if _NUMBER.fullmatch(labels[-1]):
        try:
            IPv4Address(name)
        except AddressValueError:
            fix = "write its four numbers, or a name"
            raise UnusableError(f"{format_value(name)} is not an IPv4 address", fix) from None


logger = logging.getLogger("traced_image.config")


@dataclass(frozen=True, slots=True)
class Server:
    """One Glance server of the cycle.

    Attributes:
        scheme: ``http`` or ``https``.
        host: A name in lower case (in its ASCII form), an IPv4 address, or an IPv6 address in its
            short form, without brackets.
        port: 1 to 65535.
        path: The prefix of all requests: empty, or a path such as ``/image``, without a slash at
            its end and without the API's version.
        url: All of these as a URL; it always contains the port.
        netloc: ``host:port``, with brackets around an IPv6 address.

    Raises:
        InvalidServer: A field is not in the form above; `Server.parse` accepts more forms.
    """

    scheme: Scheme
    host: str
    port: int
    path: str = ""
    url: str = field(init=False, repr=False, compare=False)
    netloc: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        try:
            check(self.scheme, self.host, self.port, self.path)
        except UnusableError as error:
            raise InvalidServer("Server", error.problem, fix=error.fix) from None
        host = f"[{self.host}]" if ":" in self.host else self.host
        object.__setattr__(self, "netloc", f"{host}:{self.port}")
        object.__setattr__(self, "url", f"{self.scheme}://{self.netloc}{self.path}")

    def __str__(self) -> str:
        return self.url

    @classmethod
    def parse(cls, text: str, source: str = "argument", *, item: str = "server") -> Server:
        """Parse a server from text.

        The text is ``host``, ``host:port``, one of these with a path prefix, or a URL. An IPv6
        address needs brackets in a URL, before a port, and if its end could be a port. Text
        without a scheme means http, and port 9292 if it names no port. A URL without a port means
        the port of its scheme. An API version at the end of the path is dropped, as nova does with
        an endpoint (bug 1707995).

        Args:
            text: The text to parse.
            source: Where the text came from, for the error.
            item: The name of the option, for the error.

        Raises:
            InvalidServer: The text has none of these forms, or it contains credentials, a query
                or an IPv6 zone. The message never shows credentials or a query.
        """
        try:
            return cls(*parse(text))
        except UnusableError as error:
            raise InvalidServer(item, error.problem, source=source, fix=error.fix) from None


def parse_servers(servers: object, source: str = "argument") -> tuple[Server, ...]:
    """Parse a list of servers, and keep its order.

    If the list names a server twice, keep the first entry and log a warning.

    Args:
        servers: An iterable of text and `Server`, or text with commas between the servers, in
            which empty members do not count.
        source: Where the list came from, for the error.

    Returns:
        The servers, at least one.

    Raises:
        InvalidServer: The list is empty, or a member can't be used.
    """
    members = _list_members(servers, source)
    for number, member in enumerate(members):
        # Check all members before parsing any. A comma in a password splits it over two members,
        # and the first half has no "@" that would keep it out of an error message.
        try:
            check_credentials(str(member))
        except UnusableError as error:
            item = f"servers[{number}]"
            raise InvalidServer(item, error.problem, source=source, fix=error.fix) from None
    found: dict[Server, int] = {}
    for number, member in enumerate(members):
        item = f"servers[{number}]"
        server = (
            member
            if isinstance(member, Server)
            else Server.parse(cast("str", member), source, item=item)
        )
        if found.setdefault(server, number) != number:
            logger.warning(
                "%s (from %s): %s is listed twice; the second is ignored", item, source, server
            )
    return tuple(found)


def _list_members(servers: object, source: str) -> list[object]:
    fix = 'give a list such as ["glance-1:9292", "https://glance.example/image"]'
    if isinstance(servers, str):
        # oslo.config takes a comma at the end, so nova.conf files have it.
        servers = [each.strip() for each in servers.split(",") if each.strip()]
    if not isinstance(servers, Iterable) or isinstance(servers, (bytes, bytearray)):
        problem = f"{type(servers).__name__} is not a list of servers"
        raise InvalidServer("servers", problem, source=source, fix=fix)
    members = list(servers)
    if not members:
        raise InvalidServer("servers", "no server is configured", source=source, fix=fix)
    return members
