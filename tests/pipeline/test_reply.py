"""Replies: the limit of a body, the words of an error page, and Retry-After in all its forms."""

import contextlib
import time
from email.utils import formatdate

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from loopback import Loopback, closing, conversation, get, reply

from traced_image.errors import HTTPStatusError, ProtocolError
from traced_image.pipeline.clock import Clock
from traced_image.pipeline.http.reply import _find_detail, _read_retry_after

NOW = 1_700_000_000.0
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture
def tell(opened):
    """Start a server that answers as told; give it and a sender to it."""
    with contextlib.ExitStack() as stack:

        def start(*says, **fields):
            server = stack.enter_context(Loopback(conversation(*says)))
            return server, opened.sender(server, **fields)

        yield start


# --- bodies ------------------------------------------------------------------------------------


def bodies(size):
    """The same body as servers may send it."""
    data = b"x" * size
    chunk = b"%x\r\n%b\r\n" % (size, data) if size else b""
    says = {
        "with a length": reply(200, data),
        "in chunks": CHUNKED + chunk + b"0\r\n\r\n",
        "until the end": closing(b"HTTP/1.1 200 OK\r\n\r\n" + data),
    }
    return pytest.mark.parametrize("said", says.values(), ids=says.keys())


@bodies(100)
def test_a_body_may_have_the_size_that_is_allowed(tell, said):
    _, sender = tell(said, max_metadata_size=100)
    assert sender.value(get()).body == b"x" * 100


@bodies(101)
def test_a_longer_body_is_refused(tell, said):
    _, sender = tell(said, max_metadata_size=100)
    with pytest.raises(ProtocolError, match=r"longer than 100 bytes: raise max_metadata_size"):
        sender(get())


@bodies(0)
def test_a_body_may_be_empty(tell, said):
    _, sender = tell(said)
    assert sender.value(get()).body == b""


def test_a_body_without_end_is_not_read_beyond_the_limit(tell):
    def endless(sock):
        sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        with contextlib.suppress(OSError):
            while True:
                sock.sendall(b"x" * 4096)

    _, sender = tell(endless, max_metadata_size=10_000)
    with pytest.raises(ProtocolError, match="longer than"):
        sender(get())


def test_a_length_beyond_the_limit_is_enough_to_refuse(tell):
    huge = reply(200, b"{}", f"Content-Length: {1 << 50}")
    _, sender = tell(closing(huge + b"x" * 200), max_metadata_size=100)
    with pytest.raises(ProtocolError, match="longer than"):
        sender(get())


@pytest.mark.parametrize("length", ["-5", "+2", "2 2", "2, 2", "two", "", "9" * 5000])
def test_a_length_that_is_not_one_number_is_an_error(tell, length):
    _, sender = tell(reply(200, b"{}", f"Content-Length: {length}"))
    with pytest.raises(ProtocolError, match="its Content-Length is not one number"):
        sender(get())


@pytest.mark.parametrize("stream", [False, True])
def test_a_compressed_body_is_an_error_because_nobody_asked_for_it(tell, stream):
    _, sender = tell(reply(200, b"\x1f\x8b", "Content-Encoding: gzip"))
    with pytest.raises(ProtocolError, match="the reply is compressed"):
        sender(get(stream=stream))


# --- streams -----------------------------------------------------------------------------------


@bodies(200_000)
def test_a_stream_has_no_limit(tell, said):
    _, sender = tell(said, max_metadata_size=100)
    assert b"".join(sender.value(get(stream=True)).chunks) == b"x" * 200_000


@pytest.mark.parametrize(
    "cut",
    [
        reply(200, b"x" * 10, "Content-Length: 20"),
        CHUNKED + b"5\r\nabc",
        CHUNKED + b"3\r\nabc\r\n",
        CHUNKED + b"-1\r\nabc\r\n0\r\n\r\n",
        CHUNKED + b"-9\r\nabc\r\n0\r\n\r\n",
        CHUNKED + b"wrong\r\nabc\r\n0\r\n\r\n",
    ],
    ids=lambda said: said[-30:],
)
def test_a_stream_that_is_cut_is_told_apart(tell, cut):
    _, sender = tell(closing(cut))
    with pytest.raises(ProtocolError):
        list(sender.value(get(stream=True)).chunks)


# --- errors ------------------------------------------------------------------------------------


def error_of(sender, *args, **options):
    with pytest.raises(HTTPStatusError) as caught:
        sender(get(), *args, **options)
    return caught.value


GLANCE_PAGE = b"""<html>
 <head>
  <title>404 Not Found</title>
 </head>
 <body>
  <h1>404 Not Found</h1>
  Failed to find image 8f3c&nbsp;&lt;1&gt;<br /><br />


 </body>
</html>"""


def test_an_error_names_server_status_and_what_glance_says(tell):
    server, sender = tell(reply(404, GLANCE_PAGE))
    expected = f"127.0.0.1:{server.port}: HTTP 404 Not Found: Failed to find image 8f3c <1>"
    assert expected == str(error_of(sender))


def test_an_error_without_words_is_short(tell):
    server, sender = tell(reply(503))
    expected = f"127.0.0.1:{server.port}: HTTP 503 Service Unavailable"
    assert expected == str(error_of(sender))


def test_an_error_with_an_unknown_status_has_no_phrase(tell):
    server, sender = tell(reply(599, b"what"))
    assert str(error_of(sender)) == f"127.0.0.1:{server.port}: HTTP 599 : what"


