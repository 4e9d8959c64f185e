"""The page of long runs: its records are complete, its tests exist, and it invents nothing."""

import json
import re
from pathlib import Path

import pytest
from traced_image_docs import reliability

ROOT = Path(__file__).parent.parent
CHANGELOG = (ROOT / "CHANGELOG.md").read_text("utf-8")
RECORDS = [name for name in reliability.RUNS if reliability.read_record(name)]
FOUND = reliability.read_found()


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_has_all_fields(name):
    record = reliability.read_record(name)

    assert (set(), set(), set()) == (
        reliability.FIELDS - set(record),
        reliability.CONDITIONS - set(record["conditions"]),
        reliability.MACHINE - set(record["conditions"]["machine"]),
    )


@pytest.mark.parametrize("entry", FOUND, ids=lambda entry: entry["test"].partition("::")[2])
def test_a_fault_that_was_found_has_all_fields(entry):
    assert reliability.FAULT == set(entry)


@pytest.mark.parametrize("entry", FOUND, ids=lambda entry: entry["test"].partition("::")[2])
def test_the_test_of_a_fault_exists(entry):
    path, _, name = entry["test"].partition("::")

    assert re.search(rf"^def {name}\(", (ROOT / path).read_text("utf-8"), re.MULTILINE)


def test_each_fault_was_fixed_in_a_version_of_the_changelog_or_in_none():
    versions = {None, *re.findall(r"^## (\S+)", CHANGELOG, re.MULTILINE)}

    assert set() == {entry["fixed_in"] for entry in FOUND} - versions


def test_the_page_explains_what_found_the_faults():
    page = (ROOT / "docs/reliability.md").read_text("utf-8")

    assert [] == [entry for entry in FOUND if f"*{entry['found_by']}*" not in page]


def test_without_records_the_page_says_that_nothing_was_run(tmp_path):
    written = {name: getattr(reliability, f"write_{name}")(tmp_path) for name in reliability.RUNS}

    assert dict.fromkeys(reliability.RUNS, "Not run yet.") == written


def test_without_records_there_are_no_versions(tmp_path):
    assert "Not run yet." == reliability.write_versions(tmp_path)


def test_a_run_without_a_record_is_a_row_without_figures(tmp_path):
    rows = reliability.write_runs(tmp_path).splitlines()[2:]

    assert [3, 3] == [len(rows), sum("not run yet" in row for row in rows)]


CONDITIONS = {
    "seed": 7,
    "began": "2026-11-30T15:00:00Z",
    "versions": {"python": "3.11.7", "urllib3": "2.8.0"},
    "machine": {"processor": "AMD", "processors": 2, "memory_mib": 1024, "kernel": "Linux 6"},
}


@pytest.fixture
def folder(tmp_path):
    def save(name, **fields):
        record = {"conditions": CONDITIONS, "seconds": 120, **fields}
        (tmp_path / f"{name}.json").write_text(json.dumps(record))
        return tmp_path

    return save


def test_a_run_has_a_row_with_its_conditions_and_how_many_checks_failed(folder):
    here = folder("chaos", checks={"books": 2, "bytes": 0})

    assert (
        "| `make chaos` | 2026-11-30 | 120 | 7 | AMD, 1,024 MiB, Linux 6 | 2 | 3.11.7 | 2 | 1 |"
        == reliability.write_runs(here).splitlines()[2]
    )


@pytest.mark.parametrize(
    ("check", "failed"),
    [
        *((0, False), (1, True)),
        *(({"passed": True}, False), ({"passed": False}, True)),
        *(({"pipeline": 0, "nova": 0}, False), ({"pipeline": 0, "nova": 1}, True)),
    ],
)
def test_a_check_says_whether_it_has_failed(check, failed):
    assert failed is reliability.has_failed(check)


def test_the_versions_of_each_run_stand_side_by_side(folder):
    folder("soak", checks={})
    here = folder("fuzz", checks={})

    assert "| urllib3 | 2.8.0 | 2.8.0 |" == reliability.write_versions(here).splitlines()[3]


def test_chaos_has_its_checks_callers_faults_and_what_the_machine_lacks(folder):
    here = folder(
        "chaos",
        checks={"books": 0, "bytes": {"pipeline": 0, "nova": 2}},
        calls={"pipeline": 1234},
        faults={"kill": 3},
        lacking=["netem"],
    )

    assert [
        "| books | 0 |",
        "| bytes | pipeline: 0, nova: 2 |",
        "| pipeline | 1,234 |",
        "| kill | 3 |",
        "The machine lacked: netem.",
    ] == [
        line
        for line in reliability.write_chaos(here).splitlines()
        if line and not line.startswith(("| check", "| client", "| fault", "| ---"))
    ]


def test_chaos_on_a_machine_that_lacks_nothing_says_so(folder):
    assert reliability.write_chaos(folder("chaos", checks={})).endswith("Nothing lacked.")


def test_a_soak_has_the_growth_of_each_figure(folder):
    check = {"growth": 1.234, "at_most": None, "limit": 250, "found_from": 260, "verdict": "flat"}
    here = folder("soak", checks={"service: threads": check}, counted={"calls": 1234})

    assert [
        "| service: threads | 1.23 |  | 250.00 | 260.00 | flat |",
        "",
        "In all: 1,234 calls.",
    ] == (reliability.write_soak(here).splitlines()[2:])


def test_fuzz_has_the_examples_of_each_reader(folder):
    check = {"examples": 4321, "verdict": "passed"}
    here = folder("fuzz", checks={"addresses": check}, counted={"rounds": 9})

    assert ["| addresses | 4,321 | passed |", "", "In all: 9 rounds."] == (
        reliability.write_fuzz(here).splitlines()[2:]
    )
