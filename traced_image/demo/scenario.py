"""What is played: the script that breaks and heals embedded servers, or calls to one's own."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
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
    from collections.abc import Sequence
    from contextlib import ExitStack

    from ..pipeline.service import GlanceImageService
    from ..telemetry import Telemetry


CALLS = 60
"""Calls to servers of one's own, where nobody says for how long."""

_OWN_PAUSE = 0.2
"""Seconds that each thread waits between two of them, where somebody does: they have other work."""

_FIRST, _BROKEN, _WELL = 0.08, 0.15, 0.08
"""Shares of the script's time: before the first fault, with each fault, and after each."""

_LEAST_CALLS = 24
"""Calls in each episode however short it is: some go to the server that it is about."""

_PATIENCE = 30.0
"""Seconds that an episode may take beyond its time for these, and for servers to recover."""

_CONNECT_SECONDS = 30.0
"""On a busy machine, no server shall be accused of the machine's slowness."""

Said = Callable[[], Mapping[str, Finding]]
"""Asks the witnesses what happened since they were asked last."""


class Onlooker(Protocol):
    """Who looks on."""

    def tell(self, line: str) -> None:
        """Something has happened."""

    def refresh(self) -> None:
        """Time has passed."""


class Scenario(ABC):
    """Something to look at.

    Args:
        seconds: How long it is about; None if nobody knows.

    Attributes:
        seconds: As given.
        broken: What is broken right now, by server, in a word.
        episodes: What was broken, and what was said of it, so far.
        failed: How many calls of the traffic failed for their caller.
    """

    def __init__(self, seconds: int | None) -> None:
        self.seconds = seconds
        self.broken: dict[str, str] = {}
        self.episodes: list[FaultPeriod] = []
        self.failed = 0

    @abstractmethod
    def connect(self, telemetry: Telemetry) -> GlanceImageService:
        """Build the service."""

    @abstractmethod
    def perform(self, service: GlanceImageService, onlooker: Onlooker, said: Said) -> None:
        """Play it to the end."""


class OwnServers(Scenario):
    """Servers that are there already: nothing is broken, and their first image is asked for.

    Args:
        urls: The servers.
        seconds: For how long; None for `CALLS` calls.
    """

    def __init__(self, urls: Sequence[str], seconds: int | None) -> None:
        super().__init__(seconds)
        self._urls = urls

    def connect(self, telemetry: Telemetry) -> GlanceImageService:
        """Build a service as a user would, with what the environment says of credentials."""
        return connect(servers=list(self._urls), telemetry=telemetry)

    def perform(self, service: GlanceImageService, onlooker: Onlooker, said: Said) -> None:  # noqa: ARG002
        """Make the calls."""
        images = start_daemon(lambda: service.detail(None, limit=1)).result()
        if not images:
            raise click.ClickException("these servers have no image: upload one first")
        image_id = str(images[0]["id"])
        most, pause = (CALLS, 0.0) if self.seconds is None else (None, _OWN_PAUSE)
        traffic = Traffic(lambda: service.show(None, image_id), pause=pause, most=most)
        end = monotonic() + (self.seconds or float("inf"))
        traffic.run(lambda: monotonic() < end, onlooker.refresh)


@dataclass(frozen=True, slots=True)
class Breakage:
    """A fault that the script has.

    Attributes:
        name: In a word.
        told: What the server does then.
        fault: The same for the server itself.
        reason: Why attempts on it fail; empty if they do not.
        place: Which server it is.
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
    Breakage("TLS", "nobody knows its certificate", lab.faults.untrusted_tls(), "tls_error", 1),
)


class FaultScript(Scenario):
    """Three embedded servers, which break one after the other and are healed again.

    A fault begins and ends while no call is under way: so each call belongs to one episode, and
    what the witnesses counted of it can be compared to the last digit.

    Args:
        stack: What stops the servers in the end.
        seconds: How long it takes, about.

    Attributes:
        servers: The servers.
    """

    def __init__(self, stack: ExitStack, seconds: int) -> None:
        super().__init__(seconds)
        self._time = seconds
        # What each thread waits between two calls: much is to be seen, and the machine not busy.
        self._pause = min(0.05, seconds / 200)
        self._tls = lab.TLS.trusted()
        self.servers = stack.enter_context(lab.cluster(3, tls=self._tls))
        images = self.servers[0].images
        self._image_id = images.add(name="cirros", data=b"...", visibility="public")

    def connect(self, telemetry: Telemetry) -> GlanceImageService:
        """Build a service for which the environment has no servers, retries or proxies."""
        os.environ["no_proxy"] = self.servers[0].host  # whoever plays this takes it back
        config = Config(
            servers=tuple(Server.parse(server.url) for server in self.servers),
            cafile=self._tls.cafile,
            connect_timeout=_CONNECT_SECONDS,
            # A server that is healed is to be seen in rotation again before the next one breaks.
            retry=RetryPolicy(cooldown_base=self._time / 80, cooldown_cap=self._time / 40),
        )
        return connect(config=config, telemetry=telemetry)

    def perform(self, service: GlanceImageService, onlooker: Onlooker, said: Said) -> None:
        """Play it to the end."""

        def call() -> None:
            service.show(None, self._image_id)

        def well(share: float) -> None:
            seconds = self._traffic(call, share, onlooker, lambda: _is_all_healthy(service))
            self.episodes.append(FaultPeriod(seconds, said()))

        well(_FIRST)
        for each in BREAKAGES:
            server = self.servers[each.place]
            name = f"{server.host}:{server.port}"
            server.break_with(each.fault)
            self.broken[name] = each.name
            onlooker.tell(f"{name} is broken ({each.name}): {each.told}")
            seconds = self._traffic(call, _BROKEN, onlooker)
            self.episodes.append(FaultPeriod(seconds, said(), name, each.name, each.reason))
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
        """Make calls for a share of the time, and until `ready`; return how long that was."""
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
