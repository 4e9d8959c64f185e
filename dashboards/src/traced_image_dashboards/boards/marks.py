"""Annotations of each panel: servers that cool down or recover, and new versions."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import AnnotationQuery

from traced_image.telemetry import catalogue

from .. import recording
from ..promql import SERVER
from .panels import BAD, GOOD, PLAIN
from .queries import CHOSEN, JOB_KEYS, NOT_HEALTHY, SERVER_NAME, of, share, total
from .variables import DATASOURCE

_STEP = "60s"
"""A mark's precision, and the time back to the state before."""

_MANY = 0.1
"""The share of callers above which a server is marked: one of few, not one of a thousand."""

_BY_JOB = f"by ({JOB_KEYS}, {SERVER})"


def servers_left() -> AnnotationQuery:
    """Build the mark of servers that have just become cooling for their callers."""
    return _mark("Server cooling", f"{_out()} unless {_out_before()}", BAD, SERVER_NAME)


def servers_rejoined() -> AnnotationQuery:
    """Build the mark of servers that are healthy again."""
    return _mark("Server healthy", f"{_share()} <= {_MANY} and {_out_before()}", GOOD, SERVER_NAME)


def new_versions() -> AnnotationQuery:
    """Build the mark of versions of traced_image that a process has just begun to run."""
    # Without a scrape before, each version would look new.
    now, before = (
        f"count by (version) ({catalogue.BUILD_INFO.name}{{{CHOSEN}}}{ago})"
        for ago in ("", " offset 5m")
    )
    text = "traced_image {{version}}"
    return _mark("New version", f"{now} unless {before} and on () count({before})", PLAIN, text)


def _share(ago: str = "") -> str:
    out = total(of(recording.STATES, NOT_HEALTHY) + ago, _BY_JOB)
    return f"({share(out, total(of(recording.STATES) + ago, _BY_JOB))})"


def _out() -> str:
    return f"{_share()} > {_MANY}"


def _out_before() -> str:
    return f"{_share(f' offset {_STEP}')} > {_MANY}"


def _mark(name: str, expr: str, colour: str, text: str) -> AnnotationQuery:
    return (
        AnnotationQuery()
        .name(name)
        .datasource(DATASOURCE)
        .enable(enable=True)
        .expr(expr)
        .step(_STEP)
        .icon_color(colour)
        .title_format(name)
        .text_format(text)
        .tag_keys("job")
    )
