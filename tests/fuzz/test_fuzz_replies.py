"""1,000 operations on servers that mutate their replies, over http and TLS."""

import pytest
from fuzz_parts import LARGEST, Part

pytestmark = pytest.mark.parametrize(
    "fuzzed", [Part("http", 0, 500), Part("https", 500, 500)], indirect=True, ids=str
)


def test_an_operation_ends_in_time_with_its_own_result_or_a_documented_error(fuzzed):
    assert [] == fuzzed.report.wrong, str(fuzzed.report)


def test_memory_is_bounded(fuzzed):
    assert fuzzed.grown < LARGEST


def test_no_thread_and_no_connection_is_left(fuzzed):
    assert {} == fuzzed.left
