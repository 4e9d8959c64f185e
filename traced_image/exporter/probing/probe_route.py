"""``/probe?target=``: a probe of one server when it is asked for, in blackbox_exporter's way."""

from __future__ import annotations

import math
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from ...config import Server
from ...config.checks import format_value
from ...errors import ConfigError, InvalidOption, InvalidServer
from ..app import make_metrics_app
from ..web.client_connection import LIMITS
from .result import ProbeResults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from starlette.types import ASGIApp, Receive, Scope, Send

    from .probe import Probe


MOST_PROBES = 20
"""Probes under way at a time that were asked for; further ones are refused."""

SPARE = 0.5
"""Seconds that a probe ends before Prometheus, or the exporter itself, would give up on it."""

LONGEST = LIMITS.answer_seconds - SPARE
"""Seconds that a probe may take which was asked for."""

_SCRAPE_TIMEOUT = "x-prometheus-scrape-timeout-seconds"


@dataclass(frozen=True, slots=True)
class Allowed:
    """The targets that may be asked for, beside the configured servers.

    Attributes:
        hosts: Names, at whatever port.
        places: Hosts with a port.
        networks: Networks in which a target may be if it is written as an address. A name is not
            looked up to see where it leads: whoever owns it could change that at any moment.
    """

    hosts: frozenset[str] = frozenset()
    places: frozenset[tuple[str, int]] = frozenset()
    networks: tuple[IPv4Network | IPv6Network, ...] = ()

    @classmethod
    def parse(cls, members: Iterable[str], source: str = "argument") -> Allowed:
        """Read a list of ``host``, ``host:port``, addresses, and networks as ``10.0.0.0/24``.

        Raises:
            InvalidOption: A member is none of these.
        """
        hosts, places, networks = set(), set(), []
        for member in members:
            try:
                networks.append(ip_network(member))
            except ValueError:
                host, port = _format_place(member, source)
                if port is None:
                    hosts.add(host)
                else:
                    places.add((host, port))
        return cls(frozenset(hosts), frozenset(places), tuple(networks))

    def allows(self, server: Server) -> bool:
        """Whether a target may be asked for."""
        if server.host in self.hosts or (server.host, server.port) in self.places:
            return True
        try:
            address = ip_address(server.host)
        except ValueError:
            return False
        return any(address in network for network in self.networks)


def _format_place(member: str, source: str) -> tuple[str, int | None]:
    try:
        server = Server.parse(member, source)
        plain = "/" not in member
    except InvalidServer:
        plain = False
    if not plain:
        problem = f"{format_value(member)} is no host, host:port or network"
        fix = "write glance-1, glance-1:9292 or 10.0.0.0/24"
        raise InvalidOption("allow", problem, source=source, fix=fix)
    has_port = ":" in member.rpartition("]")[2]
    return server.host, server.port if has_port else None


def make_probe_route(
    probe: Callable[[], Probe], allowed: Allowed | None = None, *, most: int = MOST_PROBES
) -> Route:
    """The route ``/probe`` of the exporter's application.

    It answers with the metrics of one probe, in a registry of its own. Anybody who can reach the
    exporter can have it connect to what is allowed here, so that this is the configured servers
    unless more is allowed, and redirects are never followed. A target's name is looked up once.
    An image is asked for, and a token shown, only where the target is a configured server,
    scheme and path included.

    Args:
        probe: How servers are probed now.
        allowed: What else may be probed.
        most: Probes under way at a time.
    """
    return Route("/probe", _ProbeEndpoint(probe, allowed or Allowed(), most), methods=["GET"])


class _RefusedError(Exception):
    """A request is refused.

    Attributes:
        response: What is answered.
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.response = PlainTextResponse(f"{text}\n", status)


class _ProbeEndpoint:
    """Answers each request with a probe of its target; an ASGI application."""

    def __init__(self, probe: Callable[[], Probe], allowed: Allowed, most: int) -> None:
        self._probe = probe
        self._allowed = allowed
        self._free = most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            answer = await self._answer(Request(scope))
        except _RefusedError as refused:
            answer = refused.response
        await answer(scope, receive, send)

    async def _answer(self, request: Request) -> ASGIApp:
        probe = self._probe()
        server = self._target(request, probe)
        within = _read_seconds(request)
        if not self._free:
            raise _RefusedError(503, "Too many probes are under way: ask again later.")
        self._free -= 1
        try:
            configured = server in probe.config.servers
            canary = await probe.canary() if configured else None
            result = await probe(server, canary, within=within)
        finally:
            self._free += 1
        results, registry = ProbeResults(), CollectorRegistry()
        results.put(result)
        registry.register(results)
        return make_metrics_app(registry)

    def _target(self, request: Request, probe: Probe) -> Server:
        targets = request.query_params.getlist("target")
        if len(targets) != 1:
            raise _RefusedError(400, "Give one target, as in /probe?target=glance-1:9292.")
        try:
            server = Server.parse(targets[0], "the query", item="target")
        except ConfigError as error:
            raise _RefusedError(400, str(error)) from error
        places = {(each.host, each.port) for each in probe.config.servers}
        if (server.host, server.port) not in places and not self._allowed.allows(server):
            raise _RefusedError(
                403, f"{server.netloc} may not be probed from here: allow it first."
            )
        return server


def _read_seconds(request: Request) -> float:
    """How long a probe may take for Prometheus to see its end; it sends a number of seconds."""
    try:
        seconds = float(request.headers[_SCRAPE_TIMEOUT])
    except (KeyError, ValueError):
        return LONGEST
    return min(max(seconds - SPARE, SPARE), LONGEST) if math.isfinite(seconds) else LONGEST
