"""A TCP proxy whose link to its server can be slow, lossy, cut, half open or gone."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
import struct
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import random
    import ssl
    from collections.abc import Coroutine

T = TypeVar("T")

_PIECE = 1 << 14
_LIMIT = 10.0  # seconds for one change of a proxy
_PAUSE = 0.02  # seconds until a port that is in use is tried again
_RESET = struct.pack("ii", 1, 0)  # struct linger {on, 0 seconds}: close() sends RST


@dataclass(frozen=True)
class Link:
    """What happens to the bytes of all connections.

    Attributes:
        delay: Seconds that each piece waits.
        reset: The share of pieces at which the connection is reset instead.
        rate: Bytes a second of each direction of each connection; None for no limit.
        is_cut: Whether no byte passes. What waits passes when the link is whole again.
        is_half_open: Whether the server's end is gone, and the client is told nothing.
    """

    delay: float = 0.0
    reset: float = 0.0
    rate: float | None = None
    is_cut: bool = False
    is_half_open: bool = False


WHOLE = Link()


class Loop:
    """A thread with an event loop, which all proxies share."""

    def __init__(self) -> None:
        # Connections that are gone are what is played, and no news.
        logging.getLogger("asyncio").setLevel(logging.ERROR)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxies")
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something in the loop, and wait for its end."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_LIMIT)

    def close(self) -> None:
        """Stop the loop."""
        self.run(_cancel_all())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _cancel_all() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


class Proxy:
    """Passes bytes between clients of one port of loopback and a server's.

    Args:
        loop: Where it runs.
        port: Its own port.
        server_port: That of the server.
        rng: Chooses the pieces that are lost.
        tls: What it presents to clients; None for no TLS.
    """

    def __init__(
        self,
        loop: Loop,
        port: int,
        server_port: int,
        rng: random.Random,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.port = port
        self._tls = tls
        self._loop, self._server_port, self._rng = loop, server_port, rng
        self._link = WHOLE
        self._changed = asyncio.Event()
        self._pairs: set[_Pair] = set()
        self._listener: asyncio.Server | None = None
        self.listen()

    def listen(self) -> None:
        """Accept connections."""
        self._loop.run(self._listen())

    def refuse(self) -> None:
        """Refuse connections; those that are open stay open."""
        self._loop.run(self._refuse())

    def put(self, link: Link) -> None:
        """Have this link from now on."""
        self._loop.run(self._put(link))

    def route(self, port: int) -> None:
        """Connect to another server for connections that are yet to come."""
        self._server_port = port

    def present(self, tls: ssl.SSLContext) -> None:
        """Present another certificate to connections that are yet to come."""
        self.refuse()
        self._tls = tls
        self.listen()

    def reset(self) -> None:
        """Reset the connections that are open."""
        self._loop.run(self._reset_all())

    def close(self) -> None:
        """Refuse connections, and reset those that are open."""
        self.refuse()
        self.reset()

    def release(self) -> None:
        """Close its sockets in a child that was forked, so that the parent's close is seen."""
        sockets = [] if self._listener is None else list(self._listener.sockets)
        writers = [writer for pair in self._pairs for writer in (pair.client, pair.server)]
        found = [find_socket(writer) for writer in writers if writer is not None]
        # A connection that is closed has none.
        sockets += [sock for sock in found if sock is not None]
        for number in {sock.fileno() for sock in sockets} - {-1}:
            os.close(number)

    async def _listen(self) -> None:
        while self._listener is None:
            try:
                self._listener = await asyncio.start_server(
                    self._serve, "127.0.0.1", self.port, backlog=1024, ssl=self._tls
                )
            except OSError as error:
                # A child that was just forked has the old listener until it calls `release`.
                if error.errno != errno.EADDRINUSE:
                    raise
                await asyncio.sleep(_PAUSE)

    async def _refuse(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    async def _put(self, link: Link) -> None:
        was, self._link = self._link, link
        if link.is_half_open:
            for pair in self._pairs:
                pair.drop_server()
        elif was.is_half_open:
            await self._reset_all()
        # Each waiter looks at the new link; later ones wait for the next change.
        self._changed.set()
        self._changed = asyncio.Event()

    async def _reset_all(self) -> None:
        for pair in tuple(self._pairs):
            pair.reset()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pair = _Pair(writer)
        self._pairs.add(pair)
        try:
            await self._wait_while_cut()
            if not self._link.is_half_open:
                server = await asyncio.open_connection("127.0.0.1", self._server_port)
                pair.server = server[1]
                await asyncio.gather(
                    self._pass(reader, server[1], pair), self._pass(server[0], writer, pair)
                )
            else:
                await pair.over.wait()
        except OSError:
            pair.reset()
        except asyncio.CancelledError:
            pass  # by the loop's close; asyncio's streams report a task that says so as a failure
        finally:
            pair.close()
            self._pairs.discard(pair)

    async def _pass(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, pair: _Pair
    ) -> None:
        while piece := await source.read(_PIECE):
            await self._hold(piece)
            if pair.is_half_open:
                await pair.over.wait()
            if self._rng.random() < self._link.reset:
                pair.reset()
            if sink.transport.is_closing():
                return
            sink.write(piece)
            await sink.drain()
        if pair.is_half_open:
            # The server's end is gone, which the client must not see.
            await pair.over.wait()
        if sink.can_write_eof():  # TLS has no half of a connection
            with suppress(OSError):
                sink.write_eof()
        else:
            sink.close()

    async def _hold(self, piece: bytes) -> None:
        await self._wait_while_cut()
        link = self._link
        seconds = link.delay + (len(piece) / link.rate if link.rate else 0.0)
        if seconds:
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._changed.wait(), seconds)
            await self._wait_while_cut()

    async def _wait_while_cut(self) -> None:
        while self._link.is_cut:
            await self._changed.wait()


class _Pair:
    """A client's connection and the one to the server for it."""

    def __init__(self, client: asyncio.StreamWriter) -> None:
        self.client = client
        self.server: asyncio.StreamWriter | None = None
        self.is_half_open = False
        self.over = asyncio.Event()

    def drop_server(self) -> None:
        self.is_half_open = True
        if self.server is not None:
            _reset(self.server)

    def reset(self) -> None:
        self.over.set()
        self.is_half_open = False
        for writer in (self.client, self.server):
            if writer is not None:
                _reset(writer)

    def close(self) -> None:
        for writer in (self.client, self.server):
            if writer is not None:
                writer.close()


def find_socket(writer: asyncio.StreamWriter) -> Any:
    """The socket of a connection; None if it is closed."""
    # A closed connection with TLS raises instead of returning None.
    with suppress(AttributeError):
        return writer.get_extra_info("socket")
    return None


def _reset(writer: asyncio.StreamWriter) -> None:
    if not writer.transport.is_closing():
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        writer.transport.abort()
