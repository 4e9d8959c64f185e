"""The last hour of several workers: in files, and as one."""

from __future__ import annotations

import json
import logging
import os
import threading
from collections import Counter

import pytest
from serving import until

from traced_image.exporter.hour import (
    Account,
    CallFailure,
    Cell,
    Content,
    KeptCall,
    KeystoneAccount,
    OperationAccount,
)
from traced_image.exporter.hour_json import decode, encode
from traced_image.exporter.merge import merge
from traced_image.exporter.shared_journal import SharedJournal
from traced_image.telemetry import catalogue
from traced_image.telemetry.updates import EndedCall

NOW = 1_800_000_030.0
MINUTE_OF_NOW = int(NOW // 60)
PLACE = "10.0.0.1", "9292"
GET = "images.get"
ATTEMPT = GET, *PLACE, "failed", "503"
FAILURE = CallFailure(*PLACE, "503", 0.25)


def content(*, when=NOW, failed="503", state="cooling", minute=MINUTE_OF_NOW, since=5.0):
    cell = Cell(minute, 2, Counter({failed: 1}), Counter({"404": 1}), Counter({3: 2}))
    cell.operations, cell.failed_operations = Counter({GET: 4}), Counter({GET: 1})
    cell.longest, cell.cost, cell.saved = when / NOW, 0.5, 1
    account = Account(state, 1, when - 1, when, failed, {minute: cell}, since)
    account.operations[GET] = OperationAccount(since, when - 1, when, failed)
    account.next_trial = when + 9
    account.last.extend([(when - 1, False), (when, True)])
    outcomes = {minute: Counter({"exhausted": 1, "refused": 1})}
    keystone = KeystoneAccount(when - 9, when, "401", {minute: 1})
    call = KeptCall(when, GET, "exhausted", failed, 0.5, None)
    saved = KeptCall(when, GET, "success_after_retry", "", 0.5, None, 2, (FAILURE,))
    return Content({PLACE: account}, outcomes, keystone, (call,), (saved,), {minute: 1})


@pytest.fixture
def journal(tmp_path):
    return SharedJournal(tmp_path, clock=lambda: NOW)


def put(folder, text, worker="other", age=0.0):
    path = folder / f"traced_image_hour_{worker}.json"
    path.write_text(text)
    os.utime(path, (NOW - age, NOW - age))
    return path


# --- as one ------------------------------------------------------------------------------------


def test_the_counts_of_workers_are_added():
    hour = merge(NOW, [content(), content(failed="read_timeout")])
    cell = hour.servers[PLACE].cells[MINUTE_OF_NOW]
    expected = {"503": 1, "read_timeout": 1}, {"404": 2}, {3: 4}
    assert (4, *expected) == (cell.succeeded, cell.failed, cell.refused, cell.seconds)
    assert {"exhausted": 2, "refused": 2} == hour.outcomes
    assert ({GET: 8}, {GET: 2}, 1.0, 1.0, 2) == (
        cell.operations,
        cell.failed_operations,
        cell.longest,
        cell.cost,
        cell.saved,
    )
    assert (2, 2) == (hour.saved_calls, hour.processes)


def test_a_server_fails_since_the_first_of_the_workers_noticed_it():
    both = [content(since=7.0), content(when=NOW - 9, since=5.0)]
    account = merge(NOW, both).servers[PLACE]
    assert (5.0, 5.0) == (account.since, account.operations[GET].since)


@pytest.mark.parametrize("turn", [1, -1])
def test_a_server_does_not_fail_if_the_last_attempt_of_all_workers_did_not(turn):
    both = [content(since=0.0), content(when=NOW - 9, since=5.0)]
    account = merge(NOW, both[::turn]).servers[PLACE]
    assert (0.0, 0.0) == (account.since, account.operations[GET].since)


def test_a_worker_that_has_not_seen_a_server_fail_does_not_say_since_when():
    both = [content(since=7.0), content(when=NOW - 9, since=0.0)]
    assert 7.0 == merge(NOW, both).servers[PLACE].since


def test_an_operation_of_one_worker_alone_is_kept():
    other = content()
    other.accounts[PLACE].operations = {"images.data": OperationAccount()}
    assert {GET, "images.data"} == set(merge(NOW, [content(), other]).servers[PLACE].operations)


def test_the_last_attempts_of_all_workers_are_in_their_order():
    workers = [content(when=NOW - 60 + number) for number in range(20)]
    last = merge(NOW, workers).servers[PLACE].last
    assert (16, sorted(last), NOW - 41) == (len(last), list(last), last[-1][0])


def test_merging_changes_no_worker_s_own():
    one, other = content(), content()
    merge(NOW, [one, other])
    assert (content(), content()) == (one, other)


@pytest.mark.parametrize(("before", "since"), [(60, 69), (309, 318), (320, 9)])
@pytest.mark.parametrize("turn", [1, -1])
def test_keystones_trouble_began_when_the_first_worker_noticed_it(turn, before, since):
    both = [content(), content(when=NOW - before, minute=MINUTE_OF_NOW - 1)]
    keystone = merge(NOW, both[::turn]).keystone
    assert (NOW - since, NOW, "401", 2) == (
        keystone.since,
        keystone.last_failure,
        keystone.last_error,
        sum(keystone.failures.values()),
    )


def test_minutes_that_one_worker_has_alone_are_kept():
    hour = merge(NOW, [content(), content(minute=MINUTE_OF_NOW - 1)])
    assert {MINUTE_OF_NOW - 1, MINUTE_OF_NOW} == set(hour.servers[PLACE].cells)


@pytest.mark.parametrize("turn", [1, -1])
def test_the_state_is_that_of_the_worker_that_tried_last(turn):
    old = content(when=NOW - 9, failed="503", state="healthy")
    new = content(failed="read_timeout")
    account = merge(NOW, [old, new][::turn]).servers[PLACE]
    assert ("cooling", NOW + 9, "read_timeout", NOW, NOW - 1) == (
        account.state,
        account.next_trial,
        account.last_error,
        account.last_failure,
        account.last_success,
    )


def test_the_latest_calls_are_in_their_order():
    hour = merge(NOW, [content(when=NOW), *(content(when=NOW - 60 + n) for n in range(60))])
    assert [NOW - 49 + n for n in range(50)] == [call.when for call in hour.latest]


def test_what_is_older_than_an_hour_does_not_count():
    assert {} == merge(NOW, [content(minute=MINUTE_OF_NOW - 60)]).outcomes


# --- in files ----------------------------------------------------------------------------------


def test_what_is_read_is_what_was_written():
    assert content() == decode(encode(content()))


@pytest.mark.parametrize(("live", "since"), [(True, 5.0), (False, 0.0)])
def test_only_a_live_worker_says_since_when_a_server_fails(journal, tmp_path, live, since):
    put(tmp_path, encode(content()))
    if live:
        (tmp_path / "gauge_liveall_other.db").touch()
    account = journal.hour().servers[PLACE]
    assert (since, since) == (account.since, account.operations[GET].since)


def test_a_call_that_is_kept_is_soon_in_the_file(journal, started):
    journal.keep_call(EndedCall(GET, "exhausted", "503", 1.0, 1, (), None))
    assert 1 == len(started)


def test_the_hour_of_another_worker_is_shown_with_the_own_one(journal, tmp_path):
    journal.bind(catalogue.ATTEMPT_DURATION, ATTEMPT)(0.1, None)
    put(tmp_path, encode(content()))
    assert {"503": 2} == journal.hour().servers[PLACE].cells[MINUTE_OF_NOW].failed


def test_the_own_file_is_not_shown_beside_what_is_in_memory(journal):
    journal.bind(catalogue.ATTEMPT_DURATION, ATTEMPT)(0.1, None)
    journal.write()
    assert {"503": 1} == journal.hour().servers[PLACE].cells[MINUTE_OF_NOW].failed


@pytest.mark.parametrize(
    ("labels", "metric"),
    [
        (ATTEMPT, catalogue.ATTEMPT_DURATION),
        (("images.get", "exhausted", "503"), catalogue.CALL_DURATION),
        (PLACE, catalogue.LAST_FAILURE),
    ],
)
def test_an_update_is_soon_in_the_file(journal, tmp_path, labels, metric):
    journal._seconds = 0.01
    journal.bind(metric, labels)(0.1, None)
    path = tmp_path / f"traced_image_hour_{os.getpid()}.json"
    until(path.exists)
    assert journal.copy(NOW) == decode(path.read_text())


@pytest.fixture
def started(monkeypatch):
    """The timers that were started; none of them runs."""
    found = []

    def note(timer):
        found.append(timer)

    monkeypatch.setattr(threading.Timer, "start", note)
    return found


def test_many_updates_are_written_once(journal, started):
    update = journal.bind(catalogue.ATTEMPT_DURATION, ATTEMPT)
    for _ in range(10):
        update(0.1, None)
    assert [1.0] == [timer.interval for timer in started]


def test_a_timer_that_does_not_start_is_tried_again(journal, started, monkeypatch):
    def fail(_):
        raise RuntimeError

    update = journal.bind(catalogue.ATTEMPT_DURATION, ATTEMPT)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Timer, "start", fail)
        with pytest.raises(RuntimeError):
            update(0.1, None)
    update(0.1, None)
    assert 1 == len(started)


