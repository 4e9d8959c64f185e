"""Answers that a real Prometheus and real exporters gave, from a server on loopback.

`tests/real/diagnose_record.py` records them, and `fleet_record.py` beside it those behind an agent.
"""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from traced_image.telemetry import catalogue

FOLDER = Path(__file__).parent / "recorded"
SCENES = sorted(each.stem for each in FOLDER.glob("*.json"))
WINDOW = 600.0
"""Seconds that the recorded questions look back."""


@dataclass(frozen=True)
class Recorded:
    """A scene: three servers, of which the first may fail, and three processes of two jobs.

    Attributes:
        at: When it was asked about, in seconds since the epoch.
        began: When something began to fail.
        jobs: The callers' jobs.
        servers: All servers.
        broken: The one that fails, if one does.
        prometheus: Prometheus's answers, by path and query.
        exporters: The reports of the callers.
    """

    at: float
    began: float
    jobs: list[str]
    servers: list[str]
    broken: str
    prometheus: dict[str, object]
    exporters: list[dict[str, object]]


def read(scene):
    return Recorded(**json.loads((FOLDER / f"{scene}.json").read_text()))


@contextmanager
def serving(answer):
    """A server on loopback: ``answer(path, headers)`` returns a status and JSON, or text."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            status, body = answer(self.path, self.headers)
            text = body if isinstance(body, str) else json.dumps(body)
            self.send_response(status)
            self.end_headers()
            with suppress(ConnectionError):  # it may have given up
                self.wfile.write(text.encode())

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def replaying(answers):
    """A server that gives recorded answers; whatever was not recorded is not found.

    Where no agent adds callers up, there is no series that says how many.
    """

    def answer(path, _headers):
        if path in answers:
            return 200, answers[path]
        if catalogue.AGGREGATED_PROCESSES in path:
            return 200, {"status": "success", "data": {"resultType": "vector", "result": []}}
        return 404, {"status": "error", "error": f"not recorded: {path}"}

    with serving(answer) as url:
        yield url
