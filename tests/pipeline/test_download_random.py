"""Random downloads from servers with random faults: no wrong byte is reported as success.

What HTTP does not show is listed here, for each kind of image record, and nothing else may happen.
"""

import collections
import io
import os
import random

import pytest

from traced_image import RetryPolicy, lab
from traced_image.errors import TracedImageError
from traced_image.lab import faults

EACH = 30
"""Downloads of one test."""

PAGE = b"<html><body>Please log in.</body></html>"
NO_CHECKSUM = {"os_hash_algo": None, "os_hash_value": None, "checksum": ""}

RECORDS = {
    "checksum and size": {},
    "checksum": {"size": None},
    "size": NO_CHECKSUM,
    "neither": {"size": None, **NO_CHECKSUM},
}
"""What the record of an image says of its data."""

WITHOUT_TLS = {"an end without a length"}
"""What TLS would show."""

UNKNOWABLE = {
    # The right number of wrong bytes.
    "size": {"corrupt_data", "wrong bytes"},
    # Also a length that is announced wrongly, and an end that was not announced.
    "neither": {
        "corrupt_data",
        "wrong bytes",
        "other bytes",
        "too short a length",
        "an end without a length",
    },
}
"""Faults after which nothing shows that the data is wrong, for records without a checksum."""

ENDLESS = "endless_body"


def raw(data, *headers, length=True):
    lines = ["HTTP/1.1 200 OK", *headers, *([f"Content-Length: {len(data)}"] if length else [])]
    return faults.raw_reply("\r\n".join([*lines, "", ""]).encode() + data)


def make_faults(rng, data):
    """Each kind of fault, by its name."""
    wrong = bytes(byte ^ 1 for byte in data)
    return {
        "cut_body": faults.cut_body(),
        "too long a length": faults.wrong_length(rng.randint(1, 9)),
        "too short a length": faults.wrong_length(-1),
        "corrupt_data": faults.corrupt_data(),
        "lost_reply": faults.lost_reply(),
        "503": faults.status(503),
        "404": faults.status(404),
        "203": faults.status(203),
        "no length": faults.framing(close=True),
        "two lengths": faults.framing("Content-Length: {length}, 5"),
        "coding": faults.framing("Content-Length: {length}", "Content-Encoding: gzip"),
        "chunked": faults.chunked(rng.randint(1000, 50_000)),
        "bad_chunk": faults.bad_chunk(rng.choice([None, "-5", "fffffffffffff"]), end=b""),
        "garbage_headers": faults.garbage_headers(),
        "interim_replies": faults.interim_replies(),
        "extra_reply": faults.extra_reply(),
        "redirect_loop": faults.redirect_loop(),
        "unexpected_body": faults.unexpected_body(),
        "a page": raw(PAGE, "Content-Type: text/html"),
        "wrong bytes": raw(wrong),
        "other bytes": raw(wrong * 2),
        "an end without a length": raw(data[: len(data) // 3], length=False),
        ENDLESS: faults.endless_body(),
    }


class Case:
    """One download, of an image that is made for it."""

    def __init__(self, seed, servers, images, folder):
        self.rng = rng = random.Random(seed)
        self.servers = servers
        self.images = images
        self.folder = folder
        self.record = rng.choice(list(RECORDS))
        self.data = rng.randbytes(rng.choice([1, 100, 70_000, 300_000]))
        self.image_id = images.add(data=self.data, **RECORDS[self.record])
        self.version = rng.choice([1, 2, 2])
        self.kinds = set()
        for server in servers:
            server.heal()
            self._break(server)

    def _break(self, server):
        known = make_faults(self.rng, self.data)
        if "size" not in self.record:
            # Nothing bounds the data of an image whose size nobody knows.
            del known[ENDLESS]
        chosen = self.rng.choices([None, *known], k=self.rng.randint(0, 3))
        if any(chosen):
            self.kinds |= {kind for kind in chosen if kind}
            sequence = [None if kind is None else known[kind] for kind in chosen]
            server.break_with(faults.flapping(*sequence).only(method="GET", path="/file$|/v1/"))

    def run(self, service):
        """Return the data as it came, or None for an error."""
        way = self.rng.choice([self._iterate, self._write, self._replace])
        try:
            return way(service)
        except TracedImageError:
            return None

    def _iterate(self, service):
        there = self.rng.randrange(len(self.data)) if self.version == 2 else 0
        begun = self.data[: there if self.record == "checksum and size" else 0]
        return begun + b"".join(service.download_rest(None, self.image_id, io.BytesIO(begun)))

    def _write(self, service):
        file = io.BytesIO()
        service.download(None, self.image_id, data=file)
        return file.getvalue()

    def _replace(self, service):
        target = self.folder / "image"
        target.write_bytes(b"old")
        try:
            service.download(None, self.image_id, dst_path=target)
        except TracedImageError:
            assert b"old" == target.read_bytes()
            raise
        finally:
            assert ["image"] == os.listdir(self.folder)  # noqa: PTH208
        return target.read_bytes()

    def judge(self, got):
        """Return what has happened, in a few words; what must not begins with "wrong"."""
        if got is None:
            return "error"
        if got == self.data:
            return "success"
        secure = self.servers[0].url.startswith("https")
        known = UNKNOWABLE.get(self.record, set()) - (WITHOUT_TLS if secure else set())
        explained = self.kinds & known
        if explained:
            return f"success, not to be known with {self.record}: {min(explained)}"
        return f"wrong: {self.record}, v{self.version}, {sorted(self.kinds)}"


def run_cases(seeds, servers, images, opened, folder, **fields):
    """Run random downloads; return how often each thing happened."""
    found = collections.Counter()
    fields = {"retry": RetryPolicy(cooldown_base=0.0), "read_timeout": 0.3, **fields}
    for seed in seeds:
        case = Case(seed, servers, images, folder)
        service = opened.service(*servers, api_version=case.version, **fields)
        happened = case.judge(case.run(service))
        service.close()
        images.remove(case.image_id)
        found[f"{happened} (seed {seed})" if happened.startswith("wrong") else happened] += 1
    return found


GROUPS = [
    *range(3),
    *(pytest.param(number, marks=pytest.mark.slow) for number in range(3, 110)),
]


@pytest.mark.parametrize("group", GROUPS)
def test_no_wrong_byte_is_a_success_where_http_shows_it(group, images, opened, tmp_path, tls):
    """A third of the groups have TLS."""
    secrecy = tls if group % 3 == 2 else None
    seeds = range(group * EACH, (group + 1) * EACH)
    with lab.cluster(3, images=images, tls=secrecy) as servers:
        fields = {"cafile": secrecy and tls.cafile}
        found = run_cases(seeds, servers, images, opened, tmp_path, **fields)
    assert [] == [happened for happened in found if happened.startswith("wrong")]
    assert min(found["success"], found["error"]) > 0


@pytest.mark.parametrize("record", UNKNOWABLE)
def test_what_nobody_can_know_is_not_known(record, three, images, opened):
    """Each fault on the list does what the list says, or else it would hide a defect."""
    data = random.Random(1).randbytes(1000)
    image_id = images.add(data=data, **RECORDS[record])
    known = make_faults(random.Random(1), data)
    wrong = set()
    for kind in UNKNOWABLE[record]:
        for server in three:
            server.heal()
            server.break_with(known[kind].only(path="/file$"))
        service = opened.service(*three)
        if b"".join(service.download(None, image_id)) != data:
            wrong.add(kind)
    assert UNKNOWABLE[record] == wrong
