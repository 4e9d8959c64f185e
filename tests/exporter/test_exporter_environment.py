"""The exporter of the environment: where it listens, its forks, and that it disturbs nobody."""

from __future__ import annotations

import contextlib
import http.client
import logging
import os
import socket
import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest
from serving import LIMIT, until

from traced_image import exporter
from traced_image.config.environment import EXPORTER, from_environ
from traced_image.errors import InvalidOption
from traced_image.exporter import environment
from traced_image.exporter.environment import EnvironmentExporter, ListenPlace, read_place

FORKS = pytest.mark.filterwarnings(
    "ignore:This process .* is multi-threaded:DeprecationWarning",
)
LOCAL = "127.0.0.1"


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]


def fetch(port, path="/", host=LOCAL):
    """The answer on a port; None if nobody listens."""
    with contextlib.closing(http.client.HTTPConnection(host, port, timeout=LIMIT)) as opened:
        try:
            opened.request("GET", path)
        except ConnectionError:  # a port that is only tried for a moment resets its connections
            return None
        return opened.getresponse().read()


def served(port, **options):
    """The answer on a port, as soon as there is one."""
    found = []
    until(lambda: found.append(fetch(port, **options)) or found[-1] is not None)
    return found[-1]


@pytest.fixture
def ports():
    """Three ports in a row that are free."""
    for first in range(20000 + os.getpid() % 10000, 60000, 7):
        found = range(first, first + 3)
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for port in found:
                stack.enter_context(socket.create_server((LOCAL, port)))
            break
    return found


@pytest.fixture
def occupy():
    """Listen on a port, as another program does."""
    with contextlib.ExitStack() as stack:
        yield lambda port: stack.enter_context(socket.create_server((LOCAL, port)))


@pytest.fixture
def serve(ports):
    """Serve an application on the ports until the test ends."""
    made = []

    def started(app=application, place=None, *, may_lack=False, first_look=0.0):
        place = place or ListenPlace(LOCAL, ports)
        options = {"may_lack": may_lack, "first_look": first_look, "next_look": 0.01}
        made.append(EnvironmentExporter(app, place, **options))
        made[-1].start()
        return made[-1]

    yield started
    for each in made:
        each.stop()


@pytest.fixture(autouse=True)
def log(caplog):
    caplog.set_level(logging.DEBUG, "traced_image.exporter.environment")

    def lines(level=logging.WARNING):
        return [each.getMessage() for each in caplog.records if each.levelno >= level]

    return lines


# --- the variable ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "host", "ports"),
    [
        ("127.0.0.1:9465", "127.0.0.1", [9465]),
        (" localhost:1 ", "localhost", [1]),
        ("[::1]:9465", "::1", [9465]),
        ("[fe80::1%eth0]:65535", "fe80::1%eth0", [65535]),
        ("127.0.0.1:9465-9467", "127.0.0.1", [9465, 9466, 9467]),
        ("[::1]:9465-9465", "::1", [9465]),
    ],
)
def test_an_address_has_a_port_or_a_range(text, host, ports):
    place = read_place(text)
    assert (host, ports) == (place.host, list(place.ports))


@pytest.mark.parametrize(
    "text",
    [
        "9465",
        ":9465",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:0",
        "127.0.0.1:65536",
        "127.0.0.1:9475-9465",
        "127.0.0.1:9465-",
        "127.0.0.1:٩",
        "::1:9465",
        "[::1]",
        "http://127.0.0.1:9465",
        "127.0.0.1:9465/",
    ],
)
def test_any_other_text_is_refused(text):
    with pytest.raises(InvalidOption, match=rf"{EXPORTER} \(from environment\): .*-9475"):
        read_place(text)


@pytest.mark.parametrize("scheme", ["", "http://"])
def test_no_password_is_in_the_message(scheme):
    with pytest.raises(InvalidOption) as caught:
        read_place(f"{scheme}user:geheim@127.0.0.1:9465")
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize("text", ["127.0.0.1:9465", "127.0.0.1:9465-9475", "[::1]:9465-9475"])
def test_a_place_is_shown_as_it_was_written(text):
    assert text == str(read_place(text))


def test_the_variable_is_not_taken_for_a_misspelt_one(caplog):
    from_environ({EXPORTER: "127.0.0.1:9465"})
    assert [] == caplog.records


# --- ports -------------------------------------------------------------------------------------


def test_it_serves_on_the_first_port(serve, ports, log):
    serve()
    assert str(os.getpid()).encode() == served(ports[0])
    said = f"The exporter of process {os.getpid()} is on http://127.0.0.1:{ports[0]}/."
    assert [said] == log(logging.INFO)


@pytest.mark.ipv6
def test_it_serves_by_ipv6(serve, ports):
    serve(place=ListenPlace("::1", ports))
    assert served(ports[0], host="::1")


def test_it_takes_the_next_port_if_one_is_taken(serve, ports, occupy):
    occupy(ports[0])
    serve()
    assert served(ports[1])


