"""The scenes: each kind of trouble, how it is made, and who is accused of it."""

from __future__ import annotations

import ctypes
import errno
import signal
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from accusation_witnesses import KEYSTONE, PLACES
from recorded_service import POLICY

from traced_image.lab import faults
from traced_image.pipeline.clock import Clock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from accusation_stage import Stage

    from traced_image import lab

FIRST = frozenset({"first"})
NOBODY: frozenset[str] = frozenset()
OF_KEYSTONE = frozenset({KEYSTONE})

SOON = 0.2
"""Seconds after which a call is interrupted."""
DRIP = faults.slow_body(0.02)
"""A server that keeps a call busy until it is interrupted."""
NEW = {"disk_format": "raw", "container_format": "bare"}


@dataclass(frozen=True)
class Scene:
    """One kind of trouble.

    Attributes:
        title: What it is, for an operator.
        play: Makes the trouble, and the call that meets it.
        accused: Who is accused, by all witnesses.
        reason: Why, in the metrics.
        caller: The error that the caller gets; empty for none.
        fields: Of the configuration.
        keystone: What is wrong with Keystone; None where the service needs no token.
        proxy: Whether a broken proxy is in front of the first server.
    """

    title: str
    play: Callable[[Stage], object]
    accused: frozenset[str]
    reason: str = ""
    caller: str = ""
    fields: Mapping[str, object] = field(default_factory=dict)
    keystone: lab.Fault | None = None
    proxy: bool = False


def show(stage: Stage) -> None:
    stage.watched.show(stage.image_id)


def download(stage: Stage) -> None:
    stage.watched.download(stage.image_id)


def listing(stage: Stage) -> None:
    stage.watched.service.detail(None)


def after(*each: Callable[[lab.GlanceServer], object], call=show) -> Callable[[Stage], object]:
    """Break the servers, the first one first, and make a call."""

    def play(stage: Stage) -> None:
        for server, prepare in zip(stage.servers, each, strict=False):
            prepare(server)
        call(stage)

    return play


def broken(fault: lab.Fault, call=show) -> Callable[[Stage], object]:
    """Break the first server, and make a call."""
    return after(lambda server: server.break_with(fault), call=call)


def all_broken(fault: lab.Fault, call=show) -> Callable[[Stage], object]:
    """Break all servers, and make a call."""
    return after(*[lambda server: server.break_with(fault)] * len(PLACES), call=call)


# --- the caller's own ---------------------------------------------------------------------------


class Killed(BaseException):
    """What a killed greenthread gets, as greenlet's GreenletExit."""


class TimeLimitError(Exception):
    """A task queue's time limit."""


class BrokenFile:
    """A file that a caller uploads, and that can't be read to its end.

    Args:
        failure: What the second read raises.
    """

    def __init__(self, failure: BaseException) -> None:
        self._failure = failure
        self._left = 1

    def read(self, _size: int = -1) -> bytes:
        if self._left:
            self._left = 0
            return b"data"
        raise self._failure


def uploading(failure: BaseException) -> Callable[[Stage], object]:
    """Upload a file that raises."""
    return lambda stage: stage.watched.client.call(
        None, 2, "upload", stage.new_image(), BrokenFile(failure)
    )


@contextmanager
def _alarm(failure: BaseException) -> Iterator[None]:
    """Have a signal handler raise soon."""

    def handler(_number: int, _frame: object) -> None:
        raise failure

    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, SOON)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def interrupted(failure: BaseException) -> Callable[[Stage], object]:
    """Have a signal handler raise while the first server is slow."""

    def play(stage: Stage) -> None:
        stage.first.break_with(DRIP)
        with _alarm(failure):
            show(stage)

    return play


def killed(stage: Stage) -> None:
    """Kill a call as gevent does: by an exception that no signal handler raises."""
    stage.first.break_with(DRIP)
    me = ctypes.c_ulong(threading.get_ident())
    kill = ctypes.pythonapi.PyThreadState_SetAsyncExc
    timer = threading.Timer(SOON, kill, (me, ctypes.py_object(Killed)))
    timer.start()
    try:
        show(stage)
    finally:
        timer.join()


