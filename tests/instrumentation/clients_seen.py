"""What is seen of the python-glanceclient that is installed, as a row of a table.

``make test-clients`` compares the row with docs/reference/stock-clients.md; as a program, this
prints it.
"""

from __future__ import annotations

import contextlib
import io
import sys
from importlib import import_module, metadata
from pathlib import Path

from prometheus_client import CollectorRegistry
from stock_client import KINDS

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
    """The row of the release that is installed."""
    patched, trace, counts, ports = observe()
    attempts = counts.of(
        "glance_client_attempt_duration_seconds_count", "server_port", "error_type"
    )
    calls = [span for span in trace.spans if span.parent is None]
    below = [len(trace.below(call)) for call in calls]
    named = {port for port, _ in attempts}
    reasons = sorted({reason for _, reason in attempts if reason})
    streams = counts.of("glance_client_stream_bytes_total", "direction")
    cells = (
        "python-glanceclient",
        metadata.version("python-glanceclient"),
        f"of {patched} methods",
        "one for each call" if set(below) == {1} else f"{sorted(set(below))} for a call",
        "always" if named == ports else "not always",
        ", ".join(f"`{reason}`" for reason in reasons),
        ", ".join(sorted(direction for (direction,) in streams)),
        "none yet",
    )
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.stdout.write(f"{row()}\n")
