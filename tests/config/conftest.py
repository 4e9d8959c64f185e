"""A Keystone of a few lines, whose catalogue a test can set."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from hostile_keystone import HostileKeystone

PASSWORD = "s3cret"


class Keystone(ThreadingHTTPServer):
    """Gives each caller who knows the password a token of a new number, for `lifetime`."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/v3"
        self.issued = 0
        self.refusal = "no"
        self.peers = []
        self.expires_at = "2999-01-01T00:00:00.000000Z"
        self.endpoints = [("public", "RegionOne", "http://glance.example:9292/v2")]
        self.answering = threading.Event()
        self.answering.set()
        self.asked = threading.Event()

    def token(self):
        self.issued += 1
        endpoints = [
            {"interface": interface, "region": region, "region_id": region, "url": url, "id": url}
            for interface, region, url in self.endpoints
        ]
        catalog = [{"type": "image", "name": "glance", "id": "1", "endpoints": endpoints}]
        return {
            "token": {
                "methods": ["password"],
                "user": {"id": "u", "name": "nova", "domain": {"id": "default", "name": "D"}},
                "project": {"id": "p", "name": "service", "domain": {"id": "default", "name": "D"}},
                "expires_at": self.expires_at,
                "issued_at": "2026-01-01T00:00:00.000000Z",
                "catalog": catalog,
            }
        }


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Keystone

    def do_GET(self):
        link = {"rel": "self", "href": self.server.url}
        version = {"id": "v3.14", "status": "stable", "links": [link]}
        self._answer(200, {"version": version})

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.peers.append(self.client_address)
        self.server.asked.set()
        self.server.answering.wait(10)
        password = asked["auth"]["identity"]["password"]["user"]["password"]
        if password != PASSWORD:
            error = {"code": 401, "message": self.server.refusal, "title": "Unauthorized"}
            self._answer(401, {"error": error})
            return
        body = self.server.token()
        self._answer(201, body, {"X-Subject-Token": f"token-{self.server.issued}"})

    def _answer(self, status, body, headers=None):
        payload = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(payload)), **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, *args):
        """Keep quiet."""


@pytest.fixture
def keystone():
    server = Keystone()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.answering.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def credentials(keystone):
    """What the stub wants to hear, by the names of keystoneauth1's options."""
    return {
        "auth_url": keystone.url,
        "username": "nova",
        "password": PASSWORD,
        "user_domain_id": "default",
        "project_name": "service",
        "project_domain_id": "default",
    }


@pytest.fixture
def hostile():
    """Start a Keystone that treats its clients badly."""
    running = []

    def start(talk, tls=None):
        running.append(HostileKeystone(talk, tls))
        return running[-1]

    yield start
    for server in running:
        server.close()
