"""A server of the exporter, and the certificates and the configuration file that protect it."""

from __future__ import annotations

import contextlib

import pytest
import trustme
from serving import Certificates, hello

from traced_image.exporter.web.client_limits import ClientLimits
from traced_image.exporter.web.listening import listen
from traced_image.exporter.web.server import ExporterServer


@pytest.fixture
def serve():
    """Serve an application until the test ends: ``serve(app, web, request_seconds=1)``."""
    with contextlib.ExitStack() as stack:

        def started(app=hello, web=None, *, host="127.0.0.1", **limits):
            server = ExporterServer(app, listen(host, 0), web, limits=ClientLimits(**limits))
            return stack.enter_context(server.run_in_thread())

        yield started


@pytest.fixture(scope="session")
def authority():
    """Whose certificates are trusted."""
    return trustme.CA()


@pytest.fixture
def certificates(authority, tmp_path):
    """A server's certificate ``cert.pem``, its ``key.pem``, and the authority's ``ca.pem``."""
    return Certificates(authority, tmp_path)


@pytest.fixture
def write(tmp_path):
    """Write a web configuration file, and return its path."""

    def written(text, name="web.yml"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return written
