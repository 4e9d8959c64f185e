"""Which error and reason the real exceptions of the HTTP stack become, and what had reached."""

import contextlib
import errno
import socket
import ssl

import pytest
import requests
import trustme
import urllib3
from hypothesis import given
from hypothesis import strategies as st
from loopback import Loopback, closing, conversation, dribbled, get, reply, resetting, sent

from traced_image import lab
from traced_image.errors import (
    AttemptError,
    CommunicationError,
    HTTPStatusError,
    InvalidEndpoint,
    ProtocolError,
    TLSError,
)
from traced_image.reasons import NotConnectedError, classify, unwrap
from traced_image.telemetry.catalogue import REASONS

HELLO = b"HTTP/1.1 200 OK\r\n"


def met(sender, operation=None, **options):
    """The error of an attempt, as type, reason and whether its request may have reached."""
    with pytest.raises(AttemptError) as caught:
        sender(operation or get(), **options)
    return type(caught.value), caught.value.reason, caught.value.reached


@pytest.fixture
def talking(opened):
    """Start a server that treats its connections as told, and give a sender to it."""
    running = []

    def start(talk, tls=None, **fields):
        server = Loopback(talk, tls)
        running.append(server)
        if tls is not None:
            fields = {"cafile": tls.cafile, **fields}
        return opened.sender(server, **fields)

    yield start
    for server in running:
        server.__exit__()


@pytest.fixture
def free_port():
    """A port on which nothing listens, and which nobody else is given meanwhile."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@pytest.fixture
def deaf():
    """A port whose queue of connections is full, so that none is made."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        address = listener.getsockname()
        fillers = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(address)
            fillers.append(filler)
        yield address[1]
        for filler in fillers:
            filler.close()


# --- before the request ------------------------------------------------------------------------


def test_a_name_that_does_not_resolve(opened):
    sender = opened.sender("http://nowhere.invalid:9292")
    assert met(sender) == (InvalidEndpoint, "dns_error", False)


def test_a_refused_connection(opened, free_port):
    sender = opened.sender(f"http://127.0.0.1:{free_port}")
    assert met(sender) == (CommunicationError, "connection_refused", False)


def test_a_connection_that_is_not_made_in_time(opened, deaf):
    sender = opened.sender(f"http://127.0.0.1:{deaf}", connect_timeout=0.2)
    assert met(sender) == (CommunicationError, "connect_timeout", False)


def test_a_network_that_is_unreachable(opened):
    # The broadcast address: no route takes a TCP connection there.
    sender = opened.sender("http://255.255.255.255:9292", connect_timeout=0.5)
    assert met(sender) == (CommunicationError, "network_unreachable", False)


def test_a_certificate_of_an_unknown_authority(images, tls, opened):
    with lab.GlanceServer(images, tls=tls) as server:
        server.break_with(lab.faults.untrusted_tls())
        sender = opened.sender(server, cafile=tls.cafile)
        assert met(sender) == (TLSError, "tls_error", False)


def test_a_certificate_of_another_host(images, tls, opened):
    with lab.GlanceServer(images, tls=tls) as server:
        sender = opened.sender(server.url.replace("127.0.0.1", "127.0.0.2"), cafile=tls.cafile)
        assert met(sender) in [
            (TLSError, "tls_error", False),
            (CommunicationError, "connection_refused", False),
        ]


def test_what_a_certificate_is_refused_for_is_told(images, tls, opened):
    with lab.GlanceServer(images, tls=tls) as server:
        server.break_with(lab.faults.untrusted_tls())
        with pytest.raises(TLSError, match="TLS failed: unable to get local issuer certificate"):
            opened.sender(server, cafile=tls.cafile)(get())


def test_a_port_that_speaks_no_tls(images, tls, opened):
    with lab.GlanceServer(images, tls=tls) as server:
        server.break_with(lab.faults.broken_tls())
        assert met(opened.sender(server, cafile=tls.cafile)) == (TLSError, "tls_error", False)


def test_a_close_in_the_handshake(talking, tls, opened):
    with Loopback(lambda _server, sock, _number: sock.recv(100)) as server:
        url = server.url.replace("http", "https")
        found = met(opened.sender(url, cafile=tls.cafile))
    assert found in [
        (TLSError, "tls_error", False),
        (CommunicationError, "connection_reset", False),
    ]


def test_a_reset_in_the_handshake(tls, opened):
    with Loopback(lambda _server, sock, _number: (sock.recv(10), resetting()(sock))) as server:
        url = server.url.replace("http", "https")
        sender = opened.sender(url, cafile=tls.cafile)
        assert met(sender) == (CommunicationError, "connection_reset", False)


