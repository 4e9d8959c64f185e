"""Mutations of a correct reply: of its bytes, its head, its framing, its JSON and its delivery.

A mutation is a function of a plan, a random source and what it may quote. It changes the plan. Each
says by `content` whether a correct client may understand other content after it.
"""

from __future__ import annotations

import gzip
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from mutation_values import CHUNK_SIZES, CODES, CODINGS, INTERIM, LENGTHS, ODD_HEADERS, ODD_LINES
from mutations_json import change_json


@dataclass
class Sources:
    """What a mutation may quote.

    Attributes:
        other: A whole reply with another image's record or data.
        record: The body of that reply.
        locations: Where redirects lead.
    """

    other: bytes
    record: bytes
    locations: list[bytes]


@dataclass
class Plan:
    """One reply: its parts, how they are sent, and what becomes of the connection.

    Attributes:
        line: The status line; lines are without their ends.
        headers: The header lines.
        body: The bytes after the head.
        is_record: Whether the headers are an image's record, as in API v1.
        is_data: Whether the body is an image's data.
        content: Whether a correct client may understand other content than the first one.
        succeeds: Whether the status may be a success.
    """

    line: bytes
    headers: list[bytes]
    body: bytes
    is_record: bool = False
    is_data: bool = False
    eol: bytes = b"\r\n"
    before: bytes = b""
    after: bytes = b""
    edits: list[Callable[[bytes], bytes]] = field(default_factory=list)
    kept: float = 1.0
    flood: bytes = b""
    pieces: int = 1
    drips: bool = False
    early: bool = False
    end: str = "keep"
    content: bool = False
    succeeds: bool = True
    names: list[str] = field(default_factory=list)

    @property
    def has_record(self) -> bool:
        """Whether the reply may have a record."""
        return self.is_record or not self.is_data

    @property
    def changes_status(self) -> bool:
        """Whether the status may be another than Glance's."""
        return self.content or any("status" in name for name in self.names)

    def wire(self) -> bytes:
        """All bytes to send, without the flood that may follow them."""
        head = self.eol.join([self.line, *self.headers, b"", b""])
        data = self.before + head + self.body + self.after
        for edit in self.edits:
            data = edit(data)
        return data if self.kept == 1.0 else data[: int(len(data) * self.kept)]

    def set_header(self, name: bytes, *values: bytes) -> None:
        """Replace all lines of a header, by none if there is no value."""
        kept = [line for line in self.headers if not line.lower().startswith(name.lower() + b":")]
        self.headers = kept + [name + b": " + value for value in values]


Mutation = Callable[[Plan, random.Random, Sources], None]


def mutate(plan: Plan, rng: random.Random, sources: Sources) -> Plan:
    """Change a plan by one to three mutations."""
    for mutation in rng.choices(_NAMED, _WEIGHTS, k=rng.choice((1, 1, 2, 3))):
        plan.names.append(mutation.__name__)
        mutation(plan, rng, sources)
    return plan


# --- bytes -------------------------------------------------------------------------------------


def flip_bytes(plan, rng, _):
    places = [(rng.random(), rng.randrange(1, 256)) for _ in range(rng.choice((1, 1, 3)))]

    def edit(data):
        changed = bytearray(data)
        for place, mask in places:
            if changed:
                changed[int(place * len(changed))] ^= mask
        return bytes(changed)

    _edit(plan, edit)


def insert_bytes(plan, rng, _):
    place, new = rng.random(), rng.choice((b"\0", b"\r\n", b"\n", b"\r\n\r\n", rng.randbytes(9)))
    _edit(plan, lambda data: data[: int(place * len(data))] + new + data[int(place * len(data)) :])


def delete_bytes(plan, rng, _):
    place, size = rng.random(), rng.choice((1, 2, 20))

    def edit(data):
        start = int(place * len(data))
        return data[:start] + data[start + size :]

    _edit(plan, edit)


def _edit(plan, edit):
    plan.edits.append(edit)
    plan.content = plan.succeeds = True


# --- the head ----------------------------------------------------------------------------------


