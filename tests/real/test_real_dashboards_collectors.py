"""The panels of the collectors answer their questions: of three real ones, two are in trouble.

The first is well and sends what it keeps to the second. The second's backends do not take
anything: that of traces is not there, that of metrics refuses for good. The third has no memory.
"""

import contextlib
import http.server
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import parts.prometheus
import pytest
import requests
import yaml
from grafana import BOARDS, Answer, ask
from parts.collector import NODE, Collector
from parts.prometheus import Prometheus
from runbooks import RUNBOOKS, fill, headed, queries
from traced_image_dashboards.collector import (
    TRACES_DECIDED,
    TRACES_RECEIVED,
    dropped_share,
    rejected,
)

WELL, STUCK, FULL = "otelcol-well", "otelcol-stuck", "otelcol-full"
LIMIT = 10.0

QUICK = {
    "COLLECTOR_DECISION_WAIT": "1s",
    "COLLECTOR_ROOT_WAIT": "1s",
    "COLLECTOR_SHARE_PERCENT": "50",
}
_NO_PLACE = {"queue_size": 20, "batch": {"min_size": 1, "max_size": 5}}
DROPS = {
    "exporters": {"otlp_http/traces": {"sending_queue": _NO_PLACE}},
    "processors": {"tail_sampling": {"num_traces": 20}},
}
"""The second collector has room for little."""

Check = Callable[[dict[str, Answer]], None]
QUESTIONS: dict[str, Check] = {}

_ids = itertools.count(1)


class _Refusing(http.server.BaseHTTPRequestHandler):
    """A backend that will never take what it is sent."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.send_response(400)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def refusing() -> Iterator[int]:
    """A backend that refuses for good; its port."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Refusing) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@dataclass(frozen=True)
class Seen:
    """What Prometheus saw of the collectors, and when all of it was to be seen."""

    prometheus: Prometheus
    at: float


@pytest.fixture(scope="module")
def seen(
    collector: Path, prometheus: Prometheus, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Seen]:
    """The scene, played once."""
    folder = tmp_path_factory.mktemp("collectors")
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(refusing())
        three = dict(zip((WELL, STUCK, FULL), _collectors(collector, folder, port), strict=True))
        for each in three.values():
            stack.callback(each.close)
            each.open()
        own = stack.enter_context(
            parts.prometheus.prometheus(prometheus.programs, folder / "own", _settings(three))
        )
        stop = threading.Event()
        sender = threading.Thread(target=_send, args=(three, stop))
        sender.start()
        stack.callback(sender.join)
        stack.callback(stop.set)
        at = _moment(own)
        stop.set()
        yield Seen(own, at)


def _collectors(program: Path, folder: Path, port: int) -> Iterator[Collector]:
    drops = folder / "drops.yaml"
    drops.write_text(yaml.safe_dump(DROPS))
    others = ("COLLECTOR_METRICS_ENDPOINT", "COLLECTOR_LOGS_ENDPOINT")
    nowhere = dict.fromkeys(others, f"http://127.0.0.1:{port}")
    stuck = Collector(
        STUCK,
        program,
        [NODE, drops],
        folder / STUCK,
        **QUICK,
        **nowhere,
        COLLECTOR_TRACES_ENDPOINT="http://127.0.0.1:1",
    )
    next_one = {"COLLECTOR_TRACES_ENDPOINT": f"http://127.0.0.1:{stuck.http}"}
    yield Collector(WELL, program, [NODE], folder / WELL, **QUICK, **nowhere, **next_one)
    yield stuck
    small = {"COLLECTOR_MEMORY_MIB": "1"}
    yield Collector(FULL, program, [NODE], folder / FULL, **QUICK, **nowhere, **next_one, **small)


def _settings(three: dict[str, Collector]) -> str:
    targets = [
        {"targets": [f"127.0.0.1:{each._own}"], "labels": {"instance": name}}
        for name, each in three.items()
    ]
    return yaml.safe_dump(
        {
            "global": {"scrape_interval": "500ms", "scrape_timeout": "500ms"},
            "scrape_configs": [{"job_name": "otelcol", "static_configs": targets}],
        }
    )


def _send(three: dict[str, Collector], stop: threading.Event) -> None:
    for turn in itertools.count():
        # More at once, now and then, than one of them has room for.
        for each in three.values():
            _post(each, "traces", _spans(200 if turn % 15 == 0 and each.name == STUCK else 4))
            _post(each, "metrics", _points())
        _post(three[WELL], "logs", {"resourceLogs": "no list"})
        if stop.wait(0.2):
            return


def _post(to: Collector, signal: str, body: object) -> None:
    # One that has no memory refuses, as is meant.
    with contextlib.suppress(requests.RequestException):
        requests.post(f"http://127.0.0.1:{to.http}/v1/{signal}", json=body, timeout=LIMIT)


def _spans(count: int) -> object:
    """Traces of one span, every other of which failed."""
    now = time.time_ns()
    spans = [
        {
            "traceId": f"{number:032x}",
            "spanId": f"{number:016x}",
            "name": "glance.images.get",
            "kind": 1,
            "startTimeUnixNano": str(now - 1000),
            "endTimeUnixNano": str(now),
            "status": {"code": 2 if number % 2 else 0},
        }
        for number in itertools.islice(_ids, count)
    ]
    return {"resourceSpans": [{"resource": {}, "scopeSpans": [{"spans": spans}]}]}


def _points() -> object:
    point = {"timeUnixNano": str(time.time_ns()), "asDouble": 1.0}
    metric = {"name": "things", "gauge": {"dataPoints": [point]}}
    return {"resourceMetrics": [{"resource": {}, "scopeMetrics": [{"metrics": [metric]}]}]}