def test_a_handshake_that_is_not_made_in_time(tls, opened):
    with Loopback(lambda _server, sock, _number: sock.makefile("rb").read()) as server:
        url = server.url.replace("http", "https")
        sender = opened.sender(url, cafile=tls.cafile, connect_timeout=0.2)
        assert met(sender) == (CommunicationError, "connect_timeout", False)


def test_a_host_that_no_name_can_have(opened):
    sender = opened.sender(f"http://{'a.' * 3}:9292".replace("a.", "aa."))
    assert met(sender)[0] is InvalidEndpoint


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_fails_is_told_from_the_server(opened, tls, monkeypatch, free_port, scheme):
    for name in ("no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(f"{scheme}_proxy", f"http://127.0.0.1:{free_port}")
    sender = opened.sender(f"{scheme}://127.0.0.1:9292", cafile=tls.cafile)
    with pytest.raises(CommunicationError) as caught:
        sender(get())
    expected = ("127.0.0.1:9292: its proxy failed: no connection to it", "proxy_error")
    assert expected == (str(caught.value), caught.value.reason)


# --- after the request -------------------------------------------------------------------------


@pytest.fixture(params=["http", "https"])
def over(request, talking, tls):
    """Start a server that answers as told, with and without TLS."""

    def start(*says, **fields):
        return talking(conversation(*says), tls if request.param == "https" else None, **fields)

    return start


def test_no_answer_in_time(over):
    sender = over(lambda sock: sock.recv(1), read_timeout=0.2)
    assert met(sender) == (CommunicationError, "read_timeout", True)


def test_no_answer_before_the_deadline(over):
    sender = over(lambda sock: sock.recv(1))
    assert met(sender, deadline=0.2) == (CommunicationError, "deadline_exceeded", True)


def test_a_reply_that_stops_in_its_body(over):
    def stop(sock):
        sock.sendall(HELLO + b"Content-Length: 10\r\n\r\n{")
        sock.recv(1)

    assert met(over(stop, read_timeout=0.2)) == (CommunicationError, "read_timeout", True)


def test_a_close_without_an_answer(over):
    assert met(over(closing())) == (CommunicationError, "connection_reset", True)


def test_a_reset_without_an_answer(over):
    assert met(over(resetting())) == (CommunicationError, "connection_reset", True)


def test_a_reset_in_the_headers(over):
    found = met(over(resetting(HELLO + b"Content-")))
    assert found in [
        (CommunicationError, "connection_reset", True),
        (ProtocolError, "protocol_error", True),
    ]


def test_a_close_in_the_headers(over):
    assert met(over(closing(HELLO + b"Content-Le"))) == (ProtocolError, "protocol_error", True)


def test_a_close_in_the_body(over):
    cut = HELLO + b"Content-Length: 10\r\n\r\n{"
    assert met(over(closing(cut))) == (ProtocolError, "protocol_error", True)


def test_a_close_in_a_chunk(over):
    cut = HELLO + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab"
    assert met(over(closing(cut))) == (ProtocolError, "protocol_error", True)


def test_a_close_between_chunks(over):
    cut = HELLO + b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n"
    assert met(over(closing(cut))) == (ProtocolError, "protocol_error", True)


def test_a_tls_error_in_mid_reply(talking, tls):
    def garble(sock):
        sock.sendall(HELLO + b"Content-Length: 10\r\n\r\n{")
        # Past TLS, on the same descriptor: what arrives is no record.
        with socket.socket(fileno=socket.dup(sock.fileno())) as bare:
            bare.sendall(b"\x17\x03\x03\x00\x05wrong")
            bare.shutdown(socket.SHUT_WR)

    assert met(talking(conversation(garble), tls)) == (TLSError, "tls_error", True)


@pytest.mark.parametrize(
    "said",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/9.9 200 OK\r\n\r\n",
        b"HTTP/1.1 two OK\r\n\r\n",
        b"HTTP/1.1 99 OK\r\n\r\n",
        b"\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 500,
        HELLO + b"no header\r\nContent-Length: 2\r\n\r\n{}",
        HELLO + b"\x00\xff: x\r\n\x01\r\n\r\n{}",
        HELLO + b"X: " + b"x" * 70_000 + b"\r\n\r\n",
        HELLO + b"X: x\r\n" * 20_000 + b"\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n{}",
        HELLO + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        HELLO + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n{}\r\n",
        HELLO + b"Transfer-Encoding: chunked\r\n\r\n-5\r\n{}\r\n",
    ],
    ids=lambda said: said[:40],
)
def test_what_is_not_http(talking, said):
    sender = talking(conversation(closing(said)))
    assert met(sender) == (ProtocolError, "protocol_error", True)


