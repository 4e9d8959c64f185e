"""The collector of plain numbers: to the byte what prometheus_client's own objects would show."""

from __future__ import annotations

import gc
import math
import sys
import threading
import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.trace import SpanContext
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    enable_created_metrics,
    values,
)
from prometheus_client.exposition import generate_latest as text
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics

from traced_image.telemetry import catalogue
from traced_image.telemetry.backends import PrometheusBackend
from traced_image.telemetry.collector import Common, Family
from traced_image.telemetry.updates import format_exemplar

SERVERS = [("glance-1", "9292"), ("glance-2", "9292"), ("2001:db8::1", "443")]
ODD = ["", "503", 'say "no"\\', "two\nlines", "größer"]
CONTEXT = SpanContext(0x4BF92F3577B34DA6A3CE929D0E0E4736, 0x00F067AA0BA902B7, is_remote=False)
BY_KIND = {
    kind: next(metric for metric in catalogue.METRICS if metric.kind == kind)
    for kind in ("counter", "gauge", "updown", "histogram")
}


class Own:
    """A backend of prometheus_client's own objects."""

    def __init__(self, registry):
        self._own = {metric: self._make(metric, registry) for metric in catalogue.METRICS}

    def _make(self, metric, registry):
        arguments = metric.name, metric.help, metric.labels
        if metric.kind == "counter":
            return Counter(*arguments, registry=registry)
        if metric.kind == "histogram":
            return Histogram(*arguments, registry=registry, buckets=metric.buckets)
        return Gauge(*arguments, registry=registry)

    def bind(self, metric, labels):
        child = self._own[metric].labels(*labels)
        if metric.kind in ("gauge", "updown"):
            return lambda value, _: child.set(value)
        update = child.inc if metric.kind == "counter" else child.observe
        return lambda value, context: update(value, context and format_exemplar(context))

    def forget(self, address, port):
        for metric, own in self._own.items():
            if "server_address" in metric.labels:
                own.remove_by_labels({"server_address": address, "server_port": port})


class Pair:
    """Ours and theirs, which get the same updates at the same times."""

    def __init__(self, monkeypatch):
        self.now = 1_790_000_000.0
        monkeypatch.setattr(time, "time", lambda: self.now)
        self.registries = [CollectorRegistry(), CollectorRegistry()]
        ours, theirs = self.registries
        self.backends = [PrometheusBackend(ours, lambda: self.now), Own(theirs)]

    def update(self, metric, labels, value, exemplar=None):
        for backend in self.backends:
            backend.bind(metric, labels)(value, exemplar)

    def forget(self, server):
        for backend in self.backends:
            backend.forget(*server)

    def shown(self, show):
        return [show(registry).decode() for registry in self.registries]


@pytest.fixture
def pair(monkeypatch):
    return Pair(monkeypatch)


@pytest.fixture
def backend(registry):
    return PrometheusBackend(registry)


def labels_of(metric, server=SERVERS[0], other="503"):
    """Values for a metric's labels."""
    of_server = dict(zip(("server_address", "server_port"), server, strict=True))
    return tuple(of_server.get(label, other) for label in metric.labels)


FORMATS = {"text": text, "OpenMetrics": openmetrics}
each_format = pytest.mark.parametrize("show", FORMATS.values(), ids=FORMATS)
each_kind = pytest.mark.parametrize("metric", BY_KIND.values(), ids=BY_KIND)

# --- the same bytes ----------------------------------------------------------------------------


@each_format
def test_a_registry_without_series_is_the_same(pair, show):
    ours, theirs = pair.shown(show)
    assert theirs == ours


@each_format
def test_a_series_at_zero_is_the_same(pair, show):
    for metric in catalogue.METRICS:
        for backend in pair.backends:
            backend.bind(metric, labels_of(metric))
        pair.now += 0.1
    ours, theirs = pair.shown(show)
    assert theirs == ours


@each_format
def test_exemplars_of_all_metrics_are_the_same(pair, show):
    for metric in catalogue.METRICS:
        for value in (1, 0.3, 700):
            pair.update(metric, labels_of(metric), value, CONTEXT)
            pair.now += 0.123456789
    ours, theirs = pair.shown(show)
    assert theirs == ours


