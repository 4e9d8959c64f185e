"""The check of image data: the strongest one that its record and its reply allow."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .records import Record


class Digest:
    """The strongest check of data that a record allows, in python-glanceclient's order.

    If the record has no checksum, the check compares only the size. If it has no size either, the
    data must have the length that the server announced.

    Args:
        record: The image's record.
        content_md5: The ``Content-MD5`` of the reply.
        total: Bytes of the whole data, as the reply announces it; None if it does not.
    """

    def __init__(
        self, record: Record, content_md5: str | None = None, total: int | None = None
    ) -> None:
        self._hash, self._expected = _make_hash(record, content_md5)
        self._size = find_size(record)
        self._total = total
        self._updated = record.get("updated_at")
        self._done = 0

    @property
    def has_checksum(self) -> bool:
        """Whether the check uses a checksum, and not only the size."""
        return self._hash is not None

    @property
    def record_size(self) -> int | None:
        """Bytes of the data by the record; None if it does not know."""
        return self._size

    @property
    def size(self) -> int | None:
        """Bytes of the whole data, by the record or else by the reply; None if unknown."""
        return self._total if self._size is None else self._size

    def is_too_long(self, chunk: bytes) -> bool:
        """Return whether the data would be too long with one more chunk."""
        return self.size is not None and self._done + len(chunk) > self.size

    @property
    def is_too_short(self) -> bool:
        """Whether the data has fewer bytes than it should have at its end."""
        return self.size is not None and self._done < self.size

    @property
    def is_whole(self) -> bool:
        """Whether something shows that no data is missing."""
        if self.size is None:
            return self.has_checksum and self.matches()
        return not self.is_too_short

    def update(self, chunk: bytes) -> None:
        """Add more data to the check."""
        self._done += len(chunk)
        if self._hash is not None:
            self._hash.update(chunk)

    def matches(self) -> bool:
        """Return whether the data matches the record, as far as the record allows a check."""
        if self._hash is None:
            return self.size in (None, self._done)
        return self._hash.hexdigest() == self._expected

    def continues(self, other: Digest) -> bool:
        """Continue from the state of `other` if both expect the same data; return whether."""
        # Without a checksum, an equal size and time of change are the best sign of equal data.
        if self._hash is None and other._hash is None:
            same = (self._size, self._updated) == (other._size, other._updated)
        else:
            same = self._expected == other._expected
        if same:
            self._hash, self._done = other._hash, other._done
            self._total = other._total if self._total is None else self._total
        return same


def find_size(record: Record) -> int | None:
    """Return the bytes of an image's data by its record; None if the record does not know."""
    size = record.get("size")
    # For data at an external location, Glance may not know the size and reports 0. The type is
    # compared because True is an int, too.
    return size if type(size) is int and size > 0 else None


def find_odd_checksum(record: Record) -> str | None:
    """Return the field that says how to check the data, if it is no text; None if it can be used.

    python-glanceclient reads the checksum only if there is no multihash.
    """
    value = record.get("os_hash_value")
    names = ("checksum",) if value is None else ("os_hash_algo", "os_hash_value")
    for name in names:
        if not isinstance(record.get(name), (str, type(None))):
            return name
    return None


def _make_hash(record: Record, content_md5: str | None) -> tuple[hashlib._Hash | None, str]:
    """Return the hash to compute and its expected value in hex digits; None and "" for neither.

    The record's multihash comes first, then its checksum, then ``Content-MD5``.
    """
    for algorithm, expected in (
        (record.get("os_hash_algo"), record.get("os_hash_value")),
        ("md5", record.get("checksum")),
        ("md5", content_md5),
    ):
        if isinstance(algorithm, str) and isinstance(expected, str) and expected:
            try:
                found = hashlib.new(algorithm, usedforsecurity=False)
            except (TypeError, ValueError):  # TypeError for a name with a null character
                continue
            # An extendable hash such as SHAKE has no size of its own, and `hexdigest` needs one.
            if found.digest_size:
                return found, expected.lower()
    return None, ""
