"""An HTTP server of the metrics, the report as JSON, and a page that shows it (``exporter``)."""

from __future__ import annotations

from .start import asgi_app, start, wsgi_app

__all__ = ["asgi_app", "start", "wsgi_app"]
