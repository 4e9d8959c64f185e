"""The socket that the exporter listens on: how it opens, whom it reaches, and forks."""

from __future__ import annotations

import ipaddress
import logging
import os
import socket
from socket import getaddrinfo
from socket import socket as Socket  # noqa: N812 a class
from typing import TYPE_CHECKING

from ...errors import ExporterError

if TYPE_CHECKING:
    from collections.abc import Iterable

LOG = logging.getLogger(__name__)

_MOST_PORT = 65535

_BACKLOG = 1024
"""The length of the accept queue; Linux drops a further SYN, and the client retries after 1 s."""


def listen(host: str, port: int) -> socket.socket:
    """Listen on an address; clients can connect from now on, and wait until they are served.

    Raises:
        ExporterError: The exporter can't listen on the address.
    """
    place = f"{host}:{port}"
    if not 0 <= port <= _MOST_PORT:
        raise ExporterError(f"can't listen on {place}: use a port of 0 to {_MOST_PORT}")
    sock = None
    try:
        family, kind, protocol, _, address = getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        sock = Socket(family, kind, protocol)
        # Without it, a restart fails while old connections are in TIME_WAIT.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(_BACKLOG)
    except (OSError, ValueError) as error:  # ValueError: an invalid name
        if sock is not None:
            sock.close()
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise ExporterError(
            f"can't listen on {place}: {reason}; use another port, or an address of this machine"
        ) from error
    return sock


def warn_if_open(host: str, port: int) -> None:
    """Warn that an exporter answers everybody, if other machines can reach its address."""
    if is_open(host):
        LOG.warning(
            "The exporter on %s:%s answers every client that can reach it; protect it by a web "
            "configuration file with TLS or users.",
            host,
            port,
        )


def is_open(host: str) -> bool:
    """Return whether other machines may reach an IP address of this one."""
    return not ipaddress.ip_address(host.partition("%")[0]).is_loopback


def close_in_child(sockets: Iterable[socket.socket]) -> None:
    """Close a forked child's copies of sockets.

    While the child holds them, a close in the parent does not end the connection for the peer.
    """
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123
        for number in (sock.fileno() for sock in sockets):
            if number >= 0:
                # The number is reused for /dev/null, and not closed: the parent's objects still
                # exist in the child, and would later close whatever file has that number.
                os.dup2(nothing.fileno(), number, inheritable=False)
