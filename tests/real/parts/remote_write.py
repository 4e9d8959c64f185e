"""Prometheus's remote write (1.0): series with their times, and markers of their ends."""

import struct
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

import requests

STALE = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]
"""The value that says that a series ends; see ``value.StaleNaN`` in Prometheus."""

Labels = Mapping[str, str]
Points = Sequence[tuple[float, float]]
"""Times in seconds since the epoch, with the values."""

_STALE_BYTES = struct.pack("<Q", 0x7FF0000000000002)
_LENGTH_DELIMITED = 2


def send(url: str, bodies: Iterable[bytes]) -> None:
    """Write series into a Prometheus that was started with ``--web.enable-remote-write-receiver``.

    Args:
        url: Its address.
        bodies: What `encode` made; those of one series in the order of time.
    """
    headers = {
        "Content-Encoding": "snappy",
        "Content-Type": "application/x-protobuf",
        "X-Prometheus-Remote-Write-Version": "0.1.0",
    }
    with requests.Session() as session:
        for body in bodies:
            data = _compress(body)
            reply = session.post(f"{url}/api/v1/write", data, headers=headers, timeout=60)
            assert reply.ok, reply.text


def encode(labels: Labels, points: Points) -> bytes:
    """Return a series as a part of a body: bodies are such parts, one after the other.

    Args:
        labels: Its labels, ``__name__`` among them.
        points: Its points, in the order of time.
    """
    pairs = (
        _field(1, _field(1, name.encode()) + _field(2, value.encode()))
        for name, value in sorted(labels.items())
    )
    return _field(1, b"".join([*pairs, *(_make_sample(time, value) for time, value in points)]))


def _make_sample(time: float, value: float) -> bytes:
    # Python may change the bits of a NaN, and those of this one matter.
    number = _STALE_BYTES if value != value else _pack(value)  # noqa: PLR0124
    return b"\x12\x10\x09" + number + _make_time(time)


_pack = struct.Struct("<d").pack


@lru_cache(maxsize=1 << 16)
def _make_time(time: float) -> bytes:
    return b"\x10" + _varint(round(time * 1000))


def _field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | _LENGTH_DELIMITED]) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*found, number])


def _compress(body: bytes) -> bytes:
    """Return a body in snappy's format, as one literal: nothing is made smaller."""
    four_bytes_of_length = 63 << 2
    return (
        _varint(len(body)) + bytes([four_bytes_of_length]) + struct.pack("<I", len(body) - 1) + body
    )
