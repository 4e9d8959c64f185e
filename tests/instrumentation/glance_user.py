"""A WSGI service that asks each of its Glance servers: ``application``, or alone under eventlet.

Run by test_instrumentation_services.py, which names the servers and an image in the environment.
"""

import contextlib
import os
import sys

if __name__ == "__main__":
    import eventlet

    eventlet.monkey_patch()

import glanceclient
from keystoneauth1 import session
from keystoneauth1.token_endpoint import Token

SERVERS, IMAGE = os.environ["GLANCE_SERVERS"].split(), os.environ["IMAGE"]


def application(environ, start_response):
    for url in SERVERS:
        auth = Token("http://127.0.0.1:1", "t")
        client = glanceclient.Client("2", url, session=session.Session(auth=auth))
        with contextlib.suppress(Exception):  # one of the servers fails
            client.images.get(IMAGE)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]


if __name__ == "__main__":
    from eventlet import wsgi

    wsgi.server(eventlet.listen(("127.0.0.1", int(sys.argv[1]))), application, log_output=False)
