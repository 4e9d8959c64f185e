"""Telemetry composed around the pipeline; importing this imports no OpenTelemetry.

`Telemetry` says where it goes. Programs may have OpenTelemetry's SDK set up by `setup`, and servers
with several processes (prometheus_client's multiprocess mode) say by `child_exit` that one of them
has ended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from .options import Telemetry

if TYPE_CHECKING:
    from .sdk import Providers

__all__ = ["Telemetry", "child_exit", "setup"]


def setup() -> Providers:
    """Set OpenTelemetry's SDK up for a program; a library leaves that to the program.

    Every ``OTEL_*`` variable counts that the SDK knows: endpoint, protocol, headers, sampler,
    resource, ``OTEL_SDK_DISABLED``, ``OTEL_CONFIG_FILE``. The SDK's default is to export nothing;
    here it is OTLP where an endpoint is set and no exporter is named. What is left is exported
    when the program ends.

    Raises:
        MissingExtra: The packages of the extra ``otlp`` are not there.
        InvalidOption: ``OTEL_EXPORTER_OTLP_PROTOCOL`` is none that the SDK speaks.
    """
    from .sdk import set_up

    return set_up()


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
