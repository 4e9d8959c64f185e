"""1,000 operations on servers that mutate their replies, over http and TLS: 400 in a quick run."""

import pytest
from fuzz_parts import LARGEST, Part

pytestmark = pytest.mark.parametrize(
    "fuzzed",
    [
        Part("http", 0, 200),
        pytest.param(Part("http", 200, 300), marks=pytest.mark.slow),
        Part("https", 500, 200),
        pytest.param(Part("https", 700, 300), marks=pytest.mark.slow),
    ],
    indirect=True,
    ids=str,
)


def test_an_operation_ends_in_time_with_its_own_result_or_a_documented_error(fuzzed):
    assert [] == fuzzed.report.wrong, str(fuzzed.report)


def test_memory_is_bounded(fuzzed):
    assert fuzzed.grown < LARGEST


def test_no_thread_and_no_connection_is_left(fuzzed):
    assert {} == fuzzed.left
