"""The route ``/probe?target=``: probes one server on request, like blackbox_exporter."""

from __future__ import annotations

import math
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from prometheus_client import CollectorRegistry

from ...config import Server
from ...config.checks import format_value
from ...errors import ConfigError, InvalidOption, InvalidServer
from ..app import read_request, send_response
from ..exposition import expose
from ..messages import complete, say
from ..web.client_limits import LIMITS
from .result import ProbeResults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from starlette.types import ASGIApp, Receive, Scope, Send

    from ..messages import ExporterRequest, ExporterResponse
    from .probe import Probe


MOST_PROBES = 20
"""How many requests of ``/probe`` run at the same time; the route refuses further ones."""

SPARE = 0.5
"""Seconds between a probe's timeout and the timeout of Prometheus or of the exporter's server.

Without them the scraper would give up before it gets the result of a probe that timed out.
"""

LONGEST = LIMITS.answer_seconds - SPARE
"""The longest timeout of a probe on request, in seconds."""

_SCRAPE_TIMEOUT = b"x-prometheus-scrape-timeout-seconds"


@dataclass(frozen=True, slots=True)
class Allowed:
    """The targets that ``/probe`` accepts in addition to the configured servers.

    Attributes:
        hosts: Names and addresses, with any port.
        places: Names and addresses, with one port.
        networks: Networks that may contain a target written as an IP address. A target written
            as a name never matches a network, because the name's owner can change its address
            between the check and the connection (DNS rebinding).
    """

    hosts: frozenset[str] = frozenset()
    places: frozenset[tuple[str, int]] = frozenset()
    networks: tuple[IPv4Network | IPv6Network, ...] = ()

    @classmethod
    def parse(cls, members: Iterable[str], source: str = "argument") -> Allowed:
        """Parse a list of names, ``name:port``, addresses, and networks like ``10.0.0.0/24``.

        Raises:
            InvalidOption: A member has none of these forms.
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
        """Return whether a target may be probed."""
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
        problem = f"{format_value(member)} is not a name, name:port or network"
        fix = "write glance-1, glance-1:9292 or 10.0.0.0/24"
        raise InvalidOption("allow", problem, source=source, fix=fix)
    has_port = ":" in member.rpartition("]")[2]
    return server.host, server.port if has_port else None


def make_probe_route(
    probe: Callable[[], Probe], allowed: Allowed | None = None, *, most: int = MOST_PROBES
) -> Mapping[str, ASGIApp]:
    """Build the route ``/probe`` of the exporter's application.

    It answers with the metrics of one probe, in their own registry. Any client of the exporter can
    make it connect to the allowed targets. By default these are the configured servers only, and
    a probe never follows redirects. It looks up a target's name once. Its paths are Glance's own,
    below no prefix but a configured one. It requests the canary, and sends a token, only if the
    target is a configured server with the same scheme and path.

    Args:
        probe: Returns the probe with the current configuration.
        allowed: Further targets that may be probed.
        most: How many probes run at the same time.
    """
    return {"/probe": _ProbeEndpoint(probe, allowed or Allowed(), most)}


class _RefusedError(Exception):
    """The route refuses a request.

    Attributes:
        response: The reply to send.
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.response = say(text, status)


class _ProbeEndpoint:
    """ExporterAnswers each request with a probe of its target; an ASGI application."""

    def __init__(self, probe: Callable[[], Probe], allowed: Allowed, most: int) -> None:
        self._probe = probe
        self._allowed = allowed
        self._free = most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 a probe needs no body
        request = read_request(scope)
        try:
            response = await self._answer(request, _read_seconds(scope))
        except _RefusedError as refused:
            response = refused.response
        await send_response(complete(response, request), send)

    async def _answer(self, request: ExporterRequest, within: float) -> ExporterResponse:
        probe = self._probe()
        server = self._target(request, probe)
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
        return expose(registry, request)

    def _target(self, request: ExporterRequest, probe: Probe) -> Server:
        targets = parse_qs(request.query, keep_blank_values=True).get("target", [])
        if len(targets) != 1:
            raise _RefusedError(400, "Give one target, as in /probe?target=glance-1:9292.")
        try:
            server = Server.parse(targets[0], "the query", item="target")
        except ConfigError as error:
            raise _RefusedError(400, str(error)) from error
        here = [each for each in probe.config.servers if _is_at(server, each)]
        if not here and not self._allowed.allows(server):
            raise _RefusedError(403, f"{server.netloc} is not an allowed target: allow it first.")
        _check_prefix(server, here or probe.config.servers)
        return server


def _is_at(server: Server, other: Server) -> bool:
    return (server.host, server.port) == (other.host, other.port)


def _check_prefix(server: Server, known: Iterable[Server]) -> None:
    """Refuse a path that is no prefix of Glance, so that clients do not choose what to ask."""
    prefixes = sorted({each.path for each in known} - {""})
    if server.path and server.path not in prefixes:
        fix = " or ".join(["none", *prefixes])
        path = format_value(server.path)
        raise _RefusedError(400, f"{path} is no path of a configured server: use {fix}.")


def _read_seconds(scope: Scope) -> float:
    """Return a probe's timeout in seconds, below the scrape timeout that Prometheus sends."""
    given = next((value for name, value in scope["headers"] if name == _SCRAPE_TIMEOUT), b"")
    try:
        seconds = float(given)
    except ValueError:
        return LONGEST
    return min(max(seconds - SPARE, SPARE), LONGEST) if math.isfinite(seconds) else LONGEST
