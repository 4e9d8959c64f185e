"""A lab server that fails in one way: ``python bench/hostile.py never_answer|drip``.

It prints its URL, and ends as soon as its standard input does.
"""

from __future__ import annotations

import sys

from traced_image import lab

FAULTS = {"never_answer": lab.faults.never_answer(), "drip": lab.faults.slow_headers(1.0)}


def main() -> None:
    """Serve until standard input ends."""
    with lab.GlanceServer() as server:
        server.break_with(FAULTS[sys.argv[1]])
        print(server.url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
