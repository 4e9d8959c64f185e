"""The exporter's page in a real Chromium: what it tells, and to whom it is of use."""

import json
import os
import re
import socket
import time
from contextlib import ExitStack, closing
from datetime import datetime, timedelta, timezone

import pytest
from opentelemetry.sdk.trace import TracerProvider
from page_scene import (
    COOLING,
    DATA,
    FAILING,
    GET,
    HEALTHY,
    RECOVERED,
    SAVED_TRACE,
    TRACE_URL,
    TRACES,
    Interrupted,
    Told,
    application,
    failing,
    many,
    scene,
    served,
)
from parts import chromium
from parts.cache import PartUnavailableError
from prometheus_client import CollectorRegistry
from selenium.webdriver.common.keys import Keys
from starlette.applications import Starlette
from starlette.routing import Mount

import traced_image
from traced_image import Telemetry, exporter, lab
from traced_image.errors import ServerError
from traced_image.exporter.server_report import Probed
from traced_image.lab import faults

MARKUP = "<img src=x onerror=\"document.title='broken'\">"
CELL = "[role=gridcell]"
SECONDS = "%H:%M:%S"
NONE, TIMES = "\N{EN DASH}", "\N{MULTIPLICATION SIGN}"
FOCUS = (
    "return document.activeElement.getAttribute('aria-label') ?? document.activeElement.innerText"
)
STOP = """
const at = document.activeElement;
return at.closest('[role=grid]')?.getAttribute('aria-label') ?? (at.innerText || at.id);
"""
RENDER = """
list.replaceChildren(); rows.clear();
const start = performance.now();
show(latest);
document.body.offsetHeight;
return performance.now() - start;
"""


