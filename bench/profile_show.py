"""Where the time of a `show` goes: by library, and by function.

``python bench/profile_show.py [--telemetry off|calls|wire] [--top 25]``

The profiler slows small functions more than large ones, so that the shares are hints. They are
scaled to what a `show` takes without it.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import statistics
import time
from collections import Counter
from typing import TYPE_CHECKING, get_args

from rounds import WARM_UP, small_environment
from serving import nginx, recorded_image
from variants import Observed, Show, show

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CALLS = 3000

Function = tuple[str, int, str]
"""A function as the profiler names it: file, line, name."""

LIBRARIES = (
    ("traced_image/pipeline", "traced_image/pipeline"),
    ("traced_image/telemetry", "traced_image/telemetry"),
    ("opentelemetry", "opentelemetry"),
    ("prometheus_client", "prometheus_client"),
    ("/requests/", "requests"),
    ("urllib3", "urllib3"),
    ("email/", "http.client, email"),
    ("http/client", "http.client, email"),
    ("http/cookiejar", "requests"),
    ("json/", "json"),
)
"""Parts of a file's path and the library that it belongs to; the first that fits counts."""


def main() -> None:
    """Profile, and print both views."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--telemetry", choices=get_args(Observed), default="calls")
    parser.add_argument("--top", type=int, default=25, help="functions to list")
    options = parser.parse_args()
    small_environment()
    image_id, bodies = recorded_image()
    with nginx(bodies) as (url,):
        fetch = show(url, image_id, options.telemetry)
        median = _median(fetch)
        profile = cProfile.Profile()
        profile.runcall(_repeat, fetch)
    stats = pstats.Stats(profile)
    own = dict(_own(stats))
    scale = median / sum(own.values())
    print(f"show, telemetry {options.telemetry}: {1e6 * median:.0f} µs")
    _print_libraries(own, scale)
    _print_functions(own, scale, options.top)


def _repeat(fetch: Show) -> None:
    for _ in range(CALLS):
        fetch()


def _median(fetch: Show) -> float:
    for _ in range(WARM_UP):
        fetch()
    seconds = []
    for _ in range(CALLS):
        started = time.perf_counter()
        fetch()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def _own(stats: pstats.Stats) -> Iterator[tuple[Function, float]]:
    """Each Python function's own time, to which that of built-in ones is added by its calls."""
    found: Counter[Function] = Counter()
    rows: Mapping[Function, tuple[int, int, float, float, Mapping[Function, tuple[float, ...]]]]
    rows = stats.stats  # type: ignore[attr-defined] # typeshed leaves it out
    for function, (_, _, seconds, _, callers) in rows.items():
        if function[0] != "~" or "socket" in function[2]:
            found[function] += seconds
        else:
            for caller, row in callers.items():
                found[caller] += row[2]
    yield from found.items()


def _library(function: Function) -> str:
    if "socket" in function[2] and function[0] == "~":
        return "the kernel and the server: send and receive"
    return next((name for part, name in LIBRARIES if part in function[0]), "other")


def _print_libraries(own: Mapping[Function, float], scale: float) -> None:
    total: Counter[str] = Counter()
    for function, seconds in own.items():
        total[_library(function)] += seconds * scale
    print("\n| Library | µs a call |\n|---|--:|")
    for name, seconds in total.most_common():
        print(f"| {name} | {1e6 * seconds:.0f} |")


def _print_functions(own: Mapping[Function, float], scale: float, count: int) -> None:
    print("\n| Function, with the built-in ones that it calls | µs a call |\n|---|--:|")
    for (file, line, name), seconds in Counter(own).most_common(count):
        where = "/".join(file.split("/")[-3:])
        print(f"| `{name}` {where}:{line} | {1e6 * seconds * scale:.1f} |")


if __name__ == "__main__":
    main()
