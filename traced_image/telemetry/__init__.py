"""Telemetry around the pipeline: spans, metrics, log fields, and the entry points to set it up.

`Telemetry` says where spans and metrics go. A program calls `setup` to configure OpenTelemetry's
SDK. A server with several processes (prometheus_client's multiprocess mode) calls `child_exit`
when one of them ends. Importing this package imports no OpenTelemetry.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from .options import Telemetry
from .recorder import Recorder, current_call

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..config import Server
    from .sdk import Providers

__all__ = ["Recorder", "Telemetry", "child_exit", "current_call", "make_recorder", "setup"]


def make_recorder(telemetry: Telemetry | None = None, servers: Iterable[Server] = ()) -> Recorder:
    """Build a recorder for the calls of any client.

    Args:
        telemetry: Where the recorder reports calls; None is `Telemetry` with its defaults.
        servers: The servers whose series exist, at zero, from now on. Any other server gets its
            series at its first attempt.

    Raises:
        InvalidOption: `telemetry` is not a `Telemetry`.
    """
    from . import options, shared_metrics

    telemetry = Telemetry() if telemetry is None else telemetry
    options.check_type("telemetry", telemetry, fits=isinstance(telemetry, Telemetry))
    return shared_metrics.make_recorder(telemetry, servers)


def setup() -> Providers:
    """Set up OpenTelemetry's SDK for a program; a library leaves that to the program.

    The SDK reads every ``OTEL_*`` variable that it knows: endpoint, protocol, headers, sampler,
    resource, ``OTEL_SDK_DISABLED``, ``OTEL_CONFIG_FILE``. The SDK's default is to export nothing.
    Here the default is OTLP if an endpoint is set and no exporter is named. The SDK exports what
    is left when the program ends.

    Raises:
        MissingExtra: The packages of the extra ``otlp`` are not installed.
        InvalidOption: A variable has a value that the SDK can't use, such as a protocol, an
            exporter or a propagator that it does not know. The error names the variable.
    """
    from .sdk import set_up

    return set_up()


class Worker(Protocol):
    """A worker process, as gunicorn passes it to its hooks."""

    pid: int


def child_exit(server: object, worker: Worker) -> None:  # noqa: ARG001 - gunicorn's signature
    """Remove the gauges of a worker that has ended; gunicorn's hook of this name.

    The worker's counters stay, so that sums over all workers stay correct. In
    ``gunicorn.conf.py``::

        from traced_image.telemetry import child_exit

    Args:
        server: gunicorn's arbiter; not used.
        worker: The process that ended.
    """
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]
