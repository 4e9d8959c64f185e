"""The attempt loop: which failures are tried again, where, and how often."""

import contextlib
import itertools
import random
import sys
import threading
from pathlib import Path

import pytest
from support import (
    ManualClock,
    Script,
    operation_of,
    refused,
    rig,
    servers,
    together,
    unavailable,
)

from traced_image import RetryPolicy
from traced_image.errors import (
    AttemptError,
    BadGateway,
    ChecksumMismatch,
    CommunicationError,
    Conflict,
    FailedAttempt,
    Forbidden,
    GatewayTimeout,
    GlanceConnectionFailed,
    Invalid,
    InvalidEndpoint,
    InvalidMetadata,
    NotFound,
    NotImplementedByServer,
    OverLimit,
    ProtocolError,
    Reason,
    RetryBudgetExhausted,
    ServerError,
    ServiceUnavailable,
    TLSError,
    TokenUnavailable,
    TooManyRequests,
    TracedImageError,
    Unauthorized,
    UnsafeToRepeat,
    UploadNotRewindable,
)
from traced_image.pipeline.attempts.seams import Answer, layered

UNSAFE = operation_of("images.create", repeatable=False)

RETRIED = {
    "refused": refused(),
    "no answer": CommunicationError("glance: no answer", reason=Reason("read_timeout")),
    "TLS": TLSError("glance: TLS failed", reached=False),
    "no such name": InvalidEndpoint("glance: does not resolve", reached=False),
    "no JSON": ProtocolError("glance: not JSON"),
    "429": TooManyRequests("glance: HTTP 429"),
    "502": BadGateway("glance: HTTP 502"),
    "503": ServiceUnavailable("glance: HTTP 503"),
    "504": GatewayTimeout("glance: HTTP 504"),
}

NOT_RETRIED = {
    "400": Invalid("glance: HTTP 400"),
    "401": Unauthorized("glance: HTTP 401"),
    "403": Forbidden("glance: HTTP 403"),
    "404": NotFound("glance: HTTP 404"),
    "409": Conflict("glance: HTTP 409"),
    "413": OverLimit("glance: HTTP 413"),
    "418": Invalid("glance: HTTP 418", status=418),
    "500": ServerError("glance: HTTP 500"),
    "501": NotImplementedByServer("glance: HTTP 501"),
    "507": ServerError("glance: HTTP 507", status=507),
    "checksum": ChecksumMismatch("glance: not the data"),
    "unknown": AttemptError("glance: something else"),
}

SEED_RETRIES = ("refused", "no answer", "TLS", "no such name", "503")


# --- how often -----------------------------------------------------------------------------------


@pytest.mark.parametrize("num_retries", [0, 1, 3, 10])
def test_there_are_one_and_num_retries_attempts(num_retries):
    script = Script(refused())

    with pytest.raises(GlanceConnectionFailed):
        rig(script, num_retries=num_retries).call()

    assert 1 + num_retries == len(script.attempts)


def test_the_first_answer_ends_the_call():
    script = Script(refused(), "answer", refused())

    assert "answer" == rig(script).call()
    assert 2 == len(script.attempts)


def test_the_last_attempt_may_be_the_one_that_succeeds():
    assert "answer" == rig(Script(refused(), refused(), refused(), "answer")).call()


def test_attempts_are_numbered():
    script = Script(refused(), refused(), "answer")

    rig(script).call()

    assert [(1, 4), (2, 4), (3, 4)] == [(each.number, each.maximum) for each in script.attempts]


def test_each_attempt_goes_to_the_next_server():
    script = Script(refused(), refused(), "answer")

    rig(script).call()

    assert list(servers(3)) == script.servers


def test_other_calls_do_not_lead_one_back_to_the_server_that_failed_it():
    sent = []

    def send(attempt):
        sent.append(attempt.server)
        if len(sent) > 1:
            return Answer("answer", 200, None)
        two.call()
        raise refused()

    two = rig(send, 2, policy=RetryPolicy.nova_2013())

    two.call()

    first, second = servers(2)
    assert [first, second, second] == sent


