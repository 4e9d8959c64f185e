"""A gunicorn of several workers, which can be killed, and the metrics that they have in all."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector
from waiting import LIMIT, until

WORKERS = 3

CONFIGURATION = """\
from pathlib import Path

from traced_image.telemetry import child_exit

control_socket_disable = True


def post_worker_init(worker):
    Path("ready", str(worker.pid)).touch()
"""


class Gunicorn:
    """A running gunicorn of `prefork_app`.

    Args:
        folder: Where it runs, for its files.
        servers: The lab's.
        preload: Whether the application is built before the fork.
    """

    def __init__(self, folder, servers, *, preload):
        self.folder = folder
        for name in ("ready", "held", "metrics"):
            (folder / name).mkdir()
        (folder / "gunicorn.conf.py").write_text(CONFIGURATION)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._port = self._socket.getsockname()[1]
        command = [sys.executable, "-m", "gunicorn", f"--bind=fd://{self._socket.fileno()}"]
        command += [f"--workers={WORKERS}", "--config=gunicorn.conf.py"]
        command += ["--preload"] * preload
        with (folder / "log").open("w") as log:
            self._process = subprocess.Popen(
                [*command, f"--pythonpath={Path(__file__).parent}", "prefork_app:build()"],
                cwd=folder,
                pass_fds=[self._socket.fileno()],
                stdout=log,
                stderr=subprocess.STDOUT,
                env={
                    **os.environ,
                    "LAB_SERVERS": " ".join(server.url for server in servers),
                    "PROMETHEUS_MULTIPROC_DIR": str(folder / "metrics"),
                },
            )

    def __enter__(self):
        self._until(lambda: len(self.workers) == WORKERS, "workers did not start")
        return self

    def __exit__(self, *_):
        self._process.terminate()
        try:
            self._process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._socket.close()

    def _until(self, condition, otherwise):
        assert until(condition), f"{otherwise}:\n{(self.folder / 'log').read_text()[-3000:]}"

    @property
    def pid(self):
        return self._process.pid

    @property
    def workers(self):
        """The processes that are ready and not dead."""
        return set(filter(_lives, self._noted("ready")))

    def _noted(self, what):
        return {int(file.name) for file in (self.folder / what).iterdir()}

    def get(self, path):
        """Make a request; return which process answered, or None if it died instead."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=LIMIT)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            body = response.read().decode()
        except (ConnectionError, http.client.HTTPException):
            return None
        finally:
            connection.close()
        assert response.status == http.client.OK, body
        return int(body)

    def holder(self, *places):
        """Wait until a worker that says so has an attempt under way on one of some servers."""
        found = set()

        def holds():
            for pid in self.workers & self._noted("held"):
                active = self.of(
                    "glance_client_active_attempts", "server_address", "server_port", only=pid
                )
                if any(active.get(place) for place in places):
                    found.add(pid)
            return found

        self._until(holds, "no worker holds a request")
        return found.pop()

    def kill(self, *pids):
        """Kill workers, and wait until others have taken their place."""
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        self._until(lambda: not any(map(_lives, pids)), f"{pids} do not die")
        self._until(lambda: len(self.workers) == WORKERS, "dead workers are not replaced")

    def of(self, name, *labels, only="*"):
        """The samples called `name`, by the values of `labels`: of all processes, or of one."""
        total = {}
        for sample in self.samples(only):
            if sample.name == name:
                key = tuple(sample.labels[label] for label in labels)
                total[key] = total.get(key, 0.0) + sample.value
        return total

    def samples(self, only="*"):
        folder = self.folder / "metrics"
        if only == "*":
            registry = CollectorRegistry()
            MultiProcessCollector(registry, str(folder))
            metrics = registry.collect()
        else:
            metrics = MultiProcessCollector.merge(map(str, folder.glob(f"*_{only}.db")))
        return [sample for metric in metrics for sample in metric.samples]

    @property
    def live(self):
        """The processes that have gauges of the living."""
        files = (self.folder / "metrics").glob("gauge_live*.db")
        return {int(file.stem.rpartition("_")[2]) for file in files}


def _lives(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
