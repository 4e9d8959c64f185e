"""Collector of plain numbers: a metric's series, which become samples only at a scrape.

Updates of prometheus_client's own objects cost several times as much: they take a lock for each
number and check each exemplar. Names, values and order of the samples are the same.

Updates of any thread take the same lock, for some nanoseconds. It is reentrant, because a signal
handler or a finalizer may record while its thread holds the lock. Between the changes of one
update no Python function is called, so such code finds the update either not begun or complete.
A fork waits for the lock, so that it is free in the child, and the child's numbers are complete.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from prometheus_client import core
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from .. import _forks
from .updates import format_exemplar

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator

    from .catalogue import Metric
    from .updates import Exemplar, Labels, Update

INFINITY = float("inf")

Kept = tuple["Exemplar", float, float]
"""An exemplar, its value, and its time in seconds since the epoch."""


def _make_counter() -> core.Counter:
    return core.Counter("asked", "Shows whether counters have a _created sample.", registry=None)


@dataclass(frozen=True, slots=True)
class Common:
    """What all series of one registry use.

    Attributes:
        clock: Returns the time, in seconds since the epoch.
        lock: Each update holds it.
        counter: A counter of prometheus_client, in no registry.
    """

    clock: Callable[[], float]
    lock: threading.RLock = field(default_factory=_forks.make_rlock)
    counter: core.Counter = field(default_factory=_make_counter)

    def show_created(self) -> bool:
        """Return whether prometheus_client shows ``_created`` samples.

        ``PROMETHEUS_DISABLE_CREATED_SERIES`` and two functions set this, but no function returns
        it. The samples of a counter show it.
        """
        (family,) = self.counter.collect()
        return any(sample.name.endswith("_created") for sample in family.samples)


class Series(Protocol):
    """The numbers of one series; of a histogram, those of its buckets and sum."""

    def update(self, value: float, exemplar: Exemplar | None, /) -> None:
        """Add to the series, set it, or observe a value."""

    def samples(self, name: str, labels: dict[str, str], *, created: bool) -> Iterator[core.Sample]:
        """Yield the samples as prometheus_client's own object of this kind does.

        Args:
            name: The metric's name without ``_total``.
            labels: The series' labels.
            created: Whether there is a ``_created`` sample.
        """


class CounterSeries:
    """A counter."""

    __slots__ = ("_common", "_created", "_exemplar", "_lock", "_value")

    def __init__(self, common: Common) -> None:
        self._common = common
        self._lock = common.lock
        self._value = 0.0
        self._exemplar: Kept | None = None
        self._created = common.clock()

    def update(self, amount: float, exemplar: Exemplar | None) -> None:
        """Add to the counter.

        Raises:
            ValueError: The amount is negative.
        """
        if amount < 0:
            raise ValueError("Counters can only be incremented by non-negative amounts.")
        kept = None if exemplar is None else (exemplar, amount, self._common.clock())
        with self._lock:
            self._value += amount
            if kept is not None:
                self._exemplar = kept

    def samples(self, name: str, labels: dict[str, str], *, created: bool) -> Iterator[core.Sample]:
        """Yield the samples of a counter."""
        with self._lock:
            value, kept = self._value, self._exemplar
        yield core.Sample(f"{name}_total", labels, value, None, _show_exemplar(kept))
        if created:
            yield core.Sample(f"{name}_created", dict(labels), self._created)


class GaugeSeries:
    """A gauge."""

    __slots__ = ("_value",)

    def __init__(self) -> None:
        self._value = 0.0

    def update(self, value: float, _: Exemplar | None) -> None:
        """Set the gauge."""
        self._value = float(value)

    def samples(
        self,
        name: str,
        labels: dict[str, str],
        *,
        created: bool,  # noqa: ARG002 a gauge has no `_created`
    ) -> Iterator[core.Sample]:
        """Yield the sample of a gauge."""
        yield core.Sample(name, labels, self._value)


class HistogramSeries:
    """A histogram: the counts of its buckets, not cumulated, and the sum."""

    __slots__ = ("_bounds", "_common", "_created", "_exemplars", "_lock", "_numbers", "_texts")

    def __init__(self, common: Common, bounds: tuple[float, ...], texts: tuple[str, ...]) -> None:
        self._common = common
        self._lock = common.lock
        self._bounds = bounds
        self._texts = texts
        # The counts and the sum in one list, so that one step copies them.
        self._numbers = [*[0] * len(bounds), 0.0]
        self._exemplars: list[Kept | None] = [None] * len(bounds)
        self._created = common.clock()

    def update(self, value: float, exemplar: Exemplar | None) -> None:
        """Count a value in its bucket and add it to the sum."""
        bounds, numbers = self._bounds, self._numbers
        bucket = bisect_left(bounds, value)
        kept = None if exemplar is None else (exemplar, value, self._common.clock())
        with self._lock:
            numbers[-1] += value
            if value <= bounds[bucket]:  # false for NaN, which belongs to no bucket
                numbers[bucket] += 1
                if kept is not None:
                    self._exemplars[bucket] = kept

    def samples(self, name: str, labels: dict[str, str], *, created: bool) -> Iterator[core.Sample]:
        """Yield the samples of a histogram, its buckets cumulated."""
        with self._lock:
            numbers, exemplars = self._numbers[:], self._exemplars[:]
        total = numbers.pop()
        count, bucket = 0.0, f"{name}_bucket"
        for text, number, kept in zip(self._texts, numbers, exemplars, strict=True):
            count += number
            shown = _show_exemplar(kept)
            yield core.Sample(bucket, {**labels, "le": text}, count, None, shown)
        yield core.Sample(f"{name}_count", labels, count)
        yield core.Sample(f"{name}_sum", dict(labels), total)
        if created:
            yield core.Sample(f"{name}_created", dict(labels), self._created)


def _show_exemplar(kept: Kept | None) -> core.Exemplar | None:
    if kept is None:
        return None
    exemplar, value, when = kept
    return core.Exemplar(format_exemplar(exemplar), value, when)


class Family(Collector):
    """A metric with all its series.

    Args:
        metric: The metric, from the catalogue.
        common: What it shares with the registry's other metrics.
    """

    def __init__(self, metric: Metric, common: Common) -> None:
        self._metric = metric
        self._common = common
        self._bounds = (*metric.buckets, INFINITY)
        self._texts = tuple(map(floatToGoString, self._bounds))
        self._series: dict[Labels, Series] = {}
        if metric.kind == "updown":
            _forks.track(self)

    def after_fork(self) -> None:
        """Set an up-down gauge to zero in a forked child, where nothing is under way."""
        for series in self._series.values():
            series.update(0.0, None)

    def bind(self, labels: Labels) -> Update:
        """Return what updates a series, which exists from now on, at zero.

        Raises:
            ValueError: The number of values is not that of the metric's labels.
        """
        if len(labels) != len(self._metric.labels):
            raise ValueError(f"{self._metric.name} has other labels than {labels}")
        series = self._series.get(labels)
        if series is None:
            # `setdefault` is atomic: threads that come at once get the same series.
            series = self._series.setdefault(labels, self._start())
        return series.update

    def _start(self) -> Series:
        kind = self._metric.kind
        if kind == "histogram":
            return HistogramSeries(self._common, self._bounds, self._texts)
        if kind == "counter":
            return CounterSeries(self._common)
        return GaugeSeries()

    def forget(self, address: str, port: str) -> None:
        """Drop all series of a server."""
        server = {"server_address": address, "server_port": port}.items()
        for labels in self._series.copy():
            if server <= dict(zip(self._metric.labels, labels, strict=True)).items():
                self._series.pop(labels, None)

    def describe(self) -> list[core.Metric]:
        """Return the metric without samples; a registry finds the names that it takes by this."""
        return [self._make()]

    def collect(self) -> list[core.Metric]:
        """Return the metric with the samples of all its series, in the order of their start."""
        family, names, created = self._make(), self._metric.labels, self._common.show_created()
        # `copy` is one step, so that another thread may start a series meanwhile.
        for labels, series in self._series.copy().items():
            named = dict(zip(names, labels, strict=True))
            family.samples.extend(series.samples(family.name, named, created=created))
        return [family]

    def _make(self) -> core.Metric:
        metric = self._metric
        kind = "gauge" if metric.kind == "updown" else metric.kind
        name = metric.name.removesuffix("_total") if kind == "counter" else metric.name
        return core.Metric(name, metric.help, kind)