def closed(stage: Stage) -> None:
    """Close the service while a call is under way."""
    stage.first.break_with(faults.delay(2 * SOON))
    timer = threading.Timer(SOON, stage.watched.service.close)
    timer.start()
    try:
        show(stage)
    finally:
        timer.join()


def wrong_before(stage: Stage) -> None:
    """Call with an argument that no request is made for."""
    stage.watched.service.detail(None, page_size=-1)


def wrong_during(stage: Stage) -> None:
    """Upload what turns out to be no bytes when the request is written."""
    stage.watched.client.call(None, 2, "upload", stage.new_image(), iter([b"data", 2]))


def left_too_little(stage: Stage) -> None:
    """Have the first server use up most of the deadline."""
    for server in stage.servers:
        server.break_with(faults.never_answer())
    show(stage)


def renewed_in_vain(stage: Stage) -> None:
    """Have Glance refuse a token, and Keystone give no other."""
    stage.break_all(faults.status(401))
    show(stage)


def closed_early(stage: Stage) -> None:
    """Stop to read a download before its end."""
    data = stage.watched.service.download(None, stage.image_id)
    next(iter(data))
    data.close()


def read_again(stage: Stage) -> None:
    """Read a download a second time."""
    data = stage.watched.service.download(None, stage.image_id)
    for _ in range(2):
        list(data)


class BrokenPipe:
    """Where a caller has its data written, and nobody reads."""

    def write(self, _data: bytes) -> int:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")


def into_a_pipe(stage: Stage) -> None:
    """Download to what can't be written."""
    stage.watched.service.download(None, stage.image_id, data=BrokenPipe())


def as_nobody(stage: Stage) -> None:
    """Call with a context that is none."""
    stage.watched.service.show({"auth_token": "secret"}, stage.image_id)


class Given:
    """A Keystone that gives these tokens, and no other."""

    def __init__(self, *tokens: str) -> None:
        self._tokens = list(tokens)

    def get_token(self) -> str:
        if not self._tokens:
            raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
        return self._tokens.pop(0)

    def invalidate(self) -> bool:
        return True


def odd(stage: Stage) -> None:
    """List images of which one has a field that no image has."""
    record = {"id": stage.image_id, "status": "active", "created_at": 7, "min_disk": "many"}
    stage.break_all(faults.wrong_type({"images": [record]}))
    listing(stage)


WITHOUT_425 = replace(POLICY, statuses=POLICY.statuses - {425})

