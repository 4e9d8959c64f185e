"""All scenes, played once: the command's findings, and what each outlet says."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diagnose_scene
import outlet_readers as readers
from click.testing import CliRunner
from diagnose_scene import Scene, Watched
from outlet_overview import read_overview
from outlet_truth import FAULTS, NOTHING, Cost, Spent, Told, find_wrong, read_cost
from parts import chromium
from parts.prometheus import Programs

from traced_image.cli.diagnose import diagnose

Findings = tuple[int, list[dict[str, Any]]]
"""An exit status, and the findings as JSON."""


@dataclass(frozen=True)
class Asked:
    """What an outlet says of a scene.

    Attributes:
        told: What it says.
        wrong: Those of its answers that are not true.
    """

    told: Told
    wrong: Mapping[str, Any]


@dataclass(frozen=True)
class Diagnosed:
    """What was found in all scenes, which are over.

    Attributes:
        scenes: The scenes.
        findings: The command's findings, by scene and source.
        outlets: What each outlet says, by outlet and scene.
    """

    scenes: Mapping[str, Scene]
    findings: Mapping[tuple[str, str], Findings]
    outlets: Mapping[tuple[str, str], Asked]


def play(programs: Programs, browsers: chromium.Programs, folder: Path) -> Diagnosed:
    """Play the scenes, and ask every outlet about each."""
    with ExitStack() as stack:
        watched = stack.enter_context(diagnose_scene.play(programs, folder))
        costs = {name: [*map(read_cost, watched.scenes[name].exporters)] for name in FAULTS}
        browser = stack.enter_context(chromium.chromium(browsers, folder / "chromium"))
        browser.look()
        outlets = {
            (outlet, name): asked
            for name in FAULTS
            for outlet, asked in _ask(watched, browser, watched.scenes[name], costs[name])
        }
        findings = {
            (name, source): _diagnose(watched, scene, source)
            for name, scene in watched.scenes.items()
            for source in readers.SOURCES
        }
        return Diagnosed(watched.scenes, findings, outlets)


def _ask(
    watched: Watched, browser: chromium.Browser, scene: Scene, before: Sequence[Cost]
) -> Iterator[tuple[str, Asked]]:
    process = readers.page_of(scene)
    every = {
        **{
            f"diagnose --{it}": readers.read_diagnosis(watched, scene, it) for it in readers.SOURCES
        },
        "Overview": read_overview(watched, scene, int(time.time()) - 1),
        "alerts": readers.read_alerts(watched, scene),
    }
    page = readers.read_page(browser, scene)
    after, elapsed = [*map(read_cost, scene.exporters)], time.time() - scene.began
    spent = Spent(sum(before, NOTHING), sum(after, NOTHING), elapsed)
    for outlet, told in every.items():
        yield outlet, Asked(told, find_wrong(told, scene, spent))
    own = Spent(before[process], after[process], elapsed)
    yield "page", Asked(page, find_wrong(page, scene, own, process))


def _diagnose(watched: Watched, scene: Scene, source: str) -> Findings:
    """Run the command; it must not complain."""
    done = CliRunner().invoke(
        diagnose,
        ["--json", *readers.options_of(watched, scene, source)],
        standalone_mode=False,
        catch_exceptions=False,
    )
    assert done.stderr == ""
    return done.return_value, json.loads(done.stdout)
