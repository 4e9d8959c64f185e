"""Access to the exporter: basic authentication, a rate limit, and headers for all replies."""

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
"""How many right passwords are cached, and how many wrong ones."""

MOST_WAITING = 20
"""How many requests wait for a password check; further requests get a 503."""

_LONGEST_PASSWORD = 72
"""Bytes of a password that bcrypt uses; it ignores the rest, and bcrypt 5 raises an error."""

UserPassword = tuple[bytes, bytes]
"""A user's name and password."""


class Passwords:
    """Checks passwords, and caches the results.

    A check takes as long for an unknown user as for a known one, so that its duration does not
    show which names exist. Checks run outside the event loop, one at a time, because bcrypt takes
    much CPU time. Right and wrong passwords have separate caches: wrong guesses never evict right
    passwords, so that users who logged in before never wait.

    Args:
        check: Returns whether a password matches a hash; slow by design.
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
        """Return whether a user exists and the password is right.

        Args:
            users: The bcrypt hash of each user's password; at least one.
            credentials: The user's name and password from the request.

        Returns:
            None if too many requests already wait for a check.
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
                # Another request with the same password may have been checked meanwhile.
                told = self._remembered(digest)
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
        """Return whether the user is known, and the hash to check against.

        An unknown user gets the hash of another user, always the same one. Its cost is therefore
        that of a real hash, and a repeated guess takes the same time.
        """
        ordered = sorted(users.items())
        place = int.from_bytes(self._digest(name)[:8], "big") % len(ordered)
        known, hashed = False, ordered[place][1]
        for each, theirs in ordered:
            # No early exit, and a comparison in constant time: neither shows which names exist.
            if hmac.compare_digest(each.encode(), name):
                known, hashed = True, theirs
        return known, hashed

    def _digest(self, *parts: bytes) -> bytes:
        """Return a digest with a random key, so that the cache holds no password."""
        made = hashlib.blake2b(key=self._key)
        for part in parts:
            # With its length, so that different parts never give the same bytes.
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
    """Return the user and password of a request's first ``Authorization`` header.

    Returns:
        None if there is no such header, or if it is not Basic authentication (RFC 7617).
    """
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
    """A token bucket that limits the rate of requests.

    Args:
        clock: Returns seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._rate: Rate | None = None
        self._there = 0.0
        self._filled = 0.0

    def take(self, rate: Rate | None) -> bool:
        """Take one token; return whether the request may pass.

        Args:
            rate: The limit; None for no limit. A changed limit starts with a full bucket.
        """
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
    """Wrap an application in the rate limit, users and headers of a web configuration file."""
    passwords, bucket = Passwords(), RateLimiter()

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        # The rate limit comes first: it also protects the password check.
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
    """Return the reply that refuses a request; None if the request comes from a user."""
    credentials = read_credentials(scope["headers"])
    right = credentials is not None and await passwords.right(users, credentials)
    if right is None:
        return PlainTextResponse("too many passwords to check\n", 503, {"Retry-After": "1"})
    if right:
        return None
    return PlainTextResponse("a user and a password, please\n", 401, _UNAUTHORIZED)


def _add_headers(send: Send, added: Sequence[tuple[bytes, bytes]]) -> Send:
    """Return a `send` that adds headers, and replaces headers of the same names."""
    names = {name for name, _ in added}

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = (pair for pair in message.get("headers", ()) if pair[0].lower() not in names)
            message["headers"] = [*own, *added]
        await send(message)

    return sent
