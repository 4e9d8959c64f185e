"""Image data that is not all of a reply's body: none of it, or its rest from an offset on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import ProtocolError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .operation import Chunks


class UnconfirmedEndError(ProtocolError):
    """A body came to an end that may be too early, and only its data can show whether it is."""


class NoChunks:
    """An empty body."""

    def __iter__(self) -> Iterator[bytes]:
        return iter(())

    def close(self) -> None:
        """Do nothing: there is nothing to close."""


class RestChunks:
    """The chunks of a whole body from an offset on, for servers that ignore ``Range``."""

    def __init__(self, chunks: Chunks, offset: int, origin: str) -> None:
        self._chunks = chunks
        self._offset = offset
        self._origin = origin

    def __iter__(self) -> Iterator[bytes]:
        skip = self._offset
        for chunk in self._chunks:
            if skip < len(chunk):
                yield chunk[skip:]
            skip = max(0, skip - len(chunk))
        if skip:
            raise ProtocolError(
                f"{self._origin}: all of the data is shorter than the part that has arrived: check"
                " the proxy before the server"
            )

    def close(self) -> None:
        """Discard the rest of the body, and release the connection."""
        self._chunks.close()
