"""PromQL as Grafana has it: the variables' matchers, and what several panels ask."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import recording
from ..promql import SERVER

if TYPE_CHECKING:
    from ..recording import Recording

JOB = 'job=~"$job"'
INSTANCE = 'instance=~"$instance"'
SERVERS = 'server_address=~"$server", server_port=~"$port"'
CALLER = 'instance="$caller"'

BY_SERVER = f"by ({SERVER})"
BY_CALLER = "by (job, instance)"
SERVER_NAME = "{{server_address}}:{{server_port}}"
CALLER_NAME = "{{job}} {{instance}}"

WINDOW = "$__rate_interval"

NOT_HEALTHY = 'state!="healthy"'


def of(recorded: Recording, *matchers: str) -> str:
    """The recorded series of the chosen jobs."""
    return f"{recorded.record}{{{', '.join((JOB, *matchers))}}}"


def total(expr: str, by: str = "") -> str:
    """A sum, of all or by some labels."""
    return f"sum {by} ({expr})" if by else f"sum({expr})"


def top(most: int, expr: str) -> str:
    """The greatest of many, so that a panel shows 200 servers or 1,000 callers as well as one."""
    return f"topk({most}, {expr})"


def some(expr: str) -> str:
    """What is not nothing: counters are there before they count, and would fill a legend with 0."""
    return f"{expr} > 0"


def share(part: str, whole: str) -> str:
    """A ratio; nothing where there was nothing to divide by, so that the panel says so."""
    return f"{part} / ({whole} > 0)"


def quantile(which: float, buckets: str, by: str = "le") -> str:
    """A quantile of a histogram's buckets."""
    return f"histogram_quantile({which}, sum by ({by}) ({buckets}))"


def shown_exemplars(selector: str) -> str:
    """A query that finds exemplars and no samples.

    Recorded series have no exemplars, and the callers' own are too many to be read for a panel of
    all of them. Prometheus looks for exemplars by the selector alone; samples are looked for at a
    time when there were none, which costs nothing.
    """
    return f"{selector} offset 40y"


# --- calls -------------------------------------------------------------------------------------

CALLS = total(of(recording.ALL_CALLS))
SUCCESS_OF_CALLS = f"1 - {share(total(of(recording.ALL_BAD_CALLS)), CALLS)}"


def _callers_own(recorded: Recording) -> str:
    # A job that only probes has attempts, and no calls that they could be compared with.
    return total(f"{of(recorded)} and on (job) {of(recording.ALL_CALLS)}")


ATTEMPTS = _callers_own(recording.ATTEMPTS)
SUCCESS_OF_ATTEMPTS = f"1 - {share(_callers_own(recording.FAILED_ATTEMPTS), ATTEMPTS)}"
OBJECTIVE = f"scalar({recording.OBJECTIVE})"

# --- servers -----------------------------------------------------------------------------------


def by_server(recorded: Recording, *matchers: str) -> str:
    """The sum of a recorded series over the chosen jobs, for each server."""
    return total(of(recorded, *matchers), BY_SERVER)


def share_out(*matchers: str) -> str:
    """Of those that call a server, the share that has left it."""
    left = by_server(recording.STATES, *matchers, NOT_HEALTHY)
    return share(left, by_server(recording.STATES, *matchers))


def error_ratio(*matchers: str) -> str:
    """Of the attempts on a server, the share that failed."""
    failed = by_server(recording.FAILED_ATTEMPTS, *matchers)
    return share(failed, by_server(recording.ATTEMPTS, *matchers))
