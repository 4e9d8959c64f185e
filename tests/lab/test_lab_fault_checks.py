"""Wrong arguments of faults: each is refused where it is written, with how to fix it."""

import re

import pytest

from traced_image.errors import InvalidArgument
from traced_image.lab import faults


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: faults.status("503"), "status('503'): give an HTTP status from 200 to 599"),
        (lambda: faults.status(99), "status(99): give an HTTP status from 200 to 599"),
        (lambda: faults.status(True), "status(True): give an HTTP status"),
        (lambda: faults.status(503, retry_after=1.5), "status(1.5): give a Retry-After"),
        (lambda: faults.status(503, retry_after="1\r\nX: y"), "give a Retry-After"),
        (lambda: faults.early_answer(100), "early_answer(100): give an HTTP status"),
        (lambda: faults.early_answer(413, "stop"), "give one of keep, close, half_close, hang"),
        (lambda: faults.extra_reply("204"), "extra_reply('204'): give an HTTP status"),
        (lambda: faults.extra_reply(fill=-1), "extra_reply(-1): give a number from 0"),
        (lambda: faults.interim_replies(200), "give an HTTP status from 100 to 199"),
        (lambda: faults.interim_replies(count=0), "give a number from 1"),
        (lambda: faults.interim_replies(interval="1"), "give seconds from 0"),
        (lambda: faults.slow_error(0), "slow_error(0): give an HTTP status"),
        (lambda: faults.slow_error(interval=-1), "slow_error(-1): give seconds from 0"),
        (lambda: faults.redirect(302, b"/"), "redirect(b'/'): give text"),
        (lambda: faults.redirect(302, "\ud800"), "give text that utf-8 can encode"),
        (lambda: faults.redirect(200, "/"), "redirect(200): give one of 300, 301, 302, 303, 307"),
        (lambda: faults.redirect(301.0, "/"), "redirect(301.0): give an HTTP status"),
        (lambda: faults.framing("X: €"), "framing('X: €'): give text that latin-1 can encode"),
        (lambda: faults.chunked(trailers=("X: €",)), "give text that latin-1 can encode"),
        (lambda: faults.chunked(extension="€"), "give text that latin-1 can encode"),
        (lambda: faults.bad_chunk("€"), "give text that latin-1 can encode"),
        (lambda: faults.expiring_tls(1e12), "give seconds from 0, and at most a hundred years"),
        (lambda: faults.framing(b"X: 1"), "framing(b'X: 1'): give text"),
        (lambda: faults.chunked("1"), "chunked('1'): give a number from 1"),
        (lambda: faults.chunked(trailers=(1,)), "chunked(1): give text"),
        (lambda: faults.bad_chunk(5), "bad_chunk(5): give text"),
        (lambda: faults.bad_chunk(end="\r\n"), "bad_chunk('\\r\\n'): give bytes"),
        (lambda: faults.unexpected_body("204"), "unexpected_body('204'): give an HTTP status"),
        (lambda: faults.endless_body(1000), "endless_body(1000): give an HTTP status"),
        (lambda: faults.endless_body(interval=None), "endless_body(None): give seconds"),
        (lambda: faults.many_headers(0), "many_headers(0): give a number from 1"),
        (lambda: faults.huge_json(1.5), "huge_json(1.5): give a number from 0"),
        (lambda: faults.endless_pages(-1), "endless_pages(-1): give a number from 0"),
        (lambda: faults.raw_reply("text"), "raw_reply('text'): give bytes"),
        (lambda: faults.slow_headers(float("nan")), "slow_headers(nan): give seconds"),
        (lambda: faults.slow_body(float("inf")), "slow_body(inf): give seconds"),
        (lambda: faults.delay("1"), "delay('1'): give seconds"),
        (lambda: faults.wrong_length(1.0), "wrong_length(1.0): give a number of bytes"),
        (lambda: faults.wrong_type({1, 2}), "wrong_type({1, 2}): give a value that JSON"),
        (lambda: faults.flapping(503), "flapping(503): give a fault of lab.faults"),
        (lambda: faults.reset().times(1.5), "times(1.5): give a number from 1"),
        (lambda: faults.reset().times(True), "times(True): give a number from 1"),
        (lambda: faults.reset().only(method="GTE"), "only('GTE'): give one of CONNECT, DELETE"),
        (lambda: faults.reset().only(method=1), "only(1): give one of"),
        (lambda: faults.reset().only(path="("), "only('('): give a regular expression (missing"),
        (lambda: faults.reset().only(path=1), "only(1): give a regular expression, as a str"),
        (lambda: faults.reset().only(client=""), "only(''): give a client's IP address"),
        (lambda: faults.reset().only(client=1), "only(1): give a client's IP address"),
        (lambda: faults.reset().only(client="localhost"), "give a client's IP address"),
        (lambda: faults.reset().only(client="::1"), "as in 127.0.0.2, [::1] or 127.0.0.1:40123"),
        (lambda: faults.reset().only(client="[127.0.0.1]"), "give a client's IP address"),
        (lambda: faults.reset().only(client="[0:0::1]"), "give a client's IP address"),
        (lambda: faults.reset().only(client="127.0.0.256"), "give a client's IP address"),
        (lambda: faults.reset().only(client="127.0.0.1:0"), "give a client's IP address"),
        (lambda: faults.reset().only(client="127.0.0.1:x"), "give a client's IP address"),
        (lambda: faults.status(503).only(headers={"": "x"}), "give headers as a dict"),
        (lambda: faults.status(503).only(headers={"a b": "x"}), "give headers as a dict"),
        (lambda: faults.status(503).per_client(""), "per_client(''): give address, connection"),
        (lambda: faults.status(503).per_client("a b"), "or the name of a header"),
    ],
)
def test_a_wrong_argument_is_refused_with_how_to_fix_it(make, said):
    with pytest.raises(InvalidArgument, match=re.escape(said)):
        make()


@pytest.mark.parametrize("client", ["127.0.0.2", "127.0.0.2:1", "[::1]", "[::1]:65535"])
def test_an_address_that_a_client_can_have_is_accepted(client):
    assert client == faults.status(503).only(client=client).client


def test_a_server_refuses_what_is_no_fault(server):
    with pytest.raises(InvalidArgument, match=r"break_with\(503\): give a fault of lab.faults"):
        server.break_with(503)
