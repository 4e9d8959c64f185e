"""What a probe tells of TLS: the phase, the certificate's end, and what is refused."""

from __future__ import annotations

import socket
import ssl
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone

import pytest
import trustme
from probe_parts import probed

from traced_image import lab
from traced_image.exporter.probing import probe_run

NOW = datetime.now(timezone.utc).replace(microsecond=0)
FAR = NOW + timedelta(days=90)


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def cafile(authority, tmp_path):
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


@pytest.fixture
def context(authority):
    """Make the server's side of TLS with a certificate that ends at a certain time."""

    def make(not_after=FAR, *, name="127.0.0.1"):
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate = authority.issue_cert(
            name, not_before=NOW - timedelta(days=100), not_after=not_after
        )
        certificate.configure_cert(made)
        return made

    return make


@contextmanager
def speaking(context):
    """A Glance over this TLS."""
    tls = lab.TLS.trusted()
    tls.known = context
    with lab.GlanceServer(tls=tls) as glance:
        yield glance


def probed_with(context, **fields):
    with speaking(context) as glance:
        return probed(glance.url, **fields)


def test_a_trusted_certificate_tells_its_end(context, cafile):
    result = probed_with(context(), cafile=cafile)
    assert ("", FAR.timestamp()) == (result.reason, result.certificate_expiry)


def test_a_certificate_that_is_not_checked_tells_its_end(context):
    result = probed_with(context(), insecure=True)
    assert ("", FAR.timestamp()) == (result.reason, result.certificate_expiry)


def test_an_expired_certificate_tells_its_end(context, cafile):
    ended = NOW - timedelta(days=1)
    result = probed_with(context(ended), cafile=cafile)
    assert ("tls_error", ended.timestamp()) == (result.reason, result.certificate_expiry)


def test_an_untrusted_certificate_tells_its_end(context, tmp_path):
    path = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(path))
    result = probed_with(context(), cafile=str(path))
    assert ("tls_error", FAR.timestamp()) == (result.reason, result.certificate_expiry)


def test_a_certificate_of_another_name_tells_its_end(context, cafile):
    result = probed_with(context(name="glance.example"), cafile=cafile)
    assert ("tls_error", FAR.timestamp()) == (result.reason, result.certificate_expiry)


def test_what_a_certificate_is_refused_for_is_said(context, cafile):
    result = probed_with(context(NOW - timedelta(days=1)), cafile=cafile)
    assert result.error.endswith("TLS failed: certificate has expired")


def test_a_refused_certificate_ends_the_phases_with_tls(context, cafile):
    result = probed_with(context(name="glance.example"), cafile=cafile)
    assert ["dns", "connect", "tls"] == list(result.phases)


def test_a_certificate_that_can_not_be_read_has_no_end():
    assert None is probe_run._find_expiry(b"no certificate")


def test_a_server_without_tls_has_no_certificate():
    with lab.GlanceServer() as glance:
        assert None is probed(glance.url).certificate_expiry


def test_tls_that_is_none_is_a_tls_error_without_a_certificate():
    with lab.GlanceServer(tls=(tls := lab.TLS.trusted())) as glance:
        glance.break_with(lab.faults.broken_tls())
        result = probed(glance.url, cafile=tls.cafile)
    assert ("tls_error", None) == (result.reason, result.certificate_expiry)


def test_a_server_of_the_lab_that_nobody_trusts_is_a_tls_error():
    with lab.GlanceServer(tls=(tls := lab.TLS.trusted())) as glance:
        glance.break_with(lab.faults.untrusted_tls())
        assert "tls_error" == probed(glance.url, cafile=tls.cafile).reason


def test_a_server_that_hangs_in_the_handshake_is_a_connect_timeout():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}"
        result = probed(url, insecure=True, connect_timeout=0.2)
    assert ("connect_timeout", "tls") == (result.reason, list(result.phases)[-1])


def test_the_handshake_that_hangs_takes_the_time():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}"
        phases = probed(url, insecure=True, connect_timeout=1.0).phases
    assert "tls" == max(phases, key=phases.get)


def test_a_name_with_a_dot_at_its_end_is_that_of_its_certificate(context, cafile):
    lookup = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))]
    with speaking(context(name="localhost")) as glance:
        url = f"https://localhost.:{glance.port}"
        assert "" == probed(url, cafile=cafile, lookup=lambda *_a, **_o: lookup).reason


# --- a certificate for the client --------------------------------------------------------------


@pytest.fixture
def client(authority, tmp_path):
    certificate = authority.issue_cert("client.example")
    certfile, keyfile = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
    certificate.cert_chain_pems[0].write_to_path(certfile)
    certificate.private_key_pem.write_to_path(keyfile)
    return {"certfile": certfile, "keyfile": keyfile}


@pytest.fixture
def wanting(context, authority):
    """TLS that wants a certificate of its clients."""

    def make(**options):
        made = context(**options)
        made.verify_mode = ssl.CERT_REQUIRED
        authority.configure_trust(made)
        return made

    return make


def test_the_client_shows_its_certificate(wanting, client, cafile):
    assert "" == probed_with(wanting(), cafile=cafile, **client).reason


def test_a_client_without_a_certificate_is_refused_as_a_tls_error():
    tls = lab.TLS.trusted()
    tls.known.verify_mode = ssl.CERT_REQUIRED
    tls.known.maximum_version = ssl.TLSVersion.TLSv1_2  # where the handshake tells
    with lab.GlanceServer(tls=tls) as glance:
        assert "tls_error" == probed(glance.url, cafile=tls.cafile).reason


def test_a_refused_certificate_is_looked_at_with_the_clients_own(wanting, client, cafile):
    made = wanting(name="glance.example")
    made.maximum_version = ssl.TLSVersion.TLSv1_2  # where the handshake tells
    result = probed_with(made, cafile=cafile, **client)
    assert ("tls_error", FAR.timestamp()) == (result.reason, result.certificate_expiry)
