"""The demonstration's parts by themselves: its traffic, what it looks back on, its report."""

import io
import threading
from collections import Counter

import pytest
from opentelemetry.sdk.trace import TracerProvider
from rich.console import Console

from traced_image.config import Server
from traced_image.demo.evidence import FaultPeriod, Finding, SpanLog
from traced_image.demo.report import DemoReport, make_document, print_report
from traced_image.demo.scenario import OwnServers
from traced_image.demo.screen import find_latest
from traced_image.demo.traffic import Traffic
from traced_image.errors import TracedImageError
from traced_image.pipeline.attempts.server_cycle import ServerHealth
from traced_image.telemetry.catalogue import OUTCOME
from traced_image.terminal import AttemptSummary

ONE = "10.0.0.1:9292"
WRONG = Finding(Counter({(ONE, "503"): 1}))


def _nothing():
    """Nothing is to be done."""


# --- traffic -----------------------------------------------------------------------------------


def test_traffic_ends_after_so_many_calls():
    calls = []

    Traffic(lambda: calls.append(None), most=10).run(lambda: True, _nothing)

    assert 10 == len(calls)


def test_traffic_goes_on_while_it_shall():
    traffic = Traffic(_nothing, pause=0.001)

    traffic.run(lambda: traffic.begun < 100, _nothing)

    assert traffic.begun >= 100


def test_calls_that_fail_are_counted():
    def call():
        raise TracedImageError

    traffic = Traffic(call, most=10)

    traffic.run(lambda: True, _nothing)

    assert 10 == traffic.failed


def test_a_defect_in_a_call_ends_the_traffic():
    def call():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Traffic(call).run(lambda: True, _nothing)


def test_ctrl_c_does_not_wait_for_a_call_that_hangs():
    for_ever = threading.Event()

    def ctrl_c():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Traffic(for_ever.wait).run(lambda: True, ctrl_c)
    for_ever.set()


def test_ctrl_c_waits_for_calls_that_end_in_a_moment():
    begun, ended = [], []

    def call():
        begun.append(None)
        threading.Event().wait(0.1)
        ended.append(None)

    def ctrl_c():
        if begun:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Traffic(call).run(lambda: True, ctrl_c)

    assert len(begun) == len(ended)


# --- the last minute ---------------------------------------------------------------------------


def test_an_attempt_counts_for_a_minute_after_its_end():
    attempts = [AttemptSummary(ONE, started, 2.0, "") for started in (100.0, 105.0, 110.0)]

    assert attempts[1:] == find_latest(attempts, 166.0)


def test_of_no_attempts_there_are_no_latest():
    assert [] == find_latest([], 100.0)


def test_spans_that_end_after_the_report_change_nothing():
    spans = SpanLog()
    tracer_provider = TracerProvider(shutdown_on_exit=False)
    tracer_provider.add_span_processor(spans)

    spans.shutdown()
    tracer_provider.get_tracer("test").start_span("GET", attributes={OUTCOME: "exhausted"}).end()

    assert {} == spans.outcomes


# --- the report --------------------------------------------------------------------------------


@pytest.fixture
def report():
    health = ServerHealth(Server.parse(ONE), "healthy", 0, None, None, None, 0, 0.0)
    play = OwnServers([], None)
    play.episodes = [FaultPeriod(1.0, {"log": Finding()}), FaultPeriod(1.0, {}, ONE, "slow")]
    return DemoReport(play, SpanLog(), [health], "http://127.0.0.1:9293/")


def _told(report):
    console = Console(file=io.StringIO(), width=80)
    print_report(report, console)
    return console.file.getvalue()


def test_who_was_accused_while_all_were_well_is_told(report):
    report.play.episodes[0] = FaultPeriod(1.0, {"log": WRONG})

    told = _told(report)

    assert f"While no server was broken, log wrongly named {ONE}: 503." in told
    assert "telemetry named none" not in told


def test_spans_that_hide_failed_calls_are_wrong(report):
    report.play.failed = 2

    assert ["spans report 0 failed calls, their callers 2"] == report.complaints
    assert "The spans report 0 failed calls, their callers 2." in _told(report)


def test_where_it_was_ended_from_outside_there_is_no_verdict(report):
    interrupted = DemoReport(
        report.play, report.spans, report.servers, report.page, interrupted=True
    )
    report.play.failed = 2

    assert [] == interrupted.complaints
    assert make_document(interrupted)["agreed"] is None