@pytest.fixture(scope="module")
def chromium_browser(request, tmp_path_factory):
    """A Chromium for all tests of this module."""
    terminal = request.config.pluginmanager.get_plugin("terminalreporter")
    try:
        programs = chromium.install(lambda line: terminal.write_line(f"real parts: {line}"))
    except PartUnavailableError as error:
        pytest.skip(str(error))
    with chromium.chromium(programs, tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


@pytest.fixture
def browser(chromium_browser):
    """The Chromium, with a light page of 1280 pixels."""
    chromium_browser.look()
    return chromium_browser


@pytest.fixture
def page(browser):
    """Open the page of a journal or of an application, and wait until it shows what there is."""
    with ExitStack() as stack:

        def opened(what):
            handle = stack.enter_context(served(what))
            browser.open(handle.url)
            browser.until(lambda: browser.run("return latest !== null"), "it has no answer")
            return browser

        yield opened


def clock(seconds, form="%H:%M", offset=0):
    """A time as the page writes it to a reader so many seconds east: the day too if not today."""
    zone = timezone(timedelta(seconds=offset))
    moment, today = datetime.fromtimestamp(seconds, zone), datetime.now(zone).date()
    day = "" if moment.date() == today else f"{moment.day} {moment:%b %Y}, "
    return day + moment.strftime(form)


def server(browser, name, what=""):
    """The text of a server's part of the page."""
    script = """
    const [name, what] = arguments;
    const row = [...document.querySelectorAll('.server')].find(
        one => one.querySelector('h3').innerText === name);
    return (what ? row.querySelector(what) : row).innerText;
    """
    return browser.run(script, name, what)


def labels(browser, name):
    """The text alternatives of the minutes of a server."""
    script = """
    return [...document.querySelector(`[aria-label="The last 60 minutes of ${arguments[0]}"]`)
        .querySelectorAll('[role=gridcell]')].map(cell => cell.getAttribute('aria-label'));
    """
    return browser.run(script, name)


def refreshed(browser):
    """Have the page ask now, and wait until it has shown the answer."""
    browser.run("window.before = latest; ask()")
    browser.until(lambda: browser.run("return latest !== window.before"), "it did not ask")


# --- the verdict --------------------------------------------------------------------------------


def test_the_verdict_names_the_server_the_reason_and_the_time_and_that_retries_hid_it(page):
    told = failing(minutes=21)
    since = clock(told.began - 21 * 60, SECONDS)
    words = f"10.0.0.2:9292 fails: connection_refused, since {since}; retries hid it"
    assert words == page(told).text("#words")


def test_without_the_time_of_the_first_failure_the_verdict_has_its_minute(page):
    told = failing(minutes=21)
    told.state(FAILING, "cooling", failures=6)
    assert f", since {clock(told.began - 21 * 60)};" in page(told).text("#words")


def test_the_verdict_says_what_it_hits_what_it_cost_and_who_carries_the_load(page):
    told = failing().still()
    told.attempts(HEALTHY, 2)
    load = "1 server left; 10.0.0.1:9292 has most, 100 % of attempts, 50 % before"
    assert [
        "Operations that fail there: images.get",
        "Cost in the last 60 min: retries added 6 s to 6 calls, 1 s each on average",
        f"Load in the last 5 min: {load}",
    ] == page(told).texts("#more li")


@pytest.fixture
def sometimes():
    """A server that fails one of four attempts for seven minutes, and is healthy in between."""
    told = Told().still()
    for minutes in range(7, 0, -1):
        with told.ago(minutes - 0.9):
            told.attempts(FAILING, 1, "503")
            told.attempts(FAILING, 3)
            told.attempts(HEALTHY, 4)
    told.state(FAILING)
    return told


def test_a_server_that_fails_and_answers_by_turns_fails_since_the_first_time(page, sometimes):
    since = clock(sometimes.began - 6.1 * 60)
    words = f"10.0.0.2:9292 fails sometimes: 503, since {since}"
    assert words == page(sometimes).text("#words")


def test_a_row_of_failures_of_a_server_that_fails_sometimes_is_not_its_beginning(page, sometimes):
    sometimes.attempts(FAILING, 1, "503")
    sometimes.state(FAILING, "cooling", failures=1, since=0)
    since = clock(sometimes.began - 6.1 * 60)
    assert f"fails sometimes: 503, since {since}" in page(sometimes).text("#words")


def test_the_operations_of_a_server_that_fails_sometimes_are_named(page, sometimes):
    assert "Operations that fail there: images.get" == page(sometimes).texts("#more li")[0]


def test_a_server_that_has_just_recovered_does_not_fail_sometimes(page):
    told = Told().still()
    told.attempts(RECOVERED, 30, "503")
    told.attempts(RECOVERED, 9)
    told.state(RECOVERED)
    assert "glance-4.example:443 is healthy" == page(told).text("#words")


def test_the_verdict_names_a_slow_server(page):
    told = Told().still()
    for server, seconds in ((HEALTHY, 0.002), (RECOVERED, 0.003), (FAILING, 0.9)):
        told.attempts(server, 9, seconds=seconds)
    shown = page(told)
    words = shown.text("#words")
    assert (True, True, ["No attempt on it fails, so that none is retried: callers wait"]) == (
        words.startswith("10.0.0.2:9292 is slow: 95 % of attempts take up to "),
        words.endswith(" ms, last 5 min"),
        shown.texts("#more li"),
    )


def test_several_slow_servers_are_told_one_by_one(page):
    told = Told().still()
    for number in range(5):
        told.attempts((f"10.0.0.{number}", "9292"), 9, seconds=0.9 if number < 2 else 0.002)
    shown = page(told)
    assert ("2 of 5 servers are slow", 3) == (shown.text("#words"), len(shown.texts("#more li")))


@pytest.fixture
def broken_data():
    """A server that answers one operation, and fails another for twelve minutes."""
    told = Told().still()
    for minutes in range(12, 0, -1):
        with told.ago(minutes):
            told.attempts(FAILING, 1, "503", operation=DATA)
            told.attempts(FAILING, 3)
            told.attempts(HEALTHY, 3)
    told.state(FAILING)
    return told


def test_the_verdict_names_the_operation_if_a_server_fails_for_one_only(page, broken_data):
    since = clock(broken_data.began - 12 * 60, SECONDS)
    words = f"10.0.0.2:9292 fails for images.data only: 503, since {since}"
    assert words == page(broken_data).text("#words")


def test_a_server_has_the_operations_that_fail_and_those_that_do_not(page, broken_data):
    since = clock(broken_data.began - 12 * 60, SECONDS)
    assert [
        f"images.data fails: 503, since {since}, 12 of 12 failed",
        "images.get does not fail, 0 of 36 failed",
    ] == server(page(broken_data), "10.0.0.2:9292", ".operations").split("\n")


def test_an_operation_that_failed_long_ago_is_held_against_no_server(page):
    told = Told().still()
    with told.ago(6):
        told.attempts(HEALTHY, 2, "503", operation=DATA)
    told.attempts(HEALTHY)
    assert "10.0.0.1:9292 is healthy" == page(told).text("#words")


def test_without_the_names_of_operations_none_are_listed(page):
    told = Told().still()
    told.attempts(FAILING, 2, "503", operation="")
    told.state(FAILING, "cooling", 2, since=0)
    shown = page(told)
    assert ("", []) == (server(shown, "10.0.0.2:9292", ".operations"), shown.texts("#more li"))


def test_an_operation_that_works_again_does_not_fail_now(page):
    told = Told().still()
    told.attempts(HEALTHY, 2, "503")
    told.attempts(HEALTHY, 2)
    row = server(page(told), "10.0.0.1:9292", ".operations")
    assert "images.get does not fail now, 2 of 4 failed" == row


def test_the_verdict_counts_the_calls_that_gave_up_since_then(page):
    told = failing()
    told.calls("exhausted", 2, "connection_refused")
    assert page(told).text("#words").endswith("; 2 calls gave up since then")


def test_the_verdict_counts_the_calls_that_failed_without_a_retry(page):
    told = failing()
    told.calls("success_after_retry")
    told.calls("non_retryable", 1, "500")
    assert page(told).text("#words").endswith("; 1 call failed since then")


def test_the_verdict_on_servers_leaves_out_the_calls_that_keystone_failed(page):
    told = failing()
    told.calls("success_after_retry")
    told.calls("non_retryable", 1, "token_unavailable")
    assert page(told).text("#words").endswith("; retries hid it")


def test_the_verdict_counts_calls_that_are_no_longer_kept_by_the_hour(page):
    told = failing()
    told.calls("exhausted", 60, "connection_refused")
    assert page(told).text("#words").endswith("; 60 calls gave up in the last 60 min")


def test_the_verdict_counts_calls_that_failed_without_a_retry_by_the_hour(page):
    told = failing()
    told.calls("non_retryable", 60, "507")
    assert page(told).text("#words").endswith("; 60 calls failed in the last 60 min")


def test_a_reason_that_metrics_leave_out_is_not_told(page):
    told = Told()
    told.attempts(FAILING, 3, "_OTHER")
    told.state(FAILING, "cooling", failures=3, since=0)
    assert page(told).text("#words").startswith("10.0.0.2:9292 fails: reason not told, since ")


def test_a_call_that_gave_up_before_is_not_held_against_a_server(page):
    told = Told()
    with told.ago(50):
        told.calls("exhausted", 1, "503")
    with told.ago(20):
        told.attempts(FAILING, 1, "connection_refused")
        told.calls("success_after_retry")
    told.state(FAILING, "cooling", failures=1)
    assert page(told).text("#words").endswith("; retries hid it")


def test_the_verdict_on_a_server_that_failed_all_the_hour_has_no_time(page):
    told = Told()
    for minutes in (59, 1):
        with told.ago(minutes):
            told.attempts(FAILING, 1, "503")
    told.state(FAILING, "cooling", failures=2)
    assert "10.0.0.2:9292 fails: 503, for an hour or longer" == page(told).text("#words")


def test_an_answer_that_refuses_is_not_the_reason_of_a_server_that_fails(page):
    told = Told()
    told.attempts(FAILING, 5, "404")
    told.attempts(FAILING, 2, "read_timeout")
    told.state(FAILING, "cooling", failures=2)
    assert " fails: read_timeout, since " in page(told).text("#words")


def test_the_reason_is_that_of_the_latest_failure(page):
    told = Told()
    told.attempts(FAILING, 5, "503")
    told.attempts(FAILING, 1, "read_timeout")
    told.state(FAILING, "cooling", failures=6)
    assert " fails: read_timeout, since " in page(told).text("#words")


def test_without_memory_of_failures_a_server_fails_whose_last_attempt_failed(page):
    told = Told()
    told.attempts(FAILING, 1, "503")
    told.state(FAILING, "healthy", failures=1)
    assert page(told).text("#words").startswith("10.0.0.2:9292 fails: 503")


def test_a_server_whose_attempts_succeed_fails_by_its_image_data(page):
    told = Told()
    told.attempts(FAILING, 9)
    told.calls("success_after_retry")
    told.state(FAILING, "cooling", failures=1, since=0)
    said = "10.0.0.2:9292 fails: its last image data broke off or was wrong"
    assert said == page(told).text("#words")


def test_the_verdict_on_several_servers_tells_of_each(page):
    told = scene()
    lines = [
        f"10.0.0.2:9292: connection_refused, since {clock(told.began - 21 * 60, SECONDS)}",
        f"[fd00::3]:9292: read_timeout, since {clock(told.began - 3 * 60, SECONDS)}",
    ]
    first = clock(told.began - 21 * 60, SECONDS)
    words = f"2 of 4 servers fail, the first since {first}; 1 call failed since then"
    shown = page(told)
    assert [words, *lines] == [
        shown.text("#words"),
        *shown.texts("#more li")[:2],
    ]


def test_the_verdict_on_servers_that_began_to_fail_together_has_one_time(page):
    told = many(60)
    since = clock(told.began - 19 * 60, SECONDS)
    assert f"6 of 60 servers fail, since {since}; retries hid it" == page(told).text("#words")


def test_the_verdict_has_no_time_of_servers_whose_beginning_is_not_known(page):
    told = Told()
    for place in (HEALTHY, FAILING):
        told.attempts(place, 9)
        told.state(place, "cooling", failures=1, since=0)
    assert "All 2 servers fail" == page(told).text("#words")


def test_servers_with_one_cause_are_one_group_with_its_time(page):
    told = many(60)
    since = clock(told.began - 19 * 60, SECONDS)
    line = "6 servers, 10.1.0.0:9292, 10.1.0.10:9292, 10.1.0.20:9292 and 3 more: connect_timeout"
    assert f"{line}, since {since}" == page(told).texts("#more li")[0]


def test_servers_that_began_to_fail_at_other_times_are_groups_of_their_own(page):
    told = Told().still()
    for number, since in enumerate((30, 30, 5)):
        place = f"10.0.0.{number}", "9292"
        told.attempts(place, 1, "503")
        told.state(place, "cooling", 1, since)
    first, second = (clock(told.began - 60 * since, SECONDS) for since in (30, 5))
    assert [
        f"2 servers, 10.0.0.0:9292, 10.0.0.1:9292: 503, since {first}",
        f"10.0.0.2:9292: 503, since {second}",
    ] == page(told).texts("#more li")[:2]


def test_all_are_well_when_none_fails(page):
    told = Told()
    told.attempts(HEALTHY, 3)
    told.attempts(RECOVERED, 3)
    assert "All servers are healthy" == page(told).text("#words")


def test_a_server_that_is_well_again_is_named_with_its_reason(page):
    told = Told()
    with told.ago(30):
        told.attempts(RECOVERED, 3, "503")
    until = clock(told.began - 30 * 60)
    told.attempts(RECOVERED, 3)
    told.attempts(HEALTHY, 3)
    line = f"glance-4.example:443 is healthy again: 503 until {until}"
    assert [line] == page(told).texts("#more li")


def test_refused_requests_are_held_against_no_server(page):
    told = Told()
    told.attempts(HEALTHY, 3, "404")
    told.attempts(RECOVERED, 3)
    shown = page(told)
    assert ("All servers are healthy", []) == (shown.text("#words"), shown.texts("#more li"))


def test_a_server_that_refuses_what_others_answer_is_named(page):
    told = Told()
    told.attempts(FAILING, 12, "401")
    told.attempts(HEALTHY, 12)
    shown = page(told)
    own = "how it checks tokens, or its policy"
    assert (
        "10.0.0.2:9292 refuses what others answer: 401, 12 of 12 attempts in the last 60 min",
        [f"Suspect {own}; a call that is refused asks no other server"],
    ) == (shown.text("#words"), shown.texts("#more li"))


def test_requests_that_all_servers_refuse_are_held_against_none(page):
    told = Told()
    told.attempts(FAILING, 12, "404")
    told.attempts(HEALTHY, 12, "404")
    assert "All servers are healthy" == page(told).text("#words")


@pytest.fixture
def without_tokens():
    """A healthy server, and a Keystone that has given no token for ten minutes."""
    told = Told().still()
    told.attempts(HEALTHY, 4)
    with told.ago(40):
        told.keystone(2, "401")
    with told.ago(10):
        told.keystone()
    with told.ago(6):
        told.keystone()
    with told.ago(1.5):
        told.keystone()
    return told


def test_the_verdict_says_that_it_is_keystone_with_the_reason_and_the_time(page, without_tokens):
    since = clock(without_tokens.began - 10 * 60, SECONDS)
    words = f"Keystone gives no token: connection_refused, since {since}"
    assert f"{words}; 5 calls got none in the last 60 min" == page(without_tokens).text("#words")


def test_the_operations_that_get_no_token_are_named(page, without_tokens):
    without_tokens.calls("non_retryable", 1, "token_unavailable")
    without_tokens.calls("non_retryable", 1, "500", operation=DATA)
    lines = page(without_tokens).texts("#more li")
    assert "Operations that get none: images.get" == lines[0]


def test_a_keystone_that_fails_is_held_against_no_server(page, without_tokens):
    assert "healthy" in server(page(without_tokens), "10.0.0.1:9292")


def test_the_servers_that_fail_are_told_below_a_keystone_that_fails(page, without_tokens):
    without_tokens.attempts(FAILING, 3, "503")
    without_tokens.state(FAILING, "cooling", failures=3)
    assert "10.0.0.2:9292 fails: 503" in page(without_tokens).text("#verdict")


def test_a_keystone_that_gives_tokens_again_is_told_below_the_servers(page):
    told = Told().still()
    told.attempts(HEALTHY, 4)
    with told.ago(30):
        told.keystone()
    shown = page(told)
    assert "10.0.0.1:9292 is healthy" == shown.text("#words")
    until = clock(told.began - 30 * 60)
    words = f"Keystone gives tokens again: connection_refused until {until}"
    assert words in shown.text("#verdict")


def test_the_title_is_the_verdict(page):
    shown = page(failing())
    assert shown.text("#words") == shown.driver.title


@pytest.fixture
def traffic(browser):
    """The page of a service under traffic, of whose three servers one has died; and that one."""
    registry, images = CollectorRegistry(), lab.Images()
    image_id = images.add(name="cirros")
    with (
        lab.cluster(3, images=images) as servers,
        exporter.start(registry=registry, port=0, trace_url=TRACE_URL) as handle,
        closing(
            traced_image.connect(
                servers=[server.url for server in servers],
                telemetry=Telemetry(tracer_provider=TracerProvider(), registry=registry),
            )
        ) as service,
    ):
        servers[1].break_with(faults.refuse())
        for _ in range(9):
            service.detail(None, limit=1)
        for server in (servers[0], servers[2]):
            server.break_with(faults.status(500))
        with pytest.raises(ServerError):
            service.show(None, image_id)
        for server in (servers[0], servers[2]):
            server.heal()
        for _ in range(3):
            service.detail(None, limit=1)
        browser.open(handle.url)
        browser.shows("fail", "#words")
        yield f"{servers[1].host}:{servers[1].port}"


def test_under_real_traffic_the_verdict_names_the_server_that_died(browser, traffic):
    words = browser.text("#words")
    assert (True, True) == (
        words.startswith(f"{traffic} fails: connection_refused, since "),
        words.endswith("; 1 call failed since then"),
    )


def test_under_real_traffic_a_call_that_failed_has_its_trace(browser, traffic):
    rows = browser.run(
        "return [...document.querySelectorAll('#rows tr')]"
        ".map(row => [...row.children].map(cell => cell.innerText))"
    )
    (cells,) = [row for row in rows if row[2] == "failed: non_retryable"]
    assert ["images.get", " 500", 32] == [cells[1], cells[3][-4:], len(cells[-1])]


def test_under_real_traffic_a_call_that_a_retry_saved_has_its_server_and_trace(browser, traffic):
    cells = browser.run(
        "return [...document.querySelector('#rows tr:last-child').children]"
        ".map(cell => cell.innerText)"
    )
    assert ["images.list", "saved: success_after_retry", f"{traffic} connection_refused", "2"] == [
        *cells[1:5]
    ]
    assert 32 == len(cells[-1])


# --- numbers ------------------------------------------------------------------------------------


def test_effective_success_stands_beside_actual_success(page):
    tiles = page(failing()).texts("#tiles > div")
    assert [
        "Calls that did not fail, 60 min\n100 %\neffective: 14 of 14",
        "Attempts that did not fail, 60 min\n57.1 %\nactual: 8 of 14",
        "Calls that retries saved, 60 min\n6\nthe callers saw no failure",
        "What retries cost, 60 min\n6 s\n1 s added to each saved call",
        "Calls that failed, 60 min\n0",
    ] == [tile.strip() for tile in tiles]


def test_what_is_not_all_is_not_rounded_to_all(page):
    told = Told()
    told.attempts(HEALTHY, 9999)
    told.attempts(HEALTHY, 1, "503")
    assert "99.9 %" in page(told).texts("#tiles > div")[1]


def test_calls_that_failed_are_counted_by_outcome(page):
    tile = page(scene()).texts("#tiles > div")[4]
    words = "1 non_retryable, 1 refused, which is not a failure, 1 cancelled by their callers"
    assert {"2", *f"1 exhausted, {words}".split(", 1 ")} == {
        tile.split("\n")[-2],
        *tile.split("\n")[-1].split(", 1 "),
    }


def test_a_server_has_its_counts_its_latencies_and_its_times(page):
    told = Told()
    with told.ago(10):
        told.attempts(FAILING, 3, seconds=0.0035)
        success = clock(told.time(), "%H:%M:%S")
    with told.ago(2):
        told.attempts(FAILING, 1, "503")
        failure = clock(told.time(), "%H:%M:%S")
    assert [
        ("Failed, 60 min", "1 of 4 attempts"),
        ("Failed, latest", "1 of the last 4 attempts"),
        ("p50, p95, max, 5 min", "no success in 1 attempt"),
        ("p50, p95, 60 min", "2.5 ms, 4.75 ms"),
        ("Share of load, 5 min", "100 %, 100 % before"),
        ("Last success", f"10 min ago, {success}"),
        ("Last failure", f"2 min ago, {failure}"),
    ] == facts(page(told))


def test_recent_latencies_stand_before_those_of_the_hour(page):
    told = Told()
    with told.ago(10):
        told.attempts(HEALTHY, 3, seconds=0.0035)
    told.attempts(HEALTHY, 2, seconds=0.04)
    shown = dict(facts(page(told)))
    assert ("37.5 ms, 40 ms, 40 ms", "4.17 ms, 46.9 ms") == (
        shown["p50, p95, max, 5 min"],
        shown["p50, p95, 60 min"],
    )


def test_a_server_that_fails_shows_no_latencies_of_the_time_before(page):
    shown = dict(facts(page(failing(minutes=2))))
    assert "p50, p95, 60 min" not in shown


def test_a_server_that_has_just_died_shows_no_latencies(page):
    told = Told().still()
    told.attempts(FAILING, 4)
    told.attempts(FAILING, 3, "503")
    told.state(FAILING, "cooling", 3, since=0)
    assert "no success since it fails" == dict(facts(page(told)))["p50, p95, max, 5 min"]


def test_a_server_has_what_its_failures_cost(page):
    assert "6 s added to 6 calls" == dict(facts(page(failing())))["Cost, 60 min"]


def facts(browser):
    return [
        tuple(fact)
        for fact in browser.run(
            "return [...document.querySelectorAll('.server:first-child .facts div')]"
            ".filter(one => !one.hidden)"
            ".map(one => [...one.children].map(part => part.innerText))"
        )
    ]


def test_what_never_happened_is_called_so(page):
    told = Told()
    told.state(HEALTHY)
    assert [
        ("Failed, 60 min", "0 of 0 attempts"),
        ("p50, p95, max, 5 min", "no success in 0 attempts"),
        ("Last success", "never"),
        ("Last failure", "never"),
    ] == facts(page(told))


def test_a_server_has_its_state_and_its_failures_in_a_row(page):
    shown = page(failing())
    assert ["cooling", "6 failures in a row"] == [
        server(shown, "10.0.0.2:9292", ".state"),
        server(shown, "10.0.0.2:9292", ".row"),
    ]


def test_the_first_line_of_a_server_has_the_reason_and_since_when(page):
    told = failing(minutes=21).still()
    since = clock(told.began - 21 * 60, SECONDS)
    line = f"connection_refused, since {since} (21 min)"
    assert line == server(page(told), "10.0.0.2:9292", ".first .why")


def test_a_server_says_what_its_state_means(page):
    words = "the server failed, and other servers are tried first"
    assert words == server(page(failing()), "10.0.0.2:9292", ".about p")


@pytest.mark.parametrize("seconds", [30, -30])
def test_a_server_that_cools_down_says_when_it_is_tried_next(page, seconds):
    told = failing().still()
    told.journal.keep_trial(FAILING, told.began + seconds)
    moment = f" after {clock(told.began + seconds, SECONDS)}" if seconds > 0 else ""
    words = server(page(told), "10.0.0.2:9292", ".about p")
    assert words.endswith(f"; it is tried next by the next call{moment}")


def test_a_server_without_attempts_is_not_called_healthy(page):
    told = Told()
    told.state(HEALTHY)
    told.attempts(RECOVERED, 3)
    shown = page(told)
    assert ["no attempts", "state ", "No attempts in the last 60 min: 10.0.0.1:9292"] == [
        server(shown, "10.0.0.1:9292", ".state"),
        shown.run("return document.querySelectorAll('.state')[1].className"),
        shown.text("#more"),
    ]


def test_the_reasons_stand_with_their_counts_and_meanings_the_most_frequent_first(page):
    told = Told()
    told.attempts(FAILING, 2, "503")
    told.attempts(FAILING, 5, "connection_refused")
    told.attempts(FAILING, 1, "404")
    shown = page(told)
    assert [
        f"connection_refused\n5 {TIMES}\nnothing listens on the server's port",
        f"503\n2 {TIMES}\nHTTP status 503",
        f"404\n1 {TIMES}\nHTTP status 404: the server refused the request, which is not a failure",
    ] == shown.texts(".reasons li")


def test_servers_without_metrics_of_their_own_are_called_others(page):
    told = Told()
    told.attempts(("_OTHER", "_OTHER"), 1)
    assert ["other servers"] == page(told).texts("h3")


def test_times_are_those_of_the_reader(page, browser):
    told = failing(minutes=21)
    since = clock(told.began - 21 * 60, SECONDS, offset=19800)
    browser.command("Emulation.setTimezoneOverride", timezoneId="Asia/Kolkata")
    try:
        assert f"since {since}" in page(told).text("#words")
    finally:
        browser.command("Emulation.setTimezoneOverride", timezoneId="")


# --- the strip ----------------------------------------------------------------------------------


def test_a_server_has_a_cell_for_each_minute_of_the_hour(page):
    assert 60 == len(labels(page(failing()), "10.0.0.2:9292"))


def test_a_cell_has_its_time_its_attempts_its_failures_and_the_reason_as_text(page):
    told = Told()
    told.began = told.now = told.began // 60 * 60
    with told.ago(2):
        told.attempts(FAILING, 1)
    with told.ago(1):
        told.attempts(FAILING, 2)
        told.attempts(FAILING, 1, "503")
    assert [
        f"{clock(told.now - 180)}: no attempt",
        f"{clock(told.now - 120)}: 1 attempt, none failed",
        f"{clock(told.now - 60)}: 3 attempts, 1 failed, 503",
        f"{clock(told.now)}: no attempt",
    ] == labels(page(told), "10.0.0.2:9292")[-4:]


def test_what_happened_in_a_minute_shows_without_colour(page):
    """Each look has a height or a pattern that no other has."""
    told = Told()
    for minutes, (good, bad) in enumerate([(4, 1), (1, 4), (0, 4), (4, 0)]):
        with told.ago(9 - minutes):
            told.attempts(FAILING, good)
            told.attempts(FAILING, bad, "503")
    told.attempts(HEALTHY, 1, "404")
    shown = page(told)
    looks = shown.run(
        "return [...new Set([...document.querySelectorAll('.strip .cell')].map(cell => {"
        " const style = getComputedStyle(cell);"
        " return `${style.height} ${style.backgroundImage.replace(/rgb[^)]*\\)/g, '')}`; }))]"
    )
    assert 5 == len(looks), looks


def test_a_cell_tells_its_text_when_it_is_pointed_at(page):
    shown = page(failing())
    cell = shown.run(f"return document.querySelectorAll('{CELL}')[59]")
    x, y = shown.run(
        "arguments[0].scrollIntoView({block: 'center'});"
        "const box = arguments[0].getBoundingClientRect(); return [box.x + 3, box.y - 9]",
        cell,
    )
    shown.command("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
    shown.shows(cell.get_attribute("aria-label"), ".axis b")


# --- it updates itself --------------------------------------------------------------------------


def test_the_page_shows_what_happens_without_being_asked(page):
    told = failing()
    shown = page(told)
    told.attempts(FAILING)
    told.state(FAILING)
    shown.shows("All servers are healthy", "#words")


def test_a_server_that_is_new_appears(page):
    told = failing()
    shown = page(told)
    told.attempts(COOLING)
    shown.shows("[fd00::3]:9292", "#list")


@pytest.mark.parametrize("index", [40, 100], ids=["the first server", "the second server"])
def test_the_focus_stays_in_its_minute_while_the_servers_change_their_order(page, index):
    told = Told()
    told.attempts(HEALTHY)
    told.attempts(FAILING)
    shown = page(told)
    shown.run(f"document.querySelectorAll('{CELL}')[{index}].focus()")
    before = shown.driver.switch_to.active_element
    told.attempts(FAILING, 1, "503")
    told.state(FAILING, "cooling", failures=1)
    refreshed(shown)
    assert (["10.0.0.2:9292", "10.0.0.1:9292"], before) == (
        shown.texts("h3"),
        shown.driver.switch_to.active_element,
    )


def test_the_focus_stays_in_its_minute_while_the_hour_goes_on(page):
    told = Told()
    told.still()
    told.attempts(HEALTHY)
    shown = page(told)
    shown.run(f"document.querySelectorAll('{CELL}')[40].focus()")
    before = shown.run(FOCUS), shown.run(f"return [...document.querySelectorAll('{CELL}')].at(-1)")
    told.now += 120
    refreshed(shown)
    after = shown.run(FOCUS), shown.run(f"return [...document.querySelectorAll('{CELL}')].at(-3)")
    assert before == after


def test_the_focus_goes_to_the_first_minute_when_its_own_is_over(page):
    told = Told()
    told.still()
    told.attempts(HEALTHY)
    shown = page(told)
    shown.run(f"document.querySelectorAll('{CELL}')[0].focus()")
    told.now += 60
    refreshed(shown)
    assert f"{clock(told.now - 59 * 60)}: no attempt" == shown.run(FOCUS)


def test_the_focus_stays_on_a_trace_while_calls_are_added(page):
    told = scene()
    shown = page(told)
    shown.run("document.querySelector('#rows a').focus()")
    told.calls("exhausted", 1, "503", "f" * 32)
    refreshed(shown)
    assert SAVED_TRACE == shown.run(FOCUS)


@pytest.mark.parametrize(
    ("place", "section"), [(CELL, "servers"), ("#rows a", "calls")], ids=["server", "call"]
)
def test_the_focus_stays_near_what_had_it_and_is_gone(page, place, section):
    told = Told()
    told.attempts(HEALTHY)
    told.calls("exhausted", 1, "503", TRACES[0])
    shown = page(told)
    shown.run("document.querySelector(arguments[0]).focus()", place)
    told.journal.forget(*HEALTHY)
    told.calls("exhausted", 50, "503", TRACES[1])
    refreshed(shown)
    assert section == shown.run("return document.activeElement.id")


def test_an_update_moves_nothing(page):
    told = scene()
    shown = page(told)
    places = (
        "return [...document.querySelectorAll('main *, header *')].filter(one => !one.closest("
        "'time, .facts, .axis')).map(one => JSON.stringify(one.getBoundingClientRect().top))"
    )
    before = shown.run(places)
    told.attempts(HEALTHY, 3)
    refreshed(shown)
    assert before == shown.run(places)


def test_nothing_moves_by_itself(page):
    shown = page(scene())
    assert [] == shown.run(
        "return [...document.querySelectorAll('*')].map(one => getComputedStyle(one))"
        ".filter(one => one.transitionDuration !== '0s' || one.animationName !== 'none')"
    )


# --- it says so when what it shows is old -------------------------------------------------------


@pytest.fixture
def left_alone(browser):
    """Open the page of a journal, and stop the exporter; return its port and its last time."""

    def left(told, *, wait=False):
        with served(told) as handle:
            browser.open(handle.url)
            browser.shows("Updated", "#bar")
            top = browser.run("return document.querySelector('#tiles').getBoundingClientRect().top")
        if not wait:
            browser.run("ask()")
        browser.shows("Stale since", "#bar")
        return handle.port, browser.run("return latest.generated"), top

    return left


def test_a_banner_says_since_when_the_exporter_does_not_answer(browser, left_alone):
    _, last, _ = left_alone(failing(), wait=True)
    words = f"Stale since {clock(last, '%H:%M:%S')}: the exporter does not answer"
    assert words == browser.text("[role=alert]")


def test_the_verdict_is_called_the_last_known_while_the_exporter_does_not_answer(
    browser, left_alone
):
    _, last, _ = left_alone(failing())
    moment = datetime.fromtimestamp(last, timezone.utc)
    words = f"Last known, {moment.day} {moment:%b %Y, %H:%M:%S}"
    assert words == browser.text("#as-of")


def test_the_page_has_its_date_its_time_zone_and_the_name_of_the_process(page, monkeypatch):
    monkeypatch.setenv("OTEL_SERVICE_NAME", "nova-api")
    told = failing().still()
    moment = datetime.fromtimestamp(told.began, timezone.utc)
    shown = page(told)
    process = f"process {os.getpid()} of nova-api on {socket.gethostname()}"
    assert [
        f"Now, {moment.day} {moment:%b %Y, %H:%M:%S}",
        f"Time zone UTC. As {process} sees it.",
    ] == shown.texts(".as-of")


def test_the_title_says_so_while_the_exporter_does_not_answer(browser, left_alone):
    left_alone(failing())
    assert browser.driver.title.startswith("Stale: 10.0.0.2:9292 fails")


@pytest.mark.parametrize("width", [1280, 360, 320])
def test_the_banner_moves_nothing(browser, left_alone, width):
    browser.look(width=width)
    _, _, top = left_alone(failing())
    assert top == browser.run("return document.querySelector('#tiles').getBoundingClientRect().top")


def test_the_banner_goes_when_the_exporter_answers_again(browser, left_alone):
    told = failing()
    port, _, _ = left_alone(told)
    with served(told, port):
        browser.shows("Updated", "#bar")
        assert "" == browser.text("[role=alert]")


def test_an_exporter_whose_data_is_old_is_stale(page):
    told = failing()
    told.now = time.time() - 20
    words = f"Stale since {clock(told.now, '%H:%M:%S')}: the exporter has no newer data"
    assert words == page(told).text("[role=alert]")


def test_data_of_a_few_seconds_ago_is_not_stale(page):
    told = failing()
    told.now = time.time() - 8
    assert f"Updated {clock(told.now, '%H:%M:%S')}" == page(told).text("#updated")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((503, "{}"), "the exporter answered 503"),
        ((200, "<html>"), "the exporter's answer is not a report"),
        ((200, "null"), "the exporter's answer is not a report"),
        ((200, '{"servers": [{}]}'), "the exporter's answer is not a report"),
    ],
    ids=["error", "no JSON", "nothing", "other JSON"],
)
def test_an_answer_that_is_of_no_use_is_told(page, answer, words):
    interrupted = Interrupted(application(failing()))
    shown = page(interrupted)
    interrupted.answer = answer
    shown.run("ask()")
    shown.shows(f": {words}", "[role=alert]")


