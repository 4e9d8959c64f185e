"""An hour in the life of some servers, told to a journal as telemetry tells it."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from traced_image.exporter.app import make_app
from traced_image.exporter.journal import Journal
from traced_image.exporter.web.handle import ExporterHandle
from traced_image.exporter.web.listening import listen
from traced_image.exporter.web.server import ExporterServer
from traced_image.telemetry import catalogue
from traced_image.telemetry.updates import EndedCall
from traced_image.telemetry.verdicts import decide_verdict

if TYPE_CHECKING:
    from traced_image.exporter.server_report import Probed

HEALTHY = "10.0.0.1", "9292"
FAILING = "10.0.0.2", "9292"
COOLING = "fd00::3", "9292"
RECOVERED = "glance-4.example", "443"


TRACE_URL = "https://traces.example/trace/{trace_id}?from=page"
SAVED_TRACE = "a3ce929d0e0e47364bf92f3577b34da6"
TRACES = "4bf92f3577b34da6a3ce929d0e0e4736", "0af7651916cd43dd8448eb211c80319c"

GET, LIST, DATA = "images.get", "images.list", "images.data"


class TraceId(str):
    """The id of a trace as the page shows it, also if it is none."""

    __slots__ = ()

    def __format__(self, _spec):
        return str(self)


@dataclass(frozen=True)
class SpanOf:
    """The ids of a span in a trace."""

    trace_id: TraceId
    span_id: int = 0


class Told:
    """A journal, what tells it of attempts and calls, and a clock that can be put back.

    Attributes:
        journal: The journal.
        began: When this was made, in seconds since the epoch.
        now: Its time, in seconds since the epoch; None for that of the machine.
        probed: Returns what the probes found; None for no probes.
    """

    def __init__(self) -> None:
        self.began = time.time()
        self.now: float | None = None
        self.journal = Journal(clock=self.time)
        self.probed: Callable[[], Probed] | None = None

    def time(self) -> float:
        """Seconds since the epoch."""
        return time.time() if self.now is None else self.now

    @contextmanager
    def ago(self, minutes: float) -> Iterator[None]:
        """Tell of what was so many minutes before this was made."""
        before, self.now = self.now, self.began - 60 * minutes
        try:
            yield
        finally:
            self.now = before

    def still(self) -> "Told":
        """Stop its clock, so that no minute ends in the middle of a test."""
        self.now = self.began
        return self

    def attempts(self, server, times=1, reason="", seconds=0.004, operation=GET) -> None:
        """Tell of attempts that ended."""
        labels = operation, *server, decide_verdict(reason), reason
        record = self.journal.bind(catalogue.ATTEMPT_DURATION, labels)
        for _ in range(times):
            record(seconds, None)
        moment = catalogue.LAST_FAILURE if reason else catalogue.LAST_SUCCESS
        self.journal.bind(moment, server)(self.time(), None)

    def calls(
        self, outcome, times=1, reason="", trace_id=None, operation=GET, seconds=0.1, failed=()
    ) -> None:
        """Tell of calls that ended; `failed` is each server that failed them, why and the time."""
        record = self.journal.bind(catalogue.CALL_DURATION, (operation, outcome, reason))
        exemplar = None if trace_id is None else SpanOf(TraceId(trace_id))
        ended = EndedCall(
            operation, outcome, reason, seconds, 1 + len(failed), tuple(failed), exemplar
        )
        for _ in range(times):
            record(seconds, exemplar)
            if failed or outcome in catalogue.FAILED_OUTCOMES:
                self.journal.keep_call(ended)

    def keystone(self, times=1, reason="connection_refused") -> None:
        """Tell of calls for which Keystone gave no token."""
        record = self.journal.bind(catalogue.TOKEN_FAILURES, (reason,))
        for _ in range(times):
            record(1.0, None)

    def state(self, server, state="healthy", failures=0, since=None) -> None:
        """Tell of what the cycle thinks of a server, which fails since so many minutes ago."""
        for one in catalogue.STATES:
            labels = (*server, one)
            self.journal.bind(catalogue.SERVER_STATE, labels)(float(one == state), None)
        self.journal.bind(catalogue.CONSECUTIVE_FAILURES, server)(failures, None)
        began = 0.0 if since is None else self.began - 60 * since
        self.journal.bind(catalogue.FAILING_SINCE, server)(began, None)

    def saved(self, times, *failed, trace_id=None, operation=GET, seconds=1.01) -> None:
        """Tell of calls that retries saved; `failed` is each server, why, and the time."""
        self.calls("success_after_retry", times, "", trace_id, operation, seconds, failed)


def scene() -> Told:
    """A healthy server, one that fails, one that cools down and one that is healthy again."""
    told = Told()
    for minutes in reversed(range(60)):
        with told.ago(minutes):
            _minute(told, minutes)
    told.state(HEALTHY)
    told.state(FAILING, "trial", failures=22, since=21)
    told.state(COOLING, "cooling", failures=1, since=3)
    told.journal.keep_trial(COOLING, told.began + 45)
    told.state(RECOVERED)
    return told


def _minute(told: Told, minutes: int) -> None:
    told.attempts(HEALTHY, 5 + minutes % 3, seconds=0.003)
    told.attempts(HEALTHY, 1, seconds=0.09, operation=LIST)
    if minutes > 21:
        told.attempts(FAILING, 6)
    elif minutes % 2:
        told.attempts(FAILING, 2, "connection_refused")
        told.saved(2, (FAILING, "connection_refused", 0.25), seconds=0.26)
        told.saved(minutes == 1, (FAILING, "connection_refused", 0.25), trace_id=SAVED_TRACE)
    if minutes % 7 == 3:
        told.attempts(COOLING, 2, seconds=0.3)
    if minutes in (45, 17, 3):
        told.attempts(COOLING, 1, "read_timeout")
        told.saved(1, (COOLING, "read_timeout", 1.0))
    if 40 <= minutes < 47:
        told.attempts(RECOVERED, 4, "503")
        told.attempts(RECOVERED, 4 if minutes < 43 else 0)
        told.saved(4, (RECOVERED, "503", 0.02), seconds=0.03)
        failed = (RECOVERED, "503", 0.4), (COOLING, "503", 2.0)
        told.calls("exhausted", minutes == 44, "503", TRACES[0], LIST, 2.4, failed)
    else:
        told.attempts(RECOVERED, 6, seconds=0.02)
    told.calls("success_first_try", 15)
    told.calls("non_retryable", minutes == 12, "500", TRACES[1], GET, 0.012)
    told.calls("refused", minutes == 5, "409", None, "images.update", 0.034)
    told.calls("cancelled", minutes == 4, "_OTHER", None, "images.upload", 0.2)


def many(count: int) -> Told:
    """A whole hour of so many servers, of which every tenth fails."""
    told = Told()
    servers = [(f"10.1.{number // 100}.{number % 100}", "9292") for number in range(count)]
    for minutes in reversed(range(60)):
        with told.ago(minutes):
            for number, server in enumerate(servers):
                bad = number % 10 == 0 and minutes < 20
                told.attempts(server, 2, "connect_timeout" if bad else "")
    for number, server in enumerate(servers):
        bad = number % 10 == 0
        told.state(server, *(("cooling", 40, 19) if bad else ()))
    told.saved(count, (servers[0], "connect_timeout", 1.0))
    return told


def failing(minutes: int = 21) -> Told:
    """One server of two that has refused connections for so many minutes; retries hide it."""
    told = Told()
    with told.ago(minutes + 5):
        told.attempts(FAILING, 4)
        told.attempts(HEALTHY, 4)
        told.calls("success_first_try", 8)
    for passed in (minutes, minutes // 2):
        with told.ago(passed):
            told.attempts(FAILING, 3, "connection_refused")
            told.saved(3, (FAILING, "connection_refused", 1.0))
    told.state(HEALTHY)
    told.state(FAILING, "cooling", failures=6, since=minutes)
    return told


def application(told: Told, trace_url: str | None = TRACE_URL) -> ASGIApp:
    """The exporter's application over a journal."""
    return make_app(
        CollectorRegistry(),
        told.journal,
        trace_url=trace_url,
        probed=told.probed,
    )


@dataclass
class Interrupted:
    """The exporter's application, with another answer for the page's data while there is one.

    Attributes:
        inner: The application.
        answer: The status and the body that ``/servers`` answers; None for the exporter's own.
    """

    inner: ASGIApp
    answer: tuple[int, str] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.answer is not None and scope["path"] == "/servers":
            status, body = self.answer
            await Response(body, status, media_type="application/json")(scope, receive, send)
        else:
            await self.inner(scope, receive, send)


@contextmanager
def served(what: Told | ASGIApp, port: int = 0) -> Iterator[ExporterHandle]:
    """Serve a journal, or an application, on loopback."""
    asgi = application(what) if isinstance(what, Told) else what
    with ExporterServer(asgi, listen("127.0.0.1", port)).run_in_thread() as handle:
        yield handle
