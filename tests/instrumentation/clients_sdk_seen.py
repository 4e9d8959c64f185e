"""What is seen of the openstacksdk and the ironic that are installed, as rows of a table.

The tests of `clients_openstacksdk` compare the rows with
docs/reference/stock-clients.md; as a program with a library's name, this prints its row.
"""

from __future__ import annotations

import contextlib
import io
import sys
import warnings
from importlib import import_module, metadata
from pathlib import Path

from keystoneauth1 import session
from keystoneauth1.token_endpoint import Token
from prometheus_client import CollectorRegistry
from sdk_client import DELAY, over_override

from traced_image import lab
from traced_image.instrumentation import GlanceInstrumentor
from traced_image.lab import faults

sys.path.append(str(Path(__file__).parents[1] / "telemetry"))

from watching import Counts, Trace

NEW = {"disk_format": "raw", "container_format": "bare", "allow_duplicates": True}
OVERLOADED = faults.status(503)


def make_proxy(url):
    """Return an image proxy of a server that is not asked for its versions."""
    image_proxy = import_module("openstack.image.v2._proxy")
    proxy = image_proxy.Proxy(
        session.Session(auth=Token(url, "t")),
        service_type="image",
        endpoint_override=f"{url}/v2",
        status_code_retries=5,
        status_code_retry_delay=DELAY,
        connect_retry_delay=DELAY,
    )
    proxy._connection = over_override(url)
    return proxy


def use(call, images, server):
    """Use a proxy, or a service over it, as ironic does; then let the server fail."""
    image = images.add(name="cirros", data=b"0123456789" * 1000)
    for steps in (
        [lambda: call("get_image", image), lambda: call("get_image", "none")],
        [lambda: list(call("images"))],
        [lambda: call("download_image", image, stream=True).content],
        [lambda: call("create_image", "new", data=io.BytesIO(b"0123456789"), **NEW)],
        [
            lambda: server.break_with(faults.flapping(None, OVERLOADED, None)),
            lambda: call("create_image", "new", data=io.BytesIO(b"0123456789"), **NEW),
        ],
        [
            lambda: server.break_with(faults.flapping(OVERLOADED, None, None)),
            lambda: call("create_image", "new", data=b"0123456789", **NEW),
        ],
        [
            lambda: server.break_with(faults.status(500)),
            lambda: call("deactivate_image", image),
        ],
        [lambda: server.break_with(OVERLOADED), lambda: call("get_image", image)],
        [lambda: server.break_with(faults.refuse()), lambda: call("get_image", image)],
    ):
        server.heal()
        for step in steps:
            with contextlib.suppress(Exception):
                step()


def observe(make_call):
    """Observe what is made of three servers, one after the other."""
    trace, registry = Trace(), CollectorRegistry()
    GlanceInstrumentor().instrument(
        tracer_provider=trace.provider, registry=registry, meter_provider=False
    )
    with lab.cluster(3) as servers:
        for server in servers:
            use(make_call(server.url), server.images, server)
        ports = {str(server.port) for server in servers}
    GlanceInstrumentor().uninstrument()
    return trace, Counts(registry), ports


def call_proxy(url):
    proxy = make_proxy(url)
    return lambda method, *args, **kwargs: getattr(proxy, method)(*args, **kwargs)


def call_ironic(url):
    import_module("ironic.common.image_service")
    module = sys.modules["ironic.common.glance_service.image_service"]
    conf = import_module("ironic.conf").CONF
    conf([], project="ironic", default_config_files=[])
    conf.set_override("num_retries", 1, "glance")
    module.GlanceImageService.call.retry.sleep = lambda _: None
    service = module.GlanceImageService(client=make_proxy(url))
    service.endpoint = url
    return service.call


def count_methods():
    from traced_image.instrumentation.sdk_operations import OPERATIONS

    proxy = import_module("openstack.image.v2._proxy").Proxy
    return f"of {sum(method in vars(proxy) for method in OPERATIONS)} methods"


LIBRARIES = {
    "openstacksdk": (call_proxy, count_methods),
    "ironic": (call_ironic, lambda: "`GlanceImageService.call`"),
}


def row(library):
    """The row of the release that is installed."""
    make_call, describe = LIBRARIES[library]
    trace, counts, ports = observe(make_call)
    attempts = counts.of(
        "glance_client_attempt_duration_seconds_count", "server_port", "error_type"
    )
    most = max(len(trace.below(span)) for span in trace.spans if span.parent is None)
    reasons = sorted({reason for _, reason in attempts if reason})
    streams = counts.of("glance_client_stream_bytes_total", "direction")
    hazards = counts.of("glance_client_hazards_total", "kind")
    cells = (
        library,
        metadata.version(library),
        describe(),
        f"up to {most} for a call",
        "always" if {port for port, _ in attempts} == ports else "not always",
        ", ".join(f"`{reason}`" for reason in reasons),
        ", ".join(sorted(direction for (direction,) in streams)),
        ", ".join(sorted(f"`{kind}`" for (kind,) in hazards)),
    )
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    sys.stdout.write(f"{row(sys.argv[1])}\n")
