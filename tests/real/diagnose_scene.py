"""Scenes for the diagnosis: callers in processes of their own, and something that fails.

All scenes are played at the same time and watched by one Prometheus, so that each has jobs and
servers of its own. Every server is well at first; then each scene breaks its own.
"""

import json
import socket
import ssl
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path

import trustme
import yaml
from alert_scene import faster
from parts import prometheus as part
from parts.ports import free_port
from parts.process import Process
from parts.prometheus import Programs, Prometheus

from traced_image import lab
from traced_image.lab import GlanceServer, faults

SCRIPT = Path(__file__).with_name("diagnose_caller.py")
RULES = Path(__file__).parents[2] / "dashboards/rules"
CALLERS = (("nova-api", "show"), ("nova-api", "show"), ("image-cache", "download"))
"""The jobs and what their processes do, in each scene."""

HEALTHY, BROKEN = 20.0, 35.0
"""Seconds of each part; the second is longer than a time may be wrong."""

FASTER = 10
"""By how much the rules' times are divided, so that alerts come in time."""

_SETTINGS = """\
global: {scrape_interval: 2s, scrape_timeout: 1s, evaluation_interval: 2s}
rule_files: [rules/*.yaml]
scrape_configs:
"""


class Certificate:
    """The certificates of three servers, of which the first one's ends.

    Args:
        cafile: Where to write the certificate of their authority.
    """

    def __init__(self, cafile: Path) -> None:
        self._authority = trustme.CA()
        self._authority.cert_pem.write_to_path(cafile)
        self.cafile = cafile
        self.of_servers = [lab.TLS.trusted() for _ in range(3)]
        for each in self.of_servers:
            each.known = self._issue(days=90)

    def _issue(self, days: int) -> ssl.SSLContext:
        now, context = datetime.now(timezone.utc), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        start, end = now - timedelta(days=100), now + timedelta(days=days)
        issued = self._authority.issue_cert("127.0.0.1", not_before=start, not_after=end)
        issued.configure_cert(context)
        return context

    def expire(self, server: GlanceServer) -> None:
        """Restart the first server, whose certificate has expired since yesterday."""
        # An open connection would not show it.
        server.break_with(faults.refuse())
        self.of_servers[0].known = self._issue(days=-1)
        server.heal()


@dataclass
class Scene:
    """One scene.

    Attributes:
        name: What fails.
        act: Breaks it.
        servers: Its servers.
        addresses: ``host:port`` of each.
        images: The ids of its images.
        cut: The file that cuts one caller off.
        keystone: What has to listen for its tokens; None for no tokens.
        certificate: That of its first server; None for plain HTTP.
        exporters: The exporters of its callers.
        logs: What its callers print, which has their spans.
        began: When it broke, in seconds since the epoch.
    """

    name: str
    act: Callable[["Scene"], None]
    servers: Sequence[GlanceServer] = ()
    addresses: Sequence[str] = ()
    images: Sequence[str] = ()
    cut: Path = Path()
    keystone: GlanceServer | None = None
    certificate: "Certificate | None" = None
    exporters: list[str] = field(default_factory=list)
    logs: list[Path] = field(default_factory=list)
    began: float = 0.0

    def job(self, name: str) -> str:
        """The name of a job of this scene's."""
        return f"{self.name}/{name}"

    @property
    def jobs(self) -> list[str]:
        """The jobs of this scene."""
        return sorted({self.job(name) for name, _ in CALLERS})

    def place(self, number: int) -> str:
        """``host:port`` of a server."""
        return self.addresses[number]

    @property
    def places(self) -> list[str]:
        """All of its servers."""
        return sorted(self.addresses)


def _break_all(scene: Scene) -> None:
    for each in scene.servers:
        each.break_with(faults.refuse())


def _break_image(scene: Scene) -> None:
    for each in scene.servers:
        each.break_with(faults.status(500).only(path=scene.images[1]))


ACTS: Mapping[str, Callable[[Scene], object]] = {
    "down": lambda scene: scene.servers[0].break_with(faults.refuse()),
    "hanging": lambda scene: scene.servers[0].break_with(faults.never_answer()),
    "slow": lambda scene: scene.servers[0].break_with(faults.slow_headers(0.002)),
    "operation": lambda scene: scene.servers[0].break_with(faults.status(503).only(path="/file$")),
    "network": lambda scene: scene.cut.touch(),
    "keystone": lambda scene: scene.keystone.break_with(faults.refuse()),
    "all": _break_all,
    "image": _break_image,
    "flapping": lambda scene: scene.servers[0].break_with(
        faults.flapping(*[faults.status(503)] * 4, *[None] * 12)
    ),
    "tls": lambda scene: scene.certificate.expire(scene.servers[0]),
    "stream": lambda scene: scene.servers[0].break_with(faults.cut_body().only(path="/file$")),
    "refused": lambda scene: scene.servers[0].break_with(faults.status(401)),
    "nothing": lambda scene: None,
}


