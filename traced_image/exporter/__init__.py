"""Metrics, the servers as JSON and a page to look at, served over HTTP (extra ``exporter``)."""

from __future__ import annotations

from .start import asgi_app, start

__all__ = ["asgi_app", "start"]
