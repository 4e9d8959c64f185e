"""A real Prometheus of the system's packages, which scrapes what it is told to on loopback."""

import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from . import cache, debian
from .process import Process

_LIMIT = 60.0  # seconds for what takes milliseconds, or 5 s for a target, on a busy machine
_LISTENS = re.compile(r"Listening on.* address=(127\.0\.0\.1:\d+)")

# Files name the targets, since these come later than it does.
_SETTINGS = """\
global: {scrape_interval: 200ms, scrape_timeout: 200ms}
scrape_configs:
- {job_name: traced-image, file_sd_configs: [{files: [targets/*.json]}]}
"""


@dataclass(frozen=True)
class Programs:
    """Prometheus's programs.

    Attributes:
        prometheus: The server.
        promtool: What checks metrics and rules.
    """

    prometheus: str
    promtool: str


@dataclass(frozen=True)
class Prometheus:
    """A running Prometheus, with storage for exemplars.

    Attributes:
        process: Its process.
        url: Its address.
        programs: What it was started from.
        folder: Where its settings and its data are.
    """

    process: Process
    url: str
    programs: Programs
    folder: Path

    def check_metrics(self, exposition: str) -> tuple[int, str]:
        """What promtool says of metrics in the text format: its exit status and its words."""
        done = subprocess.run(
            [self.programs.promtool, "check", "metrics"],
            input=exposition,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    def scrape(self, instance: str, port: int) -> None:
        """Scrape ``127.0.0.1:port`` from now on, and wait until that has worked twice.

        Args:
            instance: The value of the samples' label of this name.
            port: Where ``/metrics`` is.
        """
        target = {"targets": [f"127.0.0.1:{port}"], "labels": {"instance": instance}}
        file = self.folder / "targets" / f"{instance}.json"
        part = file.with_suffix(".part")
        part.write_text(json.dumps([target]))
        part.rename(file)
        self.until(lambda: self.scrapes(instance) > 1, f"never scraped {instance}")

    def scrapes(self, instance: str) -> int:
        """How often it has scraped something."""
        found = self.get("query", query=f'count_over_time(up{{instance="{instance}"}}[1h])')
        return sum(int(each["value"][1]) for each in found["result"])

    def fresh(self, instance: str) -> None:
        """Wait until all that is there now has been scraped."""
        # The first may have begun before.
        least = self.scrapes(instance) + 2
        self.until(lambda: self.scrapes(instance) >= least, f"stopped to scrape {instance}")

    def query(self, promql: str) -> list[Mapping[str, Any]]:
        """The series that an instant query finds."""
        return self.get("query", query=promql)["result"]

    def get(self, what: str, **parameters: object) -> Any:
        """Ask its API; return the data that it answers."""
        reply = requests.get(f"{self.url}/api/v1/{what}", params=parameters, timeout=_LIMIT)
        answer = reply.json()
        assert answer["status"] == "success", answer
        return answer["data"]

    def until(self, condition: Callable[[], object], otherwise: str) -> None:
        """Wait for a condition."""
        _wait(self.process, condition, otherwise)


def install(say: cache.Say) -> Programs:
    """Find Prometheus's programs; install Debian's package where there are none."""
    return debian.install("prometheus", _programs, say, "prometheus")


def _programs() -> Programs | None:
    server, tool = shutil.which("prometheus"), shutil.which("promtool")
    return Programs(server, tool) if server and tool else None


@contextmanager
def prometheus(
    programs: Programs, folder: Path, settings: str | None = None, options: Sequence[str] = ()
) -> Iterator[Prometheus]:
    """Run a Prometheus on a free port, with its data in `folder`; `settings` is its file."""
    (folder / "targets").mkdir(parents=True)
    (folder / "prometheus.yml").write_text(_SETTINGS if settings is None else settings)
    command = [
        programs.prometheus,
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        "--web.listen-address=127.0.0.1:0",
        "--enable-feature=exemplar-storage",
        *options,
    ]
    process = Process("prometheus", command, folder / "log")
    try:
        process.start()
        url = f"http://{_address(process)}"
        ready = f"{url}/-/ready"
        _wait(process, lambda: requests.get(ready, timeout=_LIMIT).ok, "did not become ready")
        yield Prometheus(process, url, programs, folder)
    finally:
        process.close()


def _address(process: Process) -> str:
    """Where it listens, by its log."""
    _wait(process, lambda: _LISTENS.search(process.log.read_text()), "does not listen")
    found = _LISTENS.search(process.log.read_text())
    assert found is not None
    return found[1]


def _wait(process: Process, condition: Callable[[], object], otherwise: str) -> None:
    end = time.monotonic() + _LIMIT
    while not condition():
        if not process.running:
            raise process.failed("ended")
        if time.monotonic() > end:
            raise process.failed(otherwise)
        time.sleep(0.02)
