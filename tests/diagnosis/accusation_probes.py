"""The scenes of probes: what an exporter says of servers that fail, and of wrong settings."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from dataclasses import dataclass

from accusation_witnesses import SETTINGS, Evidence, Testimony
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry
from recorded_service import LIMIT, Records

from traced_image import Config, Telemetry, lab
from traced_image.exporter.journal import Journal
from traced_image.exporter.probing.result import ProbeResult, ProbeResults
from traced_image.exporter.probing.schedule import ProbeSchedule, Timing
from traced_image.exporter.report import make_report
from traced_image.lab import faults
from traced_image.telemetry import make_recorder
from traced_image.telemetry.shared_metrics import attach

ABSENT = "84efd1f0-5f0f-4a67-8e4d-2f8a2f7b9c31"


@dataclass(frozen=True)
class ProbeScene:
    """One kind of trouble, which probes meet.

    Attributes:
        title: What it is, for an operator.
        accused: Who is accused.
        reason: Why, in the metrics.
        fault: What is wrong with the servers.
        path: The path of the servers' addresses.
        image: The canary; None for one that exists.
    """

    title: str
    accused: frozenset[str]
    reason: str = ""
    fault: lab.Fault | None = None
    path: str = ""
    image: str | None = None


PROBES = {
    "probe_down": ProbeScene(
        "a probe, of a server that refuses connections",
        frozenset({"first"}),
        "connection_refused",
        faults.refuse(),
    ),
    "probe_image": ProbeScene(
        "a probe, whose canary image does not exist",
        frozenset({SETTINGS["image"]}),
        image=ABSENT,
    ),
    "probe_credentials": ProbeScene(
        "a probe, whose credentials are refused",
        frozenset({SETTINGS["credentials"]}),
        fault=faults.status(403).only(path="/v2/images/"),
    ),
    "probe_prefix": ProbeScene(
        "a probe, with a wrong prefix in the server's address",
        frozenset({SETTINGS["prefix"]}),
        path="/image",
    ),
}
"""By name."""


class _Token:
    """A token that Glance takes, for a user who may not see the canary."""

    def get_token(self) -> str:
        return "valid"

    def invalidate(self) -> bool:
        return False


class _Results(ProbeResults):
    """Results that tell when the first one has come."""

    def __init__(self) -> None:
        super().__init__()
        self.come = asyncio.Event()

    def put(self, result: ProbeResult) -> None:
        super().put(result)
        self.come.set()


def ask_probe(scene: ProbeScene) -> Testimony:
    """Probe a server until there is a result; ask the witnesses."""
    registry, exporter, journal = CollectorRegistry(), InMemorySpanExporter(), Journal()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    results = _Results()
    with ExitStack() as stack:
        server = stack.enter_context(lab.GlanceServer())
        image = scene.image or server.images.add(name="cirros", data=b"data")
        if scene.fault is not None:
            server.break_with(scene.fault)
        log = stack.enter_context(Records(ProbeSchedule.__module__))
        telemetry = Telemetry(tracer_provider=provider, registry=registry, meter_provider=False)
        config = Config(servers=[f"{server.url}{scene.path}"], auth=_Token())
        schedule = ProbeSchedule(
            config,
            recorder=make_recorder(telemetry),
            results=results,
            image=image,
            timing=Timing(sleep=lambda _seconds: asyncio.sleep(0)),
        )
        attach(registry, journal)
        registry.register(results)
        asyncio.run(asyncio.wait_for(_play(schedule, results.come), LIMIT))
        report = make_report(journal.hour(), None, results.summarize())
        failed = [
            f"{sample.labels['server_address']}:{sample.labels['server_port']}"
            for metric in registry.collect()
            for sample in metric.samples
            if sample.name == "glance_client_server_last_failure_timestamp_seconds" and sample.value
        ]
        spans = exporter.get_finished_spans()
        netlocs = [f"{server.host}:{server.port}"]
        return Evidence(netlocs, spans, registry, log.records, failed, report).ask("")


async def _play(schedule: ProbeSchedule, come: asyncio.Event) -> None:
    async with schedule:
        await come.wait()
