"""The values from which `lab_requests` builds families: paths, bodies, contents, queries."""

import struct

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "BREW")

PATHS = (
    "/v2/images?tag=none",
    "/v2/images/*",
    "/v2/images/*/file",
    "/v2/images/*/locations",
    "/v2/images/*/import",
    "/v2/images/*/tasks",
    "/v2/images/*/members/p1",
    "/v2/images/*/tags/x",
    "/v2/info/stores",
    "/v2/stores/x/*",
    "/v2/tasks/*",
    "/v2/schemas/image",
    "/v2/nope",
)

CREATIONS: tuple[object, ...] = (
    b"",
    b"x",
    [],
    "x",
    5,
    None,
    {},
    *({"name": value} for value in ("", None, 5, True, {}, "ä", "x" * 256)),
    *({"visibility": v} for v in ("public", "community", "other", None)),
    *({"disk_format": v} for v in ("ploop", "gpt", "QCOW2", "", None)),
    *({"container_format": v} for v in ("compressed", "x", None)),
    *({"min_disk": value} for value in (-1, "1", 1.0, None, True)),
    *({"min_ram": value} for value in (-5,)),
    *({"protected": value} for value in (True, "true")),
    *({"os_hidden": value} for value in ("false",)),
    *({"tags": value} for value in (["a", "a"], "a", [5], ["x" * 256])),
    *({"owner": value} for value in ("p1", "", 5)),
    *({"id": value} for value in ("x", 5, None)),
    *(
        {name: "x"}
        for name in (
            *("status", "size", "checksum", "created_at"),
            *("direct_url", "self", "stores", "locations", "os_hash_algo"),
            *("deleted", "location", "os_glance_x", "is_public"),
        )
    ),
    {"size": 5},
    {"status": "active"},
    {"locations": []},
    {"custom": 5},
    {"custom": None},
    {"custom": ""},
    {"custom": ["x"]},
    {"custom": {"a": "b"}},
    {"Custom": "Case", "custom": "case"},
    {"a/b": "slash", "c~d": "tilde", "ключ": "ä"},
    {"": "x"},
    {" ": "x"},
    {"name": "all", "visibility": "public", "min_ram": 1, "min_disk": 2, "tags": ["t"], "p": "q"},
)

_REPLACE = "replace"


def _change(op: str, path: object, value: object = "x") -> list[object]:
    return [{"op": op, "path": path, "value": value}]


PATCHES: tuple[object, ...] = (
    b"",
    b"x",
    {},
    "x",
    [],
    [5],
    [{}],
    [{"op": "move", "path": "/a", "from": "/b"}],
    [{"op": "copy", "path": "/a", "from": "/b"}],
    [{"op": "test", "path": "/name", "value": "patched"}],
    [{"op": _REPLACE, "value": "x"}],
    [{"path": "/name", "value": "x"}],
    [{"op": _REPLACE, "path": "/name"}],
    [{"op": 5, "path": "/name", "value": "x"}],
    *(
        _change(_REPLACE, path)
        for path in (
            *("name", "", "/", "//", "/a/b", "/a//b", "/name/", "/~2", "/~", "/a~1b", "/a~0b"),
            *("/ name", "/tags/0", "/nope", 5, None),
        )
    ),
    _change("add", "/a~1b", "slash"),
    _change("add", "/c~0d", "tilde"),
    _change("add", "/ключ", "ä"),
    _change("add", "/new", "1"),
    _change("add", "/new", "2"),
    _change("add", "/new", 5),
    _change("add", "/new", None),
    _change(_REPLACE, "/new", "3"),
    [{"op": "remove", "path": "/new"}],
    [{"op": "remove", "path": "/new"}],
    [{"op": "remove", "path": "/a~1b"}],
    [{"op": "remove", "path": "/name"}],
    [{"op": "remove", "path": "/tags"}],
    [{"op": "remove", "path": "/id"}],
    *(
        _change(_REPLACE, f"/{name}", value)
        for name, value in (
            *(("name", "n"), ("name", None), ("name", 5), ("visibility", "private")),
            *(("visibility", "x"), ("visibility", "shared"), ("min_ram", -1), ("min_ram", "1")),
            *(("protected", "x"), ("os_hidden", True), ("os_hidden", False), ("owner", "p1")),
            *(("owner", None), ("tags", ["z", "y", "z"]), ("tags", "x"), ("tags", [5])),
            *(("disk_format", "x"), ("disk_format", None), ("disk_format", "raw")),
            *(("id", "x"), ("status", "active"), ("self", "x"), ("direct_url", "x")),
            *(("os_hash_value", "x"), ("deleted", True), ("location", "x"), ("os_glance_x", "x")),
            *(("one", "changed"), ("one", 5), ("one", ""), ("base", "x"), ("image_id", "x")),
        )
    ),
    _change("add", "/os_glance_x"),
    _change("add", "/tags", ["q"]),
    _change("add", "/name", "added"),
    _change("add", "/is_public", "x"),
    [
        *_change("add", "/first"),
        *_change(_REPLACE, "/first", "y"),
        {"op": "remove", "path": "/first"},
    ],
    [*_change("add", "/kept", "1"), *_change(_REPLACE, "/missing")],
    [*_change("add", "/second", "1"), *_change("add", "/third", "1")],
    [{"op": "remove", "path": "/second"}, {"op": "remove", "path": "/third"}],
)