def test_a_metric_that_the_page_does_not_show_is_not_written(journal):
    assert journal.bind(catalogue.RETRY_DELAYS, ("images.get",)) is None


def test_a_folder_that_is_gone_is_logged_once(tmp_path, caplog):
    journal = SharedJournal(tmp_path / "gone", clock=lambda: NOW)
    for _ in range(2):
        journal.write()
    assert [logging.WARNING] == [record.levelno for record in caplog.records]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"accounts": [[1, 2, {}]], "outcomes": [], "latest": []}',
        encode(content())[:-9],
    ],
)
def test_a_file_that_is_none_is_passed_over(journal, tmp_path, text):
    put(tmp_path, text)
    assert {} == journal.hour().servers


def test_a_file_of_the_hour_before_is_removed(journal, tmp_path):
    path = put(tmp_path, encode(content()), age=3601)
    assert ({}, False) == (journal.hour().servers, path.exists())


def test_the_file_of_a_worker_that_has_ended_stays_for_an_hour(journal, tmp_path):
    put(tmp_path, encode(content()), age=3599)
    assert {PLACE} == set(journal.hour().servers)


def test_the_file_has_no_more_than_it_must(journal, tmp_path):
    journal.write()
    (path,) = tmp_path.iterdir()
    keystone = {"since": 0.0, "last_failure": 0.0, "last_error": "", "failures": []}
    lists = {key: [] for key in ("accounts", "outcomes", "latest", "saved", "saved_calls")}
    expected = {**lists, "keystone": keystone}
    assert expected == json.loads(path.read_text())


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_of_a_fork_does_not_count_what_the_parent_did(journal, tmp_path):
    journal._scheduled = True
    journal.bind(catalogue.ATTEMPT_DURATION, ATTEMPT)(0.1, None)
    for outcome in ("exhausted", "success_after_retry"):
        journal.keep_call(EndedCall(GET, outcome, "", 1.0, 1, (), None))
    child = os.fork()
    if not child:
        journal.write()
        os._exit(0)
    os.waitpid(child, 0)
    told = (tmp_path / f"traced_image_hour_{child}.json").read_text()
    assert Content({}, {}, KeystoneAccount(), ()) == decode(told)


# --- in words ----------------------------------------------------------------------------------


def test_where_no_worker_shares_its_calls_the_page_says_what_to_do(journal):
    assert "wsgi_app()" in journal.notice(journal.hour(), several=True)


def test_where_one_does_the_page_says_nothing(journal, tmp_path):
    put(tmp_path, encode(content()))
    assert journal.notice(journal.hour(), several=True) is None
