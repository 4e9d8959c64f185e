"""Terminals for the program to run on, and what is seen there."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import socket
import struct
import subprocess
import sys
import termios
import threading
import time

LIMIT = 20.0
"""Seconds after which a test that waits has failed."""

PROGRAM = "from traced_image.cli.main import main; main()"
# Tests that a shell runs in the background are started with Ctrl-C ignored.
_CONTROLLING = (
    "import fcntl, signal, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    "signal.signal(signal.SIGINT, signal.default_int_handler); "
)

_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07]*\x07|[@-_])")
COLOUR = re.compile(r"\x1b\[(?:\d+;)*(?:3[0-7]|38;5;\d+|9[0-7])m")


def until(condition, otherwise="it did not come about in time"):
    """Wait for a condition, and return what it did."""
    end = time.monotonic() + LIMIT
    while not (found := condition()):
        assert time.monotonic() < end, otherwise
        time.sleep(0.005)
    return found


def plain(text):
    """What is printed, without what a terminal acts upon."""
    return _ESCAPE.sub("", text).replace("\r\n", "\n")


def open_terminal(columns, lines):
    """A terminal of this size: its own side, and that of a program."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    return master, slave


@contextlib.contextmanager
def own_port():
    """A port that a program is to listen on: meanwhile, nobody else is given it."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


class Reading:
    """What comes from a file descriptor, read in a thread until it ends.

    Attributes:
        received: What has come so far.
    """

    def __init__(self, number):
        self._number = number
        self._stop = threading.Event()
        self.received = b""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        with contextlib.suppress(OSError):
            while True:
                # Asked before it is looked: what came until it was told to stop is read.
                stopping = self._stop.is_set()
                ready, _, _ = select.select([self._number], [], [], 0.02)
                if ready:
                    data = os.read(self._number, 65536)
                    if not data:
                        return
                    self.received += data
                elif stopping:
                    return

    @property
    def text(self):
        """The same as text."""
        return self.received.decode(errors="replace")

    def end(self):
        """Read what is there still, and stop."""
        self._stop.set()
        self._thread.join(LIMIT)
        return self.text


class Process:
    """The program in a process of its own, on a terminal of its own."""

    def __init__(self, *arguments, columns=80, lines=24, **environment):
        self._master, slave = open_terminal(columns, lines)
        self._process = subprocess.Popen(
            [sys.executable, "-c", _CONTROLLING + PROGRAM, *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            env={**os.environ, "TERM": "xterm-256color", **environment},
        )
        os.close(slave)
        self._reading = Reading(self._master)

    @property
    def text(self):
        """What it has printed so far."""
        return self._reading.text

    def press(self, keys):
        """Press keys."""
        os.write(self._master, keys.encode())

    def send(self, number):
        """Send it a signal."""
        self._process.send_signal(number)

    def ended(self):
        """Wait for its end; its exit status and all that it printed."""
        status = self._process.wait(LIMIT)
        return status, self._reading.end()

    def close(self):
        """End it, if it has not ended."""
        self._process.kill()
        self._process.wait(LIMIT)
        self._reading.end()
        os.close(self._master)
