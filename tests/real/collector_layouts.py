"""The layouts in which collectors are run: what spans are sent to, and where they come out."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from parts.backend import Backend
from parts.collector import GATEWAY, NODE, Collector

WAIT = 8.0  # seconds until a collector decides, if a trace's root does not come
ROOT_WAIT = 2.0  # seconds from its root on
SHARE = 0.05
SLOW = 0.5  # seconds
PATIENCE = 90.0

VARIABLES = {
    "COLLECTOR_DECISION_WAIT": f"{WAIT:.0f}s",
    "COLLECTOR_ROOT_WAIT": f"{ROOT_WAIT:.0f}s",
    "COLLECTOR_SLOW": f"{SLOW}s",
    "COLLECTOR_SHARE_PERCENT": f"{100 * SHARE:.0f}",
    "COLLECTOR_FLUSH_INTERVAL": "2s",
}
_TAIL = "otelcol_processor_tail_sampling"


@dataclass(frozen=True)
class Layout:
    """What spans are sent to, and where they come out.

    Attributes:
        entry: What the service sends to.
        deciding: Those that sample.
        backend: What is behind them.
    """

    entry: Collector
    deciding: tuple[Collector, ...]
    backend: Backend

    @property
    def collectors(self) -> tuple[Collector, ...]:
        """All of them, in the order in which spans come by."""
        return tuple(dict.fromkeys((self.entry, *self.deciding)))

    def own(self, name: str) -> float:
        """The sum of a metric of those that sample, since each was started."""
        return sum(each.own(name) for each in self.deciding)

    def decided(self) -> float:
        """How many traces were decided on."""
        return self.own(f"{_TAIL}_global_count_traces_sampled")

    def has_decided(self) -> bool:
        """Whether no trace waits."""
        return 0 < self.own(f"{_TAIL}_new_trace_id_received") == self.decided()

    def until_decided(self, traces: int) -> None:
        """Wait until they have decided on so many traces, and their metrics have as many calls."""
        self.until(lambda: self.decided() >= traces, "did not decide")
        self.until(lambda: self.counted() >= traces, "did not count")

    def is_through(self) -> bool:
        """Whether all that is kept has been taken out of the queues."""
        queued = sum(each.own("otelcol_exporter_queue_size") for each in self.collectors)
        return queued == 0 and self.has_decided()

    def until(self, condition: Callable[[], object], otherwise: str) -> None:
        """Wait for a condition."""
        self.entry.until(condition, otherwise, PATIENCE)

    def counted(self) -> int:
        """How many calls the spans' metrics know of."""
        points = self.backend.points("traces.span.metrics.calls")
        calls = [each for each in points if each[0]["span.name"] == "glance.images.get"]
        latest = {frozenset(labels.items()): point.as_int for labels, point in calls}
        return sum(latest.values())

    def stop(self) -> None:
        """End the collectors as a service manager does, those that send before those that get."""
        for each in self.collectors:
            each.stopped()


def one(program: Path, folder: Path) -> Layout:
    """One collector for a node."""
    backend = Backend("backend", folder / "backend")
    node = Collector("node", program, [NODE], folder / "node", **VARIABLES, **backend.variables)
    return Layout(node, (node,), backend)


def two(program: Path, folder: Path, *configs: Path) -> Layout:
    """An agent with these configurations, and two gateways."""
    backend = Backend("backend", folder / "backend")
    gateways = tuple(
        Collector(name, program, [GATEWAY], folder / name, **VARIABLES, **backend.variables)
        for name in ("gateway-1", "gateway-2")
    )
    variables = {
        "COLLECTOR_GATEWAYS": _list([each.grpc for each in gateways]),
        "COLLECTOR_KEPT_GATEWAYS": _list([each.kept for each in gateways]),
        "COLLECTOR_GATEWAYS_INSECURE": "true",
    }
    agent = Collector("agent", program, configs, folder / "agent", **VARIABLES, **variables)
    return Layout(agent, gateways, backend)


def _list(ports: list[int]) -> str:
    return f"[{', '.join(f'127.0.0.1:{port}' for port in ports)}]"


@contextmanager
def opened(layouts: Sequence[Layout], *, but: Backend | None = None) -> Iterator[None]:
    """The collectors and their backends at work, maybe but for one of these."""
    processes = [each for one in layouts for each in (*one.collectors, one.backend)]
    with ExitStack() as stack, ThreadPoolExecutor() as pool:
        for process in processes:
            stack.callback(process.kill)
        list(pool.map(lambda process: process is but or process.open(), processes))
        yield
