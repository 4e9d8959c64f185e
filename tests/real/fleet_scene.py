"""Callers that two agents add up, each for a Prometheus of its own, and one that scrapes them all.

The agents have the files of ``traced-image dashboards --fleet``, with seconds in place of minutes.
All callers are in this process, each with a registry and a port of its own, so that what they have
counted is known exactly.
"""

import contextlib
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import parts.prometheus
from alert_scene import hurried
from parts.prometheus import Programs, Prometheus
from parts.vmagent import Agent
from prometheus_client import CollectorRegistry, start_http_server
from traced_image_dashboards import fleet

import traced_image
from traced_image import RetryPolicy, Telemetry, TracedImageError, lab
from traced_image.lab import GlanceServer, faults

JOB = "nova-compute"
TIMING = fleet.Timing("1s", "2s", "1h", "3s")
CALLERS = 4
_PAUSE = 0.04  # seconds between two calls of a caller
_RULES = Path(__file__).parents[2] / "dashboards/rules"
_RECEIVER = "--web.enable-remote-write-receiver"
_SCRAPING = "scrape_configs:\n- job_name: callers\n  file_sd_configs: [{files: [targets/*.json]}]\n"
_RECEIVING = "storage: {tsdb: {out_of_order_time_window: 30m}}\n"  # as docs/how-to/scale.md has it
_SETTINGS = """\
global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}
rule_files: [rules/*.yaml]
"""


