"""The demonstration on a terminal: the live table, Ctrl-C, and a terminal of 40 columns."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time

import pytest

LIMIT = 60.0
"""Seconds after which a test that waits has failed."""

PROGRAM = (
    "import fcntl, runpy, signal, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
    "signal.signal(signal.SIGINT, signal.default_int_handler);"
    "runpy.run_module('traced_image.demo', run_name='__main__')"
)
"""It takes the terminal as its own first, so that what is typed there reaches it.

Tests that a shell runs in the background are started with Ctrl-C ignored.
"""

CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, *arguments, columns=80, rows=24, **environment):
        self._mine, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self._process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            env={
                **os.environ,
                "TERM": "xterm-256color",
                "PYTHONIOENCODING": "utf-8",
                **environment,
            },
        )
        os.close(theirs)
        self._seen = bytearray()

    @property
    def text(self):
        """All that was written so far, without what moves the cursor or gives colours."""
        return CONTROL.sub("", self.raw).replace("\r\n", "\n").replace("\r", "\n")

    @property
    def raw(self):
        """All that was written so far."""
        return self._seen.decode()

    def read(self, until=None):
        """Read until something is there, or the program has ended."""
        end = time.monotonic() + LIMIT
        while until is None or not re.search(until, self.text):
            assert time.monotonic() < end, self.text
            if not select.select([self._mine], [], [], 0.1)[0]:
                continue
            try:
                self._seen += os.read(self._mine, 65536)
            except OSError:  # it has ended
                break

    def type(self, keys):
        os.write(self._mine, keys)

    def status(self):
        self.read()
        return self._process.wait(LIMIT)

    def close(self):
        self._process.kill()
        self._process.wait(LIMIT)
        os.close(self._mine)


@pytest.fixture
def terminal():
    there = []

    def open_terminal(*arguments, **options):
        there.append(Terminal(*arguments, **options))
        return there[-1]

    yield open_terminal
    for each in there:
        each.close()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """A browser that notes what it is to open, and where that is."""
    directory = tmp_path_factory.mktemp("browser")
    program, opened = directory / "browser", directory / "opened"
    program.write_text(f'#!/bin/sh\necho "$1" > {opened}\n')
    program.chmod(0o755)
    return program, opened


@pytest.fixture(scope="module")
def performed(browser):
    """The whole script, as it was seen on a terminal.

    It takes 3 seconds and more: one to start, and two so that each fault is seen on the screen.
    """
    terminal = Terminal("--seconds", "2", "--open", BROWSER=f"{browser[0]} %s")
    status = terminal.status()
    yield status, terminal.raw, terminal.text
    terminal.close()


def test_it_ends_with_the_report_and_0(performed):
    status, _, text = performed

    assert 0 == status
    assert text.endswith("Retries hid the failures: no caller saw one.\n")


@pytest.mark.parametrize("fault", ["dead", "slow", "503", "TLS"])
def test_the_table_shows_what_is_broken_while_it_is(performed, fault):
    _, _, text = performed

    (server,) = re.findall(rf"(\S+) is broken \({fault}\)", text)
    begun, ended = text.index(f"{server} is broken ({fault})"), text.rindex(f"{server} is healed")
    assert re.search(rf"^{server} +\w+ +{fault} ", text[begun:ended], re.MULTILINE)


def test_the_table_shows_no_longer_what_is_healed(performed):
    _, _, text = performed

    assert not re.search(r"^\S+ +\w+ +dead ", text[text.index("is broken (503)") :], re.MULTILINE)


def test_the_table_shows_the_state_the_reason_and_the_counts_of_a_server(performed):
    _, _, text = performed

    cooling = r"^\S+ +(cooling|trial) +dead +connection_refused +\d+ +\d+ +[\d.]+ +[\d.]+ *$"
    assert re.search(cooling, text, re.MULTILINE)


def test_the_table_is_drawn_over_and_gone_in_the_end(performed):
    _, raw, _ = performed

    assert raw.count("the last minute:") > 10
    assert raw.rindex("\x1b[2K") > raw.rindex("the last minute:")


def test_the_page_is_opened_in_a_browser(performed, browser):
    _, _, text = performed

    address = re.search(r"^The page, .*: (.*)$", text, re.MULTILINE)[1]
    assert address == browser[1].read_text().strip()
    assert "found no browser" not in text


def test_the_cursor_is_there_again_in_the_end(performed):
    _, raw, _ = performed

    assert raw.rindex("\x1b[?25h") > raw.rindex("\x1b[?25l")


def test_no_line_is_wider_than_the_terminal(performed):
    _, _, text = performed

    assert max(len(line) for line in text.splitlines()) <= 80


def test_in_40_columns_the_table_is_a_block_for_each_server(terminal):
    narrow = terminal("--seconds", "10", columns=40)

    narrow.read(r"\n127\.0\.0\.1:\d+  cooling  dead")
    narrow.read(r"connection_refused\n +p50 [\d.]+ ms, p95 [\d.]+ ms\n")
    narrow.type(b"\x03")

    assert 130 == narrow.status()
    assert max(len(line) for line in narrow.text.splitlines()) <= 40


def test_ctrl_c_in_the_middle_tells_what_has_been_so_far(terminal):
    stopped = terminal("--seconds", "2")

    stopped.read(r"is broken \(503\)")
    stopped.type(b"\x03")

    assert 130 == stopped.status()
    assert "Telemetry was right about 2 of 2 faults." in stopped.text
    assert re.search(
        r"It ended while \S+ was broken \(503\): this fault is not judged", stopped.text
    )
    assert "has not answered" not in stopped.text
    assert "Traceback" not in stopped.text


def test_a_terminal_that_can_not_move_its_cursor_has_lines_only(terminal):
    stopped = terminal("--seconds", "3", TERM="dumb")

    stopped.read(r"is broken \(dead\)")
    stopped.type(b"\x03")
    assert 130 == stopped.status()
    assert "the last minute:" not in stopped.text
