"""The retry policy: what it is by default, what nova 2013.1 does, and what is refused."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from traced_image.config import RetryPolicy
from traced_image.errors import InvalidRetry


def test_the_policy_of_nova_2013_waits_a_second_and_forgets():
    expected = RetryPolicy(
        fixed_delay=1.0,
        statuses=frozenset({503}),
        protocol_errors=False,
        retry_after_cap=0.0,
        repeat_unsafe=True,
        budget_share=None,
        cooldown_base=0.0,
    )
    assert expected == RetryPolicy.nova_2013()


def test_whole_seconds_become_floats():
    assert "1.0" == repr(RetryPolicy(backoff_base=1).backoff_base)


def test_statuses_may_be_any_iterable():
    assert frozenset({429, 503}) == RetryPolicy(statuses=[503, 429, 503]).statuses


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("backoff_base", 0),
        ("backoff_cap", 1e6),
        ("fixed_delay", None),
        ("fixed_delay", 0),
        ("statuses", frozenset()),
        ("statuses", frozenset({400, 599})),
        ("budget_share", None),
        ("budget_share", 10),
        ("retry_after_cap", 0),
    ],
)
def test_an_edge_is_allowed(name, value):
    assert value == getattr(RetryPolicy(**{name: value}), name)


@pytest.mark.parametrize(
    "fields",
    [
        {"backoff_base": -0.1},
        {"backoff_base": None},
        {"backoff_cap": float("nan")},
        {"backoff_cap": float("inf")},
        {"backoff_cap": 1e7},
        {"fixed_delay": -1},
        {"fixed_delay": "1"},
        {"statuses": {200}},
        {"statuses": {600}},
        {"statuses": [True]},
        {"statuses": ["503"]},
        {"statuses": "503"},
        {"statuses": 503},
        {"protocol_errors": 1},
        {"retry_after_cap": -1},
        {"repeat_unsafe": "no"},
        {"budget_share": 10.1},
        {"budget_floor": True},
        {"cooldown_base": -1},
        {"cooldown_cap": "60"},
    ],
)
def test_a_value_out_of_range_is_refused(fields):
    with pytest.raises(InvalidRetry) as caught:
        RetryPolicy(**fields)
    assert f"retry.{next(iter(fields))}" == caught.value.item


def test_an_error_says_what_may_be_set():
    with pytest.raises(InvalidRetry) as caught:
        RetryPolicy(budget_share=11)
    expected = (
        "retry.budget_share (from argument): 11 can't be used;"
        " set a number of 0 or more, at most 10."
    )
    assert expected == str(caught.value)


@given(
    st.sampled_from([each.name for each in dataclasses.fields(RetryPolicy)]),
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers()),
)
def test_any_value_is_taken_or_refused(name, value):
    try:
        policy = RetryPolicy(**{name: value})
    except InvalidRetry:
        return
    assert policy == RetryPolicy(**{name: getattr(policy, name)})
