"""How long a call waits after a failed attempt, before the next one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..clock import double

if TYPE_CHECKING:
    import random

    from ...config import RetryPolicy, Server
    from .host_state import Pick


def find_delay(
    policy: RetryPolicy, rng: random.Random, pick: Pick, failed: Server, failures: int
) -> float:
    """Return the seconds to wait: 0 for another server that is healthy, else full jitter.

    Args:
        policy: The rules for waits.
        rng: The source of the jitter.
        pick: The next attempt.
        failed: The server of the attempt that failed.
        failures: How many attempts of the call have failed, at least one.
    """
    # Full jitter: "Exponential Backoff And Jitter", AWS Architecture Blog.
    if policy.fixed_delay is not None:
        return policy.fixed_delay
    if (pick.healthy or pick.trial) and pick.server != failed:
        return pick.wait
    longest = double(policy.backoff_base, failures - 1, policy.backoff_cap)
    return max(rng.uniform(0.0, longest), pick.wait)
