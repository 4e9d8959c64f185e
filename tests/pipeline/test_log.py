"""The log: what is written of failed attempts and of calls that gave up."""

import contextlib
import logging
import threading
from collections import defaultdict

import pytest
from support import ManualClock, Script, operation_of, refused, rig, servers, together, unavailable

from traced_image import (
    Config,
    GlanceClientWrapper,
    GlanceConnectionFailed,
    NotFound,
    RetryPolicy,
    Server,
)
from traced_image.errors import (
    CommunicationError,
    DeadlineExceeded,
    ProtocolError,
    ServerError,
    TokenUnavailable,
)
from traced_image.pipeline.attempts.retry_loop import DEADLINE_EXCEEDED
from traced_image.pipeline.attempts.seams import Answer, Call
from traced_image.pipeline.context import SERVICE
from traced_image.pipeline.log import log_stream_failure
from traced_image.telemetry import catalogue

UNSAFE = operation_of("images.create", repeatable=False)
UPLOAD = operation_of("images.upload", transfer=True, repeatable=False, rewind=lambda: False)
NO_RETRY = RetryPolicy(budget_share=0.0, budget_floor=0.0)
REFUSED = "Reason: connection_refused."
STANDARD = set(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


def warnings_of(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def test_each_failed_attempt_has_the_seeds_line(caplog):
    with pytest.raises(GlanceConnectionFailed):
        rig(Script(refused()), num_retries=2).call()

    assert [
        f"Error contacting glance server '{host}:9292' for 'get', {extra}. {REFUSED}"
        for host, extra in (
            ("glance-1", "retrying"),
            ("glance-2", "retrying"),
            ("glance-3", "done trying"),
        )
    ] == warnings_of(caplog)


def test_a_call_that_gave_up_has_one_error(caplog):
    with pytest.raises(GlanceConnectionFailed):
        rig(Script(refused()), num_retries=2).call()

    line = (
        "Gave up 'get' after 3 attempts, connection_refused: Connection to glance host"
        " http://glance-3:9292 failed: glance: connection refused"
    )
    assert [line] == [
        record.getMessage() for record in caplog.records if record.levelno == logging.ERROR
    ]


def test_a_call_that_recovered_has_none(caplog):
    rig(Script(refused(), "answer")).call()

    assert [logging.WARNING] == [record.levelno for record in caplog.records]


def test_an_ipv6_server_is_written_in_brackets(caplog):
    three = rig(Script(refused()), num_retries=0)
    three.cycle._hosts[0].server = Server.parse("[fd00::3]:9292")

    with pytest.raises(GlanceConnectionFailed):
        three.call()

    assert [
        f"Error contacting glance server '[fd00::3]:9292' for 'get', done trying. {REFUSED}"
    ] == warnings_of(caplog)


@pytest.mark.parametrize(
    ("loop", "operation", "reason"),
    [
        (lambda: rig(Script(unavailable())), UNSAFE, "503"),
        (lambda: rig(Script(refused()), policy=NO_RETRY), None, "budget_exhausted"),
        (lambda: rig(Script(refused())), UPLOAD, "connection_refused"),
        (
            lambda: rig(Script(refused()), 1, policy=RetryPolicy.nova_2013(), deadline=0.5),
            None,
            "deadline_exceeded",
        ),
    ],
    ids=["unsafe", "budget", "rewind", "deadline"],
)
def test_whatever_keeps_a_call_from_going_on_it_is_done_trying(loop, operation, reason, caplog):
    with pytest.raises(GlanceConnectionFailed):
        loop().call(operation)

    attempt, call = caplog.records
    assert ("done trying", reason) == (attempt.args["extra"], call.error_type)


def test_what_the_caller_did_wrong_has_no_line(caplog):
    with pytest.raises(NotFound):
        rig(Script(NotFound("glance: HTTP 404"))).call()

    assert [] == caplog.messages


def test_a_server_that_fails_in_a_way_that_is_not_retried_has_its_line(caplog):
    with pytest.raises(ServerError):
        rig(Script(ServerError("glance: HTTP 500"))).call()

    assert [
        "Error contacting glance server 'glance-1:9292' for 'get', done trying. Reason: 500."
    ] == caplog.messages


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("operation", "images.get"),
        ("server_address", "glance-1"),
        ("server_port", 9292),
        ("error_type", "503"),
        ("request_id", "req-1"),
        ("attempt", 1),
        ("attempts_max", 4),
        ("retry_delay", 0.0),
        ("trace_id", None),
        ("span_id", None),
    ],
)
def test_a_failed_attempts_line_has_fields(field, value, caplog):
    rig(Script(unavailable(), "answer")).call()

    assert value == getattr(caplog.records[0], field)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("operation", "images.get"),
        ("server_address", "glance-2"),
        ("server_port", 9292),
        ("error_type", "503"),
        ("attempts", 2),
    ],
)
def test_the_line_of_a_call_that_gave_up_has_fields(field, value, caplog):
    with pytest.raises(GlanceConnectionFailed):
        rig(Script(unavailable()), num_retries=1).call()

    assert value == getattr(caplog.records[-1], field)


