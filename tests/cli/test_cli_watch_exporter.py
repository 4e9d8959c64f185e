"""The command ``watch --exporter``: what callers see, up to date, or a line for each change."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import threading
import time

import pytest
from exporters import exporting, failing, report, server
from terminals import COLOUR, LIMIT, PROGRAM, plain

from traced_image.cli.exporter_poll import ExporterPoll
from traced_image.cli.watch_exporters import ChangeLog, watch_exporters

QUICK = ("--interval", "50ms")
FAILS = "\x1b[31mcooling"


def last_frame(text):
    """What is on the terminal at the end: a frame begins with the words above its headings."""
    return plain(text).rpartition("server  ")[2]


def replace(exporters, *answers):
    """Return a function that has exporters give other answers from now on."""

    def act():
        exporters.answers[:] = answers

    return act


# --- on a terminal -----------------------------------------------------------------------------


def test_the_table_follows_what_callers_see(terminal):
    with exporting(report(server())) as exporters:
        worse = replace(exporters, report(failing()))
        result = terminal(
            "watch", *QUICK, *exporters.options, steps=[("healthy", worse)], keys="q", when=FAILS
        )
    row = r"10\.0\.0\.1:9292 +cooling +HTTP 503 +05:53:20 +9 +images\.get +50 % +9 s in .*nova-api"
    assert (0, True) == (result.status, bool(re.search(row, last_frame(result.out))))


def test_the_foot_says_how_many_servers_fail(terminal):
    with exporting(report(failing(), server("10.0.0.2"))) as exporters:
        result = terminal("watch", *QUICK, *exporters.options, keys="q", when="of 2 fail")
    assert "1 of 2 fail; every 0.05 s; q ends it" in last_frame(result.out)


def test_an_exporter_that_can_not_be_read_is_told_and_ends_nothing(terminal):
    with exporting(report(server()), (401, "<html>")) as exporters:
        steps = [("HTTP 401", replace(exporters, report(failing()), (401, "")))]
        result = terminal("watch", *QUICK, *exporters.options, steps=steps, keys="q", when=FAILS)
    told = " ".join(last_frame(result.out).split())
    assert (0, True) == (result.status, "/1: HTTP 401; give --user and --password-file" in told)


def test_many_exporters_that_can_not_be_read_leave_room_for_the_servers(terminal):
    with exporting(report(server()), *[(500, "")] * 5) as exporters:
        result = terminal(
            "watch", *QUICK, *exporters.options, keys="q", when="and 2 exporters more"
        )
    assert (3, True) == (
        last_frame(result.out).count("HTTP 500"),
        "10.0.0.1:9292" in last_frame(result.out),
    )


def test_without_a_server_the_exporters_are_told(terminal):
    with exporting(report()) as exporters:
        result = terminal("watch", *QUICK, *exporters.options, keys="jq", when="no call of its")
    assert "0 of 0 fail; every 0.05 s; q ends it" in plain(result.out)


@pytest.mark.parametrize("lines", [24, 14])
def test_sixty_servers_on_a_narrow_terminal_are_scrolled(terminal, lines):
    names = [f"10.0.0.{number}" for number in range(100, 160)]
    with exporting(report(*map(server, names), failing("10.0.0.99"))) as exporters:
        result = terminal(
            *("watch", "--interval", "1h", *exporters.options),
            columns=60,
            lines=lines,
            steps=[("10.0.0.99:", "\x1b[6~"), ("10.0.0.1", "\x1b[6~" * 99)],
            keys="q",
            when="10.0.0.159",
        )
    assert (0, True) == (result.status, max(map(len, plain(result.out).splitlines())) <= 60)


@pytest.mark.parametrize(("environment", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_colours_are_left_out_if_the_user_wants_none(terminal, monkeypatch, environment, coloured):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with exporting(report(failing())) as exporters:
        result = terminal("watch", *QUICK, *exporters.options, keys="q", when="cooling")
    assert coloured == bool(COLOUR.search(result.out))


def test_changes_are_told_above_the_table_too(terminal):
    with exporting(report(failing())) as exporters:
        result = terminal("watch", "-v", *QUICK, *exporters.options, keys="q", when="fails for")
    assert re.search(
        r"\d{4}-\S+ 10\.0\.0\.1:9292 fails for 1 of 1; HTTP 503; since 05:53:20 UTC; images\.get",
        plain(result.out),
    )


def test_no_server_is_probed(terminal, server, monkeypatch):
    monkeypatch.setenv("TRACED_IMAGE_SERVERS", server.url)
    with exporting(report(failing())) as exporters:
        terminal("watch", *QUICK, *exporters.options, keys="q", when=FAILS)
    assert () == server.access_log


def test_ctrl_c_ends_it_though_an_exporter_is_slow(on_terminal):
    done = threading.Event()
    try:
        with exporting(lambda: done.wait(LIMIT) and report(), report(failing())) as exporters:
            running = on_terminal("watch", *QUICK, *exporters.options)
            wait_for(lambda: FAILS in running.text)
            begun = time.monotonic()
            running.press("\x03")
            status, _ = running.ended()
            seconds = time.monotonic() - begun
            done.set()
    finally:
        done.set()
    assert (130, True) == (status, seconds < LIMIT / 2)


def wait_for(condition):
    end = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


# --- where there is no terminal ----------------------------------------------------------------


def test_each_change_is_a_line_and_a_reading_is_none(cli, signalled):
    with exporting(report(server()), (500, "")) as exporters:

        def changed():
            """Have two changes, each once the state before it has been read several times."""
            if exporters.asked[0] > 6 and exporters.answers[1] == (500, ""):
                exporters.answers[:] = [report(failing()), report(server(), service="other")]
                exporters.asked[0] = 0
            return exporters.asked[0] > 6 and exporters.answers[1] != (500, "")

        signalled(signal.SIGTERM, changed)
        result = cli("watch", *QUICK, *exporters.options)
    # The first exporter may have been read before the second one answers.
    lines = {line.split(" ", 1)[1] for line in result.out.splitlines()}
    told = sorted({line.replace("1 of 1", "1 of 2") for line in lines})
    url = exporters.url
    assert [
        "10.0.0.1:9292 fails for 1 of 2; HTTP 503; since 05:53:20 UTC; images.get; nova-api",
        "10.0.0.1:9292 is healthy",
        f"exporter {url}/1 reports servers",
        f"exporter {url}/1: HTTP 500; check that the URL is right, with its prefix",
    ] == told
    assert (143, "traced-image: ended") == (result.status, result.line)


def test_a_reader_that_has_gone_ends_it():
    states = [report(failing()), report(server())]

    def turn():
        states.reverse()
        return states[0]

    with exporting(turn) as exporters:
        command = [sys.executable, "-c", PROGRAM, "watch", *QUICK, *exporters.options]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
            running.stdout.readline()
            running.stdout.close()
            said = running.stderr.read()
            assert (141, b"") == (running.wait(LIMIT), said)


# --- changes -----------------------------------------------------------------------------------


class Poll:
    """What was read, set by a test."""

    def __init__(self, *reports):
        from traced_image.diagnosis.exporter_report import ProcessSaw
        from traced_image.diagnosis.live_servers import list_servers

        self.servers = list_servers([ProcessSaw("http://a", each) for each in reports])
        self.without_servers = []
        self.now = 0.0


def changes(*polls):
    """The lines of each poll, after those before it."""
    first, *others = polls
    log = ChangeLog(first)
    found = [list(log.list_changes())]
    for each in others:
        log._poll = each
        found.append(list(log.list_changes()))
    return found


def test_figures_alone_are_no_change():
    more = failing(consecutive_failures=99, saved_calls=99, recent={"share": 0.1})
    first, second = changes(Poll(report(failing())), Poll(report(more)))
    assert (1, []) == (len(first), second)


def test_a_server_that_was_gone_is_told_of_again():
    poll = Poll(report(server()))
    assert [1, 0, 1] == [len(each) for each in changes(poll, Poll(), poll)]


def test_a_server_that_only_probes_see_is_told_so():
    probing = Poll(report(failing(), probes=True), report(server(), probes=True))
    unasked = Poll(report(server(), probes=True))
    ((first,), (second,)) = changes(probing, unasked)
    assert ("10.0.0.1:9292 fails for its probes; HTTP 503; ", "10.0.0.1:9292 has no attempts") == (
        first[: first.index("since")],
        second,
    )


# --- readings ----------------------------------------------------------------------------------


class Reader:
    """Reads what a test wants it to."""

    shown, name = "http://a", "exporter http://a"

    def __init__(self, read):
        self._read = read
        self.reads = 0

    def read(self, _path):
        self.reads += 1
        return self._read()


@pytest.fixture
def gate():
    opened = threading.Event()
    yield opened
    opened.set()


def test_an_exporter_that_is_being_read_is_not_asked_again(gate):

    reader = Reader(lambda: gate.wait(LIMIT) and report(failing()))
    poll = ExporterPoll([reader], 0.02)

    async def read_thrice():
        await poll.read()
        await poll.read()
        before = [each.problem for each in poll.without_servers]
        gate.set()
        while poll.without_servers:
            await poll.read()
        return before

    assert ["no answer within 0.02 s"] == asyncio.run(read_thrice())
    assert (True, ["10.0.0.1:9292"]) == (reader.reads <= 2, [each.server for each in poll.servers])


def test_a_defect_does_not_pass_in_silence(monkeypatch):

    def broken():
        raise ZeroDivisionError

    with open(os.devnull) as nothing:  # noqa: PTH123
        monkeypatch.setattr(sys, "stdin", nothing)
        with pytest.raises(ZeroDivisionError):
            asyncio.run(watch_exporters([Reader(broken)], 1.0, 1.0, verbose=False))
