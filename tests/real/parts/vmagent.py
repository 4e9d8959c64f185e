"""VictoriaMetrics's agent, which scrapes, aggregates and sends on; built of its Go module."""

import contextlib
import re
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import requests

from . import cache, go
from .ports import free_port
from .process import Process

VERSION = "v1.151.0"

_PACKAGE = "github.com/VictoriaMetrics/VictoriaMetrics/app/vmagent"
_LIMIT = 60.0  # seconds for what takes one on an idle machine


def install(say: cache.Say) -> Path:
    """Its program: built now unless it was built before."""
    return go.install(_PACKAGE, VERSION, say)


class Agent(Process):
    """An agent on a port of its own, whose queue survives it.

    Args:
        name: What messages call it.
        program: From `install`.
        folder: Where its log and its queue are; made if need be.
        *options: Its command line.
        **variables: Environment variables that its configurations read.
    """

    def __init__(
        self, name: str, program: Path, folder: Path, options: Sequence[str], **variables: str
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        command = [
            str(program),
            f"-httpListenAddr=127.0.0.1:{port}",
            f"-remoteWrite.tmpDataPath={folder / 'queue'}",
            *options,
        ]
        super().__init__(name, command, folder / "log", env=variables, farewell=signal.SIGTERM)

    def open(self) -> "Agent":
        """Start it, and wait until it answers."""
        self.start()
        self.until(self._answers, "did not become healthy")
        return self

    def _answers(self) -> bool:
        with contextlib.suppress(requests.ConnectionError):
            return requests.get(f"{self.url}/health", timeout=_LIMIT).ok
        return False

    def own(self, name: str) -> float:
        """The sum of its own metric's series of this name."""
        text = requests.get(f"{self.url}/metrics", timeout=_LIMIT).text
        return sum(map(float, re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, re.MULTILINE)))

    def until(self, condition: Callable[[], object], otherwise: str) -> None:
        """Wait for a condition while it runs."""
        end = time.monotonic() + _LIMIT
        while not condition():
            if not self.running:
                raise self.failed("ended")
            if time.monotonic() > end:
                raise self.failed(otherwise)
            time.sleep(0.05)
