"""A Keystone of a few lines, whose failures a test can set."""

from __future__ import annotations

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from keystoneauth1 import session
from keystoneauth1.identity import V3Password


@contextlib.contextmanager
def running(endpoint):
    """Run a Keystone until the block ends."""
    with Keystone(endpoint) as keystone:
        thread = threading.Thread(target=keystone.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield keystone
        finally:
            keystone.shutdown()
            thread.join()


class Keystone(ThreadingHTTPServer):
    """Gives everybody a token, with a catalogue of one server.

    Attributes:
        endpoint: The image service's URL in the catalogue; None for a catalogue without it.
        status: The status of its answers to who asks for a token.
        issued: How many tokens it has given.
    """

    daemon_threads = True

    def __init__(self, endpoint):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.endpoint = endpoint
        self.status = 201
        self.issued = 0

    def session(self, **options):
        """A session of a user."""
        url = f"http://127.0.0.1:{self.server_port}/v3"
        auth = V3Password(url, username="u", password="p", user_domain_id="d", project_id="p")
        return session.Session(auth=auth, **options)

    def token(self):
        endpoint = {"interface": "public", "region": "R", "region_id": "R", "id": "e"}
        endpoints = [{**endpoint, "url": self.endpoint}] if self.endpoint else []
        domain = {"id": "d", "name": "d"}
        return {
            "token": {
                "methods": ["password"],
                "user": {"id": "u", "name": "u", "domain": domain},
                "project": {"id": "p", "name": "p", "domain": domain},
                "expires_at": "2999-01-01T00:00:00.000000Z",
                "issued_at": "2026-01-01T00:00:00.000000Z",
                "catalog": [{"type": "image", "name": "glance", "id": "g", "endpoints": endpoints}],
            }
        }


class _Handler(BaseHTTPRequestHandler):
    server: Keystone

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.issued += self.server.status == 201
        body = self.server.token() if self.server.status == 201 else {}
        self.send_response(self.server.status)
        self.send_header("X-Subject-Token", f"token-{self.server.issued}")
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *args):
        pass
