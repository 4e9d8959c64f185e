"""Odd image records, a server that sends them, and what nova 34 makes of them.

`tests/real/test_real_odd_records.py` holds nova against odd_records.json. After a change to the
cases, it writes the file anew, and `odd_records_page.py` writes the page::

    RECORD_ODD=1 make test-real ARGS="-k odd_records"
    python tests/pipeline/odd_records_page.py
"""

from __future__ import annotations

import json
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from traced_image.lab.v2.schemas import SCHEMAS

sys.path.append(str(Path(__file__).parents[1] / "real" / "parts" / "inside"))

from tagged import tagged

RESULTS = Path(__file__).parent / "odd_records.json"
MISSING = object()

CALLS = {
    "show": ("show", {}),
    "show_locations": ("show", {"include_locations": True}),
    "show_undeleted": ("show", {"show_deleted": False}),
    "detail": ("detail", {}),
}
"""Methods of nova's service and their arguments beside the image's id, or the filter for it."""

_ID = "8f3c1a52-0000-4000-8000-{:012d}"
_TIME = "2026-11-23T10:00:00Z"
_BASE = {
    "name": "cirros",
    "status": "active",
    "visibility": "public",
    "protected": False,
    "os_hidden": False,
    "checksum": "d41d8cd98f00b204e9800998ecf8427e",
    "os_hash_algo": "sha512",
    "os_hash_value": "cf83e1",
    "owner": "p1",
    "size": 10,
    "virtual_size": 20,
    "container_format": "bare",
    "disk_format": "raw",
    "created_at": _TIME,
    "updated_at": _TIME,
    "tags": ["a"],
    "min_ram": 1,
    "min_disk": 2,
    "self": "/v2/images/x",
    "file": "/v2/images/x/file",
    "schema": "/v2/schemas/image",
    "stores": "fast",
    "direct_url": "rbd://pool/x",
    "locations": [{"url": "rbd://pool/x", "metadata": {}}],
    "hw_disk_bus": "virtio",
}

_VALUES = {
    "missing": MISSING,
    "null": None,
    "empty text": "",
    "text": "abc",
    "number as text": "3",
    "number": 5,
    "negative": -1,
    "fraction": 1.5,
    "bool": True,
    "list": ["a", 1, None],
    "object": {"a": {"b": [1]}},
}
"""Each field of Glance's schema has each of these once."""

_TIMES = {
    "words": "yesterday",
    "month 13": "2026-13-01T00:00:00Z",
    "second 60": "2026-11-23T10:00:60Z",
    "no zone": "2026-11-23T10:00:00",
    "space": "2026-11-23 10:00:00",
    "fraction": "2026-11-23T10:00:00.123456",
    "nine digits": "2026-11-23T10:00:00.123456789Z",
    "+0000": "2015-06-19T15:06:58.000+0000",
    "-0330": "2015-06-19T15:06:58-0330",
    "date": "2026-11-23",
    "year": "2026",
    "number": 20261123,
    "zero": 0,
    "false": False,
    "empty list": [],
    "after": "2026-11-23T10:00:00Z later",
    "line": "2026-11-23T10:00:00Z\n",
    "other digits": "\u0662026-11-23T10:00:00Z",
}
_OTHERS = {
    ("size", "zero"): 0,
    ("size", "huge"): 2**70,
    ("size", "with a unit"): "10 MB",
    ("size", "whole fraction"): 10.0,
    ("virtual_size", "huge"): 2**70,
    ("min_ram", "huge"): 2**70,
    ("min_disk", "huge"): 2**70,
    ("min_disk", "whole fraction"): 2.0,
    ("visibility", "community"): "community",
    ("visibility", "in capitals"): "PUBLIC",
    ("status", "deleted"): "deleted",
    ("tags", "empty"): [],
    ("tags", "twice"): ["a", "a"],
    ("tags", "nested"): [["a"], {"b": 1}],
    ("locations", "empty"): [],
    ("locations", "of null"): [None],
    ("locations", "without a url"): [{"metadata": {}}],
    ("locations", "empty object"): {},
    ("direct_url", "zero"): 0,
    ("name", "control characters"): "a\x1b[31m\x07\n",
    ("name", "emoji"): "名 é 🦀",
    ("name", "half a character"): "\ud800",
    ("name", "long"): "x" * 300,
    ("owner", "of a token"): "gAAAAABlong-token",
}
_OWN = ("null", "empty text", "text", "number", "bool", "list", "object")
"""Each custom property has each of these once."""
_PROPERTIES = (
    *("hw_disk_bus", "mappings", "block_device_mapping", "kernel_id", "deleted", "deleted_at"),
    *("is_public", "properties", "", "odd name/~"),
)
_MORE = {
    ("mappings", "valid JSON"): '[{"device": "vda"}]',
    ("mappings", "JSON's null"): "null",
    ("mappings", "cut JSON"): '[{"device"',
    ("mappings", "NaN"): "[NaN",
    ("block_device_mapping", "valid JSON"): "[]",
    ("block_device_mapping", "cut JSON"): "{",
    ("deleted_at", "time"): _TIME,
    ("deleted", "false"): False,
}


