"""Reads what `diagnose`, the page and the alerts say of a scene, as an operator would."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from click.testing import CliRunner
from diagnose_scene import Scene, Watched
from outlet_truth import FAULTS, KEYSTONE, SLOW, Told
from parts.chromium import Browser

from traced_image.cli.diagnose import diagnose

SOURCES = ("prometheus", "exporter", "trace")

_SERVER = re.compile(r"\b127\.0\.0\.1:\d+")
_OPERATION = re.compile(r"\bimages\.\w+")
_REASON = re.compile(r"\b(connection_refused|read_timeout|network_unreachable|tls_error|50[03])\b")
_DURATION = r"([\d.,]+) (ms|s|min)\b"


def options_of(watched: Watched, scene: Scene, source: str) -> list[str]:
    """Return the options of ``diagnose`` for one of `SOURCES`."""
    if source == "prometheus":
        jobs = [part for job in scene.jobs for part in ("--job", job)]
        return ["--prometheus", watched.prometheus.url, *jobs]
    if source == "exporter":
        return [part for url in scene.exporters for part in ("--exporter", url)]
    spans = scene.logs[0].with_suffix(".spans")
    spans.write_text("\n".join(each.read_text() for each in scene.logs))
    return ["--trace", str(spans)]


# --- diagnose ----------------------------------------------------------------------------------


def read_diagnosis(watched: Watched, scene: Scene, source: str) -> Told:
    """Read the answer of the command."""
    options = options_of(watched, scene, source)
    done = CliRunner().invoke(diagnose, options, standalone_mode=False, catch_exceptions=False)
    told, (_, finding, *_) = Told(), done.output.split("\n\n")
    says, *lines = finding.splitlines()
    if says.startswith("Nothing fails now"):
        return told
    more = dict(line.split(None, 1) for line in lines)
    keystone = says.startswith(KEYSTONE)
    slow = " is slow " in says
    told.note(
        1,
        server=frozenset([KEYSTONE] if keystone else _SERVER.findall(_without_process(says))),
        reason=SLOW if slow else _first(_REASON, says),
        since=_find_time(says),
        jobs=_find_jobs(more.get("hit", ""), scene),
        operations=frozenset(_OPERATION.findall(more.get("hit", ""))),
        hidden=_is_hidden(more.get("cost", "")),
        cost=_find_slow_cost(says) if slow else _find_cost(more.get("cost", "")),
    )
    return told


def _without_process(says: str) -> str:
    """Leave out the addresses of callers."""
    return re.sub(r"^\S+ \([^)]*\) can't", "", says)


def _first(pattern: re.Pattern[str], text: str) -> str | None:
    found = pattern.search(text)
    return found and found[1]


def _find_time(text: str) -> float | None:
    """Return a time of today, in seconds since the epoch; one without seconds is a whole minute."""
    found = re.search(r"\bsince (?:about )?(\d\d):(\d\d)(?::(\d\d))?", text)
    if found is None:
        return None
    hour, minute, second = (None if each is None else int(each) for each in found.groups())
    today = datetime.now(timezone.utc)
    return today.replace(
        hour=hour, minute=minute, second=30 if second is None else second, microsecond=0
    ).timestamp()


def _find_jobs(text: str, scene: Scene) -> frozenset[str]:
    return frozenset(job for job in scene.jobs if job in text)


def _is_hidden(cost: str) -> bool | None:
    if "retries hid it" in cost:
        return True
    return False if re.search(r"calls? failed|no attempt on it failed", cost) else None


def _find_cost(cost: str) -> tuple[str, float] | None:
    if found := re.search(r"([\d,]+) calls? failed", cost):
        return "failed calls", float(found[1].replace(",", ""))
    found = re.search(rf"{_DURATION} (?:more )?in all", cost)
    return found and ("seconds", _to_seconds(*found.groups()))


def _find_slow_cost(says: str) -> tuple[str, float] | None:
    found = re.search(rf"takes {_DURATION} in place of", says)
    return found and ("long attempts", _to_seconds(*found.groups()))


def _to_seconds(number: str, unit: str) -> float:
    return float(number.replace(",", "")) * {"ms": 0.001, "s": 1, "min": 60}[unit]


# --- the page ----------------------------------------------------------------------------------


def page_of(scene: Scene) -> int:
    """Return the number of a process that the scene hits."""
    return 2 if FAULTS[scene.name].jobs == ("image-cache",) else 0


def read_page(browser: Browser, scene: Scene) -> Told:
    """Read the top of the page of one process, as a browser shows it."""
    browser.open(scene.exporters[page_of(scene)])
    browser.until(lambda: browser.run("return latest !== null"), "it has no answer")
    words, lines = browser.text("#words"), browser.texts("#more li")
    told = Told()
    if words == "All servers are healthy" and not lines:
        return told
    every = "\n".join((words, *lines))
    hit = "\n".join(each for each in lines if each.startswith("Operations"))
    slow = re.search(rf"slow: .*? {_DURATION} in place of", every)
    told.note(
        1,
        server=frozenset(_find_servers(words, lines)),
        reason=SLOW if slow else _first(_REASON, every),
        since=_find_time(every),
        jobs=_find_jobs(browser.text("#process"), scene),
        operations=frozenset(_OPERATION.findall(hit)),
        hidden=_page_is_hidden(every),
        cost=("long attempts", _to_seconds(*slow.groups())) if slow else _page_cost(every),
    )
    return told


def _find_servers(words: str, lines: Sequence[str]) -> Iterable[str]:
    if words.startswith(KEYSTONE):
        return [KEYSTONE]
    causes = [each for each in lines if not each.startswith(("Operations", "Cost", "Load"))]
    return _SERVER.findall("\n".join((words, *causes)))


def _page_is_hidden(text: str) -> bool | None:
    if "retries hid it" in text:
        return True
    lost = r"calls?\b.* (gave up|failed|got none)|none is retried"
    return False if re.search(lost, text) else None


def _page_cost(text: str) -> tuple[str, float] | None:
    if found := re.search(r"(\d[\d,]*) calls?(?: or more)? (?:gave up|failed|got none)", text):
        return "failed calls", float(found[1].replace(",", ""))
    found = re.search(rf"retries added {_DURATION}", text)
    return found and ("seconds", _to_seconds(*found.groups()))


# --- alerts ------------------------------------------------------------------------------------

_MASKING = "GlanceRetriesMaskingFailures"
_LOST = (
    *("GlanceClientErrorBudgetBurn", "GlanceConnectionFailed", "GlanceKeystoneFailing"),
    "GlanceAllServersFailing",
)


def read_alerts(watched: Watched, scene: Scene) -> Told:
    """Read the alerts of a scene's jobs that are pending or fire, with their annotations."""
    every = watched.prometheus.get("alerts")["alerts"]
    alerts = [each for each in every if each["labels"].get("job") in scene.jobs]
    told = Told()
    if not alerts:
        return told
    words = [_words(each) for each in alerts]
    names = {each["labels"]["alertname"] for each in alerts}
    keystone = "GlanceKeystoneFailing" in names
    text = "\n".join(words)
    told.note(
        1,
        server=frozenset([KEYSTONE] if keystone else _SERVER.findall(text)),
        reason=_first(_REASON, text),
        since=_find_time(text),
        jobs=frozenset(each["labels"]["job"] for each in alerts),
        operations=frozenset(_OPERATION.findall(text)),
        hidden=_is_hidden_by(names, text),
        cost=_find_alert_cost(words),
    )
    return told