def test_openmetrics_has_the_exemplars(pair):
    pair.update(catalogue.CALL_DURATION, ("images.get", "exhausted", "503"), 0.3, CONTEXT)
    expected = (
        '# {span_id="00f067aa0ba902b7",trace_id="4bf92f3577b34da6a3ce929d0e0e4736"}'
        " 0.3 1790000000.0"
    )
    assert expected in pair.shown(openmetrics)[0]


@each_format
@pytest.mark.parametrize("switch", [disable_created_metrics, enable_created_metrics])
def test_the_created_series_are_switched_as_theirs(pair, show, switch):
    try:
        switch()
        for metric in catalogue.METRICS:
            pair.update(metric, labels_of(metric), 1)
        ours, theirs = pair.shown(show)
    finally:
        enable_created_metrics()
    assert (theirs, switch is enable_created_metrics) == (ours, "_created" in ours)


NUMBERS = st.one_of(st.integers(-3, 10**9), st.floats(), st.sampled_from([0.005, 1.0, 600.0]))
STEPS = st.tuples(
    st.sampled_from(catalogue.METRICS),
    st.sampled_from(SERVERS),
    st.sampled_from(ODD),
    NUMBERS,
    st.sampled_from([None, CONTEXT]),
)
"""A metric, its server, its other labels, a value and an exemplar; of a negative, a removal."""


def play(pair, steps):
    """Carry out updates and removals of servers."""
    for metric, server, other, value, exemplar in steps:
        pair.now += 0.37
        if metric.kind != "counter" or not value < 0:
            pair.update(metric, labels_of(metric, server, other), value, exemplar)
        else:
            pair.forget(server)


@given(st.lists(STEPS, max_size=30), st.sets(st.sampled_from([m.name for m in catalogue.METRICS])))
def test_any_updates_bring_the_same_text(steps, names):
    with pytest.MonkeyPatch.context() as monkeypatch:
        pair = Pair(monkeypatch)
        play(pair, steps)
        shown = [pair.shown(show) for show in (text, openmetrics)]
        restricted = [
            sorted(text(registry.restricted_registry(names)).splitlines())
            for registry in pair.registries
        ]
    assert [theirs for _, theirs in shown] == [ours for ours, _ in shown]
    assert restricted[1] == restricted[0]


# --- what a registry offers --------------------------------------------------------------------


@each_kind
def test_a_value_can_be_asked_for(pair, metric):
    pair.update(metric, labels_of(metric), 0.75)
    suffix = "_bucket" if metric.kind == "histogram" else ""
    labels = dict(zip(metric.labels, labels_of(metric), strict=True))
    bucket = {"le": "0.75"} if metric.kind == "histogram" else {}
    found = [
        registry.get_sample_value(metric.name + suffix, {**labels, **bucket})
        for registry in pair.registries
    ]
    assert found[1] == found[0] is not None


def test_a_restricted_registry_collects_no_other_metric(backend, registry):
    for metric in catalogue.METRICS:
        backend.bind(metric, labels_of(metric))
    name = catalogue.RETRIES.name
    assert [name.removesuffix("_total")] == [
        family.name for family in registry.restricted_registry([name]).collect()
    ]


@each_kind
def test_a_scrape_hands_out_labels_that_may_be_changed(backend, registry, metric):
    backend.bind(metric, labels_of(metric))(1, None)
    before = openmetrics(registry)
    for family in registry.collect():
        for sample in family.samples:
            sample.labels.clear()
    assert before == openmetrics(registry)


@each_kind
def test_no_two_samples_have_the_same_dict_of_labels(backend, registry, metric):
    backend.bind(metric, labels_of(metric))(1, None)
    found = [sample.labels for family in registry.collect() for sample in family.samples]
    assert len(found) == len({id(labels) for labels in found})


def test_a_second_backend_is_refused(backend, registry):
    with pytest.raises(ValueError, match="Duplicated"):
        PrometheusBackend(registry)


def test_a_refused_backend_leaves_the_first_in_place(backend, registry):
    backend.bind(catalogue.RETRIES, labels_of(catalogue.RETRIES))(3, None)
    before = openmetrics(registry)
    with pytest.raises(ValueError, match="Duplicated"):
        PrometheusBackend(registry)
    assert before == openmetrics(registry)


@pytest.fixture(params=[False, True], ids=["one process", "multiprocess mode"])
def any_mode(request):
    """Each mode of prometheus_client."""
    if request.param:
        request.getfixturevalue("several_processes")


