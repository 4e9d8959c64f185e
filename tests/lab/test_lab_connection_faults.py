"""Faults of connections: handshakes, clients' certificates, and answers that come too early."""

import ssl
import threading

import pytest

from traced_image import lab
from traced_image.errors import InvalidArgument
from traced_image.lab import faults

LIMIT = 10.0
GET = b"GET /v2/images HTTP/1.1\r\n\r\n"
PUT = b"PUT /v2/images/x/file HTTP/1.1\r\nAccept: */*\r\nContent-Length: 1000000\r\n\r\n"


@pytest.fixture(scope="module")
def tls():
    return lab.TLS.trusted()


@pytest.fixture
def secure(images, tls):
    with lab.GlanceServer(images, tls=tls) as server:
        yield server


@pytest.fixture
def shake_hands(secure, tls, dial):
    """Connect by TLS, with a client's certificate or without."""
    opened = []

    def shake(certfile=None):
        context = ssl.create_default_context(cafile=tls.cafile)
        if certfile:
            context.load_cert_chain(certfile)
        sock = context.wrap_socket(dial(secure), server_hostname="localhost")
        opened.append(sock)
        return sock

    yield shake
    for sock in opened:
        sock.close()


def read_all(sock):
    data = b""
    while piece := sock.recv(1 << 16):
        data += piece
    return data


def is_quiet(sock):
    sock.settimeout(0.05)
    try:
        sock.recv(1)
    except TimeoutError:
        return True
    return False


# --- TLS ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [faults.plain_http(), faults.silent_tls(), faults.demand_certificate()],
    ids=lambda fault: fault.name,
)
def test_a_fault_of_tls_needs_tls(server, fault):
    with pytest.raises(InvalidArgument, match="tls=TLS"):
        server.break_with(fault)


