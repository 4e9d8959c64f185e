"""Odd image records: equal to nova 34's results, or different for a reason that is written down."""

from odd_records import NAMES, read_results
from odd_records_page import PAGE, explain, find_differences, make_page


def test_each_record_has_its_result_of_nova():
    assert len(NAMES) == len(read_results())


def test_what_nova_returns_is_returned_and_each_difference_has_a_reason():
    assert [] == [each for each in find_differences() if explain(*each) is None]


def test_the_page_is_what_a_run_writes():
    assert PAGE.read_text("utf-8") == make_page()
