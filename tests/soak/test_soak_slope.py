"""The slope test: what grows is found, what does not is flat, and how small a leak may be."""

from __future__ import annotations

import math
import random

import pytest
from soak.measures import LEAK, MEASURES
from soak.slope import WARM_UP, Slope, cut_beginnings, cut_blocks, find_slope

RATE = 40


def make_memory(leak=0.0, seconds=120, seed=1):
    """The KiB of a process each second: it begins small, and takes and gives back in steps.

    Args:
        leak: Bytes a call that stay.
    """
    rng = random.Random(seed)
    step = 0
    points = []
    for second in range(seconds):
        step += rng.choice((-64, 0, 0, 0, 0, 64))
        step = max(-256, min(256, step))
        beginning = 20_000 * (1 - math.exp(-second / 5))
        peak = rng.choice((0, 0, 0, 500))
        leaked = second * RATE * leak / 1024
        points.append((float(second), 60_000 + beginning + step + peak + leaked))
    return points


def judge(points):
    (kept,) = cut_beginnings([points])
    limit = MEASURES["memory"].find_limit(RATE, kept[-1][0] - kept[0][0])
    return find_slope([kept]).judge(limit)


@pytest.mark.parametrize("seed", range(20))
def test_a_leak_of_1_kib_a_call_is_found_in_two_minutes(seed):
    assert "grows" == judge(make_memory(LEAK, seed=seed))


@pytest.mark.parametrize("seed", range(20))
def test_memory_that_only_begins_small_does_not_grow(seed):
    assert "grows" != judge(make_memory(seed=seed))


@pytest.mark.parametrize("seed", range(5))
def test_an_hour_tells_that_memory_is_flat(seed):
    assert "flat" == judge(make_memory(seconds=3600, seed=seed))


@pytest.mark.parametrize("seed", range(5))
def test_an_hour_finds_a_leak_of_16_bytes_a_call(seed):
    assert "grows" == judge(make_memory(16, seconds=3600, seed=seed))


def test_the_slope_is_that_of_a_line():
    assert Slope(2.0, 2.0, 2.0) == find_slope([[(float(n), 2.0 * n) for n in range(120)]])


def test_one_odd_value_does_not_change_the_slope():
    points = [(float(n), 2.0 * n) for n in range(120)]
    points[15] = (15.0, -1e9)
    assert 2.0 == find_slope([points]).value


def test_a_figure_that_always_has_one_value_is_flat():
    assert "flat" == find_slope([[(float(n), 7.0) for n in range(120)]]).judge(0.0)


@pytest.mark.parametrize("series", [[], [[]], [[(0.0, 1.0)]], [[(0.0, 1.0), (1.0, 9.0)]]])
def test_too_few_points_tell_nothing(series):
    assert "not told" == find_slope(series).judge(1.0)


def test_the_level_of_each_series_is_its_own():
    low = [(float(n), 5.0) for n in range(120)]
    high = [(float(n), 1e6) for n in range(120)]
    assert Slope(0.0, 0.0, 0.0) == find_slope([low, high])


@pytest.mark.parametrize(
    ("seconds", "begins"), [(90, 30), (3 * WARM_UP, WARM_UP), (9 * WARM_UP, WARM_UP)]
)
def test_the_first_third_does_not_count_and_at_most_its_first_minutes(seconds, begins):
    points = [(float(n), 0.0) for n in range(int(seconds) + 1)]
    assert (begins, 0.0) == cut_beginnings([points])[0][0]


def test_a_short_series_beside_a_long_one_warms_up_as_long():
    series = [[(float(n), 0.0) for n in range(seconds)] for seconds in (301, 150, 50)]
    assert [100.0, 100.0, None] == [kept[0][0] if kept else None for kept in cut_beginnings(series)]


def test_a_block_counts_with_its_least_value():
    points = [(float(n), float(n % 6)) for n in range(120)]
    assert (20, (2.5, 0.0)) == (len(cut_blocks(points)), cut_blocks(points)[0])


def test_a_block_of_a_slow_machine_is_as_long_and_has_three_values():
    points = [(float(n), float(n)) for n in range(0, 120, 4)]
    assert [(4.0, 0.0), (16.0, 12.0)] == cut_blocks(points)[:2]


@pytest.mark.parametrize(("seconds", "limit"), [(0, 20.0), (40, 20.0), (3000, 1024 / 3000)])
def test_the_limit_of_a_long_run_is_what_may_be_added_in_all(seconds, limit):
    assert limit == MEASURES["memory"].find_limit(RATE, seconds)


@pytest.mark.parametrize(("seconds", "limit"), [(1799, math.inf), (1800, 50 / 1800)])
def test_series_are_judged_once_their_labels_have_been_combined(seconds, limit):
    assert limit == MEASURES["series"].find_limit(RATE, seconds)
