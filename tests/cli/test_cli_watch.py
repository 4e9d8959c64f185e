"""The command ``watch``: a table that is always current, or lines where there is no terminal."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import termios

import pytest
from terminals import COLOUR, LIMIT, PROGRAM, plain, until

from traced_image import lab

QUICK = ("--interval", "200ms")
WELL, FAILS = "\x1b[32mhealthy", "\x1b[31mcooling"


def place(server):
    return f"{server.host}:{server.port}"


def last_frame(text):
    """What is on the terminal at the end: a frame begins with its headings."""
    return plain(text).rpartition("server  ")[2]


# --- on a terminal -----------------------------------------------------------------------------


def test_the_table_has_each_server(terminal, three, on):
    three[0].break_with(lab.faults.status(503))
    result = terminal("watch", *QUICK, *on(*three), keys="xq", when=lambda: all_probed(three))
    frame = last_frame(result.out)
    assert 0 == result.status
    assert re.search(rf"{place(three[0])} +cooling +503 +never +\d+ +\d+\s", frame)
    for server in three[1:]:
        assert re.search(
            rf"{place(server)} +healthy +\d\d:\d\d:\d\d +\d+ +0 +[\d.]+ +[\d.]+\s", frame
        )


def all_probed(servers):
    """Whether each server has been probed, and the table drawn since."""
    return all(len(server.access_log) > 6 for server in servers)


def test_those_that_fail_are_first(terminal, three, on):
    broken = max(three, key=place)
    broken.break_with(lab.faults.status(503))
    result = terminal("watch", *QUICK, *on(*three), keys="q", when=lambda: all_probed(three))
    places = re.findall(r"127\.0\.0\.1:\d+", last_frame(result.out))
    assert [place(broken), *sorted(place(each) for each in three if each is not broken)] == places


def test_a_setting_that_servers_refuse_is_named_and_no_server_fails(terminal, three, on):
    image = "84efd1f0-5f0f-4a67-8e4d-2f8a2f7b9c31"
    arguments = ("watch", *QUICK, "--image", image, *on(*three))
    result = terminal(*arguments, keys="q", when=lambda: all_probed(three))
    frame = last_frame(result.out)
    assert re.search(rf"{place(three[0])} +healthy +wrong image ", frame)
    assert [3, True] == [frame.count(f"HTTP 404 for image {image}"), "0 of 3 fail" in frame]


def test_the_foot_says_how_many_fail_and_how_to_end_it(terminal, three, on):
    three[0].break_with(lab.faults.status(503))
    result = terminal("watch", *QUICK, *on(*three), keys="q", when="1 of 3 fail")
    assert "1 of 3 fail; every 0.2 s; q ends it" in last_frame(result.out)


def test_a_server_that_has_not_been_probed_is_waited_for(terminal, server, on):
    result = terminal("watch", "--interval", "1h", *on(server), keys="q", when="waiting")
    assert "0 of 1 fail; every 3600 s; q ends it" in last_frame(result.out)


def test_it_follows_a_server_that_breaks_and_heals(terminal, server, on):
    steps = [(WELL, lambda: server.break_with(lab.faults.status(503))), (FAILS, server.heal)]
    result = terminal("watch", *QUICK, *on(server), steps=steps, keys="q", when=WELL)
    states = re.findall(rf"{place(server)} +(\w+)", plain(result.out))
    changes = [
        each for each, before in zip(states, [None, *states], strict=False) if each != before
    ]
    assert ["healthy", "cooling", "healthy"] == [each for each in changes if each != "waiting"]


def test_colours_are_not_shown_where_they_are_not_wanted(terminal, server, on, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    result = terminal("watch", *QUICK, *on(server), keys="q", when=lambda: all_probed([server]))
    assert (True, False) == (" healthy " in plain(result.out), bool(COLOUR.search(result.out)))


def test_a_terminal_of_forty_columns_has_blocks(terminal, server, on):
    result = terminal("watch", *QUICK, *on(server), columns=40, keys="q", when=WELL)
    lines = plain(result.out).splitlines()
    assert 40 >= max(len(line) for line in lines)
    assert "state         healthy" in [line.rstrip() for line in lines]


def test_the_terminal_is_as_before_afterwards(terminal, server, on):
    result = terminal("watch", *QUICK, *on(server), keys="xq", when=WELL)
    mode = termios.tcgetattr(sys.stdin.fileno())[3]
    assert (0, termios.ECHO, termios.ICANON) == (
        result.status,
        mode & termios.ECHO,
        mode & termios.ICANON,
    )


def test_other_keys_end_nothing(terminal, server, on):
    steps = [(WELL, "x"), (WELL, "\n")]
    result = terminal("watch", *QUICK, *on(server), steps=steps, keys="Q", when=WELL)
    assert 0 == result.status


def test_the_cursor_is_there_again_afterwards(terminal, server, on):
    result = terminal("watch", *QUICK, *on(server), keys="q", when=WELL)
    assert result.out.rindex("\x1b[?25h") > result.out.rindex("\x1b[?25l")


def test_ctrl_c_ends_it_without_a_traceback(on_terminal, server, on):
    running = on_terminal("watch", *QUICK, *on(server))
    until(lambda: WELL in running.text)
    running.press("\x03")
    status, text = running.ended()
    assert (130, "traced-image: interrupted") == (status, plain(text).splitlines()[-1])
    assert "Traceback" not in text


def test_sigterm_ends_it_and_leaves_the_terminal_as_it_was(terminal, server, on, signalled):
    server.break_with(lab.faults.never_answer())
    signalled(signal.SIGTERM, lambda: server.connections)
    result = terminal("watch", *QUICK, *on(server))
    mode = termios.tcgetattr(sys.stdin.fileno())[3]
    assert (143, termios.ECHO) == (result.status, mode & termios.ECHO)
    assert "traced-image: ended" == plain(result.out).splitlines()[-1]


def test_a_keyboard_that_has_gone_ends_it(terminal, server, on, monkeypatch):
    """Its end is read, as of a window that was closed."""
    monkeypatch.setattr(os, "read", _nothing_of_the_keyboard(os.read))
    assert 0 == terminal("watch", *QUICK, *on(server), keys="x", when=WELL).status


def _nothing_of_the_keyboard(read):
    return lambda number, size: b"" if number == sys.stdin.fileno() else read(number, size)


def test_probes_are_told_of_above_the_table(terminal, server, on):
    result = terminal("watch", "-v", *QUICK, *on(server), keys="q", when="answers")
    assert re.search(rf"\d{{4}}-\S+ {place(server)} answers, [\d.]+ ms", plain(result.out))


def test_what_the_prober_logs_is_left_to_the_table(terminal, server, on):
    server.break_with(lab.faults.status(503))
    result = terminal("watch", *QUICK, *on(server), keys="q", when=FAILS)
    assert "Probes began to fail" not in result.out


# --- where there is no terminal ----------------------------------------------------------------


def test_each_probe_is_a_line(cli, three, on, signalled):
    three[0].break_with(lab.faults.refuse())
    signalled(signal.SIGTERM, lambda: all(len(server.access_log) > 4 for server in three[1:]))
    result = cli("watch", *QUICK, *on(*three))
    times = [line.split()[0] for line in result.out.splitlines()]
    told = {" ".join(line.split()[1:3]) for line in result.out.splitlines()}
    assert (143, "traced-image: ended") == (result.status, result.line)
    assert told >= {f"{place(server)} answers," for server in three[1:]}
    assert f" {place(three[0])} fails, connection_refused: " in result.out
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4}", each) for each in times)


def test_lines_have_no_escapes(cli, server, on, signalled):
    signalled(signal.SIGTERM, lambda: len(server.access_log) > 2)
    assert "\x1b" not in cli("watch", *QUICK, *on(server)).out


def test_a_simple_terminal_has_lines_too_and_q(terminal, server, on):
    result = terminal("watch", *QUICK, *on(server), keys="q", when="answers", term="dumb")
    assert (0, False) == (result.status, "\x1b" in result.out)


def test_a_reader_that_has_gone_ends_it(server, on):
    command = [sys.executable, "-c", PROGRAM, "watch", *QUICK, *on(server)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        running.stdout.readline()
        running.stdout.close()
        said = running.stderr.read()
        assert (141, b"") == (running.wait(LIMIT), said)


@pytest.mark.parametrize("options", [["--interval", "0s"], ["--interval", "soon"], ["--image", ""]])
def test_what_can_not_be_watched_is_one_line(cli, server, on, options):
    result = cli("watch", *options, *on(server))
    assert (3, "traced-image: ") == (result.status, result.line[:14])
