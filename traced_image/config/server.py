"""Where a Glance server is, and the forms in which one may be written."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import cast

from ..errors import InvalidServer
from .address import Scheme, UnusableError, check, check_credentials, parse

logger = logging.getLogger("traced_image.config")


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
            check(self.scheme, self.host, self.port, self.path)
        except UnusableError as error:
            raise InvalidServer("Server", error.problem, mend=error.mend) from None
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
            return cls(*parse(text))
        except UnusableError as error:
            raise InvalidServer(item, error.problem, source=source, mend=error.mend) from None


def parse_servers(servers: object, source: str = "argument") -> tuple[Server, ...]:
    """Read a list of servers, in its order.

    A server that is there twice is kept once, with a warning in the log.

    Args:
        servers: An iterable of text and `Server`, or text with commas between the servers.
        source: Where it came from, for the error.

    Raises:
        InvalidServer: It is empty, or a member can't be used.
    """
    members = _members(servers, source)
    for number, member in enumerate(members):
        # All of them before any is read: a comma in a password has cut it in two.
        try:
            check_credentials(str(member))
        except UnusableError as error:
            item = f"servers[{number}]"
            raise InvalidServer(item, error.problem, source=source, mend=error.mend) from None
    found: dict[Server, int] = {}
    for number, member in enumerate(members):
        item = f"servers[{number}]"
        server = (
            member
            if isinstance(member, Server)
            else Server.parse(cast("str", member), source, item=item)
        )
        if found.setdefault(server, number) != number:
            logger.warning("%s (from %s): %s is there twice, kept once", item, source, server)
    return tuple(found)


def _members(servers: object, source: str) -> list[object]:
    mend = 'give a list such as ["glance-1:9292", "https://glance.example/image"]'
    if isinstance(servers, str):
        servers = [each.strip() for each in servers.split(",")] if servers.strip() else []
    if not isinstance(servers, Iterable) or isinstance(servers, (bytes, bytearray)):
        problem = f"{type(servers).__name__} is no list of servers"
        raise InvalidServer("servers", problem, source=source, mend=mend)
    members = list(servers)
    if not members:
        raise InvalidServer("servers", "no server is configured", source=source, mend=mend)
    return members
