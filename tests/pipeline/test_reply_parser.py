"""The parser of replies: what it accepts, what it rejects, and that it is as strict as h11."""

import h11
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from traced_image.pipeline.http.reply_parser import (
    CHUNKED,
    UNTIL_CLOSE,
    Head,
    check_trailers,
    check_unfinished,
    find_length,
    parse_chunk_size,
    parse_head,
    stays_open,
)
from traced_image.reasons import MalformedReplyError

OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("data", "head"),
    [
        (OK, Head(200, "1.1", {})),
        (b"HTTP/1.0 404 Not Found\r\n", Head(404, "1.0", {})),
        (b"HTTP/1.1 200\r\n", Head(200, "1.1", {})),
        (b"HTTP/1.1 200 \r\n", Head(200, "1.1", {})),
        (b"HTTP/1.1 200 \xc3\xa9t\xe9 ok\r\n", Head(200, "1.1", {})),
        (b"HTTP/1.9 299 Odd\r\n", Head(299, "1.9", {})),
        (OK + b"Content-Length: 5\r\n", Head(200, "1.1", {"content-length": "5"})),
        (OK + b"X:\t a  b \t\r\n", Head(200, "1.1", {"x": "a  b"})),
        (OK + b"X:\r\n", Head(200, "1.1", {"x": ""})),
        (OK + b"X: 1\r\nx: 2\r\n", Head(200, "1.1", {"x": "1, 2"})),
        (OK + b"X: a\r\n  b\r\nY: c\r\n", Head(200, "1.1", {"x": "a b", "y": "c"})),
        (OK + b"X: \xff:\r\n", Head(200, "1.1", {"x": "\xff:"})),
    ],
)
def test_a_head_is_parsed(data, head):
    assert head == parse_head(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\r\n",
        b"HTTP/1.1 20 OK\r\n",
        b"HTTP/1.1 099 OK\r\n",
        b"HTTP/1.1 2000 OK\r\n",
        b"HTTP/1.1  200 OK\r\n",
        b"HTTP/1.1 \xb2\xb0\xb0 OK\r\n",
        b"HTTP/2 200 OK\r\n",
        b"http/1.1 200 OK\r\n",
        b" HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\n",
        b"HTTP/1.1 200 O\x00K\r\n",
        OK + b"X y\r\n",
        OK + b"X : y\r\n",
        OK + b": y\r\n",
        OK + b"X: a\nb\r\n",
        OK + b"X: a\rb\r\n",
        OK + b"X: a\x00b\r\n",
        OK + b"\xfc: y\r\n",
        OK + b"X: y",
        OK + b"\r\nX: y\r\n",
        b"HTTP/1.1 200 OK\r\n X: y\r\n"[:-2],
        OK + b" X: y\r\n",
        OK + b"\t\r\nX: y\r\n",
    ],
)
def test_what_is_no_head_is_rejected(data):
    with pytest.raises(MalformedReplyError):
        parse_head(data)


def test_two_places_to_go_to_are_rejected():
    with pytest.raises(MalformedReplyError, match="it has two location headers"):
        parse_head(OK + b"Location: /a\r\nlocation: /b\r\n")


@pytest.mark.parametrize("data", [b"", b"H", OK, OK[:-1], OK + b"X: y\r\nZ"])
def test_a_head_may_come_in_parts(data):
    check_unfinished(data)


@pytest.mark.parametrize("data", [b"HTTP/1.1 200 OK\n", b"a\rb", b"a\r\r\n", b"\n\r", b"a\0"])
def test_a_head_with_other_line_ends_is_rejected_before_its_end(data):
    with pytest.raises(MalformedReplyError, match="do not end in CR LF"):
        check_unfinished(data)


@pytest.mark.parametrize(
    ("method", "status", "version", "headers", "length"),
    [
        ("GET", 200, "1.1", {"content-length": "0"}, 0),
        ("GET", 200, "1.1", {"content-length": "005"}, 5),
        ("GET", 200, "1.0", {}, UNTIL_CLOSE),
        ("GET", 200, "1.1", {"transfer-encoding": "Chunked"}, CHUNKED),
        ("HEAD", 200, "1.1", {"content-length": "7"}, 0),
        ("HEAD", 200, "1.1", {"transfer-encoding": "chunked"}, 0),
        ("HEAD", 200, "1.1", {"content-length": "-7"}, 0),
        ("GET", 204, "1.1", {"transfer-encoding": "chunked"}, 0),
        ("GET", 304, "1.1", {"content-length": "7"}, 0),
    ],
)
def test_the_length_of_a_body(method, status, version, headers, length):
    assert length == find_length(method, Head(status, version, headers))


