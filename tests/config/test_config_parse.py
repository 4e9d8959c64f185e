"""Values that text stands for, and what is meant by a name that is misspelt."""

import math
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from traced_image.config.checks import suggest
from traced_image.config.parse import (
    parse_boolean,
    parse_duration,
    parse_integers,
    parse_optional_number,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("15s", 15.0),
        ("1m30s", 90.0),
        ("500ms", 0.5),
        ("1.5h", 5400.0),
        ("1m.5s", 60.5),
        ("1.s", 1.0),
        ("0s", 0.0),
        ("250us", 0.00025),
        ("250µs", 0.00025),
        ("1000000000ns", 1.0),
        ("2562047h47m16s", 9223372036.0),
    ],
)
def test_a_duration_is_read_as_go_and_prometheus_write_it(text, seconds):
    assert pytest.approx(seconds) == parse_duration(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "15",
        "s",
        ".s",
        "-1s",
        "1 s",
        "1s ",
        "1d",
        "1e9s",
        "2562048h",
        "9" * 400 + "s",
        "\N{ARABIC-INDIC DIGIT ONE}s",
    ],
)
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ValueError, match=r" is not a duration$"):
        parse_duration(text)


@given(st.text(alphabet="0123456789.nuµmsh ") | st.text())
def test_any_text_is_a_finite_duration_or_none(text):
    with suppress(ValueError):
        assert math.isfinite(parse_duration(text))


@pytest.mark.parametrize(
    ("text", "value"), [("True", True), (" on ", True), ("1", True), ("NO", False), ("off", False)]
)
def test_the_booleans_of_oslo_are_read(text, value):
    assert value is parse_boolean(text)


def test_another_word_is_no_boolean():
    with pytest.raises(ValueError, match=r"^'perhaps' is not a boolean$"):
        parse_boolean("perhaps")


@pytest.mark.parametrize(("text", "value"), [(" None", None), ("none", None), ("1.5 ", 1.5)])
def test_a_number_may_be_none(text, value):
    assert value == parse_optional_number(text)


def test_integers_have_commas_between_them():
    assert frozenset({429, 503}) == parse_integers("503, 429,503")


@pytest.mark.parametrize(
    ("name", "how", "expected"),
    [
        ("retrys", {}, "did you mean retries?"),
        ("retrys", {"cutoff": 0.99}, "use one of these"),
        ("deadline", {}, "use one of these"),
    ],
)
def test_the_name_that_is_like_another_is_suggested(name, how, expected):
    assert expected == suggest(name, ["retries", "timeout"], "use one of these", **how)
