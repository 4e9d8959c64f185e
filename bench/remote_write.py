"""Remote write of Prometheus: requests made once, whose values and times are filled in."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import requests

Value = Literal["zero", "one", "many", "now", "since", "grows"]

_HEADERS = {
    "Content-Encoding": "snappy",
    "Content-Type": "application/x-protobuf",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
}
_CHUNK = 65536
_SEVEN_BITS = 0x7F
_SAMPLE = 18  # bytes of a sample with its head: its time has six


@dataclass(frozen=True)
class Series:
    """A series.

    Attributes:
        labels: Its labels, with its name.
        value: What it shows.
    """

    labels: Mapping[str, str]
    value: Value

    def of(self, instance: str) -> Series:
        """The same of an instance."""
        return Series({**self.labels, "instance": instance}, self.value)


def _varint(number: int) -> bytes:
    parts = bytearray()
    while number > _SEVEN_BITS:
        parts.append(number & _SEVEN_BITS | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)


def _field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2]) + _varint(len(content)) + content


def _placeholder(value: Value) -> bytes:
    return f"<{value}".ljust(_SAMPLE, ">").encode()


def _sample(value: float, at: float) -> bytes:
    return _field(2, b"\x09" + struct.pack("<d", value) + b"\x10" + _varint(int(at * 1000)))


def _snappy(data: bytes) -> bytes:
    """Put data into snappy's block format without compressing it."""
    chunks = [_varint(len(data))]
    for start in range(0, len(data), _CHUNK):
        part = data[start : start + _CHUNK]
        chunks += [b"\xf4", struct.pack("<H", len(part) - 1), part]
    return b"".join(chunks)


class Template:
    """A request.

    Args:
        series: What it has.
    """

    def __init__(self, series: Sequence[Series]) -> None:
        self._values = {each.value for each in series}
        self._body = b"".join(_field(1, self._encode(each)) for each in series)

    @staticmethod
    def _encode(series: Series) -> bytes:
        labels = b"".join(
            _field(1, _field(1, name.encode()) + _field(2, value.encode()))
            for name, value in sorted(series.labels.items())
            if value
        )
        return labels + _placeholder(series.value)

    def send(
        self, session: requests.Session, url: str, at: float, since: float, number: int
    ) -> None:
        """Send it with its values at a time.

        Args:
            session: Sends it.
            url: Where to.
            at: The time of the samples, in seconds since the epoch.
            since: The time that `since` shows.
            number: How often it was sent before, by which what grows has grown.
        """
        shown = {
            "zero": 0.0,
            "one": 1.0,
            "many": 1000.0,
            "now": at,
            "since": since,
            "grows": 1000.0 * number,
        }
        body = self._body
        for value in self._values:
            body = body.replace(_placeholder(value), _sample(shown[value], at))
        reply = session.post(url, data=_snappy(body), headers=_HEADERS, timeout=60)
        reply.raise_for_status()
