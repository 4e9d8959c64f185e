"""The table of what fails now: server, operation, reason, job, since when, and the host state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grafana_foundation_sdk.models.dashboard import ValueMap, ValueMappingResult

from traced_image.telemetry import catalogue

from .. import recording
from ..promql import SERVER
from . import links
from .panels import BAD, ODD, About, levels
from .queries import JOB_KEYS, of, some, top, total
from .tables import ROUTE_HEADINGS, Column, table_of

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders import table

_BY_JOB = f"{JOB_KEYS}, {SERVER}"
_MOST = 50
_TIME_OF_DAY = "dateTimeAsIsoNoDateIfToday"

_STATES = tuple(sorted(catalogue.STATES, key=["healthy", "trial", "failing", "cooling"].index))
"""The host states, the worst last."""


def failing_now(*matchers: str) -> table.Panel:
    """Build the table of all that fails for any job.

    Args:
        matchers: Which servers.
    """
    about = About(
        "What fails now",
        "Each server, operation and reason of failed attempts in the last 5 minutes, for each job. "
        '"Since" is the time of the first failure in a row of any caller; with few in a row, or '
        "if it is empty, attempts succeed in between, and it failed before. One server with all "
        "operations: it is down or hangs. One operation: look at the image store. One job of "
        "several: look at the network between them. Follow the server's link.",
        "short",
        "No attempt has failed in the last 5 minutes",
        "GlanceServerFailing",
    )
    rows = f"by (operation, error_type, {_BY_JOB})"
    failed = top(_MOST, some(total(of(recording.OPERATION_FAILURES, *matchers), rows)))

    def beside(by_job: str) -> str:
        return f"({failed}) * 0 + on ({_BY_JOB}) group_left () ({by_job})"

    in_row = f"max by ({_BY_JOB}) ({of(recording.CONSECUTIVE_FAILURES, *matchers)})"
    since = f"min by ({_BY_JOB}) ({of(recording.FAILING_SINCE, *matchers)})"
    return table_of(
        about,
        {
            "server_address": "Server",
            "server_port": "Port",
            "error_type": "Reason",
            "operation": "Operation",
            "job": "Job",
            **ROUTE_HEADINGS,
        },
        Column("Failed/s", failed, "reqps"),
        Column("Failures in a row", beside(in_row), "short", levels((1, ODD), (5, BAD))),
        # Grafana's times are in milliseconds.
        Column("Since", f"1000 * ({beside(since)})", _TIME_OF_DAY),
        Column("State", beside(_worst(*matchers)), words=_words()),
        link=("server_address", links.server_of_row()),
    )


def _worst(*matchers: str) -> str:
    """Build the place in `_STATES` of the worst state that a server has for a caller of a job."""
    found = []
    for place, state in reversed([*enumerate(_STATES)]):
        callers = of(recording.STATES, *matchers, f'state="{state}"')
        found.append(f"max by ({_BY_JOB}) ({callers} > 0) * 0 + {place}")
    return " or ".join(f"({each})" for each in found)


def _words() -> list[ValueMap]:
    """Build the words of the states, by their places."""
    words = {str(place): ValueMappingResult(text=state) for place, state in enumerate(_STATES)}
    return [ValueMap(words)]
