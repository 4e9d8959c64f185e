"""One client in a process of its own: ``python bench/peer.py nova|openstacksdk|… URL IMAGE_ID``.

For each line of standard input, which has a number, it makes so many calls and prints how long
each took, as JSON. It imports nothing of this folder, since it runs in other environments too.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    Call = Callable[[], object]


def nova(url: str, image_id: str) -> Call:
    """The `show` of nova, with a service that is reused; it makes a client for each call."""
    os.environ["OS_NOVA_DISABLE_EVENTLET_PATCHING"] = "1"
    import nova.conf
    from keystoneauth1 import noauth
    from nova import context, objects
    from nova.image import glance

    del os.environ["OS_NOVA_DISABLE_EVENTLET_PATCHING"]
    nova.conf.CONF([], project="nova", default_config_files=[])
    nova.conf.CONF.set_override("api_servers", [url], group="glance")
    objects.register_all()
    # Without a token nova needs a plugin.
    admin = context.RequestContext(is_admin=True, user_auth_plugin=noauth.NoAuth())
    service = glance.GlanceImageServiceV2()
    return lambda: service.show(admin, image_id)


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


CLIENTS = {each.__name__: each for each in (nova, openstacksdk, download, glanceclient)}


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
    name, url, image_id = sys.argv[1:]
    call = CLIENTS[name](url, image_id)
    before = most_memory()
    for line in sys.stdin:
        seconds = [timed(call) for _ in range(int(line))]
        print(json.dumps({"seconds": seconds, "grown": most_memory() - before}), flush=True)


if __name__ == "__main__":
    main()
