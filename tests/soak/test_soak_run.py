"""A short soak of real processes."""

from __future__ import annotations

import json
import os
import random
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from conditions import describe_run
from prometheus_client import REGISTRY
from soak.caller import Leak, Traffic, describe
from soak.measures import CALLS, LEAK, MEASURES, count_series, read_process
from soak.processes import start
from soak.report import ALONE, CALLER, COUNTED, PLANTED, UNEXPECTED
from soak.run import RATE, main, run
from soak.servers import receive
from soak.state import Segment, State

from traced_image import connect, lab


@pytest.fixture
def traffic():
    with lab.GlanceServer() as server:
        images = [server.images.add(name="cirros", data=b"...")]
        with connect(servers=[server.url], telemetry=False, num_retries=0) as service:
            yield Traffic(service, images, 40.0), server


def test_calls_are_counted_and_those_that_failed(traffic):
    calls, server = traffic
    rng = random.Random(1)
    for _ in range(10):
        calls.call_once(rng)
    server.break_with(lab.faults.status(503))
    calls.call_once(rng)
    assert (11, 1) == (calls.calls, calls.failed)


def test_an_error_that_is_not_documented_ends_no_thread_and_is_counted(traffic, capfd):
    calls, _ = traffic
    calls.images = [None]
    calls.service = SimpleNamespace()
    calls.call_once(random.Random(1))
    assert (1, 1, True) == (calls.calls, calls.unexpected, "Attribute" in capfd.readouterr().err)


def test_the_planted_leak_is_as_large_as_it_is_called(traffic):
    calls, _ = traffic
    calls.leak = Leak("memory")
    calls.call_once(random.Random(1))
    (kept,) = calls.leak._kept
    assert 0 <= kept.__sizeof__() - LEAK < 64


def test_a_descriptor_a_thread_and_a_series_are_planted_now_and_then():
    leak = Leak("counted")
    names = ("descriptors", "threads")
    before = read_process(os.getpid())
    for number in range(1, 3 * CALLS):
        leak.plant(number)
    after = read_process(os.getpid())
    leak.end()
    for descriptor in leak._kept:
        os.close(descriptor)
    series = [each for each in leak._series.collect()[0].samples if each.name == "planted_total"]
    REGISTRY.unregister(leak._series)
    assert [2, 2, 2] == [*(after[name] - before[name] for name in names), len(series)]


def test_calls_have_no_pause_while_a_program_warms_up(traffic):
    calls, _ = traffic
    ends = threading.Event()
    thread = threading.Thread(target=calls.run, args=(0, 1, ends, 600.0))
    calls.rate = 1e-3
    thread.start()
    while calls.calls < 3:
        time.sleep(0.001)
    ends.set()
    thread.join()
    assert calls.calls >= 3


def test_a_process_is_measured(traffic):
    calls, _ = traffic
    assert {*MEASURES, "calls", "failed", "unexpected"} - {"series", "labels"} == set(
        describe(calls)
    )


def test_a_descriptor_that_is_opened_is_measured():
    before = read_process(os.getpid())["descriptors"]
    opened = os.open(os.devnull, os.O_RDONLY)
    try:
        assert before + 1 == read_process(os.getpid())["descriptors"]
    finally:
        os.close(opened)


def test_series_are_counted_and_the_values_of_their_labels():
    page = '# HELP a b\na{b="x\\"y",c="1"} 1\na{b="x\\"y",c="2"} 1\n\nb 2\n'
    assert {"series": 3.0, "labels": 3.0} == count_series(page)


def test_the_file_of_a_soak_is_shown_again(monkeypatch, capsys, tmp_path):
    file = tmp_path / "soak.json"
    segment = Segment()
    segment.add(CALLER, 0.0, {"threads": 9.0})
    State({**describe_run(7), "rate": RATE}, [segment]).save(file)
    monkeypatch.setattr(sys, "argv", ["soak", "--report", "--json", str(file)])
    assert (0, True) == (main(), capsys.readouterr().out.startswith("0 s, segments: 1\n"))


@pytest.mark.parametrize(("rate", "rest"), [(RATE, ""), (200.0, " ARGS='--rate 200'")])
def test_a_soak_that_measured_nothing_fails_and_says_how_to_make_it_again(
    rate, rest, monkeypatch, capsys, tmp_path
):
    file = tmp_path / "soak.json"
    State({**describe_run(7), "rate": rate}).save(file)
    monkeypatch.setattr(sys, "argv", ["soak", "--report", "--json", str(file)])
    assert (1, ["failed: nothing was measured", f"again: make soak SEED=7 SECONDS=120{rest}"]) == (
        main(),
        capsys.readouterr().out.splitlines()[-2:],
    )


@pytest.mark.parametrize(
    ("text", "words"), [(None, "No such file or directory; fix: make soak"), ("{", "fix: remove")]
)
def test_a_file_that_can_not_be_shown_is_named(text, words, monkeypatch, tmp_path):
    file = tmp_path / "soak.json"
    if text is not None:
        file.write_text(text)
    monkeypatch.setattr(sys, "argv", ["soak", "--report", "--json", str(file)])
    with pytest.raises(SystemExit, match=f"^{file}.*{words}"):
        main()


@pytest.fixture
def _finds_the_programs(monkeypatch):
    here = Path(__file__).parent
    path = [os.environ.get("PYTHONPATH"), str(here), str(here.parent)]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, path)))


@pytest.mark.usefixtures("_finds_the_programs")
def test_a_service_ends_if_nobody_reads_what_it_tells():
    with lab.GlanceServer() as server, receive() as receiver:
        asked = {
            **dict.fromkeys(("seed", "rate", "every"), 20),
            "warm_up": 0.0,
            "leak": "",
            "servers": [server.url],
            "images": [server.images.add(name="cirros", data=b"...")],
            "otlp": f"http://127.0.0.1:{receiver.server_port}",
        }
        with start("caller", json.dumps(asked)) as program:
            program.wait()
            program.process.stdout.close()
            program.process.stdin.write("\n")
            program.process.stdin.flush()
            assert program.process.wait(25) is not None


@pytest.mark.slow
@pytest.mark.usefixtures("_finds_the_programs")
def test_a_soak_has_samples_of_all_processes_and_all_that_happens():
    state = State({"seed": 1})
    saved = []
    began = time.monotonic()
    run(state, 8.0, 20.0, save=lambda: saved.append(time.monotonic() - began))
    assert [{CALLER, PLANTED, COUNTED, ALONE}, True, []] == [
        set(state.segments[0].samples),
        bool(saved),
        [
            name
            for name, count in state.add_counts().items()
            if not count and "failed" not in name and name != UNEXPECTED
        ],
    ]
