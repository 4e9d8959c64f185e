"""PromQL for Grafana: matchers with its variables, and queries of several panels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import recording
from ..promql import ROUTES, SERVER

if TYPE_CHECKING:
    from ..recording import Recording

IN_ROUTES = ", ".join(f'{label}=~"${label}"' for label in ROUTES)
"""Matchers of the labels that one routes by; All matches a series without them, too."""

CHOSEN = f'job=~"$job", {IN_ROUTES}'
INSTANCE = 'instance=~"$instance"'
SERVERS = 'server_address=~"$server", server_port=~"$port"'
CALLER = 'instance="$caller"'

JOB_KEYS = f"job, {', '.join(ROUTES)}"
"""The labels that name a job: two regions may have jobs of the same name."""

BY_SERVER = f"by ({SERVER})"
BY_CALLER = f"by (instance, {JOB_KEYS})"
SERVER_NAME = "{{server_address}}:{{server_port}}"
JOB_NAME = " ".join(f"{{{{{label}}}}}" for label in ("job", *ROUTES))
CALLER_NAME = "{{job}} {{instance}}"

WINDOW = "$__rate_interval"

NOT_HEALTHY = 'state!="healthy"'


def of(recorded: Recording, *matchers: str) -> str:
    """Select the recorded series of the chosen jobs."""
    return f"{recorded.record}{{{', '.join((CHOSEN, *matchers))}}}"


def total(expr: str, by: str = "") -> str:
    """Build a sum, of all series or by some labels."""
    return f"sum {by} ({expr})" if by else f"sum({expr})"


def top(most: int, expr: str) -> str:
    """Select the greatest, so that a panel stays readable with 200 servers or 1,000 callers."""
    return f"topk({most}, {expr})"


def some(expr: str) -> str:
    """Leave out zeros: counters exist before they count, and would fill a legend with 0."""
    return f"{expr} > 0"


def share(part: str, whole: str) -> str:
    """Build a ratio; without a value if the whole is 0, so that the panel shows its empty text."""
    return f"{part} / ({whole} > 0)"


def quantile(which: float, buckets: str, by: str = "le") -> str:
    """Build a quantile of a histogram's buckets."""
    return f"histogram_quantile({which}, sum by ({by}) ({buckets}))"


def shown_exemplars(selector: str) -> str:
    """Build a query that finds exemplars and no samples.

    Recorded series have no exemplars, and the callers' own series are too many to read for a panel
    of all callers. Prometheus finds exemplars by the selector alone. It looks for samples 40 years
    ago, when there were none, which costs nothing.
    """
    return f"{selector} offset 40y"


# --- calls -------------------------------------------------------------------------------------

CALLS = total(of(recording.ALL_CALLS))
SUCCESS_OF_CALLS = f"1 - {share(total(of(recording.ALL_BAD_CALLS)), CALLS)}"


def _callers_own(recorded: Recording) -> str:
    # A job that only probes has attempts, and no calls to compare them with.
    return total(f"{of(recorded)} and on ({JOB_KEYS}) {of(recording.ALL_CALLS)}")


ATTEMPTS = _callers_own(recording.ATTEMPTS)
SUCCESS_OF_ATTEMPTS = f"1 - {share(_callers_own(recording.FAILED_ATTEMPTS), ATTEMPTS)}"

# --- servers -----------------------------------------------------------------------------------


def by_server(recorded: Recording, *matchers: str) -> str:
    """Build the sum of a recorded series over the chosen jobs, for each server."""
    return total(of(recorded, *matchers), BY_SERVER)


def share_out(*matchers: str) -> str:
    """Build the share of a server's callers for which it is not healthy."""
    left = by_server(recording.STATES, *matchers, NOT_HEALTHY)
    return share(left, by_server(recording.STATES, *matchers))


def error_ratio(*matchers: str) -> str:
    """Build the share of failed attempts among the attempts on a server."""
    failed = by_server(recording.FAILED_ATTEMPTS, *matchers)
    return share(failed, by_server(recording.ATTEMPTS, *matchers))