@dataclass(frozen=True)
class Watched:
    """All scenes, and who watches them."""

    prometheus: Prometheus
    scenes: Mapping[str, Scene]


@contextmanager
def play(programs: Programs, folder: Path) -> Iterator[Watched]:
    """Play all scenes up to the point at which they are to be diagnosed."""
    with ExitStack() as stack:
        scenes = {name: stack.enter_context(_prepare(name, folder)) for name in ACTS}
        jobs = {
            job: [url.split("/")[2] for url in urls]
            for scene in scenes.values()
            for job, urls in _by_job(scene)
        }
        scraped = [
            {"job_name": job, "static_configs": [{"targets": targets}]}
            for job, targets in jobs.items()
        ]
        (folder / "prometheus/rules").mkdir(parents=True)
        for file in RULES.glob("*.yaml"):
            rules = faster(file.read_text(), FASTER)
            (folder / "prometheus/rules" / file.name).write_text(rules)
        watching = stack.enter_context(
            part.prometheus(programs, folder / "prometheus", _SETTINGS + yaml.dump(scraped))
        )
        exporters = [each for scene in scenes.values() for each in scene.exporters]
        watching.until(lambda: all(map(_listens, exporters)), "never started all callers")
        # Calls that ran while other processes start would be slow, and fail.
        (folder / "begin").touch()
        count = len(exporters)
        ready = f"count(glance_client_call_duration_seconds_count > 5) >= {count}"
        watching.until(lambda: watching.query(ready), "never scraped all callers")
        time.sleep(HEALTHY)
        for scene in scenes.values():
            scene.began = time.time()
            scene.act(scene)
        time.sleep(BROKEN)
        yield Watched(watching, scenes)


def _listens(exporter: str) -> bool:
    """Return whether a process's exporter can be connected to."""
    host, port = exporter.removeprefix("http://").split(":")
    with socket.socket() as trying:
        return trying.connect_ex((host, int(port))) == 0


def _by_job(scene: Scene) -> Iterator[tuple[str, list[str]]]:
    for job in scene.jobs:
        pairs = zip(CALLERS, scene.exporters, strict=True)
        yield job, [url for (name, _), url in pairs if scene.job(name) == job]


@contextmanager
def _prepare(name: str, folder: Path) -> Iterator[Scene]:
    images = lab.Images()
    ids = [images.add(name=f"{n}", data=b"." * 400_000, visibility="public") for n in range(6)]
    with ExitStack() as stack:
        certificate = Certificate(folder / "ca.pem") if name == "tls" else None
        served = certificate.of_servers if certificate else [None] * 3
        servers = [stack.enter_context(GlanceServer(images, tls=each)) for each in served]
        keystone = stack.enter_context(GlanceServer()) if name == "keystone" else None
        cut = folder / f"cut-{name}"
        places = [f"{each.host}:{each.port}" for each in servers]
        scene = Scene(name, ACTS[name], servers, places, ids, cut, keystone, certificate)
        for number, (job, operation) in enumerate(CALLERS):
            port = free_port()
            told = {
                "servers": [each.url for each in servers],
                "images": ids,
                "operation": operation,
                "port": port,
                "keystone": keystone.port if keystone else None,
                "cafile": str(certificate.cafile) if certificate else None,
                "cut": str(scene.cut),
                "begin": str(folder / "begin"),
                # The first caller alone loses the way to one server.
                "unreachable": [servers[0].port] if number == 0 else [],
            }
            command = [sys.executable, str(SCRIPT), json.dumps(told)]
            process = Process(
                f"{name}-{number}",
                command,
                folder / f"{name}-{number}.log",
                env={
                    "OTEL_SERVICE_NAME": scene.job(job),
                    "OTEL_TRACES_EXPORTER": "console",
                    "OTEL_BSP_SCHEDULE_DELAY": "1000",
                    "OTEL_METRICS_EXPORTER": "none",
                },
            )
            process.start()
            stack.callback(process.close)
            scene.logs.append(process.log)
            scene.exporters.append(f"http://127.0.0.1:{port}")
        yield scene
