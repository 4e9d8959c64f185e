"""What long runs share: what they say of themselves, what they are told, and their records."""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import ssl
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = (
    *("traced-image", "urllib3", "requests", "opentelemetry-sdk", "opentelemetry-exporter-otlp"),
    *("prometheus-client", "hypothesis", "uvicorn", "h11"),
)

RECORDS = Path(__file__).parent.parent / "docs/reference/proof"
"""Where the records are of which docs/reliability.md is written."""

LONGEST = 10_000_000
"""The highest number that a run may be told: seconds, 16 weeks."""


def read_amount(text: str) -> float:
    """Read a number of a command, without which nothing would be tried.

    Raises:
        argparse.ArgumentTypeError: It is none, or not above 0, or too high.
    """
    try:
        amount = float(text)
    except ValueError:
        amount = math.nan
    if not 0 < amount <= LONGEST:
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0 and up to {LONGEST:,}")
    return amount


def describe_run(seed: int) -> dict[str, object]:
    """Return what the JSON of a run begins with.

    Args:
        seed: What all random choices of the run came from.
    """
    return {
        "seed": seed,
        "began": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "versions": find_versions(),
        "machine": describe_machine(),
    }


def find_versions() -> dict[str, str]:
    """Return the versions of Python, OpenSSL and the packages that are installed."""
    found = {"python": platform.python_version(), "openssl": ssl.OPENSSL_VERSION}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def describe_machine() -> dict[str, object]:
    """Return the processor, how many there are, the memory in MiB, the kernel and the load."""
    return {
        "processor": _find_line("/proc/cpuinfo", "model name") or platform.machine(),
        "processors": os.cpu_count(),
        "memory_mib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20,
        "kernel": f"{platform.system()} {platform.release()}",
        "load": round(os.getloadavg()[0], 2),
    }


def _find_line(path: str, name: str) -> str:
    file = Path(path)
    lines = file.read_text("utf-8").splitlines() if file.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")


def format_run(run: dict[str, object]) -> str:
    """Return a few lines that say what `describe_run` has found."""
    versions, machine = run["versions"], run["machine"]
    assert isinstance(versions, dict)
    assert isinstance(machine, dict)
    packages = ", ".join(f"{name} {each}" for name, each in versions.items())
    place = ", ".join(f"{name} {each}" for name, each in machine.items())
    return f"seed {run['seed']}, {run['began']}\n{packages}\n{place}"


def save_record(name: str, record: dict[str, object]) -> str:
    """Write a record, of which `make docs` writes the page, and return its path.

    Args:
        name: The command.
        record: Its conditions, seconds, counts and checks.
    """
    RECORDS.mkdir(parents=True, exist_ok=True)
    path = RECORDS / f"{name}.json"
    path.write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    return os.path.relpath(path)