def _qcow2(version: int = 2, size: int = 1 << 20, backing: int = 0, features: int = 0) -> bytes:
    header = struct.pack(">4sIQIIQ", b"QFI\xfb", version, backing, 0, 16, size)
    return (header.ljust(72, b"\0") + struct.pack(">Q", features)).ljust(1024, b"\0")


def _vmdk(kind: str, extent: str = 'RW 2048 SPARSE "disk.vmdk"', place: int = 1) -> bytes:
    header = struct.pack("<4sIIQQQQIQQ", b"KDMV", 1, 3, 2048, 128, place, 20, 512, 0, 0)
    text = f'# Disk DescriptorFile\nversion=1\ncreateType="{kind}"\n{extent}\nddb.x = "y"\n'
    return header.ljust(512, b"\0") + text.encode().ljust(20 * 512, b"\0")


def _iso(kind: bytes = b"CD001") -> bytes:
    header = bytearray(2048)
    header[0:6] = b"\x01" + kind
    header[80:84] = struct.pack("<L", 600)
    header[128:130] = struct.pack("<H", 2048)
    return bytes(32 * 1024) + bytes(header) + bytes(2048)


def _mbr(kind: int = 0xEE, boot: int = 0, start: int = 1) -> bytes:
    entry = struct.pack("<B3BB3BII", boot, 0, 2, 0, kind, 0, 0, 0, start, 2048)
    return (bytes(446) + entry).ljust(510, b"\0") + b"\x55\xaa" + bytes(512)


def _vdi() -> bytes:
    header = bytearray(1024)
    header[0x40:0x44] = struct.pack("<I", 0xBEDA107F)
    header[0x170:0x178] = struct.pack("<Q", 4 << 20)
    return bytes(header)


CONTENTS = {
    "junk": b"junk that is no image" * 50,
    "short": b"short",
    "empty": b"",
    "zeros": bytes(4096),
    "text": b"# Disk DescriptorFile\n" * 40,
    "qcow2": _qcow2(),
    "qcow2 of version 3": _qcow2(3),
    "qcow2 of version 1": _qcow2(1),
    "qcow2 with a backing file": _qcow2(backing=512),
    "qcow2 with a data file": _qcow2(3, features=4),
    "qcow2 with unknown features": _qcow2(3, features=1 << 40),
    "qcow2 cut short": _qcow2()[:300],
    "vmdk": _vmdk("monolithicSparse"),
    "vmdk stream": _vmdk("streamOptimized"),
    "vmdk flat": _vmdk("monolithicFlat"),
    "vmdk without extent": _vmdk("monolithicSparse", ""),
    "vmdk with a path": _vmdk("monolithicSparse", 'RW 2048 SPARSE "/etc/passwd"'),
    "vmdk with an odd line": _vmdk("monolithicSparse", "odd line"),
    "vmdk elsewhere": _vmdk("monolithicSparse", place=2),
    "vmdk text": b'# Disk DescriptorFile\nversion=1\ncreateType="monolithicFlat"\n' * 20,
    "iso": _iso(),
    "udf": _iso(b"NSR02"),
    "iso cut short": _iso()[:33000],
    "iso and gpt": _mbr()[:512] + _iso()[512:],
    "gpt": _mbr(),
    "mbr": _mbr(0x83),
    "gpt of a wrong start": _mbr(start=5),
    "mbr of a wrong flag": _mbr(0x83, boot=1),
    "mbr of no partition": _mbr(0),
    "vhd": (b"conectix".ljust(40, b"\0") + struct.pack(">Q", 3 << 20)).ljust(1024, b"\0"),
    "vhdx": b"vhdxfile".ljust(256 * 1024, b"\0"),
    "vhdx cut short": b"vhdxfile".ljust(4096, b"\0"),
    "vdi": _vdi(),
    "qed": b"QED\0".ljust(1024, b"\0"),
    "luks": b"LUKS\xba\xbe\0\x01".ljust(1024, b"\0"),
    "qcow2 and iso": _qcow2()[:512] + _iso()[512:],
}

FORMATS: tuple[tuple[str, str, tuple[str, ...], tuple[str, ...]], ...] = (
    (
        *("qcow2", "bare"),
        (
            *("junk", "qcow2 and iso", "qcow2 of version 1", "vdi"),
            *("qcow2 with a backing file", "qcow2 with a data file", "qcow2 cut short", "luks"),
            "qcow2 with unknown features",
        ),
        ("qcow2", "qcow2 of version 3"),
    ),
    (
        *("vmdk", "bare"),
        (
            *("text", "vmdk flat", "vmdk without extent", "vmdk with a path"),
            *("vmdk with an odd line", "vmdk elsewhere", "vmdk text"),
        ),
        ("vmdk",),
    ),
    ("iso", "bare", ("iso cut short",), ("iso", "iso and gpt")),
    ("vhd", "bare", (), ("vhd",)),
    ("vhdx", "bare", ("vhdx cut short",), ("vhdx",)),
    ("vdi", "bare", (), ("vdi",)),
    (
        *("raw", "bare"),
        (*("qed", "gpt of a wrong start", "mbr of a wrong flag", "mbr of no partition"),),
        ("junk", "qcow2", "mbr", "luks"),
    ),
    ("ploop", "bare", ("qcow2",), ("junk",)),
    ("aki", "bare", ("gpt",), ("junk",)),
    ("qcow2", "ova", (), ("junk",)),
)
"""A disk format, a container format, contents that Glance refuses for them, and that it stores."""

