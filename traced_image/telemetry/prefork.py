"""Metrics of servers with several processes (prometheus_client's multiprocess mode)."""

from __future__ import annotations

from typing import Protocol


class Worker(Protocol):
    """A process of the server, as gunicorn's hooks are given it."""

    pid: int


def child_exit(server: object, worker: Worker) -> None:  # noqa: ARG001 - gunicorn's signature
    """Forget the gauges of a worker that has ended; gunicorn's hook of this name.

    What it has counted stays, so that sums are right. In ``gunicorn.conf.py``::

        from traced_image.telemetry import child_exit

    Args:
        server: The arbiter, which is not used.
        worker: The process that ended.
    """
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]
