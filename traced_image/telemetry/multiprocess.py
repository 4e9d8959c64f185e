"""prometheus_client's multiprocess mode: whether a registry shows files, and where they are."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, values
from prometheus_client.multiprocess import MultiProcessCollector

from ..config.checks import format_value
from ..errors import InvalidOption

if TYPE_CHECKING:
    from prometheus_client.registry import Collector

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


def is_on() -> bool:
    """Return whether this process keeps its metrics in files, for other processes to read."""
    return values.ValueClass is not values.MutexValue


def shows_files(registry: CollectorRegistry) -> bool:
    """Return whether a registry has a `MultiProcessCollector`, which reads all processes' files."""
    return _find_collector(registry) is not None


def find_folder(registry: CollectorRegistry) -> Path | None:
    """Return the folder of the files that a registry shows, or else of those of this process.

    Raises:
        InvalidOption: This process keeps its metrics in files, but has no folder for them.
    """
    collector = _find_collector(registry)
    if collector is not None:
        return Path(collector._path)  # noqa: SLF001 there is no other way to know it
    if not is_on():
        return None
    # prometheus_client accepts the old name in lower case, too.
    folder = os.environ.get(VARIABLE) or os.environ.get(VARIABLE.lower(), "")
    if not folder or not Path(folder).is_dir():
        fix = "name an empty folder before the program starts"
        problem = f"{format_value(folder)} is no folder"
        raise InvalidOption(VARIABLE, problem, source="environment", fix=fix)
    return Path(folder)


def read_all(registry: CollectorRegistry) -> CollectorRegistry:
    """Return a registry that shows all processes: a new one in multiprocess mode, or the same."""
    if not is_on() or shows_files(registry):
        return registry
    together = CollectorRegistry()
    MultiProcessCollector(together)  # type: ignore[no-untyped-call]
    return together


def _find_collector(registry: CollectorRegistry) -> MultiProcessCollector | None:
    registered: dict[Collector, object] = getattr(registry, "_collector_to_names", {})
    # A copy, because another thread may register a collector now.
    return next(
        (each for each in list(registered) if isinstance(each, MultiProcessCollector)), None
    )
