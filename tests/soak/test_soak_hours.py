"""The memory of a service in six hours of a clock that is set forward."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

HOURS, CALLS = 6, 15
"""Of its clock, and in each of their minutes."""


@pytest.mark.slow
def test_a_service_grows_no_more_once_an_hour_is_full():
    path = os.pathsep.join(sys.path)
    programs = {"env": {**os.environ, "PYTHONPATH": path}, "text": True, "stdout": subprocess.PIPE}
    flapping = [sys.executable, "-m", "soak.servers", json.dumps({"seed": 1, "warm_up": 0.0})]
    with subprocess.Popen(flapping, stdin=subprocess.PIPE, **programs) as servers:
        told = {**json.loads(servers.stdout.readline()), "hours": HOURS, "calls": CALLS}
        done = subprocess.run(
            [sys.executable, "-m", "soak.hours", json.dumps(told)],
            check=True,
            timeout=300,
            **programs,
        )
        servers.stdin.close()
    hours = [json.loads(line) for line in done.stdout.splitlines()]
    grown = hours[-1]["memory"] - hours[2]["memory"]  # KiB, of some 2,700 calls
    assert (HOURS, HOURS * 60 * CALLS) == (len(hours), hours[-1]["calls"])
    assert grown < 256, [hour["memory"] for hour in hours]
