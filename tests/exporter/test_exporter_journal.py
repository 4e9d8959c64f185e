"""The last hour as the exporter keeps it: what is told by telemetry, forgotten, and copied."""

from __future__ import annotations

import os
import sys
import threading

import pytest
from opentelemetry.trace import SpanContext
from serving import LIMIT, until

from traced_image.exporter.hour import (
    LAST,
    LATEST,
    MINUTE,
    MINUTES,
    MOST_FAILURES,
    PAUSE,
    CallFailure,
    Cell,
    KeptCall,
    KeystoneAccount,
    OperationAccount,
)
from traced_image.exporter.journal import Journal
from traced_image.telemetry import catalogue
from traced_image.telemetry.updates import EndedCall
from traced_image.telemetry.verdicts import decide_verdict

PLACE = "10.0.0.1", "9292"
OTHER = "10.0.0.2", "9292"
NOON = 1_800_000_000.0
MINUTE_OF_NOON = int(NOON // MINUTE)
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
EXEMPLAR = SpanContext(int(TRACE_ID, 16), 0x00F067AA0BA902B7, is_remote=False)


class Told:
    """A journal, its time, and what tells it."""

    def __init__(self):
        self.now = NOON
        self.journal = Journal(clock=lambda: self.now)

    def attempt(self, reason="", seconds=0.004, place=PLACE, operation="images.get"):
        labels = operation, *place, decide_verdict(reason), reason
        self.journal.bind(catalogue.ATTEMPT_DURATION, labels)(seconds, None)

    def call(self, outcome="exhausted", reason="503", exemplar=None, failures=()):
        labels = "images.list", outcome, reason
        self.journal.bind(catalogue.CALL_DURATION, labels)(2.5, exemplar)
        if failures or outcome in catalogue.FAILED_OUTCOMES:
            attempts = len(failures) + 1
            ended = EndedCall("images.list", outcome, reason, 2.5, attempts, failures, exemplar)
            self.journal.keep_call(ended)

    def saved(self, *failures, exemplar=None):
        self.call("success_after_retry", "", exemplar, failures)

    def keystone(self, reason="connection_refused", value=1):
        self.journal.bind(catalogue.TOKEN_FAILURES, (reason,))(value, None)

    def minute(self, place=PLACE):
        """The one minute that there is of a server."""
        (cell,) = self.account(place).cells.values()
        return cell

    def account(self, place=PLACE):
        return self.journal.hour().servers[place]

    def minutes(self, place=PLACE):
        return sorted(self.account(place).cells)


@pytest.fixture
def told():
    return Told()


# --- what it is told ---------------------------------------------------------------------------


def test_it_knows_nothing_at_first(told):
    hour = told.journal.hour()
    assert (NOON, {}, {}, ()) == (hour.now, hour.servers, hour.outcomes, hour.latest)


def test_attempts_are_counted_by_their_minute(told):
    told.attempt()
    told.attempt("503")
    told.attempt("503")
    told.attempt("404")
    expected = Cell(MINUTE_OF_NOON, 1, {"503": 2}, {"404": 1}, {0: 1})
    expected.operations, expected.failed_operations = {"images.get": 4}, {"images.get": 2}
    expected.longest = 0.004
    assert expected == told.minute()


@pytest.mark.parametrize(
    ("seconds", "bucket"), [(0.0, 0), (0.005, 0), (0.0051, 1), (600.0, 18), (600.1, 19)]
)
def test_a_success_is_in_the_bucket_that_the_histogram_has_it_in(told, seconds, bucket):
    told.attempt(seconds=seconds)
    assert {bucket: 1} == told.minute().seconds


def test_a_failure_has_no_duration_there(told):
    told.attempt("read_timeout", seconds=60.0)
    assert {} == told.minute().seconds


def test_the_last_error_is_why_an_attempt_failed_last(told):
    for reason in ("503", "read_timeout", ""):
        told.attempt(reason)
    assert "read_timeout" == told.account().last_error


def test_a_refusal_is_no_error_of_its_server(told):
    for reason in ("read_timeout", "404", "4xx"):
        told.attempt(reason)
    assert "read_timeout" == told.account().last_error


def test_servers_are_kept_apart(told):
    told.attempt()
    told.attempt("503", place=OTHER)
    assert [{}, {"503": 1}] == [told.minute(place).failed for place in (PLACE, OTHER)]


def test_the_longest_success_of_a_minute_is_kept(told):
    for seconds in (0.2, 0.5, 0.1):
        told.attempt(seconds=seconds)
    assert 0.5 == told.minute().longest


def test_the_last_attempts_are_kept_and_no_more(told):
    for number in range(LAST + 1):
        told.now = NOON + number
        told.attempt("503" if number % 2 else "")
    expected = [(NOON + number, bool(number % 2)) for number in range(1, LAST + 1)]
    assert expected == list(told.account().last)


def test_a_refused_attempt_has_not_failed(told):
    told.attempt("404")
    assert [(NOON, False)] == list(told.account().last)


def test_operations_are_kept_apart(told):
    told.attempt("503", operation="images.data")
    told.attempt(operation="images.get")
    assert {
        "images.data": OperationAccount(NOON, 0.0, NOON, "503"),
        "images.get": OperationAccount(last_success=NOON),
    } == told.account().operations


def test_an_operation_fails_since_the_first_failure_in_a_row(told):
    for moment, reason in enumerate(("503", "", "502", "read_timeout")):
        told.now = NOON + moment
        told.attempt(reason)
    expected = OperationAccount(NOON + 2, NOON + 1, NOON + 3, "read_timeout")
    assert expected == told.account().operations["images.get"]


def test_an_operation_that_is_refused_does_not_fail(told):
    for reason in ("503", "404"):
        told.attempt(reason)
    assert 0.0 == told.account().operations["images.get"].since


def test_the_state_is_the_one_that_is_set(told):
    for state, value in (("healthy", 0), ("cooling", 1), ("trial", 0)):
        told.journal.bind(catalogue.SERVER_STATE, (*PLACE, state))(value, None)
    assert "cooling" == told.account().state


@pytest.mark.parametrize("when", [NOON + 30, None])
def test_the_end_of_a_cool_down_is_the_one_that_was_told_last(told, when):
    told.journal.keep_trial(PLACE, NOON)
    told.journal.keep_trial(PLACE, when)
    assert when == told.account().next_trial


@pytest.mark.parametrize(
    ("metric", "name"),
    [
        (catalogue.CONSECUTIVE_FAILURES, "consecutive_failures"),
        (catalogue.LAST_SUCCESS, "last_success"),
        (catalogue.LAST_FAILURE, "last_failure"),
        (catalogue.FAILING_SINCE, "since"),
    ],
)
def test_what_is_known_of_a_server_is_what_was_told_last(told, metric, name):
    told.journal.bind(metric, PLACE)(4.0, None)
    told.journal.bind(metric, PLACE)(5.0, None)
    assert 5.0 == getattr(told.account(), name)


@pytest.mark.parametrize(
    "metric", [catalogue.ACTIVE_ATTEMPTS, catalogue.RETRIES, catalogue.STREAM_BYTES]
)
def test_what_the_page_does_not_show_is_not_asked_for(told, metric):
    assert None is told.journal.bind(metric, ("",) * len(metric.labels))


# --- calls -------------------------------------------------------------------------------------


def test_calls_are_counted_by_their_outcome(told):
    told.call("success_first_try", "")
    told.call("exhausted")
    told.call("exhausted")
    assert {"success_first_try": 1, "exhausted": 2} == told.journal.hour().outcomes


@pytest.mark.parametrize("outcome", ["refused", "cancelled"])
def test_a_call_that_is_no_failure_is_not_kept(told, outcome):
    told.call(outcome, "404")
    hour = told.journal.hour()
    assert ({outcome: 1}, ()) == (hour.outcomes, hour.latest)


# --- Keystone ----------------------------------------------------------------------------------


def test_a_counter_that_starts_is_no_failure_of_keystone(told):
    told.keystone(value=0)
    assert KeystoneAccount() == told.journal.hour().keystone


def test_keystones_trouble_begins_with_the_first_failure_after_a_pause(told):
    told.keystone()
    told.now += PAUSE + 1
    began = told.now
    told.keystone("401")
    told.now += 60
    told.keystone("503")
    found = told.journal.hour().keystone
    assert (began, told.now, "503", 3) == (
        found.since,
        found.last_failure,
        found.last_error,
        sum(found.failures.values()),
    )


def test_keystones_failures_are_forgotten_after_an_hour(told):
    told.keystone()
    told.now += MINUTES * MINUTE
    assert {} == told.journal.hour().keystone.failures


def test_a_call_that_failed_is_kept_with_its_trace(told):
    told.call(exemplar=EXEMPLAR)
    expected = KeptCall(NOON, "images.list", "exhausted", "503", 2.5, TRACE_ID)
    assert (expected,) == told.journal.hour().latest


def test_a_call_that_was_not_sampled_has_no_trace(told):
    told.call()
    assert None is told.journal.hour().latest[0].trace_id


def test_a_call_that_failed_is_kept_with_the_servers_that_failed_it(told):
    told.call(failures=((PLACE, "503", 1.0), (OTHER, "502", 0.5)))
    kept = told.journal.hour().latest[0]
    assert (3, (CallFailure(*PLACE, "503", 1.0), CallFailure(*OTHER, "502", 0.5))) == (
        kept.attempts,
        kept.failures,
    )


def test_the_servers_of_a_call_are_bounded(told):
    told.call(failures=((PLACE, "503", 1.0),) * (MOST_FAILURES + 1))
    assert MOST_FAILURES == len(told.journal.hour().latest[0].failures)


def test_a_call_that_retries_saved_is_kept_apart(told):
    told.saved((PLACE, "503", 1.0), exemplar=EXEMPLAR)
    expected = KeptCall(
        NOON,
        "images.list",
        "success_after_retry",
        "",
        2.5,
        TRACE_ID,
        2,
        (CallFailure(*PLACE, "503", 1.0),),
    )
    hour = told.journal.hour()
    assert ((), (expected,), 1) == (hour.latest, hour.saved, hour.saved_calls)


def test_a_saved_call_counts_once_for_each_server_that_failed(told):
    for place in (PLACE, OTHER):
        told.attempt("503", place=place)
    told.saved((PLACE, "503", 1.0), (PLACE, "502", 0.25), (OTHER, "503", 0.5))
    costs = [(told.minute(place).saved, told.minute(place).cost) for place in (PLACE, OTHER)]
    assert [(1, 1.25), (1, 0.5)] == costs


def test_a_saved_call_brings_no_server_back_that_is_forgotten(told):
    told.saved((PLACE, "503", 1.0))
    assert {} == told.journal.hour().servers


def test_a_call_that_failed_costs_a_server_nothing(told):
    told.attempt("503")
    told.call(failures=((PLACE, "503", 1.0),))
    assert (0, 0.0) == (told.minute().saved, told.minute().cost)


def test_saved_calls_are_forgotten_after_an_hour(told):
    told.saved((PLACE, "503", 1.0))
    told.now += MINUTES * MINUTE
    assert 0 == told.journal.hour().saved_calls


def test_the_latest_failures_are_kept_and_no_more(told):
    for number in range(LATEST + 1):
        told.now = NOON + number
        told.call()
    latest = told.journal.hour().latest
    assert (LATEST, NOON + 1, NOON + LATEST) == (len(latest), latest[0].when, latest[-1].when)


# --- an hour -----------------------------------------------------------------------------------


def test_an_hour_has_sixty_minutes_with_the_one_under_way(told):
    for number in range(MINUTES + 1):
        told.now = NOON + number * MINUTE
        told.attempt()
        told.call("success_first_try", "")
    assert list(range(MINUTE_OF_NOON + 1, MINUTE_OF_NOON + MINUTES + 1)) == told.minutes()
    assert {"success_first_try": MINUTES} == told.journal.hour().outcomes


def test_what_is_an_hour_ago_is_not_told_though_nothing_has_come_since(told):
    told.attempt()
    told.call()
    told.now += MINUTES * MINUTE
    hour = told.journal.hour()
    assert ({}, {}) == (hour.servers[PLACE].cells, hour.outcomes)


def test_a_server_of_which_nothing_has_come_for_an_hour_is_still_known(told):
    told.attempt("503")
    told.now += MINUTES * MINUTE
    assert "503" == told.account().last_error


def test_it_does_not_grow(told):
    for number in range(3 * MINUTES):
        told.now = NOON + number * MINUTE
        told.attempt()
        told.call()
    kept = [told.journal._outcomes, told.journal._accounts[PLACE].cells]
    assert [MINUTES, MINUTES] == [len(each) for each in kept]


@pytest.mark.parametrize("hours", [-30, 30])
def test_a_clock_that_was_wrong_for_a_minute_spoils_nothing(told, hours):
    told.attempt()
    told.now = NOON + hours * 3600
    told.attempt("503")
    told.call()
    told.now = NOON + MINUTE
    told.attempt()
    told.call("success_first_try", "")
    assert [MINUTE_OF_NOON + 1] == told.minutes()
    assert {"success_first_try": 1} == told.journal.hour().outcomes


def test_a_clock_that_is_put_back_a_little_counts_in_the_minute_that_it_shows(told):
    told.now = NOON + MINUTE
    told.attempt()
    told.now = NOON
    told.attempt()
    told.now = NOON + MINUTE
    told.attempt()
    assert [1, 2] == [told.account().cells[each].succeeded for each in told.minutes()]


# --- copies, threads, forks --------------------------------------------------------------------


def test_an_hour_does_not_change_any_more(told):
    told.attempt("503")
    hour = told.journal.hour()
    told.attempt("503")
    told.attempt()
    told.call()
    cell = hour.servers[PLACE].cells[MINUTE_OF_NOON]
    assert (0, {"503": 1}, {}, ()) == (cell.succeeded, cell.failed, hour.outcomes, hour.latest)


def test_a_server_that_is_forgotten_is_gone(told):
    told.attempt()
    told.attempt(place=OTHER)
    told.journal.forget(*PLACE)
    assert [OTHER] == list(told.journal.hour().servers)


def test_to_forget_a_server_that_is_not_known_does_no_harm(told):
    told.journal.forget(*PLACE)
    assert {} == told.journal.hour().servers


def test_threads_lose_nothing(told):
    """Switched as often as can be, in the middle of whatever they do."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        together = threading.Barrier(5)

        def work():
            together.wait(LIMIT)
            for number in range(200):
                told.attempt("503" if number % 2 else "")
                told.call()

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        together.wait(LIMIT)
        while any(thread.is_alive() for thread in threads):
            told.journal.hour()
    finally:
        sys.setswitchinterval(before)
    counted = told.minute().succeeded, told.minute().failed, told.journal.hour().outcomes
    assert (400, {"503": 400}, {"exhausted": 800}) == counted


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_of_a_fork_can_tell_it_though_the_parent_held_its_lock(told):
    with told.journal._lock:
        child = os.fork()
        if not child:
            told.attempt()
            os._exit(0)
    ended = []
    until(lambda: ended or _reaped(child, ended), "the child waits for a lock that nobody has")
    assert [0] == ended


def _reaped(child, ended):
    found, status = os.waitpid(child, os.WNOHANG)
    if found:
        ended.append(os.waitstatus_to_exitcode(status))
    return found
