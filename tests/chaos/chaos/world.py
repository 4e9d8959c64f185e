"""Real Glance servers behind proxies, and what breaks them by a schedule."""

from __future__ import annotations

import hashlib
import random
import sqlite3
import threading
import time
from collections import defaultdict
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import requests
from parts import glance, keystone
from parts.ports import free_port

from . import disk
from .access_log import read_access_log
from .breaking import ACTIONS, Actions, Site
from .certificates import make_certificates
from .gateway import Gateway, gateway
from .names import Names
from .proxy import Loop, Proxy
from .records import KEYSTONE, Outage, Served, Stored
from .schedule import DISK, OWN
from .schedule import KEYSTONE as KEYSTONE_FAULTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from parts.cloud import Cloud
    from parts.http import HTTPPart

    from .machine import Machine
    from .schedule import Event, Schedule

AFTER_BURST = 15.0
"""Seconds for which servers still work at requests that their clients have given up."""

SEEDED = 4
"""Images that are there before the first call."""


class World:
    """The servers and the ways to them.

    Args:
        sites: The servers.
        folder: What they write to.
        passed: nginx in front of them.
        cloud: The Keystone that they ask about their callers.
        authority: The file of the authority of the one that speaks TLS.
    """

    def __init__(
        self, sites: Sequence[Site], folder: Path, passed: Gateway, cloud: Cloud, authority: Path
    ) -> None:
        self._sites, self._folder, self._gateway = sites, folder, passed
        self.cloud, self.authority = cloud, authority
        self.outages: list[Outage] = []
        self.happened: list[Event] = []
        self._over = threading.Event()

    @property
    def urls(self) -> list[str]:
        """What clients are given."""
        return [site.url for site in self._sites]

    @property
    def names(self) -> list[str]:
        """The servers' names, which only this process knows."""
        return [site.name for site in self._sites]

    def play(self, schedule: Schedule, suffer: Callable[[Event], None]) -> None:
        """Break and repair, until all is repaired and the time is over.

        Args:
            schedule: When. What is so late that it would end after the run is left out.
            suffer: Has the caller suffer what is of no server.
        """
        began = time.monotonic()
        by_server: dict[int, list[Event]] = defaultdict(list)
        for event in schedule.events:
            by_server[event.server].append(event)
        times = began, began + schedule.seconds
        players = [_Player(self._play, *times, each, suffer) for each in by_server.values()]
        try:
            for player in players:
                player.start()
            for player in players:
                player.join()
            self._wait_until(began + schedule.seconds)
        finally:
            # After an interrupt no other fault begins, and nobody waits for those that last.
            self._over.set()
        for player in players:
            if player.error is not None:
                raise player.error

    def release(self) -> None:
        """Close the sockets of the proxies in a child that was forked."""
        for site in self._sites:
            site.proxy.release()

    def _play(
        self, began: float, end: float, events: Sequence[Event], suffer: Callable[[Event], None]
    ) -> None:
        for event in events:
            self._wait_until(began + event.start)
            # Servers that start slowly leave no time for all of them.
            if self._over.is_set() or time.monotonic() + event.seconds > end:
                return
            started = time.time()
            if event.fault in OWN and event.fault not in DISK:
                suffer(event)
            else:
                self._carry_out(self._find_actions(event), event)
            ended = time.time() + (AFTER_BURST if event.fault == "burst" else 0.0)
            self.happened.append(event)
            ports = self._find_hurt(event)
            self.outages += [Outage(port, event.fault, started, ended) for port in ports]

    def _find_actions(self, event: Event) -> Actions:
        if event.fault in DISK:
            place = self._folder / glance.STORES[0]
            return lambda: disk.fill(place), lambda: disk.empty(place)
        if event.fault in KEYSTONE_FAULTS:
            return _break_keystone(self.cloud.keystone, event)
        return ACTIONS[event.fault](self._sites[event.server], event.amount)

    def _find_hurt(self, event: Event) -> list[int]:
        """The ports of the servers that a fault may show at."""
        every = [site.proxy.port for site in self._sites]
        if event.fault in DISK:
            return every
        if event.fault == "burst":
            # Who gets all at once answers late, and the process of so many threads reads late.
            return [*every, KEYSTONE]
        if event.fault in KEYSTONE_FAULTS:
            return [*every, KEYSTONE]  # each Glance asks it about each caller
        return [] if event.fault in OWN else [every[event.server]]

    def _carry_out(self, actions: Actions, event: Event) -> None:
        begin, end = actions
        begin()
        # A repair that took longer than planned leaves the next faults later, not shorter.
        if not self._over.wait(event.seconds):
            end()

    def _wait_until(self, moment: float) -> None:
        """Wait until a time of the monotonic clock, or until the run is over."""
        self._over.wait(max(0.0, moment - time.monotonic()))

    def seed(self, rng: random.Random) -> dict[str, str]:
        """Make images; return the SHA-256 of their data by their ids."""
        made, token = {}, self.cloud.token("admin")
        for number in range(SEEDED):
            data = rng.randbytes(1 << (8 + 4 * number))
            digest = hashlib.sha256(data).hexdigest()
            made[_make_image(self._sites[0].server.url, token, digest, data)] = digest
        return made

    def read_served(self) -> Iterator[Served]:
        """Read the access logs of all servers, but for what is of no trace: checks of health."""
        for site in self._sites:
            file = self._folder / site.server.name / "access.log"
            for line in read_access_log(file.read_text(), site.proxy.port):
                if line.trace:
                    yield line
        yield from self._gateway.read_served(
            {site.server.port: site.proxy.port for site in self._sites}
        )

    def read_asked(self) -> list[Served]:
        """Read the access log of Keystone, of whom callers and servers ask."""
        file = self._folder / "keystone" / "access.log"
        return read_access_log(file.read_text(), KEYSTONE)

    def read_stored(self) -> Iterator[Stored]:
        """Read the data of the images that are active."""
        with closing(sqlite3.connect(self._folder / "glance.sqlite")) as database:
            rows = database.execute("SELECT id, name FROM images WHERE status = 'active'")
            for image, name in rows.fetchall():
                place = self._folder / glance.STORES[0] / image
                # A Glance that was killed while it deleted an image leaves a record without data.
                there = place.exists()
                digest = hashlib.sha256(place.read_bytes()).hexdigest() if there else ""
                yield Stored(image, digest, name)


