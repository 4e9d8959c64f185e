"""The real parts by name: each is installed if need be, started, and closed with its context."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from threading import Lock
from typing import TypeAlias

from . import cache, glance, keystone, nova, postgres, prometheus
from .cache import Say
from .cloud import Cloud
from .http import HTTPPart

Running: TypeAlias = list[HTTPPart] | Cloud | nova.Nova | postgres.Postgres | prometheus.Prometheus

_APT_GET = Lock()
"""Parts start at the same time, and apt-get does not run twice at a time."""


def _glances(folder: Path, say: Say) -> AbstractContextManager[Running]:
    return glance.glances(cache.install(cache.GLANCE, say), folder)


def _keystone(folder: Path, say: Say) -> AbstractContextManager[Running]:
    environments = cache.install(cache.KEYSTONE, say), cache.install(cache.GLANCE, say)
    return keystone.keystone(*environments, folder)


def _nova(folder: Path, say: Say) -> AbstractContextManager[Running]:
    return nova.nova(cache.install(cache.NOVA, say), folder)


def _postgres(folder: Path, say: Say) -> AbstractContextManager[Running]:
    with _APT_GET:
        programs = postgres.install(say)
    return postgres.postgres(programs)


def _prometheus(folder: Path, say: Say) -> AbstractContextManager[Running]:
    with _APT_GET:
        programs = prometheus.install(say)
    return prometheus.prometheus(programs, folder)


STARTERS: Mapping[str, Callable[[Path, Say], AbstractContextManager[Running]]] = {
    "glances": _glances,
    "keystone": _keystone,
    "nova": _nova,
    "postgres": _postgres,
    "prometheus": _prometheus,
}
"""Each takes a folder that does not exist yet, and what is told each step of the installation."""
