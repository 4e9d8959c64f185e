"""A request to the exporter and its response, as values that no web framework is needed for."""

from __future__ import annotations

import gzip
import re
from dataclasses import dataclass

_SHORTEST = 500
"""Bytes of a body that is worth compressing."""

_LEVEL = 1
"""gzip's level; at prometheus_client's 9, compression would take half of the time of a scrape."""

_ABSOLUTE = re.compile(r"https?://[^/?#]*", re.IGNORECASE)
_UNWANTED = re.compile(r"q=0(\.0{0,3})?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ExporterRequest:
    """What the exporter needs to know of a request.

    Attributes:
        method: The method, in capitals.
        path: The path below `mount`, decoded; empty if the request names the mount itself.
        mount: The path at which the application is mounted, decoded; empty at the root.
        query: The query string, without its question mark.
        accept: The ``Accept`` headers, joined by commas.
        accept_encoding: The ``Accept-Encoding`` headers, joined by commas.
        shared: Whether other processes answer at the same address.
    """

    method: str
    path: str
    mount: str = ""
    query: str = ""
    accept: str = ""
    accept_encoding: str = ""
    shared: bool = False


@dataclass(frozen=True, slots=True)
class ExporterResponse:
    """What the exporter answers.

    Attributes:
        status: The HTTP status.
        headers: Pairs of a name in lower case and a value.
        body: The body.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


def find_path(path: str, mount: str) -> str:
    """Return the path below a mount; without the authority of an absolute-form target.

    A server must accept ``GET http://exporter/metrics HTTP/1.1`` (RFC 9112, 3.2.2).

    Args:
        path: The decoded request target without its query, or its path.
        mount: The path at which the application is mounted; empty at the root.
    """
    authority = _ABSOLUTE.match(path)
    if authority is not None:
        path = path[authority.end() :] or "/"
    if path == mount or path.startswith(f"{mount}/"):
        return path[len(mount) :]
    return path


def say(text: str, status: int = 200, *headers: tuple[str, str]) -> ExporterResponse:
    """Build a response of one line of plain text."""
    kind = "content-type", "text/plain; charset=utf-8"
    return ExporterResponse(status, (kind, *headers), f"{text}\n".encode())


def complete(
    response: ExporterResponse, request: ExporterRequest, added: tuple[tuple[str, str], ...] = ()
) -> ExporterResponse:
    """Compress a body if the client accepts it, drop it for HEAD, and add its length and headers.

    Args:
        response: The response to a GET request.
        request: The request.
        added: Headers of every response.
    """
    body, headers = response.body, [*response.headers]
    if len(body) >= _SHORTEST:
        headers.append(("vary", "accept, accept-encoding"))
        if _accepts_gzip(request.accept_encoding):
            # Without the time, so that equal answers are equal bytes.
            body = gzip.compress(body, _LEVEL, mtime=0)
            headers.append(("content-encoding", "gzip"))
    headers.append(("content-length", str(len(body))))
    return ExporterResponse(
        response.status, (*headers, *added), b"" if request.method == "HEAD" else body
    )


def _accepts_gzip(accept_encoding: str) -> bool:
    for member in accept_encoding.split(","):
        coding, _, weight = member.partition(";")
        if coding.strip().lower() == "gzip":
            return _UNWANTED.fullmatch(weight.strip()) is None
    return False
