"""Images with every field that Glance knows, and with names and values that few expect."""

import json
import shutil
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path

import requests

from .glance import STORES

HUGE = 2**63 - 1
"""The largest number that Glance's database keeps."""

_UUID = "3f2504e0-4f89-41d3-9a0c-0305e82c33{:02x}"
_RAW = {"disk_format": "raw", "container_format": "bare"}


@dataclass(frozen=True)
class Recipe:
    """How to make one image.

    Attributes:
        record: The body of the request that creates it.
        data: What to upload, if anything.
        steps: What to do then: `deactivate`, `stage` or `member NAME`.
        columns: What to set in the database.
        copies: The other stores that have the data, too.
    """

    record: Mapping[str, object] = field(default_factory=dict)
    data: bytes | None = None
    steps: Sequence[str] = ()
    columns: Mapping[str, object] = field(default_factory=dict)
    copies: Sequence[str] = ()


_ODD_NAMES = (
    "is_public", "properties", "owner_id", "project_id", "user_id", "min_size", "deleted_by",
    "self.", "_self", "Self", "schema_", "direct_urls", "items", "keys", "get", "pop", "update",
    "__class__", "__dict__", "_data", "name.with.dots", "hw:cpu_policy", "trait:HW_CPU_X86_AVX2",
    "x-image-meta-property-name", "image_id", "UPPER", "upper", "with space", "tab\tand\nline",
    'quote"quote', "apostrophe's", "slash/slash", "back\\slash", "tilde~0~1", "percent%20s%(a)s",
    "question?mark#hash", "eñe", "ключ", "鍵", "e\u0301", "{}", "[0]", "null", "0", "-", "a" * 255,
)  # fmt: skip

_ODD_VALUES = {
    "empty": "",
    "blank": " \t\n",
    "unicode": "Größe 大小 مقاس ☃\u200d☃ e\u0301 \u2028 \ufeff",
    "control": "\u0001\u007f\u0085",
    "number": "12",
    "float": "1e400",
    "truth": "True",
    "nothing": "None",
    "json": '{"a": [1, null]}',
    "date": "2026-11-23T18:38:00Z",
    "long": "ä" * 20_000,
    "markup": "<b>&amp;</b>",
}

_MAPPINGS = [
    {"virtual": "ami", "device": "sda1"},
    {"virtual": "ephemeral0", "device": "größe", "n": [HUGE, 1.5, None, True, {"a": {}}]},
]

RECIPES: Mapping[str, Recipe] = {
    "bare": Recipe(),
    "queued": Recipe({"name": "queued", **_RAW}),
    "active": Recipe({"name": "active", **_RAW, "visibility": "public"}, b"data" * 1000),
    "empty data": Recipe({"name": "empty", **_RAW}, b""),
    "every field": Recipe(
        {
            "id": _UUID.format(1),
            "name": "every field ✓",
            "owner": "owner-ñ",
            "visibility": "shared",
            "protected": True,
            "os_hidden": True,
            "min_disk": 7,
            "min_ram": 512,
            "tags": ["b", "a", "größe", "with space", "鍵", "a/b", "x" * 255],
            "architecture": "x86_64",
            "description": "",
            "instance_uuid": _UUID.format(2),
            "kernel_id": _UUID.format(3),
            "ramdisk_id": _UUID.format(4),
            "os_distro": "debian",
            "os_version": "12",
            **_RAW,
        },
        bytes(range(256)) * 16,
        steps=("member tenant-1", "member größe"),
    ),
    "null values": Recipe(
        {
            "name": None,
            "owner": None,
            "disk_format": None,
            "container_format": None,
            "kernel_id": None,
            "ramdisk_id": None,
        }
    ),
    "empty name": Recipe({"name": "", "visibility": "public"}),
    "longest name": Recipe({"name": "n" * 255, "visibility": "private"}),
    "community": Recipe({"name": "community", "visibility": "community", **_RAW}, b"c"),
    "private": Recipe({"name": "private", "visibility": "private", **_RAW}, b"p"),
    "deactivated": Recipe({"name": "deactivated", **_RAW}, b"d", steps=("deactivate",)),
    "uploading": Recipe({"name": "uploading", **_RAW}, steps=("stage",)),
    "two stores": Recipe({"name": "two stores", **_RAW}, b"2", copies=STORES[1:]),
    "kernel": Recipe({"disk_format": "aki", "container_format": "aki"}, b"k"),
    "mappings": Recipe(
        {
            "block_device_mapping": json.dumps(_MAPPINGS),
            "mappings": json.dumps(_MAPPINGS, ensure_ascii=False, indent=1),
        }
    ),
    "scalar mappings": Recipe({"block_device_mapping": "null", "mappings": f" {HUGE}0 "}),
    "odd names": Recipe({name: f"of {name}"[:255] for name in _ODD_NAMES}),
    "odd values": Recipe(_ODD_VALUES),
    "largest limits": Recipe({"min_disk": 2**31 - 1, "min_ram": 2**31 - 1}),
    "huge": Recipe(_RAW, b"h", columns={"size": HUGE, "virtual_size": HUGE}),
    "killed": Recipe(_RAW, columns={"status": "killed"}),
    "saving": Recipe(_RAW, columns={"status": "saving"}),
}


