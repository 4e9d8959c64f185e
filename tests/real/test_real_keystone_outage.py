"""Keystone killed or stopped under a running loop of calls: no Glance server is accused of it.

The rules are those of ``dashboards/rules``, but for their times, which are divided by `FASTER`.
keystone_drill.py has the rules as they are.
"""

import logging
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import pytest
import requests
from alert_scene import FASTER, settings, write_faster_rules
from keystone_scene import impatient
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from parts import prometheus
from parts.cache import PartUnavailableError
from parts.outage import restored
from prometheus_client import CollectorRegistry

import traced_image
from traced_image import RetryPolicy, Telemetry, TokenUnavailable, exporter

CALLERS = 2
PATIENCE = 4.0  # seconds for a token, far more than a busy Keystone needs
AWAY = {"kill": 0.0, "stop": 20 * 60 / FASTER + 5}
"""Seconds for which Keystone is away at least: in 20 minutes, any alert on servers would fire."""
REASONS = {"kill": "connection_refused", "stop": "read_timeout"}
FIRING = 'ALERTS{alertstate="firing", severity!="none"}'


@dataclass
class Outage:
    """What was seen of an outage of Keystone.

    Attributes:
        how: Whether Keystone was killed or stopped.
        errors: What calls raised.
        spans: The spans of calls and attempts.
        registry: The metrics.
        lines: The log's records.
        servers: What the service knew of the servers.
        reports: The page's JSON, before the outage, at the end of it, and after it.
        fired: The alerts that fired at any time.
        description: What the alert for Keystone says.
        reasons: Those of the counter at the end of the outage.
    """

    how: str
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    errors: list = field(default_factory=list)
    spans: tuple = ()
    lines: list = field(default_factory=list)
    servers: tuple = ()
    reports: list = field(default_factory=list)
    fired: set = field(default_factory=set)
    description: str = ""
    reasons: set = field(default_factory=set)


