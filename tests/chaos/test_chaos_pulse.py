"""What a process misses while the machine does something else."""

from __future__ import annotations

import threading

import pytest
from chaos.pulse import BEAT, LATE, Pulse, add_stalled


def test_a_look_that_is_late_is_noted_from_when_it_was_due():
    pulse = Pulse()
    pulse.note(10.0, 11.0)
    assert [(10.0 + BEAT, 11.0)] == pulse.stalls


def test_a_look_in_time_is_not_noted():
    pulse = Pulse()
    pulse.note(10.0, 10.0 + BEAT + 0.9 * LATE)
    assert [] == pulse.stalls


def test_a_clock_that_leaps_between_two_looks_is_a_stall():
    moments, looked = iter([10.0, 12.0]), threading.Event()

    def look():
        moment = next(moments, None)
        if moment is None:
            looked.set()
        return moment or 12.0

    pulse = Pulse(look)
    pulse.start()
    looked.wait(30)
    pulse.stop()
    assert [(10.0 + BEAT, 12.0)] == pulse.stalls


@pytest.mark.parametrize(
    ("started", "ended", "seconds"),
    [(0.0, 10.0, 3.0), (1.5, 5.5, 1.0), (2.0, 5.0, 0.0), (7.0, 9.0, 0.0), (1.2, 1.4, 0.2)],
)
def test_of_a_time_that_part_counts_in_which_threads_waited(started, ended, seconds):
    assert pytest.approx(seconds) == add_stalled([(1.0, 2.0), (5.0, 7.0)], started, ended)
