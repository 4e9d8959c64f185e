"""The real parts by name: each is installed if need be, started, and closed with its context."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TypeAlias

from . import cache, collector, glance, keystone, nova, postgres, prometheus, prometheus3, vmagent
from .cache import Say
from .cloud import Cloud
from .http import HTTPPart

Running: TypeAlias = (
    list[HTTPPart] | Cloud | nova.Nova | postgres.Postgres | prometheus.Prometheus | Path
)


def _glances(folder: Path, say: Say) -> AbstractContextManager[Running]:
    return glance.glances(cache.install(cache.GLANCE, say), folder)


def _keystone(folder: Path, say: Say) -> AbstractContextManager[Running]:
    environments = cache.install(cache.KEYSTONE, say), cache.install(cache.GLANCE, say)
    return keystone.keystone(*environments, folder)


def _nova(folder: Path, say: Say) -> AbstractContextManager[Running]:
    return nova.nova(cache.install(cache.NOVA, say), folder)


def _postgres(folder: Path, say: Say) -> AbstractContextManager[Running]:
    return postgres.postgres(postgres.install(say))


def _prometheus(folder: Path, say: Say) -> AbstractContextManager[Running]:
    return prometheus.prometheus(prometheus.install(say), folder)


def _collector(_folder: Path, say: Say) -> AbstractContextManager[Running]:
    return nullcontext(collector.install(say))


def _prometheus3(folder: Path, say: Say) -> AbstractContextManager[Running]:
    return prometheus3.prometheus3(prometheus3.install(say), folder)


def _vmagent(_folder: Path, say: Say) -> AbstractContextManager[Running]:
    return nullcontext(vmagent.install(say))


STARTERS: Mapping[str, Callable[[Path, Say], AbstractContextManager[Running]]] = {
    "collector": _collector,
    "glances": _glances,
    "keystone": _keystone,
    "nova": _nova,
    "postgres": _postgres,
    "prometheus": _prometheus,
    "prometheus3": _prometheus3,
    "vmagent": _vmagent,
}
"""Each takes a folder that does not exist yet, and what is told each step of the installation."""