@contextmanager
def traffic(service, image_id, errors):
    """Make calls in some threads until the end."""
    over = threading.Event()

    def repeat():
        while not over.wait(0.3):
            try:
                service.show(None, image_id)
            except Exception as error:  # noqa: BLE001 - each is a finding
                errors.append(error)

    threads = [threading.Thread(target=repeat) for _ in range(CALLERS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


class _Lines(logging.Handler):
    def __init__(self, lines):
        super().__init__()
        self._lines = lines

    def emit(self, record):
        self._lines.append(record)


@pytest.fixture(scope="module")
def programs(request):
    """Prometheus's programs."""
    terminal = request.config.pluginmanager.get_plugin("terminalreporter")
    try:
        return prometheus.install(lambda line: terminal.write_line(f"real parts: {line}"))
    except PartUnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module", params=["kill", pytest.param("stop", marks=pytest.mark.slow)])
def outage(request, keystone, urls, image_ids, programs, tmp_path_factory):
    """An outage of Keystone, from healthy to healthy."""
    seen, folder = Outage(request.param), tmp_path_factory.mktemp("keystone-outage")
    spans, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    telemetry = Telemetry(tracer_provider=provider, registry=seen.registry, meter_provider=False)
    service = traced_image.connect(
        servers=urls,
        auth=impatient(keystone),
        read_timeout=PATIENCE,
        # A policy of its own, so that the servers' health is its own, too.
        retry=RetryPolicy(cooldown_base=2.1),
        telemetry=telemetry,
    )
    handler = _Lines(seen.lines)
    with ExitStack() as stack:
        stack.callback(service.close)
        shown = exporter.start(registry=seen.registry, port=0)
        stack.callback(shown.stop)
        rules = write_faster_rules(folder / "rules")
        file = settings({"service": shown.port}, None, rules, "750ms")
        server = stack.enter_context(prometheus.prometheus(programs, folder / "prometheus", file))
        logger = logging.getLogger("traced_image")
        logger.addHandler(handler)
        stack.callback(logger.removeHandler, handler)
        stack.enter_context(restored([keystone.keystone]))
        stack.enter_context(traffic(service, image_ids["active"], seen.errors))
        play(seen, server, keystone.keystone, f"http://127.0.0.1:{shown.port}/servers")
        seen.servers = service.servers()
    seen.spans = spans.get_finished_spans()
    return seen


def play(seen, server, keystone, page):
    """Have Keystone away until the alert fires, and back until it is resolved."""

    def firing():
        return {found["metric"]["alertname"] for found in server.query(FIRING)}

    full = "count_over_time(job:glance_client_calls:rate5m[15s]) > 8"
    server.until(lambda: server.query(full), "saw no traffic")
    seen.reports.append(requests.get(page, timeout=10).json())
    began = time.monotonic()
    getattr(keystone, seen.how)()
    server.until(lambda: "GlanceKeystoneFailing" in firing(), "raised no alert")
    time.sleep(max(0.0, began + AWAY[seen.how] - time.monotonic()))
    seen.reports.append(requests.get(page, timeout=10).json())
    (alert,) = (
        each
        for each in server.get("alerts")["alerts"]
        if each["labels"]["alertname"] == "GlanceKeystoneFailing"
    )
    seen.description = alert["annotations"]["description"]
    # A Keystone that starts again listens before it answers, so that calls wait in vain.
    seen.reasons = counted(seen, "glance_client_token_failures_total", "error_type")
    keystone.cont() if seen.how == "stop" else keystone.restart()
    server.until(lambda: "GlanceKeystoneFailing" not in firing(), "did not resolve the alert")
    seen.reports.append(requests.get(page, timeout=10).json())
    ever = server.query(f"last_over_time({FIRING}[1h])")
    seen.fired = {found["metric"]["alertname"] for found in ever}


def counted(outage, name, label):
    """The values of a label of a counter's series that have counted anything."""
    return {
        sample.labels[label]
        for metric in outage.registry.collect()
        for sample in metric.samples
        if sample.name == name and sample.value
    }


def test_the_calls_fail_for_want_of_a_token_alone(outage):
    assert {TokenUnavailable} == {type(error) for error in outage.errors}


def test_spans_accuse_no_server(outage):
    attempts = [span for span in outage.spans if span.name.endswith(" attempt")]
    assert {StatusCode.UNSET} == {span.status.status_code for span in attempts}


def test_a_call_without_a_token_has_asked_no_server(outage):
    failed = [span for span in outage.spans if "error.type" in span.attributes]
    assert {("token_unavailable", 0)} == {
        (span.attributes["error.type"], span.attributes["glance.call.attempts"]) for span in failed
    }


def test_metrics_accuse_no_server(outage):
    verdicts = counted(outage, "glance_client_attempt_duration_seconds_count", "verdict")
    assert {"success"} == verdicts


def test_metrics_have_keystones_reason(outage):
    # A request that is under way when Keystone is killed loses its connection.
    assert {REASONS[outage.how]} == outage.reasons - {"connection_reset"}


def test_each_call_without_a_token_is_counted(outage):
    name = "glance_client_token_failures_total"
    values = [
        sample.value
        for metric in outage.registry.collect()
        for sample in metric.samples
        if sample.name == name
    ]
    assert len(outage.errors) == sum(values)


def test_the_log_accuses_no_server(outage):
    assert {None} == {getattr(line, "server_address", None) for line in outage.lines}


def test_the_log_has_each_call_without_a_token(outage):
    lines = [
        line for line in outage.lines if line.getMessage().startswith("Got no token for 'get'")
    ]
    assert len(outage.errors) == len(lines)


def test_the_host_state_accuses_no_server(outage):
    assert {("healthy", None)} == {(one.state, one.last_failure) for one in outage.servers}


def test_the_page_accuses_no_server(outage):
    assert {("healthy", 0, None)} == {
        (server["state"], server["failed"], server["last_failure"])
        for report in outage.reports
        for server in report["servers"]
    }


def test_the_page_says_that_it_is_keystone(outage):
    before, during, _ = (report["keystone"] for report in outage.reports)
    assert (False, None) == (before["failing"], before["last_error"])
    assert (True, REASONS[outage.how]) == (during["failing"], during["last_error"])


def test_the_alert_for_keystone_fires_and_no_alert_on_servers(outage):
    # What callers lose is theirs, whatever the cause.
    assert {"GlanceKeystoneFailing"} == outage.fired - {"GlanceClientErrorBudgetBurn"}


def test_the_alert_has_keystones_reason(outage):
    assert f"Keystone's reasons: {REASONS[outage.how]}" in outage.description


def test_calls_succeed_when_keystone_is_back(outage):
    last = [span for span in outage.spans if span.name == "glance.images.get"][-1]
    assert "success_first_try" == last.attributes["glance.call.outcome"]