SCENES = {
    # --- Keystone ---------------------------------------------------------------------------------
    "keystone_refuses": Scene(
        "Keystone refuses connections",
        show,
        OF_KEYSTONE,
        "connection_refused",
        "TokenUnavailable",
        keystone=faults.refuse(),
    ),
    "keystone_hangs": Scene(
        "Keystone does not answer",
        show,
        OF_KEYSTONE,
        "read_timeout",
        "TokenUnavailable",
        {"read_timeout": 0.3},
        faults.never_answer(),
    ),
    "keystone_401": Scene(
        "Keystone refuses the service's password",
        show,
        OF_KEYSTONE,
        "401",
        "TokenUnavailable",
        keystone=faults.status(401),
    ),
    "keystone_renewal": Scene(
        "Glance refuses an expired token, and Keystone gives no other",
        renewed_in_vain,
        OF_KEYSTONE,
        "connection_refused",
        "TokenUnavailable",
        {"auth": Given("expired")},
    ),
    "keystone_header": Scene(
        "Keystone's token can't be sent in a header",
        show,
        OF_KEYSTONE,
        "protocol_error",
        "TokenUnavailable",
        {"auth": Given("two\nlines")},
    ),
    # --- the caller -------------------------------------------------------------------------------
    "argument": Scene(
        "a bad argument, found before any request", wrong_before, NOBODY, caller="InvalidQuery"
    ),
    "argument_late": Scene(
        "a bad argument, found when the request is written",
        wrong_during,
        NOBODY,
        caller="InvalidMetadata",
    ),
    "context": Scene("a context that is none", as_nobody, NOBODY, caller="InvalidContext"),
    "file_value": Scene(
        "the caller's upload file raises `ValueError`",
        uploading(ValueError("closed file")),
        NOBODY,
        caller="ValueError",
    ),
    "file_eio": Scene(
        "the caller's upload file raises `OSError` (EIO)",
        uploading(OSError(errno.EIO, "Input/output error")),
        NOBODY,
        caller="OSError",
    ),
    "file_reset": Scene(
        "the caller's upload file raises `ConnectionResetError`",
        uploading(ConnectionResetError(errno.ECONNRESET, "reset by peer")),
        NOBODY,
        caller="ConnectionResetError",
    ),
    "pipe": Scene(
        "the caller's file for a download raises `BrokenPipeError`",
        into_a_pipe,
        NOBODY,
        caller="BrokenPipeError",
    ),
    "closed_early": Scene("the caller stops to read a download", closed_early, NOBODY),
    "read_again": Scene(
        "the caller reads a download twice", read_again, NOBODY, caller="StreamConsumed"
    ),
    "interrupt": Scene(
        "`KeyboardInterrupt` during a call",
        interrupted(KeyboardInterrupt()),
        NOBODY,
        caller="KeyboardInterrupt",
    ),
    "time_limit": Scene(
        "a time limit that a signal handler raises during a call",
        interrupted(TimeLimitError()),
        NOBODY,
        caller="TimeLimitError",
    ),
    "killed": Scene("a greenthread that is killed during a call", killed, NOBODY, caller="Killed"),
    "closed": Scene("the service is closed during a call", closed, NOBODY),
    "deadline": Scene(
        "the first server uses up the deadline, and too little is left for the second",
        left_too_little,
        FIRST,
        "read_timeout",
        "DeadlineExceeded",
        {"read_timeout": 0.8, "deadline": 1.5, "clock": Clock()},
    ),
    # --- a server ---------------------------------------------------------------------------------
    "refuse": Scene(
        "the server refuses connections", broken(faults.refuse()), FIRST, "connection_refused"
    ),
    "reset": Scene(
        "the server resets connections at the request",
        broken(faults.reset().only(path="/v2/")),
        FIRST,
        "connection_reset",
    ),
    "silent": Scene(
        "the server never answers",
        broken(faults.never_answer()),
        FIRST,
        "read_timeout",
        fields={"read_timeout": 0.3},
    ),
    "proxy": Scene(
        "the proxy in front of the server is down", show, FIRST, "proxy_error", proxy=True
    ),
    "503": Scene("503", broken(faults.status(503)), FIRST, "503"),
    "500": Scene("500", broken(faults.status(500)), FIRST, "500", "ServerError"),
    "401": Scene("401", broken(faults.status(401)), NOBODY, caller="ImageNotAuthorized"),
    "404": Scene("404", broken(faults.status(404)), NOBODY, caller="ImageNotFound"),
    "403": Scene("403", broken(faults.status(403)), NOBODY, caller="ImageNotAuthorized"),
    "425": Scene("425, which the policy retries", broken(faults.status(425)), FIRST, "425"),
    "425_told": Scene(
        "425, and a policy that does not retry it",
        broken(faults.status(425)),
        NOBODY,
        caller="Invalid",
        fields={"retry": WITHOUT_425},
    ),
    "419": Scene(
        "419, which HTTP does not define",
        broken(faults.status(419)),
        NOBODY,
        caller="Invalid",
    ),
    "599": Scene(
        "599, which HTTP does not define",
        broken(faults.status(599)),
        FIRST,
        "5xx",
        "ServerError",
    ),
    "not_json": Scene(
        "a reply that is not JSON", broken(faults.not_json()), FIRST, "protocol_error"
    ),
    "another": Scene(
        "the record of another image",
        broken(faults.wrong_type({"id": "another"})),
        FIRST,
        "protocol_error",
    ),
    "stream": Scene(
        "a download that breaks off",
        broken(faults.cut_body().only(path="/file$"), download),
        FIRST,
        "protocol_error",
    ),
    "checksum": Scene(
        "a download that does not match its checksum",
        broken(faults.corrupt_data(), download),
        FIRST,
        "checksum_mismatch",
        caller="ChecksumMismatch",
    ),
    "odd": Scene("a list with an odd record, the same on all servers", odd, NOBODY),
    "limit": Scene(
        "a list whose reply is over the limit",
        listing,
        NOBODY,
        caller="ListTooLarge",
        fields={"max_list_size": 64},
    ),
}
"""By name; no two have the same title."""