def duplicate_header(plan, rng, _):
    _change_headers(plan)
    plan.headers += [rng.choice(plan.headers)] * rng.choice((1, 1, 5)) if plan.headers else []


def drop_header(plan, rng, _):
    _change_headers(plan)
    if plan.headers:
        plan.headers.pop(rng.randrange(len(plan.headers)))


def shuffle_headers(plan, rng, _):
    rng.shuffle(plan.headers)


def fold_header(plan, rng, _):
    _change_headers(plan)
    place = rng.randrange(len(plan.headers) + 1)
    plan.headers.insert(place, rng.choice((b" ", b"\t", b"  ")) + b"folded: 5")


def lengthen_header(plan, rng, _):
    size = rng.choice((1000, 9000, 70_000, 300_000))
    plan.headers.insert(rng.randrange(len(plan.headers) + 1), b"X-Long: " + b"x" * size)


def add_many_headers(plan, rng, _):
    plan.headers += [b"X-%d: %d" % (n, n) for n in range(rng.choice((50, 101, 2000)))]


def add_odd_header(plan, rng, _):
    _change_headers(plan)
    plan.headers.insert(rng.randrange(len(plan.headers) + 1), rng.choice(ODD_HEADERS))


def set_cookie(plan, rng, _):
    cookies = (b"Set-Cookie: %x=%x; Path=/" % (rng.getrandbits(60), n) for n in range(3))
    plan.headers += cookies


def change_line_ends(plan, rng, _):
    _change_headers(plan)
    plan.eol = rng.choice((b"\n", b"\n", b"\r", b"\r\r\n", b"\n\r", b"\0\r\n", b" \r\n"))


def _change_headers(plan):
    plan.content |= plan.is_record


# --- framing -----------------------------------------------------------------------------------


def change_length(plan, rng, _):
    size = len(plan.body)
    values = {b"{n}": size, b"{m}": max(0, size - rng.randrange(1, 40)), b"{k}": size + 7}
    value = rng.choice(LENGTHS)
    for mark, number in values.items():
        value = value.replace(mark, b"%d" % number)
    plan.set_header(b"Content-Length", *rng.choice(([value], [value], [b"%d" % size, value], [])))


def chunk_body(plan, rng, _):
    chunks = []
    rest = plan.body
    while rest:
        size = rng.randrange(1, len(rest) + 1)
        extension = rng.choice((b"", b"", b";a=b", b' ; x="y;z"', b";" + b"e" * 5000))
        chunks.append(b"%x%s\r\n%s\r\n" % (size, extension, rest[:size]))
        rest = rest[size:]
    chunks.append(
        b"0\r\n" + rng.choice((b"", b"", b"X-T: 1\r\n", b"Content-Length: 3\r\n")) + b"\r\n"
    )
    if rng.random() < 0.4:
        chunks[rng.randrange(len(chunks))] = _make_bad_chunk(rng)
    plan.body = b"".join(chunks)
    if rng.random() < 0.8:
        plan.set_header(b"Content-Length")
    plan.set_header(b"Transfer-Encoding", b"chunked")


def _make_bad_chunk(rng):
    if rng.random() < 0.5:
        return rng.choice(CHUNK_SIZES) + b"\r\nabcde\r\n"
    return rng.choice(
        (b"5\nabcde\n", b"5\r\nabcdef\r\n", b"5\r\nabc\r\n", b"\r\n", b"5", b"", b"0\r\n")
    )


def change_coding(plan, rng, _):
    plan.set_header(b"Transfer-Encoding", rng.choice(CODINGS))


def compress_body(plan, rng, _):
    plan.body = gzip.compress(plan.body or bytes(rng.choice((0, 4_000_000))), 1)
    plan.set_header(b"Content-Length", b"%d" % len(plan.body))
    plan.set_header(b"Content-Encoding", b"gzip")


def end_by_close(plan, rng, _):
    plan.set_header(b"Content-Length")
    plan.end = rng.choice(("close", "reset", "notify"))
    plan.line = plan.line.replace(b"HTTP/1.1", rng.choice((b"HTTP/1.0", b"HTTP/1.1")))


