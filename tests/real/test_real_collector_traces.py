"""Which of ten thousand calls' traces collectors keep, and what is lost when one comes to harm."""

import math
from collections.abc import Iterator
from pathlib import Path

import pytest
from collector_layouts import ROOT_WAIT, SHARE
from collector_scene import CALLS, DOWN, Outcome, scene

SENDING = 3.0  # seconds from a span's end until a gateway has it
TICK = 1.0  # seconds between decisions


@pytest.fixture(scope="module")
def outcome(collector: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outcome]:
    with scene(collector, tmp_path_factory.mktemp("scene")) as told:
        yield told


def test_the_service_made_ten_thousand_calls_of_which_one_in_a_hundred_failed(outcome):
    assert CALLS == len(outcome.truth.spans)
    # Five are slow, and others may be on a busy machine.
    assert 100 + 5 <= len(outcome.truth.due) < 200


@pytest.mark.parametrize("layout", ["node", "tiers"])
def test_every_trace_that_must_be_kept_is_kept_whole(outcome, layout):
    kept = getattr(outcome, layout)
    assert set() == outcome.truth.lost(kept)
    assert [] == outcome.truth.parts(kept)


@pytest.mark.parametrize("layout", ["node", "tiers"])
def test_about_the_share_of_the_others_is_kept(outcome, layout):
    others = CALLS - len(outcome.truth.due)
    expected, deviation = others * SHARE, math.sqrt(others * SHARE * (1 - SHARE))
    kept = set(getattr(outcome, layout)) - outcome.truth.due
    assert expected == pytest.approx(len(kept), abs=5 * deviation)


def test_every_layout_keeps_the_same_share(outcome):
    assert set(outcome.node) == set(outcome.tiers)


def test_no_span_is_sent_twice_while_nothing_comes_to_harm(outcome):
    for kept in (outcome.node, outcome.tiers):
        assert [] == [each for each in kept.values() if len(each) != len(set(each))]


@pytest.mark.parametrize("layout", ["node", "tiers"])
def test_metrics_of_spans_count_every_call_be_its_trace_kept_or_not(outcome, layout):
    assert CALLS == outcome.counted[layout]


def test_nothing_kept_is_lost_while_the_backend_is_down_and_the_collector_restarted(outcome):
    assert DOWN <= outcome.down
    assert set() == outcome.truth.lost(outcome.restarted)
    assert [] == outcome.truth.parts(outcome.restarted)
    assert set(outcome.node) == set(outcome.restarted)


def test_a_killed_gateway_costs_no_trace_that_agents_keep_too(outcome):
    assert set() == outcome.truth.lost(outcome.bereft)


def test_a_killed_gateway_loses_only_what_it_had_not_decided_on(outcome):
    early = outcome.killed - SENDING - ROOT_WAIT - TICK
    late = outcome.killed + SENDING
    once = outcome.truth.lost(outcome.bereft, copies=2)
    assert [] == [each for each in once if not early < outcome.truth.ended[each] < late]
    share = set(outcome.node) - outcome.truth.due - set(outcome.bereft)
    assert [] == [each for each in share if not early < outcome.truth.ended[each] < late]
