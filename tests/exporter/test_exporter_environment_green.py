"""The exporter of the environment beside eventlet and gevent, whichever comes first."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import subprocess
import sys

import pytest
from serving import LIMIT, until

from traced_image.config.environment import EXPORTER

PATCH = {
    "eventlet": "import eventlet; eventlet.monkey_patch()",
    "gevent": "import gevent.monkey; gevent.monkey.patch_all()",
}
START = "from traced_image import exporter; exporter.start_from_environment()"
SLEEP = "import time; time.sleep(60)"
BLOCK = "while True: pass"
FORK = "import os; os.fork()"


@pytest.fixture
def ports():
    """Two ports in a row that are free."""
    for first in range(20000 + os.getpid() % 10000, 60000, 7):
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for port in (first, first + 1):
                stack.enter_context(socket.create_server(("127.0.0.1", port)))
            break
    return first, first + 1


@pytest.fixture
def run(ports):
    """Run a program of several lines, until the test ends, with its children."""
    with contextlib.ExitStack() as stack:

        def started(*lines):
            process = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-W", "ignore", "-c", "\n".join(lines)],
                    env={**os.environ, EXPORTER: f"127.0.0.1:{ports[0]}-{ports[1]}"},
                    start_new_session=True,
                )
            )
            stack.callback(os.killpg, process.pid, 9)

        yield started


def answers(port):
    """Whether the page and the metrics are served."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT)) as opened:
        try:
            opened.request("GET", "/metrics")
        except ConnectionError:  # a port that is only tried for a moment resets its connections
            return False
        return b"python_info" in opened.getresponse().read()


@pytest.mark.parametrize("library", PATCH)
def test_before_it_they_change_nothing_even_in_a_busy_program_and_its_child(run, ports, library):
    pytest.importorskip(library)
    run(START, PATCH[library], FORK, BLOCK)
    until(lambda: all(map(answers, ports)))


@pytest.mark.parametrize("library", PATCH)
def test_after_them_it_is_one_of_their_green_threads(run, ports, library):
    pytest.importorskip(library)
    run(PATCH[library], START, SLEEP)
    until(lambda: answers(ports[0]))
    # A client that is silent does not keep others waiting.
    with socket.create_connection(("127.0.0.1", ports[0])):
        assert answers(ports[0])
