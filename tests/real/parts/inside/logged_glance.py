"""Glance's application, which writes each request to `access.log` beside its configuration.

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

from glance.wsgi.api import application as glance

_PLACE = Path(os.environ["OS_GLANCE_CONFIG_DIR"]) / "access.log"
_FILE = os.open(_PLACE, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
_NUMBERS = count()


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    request = f"{os.getpid()}-{next(_NUMBERS)}"
    _write(
        request,
        "began",
        method=environ["REQUEST_METHOD"],
        path=environ["PATH_INFO"],
        traceparent=environ.get("HTTP_TRACEPARENT", ""),
    )

    def start(status: str, *arguments: Any) -> Any:
        _write(request, "answered", status=int(status[:3]))
        return start_response(status, *arguments)

    return _counted(glance(environ, start), request)


def _counted(pieces: Iterable[bytes], request: str) -> Iterator[bytes]:
    size = 0
    try:
        for piece in pieces:
            size += len(piece)
            yield piece
        _write(request, "ended", size=size)
    finally:
        close = getattr(pieces, "close", None)
        if close is not None:
            close()


def _write(request: str, what: str, **told: object) -> None:
    line = {"request": request, "what": what, "at": time.time(), **told}
    os.write(_FILE, f"{json.dumps(line)}\n".encode())
