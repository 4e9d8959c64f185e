"""The exporter's WSGI application."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from .messages import ExporterRequest, find_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from .messages import ExporterResponse


def make_wsgi_app(answer: Callable[[ExporterRequest], ExporterResponse]) -> WSGIApplication:
    """Build a WSGI application (PEP 3333) of what answers requests."""

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        response = answer(_read_request(environ))
        status = f"{response.status} {HTTPStatus(response.status).phrase}"
        start_response(status, [(name.title(), value) for name, value in response.headers])
        return [response.body]

    return application


def _read_request(environ: WSGIEnvironment) -> ExporterRequest:
    mount = _decode(environ.get("SCRIPT_NAME", "")).rstrip("/")
    return ExporterRequest(
        method=environ["REQUEST_METHOD"],
        path=find_path(_decode(environ.get("PATH_INFO", "")), ""),
        mount=mount,
        query=environ.get("QUERY_STRING", ""),
        accept=environ.get("HTTP_ACCEPT", ""),
        accept_encoding=environ.get("HTTP_ACCEPT_ENCODING", ""),
        shared=environ.get("wsgi.multiprocess", False),
    )


def _decode(text: str) -> str:
    """Decode a path; PEP 3333 gives each byte of it as one character."""
    return text.encode("latin-1", "replace").decode("utf-8", "replace")
