"""What this machine has for a run, and what a run is without because the machine has it not."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from importlib.metadata import distributions
from pathlib import Path
from typing import TYPE_CHECKING

from parts import cache, debian

from .namespace import SBIN, NamespaceUnavailableError, Packets, enter
from .schedule import DISK, PACKETS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

_UNAVAILABLE = (cache.PartUnavailableError, cache.PartCommandError)

_DELAYED = frozenset({"packets_delayed"})


@dataclass(frozen=True)
class Machine:
    """What was found.

    Attributes:
        glance: Glance's environment.
        keystone: Keystone's environment.
        nginx: The program.
        clients: The environment of each stock client that can call.
        faketime: The library that changes a process's clock; empty if there is none.
        packets: The rules for packets; None if they can't be changed.
        lacking: What is not there, and what a run is without because of it.
    """

    glance: Path
    keystone: Path
    nginx: Path
    clients: Mapping[str, Path] = field(default_factory=dict)
    faketime: str = ""
    packets: Packets | None = None
    lacking: Mapping[str, str] = field(default_factory=dict)

    def find_impossible(self) -> frozenset[str]:
        """The faults that can't be made to happen here."""
        found = set() if self.faketime else {"clock_jump"}
        if self.packets is None:
            found |= {*PACKETS, *DISK}
        elif not self.packets.has_netem:
            found |= _DELAYED
        return frozenset(found)


def prepare(clients: Iterable[str], faults: Collection[str], say: cache.Say) -> Machine:
    """Install what is missing, as far as possible, and move this process into a namespace.

    Args:
        clients: The stock clients that are to call.
        faults: The faults that are to happen; what only others need is not installed.
        say: Is told of what is found, and of what is not.

    Raises:
        PartUnavailableError: There can be no run at all.
    """
    lacking: dict[str, str] = {}
    glance, keystone = cache.install(cache.GLANCE, say), cache.install(cache.KEYSTONE, say)
    nginx = debian.install("nginx", lambda: find_program("nginx"), say, "nginx-light")
    environments = {}
    for client in clients:
        try:
            environments[client] = cache.install(cache.OBSERVED_NOVA, say)
        except _UNAVAILABLE as error:
            lacking[client] = f"it makes no calls: {error}"
    faketime = _find_faketime(say, lacking) if "clock_jump" in faults else ""
    packets = _enter(say, lacking) if {*PACKETS, *DISK} & set(faults) else None
    for name, without in lacking.items():
        say(f"without {name}: {without}")
    return Machine(glance, keystone, nginx, environments, faketime, packets, lacking)


def find_parts(machine: Machine) -> dict[str, str]:
    """Return the versions of the servers, and of the clients that are to call."""
    found = {
        "glance": _find_version(machine.glance, "glance"),
        "keystone": _find_version(machine.keystone, "keystone"),
    }
    for client, place in machine.clients.items():
        name = "python-glanceclient" if client == "glanceclient" else client
        found[name] = _find_version(place, name)
    return found


def _find_version(place: Path, name: str) -> str:
    folders = [str(folder) for folder in place.glob("lib/python*/site-packages")]
    return next((each.version for each in distributions(name=name, path=folders)), "unknown")


def _find_faketime(say: cache.Say, lacking: dict[str, str]) -> str:
    try:
        return str(debian.install("libfaketime", _find_library, say, "libfaketime"))
    except _UNAVAILABLE as error:
        lacking["libfaketime"] = f"no clock jumps: {error}"
    return ""


def _enter(say: cache.Say, lacking: dict[str, str]) -> Packets | None:
    try:
        debian.install("nft", lambda: find_program("nft"), say, "nftables")
        packets = enter()
    except (*_UNAVAILABLE, NamespaceUnavailableError) as error:
        lacking["network namespaces"] = f"no packet is lost, and no disk of servers full: {error}"
        return None
    if not packets.has_netem:
        lacking["netem"] = "packets are lost and slowed, but not delayed: the kernel has it not"
    return packets


def _find_library() -> Path | None:
    return min(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), default=None)


def find_program(name: str) -> Path | None:
    """The path of a program of the system; None if it is not there."""
    found = shutil.which(name) or shutil.which(name, path=SBIN)
    return Path(found) if found else None
