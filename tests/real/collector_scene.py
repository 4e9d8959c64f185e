"""Ten thousand calls whose traces go to collectors of every layout, some of which come to harm."""

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from collector_layouts import PATIENCE, SLOW, Layout, one, opened, two
from parts.collector import AGENT, TWICE, Collector
from parts.process import PartFailedError

CALLS = 10_000
DOWN = 60.0  # seconds for which a backend is
AWAY = 3.0  # seconds for which a gateway is

_TRAFFIC = Path(__file__).with_name("parts") / "inside/traffic.py"

Ids = Mapping[str, list[str]]
"""The ids of spans, each as often as it came, by those of their traces."""


@dataclass(frozen=True)
class Truth:
    """The traces that there were.

    Attributes:
        spans: The ids of each one's spans.
        due: Those that must be kept.
        ended: When each one ended, in seconds since the epoch.
    """

    spans: Ids
    due: frozenset[str]
    ended: Mapping[str, float]

    def parts(self, kept: Ids) -> list[str]:
        """The traces of which only a part was kept."""
        return [each for each, ids in kept.items() if set(ids) != set(self.spans[each])]

    def lost(self, kept: Ids, copies: int = 1) -> set[str]:
        """The traces that must be kept, and are not in as many copies."""
        return {
            each
            for each in self.due
            if any(kept.get(each, []).count(one) < copies for one in self.spans[each])
        }


def truth(file: Path) -> Truth:
    """What the service says of its traces."""
    traces = json.loads(file.read_text())
    due = (
        trace_id
        for trace_id, each in traces.items()
        if each["failed"] or each["attempts"] > 1 or each["longest"] >= SLOW
    )
    return Truth(
        {trace_id: each["spans"] for trace_id, each in traces.items()},
        frozenset(due),
        {trace_id: each["ended"] for trace_id, each in traces.items()},
    )


@contextmanager
def calls(file: Path, layouts: Sequence[Layout]) -> Iterator["subprocess.Popen[str]"]:
    """The service at work; it says on its standard output when half of its work is done."""
    command = [sys.executable, str(_TRAFFIC), str(file), str(CALLS)]
    with file.with_suffix(".log").open("w") as log:
        service = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
        )
        try:
            assert service.stdin is not None
            service.stdin.write("\n".join(f"127.0.0.1:{each.entry.grpc}" for each in layouts))
            service.stdin.close()
            yield service
        finally:
            service.kill()
            service.wait()
            assert service.stdout is not None
            service.stdout.close()


@dataclass(frozen=True)
class Outcome:
    """What there was, and what came of it.

    Attributes:
        truth: What there was.
        killed: When the gateway was.
        node: What one collector has kept.
        tiers: What two tiers have kept.
        bereft: What two tiers have kept of which a gateway was killed.
        restarted: What the collector has kept whose backend was down.
        counted: How many calls the spans' metrics know of, by layout.
        down: For how many seconds the backend was down.
    """

    truth: Truth
    killed: float
    node: Ids
    tiers: Ids
    bereft: Ids
    restarted: Ids
    counted: Mapping[str, int]
    down: float


@contextmanager
def scene(program: Path, folder: Path) -> Iterator[Outcome]:
    """All of it at the same time, in little more than the minute for which the backend is down."""
    node, tiers = one(program, folder / "node"), two(program, folder / "tiers", AGENT)
    bereft = two(program, folder / "bereft", AGENT, TWICE)
    restarted = one(program, folder / "restarted")
    layouts = (node, tiers, bereft, restarted)
    with opened(layouts, but=restarted.backend), calls(folder / "truth.json", layouts) as service:
        began = time.monotonic()
        killed = _harm(service, bereft.deciding[0], restarted.entry)
        told = truth(folder / "truth.json")
        down = _survive(restarted, began)
        for layout in (node, tiers):
            layout.until_decided(len(told.spans))
        for layout in (node, tiers, bereft):
            layout.until(layout.is_through, "did not send all")
            layout.stop()
        _catch_up(restarted, set(node.backend.ids()))
        ids = [each.backend.ids() for each in layouts]
        counts = {"node": node.counted(), "tiers": tiers.counted()}
        yield Outcome(told, killed, *ids, counts, down)


def _harm(service: "subprocess.Popen[str]", gateway: Collector, node: Collector) -> float:
    """Kill the one for a while and restart the other amid the calls; return when."""
    assert service.stdout is not None
    assert "half\n" == service.stdout.readline()
    killed = time.time()
    gateway.kill()
    node.stopped()
    node.open()
    time.sleep(AWAY)
    gateway.open()
    assert 0 == service.wait(PATIENCE)
    return killed


def _survive(restarted: Layout, began: float) -> float:
    """Kill a collector that has decided, too; return for how long its backend was down."""
    restarted.until(restarted.has_decided, "did not decide")
    restarted.entry.kill()
    restarted.entry.open()
    assert 0 == restarted.backend.size("traces")
    time.sleep(max(0.0, began + DOWN - time.monotonic()))
    down = time.monotonic() - began
    restarted.backend.open()
    return down


def _catch_up(restarted: Layout, wanted: set[str]) -> None:
    """Wait until it has sent what another has kept; a test says what is missing if it does not."""
    with contextlib.suppress(PartFailedError):
        restarted.until(lambda: wanted <= set(restarted.backend.ids()), "lost traces")
