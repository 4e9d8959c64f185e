"""TLS: a certificate that a client trusts, one that it does not, and none at all."""

import gc
import socket
import ssl
import sys
import threading
from pathlib import Path

import pytest
import requests

from traced_image import lab
from traced_image.errors import MissingExtra
from traced_image.lab import faults

LIMIT = 10.0


@pytest.fixture(scope="module")
def tls():
    return lab.TLS.trusted()


@pytest.fixture
def secure(images, tls):
    with lab.GlanceServer(images, tls=tls) as server:
        yield server


def test_a_client_with_the_ca_is_answered(secure, session, tls):
    assert session.get(f"{secure.url}/v2/images", verify=tls.cafile).status_code == 200


def test_the_address_says_https(secure):
    assert f"https://127.0.0.1:{secure.port}" == secure.url


def test_links_say_https(secure, session, tls):
    response = session.post(f"{secure.url}/v2/images", json={}, verify=tls.cafile)
    assert response.headers["Location"].startswith(f"{secure.url}/v2/images/")


def test_a_client_without_the_ca_refuses_the_server(secure, session):
    with pytest.raises(requests.exceptions.SSLError, match="CERTIFICATE_VERIFY_FAILED"):
        session.get(f"{secure.url}/v2/images")


def test_an_untrusted_certificate_is_refused_by_a_client_with_the_ca(secure, session, tls):
    secure.break_with(faults.untrusted_tls())
    with pytest.raises(requests.exceptions.SSLError, match="CERTIFICATE_VERIFY_FAILED"):
        session.get(f"{secure.url}/v2/images", verify=tls.cafile)


def test_an_untrusted_server_is_trusted_again_once_healed(secure, session, tls):
    secure.break_with(faults.untrusted_tls())
    secure.heal()
    assert session.get(f"{secure.url}/v2/images", verify=tls.cafile).status_code == 200


def test_a_fault_of_requests_comes_under_the_trusted_certificate(secure, session, tls):
    secure.break_with(faults.status(503))
    assert session.get(f"{secure.url}/v2/images", verify=tls.cafile).status_code == 503


def test_broken_tls_is_no_tls_at_all(secure, session, tls):
    secure.break_with(faults.broken_tls())
    with pytest.raises(requests.exceptions.SSLError):
        session.get(f"{secure.url}/v2/images", verify=tls.cafile)


def test_never_answer_under_tls_ends_with_the_healing(secure, tls):
    secure.break_with(faults.never_answer())
    context = ssl.create_default_context(cafile=tls.cafile)
    plain = socket.create_connection((secure.host, secure.port), timeout=LIMIT)
    with context.wrap_socket(plain, server_hostname="localhost") as sock:
        sock.sendall(b"GET /v2/images HTTP/1.1\r\n\r\n")
        while not secure.access_log:
            threading.Event().wait(0.001)
        secure.heal()
        assert sock.recv(1) == b""


def test_stop_ends_a_handshake_that_never_comes(images, tls, dial):
    with lab.GlanceServer(images, tls=tls) as server:
        dial(server)
        while not server.connections:
            threading.Event().wait(0.001)
    assert sum(thread.name.startswith("glance") for thread in threading.enumerate()) == 0


def test_the_ca_file_goes_with_its_owner():
    tls = lab.TLS.trusted()
    directory = Path(tls.cafile).parent
    del tls
    gc.collect()
    assert not directory.exists()


def test_without_the_extra_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "trustme", None)
    with pytest.raises(MissingExtra, match=r"traced-image\[lab\]"):
        lab.TLS.trusted()
