"""The pace of an exchange: sends and reads bytes as the faults of the moment allow."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from io import BufferedReader

    from .active_fault import ActiveFault
    from .fault import Fault
    from .http1 import ReceivedRequest
    from .met_faults import MetFaults

_PIECE = 1 << 18
_BEAT = 0.05
"""Seconds between two pieces, and between two looks at a schedule."""
_RECEIVE_BUFFER = 1 << 15


class HasEpisode(Protocol):
    """The part of a server that the pace depends on."""

    episode: ActiveFault


def wait_while_frozen(server: HasEpisode) -> ActiveFault:
    """Wait while no byte may pass; return the server's current fault."""
    while (episode := server.episode).is_frozen:
        episode.wait(_BEAT)
    return episode


class Pacer:
    """Sends and reads the bytes of one exchange.

    A fault that begins under way affects what is left of the exchange.

    Args:
        sock: The connection.
        server: The server, whose fault may change under way.
        request: The request.
        peer: The client's address and port.
        episode: The fault at the beginning of the exchange.
        met: The faults that the request met then.
    """

    def __init__(
        self,
        sock: socket.socket,
        server: HasEpisode,
        request: ReceivedRequest,
        peer: str,
        episode: ActiveFault,
        met: MetFaults,
    ) -> None:
        self._sock = sock
        self._server = server
        self._request = request
        self._peer = peer
        self._episode = episode
        self._limit = met.find("limit_rate")
        self._due = 0.0
        self._is_buffer_small = False

    def send(self, data: bytes) -> None:
        """Send bytes at the rate of the moment.

        Raises:
            OSError: The connection breaks.
        """
        view = memoryview(data)
        while view:
            fault = self._find_limit()
            rate = None if fault is None else fault.send_rate
            piece = view[: _choose_size(rate)]
            self._sock.sendall(piece)
            self._pay(len(piece), rate)
            view = view[len(piece) :]

    def read(self, stream: BufferedReader, size: int) -> bytes:
        """Read up to `size` bytes at the rate of the moment.

        Raises:
            OSError: The connection breaks.
        """
        fault = self._find_limit()
        rate = None if fault is None else fault.receive_rate
        if rate is not None and not self._is_buffer_small:
            # Otherwise the kernel takes megabytes at once, and the client sees no slowness.
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
            self._is_buffer_small = True
        data = stream.read1(min(size, _choose_size(rate)))
        self._pay(len(data), rate)
        return data

    def _find_limit(self) -> Fault | None:
        episode = wait_while_frozen(self._server)
        if self._limit is None or episode is not self._episode:
            return episode.on_transfer(self._request, self._peer)
        return self._limit if episode.is_on(self._limit) else None

    def _pay(self, size: int, rate: float | None) -> None:
        """Wait as long as these bytes take at this rate, or until the fault ends."""
        if rate is None:
            return
        now = time.monotonic()
        # What a late wake-up has lost is made up for, up to one beat.
        self._due = max(self._due, now - _BEAT) + size / rate
        if self._due > now:
            self._server.episode.wait(self._due - now)


def _choose_size(rate: float | None) -> int:
    return _PIECE if rate is None else max(1, min(_PIECE, int(rate * _BEAT)))
