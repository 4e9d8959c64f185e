"""Values of options: durations, places to listen on, and text that is harmless."""

from __future__ import annotations

import contextlib

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from traced_image.cli.options import read_address, read_duration
from traced_image.cli.output import make_line, make_printable


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("15s", 15.0),
        ("1m", 60.0),
        ("500ms", 0.5),
        ("1m30s", 90.0),
        ("1.5h", 5400.0),
        ("0s", 0.0),
        ("1h1m1s1ms", 3661.001),
    ],
)
def test_a_duration_is_read(text, seconds):
    assert pytest.approx(seconds) == read_duration(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "15",
        "s",
        "-1s",
        "1 s",
        "1d",
        "1e9s",
        "15s ",
        "\N{ARABIC-INDIC DIGIT ONE}s",
        "9" * 99 + "s",
    ],
)
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(
        click.BadParameter, match="is not a duration: write it like 15s, 1m or 500ms"
    ):
        read_duration(text)


@given(st.text())
def test_whatever_is_written_it_is_a_duration_or_refused(text):
    with contextlib.suppress(click.BadParameter):
        assert read_duration(text) >= 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:9293", ("127.0.0.1", 9293)),
        ("[::1]:0", ("::1", 0)),
        ("localhost:80", ("localhost", 80)),
    ],
)
def test_a_place_is_read(text, expected):
    assert expected == read_address(text)


@pytest.mark.parametrize(("both", "expected"), [(True, "::"), (False, "0.0.0.0")])
def test_a_port_alone_is_on_all_addresses_of_the_machine(monkeypatch, both, expected):
    monkeypatch.setattr("socket.has_dualstack_ipv6", lambda: both)
    assert (expected, 9293) == read_address(":9293")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "9293",
        "a:",
        "a:b",
        "::1:80",
        "a:-1",
        "a:1234567",
        "a:1 ",
        "a:\N{ARABIC-INDIC DIGIT ONE}",
    ],
)
def test_what_is_no_place_is_refused(text):
    with pytest.raises(click.BadParameter, match="is not an address and a port"):
        read_address(text)


@given(st.text())
def test_text_that_is_made_harmless_is_printable(text):
    assert (True, True) == (make_printable(text).isprintable(), make_line(text).isprintable())


def test_text_that_is_harmless_stays_as_it_is():
    assert "été 中 [red] :x:" == make_printable("été 中 [red] :x:")


def test_a_line_has_its_words_with_a_space_between():
    assert "a b c" == make_line(" a\n\n b\tc ")
