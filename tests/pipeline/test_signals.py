"""What a signal handler raises during a call reaches the caller: no server is accused of it."""

import logging
import signal

import pytest
from loopback import Loopback, conversation, get, reply

from traced_image import RequestContext
from traced_image._signals import raise_if_from_signal_handler
from traced_image.pipeline.context import SERVICE

NOBODY = "8f3c1a52-0000-4000-8000-00000000ffff"


class LateError(TimeoutError):
    """A time limit that looks like a failure of the network."""


def raise_late(_signum, _frame):
    raise LateError


@pytest.fixture(autouse=True)
def _limit():
    before = signal.signal(signal.SIGALRM, raise_late)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def after(data):
    """A server that sends some bytes and then nothing."""

    def say(sock):
        sock.sendall(data)
        while sock.recv(4096):
            pass

    return conversation(say)


SILENT = after(b"")
IN_ERROR_PAGE = after(reply(503, b"", "Content-Length: 9"))
IN_DATA = after(reply(200, b"123", "Content-Length: 9"))


@pytest.mark.parametrize(
    "server", [SILENT, IN_ERROR_PAGE, IN_DATA], ids=["silent", "error", "data"]
)
def test_a_time_limit_of_the_caller_is_no_failure_of_a_server(opened, server):
    with Loopback(server) as running:
        service = opened.service(running, num_retries=3)
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(LateError):
            service.show(None, NOBODY)


class Interrupted:
    """A source of tokens that a signal interrupts."""

    def get_token(self):
        signal.raise_signal(signal.SIGALRM)

    def invalidate(self):
        return False


@pytest.mark.parametrize(
    ("option", "context"),
    [("auth", SERVICE), ("service_auth", RequestContext(auth_token="caller"))],
)
def test_a_time_limit_is_no_failure_of_keystone(opened, option, context):
    with pytest.raises(LateError):
        opened.sender("http://127.0.0.1:1", **{option: Interrupted()})(get(), context)


def test_a_time_limit_while_a_failure_is_logged_ends_the_call(opened):
    class Handler(logging.Handler):
        def handle(self, _record):
            signal.raise_signal(signal.SIGALRM)

    handler = Handler()
    logger = logging.getLogger("traced_image")
    logger.addHandler(handler)
    try:
        with Loopback(conversation(reply(503))) as running, pytest.raises(LateError):
            opened.service(running, num_retries=3).show(None, NOBODY)
    finally:
        logger.removeHandler(handler)


def test_the_cause_of_an_exception_is_looked_at():
    try:
        signal.raise_signal(signal.SIGALRM)
    except LateError as error:
        late = error
    wrapped = ConnectionError()
    wrapped.__cause__ = late
    with pytest.raises(LateError):
        raise_if_from_signal_handler(wrapped)


def test_what_a_caller_is_handling_already_is_not_looked_at():
    try:
        signal.raise_signal(signal.SIGALRM)
    except LateError as error:
        late = error
    unrelated = ConnectionError()
    unrelated.__context__ = late
    assert raise_if_from_signal_handler(unrelated) is None
