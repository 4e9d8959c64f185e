"""The scenarios: a script that breaks and heals embedded servers, or calls to the user's own."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Protocol

import click

from .. import lab
from .._connect import connect
from ..config import Config, RetryPolicy, Server
from .evidence import FaultPeriod, Finding
from .traffic import Traffic, start_daemon

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import ExitStack

    from ..pipeline.service import GlanceImageService
    from ..telemetry import Telemetry


CALLS = 60
"""The number of calls to the user's own servers if --seconds is not given."""

_OWN_PAUSE = 0.2
"""Seconds that each thread waits between two of them if it is given: to spare the servers."""

_FIRST, _BROKEN, _WELL = 0.08, 0.15, 0.08
"""Shares of the script's time: before the first fault, with each fault, and after each."""

_LEAST_CALLS = 24
"""Calls in each period, however short: so that some go to the server that is broken."""

_PATIENCE = 30.0
"""Seconds that a period may last longer, for these calls and for servers to recover."""

_CONNECT_SECONDS = 30.0
"""A high limit, so that a busy machine causes no connect timeout."""


class Witnesses(Protocol):
    """What telemetry reports of the scenario."""

    def said(self) -> Mapping[str, Finding]:
        """Return the finding of each source since the last call."""

    def diagnose(self) -> list[str]:
        """Return the lines of the diagnosis now."""


class Onlooker(Protocol):
    """An observer of the scenario, such as the screen."""

    def tell(self, line: str) -> None:
        """Show a line about an event."""

    def refresh(self) -> None:
        """Update the display."""


class Scenario(ABC):
    """A sequence of calls to servers, which some scenarios break.

    Args:
        seconds: The approximate duration; None if it is unknown.

    Attributes:
        seconds: As given.
        broken: The name of the current fault, by server.
        episodes: The periods so far, with what telemetry reported about each.
        failed: The number of calls that failed for their caller.
        diagnosis: The lines of the diagnosis while the first server was broken.
    """

    def __init__(self, seconds: int | None) -> None:
        self.seconds = seconds
        self.broken: dict[str, str] = {}
        self.episodes: list[FaultPeriod] = []
        self.failed = 0
        self.diagnosis: list[str] = []

    @abstractmethod
    def connect(self, telemetry: Telemetry) -> GlanceImageService:
        """Build the service."""

    @abstractmethod
    def perform(
        self, service: GlanceImageService, onlooker: Onlooker, witnesses: Witnesses
    ) -> None:
        """Run the scenario to its end."""


class OwnServers(Scenario):
    """Calls for the first image of the user's own servers; the scenario breaks nothing.

    Args:
        urls: The URLs of the servers.
        seconds: The duration; None for `CALLS` calls.
    """

    def __init__(self, urls: Sequence[str], seconds: int | None) -> None:
        super().__init__(seconds)
        self._urls = urls

    def connect(self, telemetry: Telemetry) -> GlanceImageService:
        """Build a service as a user would, with the credentials of the environment."""
        return connect(servers=list(self._urls), telemetry=telemetry)

    def perform(
        self,
        service: GlanceImageService,
        onlooker: Onlooker,
        witnesses: Witnesses,  # noqa: ARG002
    ) -> None:
        """Make the calls.

        Raises:
            ClickException: The servers have no image.
        """
        images = start_daemon(lambda: service.detail(None, limit=1)).result()
        if not images:
            raise click.ClickException("the servers have no image: upload one first")
        image_id = str(images[0]["id"])
        most, pause = (CALLS, 0.0) if self.seconds is None else (None, _OWN_PAUSE)
        traffic = Traffic(lambda: service.show(None, image_id), pause=pause, most=most)
        end = monotonic() + (self.seconds or float("inf"))
        traffic.run(lambda: monotonic() < end, onlooker.refresh)


@dataclass(frozen=True, slots=True)
class Breakage:
    """A fault of the script.

    Attributes:
        name: Its name, one word.
        told: What the broken server does.
        fault: The same as the lab's fault.
        reason: The reason of failed attempts; empty if attempts do not fail.
        place: The index of the server.
    """

    name: str
    told: str
    fault: lab.Fault
    reason: str
    place: int


