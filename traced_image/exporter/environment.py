"""The exporter that the environment asks for, in each process of ``opentelemetry-instrument``.

``TRACED_IMAGE_EXPORTER`` is an address, with one port or a range of ports. Each process serves on
the first port that is free. A forked child leaves its parent's port and takes one of its own. In
prometheus_client's multiprocess mode, one process serves for all. A process that finds no free port
looks for one again from time to time.

The service itself is never disturbed: nothing here raises into it, delays its end, or waits for it.
"""

from __future__ import annotations

import contextlib
import logging
import mmap
import os
import re
import threading
import weakref
from _thread import start_new_thread
from dataclasses import dataclass
from os import write
from threading import Lock
from time import sleep
from typing import TYPE_CHECKING

from ..config.checks import format_value
from ..config.environment import EXPORTER
from ..errors import ExporterError, InvalidOption
from ..redact import hide_in_record
from ..telemetry import multiprocess
from .start import wsgi_app
from .web.handle import format_url
from .web.listening import is_open, listen
from .web.wsgi_server import ThreadedServer, run_traced

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

LOG = logging.getLogger(__name__)
LOG.addFilter(hide_in_record)

FIRST_LOOK_SECONDS = 1.0
"""How long a process has lived when it takes a port: many helpers of a service end, or run another
program, before that."""

NEXT_LOOK_SECONDS = 10.0
"""How long a process without a port waits until it looks again."""

_FIRST = "_TRACED_IMAGE_EXPORTER_PROCESS"
"""The variable that tells a program that the service runs, such as a helper, that it is not the
service itself."""

_FORK_SECONDS = 1.0
"""For how long a fork waits for an answer under way, so that the child finds no lock held."""

_PLACE = re.compile(
    r"(?:\[(?P<six>[0-9a-fA-F:.%\w]+)\]|(?P<host>[^\s:/\[\]@]+))"
    r":(?P<first>\d{1,5})(?:-(?P<last>\d{1,5}))?",
    re.ASCII,
)
_MOST_PORT = 65535
_STDERR = 2


@dataclass(frozen=True, slots=True)
class ListenPlace:
    """An address to listen on, and the ports from which each process takes one.

    Attributes:
        host: The address or name.
        ports: The ports, in the order in which they are tried.
    """

    host: str
    ports: range

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        last = f"-{self.ports[-1]}" if len(self.ports) > 1 else ""
        return f"{host}:{self.ports[0]}{last}"


def read_place(text: str) -> ListenPlace:
    """Read what ``TRACED_IMAGE_EXPORTER`` says.

    Args:
        text: ``127.0.0.1:9465``, ``[::1]:9465``, or with a range of ports, ``127.0.0.1:9465-9475``.

    Raises:
        InvalidOption: It has another form, or the ports are none.
    """
    found = _PLACE.fullmatch(text.strip())
    if found is not None:
        first = int(found["first"])
        ports = range(first, int(found["last"] or first) + 1)
        if ports and ports[0] > 0 and ports[-1] <= _MOST_PORT:
            return ListenPlace(found["six"] or found["host"], ports)
    shown = "it (not shown here)" if "@" in text else format_value(text)  # it may have a password
    problem = f"{shown} is not an address with a port or a range of ports"
    fix = "write one like 127.0.0.1:9465 or 127.0.0.1:9465-9475"
    raise InvalidOption(EXPORTER, problem, source="environment", fix=fix)