def _make_cases():
    cases = {("all", "as Glance sends it"): {}}
    for field in ("id", *_BASE):
        if field != "hw_disk_bus":
            cases.update({(field, kind): {field: value} for kind, value in _VALUES.items()})
    for field in ("created_at", "updated_at"):
        cases.update({(field, f"time, {kind}"): {field: value} for kind, value in _TIMES.items()})
    for field in _PROPERTIES:
        cases.update({(field, f"property, {kind}"): {field: _VALUES[kind]} for kind in _OWN})
    for (field, kind), value in {**_OTHERS, **_MORE}.items():
        cases[field, kind] = {field: value}
    cases["all", "null"] = dict.fromkeys(_BASE)
    cases["all", "missing"] = dict.fromkeys(_BASE, MISSING)
    return cases


def _make_record(number, odd):
    fields = {"id": _ID.format(number), **_BASE, **odd}
    return {name: value for name, value in fields.items() if value is not MISSING}


_CASES = _make_cases()
NAMES = tuple(_CASES)
"""The field and the kind of each case."""
RECORDS = tuple(_make_record(number, odd) for number, odd in enumerate(_CASES.values()))
"""The record of each case; all but the first are odd."""


def ask(call, number, service):
    """Make one call about one record.

    Args:
        call: A name of `CALLS`.
        number: The record's index.
        service: Takes the method's name, its arguments, and those by name. Returns a value as
            `tagged` does it, or a text for what was raised.

    Returns:
        The image, None if the list has none, or the text.
    """
    method, keywords = CALLS[call]
    if method == "show":
        return service(method, _ID.format(number), **keywords)
    found = service(method, filters={"case": str(number)})
    return found if isinstance(found, str) else next(iter(found[1]), None)


def as_tagged(value):
    """A value as `tagged` does it, and as JSON brings it."""
    return json.loads(json.dumps(tagged(value)))


def _make_plain(number, plain):
    """The result for the record that is not odd, with another id."""
    return {**plain[1], "id": ["str", _ID.format(number)]}


def shorten(results):
    """What to write down of results: of an image only what differs from the first one."""
    plain, short = results[0], [results[0]]
    for number, row in enumerate(results[1:], 1):
        short.append({})
        for call, image in row.items():
            if not isinstance(image, list):
                short[-1][call] = image
                continue
            normal = _make_plain(number, plain[call])
            new = {name: item for name, item in image[1].items() if normal.get(name) != item}
            short[-1][call] = {"new": new, "gone": sorted(normal.keys() - image[1].keys())}
    return short


def read_results():
    """What nova returned: for each record the result of each call, as `ask` has it."""
    short = json.loads(RESULTS.read_text("utf-8"))
    plain, results = short[0], [short[0]]
    for number, row in enumerate(short[1:], 1):
        results.append({})
        for call, change in row.items():
            if not isinstance(change, dict):
                results[-1][call] = change
                continue
            image = {**_make_plain(number, plain[call]), **change["new"]}
            for name in change["gone"]:
                del image[name]
            results[-1][call] = ["dict", image]
    return results


def write_results(results):
    """Write down what nova returned, one line for each record."""
    lines = ",\n".join(json.dumps(row, sort_keys=True) for row in shorten(results))
    RESULTS.write_text(f"[\n{lines}\n]\n", "utf-8")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        target = urlsplit(self.path)
        where = target.path.rpartition("/")[2]
        if target.path.startswith("/v2/schemas/"):
            self._send(SCHEMAS[where])
        elif where == "images":
            self._send({"images": [RECORDS[int(parse_qs(target.query)["case"][0])]]})
        else:
            self._send(RECORDS[int(where.rpartition("-")[2])])

    def _send(self, value):
        body = json.dumps(value).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
        # In one piece: a second one would wait for the client's acknowledgement of the first.
        self.wfile.write(f"{head}\r\n\r\n".encode() + body)

    def log_message(self, *_args):
        """Write nothing."""


@contextmanager
def serve():
    """Serve the records on loopback; the value is the URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
