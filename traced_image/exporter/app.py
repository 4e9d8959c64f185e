"""What the exporter answers: metrics, the servers as JSON, the page, and whether it is well."""

from __future__ import annotations

import base64
import hashlib
import re
from importlib import resources
from typing import TYPE_CHECKING

from prometheus_client import make_asgi_app
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from .report import make_report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from prometheus_client import CollectorRegistry
    from starlette.requests import Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from .journal import Journal


def make_metrics_app(registry: CollectorRegistry) -> ASGIApp:
    """An ASGI application that answers with the metrics of a registry, uncompressed.

    What prometheus_client can't read of a request's headers does not count: it would raise.
    """
    inner = make_asgi_app(registry, disable_compression=True)

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await inner({**scope, "headers": list(_list_readable(scope["headers"]))}, receive, send)

    return application


def _list_readable(headers: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
    for name, value in headers:
        if name == b"accept" and _can_be_read(value):
            yield name, value


def _can_be_read(accept: bytes) -> bool:
    try:
        choose_encoder(accept.decode())
    except Exception:  # noqa: BLE001 whatever it is, the client wrote it
        return False
    return True


_INLINE = re.compile(r"<(script|style)>(.*?)</\1>", re.DOTALL)


def _read_page() -> str:
    return resources.files(__package__).joinpath("page.html").read_text("utf-8")


def _build_policy(page: str) -> str:
    """A Content-Security-Policy that lets the page run what it came with, and nothing else."""
    allowed: dict[str, list[str]] = {"script": [], "style": []}
    for kind, text in _INLINE.findall(page):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        allowed[kind].append(f"'sha256-{digest}'")
    return (
        f"default-src 'none'; script-src {' '.join(allowed['script'])}; "
        f"style-src {' '.join(allowed['style'])}; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def make_app(
    registry: CollectorRegistry,
    journal: Journal,
    *,
    trace_url: str | None = None,
    ready: Callable[[], bool] = lambda: True,
    routes: Iterable[Route] = (),
) -> ASGIApp:
    """An ASGI application to serve or to mount.

    Args:
        registry: Whose metrics ``/metrics`` shows.
        journal: What ``/servers`` and the page show.
        trace_url: Where a trace is shown, with ``{trace_id}`` in it.
        ready: What ``/readyz`` asks.
        routes: More of them.
    """
    page = _read_page()

    async def servers(_request: Request) -> Response:
        return JSONResponse(
            make_report(journal.hour(), trace_url), headers={"Cache-Control": "no-store"}
        )

    async def index(_request: Request) -> Response:
        return Response(page, media_type="text/html")

    async def healthz(_request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(_request: Request) -> Response:
        return PlainTextResponse("ok\n") if ready() else PlainTextResponse("not yet\n", 503)

    inner = Starlette(
        routes=[
            Route("/", index),
            Route("/servers", servers),
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            Route("/metrics", _MetricsEndpoint(registry), methods=["GET", "HEAD"]),
            *routes,
        ],
        # prometheus_client's own compression takes as long as half of the scrape.
        middleware=[Middleware(GZipMiddleware, compresslevel=1)],
    )
    return _catch_errors(inner, _build_policy(page))


class _MetricsEndpoint:
    """The metrics of a registry.

    A class, for Starlette would take a function for one that is given a request.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._application = make_metrics_app(registry)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._application(scope, receive, send)


def _catch_errors(inner: ASGIApp, policy: str) -> ASGIApp:
    """Add to each response what keeps a browser from being talked into anything."""
    added = [
        (b"content-security-policy", policy.encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"no-referrer"),
    ]

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *added]
            await send(message)

        await inner(scope, receive, sent)

    return application
