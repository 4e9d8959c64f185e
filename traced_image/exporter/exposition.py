"""The metrics of a registry, as text or OpenMetrics by what a client takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import make_asgi_app
from prometheus_client.exposition import choose_encoder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from prometheus_client import CollectorRegistry
    from starlette.types import ASGIApp, Receive, Scope, Send


def metrics_app(registry: CollectorRegistry) -> ASGIApp:
    """An ASGI application that answers with the metrics of a registry, uncompressed.

    What prometheus_client can't read of a request's headers does not count: it would raise.
    """
    inner = make_asgi_app(registry, disable_compression=True)

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await inner({**scope, "headers": list(_readable(scope["headers"]))}, receive, send)

    return application


def _readable(headers: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
    for name, value in headers:
        if name == b"accept" and _can_be_read(value):
            yield name, value


def _can_be_read(accept: bytes) -> bool:
    try:
        choose_encoder(accept.decode())
    except Exception:  # noqa: BLE001 whatever it is, the client wrote it
        return False
    return True