def test_more_redirects_than_are_followed(images, server, opened):
    server.break_with(lab.faults.redirect_loop())
    found = met(opened.sender(server))
    assert found == (ProtocolError, "too_many_redirects", True)


def test_a_redirect_elsewhere(over):
    sender = over(reply(302, b"", "Location: http://elsewhere.example/v2/images/x"))
    assert met(sender) == (InvalidEndpoint, "invalid_endpoint", True)


def test_a_status(server, opened):
    server.break_with(lab.faults.status(418))
    found = met(opened.sender(server))
    assert (issubclass(found[0], HTTPStatusError), *found[1:]) == (True, "418", True)


def test_an_operation_that_may_have_been_carried_out_is_told_apart(talking):
    assert met(talking(conversation(closing())), sent("DELETE"))[2]


def test_a_deadline_that_passed_before_anything_was_sent(over):
    sender = over(reply(200, b"{}"))
    assert met(sender, deadline=0.0) == (CommunicationError, "deadline_exceeded", False)


def test_the_words_name_the_server(opened, free_port):
    sender = opened.sender(f"http://127.0.0.1:{free_port}")
    with pytest.raises(
        CommunicationError, match=rf"^127\.0\.0\.1:{free_port}: connection refused$"
    ):
        sender(get())


# --- whatever else -----------------------------------------------------------------------------


def test_the_exception_that_the_caller_is_handling_is_not_looked_at(opened, free_port):
    sender = opened.sender(f"http://127.0.0.1:{free_port}")
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(0.001)
        try:
            ours.recv(1)
        except TimeoutError:
            found = met(sender)
    assert found == (CommunicationError, "connection_refused", False)


