"""Reads the header and the descriptor of VMDK data, as Glance 33's format inspector does."""

from __future__ import annotations

import struct

_HEADER = 64
_SECTOR = 512
_LONGEST_TYPE = 64
_SPARSE = ("monolithicsparse", "streamoptimized")
_ACCESSES = ("rw", "rdonly", "noaccess")


def is_vmdk(data: bytes) -> bool:
    """Return whether data is a VMDK: a sparse extent, or a descriptor of text."""
    if len(data) < _HEADER:
        return False
    if data.startswith(b"KDMV"):
        return True
    return _is_text(data[:_SECTOR]) and _read_type(_read_descriptor(data)) is not None


def measure_vmdk(data: bytes) -> int:
    """Return the virtual size, in bytes; 0 if the header does not tell."""
    if _read_type(_read_descriptor(data)) not in _SPARSE:
        return 0
    return int.from_bytes(data[12:20], "little") * _SECTOR


def find_vmdk_problem(data: bytes) -> bool:
    """Return whether a VMDK is unsafe: another version or subtype, a path, an unknown line."""
    text = _read_descriptor(data)
    version, descriptor = struct.unpack("<4xI20xQ", data[:36])
    if version not in (1, 2, 3) or descriptor != 1 or _read_type(text) not in _SPARSE:
        return True
    lines = [line.strip() for line in text.split("\n")]
    lines = [line for line in lines if line and not line.startswith(("#", "ddb"))]
    extents = [line for line in lines if not _is_field(line)]
    if any(line.split(" ")[0] not in _ACCESSES or "/" in line for line in extents):
        return True
    return not extents


def _is_field(line: str) -> bool:
    return "=" in line and " " not in line.partition("=")[0]


def _is_text(head: bytes) -> bool:
    try:
        text = head.decode("ascii")
    except UnicodeDecodeError:
        return False
    return all(char.isprintable() or char.isspace() for char in text)


def _read_descriptor(data: bytes) -> str:
    if data.startswith(b"KDMV"):
        sectors = int.from_bytes(data[36:44], "little")
        data = data[_SECTOR : _SECTOR + sectors * _SECTOR]
    try:
        return data.partition(b"\0")[0].decode("ascii").lower()
    except UnicodeDecodeError:
        return ""


def _read_type(descriptor: str) -> str | None:
    found = descriptor.partition('createtype="')[2].partition('"')
    return found[0] if found[1] and len(found[0]) < _LONGEST_TYPE else None
