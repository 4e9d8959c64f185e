"""Signals in the middle of what blocks, and in the middle of an event loop."""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
import traceback

import pytest
from terminals import LIMIT, until

from traced_image.cli.signals import (
    TERMINATED,
    Terminated,
    end_on_hangup,
    run_in_loop,
    run_interruptibly,
    terminate,
)


def raising():
    raise TimeoutError("its own")


# --- what blocks -------------------------------------------------------------------------------


def test_what_it_comes_to_is_returned():
    assert 42 == run_interruptibly(lambda: 42)


def test_what_it_raises_is_raised():
    with pytest.raises(TimeoutError, match="its own"):
        run_interruptibly(raising)


def waits(frame):
    """Whether a thread waits, and not for the start of another one."""
    names = [each.f_code.co_name for each, _ in traceback.walk_stack(frame)]
    return names[0] == "wait" and "start" not in names


@pytest.mark.parametrize("ours", [True, False], ids=["the main thread", "another thread"])
def test_a_signal_ends_the_wait_whichever_thread_it_comes_to(ours):
    """One for another thread does not interrupt the main one, nor does one that comes too early."""
    signal.signal(signal.SIGTERM, terminate)
    main, go, over = threading.get_ident(), threading.Event(), threading.Event()

    def work():
        until(lambda: waits(sys._current_frames()[main]))
        signal.pthread_kill(main if ours else threading.get_ident(), signal.SIGTERM)
        go.wait(LIMIT)
        over.set()

    with pytest.raises(Terminated) as ended:
        run_interruptibly(work)
    waited = over.is_set()
    go.set()
    assert (TERMINATED, False) == (ended.value.code, waited)


# --- an event loop -----------------------------------------------------------------------------


async def told(number, noted):
    """Be sent a signal, and note how that ends."""
    signal.raise_signal(number)
    try:
        await asyncio.sleep(LIMIT)
    except asyncio.CancelledError:
        noted.append("cancelled")
        raise


def test_what_a_loop_comes_to_is_returned():
    assert 42 == run_in_loop(asyncio.sleep(0, 42))


@pytest.mark.parametrize(
    ("number", "kind"), [(signal.SIGTERM, Terminated), (signal.SIGINT, KeyboardInterrupt)]
)
def test_a_signal_cancels_the_loop_before_it_is_raised(number, kind):
    noted = []
    with pytest.raises(kind):
        run_in_loop(told(number, noted))
    assert ["cancelled"] == noted


def test_a_hangup_cancels_the_loop_of_a_command_that_it_ends():
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    end_on_hangup()
    noted = []
    with pytest.raises(Terminated):
        run_in_loop(told(signal.SIGHUP, noted))
    assert ["cancelled"] == noted


def test_a_hangup_that_is_ignored_stays_ignored():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    end_on_hangup()
    assert signal.SIG_IGN is signal.getsignal(signal.SIGHUP)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("number", "kind"), [(signal.SIGTERM, Terminated), (signal.SIGINT, KeyboardInterrupt)]
)
def test_a_signal_before_the_loop_runs_ends_it_too(number, kind, monkeypatch):
    run, noted = asyncio.run, []

    def run_late(main):
        signal.raise_signal(number)
        return run(main)

    monkeypatch.setattr(asyncio, "run", run_late)
    with pytest.raises(kind):
        run_in_loop(told(number, noted))
    assert [] == noted


@pytest.mark.parametrize("before", [terminate, signal.SIG_IGN])
def test_what_sigterm_does_is_as_before_afterwards(before):
    signal.signal(signal.SIGTERM, before)
    run_in_loop(asyncio.sleep(0))
    assert before is signal.getsignal(signal.SIGTERM)
