"""What the dashboards are asked about: callers with one server that fails, and who watches them.

Four Glance servers of the lab: one is well, one is slow, one cuts downloads off, and one refuses
connections after a while. Three callers of two jobs call them. One knows the last server alone; it
has the labels that one routes by, and the others have none. The exporter probes the servers in a
process of its own. A real Prometheus scrapes all, and one process that is not there; it has the
committed rules, but with an interval of a second.
"""

import contextlib
import itertools
import random
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import parts.prometheus
import yaml
from alert_scene import hurried
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from parts.ports import free_port
from parts.process import Process
from parts.prometheus import Programs, Prometheus
from prometheus_client import CollectorRegistry, start_http_server

import traced_image
from traced_image import RetryPolicy, Telemetry, TracedImageError, lab
from traced_image.lab import TLS, GlanceServer, faults
from traced_image.telemetry import make_recorder

RULES = Path(__file__).parents[2] / "dashboards/rules"
CALLERS = {"compute-1": "nova-compute", "compute-2": "nova-compute", "tools-1": "glance-tools"}
GONE = "compute-3"
ROUTED = {"tools-1": {"cluster": "c1", "namespace": "tools", "region": "north"}}
EXPORTER, PROBES = "exporter-1", "glance-exporter"

_SETTINGS = """\
global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}
rule_files: [rules/*.yaml]
scrape_configs:
"""


@dataclass(frozen=True)
class Servers:
    """The four servers, and one that speaks TLS, which only the exporter knows."""

    good: GlanceServer
    slow: GlanceServer
    cutting: GlanceServer
    bad: GlanceServer
    secure: GlanceServer
    cafile: str
    image_id: str


@dataclass(frozen=True)
class Caller:
    """A process, as far as Prometheus can tell."""

    instance: str
    job: str
    port: int


class _Broken(SpanProcessor):
    """A span processor that fails."""

    def on_end(self, span: object) -> None:
        raise RuntimeError("no place for spans")


@contextmanager
def servers() -> Iterator[Servers]:
    """The servers, all well but for the slow and the cutting one."""
    images = lab.Images()
    # As many bytes as are cut off in the middle.
    image_id = images.add(name="cirros", data=b"." * 65536, visibility="public")
    images.add(name="odd", visibility="public", created_at="yesterday")
    tls = TLS.trusted()
    with lab.cluster(4, images=images) as plain, GlanceServer(images, tls=tls) as secure:
        good, slow, cutting, bad = plain
        slow.break_with(faults.slow_headers(0.001).only(method="GET"))
        cutting.break_with(faults.cut_body().only(path="/file$"))
        yield Servers(good, slow, cutting, bad, secure, tls.cafile, image_id)


@contextmanager
def callers(glances: Servers) -> Iterator[list[Caller]]:
    """The callers, who call until this ends."""
    stop = threading.Event()
    everywhere = [each.url for each in (glances.good, glances.slow, glances.cutting, glances.bad)]
    with ExitStack() as stack:
        stack.callback(stop.set)
        made = []
        for instance, job in CALLERS.items():
            urls = [glances.bad.url] if job == "glance-tools" else everywhere
            auth = BesideServer(glances.bad) if job == "glance-tools" else None
            port = stack.enter_context(_caller(urls, stop, glances.image_id, instance, auth))
            made.append(Caller(instance, job, port))
        yield made


class BesideServer:
    """A source of tokens that fails while a Glance server does, as on the same machine.

    It has a token for nine of ten calls all the same, so that some calls reach that server.
    """

    def __init__(self, server: GlanceServer) -> None:
        self._server = server
        self._turns = itertools.cycle((True, *[False] * 9))

    def get_token(self) -> str:
        """Return a token."""
        if next(self._turns):
            socket.create_connection((self._server.host, self._server.port), 1).close()
        return "token"

    def invalidate(self) -> bool:
        """Do nothing: there is no other token."""
        return False


@contextmanager
def _caller(
    urls: list[str],
    stop: threading.Event,
    image_id: str,
    instance: str,
    auth: "BesideServer | None",
) -> Iterator[int]:
    registry, provider = CollectorRegistry(), TracerProvider()
    if instance == "compute-2":
        provider.add_span_processor(_Broken())
    telemetry = Telemetry(tracer_provider=provider, registry=registry, meter_provider=False)
    recorder = make_recorder(telemetry)
    service = traced_image.connect(
        servers=urls,
        auth=auth,
        num_retries=3,
        retry=RetryPolicy(
            backoff_base=0.001, budget_share=None, cooldown_base=0.2, cooldown_cap=0.5
        ),
        telemetry=telemetry,
    )
    calls = (
        lambda: service.detail(None),
        lambda: service.show(None, image_id),
        lambda: b"".join(service.download(None, image_id)),
        lambda: service.show(None, "absent"),
        lambda: recorder.hazard("create_repeated", None, None),
    )
    thread = threading.Thread(target=_call, args=(calls, stop))
    server, serving = start_http_server(0, "127.0.0.1", registry)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        stop.set()
        thread.join()
        server.shutdown()
        server.server_close()
        serving.join()
        service.close()


def _call(calls: tuple[Callable[[], object], ...], stop: threading.Event) -> None:
    while not stop.is_set():
        # In any order: calls in turn to servers in turn would not mix.
        for call in random.sample(calls, len(calls)):
            with contextlib.suppress(TracedImageError):
                call()
            if stop.wait(0.04):
                return


@contextmanager
def exporter(glances: Servers, folder: Path) -> Iterator[int]:
    """The exporter in a process of its own, and its port."""
    port = free_port()
    web = folder / "web.yml"
    web.write_text("http_server_config: {headers: {X-Frame-Options: deny}}\n")
    probed = [each.url for each in (glances.good, glances.cutting, glances.bad)]
    probed.append(f"{glances.secure.url}/image")  # a wrong prefix
    command = [
        *(str(Path(sys.executable).with_name("traced-image")), "exporter"),
        *(word for url in probed for word in ("--server", url)),
        *("--cafile", glances.cafile, "--image", glances.image_id),
        *("--interval", "1s", "--timeout", "1s", "--listen", f"127.0.0.1:{port}"),
        *("--web.config.file", str(web)),
    ]
    process = Process("exporter", command, folder / "exporter.log")
    process.start()
    try:
        yield port
    finally:
        process.close()


@contextmanager
def watched(programs: Programs, folder: Path, targets: list[Caller]) -> Iterator[Prometheus]:
    """A Prometheus that scrapes the targets and evaluates the committed rules."""
    (folder / "prometheus/rules").mkdir(parents=True)
    for file in RULES.glob("*.yaml"):
        (folder / "prometheus/rules" / file.name).write_text(hurried(file.read_text()))
    jobs: dict[str, list[dict[str, object]]] = {}
    for each in targets:
        labels = {"instance": each.instance, **ROUTED.get(each.instance, {})}
        found = {"targets": [f"127.0.0.1:{each.port}"], "labels": labels}
        jobs.setdefault(each.job, []).append(found)
    scraped = [{"job_name": job, "static_configs": found} for job, found in jobs.items()]
    with parts.prometheus.prometheus(
        programs, folder / "prometheus", _SETTINGS + yaml.dump(scraped)
    ) as running:
        yield running


def foreign() -> Caller:
    """Something else that the same Prometheus scrapes, and that is down."""
    return Caller("foreign-1", "foreign", free_port())


def gone() -> Caller:
    """A caller that is not there any more."""
    return Caller(GONE, "nova-compute", free_port())