class EnvironmentExporter:
    """Serves an application in this process, and in each forked child by another port.

    Its threads are threads of the system, if this module was imported before eventlet or gevent
    replaced those of the standard library. ``opentelemetry-instrument`` imports it so early.

    Args:
        application: What the exporter answers with.
        place: Where it listens.
        may_lack: Whether nobody misses this process if it finds no port.
        first_look: Seconds until a new process takes a port.
        next_look: Seconds until a process without a port looks again.

    Attributes:
        answering: Held while an answer is built; a fork waits for it.
        pid: The process that it serves in; None if it does not.
    """

    def __init__(
        self,
        application: WSGIApplication,
        place: ListenPlace,
        *,
        may_lack: bool,
        first_look: float = FIRST_LOOK_SECONDS,
        next_look: float = NEXT_LOOK_SECONDS,
    ) -> None:
        self._application = application
        self._place = place
        self._may_lack = may_lack
        self._looks = (first_look, next_look)
        self._server: ThreadedServer | None = None
        self._turn: object = None
        self._notices = _Notices()
        self.answering = Lock()
        self.pid: int | None = None
        _exporters.add(self)

    def start(self) -> None:
        """Serve in a thread of this process, soon."""
        self.pid, self._turn = os.getpid(), object()
        try:
            start_new_thread(run_traced, (self._run, self._turn))
        except RuntimeError as error:  # no more threads, or the interpreter ends
            LOG.debug("The exporter can't start: %s", error)

    def stop(self) -> None:
        """Serve no more in this process; return at once."""
        self.pid = self._turn = None
        if self._server is not None:
            self._server.request_stop()

    def after_fork(self) -> None:
        """Serve in a forked child by a port of its own."""
        self.answering = Lock()
        self._server = None
        if self.pid is not None:
            self.start()

    def _run(self, turn: object) -> None:
        seconds, later = self._looks
        try:
            while True:
                sleep(seconds)
                # A fork copies green threads, too; but the child has a turn of its own.
                if self._turn is not turn or self._serve():
                    return
                seconds = later
        except Exception as error:  # noqa: BLE001 nobody could handle it in this thread
            self._notices.say(logging.WARNING, f"The exporter of {EXPORTER} ended: {error!r}")

    def _serve(self) -> bool:
        """Serve until `stop`; return False at once if no port is free."""
        server = self._find_server()
        if server is None:
            return False
        self._server = server
        url = format_url(server)
        self._notices.say(logging.INFO, f"The exporter of process {os.getpid()} is on {url}.")
        if is_open(server.host):
            self._notices.say_once(
                0, f"The exporter on {server.host} answers every client that can reach it."
            )
        server.run()
        return True

    def _find_server(self) -> ThreadedServer | None:
        problem = ""
        for port in self._place.ports:
            try:
                sock = listen(self._place.host, port)
            except ExporterError as error:
                problem = str(error).partition(";")[0]
            else:
                return ThreadedServer(self._answer, sock)
        if not self._may_lack:
            self._notices.say_once(
                1,
                f"Process {os.getpid()} shows no metrics and no page, because no port of {EXPORTER}"
                f"={self._place} can be used ({problem}). Each process needs a port of its own: "
                "write a range of ports, such as 127.0.0.1:9465-9475, or set "
                "PROMETHEUS_MULTIPROC_DIR, so that one process shows all.",
            )
        return None

    def _answer(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        with self.answering:
            return self._application(environ, start_response)


class _Notices:
    """What was said to the operator; a family of forked processes says a warning once."""

    def __init__(self) -> None:
        self._flags = mmap.mmap(-1, 2)  # forked children share it

    def say_once(self, number: int, text: str) -> None:
        """Warn, unless a process of this family has done so."""
        if not self._flags[number]:
            self._flags[number] = 1
            self.say(logging.WARNING, text)

    def say(self, level: int, text: str) -> None:
        """Write to the log; or, if its locks are those of green threads now, warnings to stderr.

        A thread of the system that waits for such a lock, or releases it, may block the service.
        """
        if threading.Lock is Lock:
            LOG.log(level, "%s", text)
        elif level >= logging.WARNING:
            with contextlib.suppress(OSError):
                write(_STDERR, f"traced_image: {text}\n".encode())


_exporters: weakref.WeakSet[EnvironmentExporter] = weakref.WeakSet()
_held: list[threading.Lock] = []


def _before_fork() -> None:
    # An answer holds locks of the metrics, which the child would find held for ever.
    locks = [each.answering for each in list(_exporters)]
    _held.extend(lock for lock in locks if lock.acquire(timeout=_FORK_SECONDS))


def _after_fork_in_parent() -> None:
    while _held:
        _held.pop().release()


def _after_fork_in_child() -> None:
    _held.clear()
    for each in list(_exporters):
        each.after_fork()


# After the hooks of `_forks`, which this package imports first: so before a fork these come first,
# and in the child last, when all other objects have been reset.
os.register_at_fork(
    before=_before_fork,
    after_in_parent=_after_fork_in_parent,
    after_in_child=_after_fork_in_child,
)


def start_from_environment() -> None:
    """Start the exporter if ``TRACED_IMAGE_EXPORTER`` says where; never raise.

    ``opentelemetry-instrument`` calls it in each process that it instruments. Other programs may
    call it themselves, before they fork, or in each child if the system forks without Python's
    knowledge. A second call in a process does nothing.
    """
    text, pid = os.environ.get(EXPORTER), os.getpid()
    if not text or any(each.pid == pid for each in list(_exporters)):
        return
    try:
        is_helper = os.environ.setdefault(_FIRST, str(pid)) != str(pid)
        place, application = read_place(text), wsgi_app()
        may_lack = is_helper or multiprocess.is_on()
        EnvironmentExporter(application, place, may_lack=may_lack).start()
    except Exception as error:  # noqa: BLE001 a service must start, whatever is wrong here
        LOG.warning("The exporter does not start: %s", error)
