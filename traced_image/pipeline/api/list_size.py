"""The bytes that all replies of one list may have together."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ...errors import ListTooLarge
from .operation import ReplyTooLargeError

if TYPE_CHECKING:
    from .operation import Reply, Request, Wire


_BEGIN = re.compile(
    rb"""\s*\{\s*"(?:(?:images|members)"\s*:\s*\[\s*\{\s*"|(?!images"|members")\w+"\s*:)"""
)
"""How a page of a list begins: it is an object, and its first record has a field."""


class ListSize:
    """A counter of the bytes of a list's replies, whichever servers sent them.

    A list that is too large is no failure of the server that sends it, and every other server
    would send the same one. So the attempt ends well, and `check` fails the call afterwards.

    Args:
        limit: The most bytes; None for no limit.
    """

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._size = 0
        self._oversized: ReplyTooLargeError | None = None

    def add(self, reply: Reply) -> bool:
        """Count a reply, and return whether the list may have it."""
        self._size += len(reply.body)
        return self._fits()

    def read(self, wire: Wire, request: Request) -> Reply | None:
        """Request a page; return None if the list must not have it.

        Raises:
            AttemptError: The request failed, or the reply is too large and no page of a list.
        """
        try:
            reply = wire(request)
        except ReplyTooLargeError as error:
            if not _BEGIN.match(error.begin):
                raise
            self._oversized = error
            return None
        return reply if self.add(reply) else None

    def _fits(self) -> bool:
        return self._limit is None or self._size <= self._limit

    def check(self) -> None:
        """Check that the list is not too large.

        Raises:
            ListTooLarge: The replies have too many bytes, or one of them has.
        """
        if self._oversized is not None:
            raise ListTooLarge(
                f"a page of the list is too large: {self._oversized}, or ask for fewer records at a"
                " time by page_size or limit"
            ) from self._oversized
        if not self._fits():
            raise ListTooLarge(
                f"the list of images is too large: its replies have {self._size} bytes so far, and"
                f" max_list_size is {self._limit}: ask for a part of it by limit, and for the next"
                " part by marker, or raise Config.max_list_size"
            )