def test_without_a_free_port_there_is_one_warning_that_says_what_to_do(serve, ports, occupy, log):
    taken = occupy(ports[0])
    serve(place=ListenPlace(LOCAL, ports[:1]))
    until(log)
    taken.close()
    assert served(ports[0])
    (warning,) = log()
    assert f"no port of {EXPORTER}=127.0.0.1:{ports[0]} can be used (can't listen on " in warning
    assert ("a range of ports" in warning, "PROMETHEUS_MULTIPROC_DIR" in warning) == (True, True)


def test_a_process_that_nobody_misses_says_nothing(serve, ports, occupy, log):
    taken = occupy(ports[0])
    looks = []
    serve(place=SimpleNamespace(host=LOCAL, ports=Looked(ports[:1], looks)), may_lack=True)
    until(lambda: len(looks) > 2)
    taken.close()
    assert served(ports[0])
    assert [] == log()


class Looked:
    """Ports, with a note of each look at them."""

    def __init__(self, ports, looks):
        self._ports, self._looks = ports, looks

    def __iter__(self):
        self._looks.append(1)
        return iter(self._ports)


def test_beyond_loopback_there_is_a_warning(serve, ports, log):
    serve(place=ListenPlace("0.0.0.0", ports))
    served(ports[0])
    assert ["The exporter on 0.0.0.0 answers every client that can reach it."] == log()


def test_stopped_it_leaves_the_port(serve, ports):
    made = serve()
    served(ports[0])
    made.stop()
    until(lambda: fetch(ports[0]) is None)


def test_stopped_before_its_first_look_it_takes_no_port(serve, ports):
    serve(first_look=0.05).stop()
    serve(place=ListenPlace(LOCAL, ports[1:2]), first_look=0.1)
    assert served(ports[1])
    assert fetch(ports[0]) is None


# --- forks -------------------------------------------------------------------------------------


@contextlib.contextmanager
def forked():
    """A child that lives until the block ends; its id."""
    end = os.pipe()
    child = os.fork()
    if not child:
        os.close(end[1])
        os.read(end[0], 1)
        os._exit(0)
    os.close(end[0])
    try:
        yield child
    finally:
        os.close(end[1])
        os.waitpid(child, 0)


@FORKS
def test_each_child_serves_on_a_port_of_its_own(serve, ports):
    serve()
    served(ports[0])
    with forked() as first:
        assert str(first).encode() == served(ports[1])
        with forked() as second:
            assert str(second).encode() == served(ports[2])
        assert str(os.getpid()).encode() == fetch(ports[0])


@FORKS
def test_a_child_holds_no_port_of_its_parent(serve, ports):
    made = serve()
    served(ports[0])
    with forked():
        served(ports[1])
        made.stop()
        until(lambda: fetch(ports[0]) is None)


@FORKS
def test_a_child_of_a_stopped_one_serves_nothing(serve, ports):
    serve().stop()
    with forked():
        serve(place=ListenPlace(LOCAL, ports[1:2]))
        assert served(ports[1])
        assert fetch(ports[0]) is None


@FORKS
def test_of_several_children_without_a_port_one_warns(serve, ports, capfd, monkeypatch):
    monkeypatch.setattr(environment, "threading", SimpleNamespace(Lock=None))
    made = serve(place=ListenPlace(LOCAL, ports[:1]))
    served(ports[0])
    with forked(), forked(), forked():
        until(lambda: made._notices._flags[1])
        made.stop()
        served(ports[0])
    assert 1 == capfd.readouterr().err.count("traced_image: Process ")


class Slow:
    """An application that answers when it is told to."""

    def __init__(self):
        self.asked, self.go_on = threading.Event(), threading.Event()
        self.order = []

    def __call__(self, environ, start_response):
        self.asked.set()
        assert self.go_on.wait(LIMIT)
        self.order.append("answered")
        return application(environ, start_response)


@pytest.fixture
def slow(serve, ports):
    """An answer that is under way."""
    app = Slow()
    made = serve(app)
    asking = threading.Thread(target=lambda: served(ports[0]))
    asking.start()
    assert app.asked.wait(LIMIT)
    yield SimpleNamespace(app=app, exporter=made)
    app.go_on.set()
    asking.join(LIMIT)


class WatchedLock:
    """A lock, and whether somebody has asked for it."""

    def __init__(self, lock):
        self._lock, self.asked = lock, threading.Event()
        self.release = lock.release

    def acquire(self, timeout):
        self.asked.set()
        return self._lock.acquire(timeout=timeout)


@FORKS
def test_a_fork_waits_for_an_answer_under_way(slow, monkeypatch):
    monkeypatch.setattr(environment, "_FORK_SECONDS", LIMIT)
    lock = slow.exporter.answering = WatchedLock(slow.exporter.answering)

    def fork():
        with forked():
            slow.app.order.append("forked")

    thread = threading.Thread(target=fork)
    thread.start()
    assert lock.asked.wait(LIMIT)
    slow.app.go_on.set()
    thread.join(LIMIT)
    assert ["answered", "forked"] == slow.app.order