def _moment(prometheus: Prometheus) -> float:
    """A whole second at which there is all of the trouble."""
    wanted = [
        f'sum(rate({{__name__=~"otelcol_{name}(_total)?"}}[10s])) > 0'
        for name in (
            *("exporter_enqueue_failed_spans", "exporter_send_failed_metric_points"),
            *("receiver_refused_spans", "exporter_sent_spans"),
        )
    ]
    decided, received = (f"sum(rate({each}[10s]))" for each in (TRACES_DECIDED, TRACES_RECEIVED))
    wanted.append(f"{decided} / {received} < 0.8")
    wanted.append(f"{rejected()} > 0")
    # After its start a collector has decided on none, or on those of one kind only.
    wanted += [
        f'sum(rate({TRACES_DECIDED}{{sampled="{word}"}}[10s])) > 0' for word in ("true", "false")
    ]
    wanted.append(f'({dropped_share()}) < 0.05 and on (instance) up{{instance="{WELL}"}}')
    at = 0.0

    def met() -> bool:
        nonlocal at
        at = float(int(time.time()))
        return all(prometheus.get("query", query=each, time=at)["result"] for each in wanted)

    prometheus.until(met, "never saw the trouble")
    prometheus.until(partial(prometheus.query, f"min(timestamp(up)) > {at}"), "stopped to scrape")
    return at


def answers(title: str) -> Callable[[Check], Check]:
    """Put a question to a panel."""

    def keep(check: Check) -> Check:
        QUESTIONS[title] = check
        return check

    return keep


@answers("How full the sending queues are")
def which_queue_fills(found):
    fullest = found["A"].most
    assert (fullest["instance"], fullest["exporter"]) == (STUCK, "otlp_http/traces")


@answers("Lost because a queue is full")
def what_finds_no_place(found):
    lost = found["A"].by("instance", "exporter")
    assert {key for key, rate in lost.items() if rate} == {(STUCK, "otlp_http/traces")}


@answers("Rejected by the backend")
def what_the_backend_does_not_take(found):
    assert found["B"].by("instance", "exporter")[STUCK, "otlp_http/metrics"] > 0


@answers("Refused by collectors")
def who_refuses(found):
    assert {key for key, rate in found["A"].by("instance").items() if rate} == {FULL}


@answers("Spans received and sent")
def what_comes_and_goes(found):
    assert found["A"].by("receiver")["otlp"] > found["B"].by("exporter")["otlp_http/traces"] > 0


@answers("Traces sampled")
def what_is_kept(found):
    assert min(found["A"].by("sampled")[word] for word in ("true", "false")) > 0


@answers("Traces kept by each policy")
def why_it_is_kept(found):
    assert found["A"].by("policy")["error"] > 0


@answers("Traces that wait")
def how_many_wait(found):
    assert found["A"].by("instance")[WELL] > 0


@answers("Traces dropped before their time")
def what_is_dropped_too_early(found):
    assert found["A"].most["instance"] == STUCK


@answers("Memory of collectors")
def how_much_memory_they_need(found):
    assert found["A"].by("instance").keys() == {WELL, STUCK, FULL}
    assert min(found["A"].by("instance").values()) > 10 * 2**20


def test_each_panel_has_a_question():
    panels = BOARDS["pipeline"]["panels"]
    row = [panel["title"] for panel in panels].index("Collectors")
    assert {panel["title"] for panel in panels[row + 1 :]} == QUESTIONS.keys()


@pytest.mark.parametrize("title", QUESTIONS)
def test_a_panel_answers_its_question(seen, title):
    found = ask(seen.prometheus, "pipeline", title, seen.at, {"job": ["otelcol"]})

    QUESTIONS[title](found)


def test_the_alert_finds_whose_exports_are_refused_for_good(seen):
    found = seen.prometheus.get("query", query=f"{rejected()} > 0", time=seen.at)["result"]

    assert [(WELL, "400")] == [
        (each["metric"]["instance"], each["metric"]["answer"]) for each in found
    ]
    assert {"job", "instance", "answer"} == found[0]["metric"].keys()


def test_the_alert_finds_which_collector_drops_traces(seen):
    (most,) = seen.prometheus.get("query", query=f"topk(1, {dropped_share()})", time=seen.at)[
        "result"
    ]

    assert STUCK == most["metric"]["instance"]
    assert float(most["value"][1]) > 0.05


@pytest.mark.parametrize(
    ("alert", "instance", "signal"),
    [
        ("GlanceCollectorQueueFilling", STUCK, ""),
        ("GlanceCollectorEnqueueFailed", STUCK, "spans"),
        ("GlanceCollectorSendFailed", STUCK, "metric_points"),
        ("GlanceCollectorRefusing", FULL, "spans"),
        ("GlanceCollectorExportsRejected", WELL, ""),
        ("GlanceCollectorTracesWaiting", WELL, ""),
        ("GlanceCollectorTracesDropped", STUCK, ""),
    ],
)
def test_the_queries_of_a_runbook_find_the_collector_of_its_alert(seen, alert, instance, signal):
    labels = {"job": "otelcol", "instance": instance, "signal": signal}
    first, *others = (fill(each, labels) for each in queries(headed(RUNBOOKS, alert)))
    found = seen.prometheus.get("query", query=first, time=seen.at)["result"]

    assert {instance} == {each["metric"]["instance"] for each in found}
    for each in others:
        seen.prometheus.get("query", query=each, time=seen.at)