def test_a_wrong_clock_of_the_reader_makes_nothing_stale(page, browser):
    wrong = "const now = Date.now; Date.now = () => now() + 3600000"
    added = browser.command("Page.addScriptToEvaluateOnNewDocument", source=wrong)
    try:
        assert "" == page(failing()).text("[role=alert]")
    finally:
        browser.command("Page.removeScriptToEvaluateOnNewDocument", **added)


def test_a_page_that_never_had_an_answer_says_so(browser):
    interrupted = Interrupted(application(failing()), (401, "{}"))
    with served(interrupted) as handle:
        browser.open(handle.url)
        browser.shows("No data: the exporter answered 401", "[role=alert]")
        assert "No data from the exporter" == browser.text("#words")


# --- probes -------------------------------------------------------------------------------------

WRONG = f"{':'.join(HEALTHY)}: HTTP 404 for image 84ef; fix: name an image that exists"


def probed(*, wrong=None, reason=""):
    """What an exporter that stands alone tells of the probes of one server."""
    told = Told()
    told.attempts(HEALTHY, 5, reason, operation="probe")
    refused = "refused" if wrong else "exhausted"
    told.calls(refused if reason else "success_first_try", 5, reason, operation="probe")
    told.state(HEALTHY, *(("cooling", 5) if reason and not wrong else ("healthy", 0)))
    told.probed = lambda: Probed({HEALTHY: wrong} if wrong else {})
    return told


