"""The OpenTelemetry Collector, built of its Go modules as this repository's manifest lists them."""

import contextlib
import hashlib
import os
import re
import signal
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import requests
import yaml
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import StatusCode

from . import cache, go
from .ports import free_port
from .process import PartFailedError, Process

TOP = Path(__file__).parents[3]
MANIFEST = TOP / "deploy/collector/builder.yaml"
NODE = TOP / "otel-collector.yaml"
GATEWAY = TOP / "deploy/gateway.yaml"
AGENT = TOP / "deploy/agent.yaml"
TWICE = TOP / "deploy/agent-twice.yaml"
DNS = TOP / "deploy/agent-dns.yaml"
TOKENS = {name: TOP / f"deploy/{name}-token.yaml" for name in ("agent", "gateway")}

_BUILDER = "go.opentelemetry.io/collector/cmd/builder"
_LIMIT = 60.0  # seconds for what takes one on an idle machine


def install(say: cache.Say) -> Path:
    """The collector's program: built now unless the same manifest was built before."""
    manifest = MANIFEST.read_text()
    version = yaml.safe_load(manifest)["dist"]["version"]
    digest = hashlib.sha256(manifest.encode()).hexdigest()[:12]
    kept = cache.folder() / f"otelcol-{version}-{digest}"
    kept.parent.mkdir(parents=True, exist_ok=True)
    with cache.locked(kept):
        if kept.exists():
            say(f"collector {version}: cached in {kept}")
            return kept
        builder = go.install(_BUILDER, f"v{version}", say)
        began = time.monotonic()
        with tempfile.TemporaryDirectory(dir=kept.parent) as place:
            _build(builder, manifest, Path(place)).replace(kept)
    say(f"collector {version}: built in {time.monotonic() - began:.0f} s in {kept}")
    return kept


def _build(builder: Path, manifest: str, place: Path) -> Path:
    settings = yaml.safe_load(manifest)
    settings["dist"].update(output_path=str(place / "output"), go=go.program())
    (place / "builder.yaml").write_text(yaml.safe_dump(settings))
    # -s -w: without what debuggers need, which is a third of it.
    command = [builder, "--config", place / "builder.yaml", "--ldflags=-s -w"]
    cache.run(["nice", "-n", "10", *map(str, command)], env=go.environment(place))
    return place / "output" / str(settings["dist"]["name"])


def validate(program: Path, *configs: Path, **variables: str) -> None:
    """Have the collector check configurations, merged in this order."""
    cache.run([str(program), "validate", *_given(configs)], env={**os.environ, **variables})


def components(program: Path) -> str:
    """What the collector says that it is made of; YAML."""
    return cache.run([str(program), "components"])


def _given(configs: Sequence[Path]) -> list[str]:
    return [f"--config={config}" for config in configs]


class Collector(Process):
    """A collector on ports of its own, with its queues in a folder, which survive it.

    Args:
        name: What messages call it.
        program: From `install`.
        configs: Its configurations, merged in this order.
        folder: Where its log and its queues are; made if need be.
        tracer: What runs it, such as ``strace`` with its options.
        **variables: Environment variables of the configurations, beside those of its ports.
    """

    def __init__(
        self,
        name: str,
        program: Path,
        configs: Sequence[Path],
        folder: Path,
        tracer: Sequence[str] = (),
        **variables: str,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.grpc, self.http, self.kept, self._health, self._own = (free_port() for _ in range(5))
        ports = {
            "COLLECTOR_GRPC": f"127.0.0.1:{self.grpc}",
            "COLLECTOR_HTTP": f"127.0.0.1:{self.http}",
            "COLLECTOR_KEPT_GRPC": f"127.0.0.1:{self.kept}",
            "COLLECTOR_HEALTH": f"127.0.0.1:{self._health}",
            "COLLECTOR_OWN_METRICS_PORT": str(self._own),
            "COLLECTOR_STORAGE": str(folder / "storage"),
        }
        super().__init__(
            name,
            [*tracer, str(program), *_given(configs)],
            folder / "log",
            env={**ports, **variables},
            farewell=signal.SIGTERM,
        )

    def open(self) -> "Collector":
        """Start it, and wait until it says that it is well."""
        self.start()
        self.until(self._is_well, "did not become healthy")
        return self

    def _is_well(self) -> bool:
        with contextlib.suppress(requests.ConnectionError):
            return requests.get(f"http://127.0.0.1:{self._health}", timeout=_LIMIT).ok
        return False

    def own(self, name: str, label: str = "") -> float:
        """The sum of its own metric's series of this name, since it was started.

        Args:
            name: The metric's.
            label: What is among the series' labels, such as ``policy="error"``.
        """
        text = requests.get(f"http://127.0.0.1:{self._own}/metrics", timeout=_LIMIT).text
        found = re.findall(rf"^{name}(?:{{(.*)}})? (\S+)$", text, re.MULTILINE)
        return sum(float(value) for labels, value in found if label in labels)

    def send_failure(self, name: str) -> None:
        """Have a service send it a failed span of this name, which is kept."""
        provider = TracerProvider()
        exporter = OTLPSpanExporter(f"http://127.0.0.1:{self.http}/v1/traces")
        provider.add_span_processor(BatchSpanProcessor(exporter))
        with provider.get_tracer("tests").start_as_current_span(name) as span:
            span.set_status(StatusCode.ERROR)
        provider.shutdown()

    def until(self, condition: Callable[[], object], otherwise: str, limit: float = _LIMIT) -> None:
        """Wait for a condition while it runs."""
        end = time.monotonic() + limit
        while not condition():
            if not self.running:
                raise self.failed("ended")
            if time.monotonic() > end:
                raise self.failed(otherwise)
            time.sleep(0.05)

    def stopped(self) -> str:
        """End it as a service manager does; return its log."""
        self.close()
        text = self.log.read_text()
        if "Shutdown complete." not in text.rpartition("Starting shutdown...")[2]:
            raise PartFailedError(f"{self.name} did not shut down by itself:\n{text[-2000:]}")
        return text
