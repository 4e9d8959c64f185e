"""The exporter's ASGI application."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .answers import METHODS, ExporterAnswers
from .messages import ExporterRequest, find_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from prometheus_client import CollectorRegistry
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from .journal import Journal
    from .messages import ExporterResponse
    from .server_report import Probed


def make_app(
    registry: CollectorRegistry,
    journal: Journal,
    *,
    trace_url: str | None = None,
    probed: Callable[[], Probed] | None = None,
    ready: Callable[[], bool] = lambda: True,
    routes: Mapping[str, ASGIApp] | None = None,
) -> ASGIApp:
    """Build the exporter's ASGI application, to serve or to mount.

    Args:
        registry: The registry whose metrics ``/metrics`` shows.
        journal: The last hour, for ``/servers`` and the page.
        trace_url: The URL of a trace in a tracing UI, with ``{trace_id}`` as a placeholder.
        probed: Returns what the exporter's probes found; None if the process makes no probes.
        ready: Says whether ``/readyz`` answers 200; otherwise it answers 503.
        routes: Further applications by their paths; they get GET and HEAD requests only.
    """
    answers = ExporterAnswers(registry, journal, trace_url=trace_url, probed=probed, ready=ready)
    further = routes or {}

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await _decline(scope, receive, send)
            return
        request = read_request(scope)
        route = further.get(request.path.rstrip("/"))
        if route is None or request.method not in METHODS:
            await send_response(answers(request), send)
        else:
            await route(scope, receive, _add_headers(send, encode_headers(answers.headers)))

    return application


async def _decline(scope: Scope, receive: Receive, send: Send) -> None:
    """Close a WebSocket; report a server's start and end as done, because nothing happens then."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close"})
        return
    for _ in ("startup", "shutdown"):
        message = await receive()
        await send({"type": f"{message['type']}.complete"})


def read_request(scope: Scope) -> ExporterRequest:
    """Read the request of an ASGI connection."""
    mount = scope.get("root_path", "").rstrip("/")
    return ExporterRequest(
        method=scope["method"],
        path=find_path(scope["path"], mount),
        mount=mount,
        query=scope["query_string"].decode("latin-1"),
        accept=_join(scope, b"accept"),
        accept_encoding=_join(scope, b"accept-encoding"),
    )


def _join(scope: Scope, wanted: bytes) -> str:
    return ",".join(value.decode("latin-1") for name, value in scope["headers"] if name == wanted)


async def send_response(response: ExporterResponse, send: Send) -> None:
    """Send a response by ASGI."""
    headers = encode_headers(response.headers)
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})


def encode_headers(headers: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    """Return headers as ASGI has them."""
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]


def _add_headers(send: Send, added: list[tuple[bytes, bytes]]) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", []), *added]
        await send(message)

    return sent