def test_the_fields_are_those_of_the_catalogue(caplog):
    with pytest.raises(GlanceConnectionFailed):
        rig(Script(refused()), num_retries=1).call()

    found = set().union(*(vars(record) for record in caplog.records))
    assert set(catalogue.LOG_FIELDS) == found - STANDARD


def test_no_line_has_a_traceback(caplog):
    with pytest.raises(GlanceConnectionFailed):
        rig(Script(refused())).call()

    assert {None} == {record.exc_info for record in caplog.records}


@pytest.mark.parametrize(("retrying", "extra"), [(True, "retrying"), (False, "done trying")])
def test_a_stream_that_broke_has_the_seeds_line(retrying, extra, caplog):
    log_stream_failure(Server.parse("glance-1"), ProtocolError("cut"), retrying=retrying)

    line = f"Error contacting glance server 'glance-1:9292' for 'data', {extra}."
    assert [f"{line} Reason: protocol_error."] == caplog.messages


def test_the_line_is_written_before_the_wait():
    time = ManualClock()
    seen = []

    class Noting(logging.Handler):
        def emit(self, record):
            seen.append(len(time.slept))

    logger, handler = logging.getLogger("traced_image.pipeline.log"), Noting()
    logger.addHandler(handler)
    try:
        rig(Script(refused(), "answer"), time=time, policy=RetryPolicy.nova_2013()).call()
    finally:
        logger.removeHandler(handler)

    assert [0] == seen


def test_a_handler_that_raises_does_not_end_the_call():
    class Raising(logging.Handler):
        def emit(self, record):
            raise RuntimeError

    logger, handler = logging.getLogger("traced_image.pipeline.log"), Raising()
    logger.addHandler(handler)
    try:
        assert "answer" == rig(Script(refused(), "answer")).call()
    finally:
        logger.removeHandler(handler)


def test_under_threads_each_line_names_the_server_that_failed(caplog):
    failed = defaultdict(list)
    dead = servers(6)[:4]

    def send(attempt):
        if attempt.server in dead:
            failed[threading.get_ident()].append(attempt.server.netloc)
            raise refused()
        return Answer("answer", 200, None)

    shared = rig(send, 6, policy=RetryPolicy(budget_share=None, cooldown_base=0.0))

    def work(_number):
        for _ in range(50):
            with contextlib.suppress(GlanceConnectionFailed):
                shared.loop(Call(operation_of(), SERVICE))

    together(8, work)

    logged = defaultdict(list)
    for record in caplog.records:
        if record.levelno == logging.WARNING:
            logged[record.thread].append(f"{record.args['host']}:{record.args['port']}")
    assert failed == logged
    assert {server.netloc for server in dead} == set().union(*logged.values())


class NoTokens:
    """A source of tokens whose Keystone is away."""

    def get_token(self):
        raise ConnectionRefusedError("Connection refused")

    def invalidate(self):
        return False


@pytest.fixture
def no_token(caplog):
    """The record of a call for which Keystone gave no token."""
    config = Config(servers="glance-1", auth=NoTokens())
    with GlanceClientWrapper(config) as client, pytest.raises(TokenUnavailable):
        client.call(None, 2, "get", "00000000-0000-0000-0000-000000000000")
    (record,) = caplog.records
    return record


def test_a_call_without_a_token_has_an_error_that_names_keystone(no_token):
    assert (
        "Got no token for 'get', connection_refused: Keystone gave no token"
        " (ConnectionRefusedError): check auth_url and the credentials, and that Keystone answers"
    ) == no_token.getMessage()


def test_the_line_of_a_call_without_a_token_names_no_server(no_token):
    assert {"operation": "images.get", "error_type": "connection_refused"} == {
        name: value for name, value in vars(no_token).items() if name not in STANDARD
    }


def test_a_handler_that_fails_leaves_the_error_that_there_is_no_token(caplog, monkeypatch):
    def fail(_record):
        raise RuntimeError("the handler is broken")

    monkeypatch.setattr(caplog.handler, "emit", fail)
    config = Config(servers="glance-1", auth=NoTokens())
    with GlanceClientWrapper(config) as client, pytest.raises(TokenUnavailable):
        client.call(None, 2, "get", "00000000-0000-0000-0000-000000000000")


def test_a_server_that_had_too_little_time_is_not_named_by_the_line_of_its_call(caplog):
    """Earlier attempts had used up the deadline."""
    late = CommunicationError("glance-3: the call's deadline passed", reason=DEADLINE_EXCEEDED)
    time = ManualClock()
    script = Script(refused(), refused(), late, time=time, takes=4.0)
    with pytest.raises(DeadlineExceeded):
        rig(script, time=time, deadline=10.0).call()

    assert (None, None) == (caplog.records[-1].server_address, caplog.records[-1].server_port)
