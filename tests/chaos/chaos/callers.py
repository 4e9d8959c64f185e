"""Threads that call an image service until they are told to stop, and note what became of it."""

from __future__ import annotations

import errno
import hashlib
import io
import threading
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from opentelemetry import context as otel_context
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

from traced_image import GlanceImageService, RequestContext, TracedImageError

from .records import UNEXPECTED, Made

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Mapping, Sequence

PAUSE = 0.05
"""The most seconds between two calls of a thread."""

WEIGHTS = {"show": 45, "detail": 10, "download": 25, "fill": 5, "create": 10, "delete": 5}
"""How often each method is called, in percent."""

SIZES = (1, 1 << 18)
"""The least and the most bytes of an image that is made."""


@dataclass
class Journal:
    """What the callers note.

    Attributes:
        seeded: The SHA-256 of each image that was there before, by its id.
        made: The calls by their traces; one that is under way has no end.
    """

    seeded: Mapping[str, str]
    made: dict[str, Made] = field(default_factory=dict)

    def note(self, made: Made) -> None:
        """Keep a call, or its end."""
        self.made[made.trace] = made


class Caller:
    """Makes one call after the other.

    Args:
        service: What is called.
        context: Who calls; None for the service itself.
        journal: Where the calls are noted.
        rng: Chooses the calls.
        number: Begins the ids of its traces: 1 to 15.
        errors: What calls may raise.
    """

    def __init__(
        self,
        service: GlanceImageService,
        context: RequestContext | None,
        journal: Journal,
        rng: random.Random,
        number: int = 1,
        errors: tuple[type[Exception], ...] = (TracedImageError,),
    ) -> None:
        self._number, self._errors = number, errors
        self._service, self._context, self._journal, self._rng = service, context, journal, rng
        self._own: list[str] = []
        self._methods: Mapping[str, Callable[[Made], Made]] = {
            "show": self._show,
            "detail": self._detail,
            "download": self._download,
            "fill": self._fill,
            "create": self._create,
            "delete": self._delete,
        }

    def repeat(self, over: threading.Event) -> None:
        """Call until it is over."""
        while not over.wait(self._rng.uniform(0, PAUSE)):
            (name,) = self._rng.choices(list(WEIGHTS), list(WEIGHTS.values()))
            self.call(name if name != "delete" or self._own else "show")

    def call(self, name: str) -> None:
        """Make one call below a trace of its own, and note its end."""
        trace = self._number << 124 | self._rng.getrandbits(124)
        made = Made(f"{trace:032x}", name, time.time())
        self._journal.note(made)
        parent = SpanContext(
            trace, self._rng.getrandbits(64) or 1, is_remote=True, trace_flags=TraceFlags(1)
        )
        token = otel_context.attach(set_span_in_context(NonRecordingSpan(parent)))
        try:
            made = self._methods[name](made)
        except self._errors as error:
            made = replace(self._journal.made[made.trace], error=type(error).__name__)
        except Exception as error:  # noqa: BLE001 - the checks report an error of another kind
            made = replace(made, error=f"{UNEXPECTED} {error!r}")
        finally:
            otel_context.detach(token)
        self._journal.note(replace(made, ended=time.time()))

    def _show(self, made: Made) -> Made:
        image = self._rng.choice(list(self._journal.seeded))
        found = self._service.show(self._context, image)
        return replace(made, image=image, digest=str(found["id"]), expected=image)

    def _detail(self, made: Made) -> Made:
        self._service.detail(self._context, limit=20)
        return made

    def _download(self, made: Made) -> Made:
        image = self._rng.choice(list(self._journal.seeded))
        digest = hashlib.sha256()
        for piece in self._service.download(self._context, image) or ():
            digest.update(piece)
        right = self._journal.seeded[image]
        return replace(made, image=image, digest=digest.hexdigest(), expected=right)

    def _fill(self, made: Made) -> Made:
        image = self._rng.choice(list(self._journal.seeded))
        try:
            self._service.download(self._context, image, dst_path="/dev/full")
        except OSError as error:
            if error.errno == errno.ENOSPC:
                return replace(made, image=image, error="disk full")
            raise
        return made

    def _create(self, made: Made) -> Made:
        data = self._rng.randbytes(self._rng.randint(*SIZES))
        digest = hashlib.sha256(data).hexdigest()
        record = {
            "name": digest,
            "disk_format": "raw",
            "container_format": "bare",
        }
        image = str(self._service.create(self._context, record, io.BytesIO(data))["id"])
        self._own.append(image)
        return replace(made, image=image, digest=digest, expected=digest)

    def _delete(self, made: Made) -> Made:
        image = self._own.pop(0)
        # Noted before: what has failed may have been done.
        made = replace(made, image=image)
        self._journal.note(made)
        self._service.delete(self._context, image)
        return made


class Traffic:
    """Callers in threads.

    Args:
        callers: One for each thread.
    """

    def __init__(self, callers: Sequence[Caller]) -> None:
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=each.repeat, args=(self._over,), name="caller", daemon=True)
            for each in callers
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """Have no thread make another call."""
        self._over.set()

    def wait(self, limit: float) -> None:
        """Wait until each thread has ended its call, but no longer than so many seconds."""
        end = time.monotonic() + limit
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))
