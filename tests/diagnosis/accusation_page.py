"""Writes docs/reference/accusations.md from what the witnesses of each scene have said.

After a change to who is accused of what, run this file and commit the page:

    python tests/diagnosis/accusation_page.py
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from accusation_probes import PROBES, ask_probe
from accusation_scenes import SCENES
from accusation_stage import question, stage
from accusation_witnesses import KEYSTONE, WITNESSES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from accusation_witnesses import Testimony

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "accusations.md"

PROBE_FAILING, SERVER_FAILING = "GlanceProbeFailing", "GlanceServerFailing"
ALERTS = {
    ("glance_client_attempt_duration_seconds_count", "failed"): SERVER_FAILING,
    ("glance_client_stream_errors_total", ""): "GlanceStreamErrors",
    ("glance_client_token_failures_total", ""): "GlanceKeystoneFailing",
    ("glance_probe_success", ""): PROBE_FAILING,
    ("glance_probe_misconfigured", ""): "GlanceProbeMisconfigured",
}
"""The alert that reads a series, given by its metric and its verdict: a test asks the rules."""

_TOP = f"""\
# Who is accused of what

<!-- Written from a run by `python tests/diagnosis/accusation_page.py`; a test compares it. -->

A server is accused only of what it did. What happens before a request leaves (no token, a bad
argument, a caller's broken file), and what ends a call from outside (an interrupt, a time limit),
is no failure of a server. This page shows it for each kind of trouble. A run of the tests made the
table: three Glance servers were asked in turn, and *the server* is the first of them, which has the
trouble if a server has it. No other server was accused by anybody.

| witness | it accuses a server by | and Keystone by |
| --- | --- | --- |
| spans | `glance.attempt.verdict` = `failed` on an attempt, `error.type` on a stream | \
`error.type` = `token_unavailable` on the call |
| metrics | `glance_client_attempt_duration_seconds` with the verdict `failed`, \
`glance_client_stream_errors_total`, `glance_probe_success` = 0 | \
`glance_client_token_failures_total` |
| log | a line with the server in its fields | the line `Got no token for …` |
| host state | `last_failure` in `service.servers()` | nothing: it knows servers only |
| page | `failed` and `last_failure` of the server in `/servers` | \
`keystone.failing` in `/servers` |
| alert | the alert that reads the metric, if it goes on | the same |

An alert on calls, such as GlanceClientErrorBudgetBurn, counts what callers lost, whatever the
cause. It is not in the table. If every server fails, GlanceAllServersFailing comes beside
{SERVER_FAILING}. [What each fault looks like](diagnosis.md) has the faults of servers in detail.

"""
_BOTTOM = """
A refusal, such as 404, is the answer of a healthy server: the span and the counter of its attempt
have the reason with the verdict `refused`. An attempt that its caller ended has the verdict
`cancelled` on its span, and no counter has it.
"""


@cache
def seen(name: str) -> Testimony:
    """Play a scene, and ask the witnesses."""
    if name in PROBES:
        return ask_probe(PROBES[name])
    scene, caller = SCENES[name], ""
    with stage(scene.fields, scene.keystone, proxy=scene.proxy) as ready:
        try:
            scene.play(ready)
        except BaseException as error:  # noqa: BLE001 an interrupt is one of the scenes
            caller = type(error).__name__
        return question(ready, caller)


def alerts(testimony: Testimony) -> list[str]:
    """The alerts on what moved, if it goes on."""
    found = {ALERTS[series] for series in testimony.moved}
    # Servers with probes have an alert of their own, by the rules.
    return sorted(found - {SERVER_FAILING} if PROBE_FAILING in found else found)


def page() -> str:
    """The page as a run of all scenes shows it."""
    head = ("trouble", "reason", *WITNESSES, "alert", "the caller gets")
    rows = [[scene.title, *_row(name)] for name, scene in (SCENES | PROBES).items()]
    lines = [head, ["---"] * len(head), *rows]
    return _TOP + "".join(f"| {' | '.join(line)} |\n" for line in lines) + _BOTTOM


def _row(name: str) -> Iterable[str]:
    found = seen(name)
    yield ", ".join(f"`{reason}`" for reason in sorted(found.reasons)) or "none"
    for witness in WITNESSES:
        yield " and ".join(map(_name, sorted(found.accused[witness]))) or "nobody"
    yield ", ".join(alerts(found)) or "none"
    answer = "nothing: it is a probe" if name in PROBES else "what it asked for"
    yield f"`{found.caller}`" if found.caller else answer


def _name(accused: str) -> str:
    words = {"first": "**the server**", KEYSTONE: f"**{KEYSTONE}**"}
    return words.get(accused) or f"**{accused}**"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
