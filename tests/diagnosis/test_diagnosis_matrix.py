"""Every fault, operation and place in the cycle: who is named, for what reason, and who is not."""

import inspect

import pytest
import verdicts
from faultcells import CELLS, KEPT, prefetch, seen
from faulttable import TABLE

from traced_image.lab import faults


def cells(known):
    """Run a test for each of the cells."""
    names = ("name", "operation", "place")
    return pytest.mark.parametrize(names, known, ids=map("-".join, known))


every_cell = cells(CELLS)


@pytest.fixture(scope="module", autouse=True)
def prefetched(request):
    """The cells of the collected tests that are mostly waiting."""
    items = [item for item in request.session.items if item.module is request.module]
    prefetch({tuple(item.callspec.params.values()) for item in items if hasattr(item, "callspec")})


def at(name, operation, place, *, kept=False):
    """What the table says of a cell, and what was seen of it."""
    found = seen(name, operation, place, kept)
    return verdicts.fitting(TABLE[name].cells[operation], found), found


@every_cell
def test_the_caller_is_told_what_the_table_says(name, operation, place):
    cell, found = at(name, operation, place)
    assert verdicts.caller(cell, place, TABLE[name].rounds) == found.caller


@every_cell
def test_the_spans_name_the_faulty_server_alone(name, operation, place):
    cell, found = at(name, operation, place)
    expected = verdicts.spans(cell, place, TABLE[name].rounds)
    assert expected == verdicts.seen_spans(cell, place, found)


@every_cell
def test_the_metrics_count_the_faulty_server_alone(name, operation, place):
    cell, found = at(name, operation, place)
    assert verdicts.metrics(cell, place, found) == verdicts.seen_metrics(found)


@every_cell
def test_the_log_names_the_faulty_server_alone(name, operation, place):
    cell, found = at(name, operation, place)
    assert verdicts.log(cell, place) == found.log


@every_cell
def test_the_state_of_the_hosts_names_the_faulty_server_alone(name, operation, place):
    cell, found = at(name, operation, place)
    assert verdicts.hosts(cell, place) == found.hosts


@every_cell
def test_the_books_balance(name, operation, place):
    _, found = at(name, operation, place)
    assert [] == found.problems


@cells(KEPT)
def test_all_is_the_same_on_kept_connections(name, operation, place):
    cell, found = at(name, operation, place, kept=True)
    rounds = TABLE[name].rounds
    assert {
        "caller": verdicts.caller(cell, place, rounds),
        "spans": verdicts.spans(cell, place, rounds + 1),
        "metrics": verdicts.metrics(cell, place, found),
        "log": verdicts.log(cell, place),
        "hosts": verdicts.hosts(cell, place),
        "problems": [],
    } == {
        "caller": found.caller,
        "spans": verdicts.seen_spans(cell, place, found),
        "metrics": verdicts.seen_metrics(found),
        "log": found.log,
        "hosts": found.hosts,
        "problems": found.problems,
    }


def test_every_fault_of_the_lab_is_in_the_table():
    made = {
        name
        for name, function in inspect.getmembers(faults, inspect.isfunction)
        if function.__module__ == faults.__name__
    }
    assert made == {row.fault.name for row in TABLE.values() if not isinstance(row.fault, str)}
