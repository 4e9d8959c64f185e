"""A clock that tests move, a transport that does as it is told, and a child process."""

from __future__ import annotations

import os
import pickle
import random
import select
import signal
import threading
import traceback
import warnings
from dataclasses import dataclass, field

from traced_image import RetryPolicy, Server
from traced_image.errors import CommunicationError, Reason, ServiceUnavailable
from traced_image.pipeline.api.operation import Operation
from traced_image.pipeline.attempts.fleet import Fleet
from traced_image.pipeline.attempts.retry_loop import AttemptLoop
from traced_image.pipeline.attempts.seams import Answer, Call
from traced_image.pipeline.clock import Clock
from traced_image.pipeline.context import SERVICE
from traced_image.pipeline.log import log_failure

LIMIT = 20.0
"""Seconds after which a test that waits has failed."""


def servers(count):
    return tuple(Server.parse(f"glance-{number}") for number in range(1, count + 1))


class InOrder(random.Random):
    """No shuffle; the rest is random."""

    def shuffle(self, x):
        """Leave the servers as they are listed."""


@dataclass
class ManualClock:
    """Time that passes when a test says so, or when somebody sleeps."""

    now: float = 1000.0
    epoch: float = 1_700_000_000.0
    slept: list[float] = field(default_factory=list)

    def clock(self):
        return Clock(lambda: self.now, lambda: self.epoch + self.now, self.sleep)

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds


class Script:
    """A `WriteBytes` with one outcome after the other: an error to raise, or a value to bring.

    Where there is but one, it is that of every attempt.
    """

    def __init__(self, *outcomes, time=None, takes=0.0):
        self.attempts = []
        self._outcomes = outcomes
        self._time = time
        self._takes = takes

    def __call__(self, attempt):
        number = len(self.attempts) if len(self._outcomes) > 1 else 0
        self.attempts.append(attempt)
        if self._time is not None:
            self._time.now += self._takes
        outcome = self._outcomes[number]
        if isinstance(outcome, BaseException):
            raise outcome
        return Answer(outcome, 200, None)

    @property
    def servers(self):
        return [attempt.server for attempt in self.attempts]


@dataclass
class Rig:
    """An attempt loop with all that it is made of."""

    loop: AttemptLoop
    fleet: Fleet
    time: ManualClock
    told: list

    @property
    def cycle(self):
        return self.fleet.cycle

    @property
    def active(self):
        return [health.active_attempts for health in self.cycle.health()]

    def call(self, operation=None):
        return self.loop(Call(operation or operation_of(), SERVICE))


def operation_of(name="images.get", **fields):
    return Operation(name, "GET", "/v2/images/x", lambda wire: None, **fields)


def refused(reached=False):
    """What a dead server is met with."""
    words = "glance: connection refused"
    return CommunicationError(words, reason=Reason("connection_refused"), reached=reached)


def unavailable(retry_after=None):
    return ServiceUnavailable("glance: HTTP 503", retry_after=retry_after, request_id="req-1")


def rig(
    send,
    count=3,
    *,
    policy=None,
    num_retries=3,
    deadline=120.0,
    time=None,
    rng=None,
    announce=log_failure,
    trial_timeout=1.0,
):
    """Build an attempt loop on a fleet of its own, whose servers come in order."""
    time = time or ManualClock()
    policy = policy or RetryPolicy()
    clock, told = time.clock(), []

    def noted(failure):
        told.append(failure)
        announce(failure)

    fleet = Fleet.of(servers(count), policy, clock, InOrder(1))
    loop = AttemptLoop(
        send,
        noted,
        fleet,
        num_retries=num_retries,
        policy=policy,
        deadline=deadline,
        trial_timeout=trial_timeout,
        clock=clock,
        rng=rng or random.Random(1),
    )
    return Rig(loop, fleet, time, told)


def together(count, work):
    """Run `work(number)` in so many threads that start at once; return the results in order."""
    barrier = threading.Barrier(count)
    results = [None] * count

    def run(number):
        barrier.wait(LIMIT)
        results[number] = work(number)

    threads = [threading.Thread(target=run, args=(n,), daemon=True) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT)
    assert not any(thread.is_alive() for thread in threads)
    return results


def in_child(work):
    """Run `work()` in a forked child and return its result; fail if it takes too long."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        # What 3.12 and later warn of, a fork with threads, is what is tested here.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:
        try:
            os.write(writing, pickle.dumps(work()))
        except BaseException:  # noqa: BLE001 - told by what is printed
            traceback.print_exc()
        finally:
            os._exit(0)
    os.close(writing)
    try:
        if not select.select([reading], [], [], LIMIT)[0]:
            os.kill(child, signal.SIGKILL)
        told = os.read(reading, 1 << 16)
    finally:
        os.close(reading)
        os.waitpid(child, 0)
    assert told, "the child hung or failed"
    return pickle.loads(told)
