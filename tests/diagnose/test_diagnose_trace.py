"""A trace as a source, in each format, of real calls to servers of the lab."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trace_files import FORMATS, RESOURCE, record, to_console, to_otlp

from traced_image import TracedImageError, lab
from traced_image.diagnosis import findings, trace
from traced_image.diagnosis.trace_formats import read_spans
from traced_image.errors import DiagnosisError
from traced_image.lab import faults

DATA = b"." * 70000


@pytest.fixture
def images():
    return lab.Images()


@pytest.fixture
def image(images):
    return images.add(name="cirros", data=DATA, visibility="public")


@pytest.fixture
def two(images):
    with lab.cluster(2, images=images) as servers:
        yield servers


def place(server):
    return f"{server.host}:{server.port}"


def show(image, times=4):
    def act(service):
        for _ in range(times):
            with contextlib.suppress(TracedImageError):
                service.show(None, image)

    return act


def diagnose(text, **told):
    return findings.find(trace.observe(text, "a file", **told))


@pytest.mark.parametrize("form", FORMATS)
def test_each_format_tells_the_same(form, two, image):
    two[0].break_with(faults.status(503))
    spans = record(two, show(image))
    seen = trace.observe(FORMATS[form](spans), "a file")
    (found,) = findings.find(seen)
    told = {"nova-api": ("images.get",)}
    assert ((place(two[0]),), {"503": len(seen.calls)}, told, True, {"nova-api": 1}) == (
        found.servers,
        found.reasons,
        found.operations,
        found.hidden_by_retries,
        dict(seen.jobs),
    )


@pytest.mark.parametrize("form", FORMATS)
def test_spans_that_it_has_twice_count_once(form, two, image):
    two[0].break_with(faults.status(503))
    once = FORMATS[form](record(two, show(image)))
    assert read_spans(once) == read_spans(f"{once}\n{once}")


def test_spans_without_an_id_all_count():
    spans = {"resourceSpans": [{"scopeSpans": [{"spans": [{"name": "a"}, {"name": "b"}]}]}]}
    assert ["a", "b"] == [each.name for each in read_spans(json.dumps(spans))]


def test_a_job_that_the_trace_does_not_have_is_told(two, image):
    text = to_console(record(two, show(image, 1)))
    with pytest.raises(
        DiagnosisError, match=r"no span of a call to Glance of cinder that .*--job$"
    ):
        diagnose(text, jobs=["cinder"])


@pytest.mark.parametrize("form", ["console", "otlp", "jaeger"])
def test_the_process_is_named(form, two, image):
    two[0].break_with(faults.refuse())
    (found,) = diagnose(FORMATS[form](record(two, show(image))))
    assert ("node-1:42",) == found.callers[0].names


def test_it_shows_the_order_of_the_servers_and_the_cost(two, image):
    two[0].break_with(faults.status(503))
    (call, *_) = trace.observe(to_console(record(two, show(image))), "a file").calls
    assert ([(place(two[0]), "HTTP 503"), (place(two[1]), "")], "success_after_retry", True) == (
        [(server, reason) for server, reason, _ in call.attempts],
        call.outcome,
        0 < call.cost_seconds < call.seconds,
    )


def test_calls_that_fail_are_counted_for_their_servers(two, image):
    for each in two:
        each.break_with(faults.refuse())
    (found,) = diagnose(to_console(record(two, show(image, 3), num_retries=1)))
    assert ("all_servers", 3.0, False) == (
        found.rule.name,
        found.calls_failed,
        found.hidden_by_retries,
    )


def test_a_stream_that_breaks_is_a_failure_of_its_server(two, image):
    two[0].break_with(faults.cut_body().only(path="/file$"))

    def act(service):
        for _ in two:  # each server is the first once
            service.download(None, image, data=Sink())

    (found,) = diagnose(to_console(record(two, act)))
    # The attempt of the stream had succeeded, and does not count beside it.
    assert ((place(two[0]),), ["protocol_error"], 1.0) == (
        found.servers,
        list(found.reasons),
        found.share,
    )


class Sink:
    """A file that keeps nothing."""

    def write(self, data):
        return len(data)


def test_a_slow_server_is_known_beside_the_others(two, image):
    two[0].break_with(faults.slow_headers(0.003))
    (found,) = diagnose(to_console(record(two, show(image, 2))))
    assert ("slow", (place(two[0]),)) == (found.rule.name, found.servers)


def test_a_slow_server_is_slow_since_its_first_slow_attempt(two, image):
    fast = to_console(record(two, show(image, 4)))
    two[0].break_with(faults.slow_headers(0.003))
    began = time.time()
    (found,) = diagnose(fast + to_console(record(two, show(image, 6))))
    assert (began, False) == (pytest.approx(found.since, abs=5), found.exact)
    assert found.since >= began


def test_what_was_before_the_first_failure_does_not_count(two, image):
    def act(service):
        show(image)(service)
        two[0].break_with(faults.refuse())
        show(image)(service)

    (found,) = diagnose(to_console(record(two, act)))
    assert ("down", (place(two[0]),)) == (found.rule.name, found.servers)


def test_keystone_is_told_from_a_server(two, image):
    class Tokens:
        def get_token(self):
            socket.create_connection(("127.0.0.1", 1), 1).close()

        def invalidate(self):
            return False

    seen = trace.observe(to_console(record(two, show(image), auth=Tokens())), "a file")
    (found,) = findings.find(seen)
    assert ("keystone", {"token_unavailable": 4.0}, ()) == (
        found.rule.name,
        found.reasons,
        seen.servers,
    )


def test_a_refusal_is_no_failure(two):
    assert [] == diagnose(to_console(record(two, show("absent"))))


def test_a_server_that_refuses_alone_is_told_with_its_calls(two, image):
    two[0].break_with(faults.status(401))
    seen = trace.observe(to_console(record(two, show(image, times=30))), "a file")
    (found,) = findings.find(seen)
    assert ("refuses", (place(two[0]),), {"401": found.calls_failed}, "refused (HTTP 401)") == (
        found.rule.name,
        found.servers,
        found.reasons,
        seen.calls[0].attempts[0][1],
    )


def shift(text, seconds):
    """Return OTLP's JSON with all times later."""
    return re.sub(
        r'(?<=TimeUnixNano": ")\d+', lambda found: str(int(found[0]) + seconds * 10**9), text
    )


