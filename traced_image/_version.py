"""The version of this package, and its name in requests; read from the metadata once."""

from __future__ import annotations

from functools import cache
from importlib import metadata

_NAME = "traced-image"


@cache
def find_version() -> str:
    """Return the version of the installed package; ``unknown`` if it is not installed.

    To read the metadata takes milliseconds, so nothing reads it before it is needed, or twice.
    """
    try:
        return metadata.version(_NAME)
    except metadata.PackageNotFoundError:
        return "unknown"


def make_user_agent() -> str:
    """Return the ``User-Agent`` of every request (RFC 9110, 10.1.5)."""
    return f"{_NAME}/{find_version()}"
