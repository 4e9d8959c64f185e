"""How a lab server ends connections: with FIN, with RST, one side only, or never."""

from __future__ import annotations

import _socket
import contextlib
import socket
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from io import BufferedReader

    from .active_fault import ActiveFault

# struct linger {on, 0 seconds}: close() then discards unsent data and sends RST (socket(7)).
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


def describe_peer(sock: socket.socket) -> str:
    """Return the client's address and port, such as ``127.0.0.1:40123`` or ``[::1]:40123``."""
    host, port, *_ = sock.getpeername()
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def shut_down(sock: socket.socket, how: int) -> None:
    """Shut down one side or both; safe while another thread uses the socket.

    Raises:
        OSError: The connection is gone.
    """
    # Not SSLSocket.shutdown: it sets the TLS object to None while another thread reads. Not
    # socket.socket either, which eventlet replaces by a class that has the real socket as `fd`.
    _socket.socket.shutdown(getattr(sock, "fd", sock), how)


def reset_on_close(sock: socket.socket) -> None:
    """Make the socket's close send RST instead of FIN."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)


def hang_up(sock: socket.socket) -> None:
    """Close the socket so that the client sees it, even if a forked child also holds the socket."""
    with sock, contextlib.suppress(OSError):
        linger = sock.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, len(_RESET_ON_CLOSE))
        # A shutdown would send FIN before the RST.
        if linger != _RESET_ON_CLOSE:
            shut_down(sock, socket.SHUT_RDWR)


_TOO_MANY = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\nContent-Length: 22\r\n"
    b"Connection: close\r\n\r\nToo many connections.\n"
)


def refuse_politely(sock: socket.socket) -> None:
    """Answer 503 without a wait, and close; a client of TLS sees the close only."""
    with sock, contextlib.suppress(OSError):
        sock.settimeout(0)
        sock.sendall(_TOO_MANY)
        sock.shutdown(socket.SHUT_WR)


def close_own_side(sock: socket.socket) -> None:
    """Send FIN; the client can still send."""
    with contextlib.suppress(OSError):
        shut_down(sock, socket.SHUT_WR)


def stop_reading(sock: socket.socket) -> None:
    """Make the kernel hold as little as it can of what the client sends from now on."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)


def discard_input(stream: BufferedReader, episode: ActiveFault, abort: Callable[[], None]) -> None:
    """Read and discard until the client closes the connection or the fault ends.

    Args:
        stream: The connection.
        episode: The current fault.
        abort: Ends the connection; called at the fault's end.
    """
    if episode.hold(abort):
        try:
            while stream.read1():
                pass
        finally:
            episode.release(abort)