def _break_keystone(keystone: HTTPPart, event: Event) -> Actions:
    if event.fault == "keystone_stop":
        return keystone.stop, keystone.cont
    return keystone.kill, keystone.restart


def _make_image(url: str, token: str, name: str, data: bytes) -> str:
    record = {
        "name": name,
        "disk_format": "raw",
        "container_format": "bare",
        "visibility": "public",
    }
    mine = {"X-Auth-Token": token}
    made = requests.post(f"{url}/v2/images", json=record, headers=mine, timeout=30)
    made.raise_for_status()
    image = str(made.json()["id"])
    octets = {**mine, "Content-Type": "application/octet-stream"}
    file = f"{url}/v2/images/{image}/file"
    requests.put(file, data=data, headers=octets, timeout=30).raise_for_status()
    return image


class _Player(threading.Thread):
    """Plays the faults of one server; it does not keep the interpreter from its end.

    Attributes:
        error: What went wrong; None for nothing.
    """

    def __init__(self, play: Callable[..., None], *arguments: object) -> None:
        super().__init__(name="faults", daemon=True)
        self._play, self._arguments = play, arguments
        self.error: BaseException | None = None

    def run(self) -> None:
        """Play."""
        try:
            self._play(*self._arguments)
        except BaseException as error:  # noqa: BLE001 - it is raised by whoever waits for the end
            self.error = error


@contextmanager
def world(machine: Machine, folder: Path, seed: int, count: int = 3) -> Iterator[World]:
    """Run the servers and the proxies.

    Args:
        machine: What they are run with.
        folder: A folder that does not exist yet, for what servers write.
        seed: What the losses of the proxies depend on.
        count: How many servers.
    """
    called = tuple(f"glance-{number}.test" for number in range(1, count + 1))
    names = Names(called, random.Random(f"{seed} names"))
    with ExitStack() as stack:
        if machine.packets is not None:
            (folder / glance.STORES[0]).mkdir(parents=True)
            stack.enter_context(disk.disk(folder / glance.STORES[0]))
        servers, cloud = _start(stack, machine, folder, count)
        ports = [server.port for server in servers]
        passed = stack.enter_context(gateway(machine.nginx, folder / "nginx", ports))
        loop = Loop()
        stack.callback(loop.close)
        sites = []
        for server, name in zip(servers, called, strict=True):
            last = make_certificates(folder, name) if name == called[-1] else None
            rng = random.Random(f"{seed} proxy {name}")
            tls = None if last is None else last.valid
            proxy = Proxy(loop, free_port(), server.port, rng, tls)
            stack.callback(proxy.close)
            port = passed.ports[server.port]
            kept = machine.faketime, machine.packets
            sites.append(Site(server, proxy, name, names, port, last, *kept))
        stack.enter_context(names.installed())
        yield World(sites, folder, passed, cloud, folder / "authority.pem")


def _start(
    stack: ExitStack, machine: Machine, folder: Path, count: int
) -> tuple[list[HTTPPart], Cloud]:
    """Start Keystone and the Glances at the same time."""
    identity = keystone.identity(machine.keystone, folder / "keystone", keystone.LOGGED)
    stack.callback(identity.close)
    identity.launch()
    kind = replace(keystone.kind_behind(identity.url, remembered=300), application=glance.LOGGED)
    servers = stack.enter_context(glance.glances(machine.glance, folder, count, kind))
    cloud = stack.enter_context(keystone.populated(identity, servers[0], folder))
    return servers, cloud
