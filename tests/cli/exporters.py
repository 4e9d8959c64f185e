"""Exporters on loopback that tell what a test wants them to, and change their mind."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "diagnose"))

from replayed import serving

NOW, BEGAN = 1796018400.0, 1796018000.0
"""When a report is made, and since when a server in it fails: 06:00:00 and 05:53:20 UTC."""


def operation(name="images.get", since=BEGAN, reason="503"):
    """An operation that fails."""
    return {
        "operation": name,
        "attempts": 20,
        "failed": 9,
        "since": since,
        "last_success": BEGAN - 1,
        "last_failure": NOW - 1,
        "last_error": reason,
    }


def server(address="10.0.0.1", **told):
    """A server that has answered, unless told otherwise."""
    usual = {
        "address": address,
        "port": "9292",
        "state": "healthy",
        "since": None,
        "consecutive_failures": 0,
        "last_success": NOW - 1,
        "last_failure": None,
        "last_error": None,
        "attempts": 20,
        "failed": 0,
        "reasons": {},
        "operations": [],
        "recent": {"share": 0.5},
        "strip": [{"start": NOW - 60, "attempts": 20, "failed": 0, "reason": None}],
    }
    return usual | told


def failing(address="10.0.0.1", reason="503", since=BEGAN, **told):
    """A server that fails in a row."""
    usual = {
        "state": "cooling",
        "since": since,
        "consecutive_failures": 9,
        "last_success": BEGAN - 1,
        "last_failure": NOW - 1,
        "last_error": reason,
        "failed": 9,
        "reasons": {reason: 9},
        "operations": [operation(since=since, reason=reason)],
        "cost_seconds": 9.0,
        "saved_calls": 9,
        "strip": [
            {"start": BEGAN // 60 * 60, "attempts": 20, "failed": 5, "reason": reason},
            {"start": NOW - 60, "attempts": 20, "failed": 4, "reason": reason},
        ],
    }
    return server(address, **(usual | told))


def report(*servers, service="nova-api", pid=1, processes=1, **told):
    """The report of a process."""
    process = {"service": service, "host": "vm", "pid": pid, "processes": processes}
    return {"generated": NOW, "probes": False, "process": process, "servers": [*servers], **told}


class Exporters:
    """Exporters whose answers are set by number: a report, or a status with a text.

    Attributes:
        asked: How often each was asked.
        url: Where they are.
    """

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = [0] * len(answers)
        self.url = ""

    def answer(self, path, _headers):
        """The answer to a request."""
        number = int(path[1])
        self.asked[number] += 1
        found = self.answers[number]
        if callable(found):
            found = found()
        return found if isinstance(found, tuple) else (200, found)

    @property
    def options(self):
        """The options that name them."""
        numbers = range(len(self.answers))
        return [part for each in numbers for part in ("--exporter", f"{self.url}/{each}")]


@contextmanager
def exporting(*answers):
    """Exporters that give these answers."""
    exporters = Exporters(*answers)
    with serving(exporters.answer) as exporters.url:
        yield exporters