BREAKAGES = (
    Breakage("dead", "it refuses connections", lab.faults.refuse(), "connection_refused", 0),
    Breakage("slow", "its headers come byte by byte", lab.faults.slow_headers(0.001), "", 1),
    Breakage("503", "it answers 503", lab.faults.status(503), "503", 2),
    Breakage(
        "TLS",
        "no trusted authority signed its certificate",
        lab.faults.untrusted_tls(),
        "tls_error",
        1,
    ),
)


class FaultScript(Scenario):
    """Three embedded servers; the script breaks one after the other and heals it again.

    A fault begins and ends while no call is under way. So each call belongs to one period, and
    the counts of spans, metrics and log must be equal.

    Args:
        stack: Stops the servers at the end.
        seconds: The approximate duration.

    Attributes:
        servers: The servers.
    """

    def __init__(self, stack: ExitStack, seconds: int) -> None:
        super().__init__(seconds)
        self._time = seconds
        # The wait of each thread between two calls: enough calls to see, without a busy machine.
        self._pause = min(0.05, seconds / 200)
        self._tls = lab.TLS.trusted()
        self.servers = stack.enter_context(lab.cluster(3, tls=self._tls))
        images = self.servers[0].images
        self._image_id = images.add(name="cirros", data=b"...", visibility="public")

    def connect(self, telemetry: Telemetry) -> GlanceImageService:
        """Build a service that ignores the servers, retries and proxies of the environment."""
        os.environ["no_proxy"] = self.servers[0].host  # __main__._hide_variables restores it
        config = Config(
            servers=tuple(Server.parse(server.url) for server in self.servers),
            cafile=self._tls.cafile,
            connect_timeout=_CONNECT_SECONDS,
            # Short cool-downs: a healed server must be healthy again before the next one breaks.
            retry=RetryPolicy(cooldown_base=self._time / 80, cooldown_cap=self._time / 40),
        )
        return connect(config=config, telemetry=telemetry)

    def perform(
        self, service: GlanceImageService, onlooker: Onlooker, witnesses: Witnesses
    ) -> None:
        """Run the script to its end."""

        def call() -> None:
            service.show(None, self._image_id)

        def well(share: float) -> None:
            seconds = self._traffic(call, share, onlooker, lambda: _is_all_healthy(service))
            self.episodes.append(FaultPeriod(seconds, witnesses.said()))

        well(_FIRST)
        for each in BREAKAGES:
            server = self.servers[each.place]
            name = f"{server.host}:{server.port}"
            server.break_with(each.fault)
            self.broken[name] = each.name
            onlooker.tell(f"{name} is broken ({each.name}): {each.told}")
            seconds = self._traffic(call, _BROKEN, onlooker)
            self.episodes.append(
                FaultPeriod(seconds, witnesses.said(), name, each.name, each.reason)
            )
            self.diagnosis = self.diagnosis or witnesses.diagnose()
            server.heal()
            del self.broken[name]
            onlooker.tell(f"{name} is healed")
            well(_WELL)

    def _traffic(
        self,
        call: Callable[[], None],
        share: float,
        onlooker: Onlooker,
        ready: Callable[[], bool] = lambda: True,
    ) -> float:
        """Make calls for a share of the time, and until `ready`; return the seconds spent."""
        begun = monotonic()
        traffic = Traffic(call, pause=self._pause)

        def going() -> bool:
            seconds = monotonic() - begun - share * self._time
            enough = traffic.begun >= _LEAST_CALLS and ready()
            return seconds < 0 or (seconds < _PATIENCE and not enough)

        try:
            traffic.run(going, onlooker.refresh)
        finally:
            self.failed += traffic.failed
        return monotonic() - begun


def _is_all_healthy(service: GlanceImageService) -> bool:
    return all(health.state == "healthy" for health in service.servers())
