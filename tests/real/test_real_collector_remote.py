"""A thousand calls a second whose roots are elsewhere: no sender waits, and no failure is lost.

Nova's own span, for example, ends minutes after its calls to Glance and goes to another collector.
One gateway has room for all that waits, one for half of it, and one has a queue that is full.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from parts.backend import Backend
from parts.collector import GATEWAY, Collector

RATE = 1000  # calls a second
SECONDS = 4
WAIT = 2  # seconds until a trace that nobody wants is dropped
LATE = 3  # seconds after a call, in which its trace is dropped
ROOM = RATE * WAIT // 2
QUEUE = 5000  # spans; at least a batch
SENDER = Path(__file__).with_name("parts") / "inside/remote_roots.py"
TAIL = "otelcol_processor_tail_sampling"

NAMES = ("roomy", "small", "stuck")


@pytest.fixture(scope="module")
def outcome(collector: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """What came of it: the collectors, their backends and what the sender says, by their names."""
    folder = tmp_path_factory.mktemp("remote")
    backends = {name: Backend(name, folder / name / "backend") for name in NAMES}
    own = {
        "roomy": backends["roomy"].variables,
        "small": {**backends["small"].variables, "COLLECTOR_MAX_TRACES": str(ROOM)},
        # Its backend of traces is not there, and it keeps all of them.
        "stuck": {
            **backends["stuck"].variables,
            "COLLECTOR_TRACES_ENDPOINT": "http://127.0.0.1:1",
            "COLLECTOR_QUEUE_ITEMS": str(QUEUE),
            "COLLECTOR_SHARE_PERCENT": "100",
        },
    }
    wait = {"COLLECTOR_DECISION_WAIT": f"{WAIT}s", "COLLECTOR_ROOT_WAIT": "1s"}
    gateways = {
        name: Collector(name, collector, [GATEWAY], folder / name, **wait, **own[name])
        for name in NAMES
    }
    with ExitStack() as stack, ThreadPoolExecutor() as pool:
        for each in (*backends.values(), *gateways.values()):
            stack.callback(each.kill)
        list(pool.map(lambda each: each.open(), (*backends.values(), *gateways.values())))
        told = _send([each.grpc for each in gateways.values()])
        for name in ("roomy", "small"):
            gateways[name].until(lambda name=name: _is_through(gateways[name]), "did not send all")
        yield SimpleNamespace(gateways=gateways, backends=backends, told=told)


def _send(ports: list[int]) -> Any:
    command = [sys.executable, str(SENDER), *map(str, (RATE, SECONDS, LATE))]
    addresses = "\n".join(f"127.0.0.1:{port}" for port in ports)
    done = subprocess.run(
        command, input=addresses, check=True, capture_output=True, text=True, timeout=90
    )
    return json.loads(done.stdout)


def _is_through(gateway: Collector) -> bool:
    """Whether no trace waits, and its queues are empty."""
    return (
        gateway.own(f"{TAIL}_sampling_traces_on_memory") == 0
        and gateway.own("otelcol_exporter_queue_size") == 0
    )


def dropped(gateway: Collector) -> float:
    """How many traces had to go before their time."""
    came, decided = f"{TAIL}_new_trace_id_received", f"{TAIL}_global_count_traces_sampled"
    return gateway.own(came) - gateway.own(decided)


def test_it_was_a_thousand_calls_a_second(outcome):
    assert RATE * SECONDS / 100 == len(outcome.told["at_once"]) == len(outcome.told["late"])
    # On a busy machine it takes longer.
    assert outcome.told["took"] < 2 * (SECONDS + LATE)


def test_no_export_is_refused_and_none_waits_for_room(outcome):
    assert [0] * len(NAMES) == outcome.told["failed"]


@pytest.mark.parametrize("name", ["roomy", "small"])
@pytest.mark.parametrize("kind", ["at_once", "late"])
def test_every_failed_trace_is_kept(outcome, name, kind):
    kept = outcome.backends[name].ids()

    assert [] == [each for each in outcome.told[kind] if each not in kept]


def test_none_is_dropped_before_its_time_where_there_is_room(outcome):
    assert 0 == dropped(outcome.gateways["roomy"])


def test_the_oldest_are_dropped_where_there_is_none(outcome):
    assert 0 < dropped(outcome.gateways["small"])


def test_a_full_queue_drops_what_it_has_no_place_for(outcome):
    stuck = outcome.gateways["stuck"]

    assert 0 < stuck.own("otelcol_exporter_enqueue_failed_spans")


def test_a_full_queue_of_traces_stops_no_other_signal(outcome):
    stuck, backend = outcome.gateways["stuck"], outcome.backends["stuck"]

    stuck.until(lambda: list(backend.points("traces.span.metrics.calls")), "sent no metrics")
    requests.get(f"http://127.0.0.1:{stuck._health}", timeout=10).raise_for_status()