@pytest.mark.parametrize("metric", [catalogue.METRICS[0], catalogue.RETRIES, catalogue.METRICS[-1]])
def test_where_one_name_is_taken_none_is_registered(any_mode, registry, metric):
    Gauge(metric.name, "Somebody else's.", registry=registry)
    before = text(registry)
    with pytest.raises(ValueError, match="Duplicated"):
        PrometheusBackend(registry)
    assert before == text(registry)


def test_a_name_that_was_taken_can_be_used_later(any_mode, registry):
    taken = Gauge(catalogue.METRICS[-1].name, "Somebody else's.", registry=registry)
    with pytest.raises(ValueError, match="Duplicated"):
        PrometheusBackend(registry)
    registry.unregister(taken)
    PrometheusBackend(registry)
    families = [family.name for family in registry.collect()]
    assert [metric.name.removesuffix("_total") for metric in catalogue.METRICS] == families


# --- single series -----------------------------------------------------------------------------


def test_a_counter_refuses_a_negative_amount(backend):
    update = backend.bind(catalogue.RETRIES, labels_of(catalogue.RETRIES))
    with pytest.raises(ValueError, match="non-negative"):
        update(-1, None)


@each_kind
def test_a_wrong_number_of_labels_is_refused(backend, metric):
    with pytest.raises(ValueError, match=metric.name):
        backend.bind(metric, ("images.get",))


def test_a_series_that_was_forgotten_starts_again_at_zero(backend, counts):
    metric, labels = catalogue.ACTIVE_ATTEMPTS, SERVERS[0]
    backend.bind(metric, labels)(5, None)
    backend.forget(*labels)
    gone = counts.of(metric.name, zeros=True)
    backend.bind(metric, labels)
    assert ({}, {(): 0.0}) == (gone, counts.of(metric.name, zeros=True))


def test_a_metric_without_a_server_is_not_forgotten(backend, counts):
    backend.bind(catalogue.TELEMETRY_ERRORS, ("spans",))(1, None)
    backend.forget("spans", "spans")
    assert {(): 1.0} == counts.of(catalogue.TELEMETRY_ERRORS.name)


# --- threads, handlers and forks ---------------------------------------------------------------


@pytest.fixture
def often():
    """Have threads take turns as often as possible."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def run_all(*works):
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


THREADS, TIMES = 4, 2000


@each_kind
def test_no_update_of_any_thread_is_lost(often, backend, counts, metric):
    def work():
        for _ in range(TIMES):
            backend.bind(metric, labels_of(metric))(1, CONTEXT)

    run_all(*[work] * THREADS)
    suffix = "_count" if metric.kind == "histogram" else ""
    expected = 1.0 if metric.kind in ("gauge", "updown") else float(THREADS * TIMES)
    assert {(): expected} == counts.of(metric.name + suffix)


def test_a_scrape_under_load_sees_whole_histograms(often, backend, registry):
    """Each value is 1, so that the sum, the count and the last bucket are the same number."""
    metric, stop, seen = catalogue.CALL_RETRIES, threading.Event(), []

    def work():
        update = backend.bind(metric, ("images.get",))
        while not stop.is_set():
            update(1, None)

    def scrape():
        for _ in range(100):
            found = {
                (sample.name.removeprefix(metric.name), sample.labels.get("le")): sample.value
                for family in registry.collect()
                if family.name == metric.name
                for sample in family.samples
            }
            seen.append([found[key] for key in [("_count", None), ("_sum", None)]])
            seen[-1].append(found["_bucket", "+Inf"])
        stop.set()

    backend.bind(metric, ("images.get",))
    run_all(scrape, *[work] * 2)
    assert [] == [each for each in seen if len(set(each)) > 1]
    assert all(before <= after for before, after in pairwise(each[0] for each in seen))


def test_series_may_start_during_a_scrape(often, backend, registry):
    problems = []

    def scrape():
        try:
            for _ in range(30):
                text(registry)
        except RuntimeError as error:
            problems.append(error)

    def work():
        for number in range(300):
            backend.bind(catalogue.ACTIVE_ATTEMPTS, (f"10.0.0.{number}", "9292"))
            backend.forget(f"10.0.0.{number - 5}", "9292")

    run_all(scrape, work)
    assert [] == problems


@each_kind
def test_a_finalizer_may_record_while_its_thread_holds_the_lock(metric):
    common, done = Common(time.time), []
    update = Family(metric, common).bind(labels_of(metric))

    class Ending:
        def __del__(self):
            update(1, CONTEXT)
            done.append(True)

    def work():
        with common.lock:
            ending = [Ending()]
            ending.append(ending)
            del ending
            gc.collect()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(10.0)
    assert [True] == done


HANDLER = """
    import signal

    from prometheus_client import CollectorRegistry

    from traced_image.telemetry import catalogue
    from traced_image.telemetry.backends import PrometheusBackend

    registry, handled = CollectorRegistry(), 0
    update = PrometheusBackend(registry).bind(catalogue.CALL_RETRIES, ("images.get",))


    def handle(*_):
        global handled
        handled += 1
        update(1, None)


    signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 1e-4, 1e-4)
    count = 0
    while handled < 200:
        update(1, None)
        count += 1
    signal.setitimer(signal.ITIMER_REAL, 0)
    name = catalogue.CALL_RETRIES.name
    for suffix in ("_count", "_sum"):
        found = registry.get_sample_value(name + suffix, {"operation": "images.get"})
        print(found == count + handled)
