"""What `make fuzz` takes, and how it ends."""

from __future__ import annotations

import signal
import sys

import pytest
from fuzz.engine import Target
from fuzz.run import INTERRUPTED, main
from hypothesis import strategies as st

SOUND = Target("sound", st.just("x"), lambda _: None, 1)


@pytest.fixture(autouse=True)
def _same_signals():
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def command(monkeypatch, tmp_path):
    """Runs the command with these targets."""
    monkeypatch.chdir(tmp_path)

    def run(target, *arguments):
        monkeypatch.setattr("fuzz.run.make_targets", lambda _: [target])
        monkeypatch.setattr(sys, "argv", ["fuzz", *arguments])
        return main()

    return run


def test_a_run_without_a_failure_is_a_success(command):
    assert 0 == command(SOUND, "--seed", "5", "--only", "sound", "--round", "1")


def test_a_run_that_had_no_time_for_an_example_is_a_failure(command):
    assert 1 == command(SOUND, "--seconds", "1e-9")


def test_a_failure_is_found_again_by_the_words_of_its_command(command, capsys):
    def break_always(_):
        raise KeyError("x")

    broken = Target("broken", st.just("x"), break_always, 1)
    first = command(broken, "--seed", "5")
    assert (1, "again: make fuzz SEED=5 ONLY=broken ROUND=1") == (
        first,
        capsys.readouterr().out.splitlines()[-1],
    )
    assert 1 == command(broken, "--seed", "5", "--only", "broken", "--round", "1")


def interrupt(_):
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("arguments", "rest"), [((), "; the same command goes on"), (("--only", "odd"), "")]
)
def test_what_goes_on_after_an_interrupt_says_so(arguments, rest, command, capsys):
    status = command(Target("odd", st.just("x"), interrupt), *arguments)
    assert (INTERRUPTED, True) == (
        status,
        f"\ninterrupted after 0 s{rest}\n" in capsys.readouterr().out,
    )