def test_thousands_of_retries_are_no_problem():
    policy = RetryPolicy(budget_share=None)
    script = Script(refused())

    with pytest.raises(GlanceConnectionFailed):
        rig(script, 1, policy=policy, num_retries=2000, deadline=None).call()

    assert 2001 == len(script.attempts)


def test_with_one_healthy_server_of_many_enough_retries_find_it():
    alone = servers(200)[-1]
    sent = []

    def send(attempt):
        sent.append(attempt.server)
        if attempt.server != alone:
            raise refused()
        return Answer("answer", 200, None)

    rig(send, 200, num_retries=199, policy=RetryPolicy(budget_share=None)).call()

    assert list(servers(200)) == sent


# --- which failures ------------------------------------------------------------------------------


@pytest.mark.parametrize("error", RETRIED.values(), ids=RETRIED.keys())
def test_what_another_server_may_mend_is_retried(error):
    assert "answer" == rig(Script(error, "answer")).call()


@pytest.mark.parametrize("error", NOT_RETRIED.values(), ids=NOT_RETRIED.keys())
def test_what_no_server_will_mend_is_raised_at_once(error):
    script = Script(error, "answer")

    with pytest.raises(AttemptError) as raised:
        rig(script).call()

    assert error is raised.value
    assert 1 == len(script.attempts)


@pytest.mark.parametrize("name", RETRIED)
def test_the_seed_retries_its_three_kinds_of_failure_alone(name):
    script = Script(RETRIED[name], "answer")
    attempts = 2 if name in SEED_RETRIES else 1
    seed = rig(script, policy=RetryPolicy.nova_2013())

    if attempts == 1:
        with pytest.raises(type(RETRIED[name])):
            seed.call()
    else:
        seed.call()

    assert attempts == len(script.attempts)


@pytest.mark.parametrize("name", NOT_RETRIED)
def test_what_is_not_retried_is_not_retried_by_the_seed_either(name):
    script = Script(NOT_RETRIED[name], "answer")

    with pytest.raises(type(NOT_RETRIED[name])):
        rig(script, policy=RetryPolicy.nova_2013()).call()

    assert 1 == len(script.attempts)


def test_a_policy_may_retry_other_statuses():
    policy = RetryPolicy(statuses=frozenset({500}))

    assert "answer" == rig(Script(NOT_RETRIED["500"], "answer"), policy=policy).call()


def test_a_policy_may_retry_no_status():
    policy = RetryPolicy(statuses=frozenset())

    with pytest.raises(ServiceUnavailable):
        rig(Script(unavailable(), "answer"), policy=policy).call()


def test_what_the_callers_own_data_raises_is_raised_as_it_is():
    error = ValueError("read of closed file")
    script = Script(error, "answer")

    with pytest.raises(ValueError, match="closed file") as raised:
        rig(script).call()

    assert error is raised.value
    assert 1 == len(script.attempts)


# --- what it ends with ---------------------------------------------------------------------------


def test_a_call_that_gave_up_names_the_last_server():
    with pytest.raises(GlanceConnectionFailed) as raised:
        rig(Script(refused())).call()

    assert "http://glance-1:9292" == raised.value.server


def test_a_call_that_gave_up_has_the_reason_of_the_last_failure():
    with pytest.raises(GlanceConnectionFailed) as raised:
        rig(Script(refused(), refused(), refused(), unavailable())).call()

    assert "503" == raised.value.reason


def test_a_call_that_gave_up_says_so_in_the_seeds_words():
    with pytest.raises(GlanceConnectionFailed) as raised:
        rig(Script(refused()), 1).call()

    assert (
        "Connection to glance host http://glance-1:9292 failed: glance: connection refused"
        == str(raised.value)
    )


def test_a_call_that_gave_up_has_the_last_failure_as_its_cause():
    last = unavailable()

    with pytest.raises(GlanceConnectionFailed) as raised:
        rig(Script(refused(), last), num_retries=1).call()

    assert last is raised.value.__cause__


# --- the history ---------------------------------------------------------------------------------


def attempts_of(loop, operation=None):
    """The history that the exception of a call carries."""
    with pytest.raises(BaseException) as raised:  # noqa: PT011 - whatever it is
        loop.call(operation)
    return raised.value.attempts


