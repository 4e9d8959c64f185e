"""Bodies of replies over a connection of the system, whose other end the test has."""

import socket
import ssl

import pytest

from traced_image.pipeline.http.body import Body
from traced_image.pipeline.http.connection import OpenConnection
from traced_image.pipeline.http.reply_parser import CHUNKED
from traced_image.pipeline.http.time_limits import TimeLimits
from traced_image.reasons import MalformedReplyError


@pytest.fixture
def ends():
    """A connection, and the socket at its other end."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield OpenConnection(ours, ("127.0.0.1", 9292)), theirs


def test_a_body_can_be_read_once(ends):
    connection, other = ends
    other.sendall(b"data")
    body = Body(connection, 4, TimeLimits(1.0, 1.0), None)
    assert (b"data", b"") == (body.read(10), body.read(10))


def test_a_body_that_is_closed_after_its_last_piece_has_no_more(ends):
    connection, other = ends
    other.sendall(b"data")
    body = Body(connection, 4, TimeLimits(1.0, 1.0), None)
    pieces = body.iterate(10)
    first = next(pieces)
    body.close()
    assert (b"data", []) == (first, list(pieces))


def test_trailers_may_not_go_on_for_ever(ends):
    connection, other = ends
    other.sendall(b"0\r\n" + b"X: " + b"x" * 60_000 + b"\r\n" + b"X: " + b"x" * 10_000 + b"\r\n")
    body = Body(connection, CHUNKED, TimeLimits(1.0, 1.0), None)
    with pytest.raises(MalformedReplyError, match="its trailers are too long"):
        body.read(10)


class Ended(socket.socket):
    """A TLS socket whose other end has ended the connection."""

    def send(self, _data):
        raise ssl.SSLEOFError(8, "EOF occurred in violation of protocol")


def test_a_server_that_ends_tls_while_data_is_sent_has_closed():
    with Ended() as sock:
        connection = OpenConnection(sock, ("127.0.0.1", 9292))
        with pytest.raises(BrokenPipeError):
            connection.send_part(memoryview(b"data"), TimeLimits(1.0, 1.0))


def test_an_answer_that_has_no_limit_of_its_own_has_that_of_each_wait():
    limits = TimeLimits(1.0, 2.0)
    limits.start_answer()
    assert TimeLimits(1.0, 2.0) == limits