class Caller:
    """A process that calls Glance, as its scrapes see it.

    Args:
        name: Its label ``instance``.
        servers: The servers that it calls.
    """

    def __init__(self, name: str, servers: Sequence[GlanceServer]) -> None:
        self.name = name
        self.registry = CollectorRegistry()
        self._service = traced_image.connect(
            servers=[each.url for each in servers],
            num_retries=3,
            retry=RetryPolicy(
                backoff_base=0.001, budget_share=None, cooldown_base=0.2, cooldown_cap=0.4
            ),
            telemetry=Telemetry(registry=self.registry, meter_provider=False),
        )
        self._server, self._thread = start_http_server(0, "127.0.0.1", self.registry)
        self.port = self._server.server_address[1]

    def call(self, image: str) -> None:
        """Make a call, whatever comes of it."""
        with contextlib.suppress(TracedImageError):
            self._service.show(None, image)

    def list(self) -> None:
        """Make another call."""
        with contextlib.suppress(TracedImageError):
            self._service.detail(None)

    def close(self) -> None:
        """Be gone, as a process that was stopped."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self._service.close()


@dataclass
class Fleet:
    """The callers, who adds them up, and who watches.

    Attributes:
        folder: Where all is.
        servers: The Glance servers; the last one fails at some time.
        image: An image of theirs.
        direct: The Prometheus that scrapes each caller.
        agents: The agents by their names.
        stores: The Prometheus of each agent.
        standby: The second agent of the first one's store, which does not run yet.
        callers: The callers there are now.
        gone: The callers that are not there any more.
    """

    folder: Path
    servers: Sequence[GlanceServer]
    image: str
    direct: Prometheus
    agents: Mapping[str, Agent]
    stores: Mapping[str, Prometheus]
    standby: Agent
    callers: list[Caller] = field(default_factory=list)
    gone: list[Caller] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def add(self, count: int = 1, job: str = JOB, *, broken: bool = False) -> list[Caller]:
        """Start callers, of all servers or of the failing one, and have them scraped."""
        servers = self.servers[-1:] if broken else self.servers
        made = [Caller(f"{job}-{next(self._numbers)}", servers) for _ in range(count)]
        self.callers += made
        self._discover()
        return made

    def remove(self, caller: Caller) -> None:
        """Stop a caller."""
        self.callers.remove(caller)
        self.gone.append(caller)
        self._discover()
        caller.close()

    def _discover(self) -> None:
        jobs: dict[str, list[dict[str, object]]] = {}
        for each in self.callers:
            job = each.name.rpartition("-")[0]
            labels = {"job": job, "instance": each.name}
            jobs.setdefault(job, []).append(
                {"targets": [f"127.0.0.1:{each.port}"], "labels": labels}
            )
        text = json.dumps([each for targets in jobs.values() for each in targets])
        for place in (self.direct.folder, *(self.folder / name for name in self.agents)):
            part = place / "targets" / "callers.part"
            part.write_text(text)
            part.rename(part.with_suffix(".json"))

    def counted(self) -> dict[tuple[str, ...], float]:
        """What all callers have counted together, by series without their instance."""
        names = {name for each in fleet.ADDED for name in fleet.list_series(each)}
        sums: dict[tuple[str, ...], float] = {}
        for caller in (*self.callers, *self.gone):
            for metric in caller.registry.collect():
                for sample in metric.samples:
                    if sample.name in names:
                        key = series_key({"__name__": sample.name, **sample.labels})
                        sums[key] = sums.get(key, 0.0) + sample.value
        return sums

    def settle(self, *without: str) -> None:
        """Wait until all that was counted has come everywhere, but to some agents' stores."""
        counted = self.counted()
        stores = [store for name, store in self.stores.items() if name not in without]
        for store in (*stores, self.direct):
            until(
                lambda store=store: is_equal(counted, added_up(store)),
                f"{store.url} never had what the callers counted",
            )

    @contextmanager
    def calling(self, job: str) -> Iterator[None]:
        """Have the callers of a job call, until this ends."""
        stop = threading.Event()
        threads = [
            threading.Thread(target=_call, args=(each, self.image, stop))
            for each in self.callers
            if each.name.startswith(job)
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            for thread in threads:
                thread.join()


def _call(caller: Caller, image: str, stop: threading.Event) -> None:
    for number in itertools.count():
        if number % 3:
            caller.call(image)
        else:
            caller.list()
        if stop.wait(_PAUSE):
            return


def series_key(labels: Mapping[str, str]) -> tuple[str, ...]:
    """A series without what names its process; an empty label is one that is not there."""
    own = {"instance", "job"}
    return tuple(f"{name}={labels[name]}" for name in sorted(labels.keys() - own) if labels[name])


def is_equal(
    counted: Mapping[tuple[str, ...], float], found: Mapping[tuple[str, ...], float]
) -> bool:
    """Whether two have the same series and values; sums of seconds differ in their last digits."""
    return counted.keys() == found.keys() and all(
        abs(found[key] - value) < 1e-6 for key, value in counted.items()
    )


def added_up(store: Prometheus) -> dict[tuple[str, ...], float]:
    """What a Prometheus has of all callers together, by series without their instance."""
    names = "|".join(name for each in fleet.ADDED for name in fleet.list_series(each))
    sums: dict[tuple[str, ...], float] = {}
    # Of a caller that is gone, the last is wanted: it has counted that.
    for each in store.query(f'last_over_time({{__name__=~"{names}"}}[1h])'):
        key = series_key(each["metric"])
        sums[key] = sums.get(key, 0.0) + float(each["value"][1])
    return sums


@contextmanager
def play(programs: Programs, vmagent: Path, folder: Path) -> Iterator[Fleet]:
    """Start all, without callers at first."""
    images = lab.Images()
    image = images.add(name="cirros", data=b"." * 1024, visibility="public")
    with ExitStack() as stack:
        servers = stack.enter_context(lab.cluster(3, images=images))
        direct = stack.enter_context(_prometheus(programs, folder / "direct", _SCRAPING))
        stores = {
            name: stack.enter_context(
                _prometheus(programs, folder / f"store-{name}", "", _RECEIVER)
            )
            for name in ("a", "b")
        }
        agents = {
            name: stack.enter_context(_agent(name, vmagent, folder / name, store))
            for name, store in stores.items()
        }
        standby = _make_agent("c", vmagent, folder / "a", stores["a"])
        stack.callback(standby.close)
        time.sleep(4)  # the agents take nothing for new before that
        playing = Fleet(folder, servers, image, direct, agents, stores, standby)
        yield playing
        for caller in playing.callers:
            caller.close()


@contextmanager
def _prometheus(
    programs: Programs, folder: Path, scraping: str, *options: str
) -> Iterator[Prometheus]:
    (folder / "rules").mkdir(parents=True)
    for file in _RULES.glob("*.yaml"):
        (folder / "rules" / file.name).write_text(hurried(file.read_text()))
    settings = _SETTINGS + (scraping or _RECEIVING)
    with parts.prometheus.prometheus(programs, folder, settings, options) as running:
        yield running


@contextmanager
def _agent(name: str, program: Path, folder: Path, store: Prometheus) -> Iterator[Agent]:
    (folder / "targets").mkdir(parents=True)
    for file, text in fleet.files(TIMING).items():
        (folder / file).write_text(text)
    agent = _make_agent(name, program, folder, store)
    try:
        yield agent.open()
    finally:
        agent.close()


def _make_agent(name: str, program: Path, folder: Path, store: Prometheus) -> Agent:
    """An agent with the files of a folder."""
    return Agent(
        f"agent {name}",
        program,
        folder / name,
        [
            f"-promscrape.config={folder / 'scraping.yaml'}",
            f"-promscrape.cluster.name=agent-{name}",
            "-promscrape.fileSDCheckInterval=500ms",
            f"-streamAggr.config={folder / 'aggregation.yaml'}",
            f"-remoteWrite.relabelConfig={folder / 'relabeling.yaml'}",
            f"-remoteWrite.url={store.url}/api/v1/write",
            "-remoteWrite.forcePromProto",
            "-remoteWrite.flushInterval=200ms",
            "-remoteWrite.queues=1",
        ],
        AGENT=f"agent-{name}",
    )


def until(condition: Callable[[], object], otherwise: str, limit: float = 60.0) -> None:
    """Wait for a condition."""
    end = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < end, otherwise
        time.sleep(0.5)


def refuse(server: GlanceServer) -> float:
    """Have a server refuse connections; return since when."""
    server.break_with(faults.refuse())
    return time.time()


def to_seconds(time: str) -> float:
    """Seconds since the epoch of a time in ISO 8601."""
    return datetime.fromisoformat(time).timestamp()
