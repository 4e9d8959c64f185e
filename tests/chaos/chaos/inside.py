"""A process in which a stock client calls, which this package observes, until its input ends."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from traced_image.instrumentation import GlanceInstrumentor

from .callers import Caller, Journal, Traffic
from .names import Names
from .observing import Observer, settle
from .records import Seen, dump_seen

if TYPE_CHECKING:
    from collections.abc import Callable


def main(make: Callable[[dict[str, Any]], tuple[Any, Any]]) -> None:
    """Call until the input ends, and write what was seen.

    Args:
        make: Makes the client and the context of its calls from the settings, which are a file of
            JSON that the command names.
    """
    settings = json.loads(Path(sys.argv[1]).read_text())
    observer = Observer(*settings["secrets"])
    GlanceInstrumentor().instrument(
        tracer_provider=observer.provider,
        meter_provider=False,
        registry=observer.registry,
        wire_spans=True,
    )
    # The faults of names are the other process's; here each is right.
    names = Names(tuple(settings["names"]), random.Random(0))
    with names.installed():
        seen = _call(settings, observer, make)
    Path(settings["seen"]).write_text(dump_seen(seen))


def _call(
    settings: dict[str, Any],
    observer: Observer,
    make: Callable[[dict[str, Any]], tuple[Any, Any]],
) -> Seen:
    service, who = make(settings)
    journal = Journal(settings["seeded"])
    callers = [
        Caller(service, who, journal, random.Random(seed), settings["number"], (Exception,))
        for seed in settings["seeds"]
    ]
    before = observer.measure()
    traffic = Traffic(callers)
    observer.pulse.start()
    Path(settings["ready"]).touch()
    traffic.start()
    sys.stdin.read()
    traffic.end()
    traffic.wait(settings["patience"])
    observer.pulse.stop()
    return observer.sum_up(
        journal.made.values(), before, settle(observer, before, settings["descriptors"])
    )
