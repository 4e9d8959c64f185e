"""Calls that block, each in a thread of its own, so that one that hangs holds up no other."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Hashable
from contextlib import suppress
from functools import partial
from ipaddress import ip_address
from typing import NamedTuple, TypeVar, cast

MOST_THREADS = 256
"""Calls under way at a time; a further one waits."""

T = TypeVar("T")


class BlockingCalls:
    """Runs calls that block, one at a time for each key: whoever asks meanwhile waits for that.

    A call that never returns keeps its thread and its key to itself. The threads are daemons, for
    the process must be able to end all the same; it would wait for those of a
    `concurrent.futures` pool.

    Args:
        most: Calls under way at a time.
    """

    def __init__(self, most: int = MOST_THREADS) -> None:
        self._free = asyncio.Semaphore(most)
        self._under_way: dict[Hashable, asyncio.Task[object]] = {}

    async def call(self, key: Hashable, function: Callable[[], T]) -> T:
        """Call `function`, or wait for the call of this key that is under way.

        To be cancelled ends the waiting alone.
        """
        task = self._under_way.get(key)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._run(function))
            self._under_way[key] = task
            task.add_done_callback(partial(self._ended, key))
        return cast("T", await asyncio.shield(task))

    def _ended(self, key: Hashable, task: asyncio.Task[object]) -> None:
        del self._under_way[key]
        if not task.cancelled():
            task.exception()  # whoever waited for it may have gone

    async def _run(self, function: Callable[[], object]) -> object:
        async with self._free:
            loop = asyncio.get_running_loop()
            outcome: asyncio.Future[object] = loop.create_future()
            thread = threading.Thread(
                target=_work, args=(function, outcome), name="traced-image-background", daemon=True
            )
            thread.start()
            return await outcome


def _work(function: Callable[[], object], outcome: asyncio.Future[object]) -> None:
    try:
        tell = partial(outcome.set_result, function())
    except Exception as error:  # noqa: BLE001 it is raised where the outcome is awaited
        tell = partial(outcome.set_exception, error)
    # Nobody waits any more where the loop was closed while this hung.
    with suppress(RuntimeError):
        outcome.get_loop().call_soon_threadsafe(_set_unless_done, outcome, tell)


def _set_unless_done(outcome: asyncio.Future[object], tell: Callable[[], None]) -> None:
    if not outcome.done():
        tell()


class Address(NamedTuple):
    """Where to connect to.

    Attributes:
        family: ``AF_INET`` or ``AF_INET6``.
        sockaddr: What a socket of that family connects to.
    """

    family: int
    sockaddr: tuple[str, int] | tuple[str, int, int, int]


AddressLookup = Callable[..., "list[tuple[int, int, int, str, tuple[str, int]]]"]
"""`socket.getaddrinfo`."""


class Resolver:
    """Finds servers' addresses, by threads that hold up nobody else.

    Args:
        background: Where lookups are made.
        lookup: Looks a name up.
    """

    def __init__(
        self,
        background: BlockingCalls,
        lookup: AddressLookup = socket.getaddrinfo,  # type: ignore[assignment]
    ) -> None:
        self._background = background
        self._lookup = lookup

    async def __call__(self, host: str, port: int) -> tuple[Address, ...]:
        """The addresses of a host, best first; an address is its own.

        Raises:
            socket.gaierror: There is none.
        """
        with suppress(ValueError):
            return (_parse_literal(host, port),)
        found = await self._background.call(
            ("address", host), partial(self._lookup, host, None, type=socket.SOCK_STREAM)
        )
        return tuple(
            Address(family, (sockaddr[0], port, *sockaddr[2:]))
            for family, _, _, _, sockaddr in found
        )


def _parse_literal(host: str, port: int) -> Address:
    """The address that a host is written as.

    Raises:
        ValueError: It is a name.
    """
    if ip_address(host).version == 4:  # noqa: PLR2004 IPv4
        return Address(socket.AF_INET, (host, port))
    return Address(socket.AF_INET6, (host, port, 0, 0))
