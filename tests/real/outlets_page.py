"""Writes docs/reference/outlets.md from what each outlet has said of the scenes.

After a change to what an outlet says, run this file and commit the page:

    PYTHONPATH=dashboards/src python tests/real/outlets_page.py
"""

import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import diagnosed
from diagnosed import Diagnosed
from outlet_truth import FAULTS, NONE, QUESTIONS, SLOW
from parts import chromium, prometheus

PAGE = Path(__file__).parents[2] / "docs/reference/outlets.md"

OUTLETS: Mapping[str, str] = {
    "diagnose --prometheus": "One read: the command's answer.",
    "diagnose --exporter": "One read: the command's answer, from the exporters of all callers.",
    "diagnose --trace": "One read: the command's answer, from the spans of all callers.",
    "page": (
        "One read: the top of the page of one process that is hit, in a browser. It knows this"
        " process only: *own* stands beside what it can't know of others."
    ),
    "Overview": (
        "1. The table *What fails now*. 2. *Calls by outcome*; if the table is empty, *Alerts* and"
        " *Slowest servers* beside it. 3. *What retries cost*; for Keystone, *Calls without a"
        " token*; for a slow server, *Calls by outcome*. A graph tells since when by where its"
        " line begins."
    ),
    "alerts": (
        "One read: the alerts that are pending or fire, with their annotations, as Prometheus's"
        " API lists them."
    ),
}
"""The outlets, and how each is read."""

REASONS = {
    "a": "An exporter reports the durations of a server's attempts together, for its last five"
    " minutes: neither by operation nor by time.",
    "b": "The span of a call without a token says only `token_unavailable`, not why Keystone gave"
    " none.",
    "c": "The table has the durations of the last five minutes, of all operations together.",
    "d": "The metric of calls without a token has no operation.",
    "e": "Alerts on calls have the time at which their condition began to hold, which is later.",
    "f": "Alerts on calls name servers and reasons, and no operation.",
    "g": "An alert on a server or an operation says what retries cost, and none fires: most callers"
    " reach the server.",
    "h": "An alert says that retries hide failures if more than a tenth of attempts fail. In this"
    " scene it is about a tenth: some runs had the alert, and others had not.",
    "i": "A server raises an alert if its attempts take over 5 s. One that is slow beside the"
    " others raises none.",
}
"""Why an outlet can't know something."""

_ALERTS = {"since": "e", "operations": "f"}
_ALERTS_OF_FEW = {**_ALERTS, "cost": "g", "hidden": "h"}
CANT_KNOW: Mapping[tuple[str, str], Mapping[str, str]] = {
    ("diagnose --exporter", "slow"): {"since": "a", "operations": "a"},
    ("diagnose --trace", "keystone"): {"reason": "b"},
    ("page", "slow"): {"since": "a", "operations": "a"},
    ("Overview", "slow"): {"since": "c", "operations": "c"},
    ("Overview", "keystone"): {"operations": "d"},
    ("alerts", "slow"): dict.fromkeys(QUESTIONS, "i"),
    ("alerts", "network"): _ALERTS_OF_FEW,
    ("alerts", "flapping"): _ALERTS_OF_FEW,
    ("alerts", "image"): _ALERTS,
    ("alerts", "keystone"): _ALERTS,
}
"""What an outlet can't know of a scene, and why."""

BY_CHANCE = "h"
"""The reason with which an outlet may know all the same."""

_TOP = """\
# What each outlet answers

<!-- Written from a run by `python tests/real/outlets_page.py`; a test compares it. -->

If something fails or is slow, an operator has six questions: which server, why, since when, who is
hit and with which operations, did retries hide it, and what did it cost. This page says which of
them each outlet answers by itself, in at most three reads: one answer of a command, one page, or
one panel.

A run of the tests made the tables. In each scene, two processes of `nova-api` read records and one
of `image-cache` reads data, from three servers. They are real processes, and a real Prometheus
scrapes them. It has the committed rules, but with times that are a tenth, so that a run takes
minutes. Each outlet is asked half a minute after something broke. What it says is compared with
what is true: a time may be wrong by 30 seconds, and a cost by what goes on while the outlet is
read. No outlet may say anything that is wrong.

## The scenes

"""
_BETWEEN = """
A slow server has no reason: it is enough to say that it is slow.

## The answers

A number says which read gives the answer. A letter stands for a reason for which the outlet can't
know it; the reasons are below.
"""
_BOTTOM = """
All failures of TLS have the reason `tls_error`. That a certificate has expired is said by probes
alone: on the page of an exporter that probes, and by the alert `GlanceCertificateExpiring`.

Image data that breaks off after its call has ended is no scene here: what each source of `diagnose`
knows of it is in [How to find what fails](../how-to/diagnose.md#what-a-source-cant-know).
"""


def page(seen: Diagnosed) -> str:
    """The page, as a run shows it."""
    parts = [_TOP, _table(("scene", *QUESTIONS.values()), _list_scenes()), _BETWEEN]
    for outlet, how in OUTLETS.items():
        name = f"`{outlet}`" if outlet.startswith("diagnose") else outlet[0].upper() + outlet[1:]
        parts += [
            f"\n### {name}\n\n{how}\n\n",
            _table(("scene", *QUESTIONS.values()), _list(seen, outlet)),
        ]
    parts.append("\n## What an outlet can't know\n\n")
    parts.append(_table(("", "reason"), ((f"*{letter}*", why) for letter, why in REASONS.items())))
    return "".join(parts) + _BOTTOM


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _list_scenes() -> Iterator[list[str]]:
    for fault in FAULTS.values():
        if fault.servers == NONE:
            yield [fault.title, NONE, *["-"] * 6]
            continue
        yield [
            fault.title,
            fault.servers,
            SLOW if fault.reason == SLOW else f"`{fault.reason}`",
            "the beginning",
            ", ".join(fault.jobs),
            ", ".join(f"`{each}`" for each in fault.operations),
            "yes" if fault.hidden else "no",
            {"seconds": "seconds that retries added"}.get(fault.cost, fault.cost),
        ]


def _list(seen: Diagnosed, outlet: str) -> Iterator[list[str]]:
    for scene, fault in FAULTS.items():
        cells = [_cell(seen, outlet, scene, each) for each in QUESTIONS]
        yield [fault.title, *cells]


def _cell(seen: Diagnosed, outlet: str, scene: str, question: str) -> str:
    letter = CANT_KNOW.get((outlet, scene), {}).get(question)
    read = seen.outlets[outlet, scene].told.reads.get(question)
    if letter == BY_CHANCE or (letter and read is None):
        return f"*{letter}*"
    if FAULTS[scene].servers == NONE and read is None:
        return "1" if question == "server" else "-"
    own = outlet == "page" and question in ("jobs", "operations", "cost")
    return "not answered" if read is None else f"{read}, own" if own else str(read)


def main() -> None:
    """Play the scenes, and write the page."""

    def say(line: str) -> None:
        sys.stdout.write(f"{line}\n")

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        programs = prometheus.install(say), chromium.install(say)
        PAGE.write_text(page(diagnosed.play(*programs, Path(folder))), "utf-8")


if __name__ == "__main__":
    main()
