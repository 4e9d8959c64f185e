"""Callers of Glance whose metrics a Prometheus scrapes, and what it is told of them."""

import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import yaml
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import NoOpTracerProvider
from prometheus_client import CollectorRegistry, start_http_server

import traced_image
from traced_image import Telemetry, TracedImageError
from traced_image.pipeline.service import GlanceImageService

RULES = Path(__file__).parents[2] / "dashboards/rules"

ROUTES = """\
route:
  receiver: ticket
  group_by: [alertname, job]
  group_wait: {wait}
  group_interval: {wait}
  routes:
    - {{matchers: ['severity="page"'], receiver: page}}
receivers:
  - {{name: page, webhook_configs: [{{url: "{url}/page"}}]}}
  - {{name: ticket, webhook_configs: [{{url: "{url}/ticket"}}]}}
"""
"""Alertmanager's configuration: who is told of what, by severity."""

FASTER = 20
"""By how much the rules' times are divided: five minutes are fifteen seconds then."""

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_TIME = r"(\d+)([smhd])"
_DURATION = re.compile(rf"(\[|\bfor: |\binterval: |\boffset ){_TIME}\b")
_FACTOR = re.compile(r"(?<=\* )(300|30)(?= >)|(?<= > )900\b|(?<= [<>+] )(60|150|300)\b")


def faster(rules: str, by: int = FASTER) -> str:
    """Rules whose windows, waits and intervals are so much shorter, and what counts on these."""

    def time(found: re.Match[str]) -> str:
        milliseconds = 1000 * int(found[2]) * _SECONDS[found[3]] // by
        return f"{found[1]}{milliseconds}ms"

    rules = _DURATION.sub(time, rules)
    return _FACTOR.sub(lambda found: f"{int(found[0]) / by:g}", rules)


def hurried(rules: str) -> str:
    """Rules that are evaluated each second, and alerts that fire at once."""
    read = yaml.safe_load(rules)
    for group in read["groups"]:
        group["interval"] = "1s"
        for rule in group["rules"]:
            if "for" in rule:
                rule["for"] = "1s"
                # A server has failed for long after three seconds, not after a minute.
                rule["expr"] = rule["expr"].replace(" > 60", " > 3")
    return yaml.dump(read)


def write_faster_rules(folder: Path) -> Path:
    """Write the rules of ``dashboards/rules``, made faster, to a new folder."""
    folder.mkdir()
    for file in RULES.glob("*.yaml"):
        (folder / file.name).write_text(faster(file.read_text()))
    return folder


def settings(
    targets: Mapping[str, int], alertmanager: str | None, rules: Path = RULES, scrape: str = "15s"
) -> str:
    """Prometheus's configuration.

    Args:
        targets: The ports on loopback that are scraped, by their jobs.
        alertmanager: Its ``host:port``; None for none.
        rules: The folder of the rule files.
        scrape: How often it scrapes.
    """
    told = [] if alertmanager is None else [alertmanager]
    return json.dumps(
        {
            "global": {"scrape_interval": scrape, "scrape_timeout": scrape},
            "rule_files": [f"{rules}/*.yaml"],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": told}]}]},
            "scrape_configs": [
                {"job_name": job, "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}
                for job, port in targets.items()
            ],
        }
    )


@contextmanager
def caller(
    urls: list[str],
    call: Callable[[GlanceImageService], object],
    pause: float = 0.2,
    tracer_provider: TracerProvider | None = None,
    **fields: object,
) -> Iterator[int]:
    """Make a call again and again; yields the port where its metrics are.

    Args:
        urls: The servers.
        call: What is called.
        pause: Seconds between two calls.
        tracer_provider: Where spans go; nowhere without it.
        **fields: Fields of the service's configuration.
    """
    registry, over = CollectorRegistry(), threading.Event()
    tracing = tracer_provider or NoOpTracerProvider()
    telemetry = Telemetry(tracer_provider=tracing, registry=registry, meter_provider=False)
    service = traced_image.connect(servers=urls, telemetry=telemetry, **fields)

    def repeat() -> None:
        while not over.wait(pause):
            with suppress(TracedImageError):
                call(service)

    server, serving = start_http_server(0, "127.0.0.1", registry)
    calling = threading.Thread(target=repeat, name="caller")
    calling.start()
    try:
        yield server.server_port
    finally:
        over.set()
        calling.join()
        service.close()
        server.shutdown()
        server.server_close()
        serving.join()
