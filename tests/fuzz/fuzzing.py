"""Performs operations on servers that mutate their replies, and judges what comes out."""

from __future__ import annotations

import contextlib
import math
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from fuzz_judges import Run
from fuzz_operations import OPERATIONS, Operation
from fuzz_telemetry import Counted
from replying_server import TOKEN, ReplyingServer, Scene, Stage, find_others

from traced_image import GlanceImageService, RequestContext, RetryPolicy, connect, errors

CLIENTS = 16
"""Threads that perform operations; most of them wait."""

TIMES = {"connect_timeout": 0.4, "read_timeout": 0.4, "request_timeout": 0.5, "upload_timeout": 0.5,
         "trial_timeout": 0.3, "deadline": 1.0}  # fmt: skip

REQUEST = 2.0
"""Seconds of one request at most: to connect, to be answered, to read an error's body."""

MARGIN = 3.0
"""Seconds that an operation may take beyond its limits, for a machine with much else to do."""

_SPECIAL = (
    errors.ImageDeleteConflict, errors.ImageImportImpossible, errors.ImageBadRequest,
    errors.ImageNotFound, errors.ImageNotAuthorized, errors.ImageQuotaExceeded,
    errors.ChecksumMismatch, errors.UploadNotRewindable,
)  # fmt: skip
"""Errors of a few operations only."""


@dataclass
class Finding:
    """An operation that did not end as it must."""

    seed: int
    scene: Scene
    operation: Operation
    service: str
    scheme: str
    problem: str
    trace: str = ""

    def __str__(self) -> str:
        replies = "\n".join(map(str, self.scene.sent))
        return (
            f"--- {self.operation.name} on {self.service}: {self.problem}\n"
            f"again: FUZZ={self.seed}:{self.scene.number} python -m pytest"
            f" tests/fuzz/test_fuzz_replies.py -k {self.scheme}-\n"
            f"{self.trace}replies ({self.scene.healthy} more were not mutated):\n{replies}"
        )


@dataclass
class Report:
    """What came of many operations."""

    findings: list[Finding] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    results: int = 0
    failures: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def wrong(self) -> list[str]:
        """Each thing that is wrong, in a line."""
        return [*self.problems, *(finding.problem for finding in self.findings)]

    def __str__(self) -> str:
        return "\n".join(map(str, [*self.problems, *self.findings[:8]]))


