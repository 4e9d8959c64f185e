"""A real Alertmanager of the system's packages, and what receives its notices."""

import json
import queue
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import requests

from . import cache, debian
from .process import Process

_LIMIT = 60.0  # seconds for what takes milliseconds
_LISTENS = re.compile(r"Listening on.* address=(127\.0\.0\.1:\d+)")


@dataclass(frozen=True)
class Notice:
    """One alert of a notice, as it came.

    Attributes:
        route: The last part of the path that it was sent to.
        when: When it came, in seconds since the epoch.
        alert: The alert, as Alertmanager's webhooks have it.
    """

    route: str
    when: float
    alert: Mapping[str, Any]

    @property
    def name(self) -> str:
        return self.alert["labels"]["alertname"]

    def is_about(self, status: str, **labels: str) -> bool:
        """Whether it says ``firing`` or ``resolved`` of an alert with such labels."""
        return self.alert["status"] == status and labels.items() <= self.alert["labels"].items()


@dataclass
class Webhook:
    """Keeps the alerts that it is sent.

    Attributes:
        url: Its address, without the path, which is the caller's.
        notices: What came so far.
    """

    url: str
    notices: list[Notice] = field(default_factory=list)
    _came: queue.Queue[Notice] = field(default_factory=queue.Queue)

    def receive(self, path: str, body: Mapping[str, Any]) -> None:
        """Keep what was sent."""
        for alert in body["alerts"]:
            self._came.put(Notice(path.rpartition("/")[2], time.time(), alert))

    def collect(self, limit: float) -> bool:
        """Wait for one more notice, and tell whether it came."""
        try:
            self.notices.append(self._came.get(timeout=max(0.0, limit)))
        except queue.Empty:
            return False
        return True

    def wait(self, status: str, limit: float, **labels: str) -> Notice:
        """Wait for a notice that is about something, unless it has come already."""
        end = time.monotonic() + limit
        while True:
            for notice in self.notices:
                if notice.is_about(status, **labels):
                    return notice
            if not self.collect(end - time.monotonic()):
                came = [(each.alert["status"], each.alert["labels"]) for each in self.notices]
                raise AssertionError(f"no {status} notice of {labels}, only {came}")


@contextmanager
def webhook() -> Iterator[Webhook]:
    """Receive notices on loopback."""
    hook: Webhook

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            hook.receive(self.path, json.loads(body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *words: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        hook = Webhook(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, name="webhook")
        thread.start()
        try:
            yield hook
        finally:
            server.shutdown()
            thread.join()


def install(say: cache.Say) -> str:
    """Find Alertmanager; install Debian's package where there is none."""
    # Debian's name, and its own.
    names = ("prometheus-alertmanager", "alertmanager")
    return debian.install(
        names[0], lambda: next(filter(None, map(shutil.which, names)), None), say, names[0]
    )


@contextmanager
def alertmanager(program: str, folder: Path, settings: str) -> Iterator[str]:
    """Run an Alertmanager on a free port, alone; yields its ``host:port``.

    Args:
        program: What `install` found.
        folder: Where its settings and its data are; does not exist yet.
        settings: Its configuration, in YAML.
    """
    folder.mkdir(parents=True)
    (folder / "alertmanager.yml").write_text(settings)
    command = [
        program,
        f"--config.file={folder / 'alertmanager.yml'}",
        f"--storage.path={folder / 'data'}",
        "--web.listen-address=127.0.0.1:0",
        "--cluster.listen-address=",
    ]
    process = Process("alertmanager", command, folder / "log")
    try:
        process.start()
        _wait(process, lambda: _LISTENS.search(process.log.read_text()), "does not listen")
        found = _LISTENS.search(process.log.read_text())
        assert found is not None
        ready = f"http://{found[1]}/-/ready"
        _wait(process, lambda: requests.get(ready, timeout=_LIMIT).ok, "did not become ready")
        yield found[1]
    finally:
        process.close()


def _wait(process: Process, condition: Callable[[], object], otherwise: str) -> None:
    end = time.monotonic() + _LIMIT
    while not condition():
        if not process.running:
            raise process.failed("ended")
        if time.monotonic() > end:
            raise process.failed(otherwise)
        time.sleep(0.02)
