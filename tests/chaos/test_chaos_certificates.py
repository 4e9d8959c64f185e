"""The certificates that a server can present."""

from __future__ import annotations

import socket
import ssl
import threading

import pytest
from chaos.certificates import make_certificates


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_certificates(tmp_path_factory.mktemp("certificates"), "glance-3.test")


def shake_hands(made, context):
    """Return the version of TLS that a client and a server agree on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            taken, _ = listener.accept()
            try:
                context.wrap_socket(taken, server_side=True).close()
            except ssl.SSLError:
                taken.close()

        threading.Thread(target=serve, daemon=True).start()
        trusting = ssl.create_default_context(cafile=str(made.authority))
        with (
            socket.create_connection(listener.getsockname(), 10) as client,
            trusting.wrap_socket(client, server_hostname="glance-3.test") as secured,
        ):
            return secured.version()


def test_a_valid_certificate_is_trusted(made):
    assert "TLSv1.3" == shake_hands(made, made.valid)


def test_an_expired_certificate_is_refused(made):
    with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
        shake_hands(made, made.expired)
