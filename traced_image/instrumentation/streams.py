"""Lists that are fetched while they are read, and image data: recorded where they are consumed."""

from __future__ import annotations

import inspect
import io
import sys
from contextlib import suppress
from contextvars import copy_context
from time import perf_counter
from typing import TYPE_CHECKING

import wrapt

from .calls import UNDER_WAY, run_apart
from .failures import find_stream_reason
from .upload_progress import UploadProgress

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator
    from contextvars import Context

    from typing_extensions import Self

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
            except BaseException:  # the reader has enough, or throws an exception of its own in
                call.idle(perf_counter() - left)
                context.run(call.end)
                raise
            call.idle(perf_counter() - left)
    finally:
        # The call keeps the context, by its tokens.
        context.run(UNDER_WAY.set, None)
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
            call.report_break(record, error)
        record.end(reason, complete=False)
        raise
    else:
        record.end(complete=True)
    finally:
        # Only the first `end` counts: this one is for a reader that stops early.
        record.end(complete=False)
        chunks.close()


def count_data(data: Foreign, call: ObservedCall) -> Foreign:
    """Return the data of an upload, counted while the library reads it; or what it can't count.

    Args:
        data: A binary file, a generator of bytes, or anything else.
        call: The call that uploads it.
    """
    if inspect.isgenerator(data):
        return _count_chunks(data, call)
    # What is text is encoded by whoever finds it to be so.
    if not hasattr(data, "read") or isinstance(data, io.TextIOBase):
        return data
    special = {name: method for name, method in _SPECIAL.items() if hasattr(data, name)}
    return type(CountedData.__name__, (CountedData,), special)(data, call)


def _count_chunks(chunks: Iterable[Foreign], call: ObservedCall) -> Iterator[Foreign]:
    """Yield the chunks of an upload, and count them.

    The data stays open: its owner may read on after a failure.
    """
    try:
        items = iter(chunks)
        while (chunk := run_apart(next, items, _END)) is not _END:
            with call.guard:
                call.sent(len(chunk))
            yield chunk
    except BaseException as error:
        call.source_error = error
        raise


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
        self._progress = UploadProgress(data)

    def resume(self) -> Self:
        """Go on counting where the service's attempt before stopped, if it sent the same data."""
        progress = self._progress
        earlier = self._call.resume_upload(progress)
        if earlier is not None and earlier.data is self._data and earlier.read:
            progress.start, progress.read = earlier.start, earlier.read
            self._call.skip(earlier.read)
        return self

    def __getattr__(self, name: str) -> Foreign:
        return getattr(self._data, name)

    def __bool__(self) -> bool:
        return bool(self._data)

    def __repr__(self) -> str:
        return repr(self._data)

    def read(self, *args: Foreign, **kwargs: Foreign) -> Foreign:
        """Read from the data, and count what comes."""
        self._note_attempt()
        try:
            chunk = run_apart(self._data.read, *args, **kwargs)
        except BaseException as error:
            self._call.source_error = error
            raise
        self._note_chunk(chunk)
        return chunk

    def _note_chunk(self, chunk: Foreign) -> None:
        # The library takes anything that is false for the end, such as the None of a pipe.
        if chunk is not None:
            with self._call.guard:
                count = len(chunk)
                self._progress.read += count
                self._call.sent(count)

    def _measure(self) -> int:
        """Return the length of the data."""
        return len(self._data)

    def _iterate(self) -> Iterator[Foreign]:
        """Iterate over the data, maybe by lines, as urllib3 1 sends what has no length."""
        self._note_attempt()
        return _count_chunks(self._data, self._call)

    def _note_attempt(self) -> None:
        attempt = self._call.attempt
        if attempt is not None and attempt is not self._attempt:
            self._attempt = attempt
            self._note_start(attempt)

    def _note_start(self, attempt: ObservedAttempt) -> None:
        """Tell an attempt whether it begins to read where the first one has begun."""
        start = None
        with suppress(AttributeError, OSError, ValueError):  # such as those of a pipe
            start = self._data.tell()
        if self._progress.start is None:
            self._progress.start = start
        elif self._progress.start == start:
            attempt.skipped = 0


_SPECIAL = {"__len__": CountedData._measure, "__iter__": CountedData._iterate}  # noqa: SLF001
"""The methods that are asked of an object's type, and that not all data has."""


class CountedDownload(wrapt.ObjectProxy):  # type: ignore[type-arg] # wrapt 1.17 has no arguments
    """The body of a response, whose data is a stream of the call; otherwise the library's object.

    Args:
        body: The body, of urllib3.
        call: The call that opened the download.
    """

    def __init__(self, body: Foreign, call: ObservedCall) -> None:
        super().__init__(body)
        self._self_call = call

    def stream(self, *args: Foreign, **kwargs: Foreign) -> Generator[bytes, None, None]:
        """Yield the chunks of the data, as `requests` reads them, and count them."""
        return observe_data(self.__wrapped__.stream(*args, **kwargs), self._self_call)
