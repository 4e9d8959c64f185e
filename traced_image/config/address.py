"""The parts of a server's address: read from text, and checked."""

from __future__ import annotations

import re
import unicodedata
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Literal, cast

import idna

from .checks import shown

Scheme = Literal["http", "https"]

GLANCE_PORT = 9292
"""The port of a server that is written without a scheme."""

_SCHEME_PORTS = {"http": 80, "https": 443}
_LONGEST_TEXT = 2048
_LONGEST_NAME = 253
_HIGHEST_PORT = 65535
_FORM = re.compile(r"(?:(?P<scheme>[^:/]*)://)?(?P<authority>[^/]*)(?P<path>/.*)?", re.DOTALL)
_AUTHORITY = re.compile(r"(?:\[(?P<ipv6>[^]]*)\]|(?P<name>[^][:]*))(?::(?P<port>.*))?", re.DOTALL)
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_PORT = re.compile(r"[0-9]{1,5}")
_IPV6 = re.compile(r"[][0-9A-Fa-f:.]+")
_NO_PORT = re.compile(r":(?!//|[0-9]{1,5}(?:/|\Z)|\Z).*", re.DOTALL)
"""What may be a password, of a ``user:password@`` that has lost its end."""
_PATH = re.compile(r"(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._~!$&'()*+=:-]+)*")
_VERSIONS = re.compile(r"(?:/v[12](?:\.[0-9]+)?)+\Z")


class UnusableError(Exception):
    """Something can't be used as a server.

    Attributes:
        problem: What is wrong with it.
        mend: What to do about it.
    """

    def __init__(self, problem: str, mend: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.mend = mend


def check_credentials(text: str) -> None:
    """Refuse text that could hold a password, without showing any of it.

    Raises:
        UnusableError: It has an ``@``, encoded or as another form of the character.
    """
    if "@" in unicodedata.normalize("NFKC", text) or "%40" in text:
        mend = "leave out user:password@ and set auth_strategy=keystone with auth or a cloud"
        raise UnusableError("it carries credentials (not shown here)", mend)


def parse(text: object) -> tuple[Scheme, str, int, str]:
    """Read scheme, host, port and path in the form of `check`.

    Raises:
        UnusableError: They can't be used.
    """
    form = cast("re.Match[str]", _FORM.fullmatch(_checked(text)))
    scheme = cast("Scheme", "http" if form["scheme"] is None else form["scheme"].lower())
    _check_scheme(scheme)
    host, digits = _split(form["authority"])
    if digits is not None:
        port = _port(digits)
    else:
        port = GLANCE_PORT if form["scheme"] is None else _SCHEME_PORTS[scheme]
    path = _VERSIONS.sub("", (form["path"] or "").rstrip("/"))
    check(scheme, host, port, path)
    return scheme, host, port, path


def _checked(text: object) -> str:
    mend = "write host:port or a URL"
    if not isinstance(text, str):
        raise UnusableError(f"{type(text).__name__} is no text", mend)
    if not text:
        raise UnusableError("it is empty", f"{mend}, or leave it out")
    check_credentials(text)
    if len(text) > _LONGEST_TEXT:
        raise UnusableError(f"{_shown(text)} is too long", mend)
    head, mark, _ = re.split(r"([?#]|\Z)", text, maxsplit=1)
    if mark:
        problem = f"{_shown(head)} goes on with a query or fragment"
        raise UnusableError(problem, f"leave out all from {mark} on")
    if any(c.isspace() or unicodedata.category(c).startswith("C") for c in text):
        raise UnusableError(f"{_shown(text)} has a space or control character", "leave it out")
    return text


def _split(authority: str) -> tuple[str, str | None]:
    """Split ``host:port``, where IPv6 without brackets is all host."""
    if authority.count(":") > 1 and not authority.startswith("["):
        return _ipv6(authority), None
    found = _AUTHORITY.fullmatch(authority)
    if found is None:
        raise UnusableError(f"{_shown(authority)} is no host and port", "write [address]:port")
    if found["ipv6"] is not None:
        return _ipv6(found["ipv6"]), found["port"]
    return _ascii_name(found["name"]), found["port"]


def _shown(text: str) -> str:
    """Render refused text, without what follows a colon and is no port."""
    return shown(text if _IPV6.fullmatch(text) else _NO_PORT.sub(":...", text))


def _port(digits: str) -> int:
    if not _PORT.fullmatch(digits):
        return _no_port("what follows the colon (not shown)")
    return int(digits)


def _no_port(what: str) -> int:
    raise UnusableError(f"{what} is no port", "use one from 1 to 65535")


def _ipv6(host: str) -> str:
    if "%" in host:
        mend = "use an address that is not link-local"
        raise UnusableError(f"{_shown(host)} has an IPv6 zone", mend)
    try:
        return str(IPv6Address(host))
    except AddressValueError:
        mend = "write host:port, or [address]:port for IPv6"
        raise UnusableError(f"{_shown(host)} is no IPv6 address", mend) from None


def _ascii_name(name: str) -> str:
    if name.isascii() or len(name) > _LONGEST_NAME:
        return name.lower()
    try:
        return idna.encode(name, uts46=True).decode("ascii")
    except UnicodeError:  # of which idna.IDNAError is one
        problem = f"{shown(name)} is no internationalized host name"
        raise UnusableError(problem, "write the name in its ASCII form, xn--...") from None


def check(scheme: str, host: str, port: int, path: str) -> None:
    """Refuse an address that is not in the one form that `Server` keeps.

    Raises:
        UnusableError: It is not.
    """
    _check_scheme(scheme)
    if ":" not in host:
        _check_name(host)
    elif host != _ipv6(host):
        raise UnusableError(f"{shown(host)} is not in its short form", f"write {_ipv6(host)}")
    if type(port) is not int or not 1 <= port <= _HIGHEST_PORT:
        _no_port(shown(port))
    if not _PATH.fullmatch(path) or _VERSIONS.search(path):
        mend = "use a plain prefix such as /image, without the API's version"
        raise UnusableError(f"the path {shown(path)} can't be used", mend)


def _check_scheme(scheme: str) -> None:
    if scheme not in _SCHEME_PORTS:
        raise UnusableError(f"{shown(scheme)} is an unknown scheme", "use http or https")


def _check_name(name: str) -> None:
    """Refuse what is neither a host's name nor an IPv4 address.

    Names with a number last are addresses, as the WHATWG's URL standard has it: else a
    ``10.0.0.300`` would be asked of the name servers.
    """
    if not name:
        raise UnusableError("it names no host", "write one before the port")
    labels = name.removesuffix(".").split(".")
    if len(name) > _LONGEST_NAME or not all(_LABEL.fullmatch(each) for each in labels):
        raise UnusableError(f"{shown(name)} is no host name", "write a name or an IP address")
    if _NUMBER.fullmatch(labels[-1]):
        try:
            IPv4Address(name)
        except AddressValueError:
            mend = "write its four numbers, or a name"
            raise UnusableError(f"{shown(name)} is no IPv4 address", mend) from None