RANGES = (
    *("bytes=0-3", "bytes=5-", "bytes=-3", "bytes=5-2", "bytes=10-", "bytes=0-99", "bytes=-0"),
    *("bytes=-99", "bytes=-", "bytes=a-b", "x=0-3", "BYTES=0-3", "bytes=0-1,3-4", "bytes = 1 - 2"),
    *("bytes=0-3x", "bytes", f"bytes=0-{10**30}", f"bytes=-{10**30}", f"bytes={10**30}-"),
)

ACCEPTED = (
    *("application/*", "text/*", "bogus", "*", "image/png", ",", "TEXT/HTML", "text/html;q=0"),
    *("text/html;q=0, */*", "application/json;q=0.1, text/html;q=0.5", "text/html;level=1"),
    *("*/*;q=0", "text/html;q=x", "application/json, text/html"),
)

LISTINGS = (
    *("", "limit=1", "limit=0", "limit=-1", "limit=x", "limit=1001", "marker=nope"),
    *("marker=<image3>", "limit=2&marker=<image5>", "marker="),
    *("sort=name", "sort=name:asc", "sort=status:desc,name", "sort=size:asc", "sort=id"),
    *("sort=min_ram", "sort=name:up", "sort=", "sort=name:asc,created_at:desc"),
    *("sort=name&sort_key=id", "sort_key=name&sort_dir=asc", "sort_dir=asc", "sort_key=x"),
    *("sort_key=name&sort_key=id&sort_dir=asc&sort_dir=desc", "sort_dir=x"),
    *("sort_key=name&sort_dir=asc&sort_dir=desc", "sort=size&limit=4"),
    *("visibility=private", "visibility=community", "visibility=all", "visibility=x"),
    *("name=listed-1", "name=", "name=in:listed-1,listed-2", 'name=in:"listed-1",x'),
    *("name=in:a%22b%22", "name=in:%22a%22b", "name=in:a%22b", "name=in:%22listed-1%22,%22x%22"),
    *("created_at=x:y", "created_at=:", "name=in:listed-1,%22a%5C%22b%22"),
    *("name=eq:listed-1", "name=neq:listed-1", "name=in:", 'name=in:"x'),
    *("status=active", "status=in:active,queued", "status=x", "disk_format=in:raw,qcow2"),
    *("min_ram=3", "min_ram=x", "min_ram_min=5", "min_ram_max=5", "min_ram_min=x", "size_max=3"),
    *("size_min=-1", "size=1", "x_min=1", "name_min=1", "protected=true", "protected=x"),
    *("os_hidden=true", "os_hidden=TRUE", "os_hidden=x", "custom=c1", "nope=x", "owner=p1"),
    *("id=in:<image3>,<image5>", "deleted=true", "created_at=gt:2020-01-01T00:00:00Z"),
    *("created_at=x", "created_at=gte:2020-01-01", "updated_at=neq:2020-01-01T00:00:00"),
    *("created_at=xx:2020-01-01T00:00:00Z", "created_at=2020-01-01T00:00:00Z"),
    *("changes-since=2020-01-01", "changes-since=", "member_status=all", "member_status=x"),
    *("tag=<fresh>&tag=even", "tag=<fresh>&tag=nope", "tags=x", "limit=5&limit=2"),
    *("visibility=public&visibility=private", "%C3%A4=x", "name=%C3%A4", "name=%FF"),
    *("name=%F0%9D%84%9E", "limit=2&sort_key=name&sort_dir=asc", "size_min=1&size_max=6"),
    *("sort=size:asc&marker=<image1>", "sort=size:desc&marker=<image1>"),
    *("sort=container_format:asc&marker=<image9>", "locations=x", "members=x", "properties=x"),
    *("name=listed-1;limit=1", "limit=1;x=y&a;b=c", "name=a%3Bb", "tags="),
    *("&&", "=x", "size_min=99999999999999999999"),
)

ODD_TARGETS = (
    *("/v2/images/", "/v2//images?tag=no", "//v2/images?tag=no", "/v2/images/<image>/"),
    *("/v2/images/%0A", "/v2/images/%C3%A4", "/v2/images/%FF", "/v2/images/<image>?x=y"),
    *("/v2/images/<image>#x", "/V2/images", "/v2/images/..", "/v2/images/a%2Fb"),
    *("/v2/images/a;b", "/v2.0/images/x", "/v2.17/images/x", "/v2.18/images/x", "/v/images"),
    "/v2/images/" + "x" * 300,
)
