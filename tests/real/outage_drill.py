"""Kills, restarts and freezes real Glance servers, and notes which alerts come when.

``PYTHONPATH=tests/real python tests/real/outage_drill.py FILE`` takes 20 minutes, mostly idle. The
times of outages in ``docs/how-to/alert.md`` and ``docs/explanation/alerts-seen.md`` are from what
it wrote to its file. The rules are those of ``dashboards/rules``. Prometheus scrapes every 15
seconds; Alertmanager waits 10 seconds for more alerts.
"""

import multiprocessing
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TextIO

from alert_scene import ROUTES, caller, settings
from parts import alertmanager, cache, glance, images, prometheus
from parts.alertmanager import Webhook
from parts.http import HTTPPart

from traced_image import lab
from traced_image.lab import faults

CONTEXT = multiprocessing.get_context("spawn")
LEAD, AFTER = 120, 240
RESTART = 55
"""Seconds until a killed server is started again, which itself takes some."""


class Notes:
    """Writes what happens, and which alerts come meanwhile.

    Args:
        file: Where to, line by line.
        hook: What receives the notices.
    """

    def __init__(self, file: TextIO, hook: Webhook) -> None:
        self._file, self._hook, self._began = file, hook, time.time()

    def begin(self, what: str) -> None:
        """Count the seconds from now on."""
        self._began = time.time()
        self._file.write(f"--- {what}\n")

    def listen(self, seconds: float) -> None:
        """Write down each notice of so many seconds."""
        end = time.time() + seconds
        while self._hook.collect(end - time.time()):
            notice = self._hook.notices.pop()
            labels, status = notice.alert["labels"], notice.alert["status"]
            about = [
                f"{key}={labels[key]}" for key in sorted({*labels} - {"alertname", "severity"})
            ]
            self._file.write(
                f"{notice.when - self._began:6.0f} s {notice.route} {status} {notice.name}"
                f" {' '.join(about)}\n"
                f"         {notice.alert['annotations']['description']}\n"
            )


def _call(urls: list[str], image_id: str, period: float, told: Connection) -> None:
    """Call servers once in a period until the parent is gone; half of the calls read data."""

    def call(service):
        if random.random() < 0.5:
            service.show(None, image_id)
        else:
            b"".join(service.download(None, image_id))

    with caller(urls, call, period, read_timeout=2.0) as port:
        told.send(port)
        with suppress(EOFError):
            told.recv()


@contextmanager
def job(urls: list[str], image_id: str, period: float) -> Iterator[int]:
    """Run a caller in a process of its own, which knows of no other's failures; yields its port."""
    near, far = CONTEXT.Pipe()
    process = CONTEXT.Process(target=_call, args=(urls, image_id, period, far), daemon=True)
    process.start()
    far.close()
    try:
        yield near.recv()
    finally:
        near.close()
        process.join()


def play(notes: Notes, glances: Sequence[HTTPPart], broken: lab.GlanceServer) -> None:
    """Break, listen, repair."""
    first, second, third = glances
    notes.begin("lead")
    notes.listen(LEAD)
    notes.begin(f"{second.url} is killed, and started again {RESTART} s later")
    second.kill()
    notes.listen(RESTART)
    second.restart()
    notes.listen(AFTER - RESTART)
    notes.begin("each server is restarted in turn")
    for each in glances:
        each.kill()
        notes.listen(10)
        each.restart()
        notes.listen(10)
    notes.listen(120)
    notes.begin(f"{first.url} is killed; {broken.url} fails downloads")
    first.kill()
    broken.break_with(faults.status(503).only(path="/file$"))
    notes.listen(AFTER)
    notes.begin("both are repaired")
    first.restart()
    broken.heal()
    notes.listen(AFTER / 2)
    notes.begin(f"{third.url} is frozen")
    third.stop()
    notes.listen(AFTER)
    notes.begin("it goes on")
    third.cont()
    notes.listen(AFTER / 2)


def main(out: Path) -> None:
    """Play it, and write what was seen to a file."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        environment = cache.install(cache.GLANCE, print)
        glances = stack.enter_context(glance.glances(environment, folder / "glances"))
        image_id = next(
            iter(images.populate([each.url for each in glances], folder / "glances").values())
        )
        labs = stack.enter_context(lab.cluster(3))
        of_lab = labs[0].images.add(name="cirros", data=b"." * 4096, visibility="public")
        urls, of_labs = [each.url for each in glances], [each.url for each in labs]
        jobs = {
            name: stack.enter_context(job(*told))
            for name, told in {
                "rare": (urls, image_id, 10.0),
                "busy": (urls, image_id, 0.5),
                "alone": (urls[:1], image_id, 10.0),
                "operation": (of_labs, of_lab, 3.0),
            }.items()
        }
        hook = stack.enter_context(alertmanager.webhook())
        routes = ROUTES.format(url=hook.url, wait="10s")
        program = alertmanager.install(print)
        address = stack.enter_context(alertmanager.alertmanager(program, folder / "am", routes))
        told = settings(jobs, address)
        stack.enter_context(prometheus.prometheus(prometheus.install(print), folder / "prom", told))
        play(Notes(stack.enter_context(out.open("w", buffering=1)), hook), glances, labs[1])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
