"""What `make chaos` takes, and how it ends."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from chaos import command
from chaos.checks import CHECKS
from chaos.machine import Machine
from chaos.run import Result
from chaos.schedule import Schedule
from chaos.state import ROUND, load

NOTHING = {"pipeline": {name: [] for name in CHECKS}}
LEAK = {"pipeline": {**NOTHING["pipeline"], "no leak": ["a thread"]}}


@pytest.fixture(autouse=True)
def _same_signals():
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def played(monkeypatch, tmp_path):
    """The schedules that were played, on a machine of which nothing is asked."""
    schedules = []

    def play(schedule, machine, say):
        schedules.append(schedule)
        return Result(schedule, NOTHING, {"pipeline": {}}, {})

    machine = Machine(tmp_path, tmp_path, tmp_path)
    monkeypatch.setattr(command, "run", play)
    monkeypatch.setattr(command, "prepare", lambda *_: machine)
    monkeypatch.chdir(tmp_path)
    return schedules


def end_with(error):
    def play(schedule, machine, say):
        if isinstance(error, BaseException):
            raise error
        return Result(schedule, error, {"pipeline": {}}, {})

    return play


def test_a_run_in_which_no_check_finds_anything_is_a_success(played):
    assert 0 == command.main(["--seed", "3"])


def test_a_seed_is_chosen_anew_each_time(played):
    command.main([])
    command.main([])
    first, second = played
    assert first.seed != second.seed


def test_a_long_run_is_played_in_rounds(played):
    command.main(["--seed", "3", "--seconds", str(2 * ROUND)])
    assert [ROUND, ROUND] == [each.seconds for each in played]


def test_a_run_that_was_interrupted_goes_on(played, monkeypatch):
    play, rounds = command.run, iter([None, KeyboardInterrupt])

    def interrupted(*arguments):
        if error := next(rounds):
            raise error
        return play(*arguments)

    order = ["--seed", "3", "--seconds", str(3 * ROUND)]
    monkeypatch.setattr(command, "run", interrupted)
    first = command.main(order)
    monkeypatch.setattr(command, "run", play)
    assert (command.INTERRUPTED, 0) == (first, command.main(order))
    assert 3 == len({each.seed for each in played}) == len(played)


def test_an_interrupt_says_how_to_go_on(played, monkeypatch, capsys):
    monkeypatch.setattr(command, "run", end_with(KeyboardInterrupt()))
    command.main(["--seed", "3", "--seconds", "600"])
    assert "make chaos SEED=3 SECONDS=600" in capsys.readouterr().out


def test_sigterm_interrupts(played, monkeypatch):
    monkeypatch.setattr(command, "run", lambda *_: signal.raise_signal(signal.SIGTERM))
    assert command.INTERRUPTED == command.main([])


def test_a_violation_is_a_failure_whose_round_can_be_replayed(played, monkeypatch, capsys):
    monkeypatch.setattr(command, "run", end_with(LEAK))
    status = command.main(["--seed", "3", "--clients", "--faults", "kill", "stop"])
    words = "Replay with: make chaos SEED=3 SECONDS=120 'ARGS=--clients --faults kill stop'"
    assert (1, True) == (status, words in capsys.readouterr().out)


def test_after_a_violation_a_schedule_is_shrunk(played, monkeypatch, capsys):
    def fail_with_stop(schedule, machine, say):
        wrong = any(event.fault == "stop" for event in schedule.events)
        return Result(schedule, LEAK if wrong else NOTHING, {"pipeline": {}}, {})

    monkeypatch.setattr(command, "run", fail_with_stop)
    command.main(["--seed", "3", "--shrink", "100"])
    assert "1 faults are left, none of which can be left out" in capsys.readouterr().out
    (event,) = Schedule.from_json(Path("build/chaos-shrunk.json").read_text()).events
    assert "stop" == event.fault


def test_a_schedule_of_a_file_is_played(played, tmp_path):
    command.main(["--seed", "3"])
    file = tmp_path / "schedule.json"
    file.write_text(played[0].to_json())
    assert 0 == command.main(["--replay", str(file)])
    assert played[0] == played[1]
    assert '"seed": 3' in Path("build/chaos-replay.json").read_text()


def test_the_rounds_and_the_record_are_written(played, tmp_path, monkeypatch):
    monkeypatch.setattr("conditions.RECORDS", tmp_path)
    command.main(["--seed", "3", "--save"])
    assert 1 == len(load(tmp_path / "build" / "chaos.json").rounds)
    assert '"seed": 3' in (tmp_path / "chaos.json").read_text()


def test_no_proxy_of_the_environment_is_asked(played, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.test:3128")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/dev/null")
    command.main([])
    assert {"HTTPS_PROXY", "REQUESTS_CA_BUNDLE"} & set(command.os.environ) == set()
