"""Runs blocking calls, each in its own thread, so that a call that hangs delays no other."""

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
"""How many calls run at the same time; further calls wait."""

T = TypeVar("T")


class BlockingCalls:
    """Runs blocking calls in threads, at most one call per key at the same time.

    A second caller with the same key waits for the call under way and gets its result. A call that
    never returns occupies its thread and its key for ever. The threads are daemon threads, because
    the process must still be able to end: at exit, Python waits for the threads of a
    `concurrent.futures` pool.

    Args:
        most: How many calls run at the same time.
    """

    def __init__(self, most: int = MOST_THREADS) -> None:
        self._free = asyncio.Semaphore(most)
        self._under_way: dict[Hashable, asyncio.Task[object]] = {}

    async def call(self, key: Hashable, function: Callable[[], T]) -> T:
        """Call `function`, or wait for this key's call under way; return its result.

        A cancellation ends the waiting, but not the call.
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
            # If all waiters were cancelled, nobody else reads the exception, and asyncio would log
            # "Task exception was never retrieved".
            task.exception()

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
    except Exception as error:  # noqa: BLE001 the waiter gets the error
        tell = partial(outcome.set_exception, error)
    # RuntimeError: the loop was closed meanwhile, so that nobody waits for the outcome.
    with suppress(RuntimeError):
        outcome.get_loop().call_soon_threadsafe(_set_unless_done, outcome, tell)


def _set_unless_done(outcome: asyncio.Future[object], tell: Callable[[], None]) -> None:
    if not outcome.done():
        tell()


class Address(NamedTuple):
    """A socket address to connect to.

    Attributes:
        family: ``AF_INET`` or ``AF_INET6``.
        sockaddr: The address in the form of that family, for ``socket.connect``.
    """

    family: int
    sockaddr: tuple[str, int] | tuple[str, int, int, int]


AddressLookup = Callable[..., "list[tuple[int, int, int, str, tuple[str, int]]]"]
"""`socket.getaddrinfo`."""


class Resolver:
    """Finds the addresses of servers, in threads, because ``getaddrinfo`` blocks.

    Args:
        background: Runs the lookups.
        lookup: Looks up a name.
    """

    def __init__(
        self,
        background: BlockingCalls,
        lookup: AddressLookup = socket.getaddrinfo,  # type: ignore[assignment]
    ) -> None:
        self._background = background
        self._lookup = lookup

    async def __call__(self, host: str, port: int) -> tuple[Address, ...]:
        """Return the addresses of a server, best first; an IP address needs no lookup.

        Raises:
            socket.gaierror: The name has no address.
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
    """Return the address of a server that is written as an IP address.

    Raises:
        ValueError: It is written as a name.
    """
    if ip_address(host).version == 4:  # noqa: PLR2004 IPv4
        return Address(socket.AF_INET, (host, port))
    return Address(socket.AF_INET6, (host, port, 0, 0))
