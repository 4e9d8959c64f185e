"""What is seen of the libraries that are installed, as rows of a table.

``make test-clients`` compares the rows with docs/reference/stock-clients.md; as a program, this
prints them.
"""

from __future__ import annotations

import contextlib
import io
import sys
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path

from prometheus_client import CollectorRegistry
from stock_client import KINDS
from stock_services import SERVICES

from traced_image import lab
from traced_image.instrumentation import GlanceInstrumentor
from traced_image.lab import faults

sys.path.append(str(Path(__file__).parents[1] / "telemetry"))

from watching import Counts, Trace


def use(client, image):
    """Use a client as a service does; what its server refuses is of no interest here."""
    with contextlib.suppress(Exception):
        client.images.get(image)
        list(client.images.list())
        b"".join(client.images.data(image))
        new = client.images.create(name="new", disk_format="raw", container_format="bare")
        client.images.upload(new["id"], io.BytesIO(b"0123456789"))
        client.images.get("none")


def observe():
    """Observe clients of three servers: one works, one is killed, and one answers 503."""
    trace, registry = Trace(), CollectorRegistry()
    client = import_module("glanceclient.v2.client")
    before = methods(client)
    GlanceInstrumentor().instrument(
        tracer_provider=trace.provider, registry=registry, meter_provider=False
    )
    patched = sum(value is not methods(client)[name] for name, value in before.items())
    with lab.cluster(3) as servers:
        image = servers[0].images.add(data=b"0123456789")
        ports = {str(server.port) for server in servers}
        servers[1].break_with(faults.refuse())
        servers[2].break_with(faults.status(503))
        for kind in KINDS:
            for server in servers:
                use(kind(import_module("glanceclient").Client, server.url), image)
    GlanceInstrumentor().uninstrument()
    return patched, trace, Counts(registry), ports


def methods(client):
    """The methods of the controllers."""
    names = "images image_members image_tags schemas tasks info versions cache metadefs"
    modules = [getattr(client, name) for name in names.split() if hasattr(client, name)]
    return {
        (owner, name): value
        for module in modules
        for owner in vars(module).values()
        if isinstance(owner, type) and owner.__module__ == module.__name__
        for name, value in vars(owner).items()
    }


def row():
    """The row of the python-glanceclient that is installed."""
    patched, trace, counts, ports = observe()
    calls = [span for span in trace.spans if span.parent is None]
    below = {len(trace.below(call)) for call in calls}
    attempts = "one for each call" if below == {1} else f"{sorted(below)} for a call"
    return write("python-glanceclient", f"of {patched} methods", attempts, *cells(counts, ports))


def cells(counts, ports):
    """What is seen of the servers, of the reasons, of the streams and of the hazards."""
    attempts = counts.of(
        "glance_client_attempt_duration_seconds_count", "server_port", "error_type"
    )
    named = {port for port, _ in attempts}
    reasons = sorted({reason for _, reason in attempts if reason})
    streams = counts.of("glance_client_stream_bytes_total", "direction")
    yield "always" if named == ports else "not always"
    yield ", ".join(f"`{reason}`" for reason in reasons)
    yield ", ".join(sorted(direction for (direction,) in streams))
    hazards = sorted(kind for (kind,) in counts.of("glance_client_hazards_total", "kind"))
    yield ", ".join(f"`{kind}`" for kind in hazards)


def write(library, *cells):
    """A row."""
    return f"| {' | '.join((library, metadata.version(library), *cells))} |"


def service_row(service):
    """The row of a service that is installed."""
    trace, registry = Trace(), CollectorRegistry()
    GlanceInstrumentor().instrument(
        tracer_provider=trace.provider, registry=registry, meter_provider=False
    )
    with lab.cluster(3) as servers:
        ports = {str(server.port) for server in servers}
        for scene in SCENES:
            for server in servers:
                server.heal()
            with contextlib.suppress(Exception):
                scene(service(import_module, [server.url for server in servers]), servers)
    GlanceInstrumentor().uninstrument()
    counts = Counts(registry)
    most = max(len(trace.below(span)) for span in trace.spans if span.parent is None)
    return write(
        service.name,
        f"`{service.name}.image.glance.GlanceClientWrapper.call`",
        f"up to {most} for a call, with {most - 1} retries",
        *cells(counts, ports),
    )


def read(service, servers):
    """Read from the third server, after one that is killed and one that answers 503."""
    image = servers[0].images.add(data=b"0123456789")
    servers[0].break_with(faults.refuse())
    servers[1].break_with(faults.status(503))
    b"".join(service.call("data", image))
    for wanted in (image, "none"):
        service.call("get", wanted)


def upload(service, servers):
    """Upload, and the retry has nothing left to send."""
    image = servers[0].images.add(name="new", disk_format="raw", container_format="bare")
    servers[0].break_with(faults.status(503))
    service.call("upload", image, io.BytesIO(b"0123456789"))


def create(service, servers):
    """Create an image twice: the first reply is lost."""
    servers[0].break_with(faults.flapping(None, faults.lost_reply()))
    service.call("create", name="new", disk_format="raw", container_format="bare")


def delete(service, servers):
    """Delete an image, and be told that there is none: the first reply is lost."""
    image = servers[0].images.add(data=b"0")
    servers[0].break_with(faults.lost_reply())
    service.call("delete", image)


def restart(service, servers):
    """List images, and the second page breaks."""
    for _ in range(3):
        servers[0].images.add(data=b"0")
    servers[0].break_with(faults.flapping(None, None, faults.status(503)))
    list(service.call("list", page_size=2))


def download(service, servers):
    """Download an image, and the connection breaks."""
    image = servers[0].images.add(data=b"0123456789")
    servers[0].break_with(faults.flapping(None, faults.cut_body()))
    list(service.call("data", image))


def give_up(service, servers):
    """Ask servers that all answer 503."""
    for server in servers:
        server.break_with(faults.status(503))
    service.call("get", "image")


SCENES = (read, upload, create, delete, restart, download, give_up)

if __name__ == "__main__":
    sys.stdout.write(f"{row()}\n")
    for each in SERVICES:
        if find_spec(each.name):
            sys.stdout.write(f"{service_row(each)}\n")
