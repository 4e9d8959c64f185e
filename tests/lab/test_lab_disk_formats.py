"""The format of an image's data, as Glance 33 tells it. `make test-real` compares the two."""

import struct

import pytest

from traced_image.lab.disk_formats import BadFormat, inspect

EXTENT = 'RW 2048 SPARSE "disk.vmdk"'
SAFETY = "Image failed safety checks"


def qcow2(version=2, size=1 << 20, backing=0, features=0):
    header = struct.pack(">4sIQIIQ", b"QFI\xfb", version, backing, 0, 16, size)
    return (header.ljust(72, b"\0") + struct.pack(">Q", features)).ljust(1024, b"\0")


def vmdk(kind="monolithicSparse", extent=EXTENT, version=1, place=1):
    header = struct.pack("<4sIIQQQQ", b"KDMV", version, 3, 2048, 128, place, 20)
    text = f'# Disk DescriptorFile\nversion=1\ncreateType="{kind}"\n{extent}\nddb.x = "y"\n'
    return header.ljust(512, b"\0") + text.encode().ljust(20 * 512, b"\0")


def iso(kind=1, magic=b"CD001"):
    header = bytearray(4096)
    header[0:6] = bytes([kind]) + magic
    header[80:84] = struct.pack("<L", 600)
    header[128:130] = struct.pack("<H", 2048)
    return bytes(32 * 1024) + bytes(header)


def mbr(kind=0xEE, boot=0, lba=1, second=0):
    entries = b"".join(
        struct.pack("<B3BB3BII", boot, 0, 2, 0, one, 0, 0, 0, lba, 2048) for one in (kind, second)
    )
    return (bytes(446) + entries).ljust(510, b"\0") + b"\x55\xaa"


def vdi():
    return (
        bytes(0x40)
        + b"\x7f\x10\xda\xbe"
        + bytes(0x170 - 0x44)
        + struct.pack("<Q", 4096)
        + bytes(512)
    )


VHD = (b"conectix".ljust(40, b"\0") + struct.pack(">Q", 8192)).ljust(512, b"\0")
FAT = bytearray(mbr())
FAT[0x10], FAT[0x15] = 2, 0xF8
TEXT = b'# Disk DescriptorFile\ncreateType="monolithicFlat"\n' * 2


@pytest.mark.parametrize(
    ("data", "disk", "size"),
    [
        (b"junk", "raw", 4),
        (b"", "raw", None),
        (b"junk", "ami", None),
        (bytes(FAT), "raw", 512),
        (qcow2(), "qcow2", 1 << 20),
        (qcow2(3), "qcow2", 1 << 20),
        (qcow2(), "raw", 1024),
        (vmdk(), "vmdk", 1 << 20),
        (vmdk("streamOptimized"), "vmdk", 1 << 20),
        (iso(), "iso", 600 * 2048),
        (iso(kind=2), "iso", None),
        (mbr() + iso()[512:], "iso", 600 * 2048),
        (mbr(), "raw", 512),
        (mbr(0x83), "raw", 512),
        (VHD, "vhd", 8192),
        (b"vhdxfile".ljust(256 * 1024, b"\0"), "vhdx", None),
        (vdi(), "vdi", 4096),
        (b"LUKS\xba\xbe\0\1".ljust(592, b"\0"), "raw", 592),
    ],
)
def test_data_of_its_format_has_a_virtual_size(data, disk, size):
    assert size == inspect(data, disk, "bare")


@pytest.mark.parametrize(
    ("data", "disk", "words"),
    [
        (b"junk", "qcow2", "Image disk_format qcow2 does not match stream data raw"),
        (qcow2(), "vmdk", "Image disk_format vmdk does not match stream data qcow2"),
        (qcow2(), "ploop", "Image disk_format ploop does not match stream data qcow2"),
        (qcow2()[:300], "qcow2", "does not match stream data raw"),
        (qcow2()[:512] + iso()[512:], "qcow2", "Multiple formats detected: qcow2,iso"),
        (qcow2(1), "qcow2", SAFETY),
        (qcow2(backing=512), "qcow2", SAFETY),
        (qcow2(3, features=4), "qcow2", SAFETY),
        (qcow2(3, features=1 << 40), "qcow2", SAFETY),
        (vmdk("monolithicFlat"), "vmdk", SAFETY),
        (vmdk(extent=""), "vmdk", SAFETY),
        (vmdk(extent='RW 1 FLAT "/etc/passwd"'), "vmdk", SAFETY),
        (vmdk(extent="odd line"), "vmdk", SAFETY),
        (vmdk(version=9), "vmdk", SAFETY),
        (vmdk(place=2), "vmdk", SAFETY),
        (vmdk(extent="RW 1 FLAT \xe4"), "vmdk", SAFETY),
        (TEXT, "vmdk", SAFETY),
        (b"\xff" * 64, "vmdk", "does not match stream data raw"),
        (b"text " * 20, "vmdk", "does not match stream data raw"),
        (b"qed", "vmdk", "does not match stream data raw"),
        (b"QED\0".ljust(512, b"\0"), "raw", SAFETY),
        (b"LUKS\xba\xbe\0\2".ljust(592, b"\0"), "raw", SAFETY),
        (b"LUKS\xba\xbe\0\1", "raw", "Incomplete file cannot be safety checked"),
        (mbr(lba=5), "raw", SAFETY),
        (mbr(0x83, boot=1), "raw", SAFETY),
        (mbr(0), "raw", SAFETY),
        (mbr(second=0x83), "raw", SAFETY),
        (mbr(0), "aki", "Image disk_format aki does not match stream data gpt"),
    ],
)
def test_data_of_another_format_or_unsafe_data_is_refused(data, disk, words):
    with pytest.raises(BadFormat) as caught:
        inspect(data, disk, "bare")
    assert (words, True) == (words, words in str(caught.value))


def test_data_in_a_container_is_not_inspected():
    assert inspect(b"junk", "qcow2", "ova") is None


def test_refused_data_leaves_the_image_queued(glance, images):
    image_id = images.add(disk_format="qcow2", container_format="bare")
    octets = {"content-type": "application/octet-stream"}
    path = f"/v2/images/{image_id}/file"
    refused = glance("PUT", path, b"junk", octets).status
    again = glance("PUT", path, qcow2(), octets).status
    assert ((415, 500), "queued") == ((refused, again), images.get(image_id).status)
