"""A WSGI application that makes calls, for gunicorn's workers.

``GET /show/ID`` fetches an image's record and ``GET /data/ID`` its data, from the servers that
``LAB_SERVERS`` lists. ``GET /hold/ID`` is a show that first says, by a file in the folder ``held``,
which process it is in.
"""

import os
from pathlib import Path

import traced_image
from traced_image import RetryPolicy


def build():
    """Build the application: before the fork or after it, as gunicorn is told."""
    service = traced_image.connect(
        servers=os.environ["LAB_SERVERS"].split(),
        retry=RetryPolicy(backoff_base=0.0, cooldown_base=0.1, cooldown_cap=0.1, budget_share=None),
    )

    def application(environ, start_response):
        _, action, image_id = environ["PATH_INFO"].split("/")
        if action == "data":
            b"".join(service.download(None, image_id))
        else:
            if action == "hold":
                Path("held", str(os.getpid())).touch()
            service.show(None, image_id)
        body = str(os.getpid()).encode()
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]

    return application
