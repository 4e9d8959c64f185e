"""The exporter's ASGI application: metrics, the report as JSON, the page, and health checks."""

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
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from prometheus_client import CollectorRegistry
    from starlette.requests import Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from .journal import Journal, ServerKey


def make_metrics_app(registry: CollectorRegistry) -> ASGIApp:
    """Build an ASGI application that answers with a registry's metrics, uncompressed.

    It drops an ``Accept`` header that prometheus_client can't parse, because prometheus_client
    raises then.
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
    except Exception:  # noqa: BLE001 any error comes from the client's header
        return False
    return True


_INLINE = re.compile(r"<(script|style)>(.*?)</\1>", re.DOTALL)


def _read_page() -> str:
    return resources.files(__package__).joinpath("page.html").read_text("utf-8")


def _build_policy(page: str) -> str:
    """Build a Content-Security-Policy that allows only the page's own inline script and style."""
    # By their hashes, so that a script that somebody injects does not run (CSP Level 3).
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
    misconfigurations: Callable[[], Mapping[ServerKey, str]] | None = None,
    ready: Callable[[], bool] = lambda: True,
    routes: Iterable[Route] = (),
) -> ASGIApp:
    """Build the exporter's ASGI application, to serve or to mount.

    Args:
        registry: The registry whose metrics ``/metrics`` shows.
        journal: The last hour, for ``/servers`` and the page.
        trace_url: The URL of a trace in a tracing UI, with ``{trace_id}`` as a placeholder.
        misconfigurations: Returns what is wrong with the settings of the probes, by server; None
            if the process makes no probes.
        ready: Says whether ``/readyz`` answers 200; otherwise it answers 503.
        routes: Further routes.
    """
    page = _read_page()

    async def servers(_request: Request) -> Response:
        wrong = None if misconfigurations is None else misconfigurations()
        return JSONResponse(
            make_report(journal.hour(), trace_url, wrong), headers={"Cache-Control": "no-store"}
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
        # Level 1, because prometheus_client's own compression (level 9) takes half of the time of
        # a scrape.
        middleware=[Middleware(GZipMiddleware, compresslevel=1)],
    )
    return _catch_errors(inner, _build_policy(page))


class _MetricsEndpoint:
    """The endpoint ``/metrics``.

    It is a class because Starlette calls a function with a request, but an object as an ASGI
    application.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._application = make_metrics_app(registry)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._application(scope, receive, send)


def _catch_errors(inner: ASGIApp, policy: str) -> ASGIApp:
    """Add the security headers to each response, including errors."""
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
