"""Faults read from text: what is understood, and what is refused with a message that says why."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from traced_image import lab
from traced_image.errors import InvalidArgument
from traced_image.lab import faults


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("refuse()", faults.refuse()),
        (" status(503, retry_after=2) ", faults.status(503, retry_after=2)),
        ("raw_reply(b'<1>', close=False)", faults.raw_reply(b"<1>", close=False)),
        ("wrong_length(-1)", faults.wrong_length(-1)),
        ("wrong_type({'images': [None]})", faults.wrong_type({"images": [None]})),
        ("status(500).only(method='put').times(2)", faults.status(500).only(method="PUT").times(2)),
        (
            "flapping(status(503), None, reset().only(path='/file$'))",
            faults.flapping(faults.status(503), None, faults.reset().only(path="/file$")),
        ),
    ],
)
def test_a_fault_is_read(text, fault):
    assert fault == lab.parse_fault(text)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "no expression of Python"),
        ("status(", "no expression of Python"),
        ("\0", "no expression of Python"),
        ("status(" * 3000, "more than 10,000 characters"),
        ("-" * 9999 + "1", "no expression of Python|neither a fault nor a literal"),
        ("503", "calls no function of lab.faults"),
        ("status", "'status' is neither a fault nor a literal"),
        ("Fault('x')", "Fault is none of"),
        ("exit()", "exit is none of"),
        ("__import__('os').system('true')", "__import__ is none of"),
        ("only(path='/')", r"only is a method: write it after a fault"),
        ("status(503).meets(None)", "a fault has no method meets"),
        ("'x'.format()", "is no function of lab.faults"),
        ("status(503)()", "is no function of lab.faults"),
        ("status(**{'code': 503})", "is not understood"),
        ("status(*[503])", "neither a fault nor a literal"),
        ("status([each for each in ()])", "neither a fault nor a literal"),
        ("status(503, when=1)", "unexpected keyword argument 'when'"),
        ("status()", "missing 1 required positional argument"),
    ],
)
def test_what_is_no_fault_is_refused_with_what_it_is(text, problem):
    with pytest.raises(InvalidArgument, match=problem):
        lab.parse_fault(text)


def test_a_wrong_argument_is_refused_in_the_words_of_the_function():
    with pytest.raises(InvalidArgument, match=r"status\('503'\): give an HTTP status"):
        lab.parse_fault("status('503')")


@given(st.text(alphabet="status(503).only_=',|[]{}:* \n\\b\x00é", max_size=40))
def test_no_text_fails_otherwise_than_by_being_refused(text):
    with contextlib.suppress(InvalidArgument):
        assert isinstance(lab.parse_fault(text), lab.Fault)