def test_a_wrong_setting_of_the_probes_is_told_and_accuses_no_server(page):
    shown = page(probed(wrong=WRONG, reason="404"))
    assert [
        "10.0.0.1:9292 is up, but refuses the probes: a setting is wrong",
        WRONG,
        "verdict odd",
    ] == [
        shown.text("#words"),
        shown.text("#more"),
        shown.run("return document.querySelector('#verdict').className"),
    ]


def test_a_server_that_refuses_the_probes_says_why_in_its_row(page):
    assert WRONG == server(page(probed(wrong=WRONG, reason="404")), ":".join(HEALTHY), ".wrong")


def test_several_servers_that_refuse_the_probes_are_counted(page):
    told = probed(wrong=WRONG, reason="404")
    told.attempts(FAILING, 5, "404", operation="probe")
    told.state(FAILING)
    told.probed = lambda: Probed({HEALTHY: WRONG, FAILING: WRONG})
    words = "2 of 2 servers are up, but refuse the probes: a setting is wrong"
    assert words == page(told).text("#words")


def test_refused_probes_are_counted_apart_from_those_that_failed(page):
    shown = page(probed(wrong=WRONG, reason="404"))
    assert ["0 of 1", "100 %", "0", "5"] == shown.texts("#tiles dd:nth-of-type(1)")


