"""One client in a process of its own: ``python bench/peer.py nova|openstacksdk|… URL IMAGE_ID``.

``--observed`` instruments the client, and ``--cycle`` gives it this package's cycle of servers;
the URL may then be several, with commas between them.

For each line of standard input, which has a number, it makes so many calls and prints how long
each took, as JSON. It imports nothing of this folder, since it runs in other environments too.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    Call = Callable[[], object]


def nova(url: str, image_id: str) -> Call:
    """The `show` of nova, with a service that is reused; it makes a client for each call."""
    make, context = _nova(url)
    service = make()
    return lambda: service.show(context, image_id)


def nova_operation(url: str, image_id: str) -> Call:
    """The same with a service for each call, as nova's API makes one for each operation."""
    make, context = _nova(url)
    return lambda: make().show(context, image_id)


def _nova(urls: str) -> tuple[Any, Any]:
    """What makes nova's image service, and a context."""
    os.environ["OS_NOVA_DISABLE_EVENTLET_PATCHING"] = "1"
    import nova.conf
    from keystoneauth1 import noauth
    from nova import context, objects
    from nova.image import glance

    del os.environ["OS_NOVA_DISABLE_EVENTLET_PATCHING"]
    nova.conf.CONF([], project="nova", default_config_files=[])
    nova.conf.CONF.set_override("api_servers", urls.split(","), group="glance")
    objects.register_all()
    logging.disable(logging.CRITICAL)  # a failed attempt is logged with its traceback
    # Without a token nova needs a plugin.
    admin = context.RequestContext(is_admin=True, user_auth_plugin=noauth.NoAuth())
    return glance.GlanceImageServiceV2, admin


def openstacksdk(url: str, image_id: str) -> Call:
    """The `conn.image.get_image` of openstacksdk, with a connection that is reused."""
    import openstack.connection

    conn = openstack.connection.Connection(auth_type="none", endpoint=url)
    return lambda: conn.image.get_image(image_id)


def download(url: str, image_id: str) -> Call:
    """This package's `download`, of a service with all of its spans and metrics."""
    from opentelemetry.sdk.trace import TracerProvider
    from prometheus_client import CollectorRegistry

    import traced_image

    telemetry = traced_image.Telemetry(
        tracer_provider=TracerProvider(), registry=CollectorRegistry()
    )
    service = traced_image.connect(servers=[url], telemetry=telemetry)
    service.show(None, image_id)
    sink = Path(os.devnull).open("wb")  # noqa: SIM115 - it is open for as long as this runs
    return lambda: service.download(None, image_id, data=sink)


def glanceclient(url: str, image_id: str) -> Call:
    """python-glanceclient's `images.data`, with a client that is reused."""
    from glanceclient import Client

    images = Client("2", endpoint=url).images
    images.get(image_id)
    sink = Path(os.devnull).open("wb")  # noqa: SIM115

    return lambda: sink.writelines(images.data(image_id))


def glanceclient_get(url: str, image_id: str) -> Call:
    """python-glanceclient's `images.get`, with a client that is reused."""
    from glanceclient import Client

    images = Client("2", endpoint=url).images
    return lambda: images.get(image_id)


CLIENTS = {
    each.__name__: each
    for each in (nova, nova_operation, openstacksdk, download, glanceclient, glanceclient_get)
}


def observe(how: str) -> None:
    """Instrument stock clients, with a batch processor and a registry of its own.

    Args:
        how: ``calls``; ``wire`` for the spans of requests too; ``requests`` for these alone.
    """
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

    class NoExporter(SpanExporter):
        def export(self, _spans: object) -> SpanExportResult:
            return SpanExportResult.SUCCESS

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(NoExporter()))
    trace.set_tracer_provider(provider)
    if how == "requests":
        from opentelemetry.instrumentation.requests import RequestsInstrumentor

        RequestsInstrumentor().instrument()
    else:
        from traced_image.instrumentation import GlanceInstrumentor

        GlanceInstrumentor().instrument(wire_spans=how == "wire")


def give_cycle() -> None:
    """Give nova and cinder the cycle of servers."""
    from traced_image.stock_cycle import StockCycle

    StockCycle().install()


def most_memory() -> float:
    """The most memory that this process has had, in MiB."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


def timed(call: Call) -> float:
    """How long one call takes, in seconds."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def main() -> None:
    """Make calls until standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("client", choices=CLIENTS)
    parser.add_argument("url")
    parser.add_argument("image_id")
    parser.add_argument("--observed", choices=("calls", "requests", "wire"))
    parser.add_argument("--cycle", action="store_true")
    options = parser.parse_args()
    # Other environments do not have this package.
    sys.path.append(str(Path(__file__).parents[1]))
    if options.observed:
        observe(options.observed)
    if options.cycle:
        give_cycle()
    call = CLIENTS[options.client](options.url, options.image_id)
    before = most_memory()
    for line in sys.stdin:
        seconds = [timed(call) for _ in range(int(line))]
        print(json.dumps({"seconds": seconds, "grown": most_memory() - before}), flush=True)


if __name__ == "__main__":
    main()
