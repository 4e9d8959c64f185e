"""9,500 operations more on servers that mutate their replies, over http."""

import pytest
from fuzz_parts import LARGEST, Part

pytestmark = [
    pytest.mark.slow,
    pytest.mark.parametrize(
        "fuzzed",
        [Part("http", first, 950) for first in range(1000, 10_500, 950)],
        indirect=True,
        ids=str,
    ),
]


def test_an_operation_ends_in_time_with_its_own_result_or_a_documented_error(fuzzed):
    assert [] == fuzzed.report.wrong, str(fuzzed.report)


def test_memory_is_bounded(fuzzed):
    assert fuzzed.grown < LARGEST


def test_no_thread_and_no_connection_is_left(fuzzed):
    assert {} == fuzzed.left
