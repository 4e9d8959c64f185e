"""The witnesses of a scene: whom spans, metrics, log, host state and page accuse."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from logging import LogRecord

    from opentelemetry.sdk.trace import ReadableSpan
    from prometheus_client import CollectorRegistry
    from prometheus_client.samples import Sample

    from traced_image.exporter.schema import Report

PLACES = ("first", "second", "third")
"""The servers, in the order in which they are tried."""

KEYSTONE = "Keystone"
SETTINGS = {name: f"the probe's {name}" for name in ("image", "credentials", "prefix")}
"""What is accused that is no server."""

WITNESSES = ("spans", "metrics", "log", "host state", "page")

_NO_TOKEN = "Got no token for "
_WRONG = "Probes are misconfigured, wrong "


@dataclass(frozen=True)
class Testimony:
    """What was seen of a scene.

    Attributes:
        accused: By each witness, what it accuses: places of servers, Keystone, or a setting.
        reasons: The reasons, by the metrics and by broken streams' spans.
        moved: The series that say so, as metric and one label's value; alerts read them.
        caller: The type of the error that the caller got; empty for none.
    """

    accused: Mapping[str, frozenset[str]]
    reasons: frozenset[str]
    moved: frozenset[tuple[str, str]]
    caller: str = ""


@dataclass(frozen=True)
class Evidence:
    """What the witnesses say of some servers.

    Attributes:
        netlocs: The servers' ``host:port``, in the order of `PLACES`.
        spans: The spans that ended.
        registry: The metrics.
        records: The lines of the log.
        failed: The ``host:port`` of servers that the host state says to have failed.
        report: What the page shows.
    """

    netlocs: Iterable[str]
    spans: Iterable[ReadableSpan]
    registry: CollectorRegistry
    records: Iterable[LogRecord]
    failed: Iterable[str]
    report: Report

    def ask(self, caller: str) -> Testimony:
        """Ask all witnesses."""
        places = dict(zip(self.netlocs, PLACES, strict=False))
        counted = frozenset(_count(self.registry, places))
        accused = {
            "spans": frozenset(_by_spans(self.spans, places)),
            "metrics": frozenset(who for who, _, _ in counted),
            "log": frozenset(_by_log(self.records, places)),
            "host state": frozenset(places[each] for each in self.failed),
            "page": frozenset(_by_page(self.report, places)),
        }
        # The counter of broken streams has no reasons.
        reasons = {reason for _, reason, _ in counted if reason}
        reasons |= {str(span.attributes["error.type"]) for span in self.spans if _is_broken(span)}
        moved = frozenset(series for _, _, series in counted)
        return Testimony(accused, frozenset(reasons), moved, caller)


def _by_spans(spans: Iterable[ReadableSpan], places: Mapping[str, str]) -> Iterator[str]:
    """Yield the servers of failed attempts and broken streams; Keystone, if a call says so."""
    for span in spans:
        found = span.attributes
        if _is_broken(span) or found.get("glance.attempt.verdict") == "failed":
            yield places[f"{found['server.address']}:{found['server.port']}"]
        if found.get("error.type") == "token_unavailable":
            yield KEYSTONE


def _is_broken(span: ReadableSpan) -> bool:
    return span.name.endswith(" stream") and "error.type" in span.attributes


_ACCUSING: Mapping[str, Callable[[Sample], bool]] = {
    "glance_client_attempt_duration_seconds_count": lambda sample: (
        sample.labels["verdict"] == "failed" and sample.value > 0
    ),
    "glance_client_stream_errors_total": lambda sample: sample.value > 0,
    "glance_client_token_failures_total": lambda sample: sample.value > 0,
    "glance_probe_success": lambda sample: sample.value == 0,
    "glance_probe_misconfigured": lambda sample: sample.value == 1,
}


def _count(
    registry: CollectorRegistry, places: Mapping[str, str]
) -> Iterator[tuple[str, str, tuple[str, str]]]:
    """Yield whom metrics accuse, the reason, and the series."""
    for metric in registry.collect():
        for sample in metric.samples:
            if sample.name in _ACCUSING and _ACCUSING[sample.name](sample):
                labels = sample.labels
                series = sample.name, labels.get("verdict", "")
                yield _accused(labels, places), labels.get("error_type", ""), series


def _accused(labels: Mapping[str, str], places: Mapping[str, str]) -> str:
    if "setting" in labels:
        return SETTINGS[labels["setting"]]
    if "server_address" in labels:
        return places[f"{labels['server_address']}:{labels['server_port']}"]
    return KEYSTONE


def _by_log(records: Iterable[LogRecord], places: Mapping[str, str]) -> Iterator[str]:
    """Yield the servers that lines are about; Keystone or a setting, if a line says so."""
    for record in records:
        text = record.getMessage()
        if text.startswith(_NO_TOKEN):
            yield KEYSTONE
        elif text.startswith(_WRONG):
            yield SETTINGS[text.removeprefix(_WRONG).partition(":")[0]]
        elif getattr(record, "server_address", None):
            yield places[f"{record.server_address}:{record.server_port}"]  # type: ignore[attr-defined]


def _by_page(report: Report, places: Mapping[str, str]) -> Iterator[str]:
    """Yield the servers that ``/servers`` says to have failed; Keystone, or a setting."""
    for server in report["servers"]:
        if server["failed"] or server["last_failure"]:
            yield places[f"{server['address']}:{server['port']}"]
        wrong = server["misconfigured"]
        if wrong:
            yield next(each for name, each in SETTINGS.items() if _SENTENCES[name] in wrong)
    if report["keystone"]["failing"]:
        yield KEYSTONE


_SENTENCES = {
    "image": "name an image that exists",
    "credentials": "check the credentials",
    "prefix": "Glance does not answer under",
}
"""What the page's sentence has, by the setting that is wrong."""
