"""Constant traffic, scrapes, OTLP and reloads, and what must not grow meanwhile."""
