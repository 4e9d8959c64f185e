"""Waiting for what other processes and threads do, with a limit."""

import time

LIMIT = 30.0  # seconds for what takes milliseconds on an idle machine


def until(condition):
    """Wait until a condition holds, or the limit is reached; return what the condition did."""
    end = time.monotonic() + LIMIT
    while not (found := condition()) and time.monotonic() < end:
        time.sleep(0.01)
    return found
