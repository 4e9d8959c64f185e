"""Random uploads to servers with random faults: what is reported as stored is what Glance has.

What the protocol does not show is listed here, and nothing else may happen.
"""

import collections
import contextlib
import io
import random

import pytest
from upload_faults import RECORDS, UPLOADS, State, UploadServer

from traced_image import RetryPolicy
from traced_image.errors import GlanceConnectionFailed, TracedImageError

EACH = 30
"""Uploads of one test."""

LOOKS = 9
"""More records than are asked for after one upload."""

FORMATS = {"disk_format": "raw", "container_format": "bare"}

UNKNOWABLE = {
    # As many bytes, and nobody has computed a checksum of what was sent.
    "stored with wrong bytes",
    # The only witness says what is not true.
    "the record lies",
}
"""Faults after which nothing shows that Glance does not have the data."""

HIDING = {
    "stored, reply lost",
    "stored, and an error",
    "stored, and a page",
    *(set(RECORDS) - {"another checksum"}),
}
"""Faults that hide from the caller that Glance has the data, which an error then says."""

HARMLESS = {"interim replies", "another checksum"}


class Once:
    """A binary file that can't be rewound, and that returns less than it is asked for."""

    def __init__(self, data, rng):
        self._file = io.BytesIO(data)
        self._rng = rng

    def read(self, size):
        return self._file.read(self._rng.randint(1, size))


def pieces_of(data, rng):
    at = 0
    while at < len(data):
        size = rng.choice([0, 1, 1000, 100_000])
        yield data[at : at + size]
        at += size


def breaking(data, rng):
    yield data[: rng.randint(0, len(data))]
    raise ZeroDivisionError("source")


def file_at(data, rng):
    """A file whose data begins where it stands."""
    file = io.BytesIO(b"before" + data)
    file.seek(len(b"before"))
    return file


SOURCES = {
    "bytes": lambda data, _: data,
    "a bytearray": lambda data, _: bytearray(data),
    "a memoryview": lambda data, _: memoryview(data),
    "a file": lambda data, _: io.BytesIO(data),
    "a file from the middle on": file_at,
    "a file to be read once": Once,
    "a generator": pieces_of,
    "a list": lambda data, rng: list(pieces_of(data, rng)),
}
BROKEN = {"a broken generator": breaking}
"""Data that can't be sent, of which no server is at fault."""


class Case:
    """One upload, of an image that is made for it.

    Attributes:
        met: The names of the faults that it met, once it has run.
    """

    def __init__(self, seed, servers, images, opened, **fields):
        self.seed = seed
        self.rng = rng = random.Random(seed)
        self.images = images
        self.known = {image.id for image in images.all()}
        self.servers = servers
        self.version = rng.choice([1, 2, 2])
        self.data = rng.randbytes(rng.choice([1, 100, 70_000, 300_000]))
        self.repeats = rng.choice([False, False, True])
        self.source = rng.choice([*SOURCES] * 3 + [*BROKEN])
        state = State(self.data)
        for server in servers:
            uploads = rng.choices([None, *UPLOADS], k=rng.randint(0, 3))
            # API v1 answers with the record itself.
            records = rng.choices([None, None, *RECORDS], k=rng.randint(0, 2))
            server.break_with(uploads, records, state, random.Random(rng.random()))
        policy = RetryPolicy(cooldown_base=0.0, repeat_unsafe=self.repeats)
        self.service = opened.service(*servers, api_version=self.version, retry=policy, **fields)
        self.error = self.image_id = None

    def run(self):
        """Upload the data, and keep what the caller is told."""
        data = {**SOURCES, **BROKEN}[self.source](self.data, self.rng)
        way = self.rng.choice([self._create, self._update])
        with contextlib.closing(self.service):
            try:
                self.image_id = way(data)["id"]
            except (TracedImageError, ZeroDivisionError) as error:
                self.error = error
        self.met = {name for server in self.servers for name in server.met}

    def _create(self, data):
        return self.service.create(None, {"name": "new", **FORMATS}, data)

    def _update(self, data):
        queued = self.images.add(**FORMATS)
        return self.service.update(None, queued, {}, data, purge_props=False)

    @property
    def new(self):
        """The images that this upload has made, and that have data."""
        made = (image for image in self.images.all() if image.id not in self.known)
        return [image for image in made if image.data is not None]

    def judge(self):
        """Return what has happened, in a few words; what must not begins with "wrong"."""
        stored = [image for image in self.new if image.data == self.data]
        if self.error is not None:
            return self._judge_error(stored)
        if self.image_id in [image.id for image in stored if image.status == "active"]:
            return "success" if self.repeats or len(self.new) == 1 else "wrong: stored twice"
        explained = self.met & UNKNOWABLE
        return "success, not to be known: " + min(explained) if explained else "wrong: a success"

    def describe(self, happened):
        """Return what is needed to try the case again."""
        told = self.image_id if self.error is None else repr(self.error)
        place = f"seed {self.seed}, v{self.version}, {self.source}, repeats: {self.repeats}"
        return f"{happened} ({place}, {sorted(self.met)}): {told}"

    def _judge_error(self, stored):
        if self.met <= HARMLESS and self.source not in BROKEN:
            return "wrong: an error without a fault"
        if not self.met and not isinstance(self.error, ZeroDivisionError):
            return "wrong: not the error of the data"
        if stored and not self.met & HIDING:
            return "wrong: an error although all is well"
        if self.new and self._says_nothing_was_sent():
            return "wrong: an error that says that no server has anything"
        return "error, not to be known: " + min(self.met & HIDING) if stored else "error"

    def _says_nothing_was_sent(self):
        """Return whether the error is one after which the upload would be safe to repeat."""
        uploading = not self.met & set(RECORDS)
        return uploading and not self.repeats and type(self.error) is GlanceConnectionFailed