@pytest.mark.parametrize(("seconds", "over"), [(130, True), (60, False)])
def test_failures_have_ended_if_the_server_then_answers_for_two_minutes(two, image, seconds, over):
    two[0].break_with(faults.status(503))
    failing = to_otlp(record(two, show(image)))
    two[0].heal()
    fine = to_otlp(record(two, show(image, times=9)))
    (found,) = diagnose(f"{failing}\n{shift(fine, seconds)}")
    assert ("down" if over else "sometimes", over) == (found.rule.name, not found.is_ongoing)


def test_only_the_jobs_that_are_named_count(two, image):
    two[0].break_with(faults.status(503))
    others = record(two, show(image), {**RESOURCE, "service.name": "other"})
    two[0].heal()
    text = to_otlp([*record(two, show(image)), *others])
    assert ([], 1) == (diagnose(text, jobs=["nova-api"]), len(diagnose(text)))


def test_a_trace_that_does_not_say_the_cost_has_it_in_its_attempts(two, image):
    two[0].break_with(faults.status(503))
    text = to_console(record(two, show(image))).replace("cost_total", "other")
    (found,) = diagnose(text)
    assert found.cost_seconds > 0


def test_what_fails_without_time_costs_nothing(two, image):
    two[0].break_with(faults.status(503))
    spans = [json.loads(each.to_json()) for each in record(two, show(image))]
    for each in spans:
        each["end_time"] = each["start_time"]
    (found,) = diagnose(json.dumps(spans))
    assert 0.0 == found.cost_seconds


@pytest.mark.parametrize("text", ["", "[]", "{", '{"data": [{}]}', '{"context": {"span_id": "1"}}'])
def test_a_text_without_a_call_is_refused(text):
    with pytest.raises(
        DiagnosisError, match=r"^a file has no span of a call to Glance that can be "
    ):
        diagnose(text)


@pytest.mark.parametrize(("cut", "missing"), [(True, 4), (False, 0)])
def test_spans_that_are_missing_are_told(two, image, cut, missing):
    two[0].break_with(faults.status(503))
    spans = record(two, show(image, times=4))
    lost = [each for each in spans if cut and "glance.attempt.number" in each.attributes]
    seen = trace.observe(to_console([each for each in spans if each not in lost]), "a file")
    found = [each for each in seen.unknown if "spans are missing" in each]
    words = f"all attempts of {missing} calls, as some of their spans are missing"
    assert [words] * bool(missing) == found


def test_other_spans_below_a_call_are_no_attempts(two, image):
    two[0].break_with(faults.status(503))
    text = to_console(record(two, show(image))).replace("attempt.number", "attempt.other")
    seen = trace.observe(text, "a file")
    assert ((), True) == (seen.servers, bool(seen.calls))


def test_a_value_of_otlp_that_is_none_is_left_out():
    span = {"spanId": "1", "attributes": [{"key": "a", "value": 1}, {"key": "b", "value": {}}]}
    text = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]})
    (found,) = read_spans(text)
    assert {"a": None, "b": None} == found.attributes


def test_a_time_that_is_none_is_the_epoch():
    (span,) = read_spans('{"context": {"span_id": "1"}, "start_time": "noon"}')
    assert 0.0 == span.start


def test_deep_json_is_skipped():
    assert [] == read_spans("[" * 100_000)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.sampled_from(
                [
                    *("resourceSpans", "scopeSpans", "spans", "attributes", "key", "value"),
                    *("data", "processes", "tags", "references", "arrayValue", "values"),
                    *("context", "span_id", "trace", "resource", "start_time", "startTime"),
                ]
            ),
            inner,
        )
    ),
)


@given(st.lists(JSON) | st.dictionaries(st.sampled_from(["data", "resourceSpans"]), JSON))
def test_no_json_is_too_odd_to_read(value):
    assert [] == [each for each in read_spans(json.dumps(value)) if each.attributes.get("glance")]


@given(st.text(alphabet='{}[]",:x1\n \\'))
def test_no_text_is_too_odd_to_read(text):
    assert [] == read_spans(text)
