"""How long the calls of each client may take, how often they may try, and what may be left."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from . import stock as stock_client
from .records import Limits

if TYPE_CHECKING:
    from .records import Seen

THREADS = 4
CONNECT, READ, REQUEST, UPLOAD, DEADLINE = 2.0, 3.0, 4.0, 6.0, 30.0
"""The limits of the service in seconds; each is shorter than the longest fault, or nearly so."""

RETRIES = 3
PATIENCE = 90.0
"""Seconds after the end of the faults in which the last calls must end."""

SHARE = 0.03
"""The share of the calls that need a new token."""

FERNET = "gAAAA"
"""How each token of Keystone begins; it is the secret that must be nowhere."""

_MEMORY = 128 * 1024**2  # 500 threads at once take some, which the allocator keeps
_RECORD = 2048  # bytes, rather more than a span and what belongs to it

_MARGIN = 2.0
"""Seconds that an attempt may take beyond its limits.

The time in which the machine held up its process is measured by `pulse.Pulse`, and does not count.
This is for what a pulse does not see: waits for a processor between two of its looks, and the
closing of a connection.
"""

_GRACE = 1.0
"""Seconds after the end of a fault in which an attempt that it made fail may begin.

A server that was stopped first works at what has waited for it.
"""

_UNBOUNDED = 2 * stock_client.TIMEOUT + _MARGIN
"""Without a limit for a whole request, its connection and its answer have one each."""

LIMITS = {
    "pipeline": Limits(REQUEST + _MARGIN, 1 + RETRIES, _GRACE, _MEMORY),
    "nova": Limits(
        _UNBOUNDED,
        1 + stock_client.RETRIES,
        _GRACE,
        _MEMORY,
        stock_client.DESCRIPTORS,
        repeats=True,
    ),
    "glanceclient": Limits(_UNBOUNDED, 1, _GRACE, _MEMORY, stock_client.DESCRIPTORS),
}
"""What each client may not exceed."""


def allow_for_records(limits: Limits, seen: Seen) -> Limits:
    """Let a process grow by what it keeps for the checks."""
    return replace(limits, memory=limits.memory + _RECORD * len(seen.spans))
