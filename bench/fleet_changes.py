"""What happens when an agent's targets change, and when an agent dies whose standby takes over.

``PYTHONPATH=dashboards/src python bench/fleet_changes.py [churn] [standby]``

*churn*: of a real vmagent's targets, a tenth is replaced at once. The sum of all calls a second is
watched, and what the agent takes is measured before and after.

*standby*: ``dashboards/fleet/standby.sh`` runs beside an agent that is killed, and later started
again, with the intervals of ``dashboards/fleet``. The calls a second of five minutes are watched.
Systemd's part is a program of two lines.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from fleet import CALLS, SERVERS, Meter, agent, store, write_targets
from scale import DASHBOARDS, Caller, Prometheus, served

from traced_image.telemetry import catalogue

if TYPE_CHECKING:
    from collections.abc import Sequence

_USUAL = f"sum(rate({catalogue.CALL_DURATION.name}_count[5m]))"
_CALLERS, _PAUSE = 20, 10
_SYSTEMCTL = "#!/bin/sh\necho $1 > {file}\n"
_RECEIVING = "storage: {tsdb: {out_of_order_time_window: 30m}}"


def measure_churn(program: str, targets: int, seconds: int) -> None:
    """Replace a tenth of an agent's targets, and compare what is counted with what they called."""
    caller, young = Caller(SERVERS, "full"), Caller(SERVERS, "full")
    caller.call(3000)
    gone, called = targets // 10, list[tuple[float, int]]()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        port = stack.enter_context(served(caller))
        to = stack.enter_context(store(folder / "store"))
        own = stack.enter_context(agent(program, "agent-0", folder / "0", port, targets, to))
        print(f"\n{targets} targets; {gone} are replaced", flush=True)
        for what in ("before", "after"):
            meter, end, before = Meter(own), time.monotonic() + seconds, caller.calls
            while time.monotonic() < end:
                grown = (caller.calls - before) * gone if what == "after" else 0
                called.append(
                    (time.monotonic(), caller.calls * targets - grown + young.calls * gone)
                )
                if len(called) % _PAUSE == 0:
                    _compare_rates(called, to)
                time.sleep(1)
            print(f"  {what}: {meter.cost()}", flush=True)
            if what == "before":
                ports = dict.fromkeys(range(gone, targets), port)
                new = range(targets, targets + gone)
                ports |= dict.fromkeys(new, stack.enter_context(served(young)))
                write_targets(folder / "0", ports)


def _compare_rates(called: Sequence[tuple[float, int]], to: Prometheus) -> None:
    now, calls = called[-1]
    then, less = next(each for each in called if each[0] > now - 120)
    real = (calls - less) / max(now - then, 1.0)
    counted = to.value(CALLS)
    print(f"  {now - called[0][0]:.0f} s: {counted:.0f} calls/s counted in 2m, {real:.0f} made")


class Standby:
    """The script of a standby, and the agent that it starts and stops.

    Args:
        stack: What ends both.
        program: vmagent.
        folder: Where all is.
        port: Where the callers are.
        to: The store of both agents.
    """

    def __init__(
        self, stack: ExitStack, program: str, folder: Path, port: int, to: Prometheus
    ) -> None:
        self._folder, self._own = folder, ExitStack()
        self._wanted = folder / "wanted"
        self._agent = lambda: agent(program, "zone-1-b", folder / "b", port, _CALLERS, to)
        stack.enter_context(self._own)
        systemctl = folder / "systemctl"
        systemctl.write_text(_SYSTEMCTL.format(file=self._wanted))
        systemctl.chmod(0o755)
        variables = {"STORE": to.url, "PARTNER": "zone-1-a"}
        path = f"{folder}:{os.environ['PATH']}"
        script = subprocess.Popen(
            ["/bin/sh", DASHBOARDS / "fleet/standby.sh"], env={**variables, "PATH": path}
        )
        stack.callback(script.wait)
        stack.callback(script.kill)
        self.runs = False

    def follow(self) -> None:
        """Do what the script has asked for."""
        wanted = self._wanted.exists() and "start" in self._wanted.read_text()
        if wanted and not self.runs:
            shutil.rmtree(self._folder / "b", ignore_errors=True)
            self._own.enter_context(self._agent())
        if self.runs and not wanted:
            self._own.pop_all().close()
        self.runs = wanted


def measure_standby(program: str, seconds: int) -> None:
    """Kill an agent and start it again, and print every ten seconds what the store has."""
    caller = Caller(SERVERS, "full")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        port = stack.enter_context(served(caller))
        to = stack.enter_context(store(folder / "store", _RECEIVING))
        standby = Standby(stack, program, folder, port, to)
        for what in ("with the first agent", "without it", "with it again"):
            with ExitStack() as first:
                if what != "without it":
                    shutil.rmtree(folder / "a", ignore_errors=True)
                    first.enter_context(
                        agent(program, "zone-1-a", folder / "a", port, _CALLERS, to)
                    )
                print(f"\n{what}", flush=True)
                began = time.monotonic()
                while (past := time.monotonic() - began) < seconds:
                    standby.follow()
                    usual, now = to.value(_USUAL), to.value(CALLS.replace("2m", "1m"))
                    print(f"  {past:.0f} s: {usual:.0f} calls/s in 5m, {now:.0f} in 1m,", end=" ")
                    print(f"the standby {'runs' if standby.runs else 'waits'}", flush=True)
                    time.sleep(_PAUSE)


def main() -> int:
    """Run, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("parts", nargs="*", default=["churn", "standby"])
    parser.add_argument("--vmagent", default=shutil.which("vmagent"))
    parser.add_argument("--targets", type=int, default=1000, help="of churn")
    parser.add_argument("--seconds", type=int, default=210, help="of each part of churn")
    parser.add_argument("--outage", type=int, default=330, help="seconds of each part of standby")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that nothing is left running
    if "churn" in options.parts:
        measure_churn(options.vmagent, options.targets, options.seconds)
    if "standby" in options.parts:
        measure_standby(options.vmagent, options.outage)
    return 0


if __name__ == "__main__":
    sys.exit(main())
