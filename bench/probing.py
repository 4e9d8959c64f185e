"""What the exporter's process costs while it probes many servers: CPU, memory, and its scrapes.

``python bench/probing.py [--servers 200] [--interval 15] [--seconds 120] [--tls] [--image]``

The servers are one nginx on as many addresses of 127.0.0.0/8, on a core of its own. The exporter is
a process of its own with all that it has: prober, metrics, journal, HTTP server. It is scraped and
its page's data fetched once per interval.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from serving import START_LIMIT, nginx_version

from traced_image import lab

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_CPU = 0.10
"""The share of one core that the exporter may take."""

MOST_MEGABYTES = 120.0
"""The memory that it may have resident at most."""

IMAGE = "8f5b1c9e-6d0a-4c58-9d0f-2b7a3f3f0c11"

_CONFIG = """
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  default_type application/json;
  client_body_temp_path {folder}/1;
  proxy_temp_path {folder}/2;
  fastcgi_temp_path {folder}/3;
  uwsgi_temp_path {folder}/4;
  scgi_temp_path {folder}/5;
  server {{
    {listen}
    {tls}
    location = /versions {{ return 200 '{versions}'; }}
    location = /healthcheck {{ return 200 'OK'; }}
    location = /v2/images/{image} {{ return 200 '{record}'; }}
    location = /v2/images/{image}/file {{ alias {folder}/data; }}
  }}
}}
"""


def main() -> int:
    """Run, print the figures, and tell whether they are within what they may be."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--servers", type=int, default=200)
    parser.add_argument("--interval", type=float, default=15.0)
    parser.add_argument("--seconds", type=float, default=120.0, help="after the first interval")
    parser.add_argument("--tls", action="store_true", help="over TLS")
    parser.add_argument("--image", action="store_true", help="with an image's record and data")
    parser.add_argument("--within", metavar="JSON", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.within:
        print(json.dumps(asdict(asyncio.run(_exporter(**json.loads(options.within))))))
        return 0
    with ExitStack() as stack:
        urls, cafile = stack.enter_context(_servers(options.servers, tls=options.tls))
        cost = _cost(options, urls, cafile)
    return _report(options, cost)


@dataclass(frozen=True, slots=True)
class Cost:
    """What the exporter's process took.

    Attributes:
        seconds: How long it was looked at.
        cpu: Seconds of a core that it had meanwhile.
        resident: Megabytes that it had resident at the end.
        resident_peak: Megabytes that it had resident at most.
        threads: Threads at the end.
        probes: Probes that it made meanwhile.
        failed: How many of them failed.
        scrapes: Milliseconds that each scrape of ``/metrics`` took.
        series: Samples in the last scrape.
    """

    seconds: float
    cpu: float
    resident: float
    resident_peak: float
    threads: int
    probes: int
    failed: int
    scrapes: list[float]
    series: int


@contextmanager
def _servers(count: int, *, tls: bool) -> Iterator[tuple[list[str], str | None]]:
    """Servers that answer as Glance does; their URLs, and the authorities to trust."""
    hosts = [f"127.0.{number // 250}.{number % 250 + 1}" for number in range(1, count + 1)]
    cores = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory(prefix="bench-") as name, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        folder = Path(name)
        cafile = _write(folder, hosts, port, tls=tls)
        command = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
        os.sched_setaffinity(0, cores[-1:])  # which a child inherits
        process = subprocess.Popen(
            [str(command), "-p", name, "-c", f"{name}/nginx.conf"],
            stderr=(folder / "log").open("wb"),
        )
        os.sched_setaffinity(0, cores[:1])
        try:
            _wait(process, hosts[-1], port, folder / "log")
            scheme = "https" if tls else "http"
            yield [f"{scheme}://{host}:{port}" for host in hosts], cafile
        finally:
            process.terminate()
            process.wait()
            os.sched_setaffinity(0, cores)


def _write(folder: Path, hosts: list[str], port: int, *, tls: bool) -> str | None:
    folder.chmod(0o755)  # nginx's worker is another user where this one is root
    with lab.GlanceServer() as server:
        image = server.images.add(id=IMAGE, name="cirros", data=b"\0" * 2**20)
        versions, record = (
            urllib.request.urlopen(f"{server.url}{path}", timeout=START_LIMIT).read().decode()
            for path in ("/versions", f"/v2/images/{image}")
        )
    (folder / "data").write_bytes(b"\0" * 2**21)
    text = _CONFIG.format(
        folder=folder,
        listen=" ".join(f"listen {host}:{port}{' ssl' if tls else ''};" for host in hosts),
        tls=f"ssl_certificate {folder}/cert; ssl_certificate_key {folder}/key;" if tls else "",
        versions=versions,
        record=record,
        image=IMAGE,
    )
    (folder / "nginx.conf").write_text(text)
    if not tls:
        return None
    import trustme

    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca"))
    certificate = authority.issue_cert(*hosts)
    certificate.private_key_pem.write_to_path(str(folder / "key"))
    certificate.cert_chain_pems[0].write_to_path(str(folder / "cert"))
    return str(folder / "ca")


def _wait(process: subprocess.Popen[bytes], host: str, port: int, log: Path) -> None:
    limit = time.monotonic() + START_LIMIT
    while process.poll() is None and time.monotonic() < limit:
        with suppress(OSError):
            socket.create_connection((host, port), timeout=1).close()
            return
        time.sleep(0.01)
    raise SystemExit(f"nginx did not start:\n{log.read_text()}")


def _cost(options: argparse.Namespace, urls: list[str], cafile: str | None) -> Cost:
    """Run the exporter in a process of its own."""
    within = {
        "urls": urls,
        "cafile": cafile,
        "image": IMAGE if options.image else None,
        "interval": options.interval,
        "seconds": options.seconds,
    }
    done = subprocess.run(
        [sys.executable, __file__, "--within", json.dumps(within)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=2 * (options.interval + options.seconds) + START_LIMIT,
    )
    return Cost(**json.loads(done.stdout))


async def _exporter(
    urls: list[str], cafile: str | None, image: str | None, interval: float, seconds: float
) -> Cost:
    """Be the exporter, and look at what it costs after all servers were probed once."""
    from prometheus_client import CollectorRegistry

    from traced_image import Config, Telemetry
    from traced_image.exporter import app, journal
    from traced_image.exporter.probing import probe_route, schedule
    from traced_image.exporter.web import listening, server
    from traced_image.telemetry.recorder import Recorder
    from traced_image.telemetry.shared_metrics import attach, share_metrics
    from traced_image.telemetry.spans import Spans

    registry, history = CollectorRegistry(), journal.Journal()
    metrics = share_metrics(Telemetry(registry=registry, meter_provider=False))
    attach(registry, history)
    config = Config(servers=urls, cafile=cafile, num_retries=len(urls))
    probes = schedule.ProbeSchedule(
        config,
        recorder=Recorder(Spans(None, wire_spans=False), metrics),
        image=image,
        interval=interval,
    )
    registry.register(probes.results)
    route = probe_route.make_probe_route(lambda: probes.probe)
    served = server.ExporterServer(
        app.make_app(registry, history, routes=[route]), listening.listen("127.0.0.1", 0)
    )
    async with probes:
        serving = asyncio.ensure_future(served.serve(sockets=[served.sock]))
        await asyncio.sleep(interval)
        before = _used(), _probes(registry)
        started = time.perf_counter()
        scrapes, series = await _scrapes(served.sock.getsockname()[1], interval, seconds)
        took, after = time.perf_counter() - started, (_used(), _probes(registry))
        served.should_exit = True
        await serving
        return Cost(
            seconds=took,
            cpu=after[0] - before[0],
            resident=_megabytes("VmRSS"),
            resident_peak=_megabytes("VmHWM"),
            threads=int(_status("Threads")),
            probes=after[1] - before[1],
            failed=sum(bool(each.reason) for each in map(probes.results.get, config.servers)),
            scrapes=scrapes,
            series=series,
        )


async def _scrapes(port: int, interval: float, seconds: float) -> tuple[list[float], int]:
    """Scrape once per interval, from a thread: its few requests count as the exporter's."""
    took, series = [], 0
    until = time.perf_counter() + seconds
    while (left := until - time.perf_counter()) > 0:
        await asyncio.sleep(min(interval, left))
        started = time.perf_counter()
        text = await asyncio.to_thread(_fetched, f"http://127.0.0.1:{port}/metrics")
        took.append((time.perf_counter() - started) * 1000)
        await asyncio.to_thread(_fetched, f"http://127.0.0.1:{port}/servers")
        series = sum(not line.startswith(b"#") for line in text.splitlines())
    return took, series


def _fetched(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=START_LIMIT) as reply:
        body: bytes = reply.read()
    return body


def _used() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _probes(registry: object) -> int:
    return int(
        sum(
            sample.value
            for metric in registry.collect()  # type: ignore[attr-defined]
            for sample in metric.samples
            if sample.name == "glance_client_attempt_duration_seconds_count"
        )
    )


def _status(field: str) -> str:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{field}:"):
            return line.split()[1]
    raise LookupError(field)


def _megabytes(field: str) -> float:
    return int(_status(field)) / 1024


def _report(options: argparse.Namespace, cost: Cost) -> int:
    share = cost.cpu / cost.seconds
    cpu_met, memory_met = share <= MOST_CPU, cost.resident_peak <= MOST_MEGABYTES
    what = "TLS" if options.tls else "no TLS"
    what += ", record and first megabyte of an image" if options.image else ""
    print(
        f"{options.servers} servers every {options.interval:g} s ({what}),"
        f" nginx {nginx_version()}, {cost.seconds:.0f} s:"
    )
    print(f"  {cost.probes} probes, {cost.probes / cost.seconds:.1f} a second", end="")
    print(f"; of the latest of each server {cost.failed} failed")
    print(f"  CPU: {share:.1%} of a core (≤ {MOST_CPU:.0%} {_met(met=cpu_met)})", end="")
    print(f", {cost.cpu / max(cost.probes, 1) * 1000:.2f} ms a probe")
    print(f"  memory: {cost.resident:.0f} MB resident, at most {cost.resident_peak:.0f}", end="")
    print(f" (≤ {MOST_MEGABYTES:.0f} {_met(met=memory_met)}); {cost.threads} threads")
    print(f"  scrapes: {cost.series} series, {max(cost.scrapes):.0f} ms at most")
    return 0 if cpu_met and memory_met else 1


def _met(*, met: bool) -> str:
    return "met" if met else "missed"


if __name__ == "__main__":
    sys.exit(main())
