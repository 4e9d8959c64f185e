"""Who is answered over HTTP: basic authentication, a bound on requests, and headers for all."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import os
import time
from collections import OrderedDict
from typing import TYPE_CHECKING

import bcrypt
from starlette.responses import PlainTextResponse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from .config_file import Rate, WebConfigFile


REMEMBERED = 100
"""Right passwords that are remembered, and as many wrong ones."""

MOST_WAITING = 20
"""Requests that wait for their passwords to be checked; further ones are sent away."""

_LONGEST_PASSWORD = 72
"""Bytes; bcrypt takes no notice of those after."""

UserPassword = tuple[bytes, bytes]
"""A user's name and password."""


class Passwords:
    """Tells right passwords from wrong ones; what was told once is told at once from then on.

    To check one takes as long for a user who is unknown as for one who is known, is done outside
    of the event loop, and one at a time. Wrong guesses never push right passwords out of memory,
    so that users who were here before wait for nobody.

    Args:
        check: Whether a password has a hash, which takes its time.
    """

    def __init__(self, check: Callable[[bytes, bytes], bool] = bcrypt.checkpw) -> None:
        self._check = check
        self._key = os.urandom(32)
        self._told: dict[bool, OrderedDict[bytes, None]] = {
            right: OrderedDict() for right in (True, False)
        }
        self._one_at_a_time = asyncio.Lock()
        self._waiting = 0

    async def right(self, users: Mapping[str, bytes], credentials: UserPassword) -> bool | None:
        """Whether there is such a user, with such a password; None if too many wait to know.

        Args:
            users: The hashes of all users' passwords; one at least.
            credentials: What is claimed.
        """
        name, password = credentials
        known, hashed = self._hash_of(users, name)
        digest = self._digest(name, hashed, password, b"%d" % known)
        if (told := self._remembered(digest)) is not None:
            return told
        if self._waiting >= MOST_WAITING:
            return None
        self._waiting += 1
        try:
            async with self._one_at_a_time:
                told = self._remembered(digest)  # as of what was told while it waited
                if told is None:
                    told = await self._is_same(password, hashed) and known
                    self._remember(digest, told)
                return told
        finally:
            self._waiting -= 1

    async def _is_same(self, password: bytes, hashed: bytes) -> bool:
        loop = asyncio.get_running_loop()
        shortened = password[:_LONGEST_PASSWORD]
        return await loop.run_in_executor(None, self._check, shortened, hashed)

    def _hash_of(self, users: Mapping[str, bytes], name: bytes) -> tuple[bool, bytes]:
        """The hash to check against: for an unknown user, always the same one of another."""
        ordered = sorted(users.items())
        place = int.from_bytes(self._digest(name)[:8], "big") % len(ordered)
        known, hashed = False, ordered[place][1]
        for each, theirs in ordered:
            if hmac.compare_digest(each.encode(), name):
                known, hashed = True, theirs
        return known, hashed

    def _digest(self, *parts: bytes) -> bytes:
        """A digest that nobody outside of this process can foresee."""
        made = hashlib.blake2b(key=self._key)
        for part in parts:
            made.update(b"%d:%b" % (len(part), part))
        return made.digest()

    def _remembered(self, digest: bytes) -> bool | None:
        for told, digests in self._told.items():
            if digest in digests:
                digests.move_to_end(digest)
                return told
        return None

    def _remember(self, digest: bytes, told: bool) -> None:  # noqa: FBT001
        digests = self._told[told]
        digests[digest] = None
        if len(digests) > REMEMBERED:
            digests.popitem(last=False)


def read_credentials(headers: Iterable[tuple[bytes, bytes]]) -> UserPassword | None:
    """The user and password of a request's first ``Authorization``, if it is a basic one."""
    value = next((value for name, value in headers if name == b"authorization"), b"")
    scheme, _, encoded = value.partition(b" ")
    if scheme.lower() != b"basic":
        return None
    try:
        name, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
    except binascii.Error:
        return None
    return (name, password) if colon else None


class RateLimiter:
    """Lets so many requests through.

    Args:
        clock: Tells the time, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._rate: Rate | None = None
        self._there = 0.0
        self._filled = 0.0

    def take(self, rate: Rate | None) -> bool:
        """Whether one more may pass, at a rate; None for any."""
        now = self._clock()
        if rate != self._rate:
            self._rate = rate
            self._there = rate.burst if rate else 0.0
        elif rate is not None:
            gained = (now - self._filled) / rate.interval
            self._there = min(rate.burst, self._there + gained)
        self._filled = now
        if rate is None:
            return True
        if self._there < 1:
            return False
        self._there -= 1
        return True


_UNAUTHORIZED = {"WWW-Authenticate": 'Basic realm="traced-image", charset="UTF-8"'}


def guard(inner: ASGIApp, file: WebConfigFile) -> ASGIApp:
    """Answer only what the web configuration file allows, with its headers."""
    passwords, bucket = Passwords(), RateLimiter()

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        config = file.now().config
        answer = inner
        if not bucket.take(config.rate):
            answer = PlainTextResponse("too many requests\n", 429)
        elif config.users:
            answer = await _send_refusal(passwords, config.users, scope) or inner
        await answer(scope, receive, _add_headers(send, config.headers))

    return application


async def _send_refusal(
    passwords: Passwords, users: Mapping[str, bytes], scope: Scope
) -> PlainTextResponse | None:
    """What is answered in place of the application; None for one of the users."""
    credentials = read_credentials(scope["headers"])
    right = credentials is not None and await passwords.right(users, credentials)
    if right is None:
        return PlainTextResponse("too many passwords to check\n", 503, {"Retry-After": "1"})
    if right:
        return None
    return PlainTextResponse("a user and a password, please\n", 401, _UNAUTHORIZED)


def _add_headers(send: Send, added: Sequence[tuple[bytes, bytes]]) -> Send:
    """Send on, with these headers in place of those of the same names."""
    names = {name for name, _ in added}

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = (pair for pair in message.get("headers", ()) if pair[0].lower() not in names)
            message["headers"] = [*own, *added]
        await send(message)

    return sent
