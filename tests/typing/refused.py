"""Mistakes of a user: type checkers refuse each line that ends with ``# refused``; never run."""

from __future__ import annotations

import traced_image
from traced_image import (
    Config,
    GlanceImageService,
    RetryPolicy,
    Telemetry,
    load_config,
)
from traced_image.telemetry import make_recorder


def misuse(service: GlanceImageService, config: Config) -> str:
    """Make a mistake on each line."""
    traced_image.conect()  # refused
    traced_image.connect(serverz=["glance"])  # refused
    traced_image.connect(servers=1)  # refused
    traced_image.connect(["glance"])  # refused
    traced_image.connect(servers="glance", num_retries="3")  # refused
    traced_image.connect(telemetry=True)  # refused
    load_config(cloudz="mine")  # refused
    load_config(environ=1)  # refused
    Config(num_retries="three")  # refused
    Config(num_retrys=3)  # refused
    Config(config_file="nova.conf")  # refused
    config.num_retries.upper()  # refused
    config.replace(deadline="soon")  # refused
    config.replace(dead_line=1.0)  # refused
    config.num_retries = 3  # refused
    RetryPolicy(0.5)  # refused
    RetryPolicy(statuses="503")  # refused
    Telemetry(wire_spans="no")  # refused
    Telemetry(detail="some")  # refused
    service.show(None)  # refused
    service.show(None, 42)  # refused
    service.show("admin", "id")  # refused
    service.show(None, "id", show_delete=True)  # refused
    service.detail(None, filterz={})  # refused
    service.detail(None, limit="1")  # refused
    service.create(None, {}, data=42)  # refused
    service.image_import_copy(None, "id", 1)  # refused
    service.servers()[0].state = "healthy"  # refused
    make_recorder(serverz=[])  # refused
    make_recorder().call(1)  # refused
    return service.show(None, "id")  # refused
