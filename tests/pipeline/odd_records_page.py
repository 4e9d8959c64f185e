"""Compares this package with nova 34 on odd records; writes docs/reference/odd-records.md.

After a change to what is made of odd records, run this file and commit the page::

    python tests/pipeline/odd_records_page.py
"""

from __future__ import annotations

import random
from collections import Counter
from functools import cache
from pathlib import Path
from typing import NamedTuple

from odd_records import CALLS, NAMES, as_tagged, ask, read_results, serve
from traced_image_docs.pages import table

from traced_image import Config, GlanceClientWrapper, GlanceImageService, TracedImageError
from traced_image.pipeline.attempts.fleet import Fleet

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "odd-records.md"


class Difference(NamedTuple):
    """A kind of record of which nova and this package make something else, and why."""

    records: str
    nova: str
    here: str
    why: str


TIME = Difference(
    "`created_at` or `updated_at` is no time stamp",
    "every call raises `ValueError`, and so does the list with this image in it",
    "`show` raises `InvalidImageRecord`; `detail` leaves the image out",
    "one record must not fail the list for every caller",
)
JSON = Difference(
    "`mappings` or `block_device_mapping` is text, and not JSON",
    "every call raises `JSONDecodeError`, and so does the list",
    "the property stays text",
    "the rest of the image is right",
)
LOCATIONS = Difference(
    "`locations` is no list, and there is a `direct_url`",
    "`show` with locations raises `AttributeError`",
    "the direct URL is the only location",
    "the direct URL is right",
)
OTHER_ID = Difference(
    "`show`: the `id` is missing, is no text, or is another image's",
    "the record is returned",
    "the next server is asked; the last one's reply is a `protocol_error`",
    "the reply is not about the image that was requested",
)
NO_ID = Difference(
    "`detail`: the `id` is missing, empty or no text",
    "the record is returned",
    "it is left out; a page with nothing else is a `protocol_error`",
    "nobody can ask for such an image",
)


class Hasty(random.Random):
    """Jitter that never waits."""

    def uniform(self, a, b):
        return a


@cache
def find_differences():
    """Ask this package for all records; return what differs from nova's results, and how.

    Returns:
        For each differing record and call: its name, nova's result and this package's.
    """
    with serve() as url:
        config = Config(servers=[url], num_retries=0)
        client = GlanceClientWrapper(
            config, fleet=Fleet.of(config.servers, config.retry), rng=Hasty()
        )
        with GlanceImageService(client) as service:
            return [
                (name, call, row[call], found)
                for number, (name, row) in enumerate(zip(NAMES, read_results(), strict=True))
                for call in CALLS
                if (found := ask(call, number, _ask_of(service))) != row[call]
            ]


def _ask_of(service):
    def call(method, *args, **kwargs):
        try:
            return as_tagged(getattr(service, method)(None, *args, **kwargs))
        except TracedImageError as error:
            return type(error).__name__

    return call


def explain(name, call, nova, here):
    """Find why a result differs; None if nothing explains it."""
    field, _ = name
    here = here if isinstance(here, str) or here is None else "image"
    if nova == "ValueError" and here == (None if call == "detail" else "InvalidImageRecord"):
        return TIME
    if (nova, here) == ("JSONDecodeError", "image"):
        return JSON
    if (nova, here, field) == ("AttributeError", "image", "locations"):
        return LOCATIONS
    if (field, here) == ("id", "GlanceConnectionFailed"):
        return NO_ID if call == "detail" else OTHER_ID
    return None


_TOP = """\
# Odd image records

<!-- Written from a run by `python tests/pipeline/odd_records_page.py`; a test compares it. -->

Glance checks what a caller writes into an image's record. A record may still be odd: an old
database, a proxy or a program with access to the database may leave null, text in place of a
number, or a date that is none. Such a record is the same on every server.

* What nova 34 returns is returned as nova returns it, null and odd types included.
* Nothing is retried, and no server is accused.
* A list goes on without a record that can't be shown. One line of the log names the image and the
  field, for the first ten of a list; one more line has the number of the others.
  `glance_client_skipped_records_total` counts them.
* `download` raises `InvalidImageRecord` if the checksum is no text, because the data can't be
  checked.

A reply that is no JSON object of Glance's shape, or is about another image, is the server's fault:
the next server is asked.

## Compared with nova 34

A server sent {records} records. Each field of Glance's schema was missing, null, or had each other
type. There were odd dates, sizes and custom properties, too. Each record was asked for by four
calls: `show`, `show` with `include_locations`, `show` without `show_deleted`, and `detail`. The
results were compared with those of nova's `GlanceImageServiceV2`, key by key and type by type.

Of {results} results, {equal} are equal. This is the rest:

"""


def make_page():
    """The page, from a run."""
    found = find_differences()
    counts = Counter(explain(*each) for each in found)
    results = len(NAMES) * len(CALLS)
    equal = results - len(found)
    top = _TOP.format(records=len(NAMES), results=f"{results:,}", equal=f"{equal:,}")
    rows = [(*kind, str(count)) for kind, count in counts.items()]
    return f"{top}{table(('the record', 'nova 34', 'here', 'why', 'results'), rows)}\n"


if __name__ == "__main__":
    PAGE.write_text(make_page(), "utf-8")
