"""The processes of a soak: programs that tell their figures, and the stand-alone exporter."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .measures import count_series, read_process

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_LIMIT = 30.0
_PR_SET_PDEATHSIG = 1
RELOADED = "traced_image_exporter_config_last_reload_successful"


@dataclass(slots=True)
class Program:
    """A program of this package that answers each line with a line of JSON.

    Several are started and ended at the same time, because each imports much and exports the rest.

    Attributes:
        told: Its first line, once it has started.
    """

    process: subprocess.Popen[str]
    told: dict[str, Any] = field(default_factory=dict)

    def wait(self) -> dict[str, Any]:
        """Wait until it has started, and return its first line.

        Raises:
            SystemExit: It has ended.
        """
        self.told = self.read()
        return self.told

    def end(self) -> None:
        """Tell it to end, and do not wait for it."""
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()  # type: ignore[union-attr]

    def ask(self) -> dict[str, Any]:
        """Return its figures.

        Raises:
            SystemExit: It has ended.
        """
        with contextlib.suppress(BrokenPipeError):
            print(file=self.process.stdin, flush=True)
        return self.read()

    def read(self) -> dict[str, Any]:
        """Return the next line.

        Raises:
            SystemExit: It has ended.
        """
        line = self.process.stdout.readline()  # type: ignore[union-attr]
        if not line:
            raise SystemExit(f"{self.process.args!r} ended early")
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextlib.contextmanager
def start(name: str, argument: str) -> Iterator[Program]:
    """Start a program, and end it afterwards.

    Args:
        name: The name of its module.
        argument: Its argument.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", f"soak.{name}", argument],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=_make_environment(),
        start_new_session=True,  # an interrupt of the keyboard is for the run alone
    )
    program = Program(process)
    try:
        yield program
    finally:
        program.end()
        _end(process)
        process.stdout.close()  # type: ignore[union-attr]


def _make_environment() -> dict[str, str]:
    """The environment without proxies, and without settings of the caller's."""
    hidden = ("OTEL_", "OS_", "TRACED_IMAGE_", "PROMETHEUS_")
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(hidden) and not name.lower().endswith("_proxy")
    }


def _end(process: subprocess.Popen[str]) -> None:
    try:
        process.wait(_LIMIT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@dataclass(slots=True)
class StandAlone:
    """The command ``traced-image exporter``, whose configuration changes.

    Attributes:
        url: Its address.
        reloads: How many times its configuration was written.
    """

    process: subprocess.Popen[str]
    url: str
    file: Path
    servers: Sequence[str]
    reloads: int = 0

    def reload(self) -> None:
        """Change the configuration: all servers, or all but one; at times ask for a reload, too."""
        self.reloads += 1
        write_config(self.file, self.servers[self.reloads % 2 :])
        if self.reloads % 3 == 0:
            self.process.send_signal(signal.SIGHUP)

    def describe(self) -> dict[str, float]:
        """Return its figures, and whether the latest reload succeeded.

        Raises:
            OSError: It has ended.
        """
        page = scrape(self.url)
        return {
            **read_process(self.process.pid),
            **count_series(page),
            "reloaded": float(f"\n{RELOADED} 1" in page),
        }


@contextlib.contextmanager
def start_exporter(folder: Path, servers: Sequence[str]) -> Iterator[StandAlone]:
    """Start the command, and end it afterwards.

    Args:
        folder: Where its configuration and its log are.
        servers: The servers that it probes.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        place = f"127.0.0.1:{free.getsockname()[1]}"
    file = folder / "nova.conf"
    write_config(file, servers)
    options = ["--config", str(file), "--listen", place, "--interval", "1s", "--timeout", "2s"]
    with (folder / "exporter.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "traced_image", "exporter", *options],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            text=True,
            env=_make_environment(),
            start_new_session=True,
            preexec_fn=_end_with_parent,  # noqa: PLW1509 - this process has one thread
        )
    try:
        alone = StandAlone(process, f"http://{place}/", file, servers)
        _wait(alone, folder / "exporter.log")
        yield alone
    finally:
        process.terminate()
        _end(process)


def _end_with_parent() -> None:
    """Have the kernel end this process if the run is killed; the others see their input end."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def write_config(file: Path, servers: Sequence[str]) -> None:
    """Write a configuration as a whole, as those who manage files do."""
    new = file.with_suffix(".new")
    new.write_text(f"[glance]\napi_servers = {','.join(servers)}\n")
    new.replace(file)


def _wait(alone: StandAlone, log: Path) -> None:
    ends = time.monotonic() + _LIMIT
    while alone.process.poll() is None and time.monotonic() < ends:
        with contextlib.suppress(OSError):
            scrape(alone.url)
            return
        time.sleep(0.05)
    raise SystemExit(f"the exporter did not start:\n{log.read_text()}")


def scrape(url: str) -> str:
    """Return the metrics of an exporter.

    Args:
        url: The address of its page.
    """
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{url}metrics", timeout=_LIMIT) as reply:
        page: bytes = reply.read()
    return page.decode()
