"""The program run in this process or one of its own, on a terminal or not, over lab servers."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass

import pytest
from terminals import LIMIT, PROGRAM, Process, Reading, open_terminal, until

from traced_image import lab
from traced_image.cli.main import main

LOGGERS = ("traced_image", "traced_image.pipeline", "traced_image.exporter.probing.schedule")


@dataclass(frozen=True)
class Result:
    """How a command ended.

    Attributes:
        status: Its exit status.
        out: What it printed.
        err: What it said on standard error.
    """

    status: int
    out: str
    err: str

    @property
    def line(self):
        """The one line that it said on standard error."""
        (line,) = self.err.splitlines()
        return line


@pytest.fixture(autouse=True)
def _as_before():
    """Undo what the program does to its process: signals and the log."""
    loggers = [logging.getLogger(name) for name in LOGGERS]
    state = [(each.level, each.propagate, list(each.handlers)) for each in loggers]
    handlers = {
        each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    }
    # A signal that comes after the command has ended must not end the tests.
    signal.signal(signal.SIGTERM, lambda *_: None)
    yield
    for each, handler in handlers.items():
        signal.signal(each, handler)
    for each, (level, propagate, there) in zip(loggers, state, strict=True):
        each.setLevel(level)
        each.propagate = propagate
        each.handlers[:] = there


def invoke(monkeypatch, arguments):
    """Run the program in this process; its exit status."""
    monkeypatch.setattr(sys, "argv", ["traced-image", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


@pytest.fixture
def cli(monkeypatch, capsys):
    """Run the program: ``cli("show", image_id).out``."""

    def run(*arguments):
        capsys.readouterr()
        status = invoke(monkeypatch, arguments)
        found = capsys.readouterr()
        return Result(status, found.out, found.err)

    return run


@pytest.fixture
def process():
    """Run the program in a process of its own, without a terminal."""

    def run(*arguments, stdout=subprocess.PIPE, **options):
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, *arguments],
            check=False,
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            timeout=LIMIT,
            **options,
        )
        return Result(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def on_terminal():
    """Start the program in a process of its own, on a terminal of its own."""
    running = []

    def start(*arguments, **options):
        running.append(Process(*arguments, **options))
        return running[-1]

    yield start
    for each in running:
        each.close()


@pytest.fixture
def terminal(monkeypatch):
    """Run the program in this process on a terminal: ``terminal("list", columns=40).out``.

    Each of `steps` is something to see, and what to do then or what to press, one after the other;
    then `keys` are pressed once `when` is seen, or holds.
    """
    with contextlib.ExitStack() as stack:

        def run(
            *arguments, columns=100, lines=30, steps=(), keys="", when=None, term="xterm-256color"
        ):
            master, slave = open_terminal(columns, lines)
            stack.callback(os.close, master)
            for name in ("stdin", "stdout", "stderr"):
                mode = "r" if name == "stdin" else "w"
                file = stack.enter_context(os.fdopen(os.dup(slave), mode, encoding="utf-8"))
                monkeypatch.setattr(sys, name, file)
            os.close(slave)
            for name, value in (("COLUMNS", columns), ("LINES", lines), ("TERM", term)):
                monkeypatch.setenv(name, str(value))
            reading = Reading(master)
            if keys:
                pressing = threading.Thread(target=press, args=(master, steps, keys, when, reading))
                pressing.start()
                stack.callback(pressing.join, LIMIT)
            status = invoke(monkeypatch, arguments)
            sys.stdout.flush()
            sys.stderr.flush()
            return Result(status, reading.end(), "")

        yield run


def press(master, steps, keys, when, reading):
    """Press keys once all has been seen, or holds."""
    start = 0
    try:
        for text, act in steps:
            until(lambda text=text, start=start: text in reading.text[start:])
            start = len(reading.text)
            os.write(master, act.encode()) if isinstance(act, str) else act()
        until(when if callable(when) else lambda: when in reading.text[start:])
    finally:
        os.write(master, keys.encode())  # in any case, or the test would have no end


@pytest.fixture
def signalled():
    """Have this process be sent a signal, once something holds."""
    threads = []

    def send(number, when):
        def work():
            try:
                until(when)
            finally:
                os.kill(os.getpid(), number)  # in any case, or the test would have no end

        threads.append(threading.Thread(target=work))
        threads[-1].start()

    yield send
    for thread in threads:
        thread.join(LIMIT)


@pytest.fixture
def images():
    return lab.Images()


@pytest.fixture
def server(images):
    with lab.GlanceServer(images) as running:
        yield running


@pytest.fixture
def three(images):
    with lab.cluster(3, images=images) as servers:
        yield servers


@pytest.fixture(scope="session")
def tls():
    return lab.TLS.trusted()


def on(*servers):
    """The options that name servers."""
    return [part for server in servers for part in ("--server", getattr(server, "url", server))]


@pytest.fixture(name="on")
def on_fixture():
    return on
