"""Operations over hostile servers: what each of them does, and what must come of it."""

from __future__ import annotations

import io
import time
from contextlib import contextmanager

import traced_image
from traced_image import RetryPolicy

DATA = b"0123456789"
SOON = 0.3
"""Seconds after which an impatient client gives up."""

SLACK = 1.5
"""Seconds that a busy machine may take longer."""

LONG = 8.0
"""Seconds that no test waits: what takes as long has failed."""

HASTY = RetryPolicy(backoff_base=0.001, backoff_cap=0.001, retry_after_cap=0.0, budget_share=None)

READS = {
    "show": lambda service, image_id: service.show(None, image_id)["name"],
    "detail": lambda service, _: [image["name"] for image in service.detail(None)],
    "download": lambda service, image_id: b"".join(service.download(None, image_id)),
}
EXPECTED = {"show": "cirros", "detail": ["cirros"], "download": DATA}
"""What the reads bring of a store with one image, named cirros."""

NEW = {"name": "new", "disk_format": "raw", "container_format": "bare"}


def upload(service, _=None, data=DATA):
    """Create an image with data."""
    return service.create(None, dict(NEW), data=io.BytesIO(data))


WRITES = {
    "create": lambda service, _: service.create(None, {"name": "new"}),
    "update": lambda service, image_id: service.update(
        None, image_id, {"name": "new"}, purge_props=False
    ),
    "delete": lambda service, image_id: service.delete(None, image_id),
    "upload": upload,
}
EFFECTS = {
    "create": ["cirros", "new"],
    "update": ["new"],
    "delete": [],
    "upload": ["cirros", "new"],
}
"""The names in the store after each of the writes was carried out once."""

OPERATIONS = {**READS, **WRITES}


def names(images):
    """The names of all images, sorted."""
    return sorted(image.base["name"] for image in images.all())


def connect(*servers, tls=None, **fields):
    """A service without telemetry that never waits between two attempts."""
    fields = {"retry": HASTY, "deadline": 2 * LONG, "cafile": tls and tls.cafile, **fields}
    return traced_image.connect(
        servers=[server.url for server in servers], telemetry=False, **fields
    )


def reasons(service):
    """For each server, why it failed last."""
    return [health.last_reason for health in service.servers()]


def reasons_of(service, server):
    """Why one server failed last."""
    (found,) = (each for each in service.servers() if each.server.url == server.url)
    return found.last_reason


def warm(service, image_id, count=4):
    """Open connections, to be kept."""
    for _ in range(count):
        service.show(None, image_id)


@contextmanager
def within(seconds):
    """Fail if the block takes longer, with what a busy machine takes."""
    start = time.monotonic()
    yield
    took = time.monotonic() - start
    assert took < seconds + SLACK, f"it took {took:.2f} seconds"