def test_the_history_has_each_failed_attempt():
    time = ManualClock()
    script = Script(refused(), unavailable(), time=time, takes=0.25)

    assert (
        FailedAttempt("http://glance-1:9292", Reason("connection_refused"), 0.25, None),
        FailedAttempt("http://glance-2:9292", Reason("503"), 0.25, "req-1"),
    ) == attempts_of(rig(script, time=time, num_retries=1))


def test_the_waits_between_attempts_are_not_their_duration():
    time = ManualClock()
    script = Script(refused(), time=time, takes=0.25)

    history = attempts_of(rig(script, time=time, policy=RetryPolicy.nova_2013()))

    assert [0.25] * 4 == [attempt.duration for attempt in history]


@pytest.mark.parametrize(
    "error",
    [
        NOT_RETRIED["404"],
        NOT_RETRIED["500"],
        ChecksumMismatch("glance: not the data"),
    ],
    ids=["404", "500", "checksum"],
)
def test_the_history_is_on_what_is_not_retried(error):
    history = attempts_of(rig(Script(refused(), error)))

    assert ["connection_refused", error.reason] == [attempt.reason for attempt in history]


@pytest.mark.parametrize(
    "error",
    [
        InvalidMetadata("data gave str, not bytes"),
        TokenUnavailable("Keystone gave no token"),
        OSError("read error"),
        KeyboardInterrupt(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_the_history_is_on_what_no_server_is_to_blame_for(error):
    history = attempts_of(rig(Script(refused(), error)))

    assert ["connection_refused"] == [attempt.reason for attempt in history]


def test_the_history_of_what_went_wrong_before_any_server_did_is_empty():
    assert () == attempts_of(rig(Script(TokenUnavailable("Keystone gave no token"))))


def test_the_history_is_on_what_was_not_repeated():
    history = attempts_of(rig(Script(refused(), unavailable())), UNSAFE)

    assert ["connection_refused", "503"] == [attempt.reason for attempt in history]


# --- what can't be repeated without harm ---------------------------------------------------------


def test_what_could_do_harm_is_repeated_where_it_did_not_reach_a_server():
    assert "answer" == rig(Script(refused(), "answer")).call(UNSAFE)


@pytest.mark.parametrize("error", [refused(reached=True), unavailable()], ids=["broken", "503"])
def test_what_could_do_harm_is_not_repeated_where_it_may_have_reached_one(error):
    script = Script(error, "answer")

    with pytest.raises(UnsafeToRepeat):
        rig(script).call(UNSAFE)

    assert 1 == len(script.attempts)


def test_who_did_not_repeat_says_that_it_is_time_to_look():
    with pytest.raises(UnsafeToRepeat, match=r"may have carried out 'create' already: check"):
        rig(Script(unavailable())).call(UNSAFE)


def test_on_the_last_attempt_too_it_is_said_that_it_may_have_been_done():
    with pytest.raises(UnsafeToRepeat):
        rig(Script(refused(), unavailable()), num_retries=1).call(UNSAFE)


def test_what_surely_was_not_done_ends_as_any_other_call():
    with pytest.raises(GlanceConnectionFailed) as raised:
        rig(Script(refused())).call(UNSAFE)

    assert GlanceConnectionFailed is type(raised.value)


def test_a_policy_may_repeat_all_the_same():
    policy = RetryPolicy(repeat_unsafe=True)

    assert "answer" == rig(Script(unavailable(), "answer"), policy=policy).call(UNSAFE)


def test_the_seed_repeats_all_the_same():
    script = Script(unavailable(), "answer")

    assert "answer" == rig(script, policy=RetryPolicy.nova_2013()).call(UNSAFE)


def test_what_could_do_harm_is_not_used_to_try_a_server():
    three = rig(Script("answer"))
    three.cycle.record_failure(three.cycle.pick(), Reason("connection_refused"))
    three.time.now += 2.0

    for _ in range(4):
        three.call(UNSAFE)

    assert ["cooling", "healthy", "healthy"] == [each.state for each in three.cycle.health()]


def test_what_does_no_harm_is_used_to_try_a_server():
    script = Script("answer")
    three = rig(script)
    three.cycle.record_failure(three.cycle.pick(), Reason("connection_refused"))
    three.time.now += 2.0

    for _ in range(3):
        three.call()

    assert [False, False, True] == [attempt.trial for attempt in script.attempts]


# --- uploads -------------------------------------------------------------------------------------


class Data:
    """What an upload reads, and how often it was rewound."""

    def __init__(self, *, can=True):
        self.rewound = 0
        self.can = can

    def rewind(self):
        self.rewound += 1
        return self.can

    @property
    def operation(self):
        return operation_of("images.upload", transfer=True, repeatable=False, rewind=self.rewind)


def test_an_upload_is_rewound_before_it_is_repeated():
    data = Data()

    rig(Script(refused(), refused(), "answer")).call(data.operation)

    assert 2 == data.rewound


def test_an_upload_that_cant_be_rewound_is_not_repeated():
    script = Script(refused(), "answer")

    with pytest.raises(UploadNotRewindable, match="pass bytes or a seekable file"):
        rig(script).call(Data(can=False).operation)

    assert 1 == len(script.attempts)


def test_an_upload_that_cant_be_rewound_is_not_repeated_by_the_seed():
    with pytest.raises(UploadNotRewindable):
        rig(Script(unavailable(), "answer"), policy=RetryPolicy.nova_2013()).call(
            Data(can=False).operation
        )


def test_an_upload_that_will_not_be_repeated_is_not_rewound():
    data = Data()

    with pytest.raises(GlanceConnectionFailed):
        rig(Script(refused()), num_retries=0).call(data.operation)

    assert 0 == data.rewound


def test_an_upload_that_cant_be_rewound_just_failed_where_no_attempt_was_left():
    with pytest.raises(GlanceConnectionFailed) as raised:
        rig(Script(refused()), num_retries=0).call(Data(can=False).operation)

    assert GlanceConnectionFailed is type(raised.value)


# --- the budget ----------------------------------------------------------------------------------

NO_RETRY = RetryPolicy(budget_share=0.0, budget_floor=0.0)
ONE_RETRY = RetryPolicy(budget_share=0.0, budget_floor=0.1)


def test_a_retry_that_the_budget_does_not_allow_is_not_made():
    script = Script(refused(), "answer")

    with pytest.raises(RetryBudgetExhausted):
        rig(script, policy=NO_RETRY).call()

    assert 1 == len(script.attempts)


def test_the_refusal_of_the_budget_is_the_reason():
    with pytest.raises(RetryBudgetExhausted) as raised:
        rig(Script(refused()), policy=NO_RETRY).call()

    assert "budget_exhausted" == raised.value.reason


def test_the_refusal_of_the_budget_says_how_to_mend_it():
    with pytest.raises(RetryBudgetExhausted, match=r"or raise RetryPolicy\.budget_share"):
        rig(Script(refused()), policy=NO_RETRY).call()


def test_the_budget_is_there_for_all_calls():
    one = rig(Script(refused(), "answer", refused(), "answer"), policy=ONE_RETRY)
    one.call()

    with pytest.raises(RetryBudgetExhausted):
        one.call()


def test_calls_earn_retries():
    policy = RetryPolicy(budget_share=0.2, budget_floor=0.0)
    one = rig(Script(*["answer"] * 4, refused(), "answer"), policy=policy)
    for _ in range(4):
        one.call()

    assert "answer" == one.call()


def test_a_retry_that_is_not_made_for_want_of_time_costs_nothing():
    time = ManualClock()
    slow = Script(refused(), "answer", refused(), "answer", time=time, takes=2.0)
    one = rig(slow, policy=ONE_RETRY, time=time, deadline=1.0)
    with pytest.raises(GlanceConnectionFailed):
        one.call()

    assert one.fleet.budget.retry()


def test_the_first_attempt_needs_no_budget():
    assert "answer" == rig(Script("answer"), policy=NO_RETRY).call()


# --- what the cycle is told ----------------------------------------------------------------------


def health_after(*outcomes, policy=None):
    """What is known of the first server after a call."""
    one = rig(Script(*outcomes, "answer"), 1, policy=policy)
    with contextlib.suppress(TracedImageError):
        one.call()
    return one.cycle.health()[0]


def test_a_retried_failure_cools_the_server():
    three = rig(Script(refused(), "answer"))
    three.call()

    assert ["cooling", "healthy", "healthy"] == [each.state for each in three.cycle.health()]


@pytest.mark.parametrize("name", ["400", "401", "403", "404", "409", "413"])
def test_a_server_that_refuses_is_well(name):
    assert 0 == health_after(NOT_RETRIED[name]).consecutive_failures


def test_a_server_that_refuses_passes_its_trial():
    one = rig(Script(NOT_RETRIED["404"]), 1)
    one.cycle.record_failure(one.cycle.pick(), Reason("connection_refused"))
    one.time.now += 1.0
    with pytest.raises(NotFound):
        one.call()

    assert "healthy" == one.cycle.health()[0].state


def test_a_call_that_failed_once_goes_to_a_healthy_server_rather_than_try_one():
    three = rig(Script(refused(), "answer"))
    first, second, third = (three.cycle.pick() for _ in range(3))
    three.cycle.record_success(first)
    three.cycle.record_failure(second, Reason("connection_refused"))
    three.cycle.record_success(third)
    three.time.now += 2.0

    three.call()

    assert [first.server, third.server] == three.loop._innermost.servers


@pytest.mark.parametrize("name", ["500", "501", "507", "checksum", "unknown"])
def test_a_failure_that_is_not_retried_counts_but_does_not_cool(name):
    health = health_after(NOT_RETRIED[name])

    assert ("failing", 1) == (health.state, health.consecutive_failures)


def test_what_no_server_is_to_blame_for_tells_nothing_of_it():
    health = health_after(InvalidMetadata("data gave str"))

    assert (0, None, None) == (
        health.consecutive_failures,
        health.last_success,
        health.last_failure,
    )


def test_the_cycle_knows_the_reason():
    three = rig(Script(unavailable(), "answer"))
    three.call()

    assert "503" == three.cycle.health()[0].last_reason


# --- picks are given back ------------------------------------------------------------------------


class Stop(BaseException):
    """What may come at any time, as KeyboardInterrupt may."""


def stopping(*_args, **_kwargs):
    raise Stop


@pytest.mark.parametrize(
    "outcomes",
    [
        ("answer", "answer"),
        (refused(), "answer"),
        (refused(), refused(), refused(), refused()),
        (NOT_RETRIED["404"], "answer"),
        (NOT_RETRIED["500"], "answer"),
        (refused(), ValueError()),
        (refused(), KeyboardInterrupt()),
        (SystemExit(), "answer"),
    ],
)
def test_after_a_call_no_attempt_is_under_way(outcomes):
    three = rig(Script(*outcomes))
    with contextlib.suppress(BaseException):
        three.call()

    assert [0, 0, 0] == three.active


@pytest.mark.parametrize("part", ["_rng", "_clock", "_budget", "_policy"])
def test_after_a_part_failed_no_attempt_is_under_way(part):
    class Broken:
        def __getattr__(self, name):
            raise Stop

        __call__ = stopping

    three = rig(Script(refused()), 1)

    def send(_attempt):
        setattr(three.loop, part, Broken())
        raise refused()

    three.loop._innermost = send
    with pytest.raises(Stop):
        three.call()

    assert [0] == three.active


def test_after_a_sleep_was_interrupted_no_attempt_is_under_way():
    time = ManualClock()
    time.sleep = stopping
    three = rig(Script(refused()), 1, time=time)
    with pytest.raises(Stop):
        three.call()

    assert [0] == three.active


def test_after_the_rewind_failed_no_attempt_is_under_way():
    three = rig(Script(refused()))
    operation = operation_of("images.upload", rewind=stopping)
    with pytest.raises(Stop):
        three.call(operation)

    assert [0, 0, 0] == three.active


def interrupted_at(line):
    """Raise at one line of what comes after a failure; return what is left, None if it ended."""
    two = rig(Script(unavailable(5.0)), 2, policy=RetryPolicy(cooldown_base=0.0), num_retries=1)
    left = iter(range(line, -1, -1))
    stopped = []

    def trace(frame, event, _arg):
        ours = frame.f_code.co_filename.endswith("retry_loop.py")
        if not ours or frame.f_code.co_name in ("__call__", "perform", "_begin"):
            return None
        if event == "line" and next(left, None) == 0:
            stopped.append(frame.f_lineno)
            raise Stop
        return trace

    def work(_number):
        sys.settrace(trace)
        try:
            with contextlib.suppress(Stop, GlanceConnectionFailed):
                two.call()
        finally:
            sys.settrace(None)

    together(1, work)
    return two.active if stopped else None


def test_wherever_a_failed_attempt_is_interrupted_none_is_left_under_way():
    lines = itertools.takewhile(lambda left: left is not None, map(interrupted_at, range(1000)))

    assert {(0, 0)} == {tuple(left) for left in lines}


def stopped_at(event):
    """Raise at one of the moments at which Python runs signal handlers; None if there is none."""
    two = rig(Script("answer", "answer"), 2)
    left = iter(range(event, -1, -1))
    stopped = []

    def profile(frame, kind, _arg):
        place = frame.f_code.co_filename
        # A dataclass has its methods from a text.
        ours = place == "<string>" or "attempts" in Path(place).parts
        if ours and kind in ("call", "c_return") and next(left, None) == 0:
            sys.setprofile(None)
            stopped.append(event)
            raise Stop

    def work(_number):
        with contextlib.suppress(Stop):
            sys.setprofile(profile)
            two.call()
        sys.setprofile(None)

    together(1, work)
    return two.active if stopped else None


def test_wherever_a_call_is_interrupted_no_attempt_is_left_under_way():
    events = itertools.takewhile(lambda left: left is not None, map(stopped_at, range(1000)))

    assert {(0, 0)} == {tuple(left) for left in events}


def test_threads_leave_no_attempt_behind_whatever_they_meet():
    errors = [*RETRIED.values(), *NOT_RETRIED.values(), ValueError(), KeyboardInterrupt(), None]
    local = threading.local()

    def send(_attempt):
        kind = local.rng.choice(errors)
        if kind is not None:
            raise type(kind)(*kind.args)
        return Answer("answer", 200, None)

    shared = rig(send, 5, policy=RetryPolicy(budget_share=None, cooldown_base=1e-6))

    def work(number):
        local.rng = random.Random(number)
        for _ in range(100):
            with contextlib.suppress(BaseException):
                shared.call(UNSAFE if local.rng.random() < 0.3 else None)

    together(8, work)

    assert [0] * 5 == shared.active


# --- the seam ------------------------------------------------------------------------------------


def test_a_layer_sees_each_attempt():
    seen = []

    def layer(send):
        def observed(attempt):
            seen.append(attempt.number)
            return send(attempt)

        return observed

    rig(layered(Script(refused(), "answer"), (layer,))).call()

    assert [1, 2] == seen


def test_a_layer_that_raises_before_the_attempt_ends_the_call():
    three = rig(layered(Script("answer"), (lambda _send: stopping,)))

    with pytest.raises(Stop):
        three.call()

    assert [0, 0, 0] == three.active


def test_a_layer_that_raises_after_the_attempt_ends_the_call():
    def layer(send):
        def observed(attempt):
            send(attempt)
            raise Stop

        return observed

    three = rig(layered(Script("answer"), (layer,)))
    with pytest.raises(Stop):
        three.call()

    assert [0, 0, 0] == three.active


def test_a_layer_that_brings_no_answer_leaves_no_attempt_behind():
    three = rig(lambda _attempt: None)
    with pytest.raises(AttributeError):
        three.call()

    assert [0, 0, 0] == three.active


def test_whatever_a_failure_layer_raises_the_call_goes_on():
    def raising(_failure):
        raise RuntimeError

    three = rig(Script(refused(), "answer"), announce=raising)

    assert "answer" == three.call()


def test_a_call_that_gave_up_says_with_what():
    three = rig(Script(refused()), num_retries=1)
    with pytest.raises(GlanceConnectionFailed) as raised:
        three.call()

    assert [None, raised.value] == [told.given_up for told in three.told]


def test_what_comes_next_is_told_after_each_failure():
    three = rig(Script(refused()), num_retries=2)
    with pytest.raises(GlanceConnectionFailed):
        three.call()

    first, second, third = servers(3)
    assert [(first, 0.0), (second, 0.0), (third, None)] == [
        (told.attempt.server, told.delay) for told in three.told
    ]