@pytest.mark.parametrize(
    "told",
    [probed(), probed(reason="503"), probed(wrong=WRONG, reason="404")],
    ids=["well", "failing", "refused"],
)
def test_an_exporter_alone_speaks_of_probes_alone(page, told):
    told = told.still()
    shown = page(told)
    words = shown.text("body") + " ".join(labels(shown, ":".join(HEALTHY)))
    assert [] == re.findall(r"\b(?:attempts?|calls?|callers?|gave up|retries)\b", words)


def test_the_verdict_on_a_server_whose_probes_fail_names_the_reason_alone(page):
    told = probed(reason="503")
    since = clock(told.began)
    assert f"10.0.0.1:9292 fails: 503, since {since}" == page(told).text("#words")


def test_the_phases_of_the_latest_probe_are_shown(page):
    told = probed()
    phases = {"dns": 0.001, "connect": 0.0025, "first_byte": 0.04}
    told.probed = lambda: Probed(phases={HEALTHY: phases})
    expected = "dns 1 ms, connect 2.5 ms, first_byte 40 ms"
    assert expected == dict(facts(page(told)))["Latest probe"]


# --- nothing yet --------------------------------------------------------------------------------


def test_an_exporter_without_servers_explains_itself(page):
    shown = page(Told())
    assert ["No server is known yet", True] == [
        shown.text("#words"),
        "A server appears here when a service of this process uses it" in shown.text("#nothing"),
    ]


