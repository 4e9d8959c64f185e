"""An HTTP server of the metrics, the report as JSON, and a page that shows it (``exporter``)."""

from __future__ import annotations

from .environment import start_from_environment
from .start import asgi_app, start, wsgi_app

__all__ = ["asgi_app", "start", "start_from_environment", "wsgi_app"]
