"""The page for operators: it is what the fault matrix shows, and it has no empty cell."""

import pytest
from fault_matrix_cells import OPERATIONS
from fault_matrix_expected import TABLE
from fault_matrix_page import PAGE, page


@pytest.fixture
def written():
    return PAGE.read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_page_is_what_a_run_shows(written):
    """It takes all cells of the matrix, which take half a minute and more.

    If it fails: run `python tests/diagnosis/fault_matrix_page.py`, look at what changed, commit it.
    """
    assert page() == written


def test_no_cell_of_the_page_is_empty(written):
    rows = [line.strip("|\n").split("|") for line in written.splitlines() if line.startswith("|")]
    assert [] == [row for row in rows if not all(cell.strip() for cell in row)]


def test_every_fault_has_a_row_with_all_operations(written):
    rows = {line.split(" | ")[0].removeprefix("| "): line for line in written.splitlines()}
    cells = 1 + 1 + len(OPERATIONS) + 3
    assert dict.fromkeys([row.title for row in TABLE.values()], cells) == {
        row.title: len(rows[row.title].split(" | ")) for row in TABLE.values()
    }
