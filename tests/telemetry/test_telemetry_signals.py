"""What a signal handler raises reaches the caller, wherever telemetry or the pipeline works."""

import contextlib
import contextvars
import functools
import gc
import itertools
import logging
import signal
import sys
import time
import weakref
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.trace import INVALID_SPAN, get_current_span

from traced_image import Telemetry
from traced_image._signals import is_from_signal_handler
from traced_image.errors import InvalidQuery, StreamConsumed
from traced_image.telemetry import current_call, make_recorder
from traced_image.telemetry.telemetry_errors import TelemetryErrors

ERRORS = "traced_image_telemetry_errors_total"
ACTIVE = "glance_client_active_attempts"


class TimeLimitError(Exception):
    """A task queue's time limit, which is no BaseException."""


def limit(_signum, _frame):
    raise TimeLimitError


def limit_without_arguments(*arguments):
    del arguments
    raise TimeLimitError


class Limit:
    """Handlers that are no plain functions."""

    def __call__(self, _signum, _frame):
        raise TimeLimitError

    def method(self, *_arguments):
        raise TimeLimitError


def limit_and_restore(signum, _frame):
    signal.signal(signum, signal.SIG_DFL)
    raise TimeLimitError


HANDLERS = [
    limit,
    limit_without_arguments,
    Limit(),
    Limit().method,
    functools.partial(limit),
    limit_and_restore,
]


@pytest.fixture
def handle():
    """Set the handler of SIGALRM for a test."""
    before = signal.getsignal(signal.SIGALRM)
    yield functools.partial(signal.signal, signal.SIGALRM)
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def interrupt():
    """Do what a signal in the middle of it interrupts."""
    signal.raise_signal(signal.SIGALRM)


@pytest.mark.parametrize("handler", HANDLERS)
def test_an_exception_of_a_signal_handler_is_known(handle, handler):
    handle(handler)
    with pytest.raises(TimeLimitError) as caught:
        interrupt()
    assert is_from_signal_handler(caught.value)


def fail():
    raise TimeLimitError


def fail_with(frame):
    raise TimeLimitError(frame)


@pytest.mark.parametrize(
    "work", [fail, lambda: fail_with(1), lambda: fail_with(sys._getframe().f_back)]
)
def test_another_exception_is_none_of_a_signal_handler(handle, work):
    handle(limit)
    with pytest.raises(TimeLimitError) as caught:
        work()
    assert not is_from_signal_handler(caught.value)


def test_an_exception_that_was_never_raised_is_none_of_a_signal_handler():
    assert not is_from_signal_handler(TimeLimitError())


def test_a_guard_lets_an_exception_of_a_signal_handler_through(handle):
    handle(limit)
    counted = []
    with pytest.raises(TimeLimitError), TelemetryErrors(counted.append).guard("spans"):
        interrupt()
    assert [] == counted


@pytest.mark.parametrize("in_log", [True, False])
def test_the_count_and_the_log_of_a_failure_let_it_through(handle, in_log, caplog):
    class Interrupted(logging.Handler):
        def handle(self, _record):
            interrupt()

    def count(_kind):
        interrupt()

    handle(limit)
    logger = logging.getLogger("traced_image.telemetry.telemetry_errors")
    handler = Interrupted()
    errors = TelemetryErrors([].append if in_log else count)
    if in_log:
        logger.addHandler(handler)
    try:
        with pytest.raises(TimeLimitError):
            errors.note("spans", ValueError())
    finally:
        logger.removeHandler(handler)


class InterruptedProcessor(SpanProcessor):
    """Interrupts the start or the end of the spans with one part of a name."""

    def __init__(self, method, part):
        self.part = part
        setattr(self, method, self._interrupt)

    def _interrupt(self, span, *_, **_context):
        if self.part in f"{span.name}.":
            interrupt()


@pytest.fixture
def interrupted_service(service, registry):
    def build(processor, *, wire_spans=True):
        provider = TracerProvider()
        provider.add_span_processor(processor)
        telemetry = Telemetry(tracer_provider=provider, registry=registry, wire_spans=wire_spans)
        return service(telemetry=telemetry)

    return build


@pytest.mark.parametrize("method", ["on_start", "on_end"])
@pytest.mark.parametrize("part", ["images.get.", "attempt.", "GET"])
def test_a_time_limit_ends_a_call_and_leaves_nothing_behind(
    interrupted_service, image_id, handle, counts, method, part
):
    handle(limit)
    shown = interrupted_service(InterruptedProcessor(method, part))
    with pytest.raises(TimeLimitError):
        shown.show(None, image_id)
    found = counts.of(ERRORS, "kind"), counts.of(ACTIVE, "server_port")
    assert ({}, {}, INVALID_SPAN, None) == (*found, get_current_span(), current_call())


class Stop(BaseException):
    """What a signal handler raises."""