GROUPS = [
    *range(3),
    *(pytest.param(number, marks=pytest.mark.slow) for number in range(3, 224)),
]


def run_cases(seeds, servers, images, opened, **fields):
    """Run random uploads; return how often each thing happened."""
    found = collections.Counter()
    for seed in seeds:
        case = Case(seed, servers, images, opened, **fields)
        case.run()
        happened = case.judge()
        found[case.describe(happened) if happened.startswith("wrong") else happened] += 1
    return found


@pytest.mark.parametrize("group", GROUPS)
def test_what_is_reported_as_stored_is_what_glance_has(group, images, opened, tls):
    """A third of the groups have TLS."""
    secrecy = tls if group % 3 == 2 else None
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(UploadServer(images, secrecy)) for _ in range(3)]
        seeds = range(group * EACH, (group + 1) * EACH)
        found = run_cases(seeds, servers, images, opened, cafile=secrecy and tls.cafile)
    assert [] == [happened for happened in found if happened.startswith("wrong")]
    assert min(found["success"], found["error"]) > 0


@pytest.fixture
def upload_to_all(images, opened):
    """Upload to servers that all have one fault; return what is told, and the data stored."""

    def run(kind):
        state = State(b"data")
        with contextlib.ExitStack() as stack:
            servers = [stack.enter_context(UploadServer(images)) for _ in range(3)]
            for server in servers:
                uploads, records = ([kind], []) if kind in UPLOADS else ([], [kind] * LOOKS)
                server.break_with(uploads, records, state, random.Random(1))
            try:
                told = opened.service(*servers).create(None, {"name": "new", **FORMATS}, b"data")
            except TracedImageError as error:
                told = error
        return told, [image.data for image in images.all() if image.data is not None]

    return run


@pytest.mark.parametrize("kind", sorted(UNKNOWABLE))
def test_what_nobody_can_know_is_not_known(upload_to_all, kind):
    """Each fault on the list does what the list says, or else it would hide a defect."""
    told, stored = upload_to_all(kind)
    assert ("active", False) == (told["status"], stored == [b"data"])


@pytest.mark.parametrize("kind", sorted(HIDING))
def test_what_hides_that_glance_has_the_data_does_so(upload_to_all, kind):
    told, stored = upload_to_all(kind)
    assert (True, [b"data"]) == (isinstance(told, TracedImageError), stored)


@pytest.mark.parametrize("kind", sorted(HARMLESS))
def test_what_is_harmless_does_no_harm(upload_to_all, kind):
    told, stored = upload_to_all(kind)
    assert ("active", [b"data"]) == (told["status"], stored)
