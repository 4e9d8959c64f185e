"""What long runs are told."""

from __future__ import annotations

import argparse

import pytest
from conditions import LONGEST, read_amount


@pytest.mark.parametrize(("text", "amount"), [("0.5", 0.5), ("120", 120.0), ("1e7", LONGEST)])
def test_a_number_above_0_is_an_amount(text, amount):
    assert amount == read_amount(text)


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "1e8", "x", ""])
def test_what_would_try_nothing_or_never_end_is_no_amount(text):
    with pytest.raises(argparse.ArgumentTypeError, match="is no number above 0 and up to 10,000"):
        read_amount(text)