def test_servers_that_nobody_has_asked_are_not_called_well(page):
    told = Told()
    told.state(HEALTHY)
    assert "No attempts in the last 60 minutes" == page(told).text("#words")


def test_where_no_call_failed_or_was_saved_there_is_no_table(page):
    told = Told()
    told.calls("success_first_try")
    shown = page(told)
    words = "No call has failed or needed a retry since the exporter started."
    assert ("", words) == (shown.text("#table"), shown.text("#no-calls"))


# --- other people's strings ---------------------------------------------------------------------


@pytest.fixture
def hostile(page):
    told = Told()
    told.attempts((MARKUP, "9292"), 2, MARKUP)
    told.calls("exhausted", 1, MARKUP, MARKUP, operation=MARKUP)
    told.state((MARKUP, "9292"), "cooling", failures=1)
    return page(told)


@pytest.mark.parametrize(
    "place",
    [
        "#words",
        "h3",
        ".reasons code",
        *(f"#rows td:nth-child({n})" for n in (2, 4, 8)),
    ],
)
def test_markup_is_shown_as_the_text_that_it_is(hostile, place):
    assert any(MARKUP in text for text in hostile.texts(place))


def test_markup_becomes_no_element(hostile):
    assert 0 == hostile.count("img")


def test_the_page_runs_no_script_but_its_own(page):
    shown = page(failing())
    shown.run(
        "const script = document.createElement('script');"
        "script.textContent = 'window.ran = true'; document.body.append(script)"
    )
    assert None is shown.run("return window.ran")


