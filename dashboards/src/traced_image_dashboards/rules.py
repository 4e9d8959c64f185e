"""The rule files: the objective, the recording rules and the alerts, as YAML for Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml  # type: ignore[import-untyped]

from . import alerts, recording
from .links import RUNBOOKS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

_MADE = "# Made by `python -m traced_image_dashboards`; a change here is lost.\n"
_OBJECTIVE_HEAD = """\
# The share of calls to Glance that must not fail: the one number to set. Useful are 0.95 and above.
# `python -m traced_image_dashboards` leaves this file alone once it is there.
"""
_WIDTH = 100


class _Dumper(yaml.SafeDumper):  # type: ignore[misc] # it has no types
    """Writes what has several lines as it is."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002
        super().increase_indent(flow, indentless=False)


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def _group(name: str, rules: Iterable[Mapping[str, object]]) -> dict[str, object]:
    return {"name": name, "interval": f"{recording.INTERVAL}s", "rules": list(rules)}


def _file(head: str, *groups: Mapping[str, object]) -> str:
    body = yaml.dump({"groups": list(groups)}, Dumper=_Dumper, sort_keys=False, width=_WIDTH)
    return f"{head}{body}"


def files(page: str = RUNBOOKS) -> dict[str, str]:
    """The rule files by their names.

    Args:
        page: Where the runbooks are.
    """
    objective = {"record": recording.OBJECTIVE, "expr": "vector(0.999)"}
    return {
        "objective.yaml": _file(_OBJECTIVE_HEAD, _group("glance_objective", [objective])),
        "recording.yaml": _file(
            _MADE,
            *(
                _group(name, ({"record": each.record, "expr": each.expr} for each in rules))
                for name, rules in recording.GROUPS.items()
            ),
        ),
        "alerts.yaml": _file(
            _MADE,
            *(
                _group(name, (each.rule(page) for each in rules))
                for name, rules in alerts.GROUPS.items()
            ),
        ),
    }


def write(folder: Path, page: str = RUNBOOKS) -> None:
    """Write the rule files into a folder; the objective only where there is none."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files(page).items():
        if name != "objective.yaml" or not (folder / name).exists():
            (folder / name).write_text(text, "utf-8")
