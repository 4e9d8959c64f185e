"""A store, an App without a network, a running server, and clients that are closed again."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
import time

import pytest
import requests

from traced_image import lab
from traced_image.lab.app import App
from traced_image.lab.http1 import ReceivedRequest

LIMIT = 10.0
"""Seconds after which a test that waits has failed."""


@pytest.fixture
def images():
    return lab.Images(now=iter(range(1_800_000_000, 1_900_000_000)).__next__)


@pytest.fixture
def glance(images):
    """Ask Glance without a network: ``glance("GET", "/v2/images", headers...)``."""

    def ask(method, target, body=b"", headers=None, *, app=None):
        given = {"host": "glance", "accept": "*/*", **(headers or {})}
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        return (app or App(images)).answer(ReceivedRequest(method, target, given, body))

    return ask


@pytest.fixture
def patch(glance):
    """Send one JSON patch in v2.1's notation."""

    def send(image_id, *operations):
        kind = {"content-type": "application/openstack-images-v2.1-json-patch"}
        return glance("PATCH", f"/v2/images/{image_id}", list(operations), kind)

    return send


@pytest.fixture
def server(images):
    with lab.GlanceServer(images) as running:
        yield running


@pytest.fixture
def image_id(images):
    return images.add(name="cirros", data=b"0123456789")


@pytest.fixture
def session():
    with requests.Session() as opened:
        opened.trust_env = False
        yield opened


@pytest.fixture
def connect():
    """Open an HTTP connection to a server, to be closed with the test."""
    with contextlib.ExitStack() as stack:

        def opened(server):
            connection = http.client.HTTPConnection(server.host, server.port, timeout=LIMIT)
            stack.callback(connection.close)
            return connection

        yield opened


@pytest.fixture
def dial():
    """Open a bare TCP connection to a server, to be closed with the test."""
    with contextlib.ExitStack() as stack:

        def opened(server):
            return stack.enter_context(
                socket.create_connection((server.host, server.port), timeout=LIMIT)
            )

        yield opened


@pytest.fixture
def text():
    """The explanation in an error's answer."""

    def of(response):
        return response.body.decode()

    return of


@pytest.fixture
def until():
    """Wait until a condition holds, at most `LIMIT` seconds."""

    def wait(condition):
        end = time.monotonic() + LIMIT
        while not condition():
            assert time.monotonic() < end, "the condition never came"
            threading.Event().wait(0.002)

    return wait