class Fuzzer:
    """Services, their servers and the operations on them.

    Args:
        seed: Decides on operations and mutations.
        tls: Certificates for https; None for http.
    """

    def __init__(self, seed, tls=None):
        self.seed = seed
        self.report = Report()
        self.counted = Counted()
        self._scheme = "https" if tls else "http"
        self._stage = Stage()
        self._servers = [ReplyingServer(self._stage, tls) for _ in range(3)]
        self._servers.append(ReplyingServer(self._stage, tls, mutates=False))
        self._stranger = ReplyingServer(self._stage, tls, stranger=True)
        self._stage.locations = [self._stranger.url.encode(), self._servers[-1].url.encode()]
        self._services = self._connect(None if tls is None else tls.cafile)
        self._lock = threading.Lock()

    def _connect(self, cafile):
        first, second, third, healthy = (server.url for server in self._servers)
        quick = {
            "backoff_base": 0.01,
            "backoff_cap": 0.02,
            "budget_share": None,
            "retry_after_cap": 0.1,
        }
        forgetful = RetryPolicy(cooldown_base=0, **quick)
        cooling = RetryPolicy(cooldown_base=0.1, cooldown_cap=0.2, **quick)
        nova = RetryPolicy(fixed_delay=0.01, statuses={503}, protocol_errors=False, cooldown_base=0)
        shared = {
            **TIMES,
            "auth_strategy": "keystone",
            "cafile": cafile,
            "max_metadata_size": 2**18,
        }
        shared |= {"num_retries": 2, "telemetry": False}
        sets = {
            "three": {"servers": [first, second, third], "retry": forgetful},
            "one": {"servers": [first], "retry": cooling, "num_retries": 1},
            "two and a healthy one": {"servers": [first, second, healthy], "retry": cooling},
            "as nova": {"servers": [second, third], "retry": nova, "api_version": 1},
            "repeating": {"servers": [third, healthy], "api_version": 1,
                          "retry": RetryPolicy(repeat_unsafe=True, cooldown_base=0, **quick)},
            "observed": {"servers": [first, second, healthy], "retry": cooling,
                         "telemetry": self.counted.telemetry},
        }  # fmt: skip
        return {name: connect(**{**shared, **fields}) for name, fields in sets.items()}

    def perform(self, numbers):
        """Perform the operations of these numbers, some at the same time."""
        started = time.monotonic()
        with ThreadPoolExecutor(CLIENTS) as pool:
            for _ in pool.map(self._perform, numbers):
                pass
        self.report.seconds += time.monotonic() - started

    def close(self):
        """Close services and servers; add what the servers and the metrics have found."""
        for service in self._services.values():
            service.close()
        for server in (*self._servers, self._stranger):
            server.close()
        self.report.problems += [*self._stage.problems, *self.counted.unbalanced()]

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        self.close()

    def _perform(self, number):
        scene = Scene(self.seed, number)
        operation = scene.rng.choice(OPERATIONS)
        fitting = [name for name, service in self._services.items() if _fits(operation, service)]
        name = scene.rng.choice(fitting)
        context = RequestContext(TOKEN, is_admin=True, request_id=f"req-{scene.marker}")
        run = Run(self._services[name], context, scene)
        self._stage.scenes[scene.marker] = scene
        started = time.monotonic()
        problem, trace = self._try(run, operation, observed=name == "observed")
        took = time.monotonic() - started
        del self._stage.scenes[scene.marker]
        longest = _limit(operation, scene)
        if took > longest:
            problem = f"{took:.1f} s, more than {longest:.1f} s; {problem or 'right otherwise'}"
        if problem is not None:
            finding = Finding(self.seed, scene, operation, name, self._scheme, problem, trace)
            with self._lock:
                self.report.findings.append(finding)

    def _try(self, run, operation, *, observed):
        """Perform an operation once; return what is wrong with its end, and where it was raised."""
        try:
            with self.counted.watch(run.scene.marker) if observed else contextlib.nullcontext():
                value = operation.do(run)
        except Exception as error:  # noqa: BLE001 - what comes out is the question
            self._count(type(error).__name__)
            problem = judge_error(operation, run, error) or _judge_failure(operation, run, error)
            return problem, traceback.format_exc(limit=-6)
        self._count(None)
        if not run.scene.succeeds:
            return f"a result that no server has sent: {value!r:.300}", ""
        return operation.judge(run, value) or _find_others(run.scene, repr(value)), ""

    def _count(self, failure):
        with self._lock:
            if failure is None:
                self.report.results += 1
            else:
                self.report.failures[failure] = self.report.failures.get(failure, 0) + 1


def _fits(operation: Operation, service: GlanceImageService) -> bool:
    return operation.version in (None, service.config.api_version)


def _limit(operation: Operation, scene: Scene) -> float:
    """Seconds that an operation may take, by its deadlines and its requests."""
    requests = len(scene.sent) + scene.healthy
    calls = math.inf if operation.has_data else operation.calls * TIMES["deadline"]
    return min(calls, requests * REQUEST) + MARGIN


def judge_error(operation: Operation, run: Run, error: Exception) -> str | None:
    """Return why an operation must not end with an error; None if it may."""
    kinds = errors.AttemptError, errors.GlanceConnectionFailed
    if isinstance(error, operation.own):
        pass
    elif isinstance(error, _SPECIAL) or not isinstance(error, kinds):
        return f"{type(error).__name__} is no error of this operation: {error!s:.300}"
    elif isinstance(error, errors.UnsafeToRepeat) and not operation.unsafe:
        return f"{type(error).__name__} of an operation that is safe: {error!s:.300}"
    texts = [str(error), str(getattr(error, "request_id", ""))]
    texts += [str(attempt.request_id) for attempt in getattr(error, "attempts", ())]
    return _find_others(run.scene, " ".join(texts))


def _judge_failure(operation: Operation, run: Run, error: Exception) -> str | None:
    """Return why an operation must not have failed at all; None if it may."""
    # What is left over from another operation's reply may break a connection in the very moment
    # in which it is used again. Then another attempt follows, but not one that could do harm.
    retries = not operation.unsafe and run.service.config.retry.protocol_errors
    late = getattr(error, "reason", "") in ("connect_timeout", "read_timeout", "deadline_exceeded")
    if retries and not late and not run.scene.sent:
        return f"{type(error).__name__} although each reply was correct: {error!s:.300}"
    return None


def _find_others(scene: Scene, text: str) -> str | None:
    """Return which other operation's reply a text is from; None for none."""
    others = find_others(text, scene.marker)
    return f"left over from {others[0]}: {text:.500}" if others else None
