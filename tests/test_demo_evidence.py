"""What the demonstration makes of testimony: where witnesses are wrong, and where they differ."""

from collections import Counter

import pytest

from traced_image.demo.evidence import FaultPeriod, Finding

ONE, OTHER, THIRD = "10.0.0.1:9292", "10.0.0.2:9292", "10.0.0.3:9292"
REASON = "connection_refused"
RIGHT = Finding(Counter({(ONE, REASON): 3}))
SILENT = Finding()


def _episode(**changed):
    """An episode in which one server was dead, and all witnesses were right but those changed."""
    return FaultPeriod(
        1.0, {"spans": RIGHT, "metrics": RIGHT, "log": RIGHT, **changed}, ONE, "dead", REASON
    )


def _slow(medians, *, log=SILENT):
    return FaultPeriod(1.0, {"spans": Finding(medians=medians), "log": log}, ONE, "slow", "")


def test_there_is_no_complaint_where_all_name_the_broken_server_as_often():
    assert [] == _episode().complaints


@pytest.mark.parametrize("name", ["spans", "metrics", "log"])
def test_a_witness_who_names_nobody_is_wrong(name):
    assert [f"{name} did not name {ONE}: {REASON}"] == _episode(**{name: SILENT}).complaints


def test_a_witness_who_accuses_another_server_too_is_wrong():
    both = Finding(Counter({(ONE, REASON): 3, (OTHER, "503"): 1}))

    assert [f"log wrongly named {OTHER}: 503"] == _episode(log=both).complaints


def test_a_witness_who_names_another_reason_is_wrong():
    mistaken = Finding(Counter({(ONE, "tls_error"): 3}))

    assert [
        f"spans did not name {ONE}: {REASON}",
        f"spans wrongly named {ONE}: tls_error",
    ] == _episode(spans=mistaken).complaints


def test_witnesses_who_count_differently_are_not_all_right():
    twice = Finding(Counter({(ONE, REASON): 2}))

    assert ["they counted differently: spans 3, metrics 2, log 3"] == _episode(
        metrics=twice
    ).complaints


def test_the_slow_server_is_to_stand_out():
    assert [] == _slow({ONE: 0.3, OTHER: 0.01, THIRD: 0.09}).complaints


@pytest.mark.parametrize(
    "medians",
    [
        {ONE: 0.3, OTHER: 0.01, THIRD: 0.11},  # nearly as slow
        {ONE: 0.04, OTHER: 0.001, THIRD: 0.001},  # for a moment only
        {ONE: 0.3},
        {},
    ],
)
def test_a_server_does_not_stand_out_that_is_hardly_slower(medians):
    assert [f"spans showed no server as slow, not {ONE}"] == _slow(medians).complaints


def test_another_server_than_the_slow_one_must_not_stand_out():
    episode = _slow({ONE: 0.01, OTHER: 0.3, THIRD: 0.01})

    assert [f"spans showed {OTHER} as slow, not {ONE}"] == episode.complaints


def test_slowness_is_no_failure():
    accusing = Finding(Counter({(ONE, "read_timeout"): 1}))

    episode = _slow({ONE: 0.3, OTHER: 0.01}, log=accusing)

    assert [f"log wrongly named {ONE}: read_timeout"] == episode.complaints


def test_nobody_is_to_be_accused_where_all_are_well():
    assert [f"log wrongly named {ONE}: {REASON}"] == FaultPeriod(1.0, {"log": RIGHT}).complaints


def test_a_server_that_is_well_is_to_be_in_rotation():
    episode = FaultPeriod(1.0, {"metrics": Finding(not_healthy={OTHER: "cooling"})})

    assert [f"metrics showed {OTHER} as cooling, though no server was broken"] == episode.complaints
