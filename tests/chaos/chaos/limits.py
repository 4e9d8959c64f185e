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

Its process is not held up in them, which is measured on its own: a thread that has to wait once
for a processor, between two looks of `pulse.Pulse`, and closing a connection take less.
"""

_GRACE = 1.0
"""Seconds after the end of a fault in which it still shows.

A server that was stopped first works at what has waited; TCP sends what was lost again after 0.2 s,
0.4 s and so on, for as long again as the fault lasted, unless the proxy resets the connection.
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
