"""A small WSGI service that answers with images' names, and has the exporter's page at /glance/.

``TRACED_IMAGE_SERVERS=10.0.0.1:9292,10.0.0.2:9292 python examples/wsgi_service.py`` serves
``/images/ID`` and ``/glance/`` on port 8000. It needs no extra.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING
from wsgiref.simple_server import make_server

import traced_image
from traced_image import exporter

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment


def make_application(service: traced_image.GlanceImageService) -> WSGIApplication:
    """Make the application, which asks an image service and shows its servers."""
    page = exporter.wsgi_app()

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path == "/glance" or path.startswith("/glance/"):
            below = {"SCRIPT_NAME": "/glance", "PATH_INFO": path.removeprefix("/glance")}
            return page(environ | below, start_response)
        status, answer = show(service, path.removeprefix("/images/"))
        start_response(status, [("Content-Type", "application/json")])
        return [json.dumps(answer).encode()]

    return application


def show(service: traced_image.GlanceImageService, image_id: str) -> tuple[str, dict[str, str]]:
    """Return the status and the answer for one image."""
    try:
        image = service.show(None, image_id)
    except traced_image.ImageNotFound as error:
        return "404 Not Found", {"error": str(error)}
    except traced_image.GlanceConnectionFailed as error:
        return "503 Service Unavailable", {"server": error.server, "reason": error.reason}
    return "200 OK", {"name": image["name"], "status": image["status"]}


def main(port: int = 8000) -> None:
    """Serve until Ctrl-C."""
    with (
        traced_image.connect() as service,
        make_server("127.0.0.1", port, make_application(service)) as server,
    ):
        print(f"http://127.0.0.1:{server.server_port}/", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
