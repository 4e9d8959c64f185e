"""The queries and silences of dashboards/runbooks.md, as a reader of an alert fills them in."""

import re
from collections.abc import Mapping
from pathlib import Path

RUNBOOKS = (Path(__file__).parents[2] / "dashboards/runbooks.md").read_text("utf-8")

_QUERY = re.compile(r"^ *```promql\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
_SILENCE = re.compile(r"^\$ (amtool silence add (?:.*\\\n)*.*)$", re.MULTILINE)
_LABELS = {
    "JOB": "job",
    "REGION": "region",
    "INSTANCE": "instance",
    "HOST": "server_address",
    "PORT": "server_port",
    "OPERATION": "operation",
    "SIGNAL": "signal",
}
_PLACE = re.compile(rf"(?<![A-Z])({'|'.join(_LABELS)})(?![A-Z])")


def headed(page: str, heading: str) -> str:
    """Return the part of a page below a heading that begins so."""
    found = re.search(rf"^##+ `?{heading}\b.*?\n(.*?)(?=^##|\Z)", page, re.DOTALL | re.MULTILINE)
    assert found, heading
    return found[1]


def queries(text: str) -> list[str]:
    """Return the queries of a text."""
    return _QUERY.findall(text)


def silences(text: str) -> list[str]:
    """Return the commands of a text that make silences, each on one line."""
    return [found.replace("\\\n", "") for found in _SILENCE.findall(text)]


def fill(query: str, labels: Mapping[str, str]) -> str:
    """Put an alert's labels into the places of a query; nothing for a label that it has not."""
    return _PLACE.sub(lambda found: labels.get(_LABELS[found[1]], ""), query)
