"""Writes each request of a WSGI application to `access.log` beside its configuration.

Each line is written by one system call, before the next step, so that a killed server leaves a
true log: `began` when a request was read, `answered` when its status is known, and `ended` after
the last byte was given to the server.
"""

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Logged:
    """A WSGI application.

    Args:
        application: What answers.
        folder: The environment variable that has the folder of its configuration.
    """

    def __init__(self, application: Application, folder: str) -> None:
        place = Path(os.environ[folder]) / "access.log"
        self._file = os.open(place, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._application, self._numbers = application, count()

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        request = f"{os.getpid()}-{next(self._numbers)}"
        self._write(
            request,
            "began",
            method=environ["REQUEST_METHOD"],
            path=environ["PATH_INFO"],
            traceparent=environ.get("HTTP_TRACEPARENT", ""),
        )

        def start(status: str, *arguments: Any) -> Any:
            self._write(request, "answered", status=int(status[:3]))
            return start_response(status, *arguments)

        try:
            pieces = self._application(environ, start)
        except Exception:
            # The server answers for an application that fails.
            self._write(request, "answered", status=500)
            raise
        return self._count(pieces, request)

    def _count(self, pieces: Iterable[bytes], request: str) -> Iterator[bytes]:
        size = 0
        try:
            for piece in pieces:
                size += len(piece)
                yield piece
            self._write(request, "ended", size=size)
        finally:
            close = getattr(pieces, "close", None)
            if close is not None:
                close()

    def _write(self, request: str, what: str, **told: object) -> None:
        line = {"request": request, "what": what, "at": time.time(), **told}
        os.write(self._file, f"{json.dumps(line)}\n".encode())