def add_reply(plan, rng, sources):
    plan.after += sources.other * rng.choice((1, 1, 3))
    if rng.random() < 0.3:
        # More than one TLS record has (RFC 8446, 5.1), or just as much.
        plan.after = (b" " * rng.choice((8192, 16384)))[len(plan.body) :] + plan.after


def add_garbage(plan, rng, _):
    plan.after += rng.choice((b"\r\n", b"\0", b"x", b"\r\n\r\n", rng.randbytes(40), bytes(20_000)))


# --- the status --------------------------------------------------------------------------------


def change_status(plan, rng, _):
    code = rng.choice(CODES)
    plan.succeeds = code < 300
    plan.line = b"HTTP/1.1 %d %s" % (code, rng.choice((b"Reason", b"", b"OK", b"R" * 3000)))


def change_status_line(plan, rng, _):
    plan.succeeds = True
    plan.line = rng.choice(ODD_LINES)


def drop_body_by_status(plan, rng, _):
    code = rng.choice((204, 204, 205, 304))
    plan.succeeds = code < 300
    plan.line = b"HTTP/1.1 %d Nothing" % code


def redirect(plan, rng, sources):
    plan.succeeds = False
    plan.line = b"HTTP/1.1 %d Elsewhere" % rng.choice((300, 301, 302, 303, 307, 308))
    plan.set_header(b"Location", *rng.choices(sources.locations, k=rng.choice((1, 1, 1, 2))))


def add_interim(plan, rng, _):
    count = rng.choice((1, 1, 1, 2, 9, 100, 3000))
    extra = rng.choice(
        (b"", b"", b"Link: </x>\r\n", b"Content-Length: 5\r\n", b"X-Image-Meta-Id: 1\r\n")
    )
    lines = (b"HTTP/1.1 %d Wait\r\n%s\r\n" % (rng.choice(INTERIM), extra) for _ in range(count))
    plan.before += b"".join(lines)


# --- delivery ----------------------------------------------------------------------------------


def truncate(plan, rng, _):
    plan.kept = rng.choice((0.0, rng.random(), rng.random(), 0.999))
    plan.end = rng.choice(("close", "close", "notify", "reset", "hang"))


def end_otherwise(plan, rng, _):
    plan.end = rng.choice(("close", "notify", "reset"))


def split(plan, rng, _):
    plan.pieces = rng.choice((2, 3, 10, 40))


def drip(plan, _rng, _):
    plan.drips = True


def flood(plan, rng, _):
    what = rng.choice(("headers", "body", "chunks", "interim"))
    if what == "headers":
        plan.body, plan.flood = b"", b"X-Flood: " + b"x" * 900 + b"\r\n"
        plan.edits.append(lambda data: data.removesuffix(b"\r\n"))
    elif what == "body":
        plan.set_header(b"Content-Length", *rng.choice(([], [b"%d" % 2**40])))
        plan.flood = b"{},{},{},[]," * 500
    elif what == "chunks":
        plan.set_header(b"Content-Length")
        plan.set_header(b"Transfer-Encoding", b"chunked")
        plan.body, plan.flood = b"", b"1000\r\n" + b" " * 4096 + b"\r\n"
    else:
        plan.edits.append(lambda _data: b"")
        plan.flood = b"HTTP/1.1 100 Continue\r\n\r\n" * 40
    plan.end = "close"


_TABLE: dict[Mutation, float] = {
    flip_bytes: 6, insert_bytes: 3, delete_bytes: 3, duplicate_header: 2, drop_header: 2,
    shuffle_headers: 1, fold_header: 2, lengthen_header: 2, add_many_headers: 1, add_odd_header: 6,
    set_cookie: 1, change_line_ends: 2, change_length: 8, chunk_body: 8, change_coding: 3,
    compress_body: 2, end_by_close: 3, add_reply: 8, add_garbage: 4, change_status: 6,
    change_status_line: 4, drop_body_by_status: 4, redirect: 4, add_interim: 5,
    truncate: 8, end_otherwise: 2, split: 5, drip: 1, flood: 0.5, change_json: 8,
}  # fmt: skip
_NAMED, _WEIGHTS = list(_TABLE), list(_TABLE.values())
