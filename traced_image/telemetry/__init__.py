"""Telemetry composed around the pipeline; importing this imports no OpenTelemetry.

`Telemetry` says where it goes. Programs may have OpenTelemetry's SDK set up by `setup`, and servers
with several processes (prometheus_client's multiprocess mode) say by `child_exit` that one of them
has ended.
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
    """Make a recorder of the calls of any client.

    Args:
        telemetry: Where to tell of them; None is `Telemetry` with its defaults.
        servers: The servers that have series of their own, at zero from now on; others get
            theirs when they are first asked.

    Raises:
        InvalidOption: `telemetry` is not a `Telemetry`.
    """
    from . import options, shared_metrics

    telemetry = Telemetry() if telemetry is None else telemetry
    options.check_type("telemetry", telemetry, fits=isinstance(telemetry, Telemetry))
    return shared_metrics.make_recorder(telemetry, servers)


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
