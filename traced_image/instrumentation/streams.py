"""Lists that are fetched while they are read, and image data: recorded where they are consumed."""

from __future__ import annotations

import sys
from contextlib import suppress
from contextvars import copy_context
from time import perf_counter
from typing import TYPE_CHECKING

from .calls import UNDER_WAY
from .failures import find_stream_reason

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from contextvars import Context

    from .observed_attempt import ObservedAttempt
    from .observed_call import ObservedCall
    from .patching import Foreign

    Items = Generator[Foreign, Foreign, Foreign]

_END = object()


def observe_list(
    items: Items, start: Callable[[], ObservedCall | None]
) -> Generator[Foreign, None, None]:
    """Yield a list's items; its call begins with the first one and ends with the last one.

    The library works in a context of its own, so that no span is current while the reader works
    on an item. The reader's time is no part of the durations.

    Args:
        items: The items, and each may need an HTTP request.
        start: Starts the call; returns None if nothing is to be recorded.
    """
    context = copy_context()
    call = context.run(start)
    if call is None:
        yield from items
        return
    context.run(UNDER_WAY.set, call)
    try:
        while (item := _step(context, call, items)) is not _END:
            left = perf_counter()
            try:
                yield item
            finally:
                call.idle(perf_counter() - left)
    except GeneratorExit:
        context.run(call.end)  # the reader has enough
        raise
    finally:
        items.close()


def _step(context: Context, call: ObservedCall, items: Items) -> object:
    try:
        item = context.run(next, items, _END)
    except BaseException as error:
        context.run(call.end, error)
        raise
    if item is _END:
        context.run(call.end)
    return item


def observe_data(
    chunks: Generator[bytes, None, None], call: ObservedCall
) -> Generator[bytes, None, None]:
    """Yield the chunks of a download, counted in a stream that begins with the first one.

    Args:
        chunks: The chunks.
        call: The call that opened the download; it has ended.
    """
    record, handled = call.open_download(), sys.exc_info()[1]
    try:
        for chunk in chunks:
            record.add(len(chunk))
            yield chunk
    except GeneratorExit:
        raise
    except BaseException as error:
        reason = find_stream_reason(error, handled)
        if reason:
            call.report_break(record)
        record.end(reason, complete=False)
        raise
    else:
        record.end(complete=True)
    finally:
        # Only the first `end` counts: this one is for a reader that stops early.
        record.end(complete=False)
        chunks.close()


class CountedData:
    """The data of an upload, counted while the library reads it; otherwise the caller's object.

    Args:
        data: An object with a method `read`.
        call: The call that uploads it.
    """

    def __init__(self, data: Foreign, call: ObservedCall) -> None:
        self._data = data
        self._call = call
        self._attempt: ObservedAttempt | None = None
        self._start: object = None

    def __getattr__(self, name: str) -> Foreign:
        return getattr(self._data, name)

    def __bool__(self) -> bool:
        return bool(self._data)

    def read(self, *args: Foreign, **kwargs: Foreign) -> Foreign:
        """Read from the data, and count what comes."""
        attempt = self._call.attempt
        if attempt is not None and attempt is not self._attempt:
            self._attempt = attempt
            self._note_start(attempt)
        try:
            chunk = self._data.read(*args, **kwargs)
        except BaseException as error:
            self._call.source_error = error
            raise
        self._call.sent(len(chunk))
        return chunk

    def _note_start(self, attempt: ObservedAttempt) -> None:
        """Tell an attempt whether it begins to read where the first one has begun."""
        start = None
        with suppress(AttributeError, OSError, ValueError):  # such as those of a pipe
            start = self._data.tell()
        if self._start is None:
            self._start = start
        elif self._start == start:
            attempt.skipped = 0