@pytest.mark.parametrize(
    "refusal",
    [
        urllib3.exceptions.LocationParseError("label too long"),
        requests.exceptions.InvalidSchema("No connection adapters were found"),
        requests.exceptions.MissingSchema("No scheme supplied"),
        requests.exceptions.InvalidURL("No host supplied"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_address_that_a_library_refuses_was_not_reached(refusal):
    error = classify(refusal, "glance-1:9292")
    assert (type(error), error.reason, error.reached) == (
        InvalidEndpoint,
        "invalid_endpoint",
        False,
    )


def test_a_library_that_follows_redirects_gives_up():
    error = classify(requests.exceptions.TooManyRedirects("Exceeded 30"), "glance-1:9292")
    assert (type(error), error.reason, error.reached) == (
        ProtocolError,
        "too_many_redirects",
        True,
    )


@pytest.mark.parametrize("number", [errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN])
def test_a_network_is_unreachable_by_its_number(number):
    assert classify(OSError(number, "no"), "glance-1:9292").reason == "network_unreachable"


@pytest.mark.parametrize("number", [errno.ENOTCONN, errno.ESHUTDOWN])
def test_a_connection_that_was_reset_before_it_was_used(number):
    assert classify(OSError(number, "no"), "glance-1:9292").reason == "connection_reset"


def test_what_is_not_known_is_other():
    error = classify(requests.RequestException("strange"), "glance-1:9292")
    assert (type(error), error.reason, error.reached) == (CommunicationError, "_OTHER", True)


def test_what_the_system_says_is_in_the_message():
    error = classify(NotConnectedError(errno.EMFILE, "password"), "glance-1:9292")
    expected = ("_OTHER", False, "glance-1:9292: Too many open files")
    assert (error.reason, error.reached, str(error)) == expected


def test_what_is_not_known_is_named_by_its_class():
    error = classify(requests.RequestException("strange"), "glance-1:9292")
    assert str(error) == "glance-1:9292: RequestException (see its cause)"


def test_a_chain_that_bites_its_tail_ends():
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    assert list(unwrap(first)) == [first, second]


EXCEPTIONS = st.sampled_from(
    [
        OSError(errno.EMFILE, "too many"),
        TimeoutError("slow"),
        ConnectionRefusedError(errno.ECONNREFUSED, "no"),
        BrokenPipeError(errno.EPIPE, "no"),
        socket.gaierror(-2, "no name"),
        ssl.SSLError(1, "wrong"),
        ssl.SSLZeroReturnError(6, "closed"),
        urllib3.exceptions.ProtocolError("cut"),
        urllib3.exceptions.NewConnectionError(None, "no"),
        ValueError("what"),
    ]
)


@given(EXCEPTIONS, st.lists(EXCEPTIONS, max_size=3))
def test_every_exception_has_a_reason_of_the_catalogue(error, wrapped):
    error = type("Outer", (Exception,), {})(error, *wrapped)
    assert classify(error, "glance-1:9292").reason in REASONS


def test_headers_that_dribble_are_bounded_by_the_read_timeout_only(talking):
    sender = talking(conversation(dribbled(reply(200, b"{}"), 0.005)), read_timeout=0.2)
    assert sender.value(get()).body == b"{}"


# --- what TLS failed for -----------------------------------------------------------------------


def refusing(context):
    """Refuse the handshake, and read on until the client leaves, so that the alert arrives."""

    def talk(_server, sock, _number):
        secured = context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        with secured, contextlib.suppress(ssl.SSLError):
            secured.do_handshake()
        with secured:
            while socket.socket.recv(secured, 65536):
                pass

    return talk


def demanding(version):
    """TLS of this version that wants a certificate of its clients; and for clients, its CA."""
    tls = lab.TLS.trusted()
    tls.known.verify_mode = ssl.CERT_REQUIRED
    tls.known.load_verify_locations(tls.cafile)
    tls.known.minimum_version = tls.known.maximum_version = version
    return tls


VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.fixture
def refused(opened):
    """The error of a write to a server that refuses the handshake."""

    def write(version, **fields):
        tls = demanding(version)
        with Loopback(refusing(tls.known)) as server:
            url = server.url.replace("http", "https")
            sender = opened.sender(url, cafile=tls.cafile, **fields)
            with pytest.raises(TLSError) as caught:
                sender(sent("POST", body=b"{}"))
            opened.close()
        return caught.value

    return write


@pytest.mark.parametrize("version", VERSIONS)
def test_a_client_certificate_that_is_missing_is_told(refused, version):
    error = refused(version)
    assert (True, "tls_error", False) == ("certificate" in str(error), error.reason, error.reached)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_client_certificate_that_is_rejected_is_told(refused, version, tmp_path):
    certificate = trustme.CA().issue_cert("client.example")
    certificate.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "client.pem"))
    error = refused(version, certfile=str(tmp_path / "client.pem"))
    said = "alert unknown ca: the server rejects the client certificate: check certfile"
    assert (True, False) == (said in str(error), error.reached)


def answering(_server, sock, _number):
    sock.recv(65536)
    sock.sendall(reply(400))


def test_a_port_that_speaks_http_is_told(opened, tls):
    with Loopback(answering) as server:
        sender = opened.sender(server.url.replace("http", "https"), cafile=tls.cafile)
        with pytest.raises(TLSError, match=r"does not speak TLS on this port \(plain http\?\)$"):
            sender(get())


def tls_error(reason):
    error = ssl.SSLError(1, "as OpenSSL has it")
    error.reason = reason
    return error


@pytest.mark.parametrize(
    ("reason", "hint"),
    [
        ("HTTP_REQUEST", "plain http"),
        ("RECORD_LAYER_FAILURE", "plain http"),
        ("packet length too long", "plain http"),
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", "wants a client certificate"),
        ("SSL/TLS_ALERT_BAD_CERTIFICATE", "rejects the client certificate"),
        ("ssl/tls alert certificate revoked", "rejects the client certificate"),
        ("SSLV3_ALERT_HANDSHAKE_FAILURE", "none of this client's ciphers"),
    ],
)
def test_each_version_of_openssl_is_understood(reason, hint):
    assert hint in str(classify(tls_error(reason), "glance-1:9292"))


@pytest.mark.parametrize(
    ("reason", "reached"),
    [
        ("SSLV3_ALERT_UNSUPPORTED_CERTIFICATE", False),
        ("TLSV1_ALERT_ACCESS_DENIED", False),
        ("SSLV3_ALERT_BAD_RECORD_MAC", True),
        ("TLSV1_ALERT_INTERNAL_ERROR", True),
        ("WRONG_VERSION_NUMBER", True),
    ],
)
def test_a_handshake_that_is_refused_after_its_end_has_not_reached(reason, reached):
    assert reached == classify(tls_error(reason), "glance-1:9292").reached


def test_a_reason_without_a_hint_is_told():
    expected = "glance-1:9292: TLS failed: no shared cipher"
    assert expected == str(classify(tls_error("NO_SHARED_CIPHER"), "glance-1:9292"))


def test_an_error_of_tls_without_a_reason_is_just_that():
    assert "glance-1:9292: TLS failed" == str(classify(ssl.SSLError(1, "wrong"), "glance-1:9292"))
