"""Records what a real Prometheus and real exporters answer to the diagnosis, for the quick tests.

Run it after a change of the questions: ``python tests/real/diagnose_record.py``. It plays the
scenes and writes one file for each into ``tests/diagnose/recorded``, or for those that it is given.
"""

import json
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import diagnose_scene
import requests
from parts.prometheus import install

from traced_image.diagnosis import prometheus
from traced_image.diagnosis.prometheus_api import PrometheusAPI
from traced_image.diagnosis.requests_of_sources import SourceAccess, SourceReader

FOLDER = Path(__file__).parents[1] / "diagnose/recorded"
WINDOW = 600.0
CALLS = 5


@contextmanager
def recorder(url: str, answers: dict[str, object]) -> Iterator[str]:
    """A server that passes requests on, and keeps the answers by the requests' paths."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            reply = requests.get(f"{url}{self.path}", timeout=30)
            answers[self.path] = reply.json()
            self.send_response(reply.status_code)
            self.end_headers()
            self.wfile.write(reply.content)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def read_report(exporter: str) -> dict[str, object]:
    """What an exporter reports, without its texts, empty minutes, and all but a few calls."""
    report = requests.get(f"{exporter}/servers", timeout=30).json()
    for server in report["servers"]:
        server["strip"] = [each for each in server["strip"] if each["attempts"]]
    for name in ("failing_calls", "latest_calls"):
        report[name] = report[name][:CALLS]
    return {name: value for name, value in report.items() if name not in ("meanings", "states")}


def main() -> None:
    """Play the scenes, and record them."""
    FOLDER.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        diagnose_scene.play(install(print), Path(folder)) as watched,
    ):
        for name in sys.argv[1:] or watched.scenes:
            scene = watched.scenes[name]
            answers: dict[str, object] = {}
            at = round(time.time(), 3)
            with (
                recorder(watched.prometheus.url, answers) as url,
                SourceReader(url, SourceAccess(), "Prometheus") as reader,
            ):
                api = PrometheusAPI(reader)
                prometheus.observe(api, end=at, window=WINDOW, jobs=scene.jobs)
            told = {
                "at": at,
                "began": round(scene.began, 3),
                "jobs": scene.jobs,
                "servers": scene.places,
                "broken": scene.place(0),
                "prometheus": answers,
                "exporters": [read_report(each) for each in scene.exporters],
            }
            (FOLDER / f"{name}.json").write_text(json.dumps(told, separators=(",", ":")))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main()