# --- the calls that failed ----------------------------------------------------------------------


def test_the_latest_call_that_failed_comes_first_with_all_that_is_known_of_it(page):
    told = scene().still()
    told.calls("exhausted", 1, "read_timeout", "f" * 32, GET, 2.5)
    cells = page(told).texts("#rows tr:first-child td")
    assert [
        f"{clock(told.began, '%H:%M:%S')} 0 s ago",
        GET,
        "failed: exhausted",
        "read_timeout",
        "1",
        NONE,
        "2.5 s",
        "f" * 32,
    ] == cells


def test_a_call_that_retries_saved_has_the_servers_that_failed_and_the_time_added(page):
    told = Told().still()
    failed = (FAILING, "503", 0.25), (COOLING, "read_timeout", 1.0)
    told.saved(1, *failed, trace_id=TRACES[0], seconds=1.5)
    assert [
        "saved: success_after_retry",
        "10.0.0.2:9292 503\n[fd00::3]:9292 read_timeout",
        "3",
        "1.25 s",
        "1.5 s",
        TRACES[0],
    ] == page(told).texts("#rows tr:first-child td")[2:]


def links(browser):
    return browser.run("return [...document.querySelectorAll('#rows a')].map(one => one.href)")


def test_a_trace_links_to_where_it_is_shown(page):
    traces = SAVED_TRACE, *reversed(TRACES)
    expected = [TRACE_URL.replace("{trace_id}", trace) for trace in traces]
    assert expected == links(page(scene()))


def test_a_trace_id_can_not_leave_its_place_in_the_address(page):
    told = Told()
    told.calls("exhausted", 1, "503", "../x?y=1&z#f")
    assert [TRACE_URL.replace("{trace_id}", "..%2Fx%3Fy%3D1%26z%23f")] == links(page(told))


@pytest.mark.parametrize(
    "trace_url",
    [
        None,
        "javascript:alert('{trace_id}')",
        "data:text/html,{trace_id}",
        "//traces.example/{trace_id}",
        "https://traces.example/",
        "not an address {trace_id}",
    ],
)
def test_what_is_no_address_of_a_trace_is_no_link(page, trace_url):
    told = Told()
    told.calls("exhausted", 1, "503", TRACES[0])
    shown = page(application(told, trace_url))
    assert ([], [TRACES[0]]) == (links(shown), shown.texts("#rows td:last-child"))


def test_a_call_without_a_trace_says_so(page):
    told = Told()
    told.calls("exhausted", 1, "503")
    assert ["not sampled"] == page(told).texts("#rows td:last-child")


# --- the keyboard -------------------------------------------------------------------------------


def test_the_first_stop_skips_to_the_servers(page):
    shown = page(failing().still())
    shown.press(Keys.TAB, Keys.ENTER)
    assert "servers" == shown.run("return document.activeElement.id")


def test_each_stop_is_reached_once_and_a_strip_is_one(page):
    shown = page(scene().still())
    stops = []
    for _ in range(10):
        shown.press(Keys.TAB)
        stops.append(shown.run(STOP))
    strips = "10.0.0.2:9292", "[fd00::3]:9292", "glance-4.example:443", "10.0.0.1:9292"
    assert [
        "Skip to the servers",
        "filter",
        *(f"The last 60 minutes of {name}" for name in strips),
        SAVED_TRACE,
        *reversed(TRACES),
        "This report as JSON",
    ] == stops


@pytest.mark.parametrize(
    ("keys", "index"),
    [
        ([], 59),
        ([Keys.ARROW_LEFT], 58),
        ([Keys.ARROW_LEFT, Keys.ARROW_LEFT, Keys.ARROW_RIGHT], 58),
        ([Keys.ARROW_RIGHT], 59),
        ([Keys.HOME], 0),
        ([Keys.HOME, Keys.ARROW_LEFT], 0),
        ([Keys.HOME, Keys.END], 59),
        ([Keys.PAGE_UP], 49),
        ([Keys.HOME, Keys.PAGE_DOWN], 10),
    ],
)
def test_keys_go_through_the_minutes_of_a_strip(page, keys, index):
    shown = page(failing().still())
    shown.run(f"document.querySelector('{CELL}[tabindex=\"0\"]').focus()")
    shown.press(*keys)
    assert index == shown.run(
        f"return [...document.querySelectorAll('{CELL}')].indexOf(document.activeElement)"
    )


def test_a_strip_is_left_and_entered_again_where_it_was_left(page):
    shown = page(failing().still())
    shown.run(f"document.querySelector('{CELL}[tabindex=\"0\"]').focus()")
    shown.press(Keys.ARROW_LEFT, Keys.ARROW_LEFT)
    before = shown.run(FOCUS)
    shown.press(Keys.TAB)
    shown.press_back()
    assert before == shown.run(FOCUS)


