"""The bytes that all replies of one list may have together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import ListTooLarge

if TYPE_CHECKING:
    from .operation import Reply


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

    def add(self, reply: Reply) -> bool:
        """Count a reply, and return whether the list may have it."""
        self._size += len(reply.body)
        return self._fits()

    def _fits(self) -> bool:
        return self._limit is None or self._size <= self._limit

    def check(self) -> None:
        """Check that the list is not too large.

        Raises:
            ListTooLarge: The replies have too many bytes.
        """
        if not self._fits():
            raise ListTooLarge(
                f"the list of images is too large: its replies have {self._size} bytes so far, and"
                f" max_list_size is {self._limit}: ask for a part of it by limit, and for the next"
                " part by marker, or raise Config.max_list_size"
            )
