"""The access log that a server's application writes, whatever becomes of its process."""

from __future__ import annotations

import json
from dataclasses import replace

from .records import Served, parse_traceparent


def read_access_log(text: str, port: int) -> list[Served]:
    """Read what `parts/inside/logged.py` wrote.

    Args:
        text: The lines.
        port: The port by which clients know the server.
    """
    found: dict[str, Served] = {}
    for told in map(json.loads, text.splitlines()):
        key = told["request"]
        if told["what"] == "began":
            ids = parse_traceparent(told["traceparent"])
            found[key] = Served(*ids, port, told["method"], told["path"], told["at"])
        elif told["what"] == "answered":
            found[key] = replace(found[key], status=told["status"], answered=told["at"])
        else:
            found[key] = replace(found[key], size=told["size"])
    return list(found.values())