def test_the_minute_that_has_the_focus_is_told_below_its_strip(page):
    shown = page(failing().still())
    shown.run(f"document.querySelector('{CELL}[tabindex=\"0\"]').focus()")
    shown.press(Keys.ARROW_LEFT)
    assert shown.run(FOCUS) == shown.text(".axis b")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_focus_can_be_seen(page, scheme):
    shown = page(scene().still())
    shown.look(scheme)
    unseen = []
    for _ in range(9):
        shown.press(Keys.TAB)
        style = shown.run(
            "const at = document.activeElement, part = at.matches('.cell') ? '::after' : null;"
            "const style = getComputedStyle(at, part);"
            "return [at.className || at.tagName, style.outlineStyle, style.outlineWidth]"
        )
        if style[1:] != ["solid", "3px"]:
            unseen.append(style)
    assert [] == unseen


# --- the filter ---------------------------------------------------------------------------------


def written(browser, text):
    browser.run("document.querySelector('#filter').focus()")
    browser.press(*text)
    browser.draw()
    return [name for name in browser.texts("h3") if name]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("10.0.0.2", ["10.0.0.2:9292"]),
        ("FD00", ["[fd00::3]:9292"]),
        ("trial", ["10.0.0.2:9292"]),
        ("503", ["glance-4.example:443"]),
        ("fails", ["10.0.0.2:9292", "[fd00::3]:9292"]),
        ("absent", []),
    ],
)
def test_the_filter_finds_servers_by_address_state_and_reason(page, text, names):
    assert names == written(page(scene()), text)


def test_the_filter_says_how_many_it_has_found(page):
    shown = page(scene())
    written(shown, "10.0")
    assert "2 of 4 servers" == shown.text("#count")


def test_the_filter_says_so_when_it_finds_none(page):
    shown = page(scene())
    written(shown, MARKUP)
    assert f"No server has “{MARKUP}” in its address, state or reasons." == shown.text("#nothing")


def test_the_filter_holds_for_what_comes_later(page):
    told = scene()
    shown = page(told)
    written(shown, "10.0.0.2")
    told.attempts(("10.0.0.20", "9292"))
    told.attempts(("10.0.0.30", "9292"))
    refreshed(shown)
    assert ["10.0.0.2:9292", "10.0.0.20:9292"] == [name for name in shown.texts("h3") if name]


# --- everybody can read it ----------------------------------------------------------------------


def found_by_axe(browser):
    return [
        (violation["id"], [node["target"] for node in violation["nodes"]])
        for violation in browser.violations()
    ]


OTHER = pytest.mark.slow
LOOKS = pytest.mark.parametrize(
    ("scheme", "width"),
    [
        pytest.param("light", 1280, marks=OTHER),
        ("dark", 1280),
        ("light", 360),
        pytest.param("dark", 360, marks=OTHER),
    ],
)


@LOOKS
def test_axe_finds_no_fault(page, scheme, width):
    shown = page(scene())
    shown.look(scheme, width, 4000)
    assert [] == found_by_axe(shown)


@LOOKS
def test_axe_finds_no_fault_while_the_data_is_stale(browser, left_alone, scheme, width):
    left_alone(scene())
    browser.look(scheme, width, 4000)
    assert [] == found_by_axe(browser)


@LOOKS
def test_axe_finds_no_fault_while_there_is_nothing(page, scheme, width):
    shown = page(Told())
    shown.look(scheme, width, 4000)
    assert [] == found_by_axe(shown)


@LOOKS
def test_axe_finds_no_fault_while_healthy_servers_are_folded(page, scheme, width):
    shown = page(many(20))
    shown.look(scheme, width, 4000)
    assert [] == found_by_axe(shown)


def test_axe_would_find_a_fault(page):
    shown = page(scene())
    shown.run("document.querySelector('#words').style.color = '#ddd'")
    assert [("color-contrast", [["#words"]])] == found_by_axe(shown)


@pytest.mark.parametrize("width", [320, 360, 768, 1280])
@pytest.mark.parametrize("name", ["glance-4.example", "x" * 300])
def test_nothing_is_wider_than_the_window(page, width, name):
    told = scene()
    told.attempts((name, "9292"), 2, "r" * 300)
    told.calls("exhausted", 1, "r" * 300, "f" * 300, "o" * 300)
    shown = page(told)
    shown.look(width=width)
    assert width == shown.run("return document.documentElement.scrollWidth")


def test_the_console_has_no_complaint(page):
    shown = page(scene())
    refreshed(shown)
    assert [] == shown.complaints()


# --- many servers -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fleet():
    """Two hundred servers; it takes a while to tell of them."""
    return many(200)


def test_two_hundred_servers_are_shown_within_a_second(page, fleet):
    assert page(fleet).run(RENDER) < 1000


def test_of_two_hundred_servers_those_that_fail_come_first(page, fleet):
    states = page(fleet).run(
        "return [...document.querySelectorAll('.state')].map(one => one.textContent)"
    )
    assert ["cooling"] * 20 + ["healthy"] * 180 == states


# --- healthy servers are folded -----------------------------------------------------------------


def listed(browser):
    """How many servers are shown, also those outside the viewport, which the browser skips."""
    return browser.count(".server:not([hidden])")


def test_of_many_servers_the_healthy_ones_are_folded(page):
    shown = page(many(60))
    assert [6, "6 of 60 servers", "Show 54 servers without a failure in the last 60 minutes"] == [
        listed(shown),
        shown.text("#count"),
        shown.text("#fold"),
    ]


def test_folded_servers_are_shown_at_the_press_of_a_key(page):
    shown = page(many(60))
    shown.run("document.querySelector('#fold').focus()")
    shown.press(Keys.ENTER)
    assert [60, "true", "Hide 54 servers without a failure in the last 60 minutes"] == [
        listed(shown),
        shown.run("return document.querySelector('#fold').getAttribute('aria-expanded')"),
        shown.text("#fold"),
    ]


def test_the_filter_finds_servers_that_are_folded(page):
    assert ["10.1.0.11:9292"] == written(page(many(60)), "10.1.0.11")


def test_a_fold_without_a_server_beside_it_does_not_say_that_there_is_none(page):
    told = Told()
    for number in range(13):
        told.attempts((f"10.0.0.{number}", "9292"))
    shown = page(told)
    assert ["", "Show 13 servers without a failure in the last 60 minutes"] == [
        shown.text("#nothing"),
        shown.text("#fold"),
    ]


# --- where it is --------------------------------------------------------------------------------


def test_the_page_works_below_a_prefix(browser):
    mounted = Starlette(routes=[Mount("/glance", application(failing()))])
    with served(mounted) as handle:
        browser.open(f"{handle.url}glance/")
        browser.shows("10.0.0.2:9292 fails", "#words")


def test_what_the_page_shows_is_what_servers_answers(page):
    shown = page(scene())
    shown.run("document.querySelector('footer a').click()")
    shown.until(lambda: shown.driver.current_url.endswith("/servers"), "the link leads elsewhere")
    assert 4 == len(json.loads(shown.text("body"))["servers"])
