"""Accepts the exporter's clients while there is room; the system keeps further ones waiting."""

from __future__ import annotations

import asyncio
import logging
import math
from typing import TYPE_CHECKING

from .client_connection import ConnectionState

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Collection

    from .client_connection import ClientConnection
    from .client_limits import ClientLimits

LOG = logging.getLogger(__name__)

_TICKS = 4
"""In how many parts `patience_seconds` passes.

Between two of them the event loop handles what all clients have sent. So a client that has sent its
request does not count as slow because the exporter itself was busy for long.
"""

_TICKS_OF = {ConnectionState.ANSWER: math.inf, ConnectionState.IDLE: 1}
"""After how many ticks a connection makes room for a new one; `_TICKS` in all other states.

A client that is being answered waits for the exporter, and an idle one for nothing.
"""


class Acceptor:
    """Accepts clients while there is room.

    If there is none, a client stays in the queue of the listening socket, and is not reset. It is
    accepted as soon as another one leaves. Slow and idle clients make room for it after a moment.

    Args:
        sock: The listening socket.
        connections: All open connections, in the order in which they came.
        limits: How many connections may be open, and how long a slow one keeps its place.

    Attributes:
        coming: The sockets of connections that are accepted but not open yet, with their tasks.
    """

    def __init__(
        self,
        sock: socket.socket,
        connections: Collection[ClientConnection],
        limits: ClientLimits,
    ) -> None:
        self._sock = sock
        self._connections = connections
        self._limits = limits
        self._paused = False
        self._warned = False
        self._timer: asyncio.TimerHandle | None = None
        self.coming: dict[socket.socket, asyncio.Task[None]] = {}

    def start(self, connect: Callable[[], asyncio.Protocol]) -> None:
        """Accept in the running event loop from now on; `connect` returns a new protocol."""
        self._connect = connect
        self._loop = asyncio.get_running_loop()
        self._sock.settimeout(0)
        self._loop.add_reader(self._sock, self._accept)

    def resume(self) -> None:
        """Accept again after a pause; a connection that ends calls this."""
        if self._paused:
            self._paused = False
            self._loop.add_reader(self._sock, self._accept)

    async def stop(self) -> None:
        """Accept no more, and wait until the last accepted connection is open."""
        self._loop.remove_reader(self._sock)
        self._paused = False
        if self._timer is not None:
            self._timer.cancel()
        await asyncio.gather(*self.coming.values())

    def _pause(self) -> None:
        self._loop.remove_reader(self._sock)
        self._paused = True
        if self._timer is None:
            self._timer = self._loop.call_later(self._limits.patience_seconds / _TICKS, self._tick)

    def _tick(self) -> None:
        self._timer = None
        for connection in self._connections:
            connection.waited += 1
        self.resume()

    def _accept(self) -> None:
        """Accept one client, so that connections are counted exactly."""
        if len(self._connections) + len(self.coming) >= self._limits.connections:
            slow = self._find_slow()
            if slow is None:
                self._pause()
                return
            slow.abort()
        try:
            client, _ = self._sock.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return  # the client has gone
        except OSError as error:
            self._warn(error)
            self._pause()
            return
        client.settimeout(0)
        self.coming[client] = self._loop.create_task(self._open(client))

    def _find_slow(self) -> ClientConnection | None:
        """Return the connection that has waited longest, if one has for too long."""
        slow = (
            each for each in self._connections if each.waited >= _TICKS_OF.get(each.doing, _TICKS)
        )
        return min(slow, key=lambda each: each.since, default=None)

    def _warn(self, error: OSError) -> None:
        if not self._warned:
            self._warned = True
            LOG.warning("The exporter can't accept clients at the moment: %s.", error.strerror)

    async def _open(self, client: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._connect, client)
        finally:
            del self.coming[client]
