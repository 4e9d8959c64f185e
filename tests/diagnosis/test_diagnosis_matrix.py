"""Every fault, operation and place in the cycle: who is named, for what reason, and who is not."""

import matrix_assertions
import pytest
from fault_matrix_cells import OPERATIONS
from fault_matrix_expected import TABLE
from fault_matrix_run import CELLS, KEPT, PLACES, prefetch, sample, seen

from traced_image.lab import faults


def cells(known):
    """Run a test for each of the cells: for a sample of them, unless all tests are asked for."""
    quick = set(sample(known))
    return pytest.mark.parametrize(
        ("name", "operation", "place"),
        [
            pytest.param(*cell, id="-".join(cell), marks=() if cell in quick else pytest.mark.slow)
            for cell in known
        ],
    )


@pytest.fixture(scope="module", autouse=True)
def prefetched(request):
    """The cells of the collected tests that are mostly waiting."""
    items = [item for item in request.session.items if item.module is request.module]
    prefetch({tuple(item.callspec.params.values()) for item in items if hasattr(item, "callspec")})


@cells(CELLS)
def test_every_witness_says_what_the_table_says(name, operation, place):
    row, found = TABLE[name], seen(name, operation, place, kept=False)
    cell = matrix_assertions.fitting(row.cells[operation], found)
    expected = matrix_assertions.of_all(cell, place, found, row.rounds)
    assert expected == matrix_assertions.seen_by_all(cell, place, found)


@cells(KEPT)
def test_all_is_the_same_on_kept_connections(name, operation, place):
    row, found = TABLE[name], seen(name, operation, place, kept=True)
    cell = matrix_assertions.fitting(row.cells[operation], found)
    expected = matrix_assertions.of_all(cell, place, found, row.rounds, before=1)
    assert expected == matrix_assertions.seen_by_all(cell, place, found)


def test_the_sample_has_every_fault_every_operation_and_every_place():
    names, operations, places = map(set, zip(*sample(CELLS), strict=True))
    assert (set(TABLE), set(OPERATIONS), set(PLACES)) == (names, operations, places)


def test_every_fault_of_the_lab_is_in_the_table():
    made = {name for name in faults.__all__ if name != "Fault"}
    assert made == {row.fault.name for row in TABLE.values() if not isinstance(row.fault, str)}