def test_an_error_whose_page_breaks_off_is_an_error_all_the_same(tell):
    _, sender = tell(closing(reply(500, b"oh", "Content-Length: 100")))
    assert error_of(sender).status == 500


def test_an_error_page_without_end_is_left(tell):
    def endless(sock):
        sock.sendall(b"HTTP/1.1 500 No\r\n\r\n")
        with contextlib.suppress(OSError):
            while True:
                sock.sendall(b"x" * 4096)

    _, sender = tell(endless)
    assert error_of(sender).status == 500


def test_an_error_keeps_the_request_id(tell):
    _, sender = tell(reply(500, b"", "X-Openstack-Request-Id: req-7"))
    assert error_of(sender).request_id == "req-7"


def test_an_error_keeps_how_long_to_wait(tell):
    _, sender = tell(reply(503, b"", "Retry-After: 7"))
    assert error_of(sender).retry_after == 7.0


def test_a_date_to_wait_until_is_compared_with_the_clock(tell):
    date = formatdate(NOW + 90, usegmt=True)
    _, sender = tell(reply(503, b"", f"Retry-After: {date}"), clock=Clock(time=lambda: NOW))
    assert error_of(sender).retry_after == 90.0


def test_words_are_cut_where_they_are_long():
    assert _find_detail("x" * 1000, None) == "x" * 400 + "…"


def test_words_are_one_line_of_printable_text():
    assert _find_detail("a\r\nb\x1b[31mc\x00\u2028d", None) == "a b [31mc d"


def test_words_that_repeat_the_token_do_not_show_it():
    assert _find_detail("token gAAAA-1 is no good", "gAAAA-1") == "token REDACTED is no good"


@pytest.mark.parametrize(
    "echo", ["a%2Bb%2FSECRET%3D%3D", "a%2bb/SECRET%3d=", "a&#37;2Bb%2FSECRET==", "a+b/%53ECRET=="]
)
def test_words_that_quote_the_token_do_not_show_it(echo):
    assert "for ?token=REDACTED&x=1" == _find_detail(f"for ?token={echo}&x=1", "a+b/SECRET==")


def test_words_that_quote_the_token_and_more_are_one_line():
    assert "a b REDACTED" == _find_detail("a%0Ab%00%1b %41%3D", "A=")


def test_words_without_the_token_stay_quoted():
    assert "no image a%2Fb" == _find_detail("no image a%2Fb", "SECRET")


def test_words_that_are_cut_in_the_token_do_not_show_a_part_of_it():
    assert "SECRET" not in _find_detail("x" * 390 + "SECRET" * 10, "SECRET" * 10)


@given(st.text())
def test_words_are_always_one_short_line(body):
    words = _find_detail(body, None)
    assert (len(words) <= 401, words.isprintable()) == (True, True)


@pytest.mark.parametrize("piece", ["<title", "<", "<title>", "<h1><", "&lt;", "<a <title>", "</"])
def test_a_hostile_page_costs_no_more_than_its_length(piece):
    page = (piece * 65536)[:65536]
    started = time.process_time()
    _find_detail(page, None)
    assert time.process_time() - started < 0.5


# --- Retry-After -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("0", 0.0),
        ("120", 120.0),
        ("0000000000007", 7.0),
        ("9" * 5000, 1e9),
        ("-5", None),
        ("1.5", None),
        ("٣", None),
        ("soon", None),
        ("", None),
        (formatdate(NOW + 60, usegmt=True), 60.0),
        (formatdate(NOW - 60, usegmt=True), 0.0),
        ("Tue Nov 14 22:14:20 2023", 60.0),
        ("Tuesday, 14-Nov-23 22:14:20 GMT", 60.0),
        ("Tue, 14 Nov 2023 22:14:20 -0000", 60.0),
        ("Tue, 99 Nov 2023 22:14:20 GMT", None),
        ("Tue, 14 Nov 99999 22:14:20 GMT", None),
    ],
)
def test_seconds_to_wait(value, seconds):
    assert seconds == _read_retry_after(value, NOW)


def test_a_date_without_a_zone_is_gmt_wherever_the_client_is(monkeypatch):
    with monkeypatch.context() as environment:
        environment.setenv("TZ", "America/New_York")
        time.tzset()
        found = _read_retry_after("Tue Nov 14 22:14:20 2023", NOW)
    time.tzset()
    assert found == 60.0


@given(st.text(max_size=60) | st.from_regex(r"\w{3}, \d+ \w{3} \d+ \d+:\d+:\d+ [-+]?\w*"))
@example("Mon, 01 Jan 0001 00:00:00 +2359")
@example("Fri, 31 Dec 9999 23:59:59 -2359")
def test_whatever_a_server_asks_for_is_a_wait_or_none(value):
    found = _read_retry_after(value, NOW)
    assert found is None or 0.0 <= found < 1e12


@pytest.mark.parametrize(
    "secret",
    [
        "swift+https://account:SECRET@host/container",
        "https://store/x?X-Amz-Signature=SECRET&a=1",
        "https://store/x?X-Amz-Credential=SECRET",
        "https://store/x?X-Amz-Security-Token=SECRET",
        "https://store/x?AWSAccessKeyId=SECRET",
        "https://store/x?a=1&Signature=SECRET",
        "https://store/x?sig=SECRET",
        "https://store/x?X-Goog-Signature=SECRET",
        "the token gAAAASECRET",
    ],
)
def test_what_a_page_tells_of_secrets_is_not_told_on(secret):
    assert "SECRET" not in _find_detail(f"no: {secret} is wrong", None)
