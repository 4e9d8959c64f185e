"""How each fault begins and ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from .names import DEAD, HERE
from .proxy import WHOLE, Link

if TYPE_CHECKING:
    from parts.http import HTTPPart

    from .certificates import Certificates
    from .names import Names
    from .namespace import Packets
    from .proxy import Proxy

Actions: TypeAlias = tuple[Callable[[], object], Callable[[], object]]
"""What begins a fault, and what ends it."""


@dataclass(frozen=True)
class Site:
    """A server and the way to it.

    Attributes:
        server: The server.
        proxy: Before it.
        name: Its name.
        names: Resolves its name.
        gateway: The port of nginx before it; 0 if there is none.
        certificates: What it can present; None if it speaks no TLS.
        faketime: The library that changes a process's clock; empty if there is none.
        packets: The rules for packets; None if they can't be changed.
    """

    server: HTTPPart
    proxy: Proxy
    name: str
    names: Names
    gateway: int = 0
    certificates: Certificates | None = None
    faketime: str = ""
    packets: Packets | None = None

    @property
    def url(self) -> str:
        """What clients are given."""
        scheme = "http" if self.certificates is None else "https"
        return f"{scheme}://{self.name}:{self.proxy.port}"


def _kill(site: Site, _amount: float) -> Actions:
    def begin() -> None:
        site.server.kill()
        site.proxy.refuse()

    def end() -> None:
        site.server.restart()
        site.proxy.listen()

    return begin, end


def _jump(site: Site, amount: float) -> Actions:
    kill, restart = _kill(site, amount)

    def start_with(extra: Mapping[str, str]) -> None:
        kill()
        site.server.extra = extra
        restart()

    jumped = {
        "LD_PRELOAD": site.faketime,
        "FAKETIME": f"{amount:+.0f}s",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    return lambda: start_with(jumped), lambda: start_with({})


def _stop(site: Site, _amount: float) -> Actions:
    return site.server.stop, site.server.cont


def _link(make: Callable[[float], Link]) -> Callable[[Site, float], Actions]:
    def find(site: Site, amount: float) -> Actions:
        return lambda: site.proxy.put(make(amount)), lambda: site.proxy.put(WHOLE)

    return find


def _filter(rule: Callable[[Packets, int, float], object]) -> Callable[[Site, float], Actions]:
    def find(site: Site, amount: float) -> Actions:
        packets, port = site.packets, site.proxy.port
        if packets is None:
            raise ValueError("no rules for packets here; fix: leave out the faults of PACKETS")

        def end() -> None:
            packets.repair(port)
            # What waits for a packet to be sent again may do so for as long as the fault has taken.
            site.proxy.reset()

        return lambda: rule(packets, port, amount), end

    return find


def _answer(*answers: str) -> Callable[[Site, float], Actions]:
    def find(site: Site, _amount: float) -> Actions:
        def begin() -> None:
            site.names.put(site.name, *answers)
            # Connections that are kept need no name.
            site.proxy.reset()

        return begin, lambda: site.names.repair(site.name)

    return find


def _expire(site: Site, _amount: float) -> Actions:
    found = site.certificates
    if found is None:
        raise ValueError(f"{site.name} speaks no TLS; fix: let the last server alone expire")

    def begin() -> None:
        site.proxy.present(found.expired)
        site.proxy.reset()

    return begin, lambda: site.proxy.present(found.valid)


def _buffer(site: Site, _amount: float) -> Actions:
    def begin() -> None:
        site.proxy.route(site.gateway)
        site.proxy.reset()

    def end() -> None:
        site.proxy.route(site.server.port)
        site.proxy.reset()

    return begin, end


def _behind_gateway(broken: Callable[[Site], Actions]) -> Callable[[Site, float], Actions]:
    def find(site: Site, amount: float) -> Actions:
        (route, leave), (begin, end) = _buffer(site, amount), broken(site)

        def break_behind() -> None:
            route()
            begin()

        def repair_behind() -> None:
            end()
            leave()

        return break_behind, repair_behind

    return find


ACTIONS: Mapping[str, Callable[[Site, float], Actions]] = {
    "kill": _kill,
    "restart": _kill,
    "stop": _stop,
    "clock_jump": _jump,
    "delay": _link(lambda amount: Link(delay=amount)),
    "reset": _link(lambda amount: Link(reset=amount)),
    "rate": _link(lambda amount: Link(rate=amount)),
    "half_open": _link(lambda _: Link(is_half_open=True)),
    "partition": _link(lambda _: Link(is_cut=True)),
    "packets_lost": _filter(lambda packets, port, amount: packets.lose(port, amount)),
    "packets_dropped": _filter(lambda packets, port, _: packets.lose(port, 1.0)),
    "packets_rejected": _filter(lambda packets, port, _: packets.reject(port)),
    "host_unreachable": _filter(lambda packets, port, _: packets.hide(port)),
    "packets_slow": _filter(lambda packets, port, amount: packets.slow(port, amount)),
    "packets_delayed": _filter(lambda packets, port, amount: packets.delay(port, amount)),
    "name_gone": _answer(""),
    "name_dead": _answer(DEAD),
    "name_flaps": _answer(HERE, DEAD, ""),
    "expired_certificate": _expire,
    "buffering": _buffer,
    "bad_gateway": _behind_gateway(lambda site: (site.server.kill, site.server.restart)),
    "gateway_timeout": _behind_gateway(lambda site: (site.server.stop, site.server.cont)),
}
"""By the names of `schedule.FAULTS`."""