@FORKS
def test_a_fork_does_not_wait_long_and_the_child_finds_the_lock_free(slow, monkeypatch):
    monkeypatch.setattr(environment, "_FORK_SECONDS", 0.01)
    child = os.fork()
    if not child:
        os._exit(slow.exporter.answering.locked())
    assert 0 == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


# --- it disturbs nobody ------------------------------------------------------------------------


def test_without_a_thread_it_raises_nothing(serve, monkeypatch):
    def refuse(*_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(environment, "start_new_thread", refuse)
    serve()


def test_what_its_thread_raises_is_logged(serve, log, monkeypatch):
    def fail(*_):
        raise LookupError("nobody expected this")

    monkeypatch.setattr(environment, "listen", fail)
    serve()
    until(log)
    assert [f"The exporter of {EXPORTER} ended: LookupError('nobody expected this')"] == log()


def test_where_locks_are_replaced_a_warning_goes_to_stderr(monkeypatch, capfd, log):
    monkeypatch.setattr(environment, "threading", SimpleNamespace(Lock=None))
    notices = environment._Notices()
    notices.say(logging.INFO, "hardly worth it")
    for _ in range(2):
        notices.say_once(0, "read this")
    assert ("traced_image: read this\n", []) == (capfd.readouterr().err, log(logging.DEBUG))


def test_where_stderr_is_closed_nothing_is_raised(monkeypatch):
    def closed(*_):
        raise OSError("Bad file descriptor")

    monkeypatch.setattr(environment, "threading", SimpleNamespace(Lock=None))
    monkeypatch.setattr(environment, "write", closed)
    environment._Notices().say(logging.WARNING, "nobody reads this")


# --- from the environment ----------------------------------------------------------------------


@pytest.fixture
def started(monkeypatch):
    """Start it with the variables given, without its default registry; stop it at the end."""
    monkeypatch.setattr(environment, "wsgi_app", lambda: application)
    monkeypatch.setattr(environment, "FIRST_LOOK_SECONDS", 0.0)
    monkeypatch.delenv(environment._FIRST, raising=False)
    made = []

    class Noted(EnvironmentExporter):
        def __init__(self, *args, may_lack):
            super().__init__(*args, may_lack=may_lack, first_look=0.0, next_look=0.01)
            made.append(may_lack)

    monkeypatch.setattr(environment, "EnvironmentExporter", Noted)

    def start(**variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        exporter.start_from_environment()
        return made

    yield start
    for each in list(environment._exporters):
        each.stop()


@pytest.mark.parametrize("variables", [{}, {EXPORTER: ""}])
def test_without_the_variable_nothing_starts(started, monkeypatch, variables):
    monkeypatch.delenv(EXPORTER, raising=False)
    assert [] == started(**variables)


def test_it_starts_once_in_a_process(started, ports):
    place = {EXPORTER: f"127.0.0.1:{ports[0]}-{ports[1]}"}
    started(**place)
    served(ports[0])
    assert [False] == started(**place)


def test_in_a_program_that_the_service_runs_nobody_misses_it(started, ports):
    place = {EXPORTER: f"127.0.0.1:{ports[0]}"}
    assert [True] == started(**place, **{environment._FIRST: "1"})


def test_in_multiprocess_mode_nobody_misses_it(started, ports, monkeypatch):
    monkeypatch.setattr(environment.multiprocess, "is_on", lambda: True)
    assert [True] == started(**{EXPORTER: f"127.0.0.1:{ports[0]}"})


def test_a_value_that_is_none_is_one_warning(started, log):
    assert [] == started(**{EXPORTER: "nonsense"})
    (warning,) = log()
    assert warning.startswith(f"The exporter does not start: {EXPORTER} (from environment): ")


def test_whatever_fails_is_one_warning(started, log, monkeypatch):
    def fail():
        raise LookupError("nobody expected this")

    monkeypatch.setattr(environment, "wsgi_app", fail)
    started(**{EXPORTER: "127.0.0.1:9465"})
    assert ["The exporter does not start: nobody expected this"] == log()


# --- a program of its own ----------------------------------------------------------------------

SERVE = """
import os, socket, sys, time
from traced_image import exporter

exporter.start_from_environment()
port, again = int(sys.argv[1]), int(sys.argv[2])
while again >= 0 and socket.socket().connect_ex(("127.0.0.1", port)):
    time.sleep(0.01)
if again > 0:
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:-1], "0"])
"""


@pytest.mark.parametrize("again", ["-1", "0", "1"], ids=["at once", "served", "after execv"])
def test_a_program_ends_by_itself_and_says_nothing(ports, again):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SERVE, str(ports[0]), again],
        env={**os.environ, EXPORTER: f"127.0.0.1:{ports[0]}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (0, "", "") == (done.returncode, done.stdout, done.stderr)