def _is_hidden_by(names: set[str], text: str) -> bool | None:
    if names & {*_LOST}:
        return False
    if _MASKING in names or "about 0 of its calls failed" in text:
        return True
    return None


def _words(alert: Mapping[str, Any]) -> str:
    notes, labels = alert["annotations"], alert["labels"]
    return f"{notes['summary']} {notes['description']} {labels.get('operation', '')}"


def _find_alert_cost(words: Sequence[str]) -> tuple[str, float] | None:
    """Return the greatest share of calls that fail, or else what retries cost."""
    found = (re.search(r"to Glance fail: ([\d.]+)%", each) for each in words)
    shares = [float(each[1]) / 100 for each in found if each]
    if shares:
        return "share of calls", max(shares)
    costs = [re.search(r"which took ([\w. ]+) longer in all", each) for each in words]
    seconds = sum(_read_duration(each[1]) for each in costs if each)
    return ("seconds a second", seconds / 300) if seconds else None


def _read_duration(text: str) -> float:
    """Return the seconds of what Prometheus's ``humanizeDuration`` wrote, such as ``1m 3s``."""
    units = {"d": 86400, "h": 3600, "m": 60, "s": 1, "ms": 1e-3, "us": 1e-6}
    return sum(float(n) * units[unit] for n, unit in re.findall(r"([\d.]+)([a-z]+)", text))