def is_stopped_at(event, work):
    """Do work; raise at one moment at which Python runs signal handlers, if there are so many."""
    left = iter(range(event, -1, -1))
    stopped = []

    def profile(frame, kind, _arg):
        place, code = Path(frame.f_code.co_filename), frame.f_code
        # Python itself swallows what is raised in a destructor.
        ours = "telemetry" in place.parts and "tests" not in place.parts
        moment = ours and kind in ("call", "c_return") and code.co_name != "__del__"
        if moment and next(left, None) == 0:
            sys.setprofile(None)
            stopped.append(event)
            raise Stop

    try:
        sys.setprofile(profile)
        work()
    except Stop:
        pass
    finally:
        sys.setprofile(None)
    return bool(stopped)


def test_wherever_telemetry_is_interrupted_it_leaves_no_call_and_no_span_behind(
    service, registry, image_id
):
    telemetry = Telemetry(tracer_provider=TracerProvider(), registry=registry)
    shown = service(telemetry=telemetry)
    left = set()
    for event in itertools.count():
        if not is_stopped_at(event, functools.partial(shown.show, None, image_id)):
            break
        left.add((get_current_span(), current_call()))
    assert {(INVALID_SPAN, None)} == left


@pytest.mark.parametrize("method", ["call", "attempt_ended"])
def test_a_time_limit_while_a_metric_is_counted_ends_the_spans(handle, trace, registry, method):
    handle(limit)
    telemetry = Telemetry(tracer_provider=trace.provider, registry=registry)
    recorder = make_recorder(telemetry)
    setattr(recorder.metrics, method, lambda *_: interrupt())
    with pytest.raises(TimeLimitError), recorder.call("images.get") as call:
        call.attempt("http://glance-1:9292").end()
    assert (set(), INVALID_SPAN) == (trace.open, get_current_span())


SWALLOWING = ("detach", "__del__", "__repr__")


def is_swallowed_by_others(frame):
    """Whether Python itself or OpenTelemetry ignores what is raised in a frame.

    Python ignores it while it frees an object; OpenTelemetry's `detach` logs it.
    """
    while frame is not None:
        code = frame.f_code
        if code.co_filename == weakref.__file__ or code.co_name in SWALLOWING:
            return True
        frame = frame.f_back
    return False


@pytest.fixture
def no_collection():
    """Let no garbage be freed: Python ignores what a signal raises while it closes a socket."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.usefixtures("no_collection")
def test_no_time_limit_is_lost_wherever_it_strikes(service, image_id, handle, registry):
    raised, caught = [], []

    def strike(_signum, frame):
        if not is_swallowed_by_others(frame):
            raised.append(None)
            raise TimeLimitError

    shown = service(telemetry=Telemetry(tracer_provider=TracerProvider(), registry=registry))
    started = time.perf_counter()
    for _ in range(10):
        shown.show(None, image_id)
    length = (time.perf_counter() - started) / 10
    handle(strike)
    for number in range(1, 301):
        try:
            signal.setitimer(signal.ITIMER_REAL, length * number / 300)
            try:
                # In a context of its own: the signal may strike before a span that is current can
                # be told to its call.
                contextvars.copy_context().run(shown.show, None, image_id)
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        except TimeLimitError:
            caught.append(None)
    assert (len(raised), True) == (len(caught), len(raised) > 50)


@pytest.fixture
def recorder(registry):
    telemetry = Telemetry(tracer_provider=TracerProvider(), registry=registry, meter_provider=False)
    return make_recorder(telemetry)


class StruckError(BaseException):
    """Raised between two lines."""


def strike_at(number, work):
    """Do `work`, and raise between two lines of telemetry, before the line of that number.

    Return whether there was such a line.
    """
    seen = 0

    def trace(frame, event, _argument):
        nonlocal seen
        if "/telemetry/" not in frame.f_code.co_filename or frame.f_code.co_name == "__del__":
            return None
        if event == "line":
            seen += 1
            if seen == number:
                raise StruckError
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    except StruckError:
        return True
    finally:
        sys.settrace(before)
    return False


def test_no_attempt_stays_active_wherever_its_caller_is_interrupted(recorder, counts):
    left, number = [], 1

    def attempt():
        with recorder.call("images.get") as call, call.attempt("http://glance-1:9292"):
            time.sleep(0)  # no `pass`: CPython calls no `__exit__` if that is interrupted

    while strike_at(number, lambda: contextvars.copy_context().run(attempt)):
        if counts.of(ACTIVE, "server_port"):
            left.append(number)
        number += 1
    assert ([], True) == (left, number > 50)


@pytest.mark.parametrize("end", [KeyboardInterrupt, GeneratorExit, InvalidQuery, StreamConsumed])
def test_an_attempt_that_its_caller_ends_is_neither_active_nor_counted(recorder, counts, end):
    with contextlib.suppress(end), recorder.call("images.get") as call:  # noqa: SIM117 the order
        with call.attempt("http://glance-1:9292"):
            raise end
    attempts = counts.of("glance_client_attempt_duration_seconds_count")
    assert ({}, {}) == (counts.of(ACTIVE, "server_port"), attempts)