def populate(urls: Sequence[str], folder: Path) -> dict[str, str]:
    """Make an image of each recipe and return their ids by the recipes' names.

    Args:
        urls: Glance servers that show everything to everybody; they are used in turn.
        folder: The folder of their database and stores.
    """
    with requests.Session() as session:
        servers = cycle(urls)
        return {name: _make(session, servers, recipe, folder) for name, recipe in RECIPES.items()}


def _make(session: requests.Session, servers: Iterator[str], recipe: Recipe, folder: Path) -> str:
    # What a server has staged is that server's to import.
    images = f"{next(servers)}/v2/images"
    made = _ok(session.post(images, json=recipe.record))
    image_id: str = made.json()["id"]
    if recipe.data is not None:
        _upload(session, f"{images}/{image_id}/file", recipe.data)
    for step in recipe.steps:
        _do(session, f"{images}/{image_id}", *step.split())
    if recipe.columns or recipe.copies:
        alter(recipe, image_id, folder)
    return image_id


def _upload(session: requests.Session, url: str, data: bytes) -> None:
    octets = {"Content-Type": "application/octet-stream"}
    _ok(session.put(url, data=data, headers=octets))


def _do(session: requests.Session, image: str, step: str, *words: str) -> None:
    if step == "deactivate":
        _ok(session.post(f"{image}/actions/deactivate"))
    elif step == "stage":
        _upload(session, f"{image}/stage", b"staged")
    elif step == "member":
        _ok(session.post(f"{image}/members", json={"member": words[0]}))
    else:
        raise ValueError(f"no such step: {step}")


def alter(recipe: Recipe, image_id: str, folder: Path) -> None:
    """Do in the database and the stores what no request can."""
    database = folder / "glance.sqlite"
    with closing(sqlite3.connect(database)) as connection, connection:
        for column, value in recipe.columns.items():
            connection.execute(f"UPDATE images SET {column} = ? WHERE id = ?", (value, image_id))
        for store in recipe.copies:
            place = shutil.copy(folder / STORES[0] / image_id, folder / store / image_id)
            connection.execute(
                "INSERT INTO image_locations"
                " (image_id, value, meta_data, status, created_at, updated_at, deleted)"
                " SELECT image_id, ?, ?, status, created_at, updated_at, deleted"
                " FROM image_locations WHERE image_id = ?",
                (f"file://{place}", json.dumps({"store": store}), image_id),
            )


def _ok(response: requests.Response) -> requests.Response:
    if not response.ok:
        request = f"{response.request.method} {response.url}"
        raise ValueError(f"{request}: {response.status_code}: {response.text[:2000]}")
    return response