@pytest.mark.parametrize(
    ("version", "headers"),
    [
        *(
            ("1.1", {"content-length": text})
            for text in ("", "-5", "+5", "5, 5", "5 5", "5x", "\u0665")
        ),
        ("1.1", {"content-length": "9" * 19}),
        ("1.1", {"transfer-encoding": "gzip, chunked"}),
        ("1.1", {"transfer-encoding": "identity"}),
        ("1.1", {"transfer-encoding": "chunked, chunked"}),
        ("1.1", {"transfer-encoding": "chunked", "content-length": "5"}),
        ("1.0", {"transfer-encoding": "chunked"}),
    ],
)
def test_a_length_that_contradicts_itself_is_rejected(version, headers):
    with pytest.raises(MalformedReplyError):
        find_length("GET", Head(200, version, headers))


@pytest.mark.parametrize(
    ("version", "connection", "expected"),
    [
        ("1.1", None, True),
        ("1.1", "keep-alive", True),
        ("1.1", "Close", False),
        ("1.1", "upgrade, close", False),
        ("1.0", None, False),
        ("1.0", "Keep-Alive", True),
        ("1.0", "keep-alive, close", False),
    ],
)
def test_whether_the_connection_stays_open(version, connection, expected):
    headers = {} if connection is None else {"connection": connection}
    assert expected == stays_open(Head(200, version, headers))


@pytest.mark.parametrize(
    ("line", "size"),
    [
        (b"0", 0),
        (b"1f", 31),
        (b"1F", 31),
        (b"a;name=value", 10),
        (b"3 ; x", 3),
        (b"f" * 15, 16**15 - 1),
    ],
)
def test_the_size_of_a_chunk(line, size):
    assert size == parse_chunk_size(line)


@pytest.mark.parametrize(
    "line", [b"", b"-1", b"+1", b"0x1", b"1_0", b" 1", b"g", b"f" * 16, b"1\n"]
)
def test_what_is_no_size_of_a_chunk_is_rejected(line):
    with pytest.raises(MalformedReplyError):
        parse_chunk_size(line)


def test_trailers_may_be_any_headers():
    check_trailers(b"X: y\r\nZ:\r\n")


def test_trailers_that_are_no_headers_are_rejected():
    with pytest.raises(MalformedReplyError):
        check_trailers(b"X y\r\n")


# --- the same by h11 ---------------------------------------------------------------------------

TOKENS = st.sampled_from(
    [
        *(b"HTTP/1.1 ", b"HTTP/1.0 ", b"200", b"204", b" OK", b"\r\n", b"\n", b"\r", b" ", b"\t"),
        *(b"Content-Length", b"Transfer-Encoding", b"Connection", b"X-Y", b":", b": ", b"chunked"),
        *(b"5", b"-5", b"5, 5", b"close", b"\x00", b"\x7f", b"\xff", b"a", b"\x0b"),
    ]
)
LINES = st.sampled_from(
    [b"Content-Length: 5", b"Transfer-Encoding: chunked", b"X-Y: z", b"Connection: close", b"A:"]
)


def heads():
    """Heads that are right, nearly right, and wrong."""
    right = st.lists(LINES, max_size=4).map(lambda lines: OK + b"".join(x + b"\r\n" for x in lines))
    wrong = st.lists(TOKENS, max_size=12).map(b"".join)
    return st.one_of(right, wrong, st.tuples(right, wrong).map(b"".join))


@given(heads(), st.sampled_from(["GET", "HEAD"]))
@example(OK + b"Content-Length: 5\r\n", "GET")
@example(b"HTTP/1.0 204 OK\r\n", "GET")
@example(OK + 2 * b"Transfer-Encoding: chunked\r\n", "HEAD")
def test_h11_accepts_each_reply_that_is_accepted_here(data, method):
    try:
        head = parse_head(data)
        length = find_length(method, head)
        find_length("GET", head._replace(status=200))  # h11 checks it even if no body comes
    except MalformedReplyError:
        return
    if b"\r\n\r\n" in data[:-2] or head.status < 200:
        return
    other = h11.Connection(h11.CLIENT)
    other.send(h11.Request(method=method, target="/", headers=[("Host", "glance")]))
    other.send(h11.EndOfMessage())
    other.receive_data(data + b"\r\n")
    event = other.next_event()
    names = {name.decode() for name, _ in event.headers}
    assert (head.status, set(head.headers)) == (event.status_code, names)
    assert (length == 0) == isinstance(other.next_event(), h11.EndOfMessage)