"""


def test_a_signal_handler_may_record_during_an_update(run_python):
    assert ["True", "True"] == run_python(HANDLER)


FORKS = """
    import os
    import signal
    import sys
    import threading

    from prometheus_client import CollectorRegistry

    from traced_image.telemetry import catalogue
    from traced_image.telemetry.backends import PrometheusBackend

    sys.setswitchinterval(1e-6)
    registry, stop = CollectorRegistry(), threading.Event()
    update = PrometheusBackend(registry).bind(catalogue.CALL_RETRIES, ("images.get",))
    name = catalogue.CALL_RETRIES.name


    def work():
        while not stop.is_set():
            update(1, None)


    def look():
        labels = {"operation": "images.get"}
        return [registry.get_sample_value(name + each, labels) for each in ("_count", "_sum")]


    def child():
        signal.alarm(20)
        before = look()
        update(1, None)
        after = look()
        whole = before[0] == before[1] and after == [before[0] + 1] * 2
        os._exit(0 if whole else 1)


    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(30):
        pid = os.fork()
        if not pid:
            child()
        print(os.waitpid(pid, 0)[1])
    stop.set()
"""


def test_the_child_of_a_fork_has_whole_numbers_and_counts_on(run_python):
    assert ["0"] * 30 == run_python(FORKS, PYTHONWARNINGS="ignore")


# --- multiprocess mode -------------------------------------------------------------------------


@pytest.fixture
def several_processes(monkeypatch, tmp_path):
    """prometheus_client's multiprocess mode, and a registry that reads its files."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    monkeypatch.setattr(values, "ValueClass", values.MultiProcessValue())
    together = CollectorRegistry()
    MultiProcessCollector(together)
    return together


@each_kind
def test_in_multiprocess_mode_the_numbers_are_in_files(several_processes, registry, metric):
    update = PrometheusBackend(registry).bind(metric, labels_of(metric))
    update(2, CONTEXT)
    suffix = "_sum" if metric.kind == "histogram" else ""
    found = [
        sample.value
        for family in several_processes.collect()
        for sample in family.samples
        if sample.name == metric.name + suffix
    ]
    assert [2.0] == found


def test_in_multiprocess_mode_a_registry_shows_this_process(several_processes, registry, counts):
    backend = PrometheusBackend(registry)
    backend.bind(catalogue.ACTIVE_ATTEMPTS, SERVERS[0])(2, None)
    assert {(): 2.0} == counts.of(catalogue.ACTIVE_ATTEMPTS.name)


def test_in_multiprocess_mode_the_series_of_a_server_stay(several_processes, registry, counts):
    backend = PrometheusBackend(registry)
    backend.bind(catalogue.ACTIVE_ATTEMPTS, SERVERS[0])(2, None)
    backend.forget(*SERVERS[0])
    assert {(): 2.0} == counts.of(catalogue.ACTIVE_ATTEMPTS.name)


def test_a_value_that_is_no_number_is_in_no_bucket(backend, counts):
    backend.bind(catalogue.CALL_RETRIES, ("images.get",))(math.nan, CONTEXT)
    count, total = (
        counts.of(catalogue.CALL_RETRIES.name + each, zeros=True) for each in ("_count", "_sum")
    )
    assert (0.0, True) == (count[()], math.isnan(total[()]))
