"""One of three Glances killed or stopped: who is named, for what reason, and who is not."""

import sys
from pathlib import Path

import pytest
from parts.outage import restored

sys.path.append(str(Path(__file__).parents[1] / "diagnosis"))

import matrix_assertions
from fault_matrix_cells import by_effect, everywhere, saved
from fault_matrix_run import PLACES, ended, told
from recorded_service import DATA, Watched

TABLE = {
    "kill": everywhere(saved("connection_refused")),
    "stop": by_effect("read_timeout"),
}
"""What must be seen of a Glance that is gone, and of one that hangs."""

OPERATIONS = ("show", "detail", "download", "create")
PATIENCE = {"read_timeout": 1.5}


@pytest.fixture(scope="module")
def image_id(service):
    image = {"name": "cirros", "disk_format": "raw", "container_format": "bare"}
    return service.create(None, {**image, "visibility": "public"}, DATA)["id"]


@pytest.fixture(
    scope="module", params=[(out, place) for out in TABLE for place in PLACES], ids="-".join
)
def outage(request, glances, urls, image_id):
    """How one of the servers went, which, and what was seen of each operation meanwhile."""
    out, place = request.param
    with restored(glances):
        getattr(glances[PLACES.index(place)], out)()
        yield out, place, {name: _seen(urls, name, image_id) for name in OPERATIONS}


def _seen(urls, operation, image_id):
    with Watched(urls, **PATIENCE) as watched:
        caller = [ended(watched, operation, image_id) for _ in PLACES]
        return told(watched, watched.books(), caller)


@pytest.fixture(params=OPERATIONS)
def case(request, outage):
    """A line of the table, the place of the server that is out, and what was seen."""
    out, place, found = outage
    return TABLE[out][request.param], place, found[request.param]


def test_the_caller_is_told_what_the_table_says(case):
    cell, place, found = case
    assert matrix_assertions.caller(cell, place) == found.caller


def test_the_spans_name_the_server_that_is_out(case):
    cell, place, found = case
    assert matrix_assertions.spans(cell, place) == matrix_assertions.seen_spans(cell, place, found)


def test_the_metrics_count_the_server_that_is_out(case):
    cell, place, found = case
    assert matrix_assertions.metrics(cell, place, found) == matrix_assertions.seen_metrics(found)


def test_the_log_names_the_server_that_is_out(case):
    cell, place, found = case
    assert matrix_assertions.log(cell, place) == found.log


def test_the_state_of_the_hosts_names_the_server_that_is_out(case):
    cell, place, found = case
    assert matrix_assertions.hosts(cell, place) == found.hosts


def test_the_books_balance(case):
    _, _, found = case
    assert [] == found.problems
