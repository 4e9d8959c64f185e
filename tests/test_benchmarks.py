"""The page of benchmarks is what its command writes of the figures that are kept."""

import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).parent.parent / "bench"


def test_the_page_and_its_plots_are_of_the_results():
    done = subprocess.run(
        [sys.executable, "page.py", "--check"],
        cwd=BENCH,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ("", "") == (done.stdout, done.stderr)
