"""HTTP/1.1 read and written."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from traced_image.lab.http1 import (
    Malformed,
    ReceivedBody,
    ReceivedRequest,
    Response,
    make_json_response,
    read_body,
    read_head,
    to_origin_form,
)


class Broken(io.RawIOBase):
    """A connection that breaks after its bytes."""

    def __init__(self, data):
        self.data = data

    def readable(self):
        return True

    def readinto(self, buffer):
        if not self.data:
            raise ConnectionResetError
        size = min(len(buffer), len(self.data))
        buffer[:size], self.data = self.data[:size], self.data[size:]
        return size


def stream(data):
    return io.BufferedReader(io.BytesIO(data))


def broken(data):
    return io.BufferedReader(Broken(data))


def test_a_request_is_read():
    data = b"GET /a%20b?x=1&y HTTP/1.1\r\nHost: h\r\nX-A:  1 \r\n\r\n"
    expected = ReceivedRequest("GET", "/a%20b?x=1&y", {"host": "h", "x-a": "1"})
    assert expected == read_head(stream(data))


def test_a_path_and_a_query_are_told_apart():
    request = ReceivedRequest("GET", "/a%20b?x=1&x=2&y")
    assert (request.path, request.query) == ("/a%20b", [("x", "1"), ("x", "2"), ("y", "")])


@pytest.mark.parametrize("line", [b"\r\n", b"\n"])
def test_an_empty_line_before_a_request_is_ignored(line):
    assert ReceivedRequest("GET", "/") == read_head(stream(line + b"GET / HTTP/1.1\r\n\r\n"))


def test_an_empty_line_alone_is_no_request():
    assert None is read_head(stream(b"\r\n"))


def test_a_second_empty_line_is_refused():
    with pytest.raises(Malformed):
        read_head(stream(b"\r\n\r\nGET / HTTP/1.1\r\n\r\n"))


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("http://glance:9292/v2/images?x=/y", ("/v2/images?x=/y", "glance:9292")),
        ("HTTPS://[::1]:9292/v2", ("/v2", "[::1]:9292")),
        ("http://user:word@glance/", ("/", "glance")),
        ("http://glance", ("/", "glance")),
        ("http://glance?x=y", ("/?x=y", "glance")),
        ("http:///v2", ("http:///v2", "h")),
        ("/v2?x=http://glance/", ("/v2?x=http://glance/", "h")),
        ("*", ("*", "h")),
    ],
)
def test_a_url_is_a_path_and_the_host_that_counts(target, expected):
    request = to_origin_form(ReceivedRequest("GET", target, {"host": "h", "a": "b"}))
    assert (*expected, "b") == (request.target, request.headers["host"], request.headers["a"])


def test_headers_given_twice_are_joined():
    request = read_head(stream(b"GET / HTTP/1.1\r\nA: 1\r\na: 2\r\n\r\n"))
    assert request.headers["a"] == "1, 2"


def test_a_closed_connection_is_no_request():
    assert read_head(stream(b"")) is None


@pytest.mark.parametrize(
    ("head", "kept"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", True),
        (b"GET / HTTP/1.1\r\nConnection: Close\r\n\r\n", False),
        (b"GET / HTTP/1.0\r\n\r\n", False),
        (b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", True),
        (b"GET / HTTP/1.0\r\nConnection: Keep-Alive, TE\r\n\r\n", True),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", False),
        (b"GET / HTTP/1.1\r\nConnection: close, TE\r\n\r\n", False),
        (b"GET / HTTP/1.1\r\nConnection: TE ,Close\r\n\r\n", False),
        (b"GET / HTTP/1.1\r\nConnection: TE\r\nConnection: close\r\n\r\n", False),
        (b"GET / HTTP/1.1\r\nConnection: closed\r\n\r\n", True),
    ],
)
def test_keep_alive_is_the_default_of_http_1_1_only(head, kept):
    assert kept == read_head(stream(head)).keep_alive


def test_too_many_headers_are_refused():
    with pytest.raises(Malformed, match="too many"):
        read_head(stream(b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 201 + b"\r\n"))


@pytest.mark.parametrize(
    ("headers", "data", "expected"),
    [
        ({}, b"rest", (b"", True)),
        ({"content-length": "3"}, b"abcd", (b"abc", True)),
        ({"content-length": "5"}, b"abcd", (b"abcd", False)),
        (
            {"transfer-encoding": "chunked"},
            b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n",
            (b"abcde", True),
        ),
        ({"transfer-encoding": "Chunked"}, b"3\r\nabc\r\n", (b"abc", False)),
        ({"transfer-encoding": "chunked"}, b"3\r\nab", (b"ab", False)),
        ({"transfer-encoding": "chunked"}, b"3\r\nabc", (b"abc", False)),
    ],
)
def test_a_body_is_read_as_far_as_it_comes(headers, data, expected):
    assert expected == read_body(stream(data), headers)


@pytest.mark.parametrize("trailers", [b"", b"A: 1\r\n", b"A: 1\r\nB: 2\r\n"])
def test_nothing_is_left_of_a_body_in_chunks_with_trailers(trailers):
    connection = stream(b"3\r\nabc\r\n0\r\n%s\r\nGET / HTTP/1.1\r\n\r\n" % trailers)
    body = read_body(connection, {"transfer-encoding": "chunked"})
    assert ((b"abc", True), ReceivedRequest("GET", "/")) == (body, read_head(connection))


@pytest.mark.parametrize(
    ("headers", "data", "expected"),
    [
        ({"content-length": "5"}, b"abc", b"abc"),
        ({"transfer-encoding": "chunked"}, b"3\r\nabc\r\n", b"abc"),
    ],
)
def test_what_came_before_a_break_is_kept(headers, data, expected):
    assert (expected, False) == read_body(broken(data), headers)


@pytest.mark.parametrize(
    ("headers", "data"),
    [
        ({"content-length": "x"}, b""),
        ({"content-length": "-1"}, b""),
        ({"transfer-encoding": "chunked"}, b"x\r\n"),
        ({"transfer-encoding": "chunked"}, b"-1\r\n"),
    ],
)
def test_a_length_that_is_none_is_refused(headers, data):
    with pytest.raises(Malformed):
        read_body(stream(data), headers)


@given(st.binary(max_size=200) | st.binary(max_size=100).map(lambda b: b"GET / HTTP/1.1\r\n" + b))
def test_whatever_comes_is_a_request_or_malformed(data):
    try:
        request = read_head(stream(data))
    except Malformed:
        return
    assert request is None or (request.method and request.target)


@given(
    st.binary(max_size=100),
    st.dictionaries(st.sampled_from(["content-length", "transfer-encoding"]), st.text(max_size=8)),
)
def test_whatever_comes_is_a_body_or_malformed(data, headers):
    try:
        body, _ = read_body(stream(data), headers)
    except Malformed:
        return
    assert body in data or body == b""


def test_json_is_not_escaped():
    assert '{"a": "ä"}'.encode() == make_json_response(200, {"a": "ä"}).body


def test_a_length_of_its_own_is_not_written_twice():
    head = Response(200, headers=(("Content-Length", "7"),)).head()
    assert head.count(b"Content-Length") == 1


def test_an_answer_without_a_body_needs_no_media_type():
    assert b"Content-Type" not in Response(204, content_type="").head()


@given(
    st.lists(st.binary(max_size=20), max_size=5),
    st.lists(st.integers(0, 60), max_size=4),
    st.booleans(),
)
def test_a_body_that_is_read_in_parts_is_the_same(pieces, stops, in_chunks):
    whole = b"".join(pieces)
    headers = {"content-length": str(len(whole))}
    data = whole
    if in_chunks:
        headers = {"transfer-encoding": "chunked"}
        chunks = [b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces if piece]
        data = b"".join([*chunks, b"0\r\n\r\n"])
    body = ReceivedBody(stream(data + b"NEXT"), headers)
    for stop in sorted(stops):
        body.read(stop)
        assert whole[:stop] == bytes(body.data)
    assert (True, whole) == (body.read(), bytes(body.data))


@pytest.mark.parametrize("value", ["a\rb", "a\nb", "a\0b", "a\ud800b"])
def test_a_header_that_would_split_a_reply_is_refused(value):
    with pytest.raises(ValueError, match="'X-A' has a character that can't be sent"):
        Response(200, headers=(("X-A", value),)).check()
