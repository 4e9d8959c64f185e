"""The line that names the server that a command waits for, and `--timeout`."""

from __future__ import annotations

import io
import re
import sys
import threading

import pytest
from rich.console import Console
from terminals import plain, until

from traced_image import lab
from traced_image.cli import wait_line
from traced_image.cli.options import read_seconds
from traced_image.cli.spans import make_provider
from traced_image.cli.wait_line import WaitLine
from traced_image.telemetry import catalogue


class Clock:
    """A clock that a test sets.

    Attributes:
        now: Seconds.
    """

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


class Scene:
    """A line on a terminal of 60 columns, with a clock and with attempts that a test makes."""

    def __init__(self, monkeypatch):
        self.clock, self.file = Clock(), io.StringIO()
        monkeypatch.setenv("TERM", "xterm")  # a dumb terminal can't erase a line
        console = Console(file=self.file, force_terminal=True, width=60, color_system=None)
        self.line = WaitLine(console, self.clock)
        self.tracer = make_provider(None, attempts=False, tracker=self.line.tracker).get_tracer("t")
        monkeypatch.setattr("traced_image.cli.signals._LOOK_SECONDS", 0.001)

    @property
    def drawn(self):
        """All texts that were drawn so far."""
        return re.findall(r"waiting for [^\r\n]*?…", plain(self.file.getvalue()))

    def attempt(self, number=1, address="10.0.0.3"):
        attributes = {
            catalogue.ATTEMPT_NUMBER: number,
            catalogue.SERVER_ADDRESS: address,
            catalogue.SERVER_PORT: 9292,
        }
        return self.tracer.start_span("attempt", attributes=attributes)

    def sees(self, text):
        until(lambda: text in self.drawn)


@pytest.fixture
def scene(monkeypatch):
    return Scene(monkeypatch)


def test_a_wait_of_two_seconds_names_the_server(scene):
    def work():
        scene.attempt()
        scene.clock.now += 2.0
        scene.sees("waiting for 10.0.0.3:9292, 2 s…")
        scene.clock.now += 1.5
        scene.sees("waiting for 10.0.0.3:9292, 3 s…")
        return 42

    assert 42 == scene.line.run(work)


def test_a_shorter_wait_draws_nothing(scene, monkeypatch):
    looked = threading.Event()
    real = scene.clock

    def clock():
        looked.set()
        return real()

    scene.line._clock = clock

    def work():
        scene.attempt()
        looked.clear()
        scene.clock.now += 1.9
        looked.wait(10)

    scene.line.run(work)
    assert "" == scene.file.getvalue()


def test_the_seconds_are_those_of_the_attempt(scene):
    def work():
        with scene.attempt():
            scene.clock.now += 5.0
        scene.sees("waiting for the next attempt, 0 s…")
        scene.attempt(2, "fd00::4")
        scene.clock.now += 1.0
        scene.sees("waiting for [fd00::4]:9292, attempt 2, 1 s…")

    scene.line.run(work)


def test_other_spans_change_nothing(scene):
    def work():
        with scene.tracer.start_as_current_span("call"):
            scene.clock.now += 2.0
            scene.sees("waiting for Keystone, 2 s…")

    scene.line.run(work, "Keystone")
    assert "Keystone" == scene.line.tracker.latest.name


def test_the_line_is_erased_at_the_end(scene):
    def work():
        scene.clock.now += 2.0
        scene.sees("waiting for an answer, 2 s…")

    scene.line.run(work)
    assert scene.file.getvalue().endswith("\x1b[1A\x1b[2K")


def test_the_line_is_erased_after_an_error(scene):
    def work():
        scene.clock.now += 2.0
        scene.sees("waiting for an answer, 2 s…")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        scene.line.run(work)
    assert scene.file.getvalue().endswith("\x1b[1A\x1b[2K")


def test_a_long_name_is_cut_at_the_width(scene):
    def work():
        scene.attempt(address="a" * 100)
        scene.clock.now += 2.0
        until(lambda: f"waiting for {'a' * 47}…" in scene.drawn)

    scene.line.run(work)


def test_what_is_printed_meanwhile_stands_above_it(scene):
    def work():
        scene.clock.now += 2.0
        scene.sees("waiting for an answer, 2 s…")
        sys.stderr.write("a line of the log\n")

    scene.line.run(work)
    assert "\x1b[2Ka line of the log\n" in scene.file.getvalue()


@pytest.fixture
def at_once(monkeypatch):
    monkeypatch.setattr(wait_line, "WAIT_SECONDS", 0.0)


SLOW = 0.7
"""Seconds that a slow server takes: several looks of the command at its call."""


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("command", ["show", "list", "download", "upload"])
def test_the_commands_name_the_server_on_a_terminal(
    terminal, server, on, images, tmp_path, command
):
    image_id, file = images.add(data=b"x"), tmp_path / "file"
    file.write_bytes(b"x")
    rest = {
        "show": [image_id],
        "list": [],
        "download": [image_id, "-o", tmp_path / "new"],
        "upload": [file],
    }
    server.break_with(lab.faults.delay(SLOW))
    result = terminal(command, *rest[command], *on(server))
    name = f"waiting for 127.0.0.1:{server.port}, 0 s…"
    assert (0, True) == (result.status, name in plain(result.out))


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("how", [{"term": "dumb"}, {}])
def test_nothing_is_drawn_where_it_can_not_be_erased_or_is_known(terminal, server, on, images, how):
    image_id = images.add()
    server.break_with(lab.faults.delay(SLOW))
    shown = terminal("show", image_id, *([] if how else ["-v"]), *on(server), **how)
    assert "waiting" not in shown.out


@pytest.mark.usefixtures("at_once")
def test_nothing_is_drawn_without_a_terminal(cli, server, on, images):
    server.break_with(lab.faults.delay(SLOW))
    assert "" == cli("show", images.add(), *on(server)).err


@pytest.mark.parametrize("command", ["show", "list", "download"])
def test_a_time_limit_ends_a_call(cli, server, on, tmp_path, command):
    rest = {"show": ["x"], "list": [], "download": ["x", "-o", tmp_path / "new"]}
    server.break_with(lab.faults.never_answer())
    result = cli(command, *rest[command], "--timeout", "500ms", *on(server))
    assert (2, True) == (result.status, "deadline" in result.line)


@pytest.mark.parametrize("text", ["90", "90s", "1m30s", "90000ms"])
def test_a_time_limit_is_a_duration_or_seconds(text):
    assert 90.0 == read_seconds(text)


def test_a_time_limit_ends_an_upload(cli, server, on, tmp_path):
    file = tmp_path / "file"
    file.write_bytes(b"x")
    server.break_with(lab.faults.never_answer())
    assert 2 == cli("upload", file, "--timeout", "500ms", *on(server)).status


@pytest.mark.parametrize("text", ["soon", "1.5", "-1", ""])
def test_a_time_limit_that_is_none_is_one_line(cli, server, on, text):
    result = cli("list", f"--timeout={text}", *on(server))
    assert (3, True) == (result.status, "--timeout" in result.line)


def test_a_time_limit_of_nothing_is_refused(cli, server, on):
    result = cli("list", "--timeout", "0", *on(server))
    assert (3, True) == (result.status, "--timeout" in result.line)
