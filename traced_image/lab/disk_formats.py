"""Recognizes the format of an image's data, and refuses unsafe data, as Glance 33 does on upload.

It mirrors ``oslo_utils/imageutils/format_inspector.py`` and ``ImageProxy.set_data`` of
``glance/location.py`` with the default ``require_image_format_match``.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from .vmdk import find_vmdk_problem, is_vmdk, measure_vmdk

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_SECTOR = 512
_GPT_KIND = 0xEE
_SYSTEM_AREA = 32 * 1024
_DESCRIPTOR = 2048
_BACKING, _FEATURES, _DATA_FILE = slice(8, 16), slice(72, 80), 4
_UNKNOWN_FEATURES = ~0xF


class BadFormat(Exception):  # noqa: N818 - its message is part of the reply
    """The data is not of the image's format, or not safe."""


def inspect(data: bytes, disk_format: str, container_format: str) -> int | None:
    """Check data against an image's formats.

    Args:
        data: The whole data.
        disk_format: The image's ``disk_format``.
        container_format: Only data in ``bare`` containers is checked.

    Returns:
        The image's ``virtual_size``, in bytes; None if the format does not tell.

    Raises:
        BadFormat: With Glance's text.
    """
    if container_format != "bare":
        return None
    found = _detect(data)
    size: int | None = None
    if found == disk_format:
        size = _SIZES.get(found, len)(data)
    elif disk_format == "raw":
        size = len(data)
    elif found != "raw" or disk_format in _MATCHES:
        raise BadFormat(f"Image disk_format {disk_format} does not match stream data {found}")
    _check_safety(found, data, disk_format)
    return size or None


def _detect(data: bytes) -> str:
    found = [name for name, matches in _MATCHES.items() if matches(data)]
    if sorted(found) == ["gpt", "iso"]:
        return "iso"
    if len(found) > 1:
        raise BadFormat(f"Multiple formats detected: {','.join(found)}")
    return found[0] if found else "raw"


def _check_safety(found: str, data: bytes, disk_format: str) -> None:
    if len(data) < _COMPLETE.get(found, 0):
        raise BadFormat("Incomplete file cannot be safety checked")
    # Kernels may have an MBR's signature without its table.
    tolerated = found == "gpt" and disk_format in ("aki", "ari")
    check = _PROBLEMS.get(found)
    if check is not None and not tolerated and check(data):
        raise BadFormat("Image failed safety checks")


def _is_gpt(data: bytes) -> bool:
    if len(data) < _SECTOR:
        return False
    is_fat = data[0x10] == 2 and data[0x15] == 0xF8  # noqa: PLR2004 - two FATs on a fixed disk
    return data[510:512] == b"\x55\xaa" and not is_fat


def _has_bad_partitions(data: bytes) -> bool:
    kinds = []
    for start in range(446, 510, 16):
        boot, *first, kind = struct.unpack("<B3BB", data[start : start + 5])
        (lba,) = struct.unpack("<I", data[start + 8 : start + 12])
        if boot not in (0, 0x80):
            return True
        if kind == _GPT_KIND and (first != [0, 2, 0] or lba != 1):
            return True
        kinds.append(kind)
    used = [number for number, kind in enumerate(kinds) if kind]
    return not used or (_GPT_KIND in kinds and used != [0])


def _is_unsafe_qcow2(data: bytes) -> bool:
    version = int.from_bytes(data[4:8], "big")
    features = int.from_bytes(data[_FEATURES], "big")
    # Glance reads the data file's bit whatever the version is.
    has_file = any(data[_BACKING]) or bool(features & _DATA_FILE)
    is_unknown = version not in (2, 3) or (version == 3 and bool(features & _UNKNOWN_FEATURES))  # noqa: PLR2004 - qcow2's version
    return has_file or is_unknown


def _measure_iso(data: bytes) -> int:
    header = data[_SYSTEM_AREA : _SYSTEM_AREA + _DESCRIPTOR]
    if header[0] != 1:
        return 0
    return int.from_bytes(header[80:84], "little") * int.from_bytes(header[128:130], "little")


def _is_iso(data: bytes) -> bool:
    kind = data[_SYSTEM_AREA + 1 : _SYSTEM_AREA + 6]
    is_complete = len(data) >= _SYSTEM_AREA + _DESCRIPTOR
    return is_complete and kind in (b"CD001", b"NSR02", b"NSR03")


def _starts(magic: bytes, size: int = _SECTOR) -> Callable[[bytes], bool]:
    return lambda data: len(data) >= size and data.startswith(magic)


_MATCHES: Mapping[str, Callable[[bytes], bool]] = {
    "qcow2": _starts(b"QFI\xfb"),
    "vhd": _starts(b"conectix", 8),
    "vhdx": _starts(b"vhdxfile", 8),
    "vmdk": is_vmdk,
    "vdi": lambda data: len(data) >= _SECTOR and data[0x40:0x44] == b"\x7f\x10\xda\xbe",
    "qed": _starts(b"QED\0"),
    "iso": _is_iso,
    "gpt": _is_gpt,
    "luks": _starts(b"LUKS\xba\xbe", 6),
}
_SIZES: Mapping[str, Callable[[bytes], int]] = {
    "qcow2": lambda data: int.from_bytes(data[24:32], "big"),
    "vhd": lambda data: int.from_bytes(data[40:48], "big"),
    "vhdx": lambda _: 0,
    "vmdk": measure_vmdk,
    "vdi": lambda data: int.from_bytes(data[0x170:0x178], "little"),
    "iso": _measure_iso,
}
# How many bytes each format's headers have, where its magic bytes alone make a match.
_COMPLETE: Mapping[str, int] = {"vhd": _SECTOR, "vhdx": 256 * 1024, "luks": 592}
_PROBLEMS: Mapping[str, Callable[[bytes], bool]] = {
    "qcow2": _is_unsafe_qcow2,
    "vmdk": find_vmdk_problem,
    "qed": lambda _: True,
    "gpt": _has_bad_partitions,
    "luks": lambda data: data[6:8] != b"\0\x01",
}
