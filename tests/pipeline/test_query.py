"""The query of a list: what may be asked for, and what is refused before it is sent."""

from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from traced_image.errors import InvalidQuery
from traced_image.pipeline.api import query

HUGE = 10**5000
"""More digits than Python writes."""


@pytest.mark.parametrize(("value", "expected"), [(None, 0), (0, 0), (5, 5), ("7", 7)])
def test_a_count(value, expected):
    assert query.read_count(value, "limit") == expected


@pytest.mark.parametrize(
    "value", [-1, "-1", "", "x", "1.5", 1.5, True, False, [], b"1", "9" * 5000, [HUGE]]
)
def test_what_is_no_count_is_refused(value):
    with pytest.raises(InvalidQuery, match=r"^limit is .*: pass (0 or more|a whole number)$"):
        query.read_count(value, "limit")


def test_a_count_that_is_hugely_negative_is_refused():
    with pytest.raises(InvalidQuery, match=r"^limit is <int, too large to show>: pass 0 or more$"):
        query.read_count(-HUGE, "limit")


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, []), ("name", ["name"]), (["a", "b"], ["a", "b"]), (("a",), ["a"]), ([], [])],
)
def test_texts(value, expected):
    assert query.read_texts(value, "sort_key") == expected


@pytest.mark.parametrize("value", ["", 5, [""], ["a", 5], [None], {"a"}, b"name", [HUGE]])
def test_what_are_no_texts_is_refused(value):
    with pytest.raises(InvalidQuery, match=r"^sort_key is .*: pass text, or a list of texts$"):
        query.read_texts(value, "sort_key")


def test_filters_are_pairs():
    found = query.make_filter_pairs(
        {"name": "x", "min_ram": 5, "protected": True, "tag": ["a", "b"]}
    )
    assert found == [
        ("name", "x"),
        ("min_ram", "5"),
        ("protected", "True"),
        ("tag", "a"),
        ("tag", "b"),
    ]


@pytest.mark.parametrize(
    "filters",
    [
        {"a": None},
        {"a": {}},
        {"a": [None]},
        {"a": b"x"},
        {"a": HUGE},
        {"a": [1, -HUGE]},
        {"": "x"},
        {5: "x"},
        {HUGE: "x"},
        {None: 1},
        ["a"],
        [("a", "b")],
        "a",
        5,
    ],
)
def test_what_are_no_filters_is_refused(filters):
    with pytest.raises(InvalidQuery):
        query.make_filter_pairs(filters)


def test_a_query_is_encoded():
    assert query.encode_query([("name", "a&b=c ü"), ("x", "")]) == "name=a%26b%3Dc+%C3%BC&x="


def test_a_query_that_has_no_form_in_utf_8_is_refused():
    with pytest.raises(InvalidQuery, match="not valid Unicode"):
        query.encode_query([("name", "\ud800")])


VALUES = st.one_of(
    st.none(), st.text(), st.integers(), st.floats(), st.lists(st.text()), st.binary()
)


@given(st.dictionaries(st.text() | st.integers() | st.none(), VALUES))
def test_whatever_the_filters_they_arrive_as_given_or_are_refused(filters):
    try:
        pairs = query.make_filter_pairs(filters)
        encoded = query.encode_query(pairs)
    except InvalidQuery:
        return
    assert parse_qsl(encoded, keep_blank_values=True) == pairs