def test_plain_http_is_a_page_with_an_error(secure, dial):
    secure.break_with(faults.plain_http())
    sock = dial(secure)
    sock.sendall(b"\x16\x03\x01")
    assert read_all(sock).startswith(b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/html")


def test_a_client_of_tls_knows_plain_http_when_it_sees_it(secure, shake_hands):
    secure.break_with(faults.plain_http())
    with pytest.raises(ssl.SSLError, match=r"(?i)wrong.version.number|http.request"):
        shake_hands()


def test_silent_tls_accepts_and_says_nothing(secure, dial):
    secure.break_with(faults.silent_tls())
    sock = dial(secure)
    sock.sendall(b"\x16\x03\x01")
    assert is_quiet(sock)


def test_silent_tls_ends_with_the_fault(secure, dial):
    secure.break_with(faults.silent_tls())
    sock = dial(secure)
    assert is_quiet(sock)
    secure.heal()
    sock.settimeout(LIMIT)
    with pytest.raises(ssl.SSLError):
        ssl.create_default_context().wrap_socket(sock, server_hostname="localhost")


def test_silent_tls_for_some_connections_leaves_the_next_one_alone(secure, dial, shake_hands):
    secure.break_with(faults.silent_tls().times(1))
    assert is_quiet(dial(secure))
    sock = shake_hands()
    sock.sendall(GET)
    assert sock.recv(12) == b"HTTP/1.1 200"


@pytest.mark.parametrize("tls_1_2", [False, True])
def test_a_client_with_a_certificate_of_the_ca_is_served(secure, tls, shake_hands, tls_1_2):
    secure.break_with(faults.demand_certificate(tls_1_2=tls_1_2))
    sock = shake_hands(tls.certfile)
    sock.sendall(GET)
    assert sock.recv(12) == b"HTTP/1.1 200"


def test_a_client_without_a_certificate_is_refused_in_its_handshake(secure, shake_hands):
    secure.break_with(faults.demand_certificate(tls_1_2=True))
    with pytest.raises(ssl.SSLError, match=r"(?i)handshake.failure"):
        shake_hands()


def test_with_tls_1_3_it_is_refused_after_its_handshake(secure, shake_hands):
    secure.break_with(faults.demand_certificate())
    sock = shake_hands()
    with pytest.raises(ssl.SSLError, match=r"(?i)certificate.required"):
        sock.recv(1)


def test_a_certificate_of_another_ca_is_refused(secure, tls, shake_hands):
    secure.break_with(faults.demand_certificate(tls_1_2=True))
    with pytest.raises(ssl.SSLError, match=r"(?i)unknown.ca"):
        shake_hands(tls.unknown_certfile)


def test_a_certificate_expires_under_way(secure, tls, dial):
    secure.break_with(faults.expiring_tls(3600))
    context = ssl.create_default_context(cafile=tls.cafile)
    with context.wrap_socket(dial(secure), server_hostname="localhost") as sock:
        end = ssl.cert_time_to_seconds(sock.getpeercert()["notAfter"])
    assert 3590 < end - secure.episode.began <= 3600


def test_a_certificate_that_has_expired_is_not_trusted(secure, shake_hands):
    secure.break_with(faults.expiring_tls())
    with pytest.raises(ssl.SSLError, match=r"(?i)certificate has expired"):
        shake_hands()
    access = secure.wait_for(fault="expiring_tls")[0]
    assert "SSL" in access.error


def test_all_connections_have_the_certificate_that_expires(secure, tls, dial):
    secure.break_with(faults.expiring_tls(3600))
    found = set()
    for _ in range(2):
        context = ssl.create_default_context(cafile=tls.cafile)
        with context.wrap_socket(dial(secure), server_hostname="localhost") as sock:
            found.add(sock.getpeercert()["serialNumber"])
    assert 1 == len(found)


def test_an_open_connection_outlives_its_certificate(secure, tls, shake_hands):
    sock = shake_hands()
    secure.break_with(faults.expiring_tls())
    sock.sendall(GET)
    assert sock.recv(12) == b"HTTP/1.1 200"


@pytest.mark.parametrize(
    ("fault", "status"),
    [(faults.plain_http(), 400), (faults.silent_tls(), None), (faults.broken_tls(), None)],
    ids=lambda value: getattr(value, "name", None),
)
def test_a_fault_of_tls_is_logged_as_a_connection(secure, dial, fault, status):
    secure.break_with(fault)
    dial(secure).sendall(b"\x16\x03\x01")
    (access,) = secure.wait_for(fault=fault.name)
    assert ("", status, None) == (access.method, access.status, access.error)


def test_a_handshake_that_a_client_breaks_off_is_logged(secure, dial, until):
    dial(secure).close()
    until(lambda: secure.access_log)
    (access,) = secure.access_log
    assert ("", None, True) == (access.method, access.fault, "SSL" in access.error)


def test_a_handshake_fault_goes_together_with_a_status(secure, tls, shake_hands):
    secure.break_with(faults.demand_certificate() | faults.status(503))
    sock = shake_hands(tls.certfile)
    sock.sendall(GET)
    assert sock.recv(12) == b"HTTP/1.1 503"
    assert ["demand_certificate", "status"] == [each.fault for each in secure.access_log]


# --- never read --------------------------------------------------------------------------------


def test_never_read_accepts_and_says_nothing(server, dial):
    server.break_with(faults.never_read())
    sock = dial(server)
    sock.sendall(GET)
    assert (is_quiet(sock), server.find_requests()) == (True, ())


def test_never_read_lets_a_sender_wait(server, dial):
    server.break_with(faults.never_read())
    sock = dial(server)
    sock.settimeout(0.1)
    with pytest.raises(TimeoutError):
        sock.sendall(b"x" * (32 << 20))


def test_never_read_completes_the_handshake_of_tls(secure, shake_hands):
    secure.break_with(faults.never_read())
    sock = shake_hands()
    sock.sendall(GET)
    assert is_quiet(sock)


def test_never_read_ends_with_the_fault(server, dial):
    server.break_with(faults.never_read())
    sock = dial(server)
    assert is_quiet(sock)
    server.heal()
    sock.settimeout(LIMIT)
    assert sock.recv(1) == b""


def test_never_read_closes_kept_connections(server, connect):
    connection = connect(server)
    connection.request("GET", "/versions")
    connection.getresponse().read()
    server.break_with(faults.never_read())
    assert connection.sock.recv(1) == b""


# --- early answers -----------------------------------------------------------------------------


@pytest.mark.parametrize("code", [200, 401, 413, 503])
def test_an_early_answer_comes_before_the_body(server, dial, code):
    server.break_with(faults.early_answer(code, "stall"))
    sock = dial(server)
    sock.sendall(PUT)
    reply = sock.recv(1 << 16)
    assert (reply[:12], b"<html>" in reply) == (b"HTTP/1.1 %d" % code, True)


def test_an_early_204_has_no_page(server, dial):
    server.break_with(faults.early_answer(204))
    sock = dial(server)
    sock.sendall(PUT)
    assert read_all(sock).endswith(b"Connection: close\r\n\r\n")


def test_an_early_answer_is_logged_without_a_body(server, dial):
    server.break_with(faults.early_answer(413))
    sock = dial(server)
    sock.sendall(PUT)
    read_all(sock)
    access = server.access_log[-1]
    assert (access.status, access.body_bytes, access.fault) == (413, 0, "early_answer")


def test_an_early_answer_carries_nothing_out(server, dial, images, image_id):
    server.break_with(faults.early_answer(204))
    sock = dial(server)
    sock.sendall(f"DELETE /v2/images/{image_id} HTTP/1.1\r\n\r\n".encode())
    read_all(sock)
    assert images.get(image_id) is not None


def test_a_stalling_server_reads_no_more(server, dial):
    server.break_with(faults.early_answer(413, "stall"))
    sock = dial(server)
    sock.sendall(PUT)
    assert sock.recv(12) == b"HTTP/1.1 413"
    sock.settimeout(0.1)
    with pytest.raises(TimeoutError):
        sock.sendall(b"x" * (32 << 20))


def test_a_hanging_server_reads_on(server, dial):
    server.break_with(faults.early_answer(413, "hang"))
    sock = dial(server)
    sock.sendall(PUT)
    assert sock.recv(12) == b"HTTP/1.1 413"
    sock.sendall(b"x" * (32 << 20))


def test_a_half_closing_server_reads_on_after_its_end(server, dial):
    server.break_with(faults.early_answer(503, "half_close"))
    sock = dial(server)
    sock.sendall(PUT)
    read_all(sock)
    sock.sendall(b"x" * (32 << 20))


def test_a_closing_server_resets_a_client_that_sends_on(server, dial):
    server.break_with(faults.early_answer(503))
    sock = dial(server)
    sock.sendall(PUT)
    read_all(sock)
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        sock.sendall(b"x" * (32 << 20))


def test_a_resetting_server_resets(server, dial):
    server.break_with(faults.early_answer(503, "reset"))
    sock = dial(server)
    sock.sendall(PUT)
    with pytest.raises(ConnectionResetError):
        read_all(sock)


def test_a_server_that_keeps_the_connection_reads_the_body_after_its_answer(server, dial):
    server.break_with(faults.early_answer(413, "keep").times(1))
    sock = dial(server)
    sock.sendall(PUT)
    assert sock.recv(1 << 16).startswith(b"HTTP/1.1 413")
    sock.sendall(b"x" * 1_000_000 + GET)
    assert sock.recv(12) == b"HTTP/1.1 200"


def test_a_body_that_is_none_ends_the_connection_after_an_early_answer(server, dial):
    server.break_with(faults.early_answer(413, "keep"))
    sock = dial(server)
    sock.sendall(b"PUT /x HTTP/1.1\r\nContent-Length: x\r\n\r\n")
    assert read_all(sock).startswith(b"HTTP/1.1 413")


def test_stop_ends_what_stalls(images, dial):
    with lab.GlanceServer(images) as server:
        server.break_with(faults.early_answer(413, "stall"))
        sock = dial(server)
        sock.sendall(PUT)
        sock.recv(12)
    assert not [each for each in threading.enumerate() if each.name.startswith("glance-")]
