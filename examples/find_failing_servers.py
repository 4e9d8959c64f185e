"""A script that lists the images, and then says which Glance servers failed and why.

``TRACED_IMAGE_SERVERS=10.0.0.1:9292,10.0.0.2:9292 python examples/find_failing_servers.py``
ends with status 1 if a server failed, and with status 2 if no server answered.
"""

from __future__ import annotations

import sys

import traced_image

CALLS = 3
"""So that the cycle begins with each of three servers once."""


def list_images(service: traced_image.GlanceImageService) -> None:
    """Print the names of the first images, by several calls."""
    for _ in range(CALLS):
        images = service.detail(None, limit=10)
    for image in images:
        print(image["id"], image["name"], image["status"])


def list_failing(service: traced_image.GlanceImageService) -> list[traced_image.ServerHealth]:
    """Print the servers with a failure, and return them."""
    failing = [health for health in service.servers() if health.last_failure is not None]
    for health in failing:
        print(f"{health.server} is {health.state}: {health.last_reason}", file=sys.stderr)
    return failing


def main() -> int:
    """Return the exit status."""
    with traced_image.connect(telemetry=False) as service:
        try:
            list_images(service)
        except traced_image.GlanceConnectionFailed:
            list_failing(service)
            return 2
        return 1 if list_failing(service) else 0


if __name__ == "__main__":
    sys.exit(main())
