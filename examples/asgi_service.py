"""A small ASGI service that answers with images' names, and has the exporter's page at /glance/.

``TRACED_IMAGE_SERVERS=10.0.0.1:9292,10.0.0.2:9292 python examples/asgi_service.py`` serves
``/images/ID`` and ``/glance/`` on port 8000. It needs the extra ``exporter``.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import uvicorn
from opentelemetry.sdk.trace import TracerProvider
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

import traced_image
from traced_image import Telemetry, exporter

if TYPE_CHECKING:
    from starlette.requests import Request


def make_application(
    service: traced_image.GlanceImageService, registry: CollectorRegistry
) -> Starlette:
    """Make the application, which asks an image service that counts in a registry."""

    async def show(request: Request) -> JSONResponse:
        image_id = request.path_params["image_id"]
        try:
            # The call blocks, so it runs in a thread; the current span goes along.
            image = await asyncio.to_thread(service.show, None, image_id)
        except traced_image.ImageNotFound as error:
            return JSONResponse({"error": str(error)}, 404)
        except traced_image.GlanceConnectionFailed as error:
            return JSONResponse({"server": error.server, "reason": error.reason}, 503)
        return JSONResponse({"name": image["name"], "status": image["status"]})

    page = Mount("/glance", exporter.asgi_app(registry=registry))
    return Starlette(routes=[Route("/images/{image_id}", show), page])


def main(port: int = 8000) -> None:
    """Serve until Ctrl-C."""
    registry = CollectorRegistry()
    telemetry = Telemetry(tracer_provider=TracerProvider(), registry=registry)
    with traced_image.connect(telemetry=telemetry) as service:
        uvicorn.run(make_application(service, registry), port=port)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
