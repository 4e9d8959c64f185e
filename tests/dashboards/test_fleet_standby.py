"""The second agent of a pair for one store: when it is started, and when it is stopped."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

SCRIPT = Path(__file__).parents[2] / "dashboards/fleet/standby.sh"
SENDS = [{"metric": {}, "value": [0, "2"]}]
LIMIT = 20.0  # seconds for what takes a tenth of one

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="the script needs curl")


class Store(HTTPServer):
    """A Prometheus that says whether the partner sends; None if it can't say."""

    found: list[object] | None = None

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.asked: list[str] = []


class Answer(BaseHTTPRequestHandler):
    server: Store

    def do_GET(self) -> None:
        self.server.asked += parse_qs(urlsplit(self.path).query)["query"]
        body = {"status": "success", "data": {"resultType": "vector", "result": self.server.found}}
        self.send_response(503 if self.server.found is None else 200)
        self.end_headers()
        self.wfile.write(json.dumps(body, separators=(",", ":")).encode())

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def standby(folder: Path):
    """Run the script; yields its store, and the file with what it tells systemd."""
    told = folder / "told"
    told.touch()
    systemctl = folder / "systemctl"
    systemctl.write_text(f'#!/bin/sh\necho "$@" >> {told}\n')
    systemctl.chmod(0o755)
    store = Store()
    thread = threading.Thread(target=store.serve_forever)
    thread.start()
    variables = {
        "PATH": f"{folder}:{os.environ['PATH']}",
        "STORE": f"http://127.0.0.1:{store.server_address[1]}",
        "PARTNER": "zone-1-a",
        "PAUSE": "0.02",
    }
    process = subprocess.Popen(["/bin/sh", SCRIPT], env=variables, stderr=subprocess.DEVNULL)
    try:
        yield store, told
    finally:
        process.kill()
        process.wait()
        store.shutdown()
        store.server_close()
        thread.join()


def wait_for(condition) -> None:
    end = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_it_starts_while_the_partner_sends_nothing_and_stops_when_it_is_back(tmp_path):
    with standby(tmp_path) as (store, told):
        store.found = SENDS
        wait_for(lambda: told.read_text().endswith("stop vmagent\n"))
        store.found = []
        wait_for(lambda: told.read_text().endswith("start vmagent\n"))
        store.found = SENDS
        wait_for(lambda: told.read_text().endswith("stop vmagent\n"))


def test_nothing_changes_while_the_store_does_not_answer(tmp_path):
    with standby(tmp_path) as (store, told):
        wait_for(lambda: len(store.asked) > 2)
        assert "" == told.read_text()


def test_it_asks_for_the_last_sums_of_the_partner(tmp_path):
    with standby(tmp_path) as (store, _):
        wait_for(lambda: store.asked)
        query = 'count_over_time(traced_image_aggregated_processes{instance="zone-1-a"}[1m])'
        assert query == store.asked[0]


def test_without_a_partner_it_ends_with_its_name():
    done = subprocess.run(
        ["/bin/sh", SCRIPT], env={"PATH": os.environ["PATH"]}, capture_output=True, check=False
    )
    assert (True, b"PARTNER" in done.stderr) == (done.returncode != 0, True)
