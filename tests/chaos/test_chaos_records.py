"""What a process of a stock client saw, written by it and read by the run."""

from __future__ import annotations

from chaos.records import Made, Resources, Seen, Spanned, dump_seen, load_seen, parse_traceparent

SEEN = Seen(
    made=(Made("t1", "show", 1.0, 1.5, error="NotFound"), Made("t2", "detail", 2.0)),
    spans=(Spanned("call", "t1", "s1", "images.get", 0, 1.0, 1.5, "failed", "404", attempts=1),),
    counted={("images.get", "failed"): 1},
    attempts={("images.get", 9292, "refused", "404"): 1},
    before=Resources(("MainThread",), 5, 0, 10**7),
    after=Resources(("MainThread", "more"), 6, 1, 2 * 10**7),
    leaks=("a span",),
    stalls=((1.0, 1.2),),
)


def test_what_was_seen_is_read_as_it_was_written():
    assert SEEN == load_seen(dump_seen(SEEN))


def test_a_traceparent_names_a_trace_and_a_span():
    assert ("1" * 32, "2" * 16) == parse_traceparent(f"00-{'1' * 32}-{'2' * 16}-01")


def test_a_header_that_is_no_traceparent_names_none():
    assert ("", "") == parse_traceparent("00-1-2")
