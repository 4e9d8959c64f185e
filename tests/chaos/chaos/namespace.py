"""A network namespace of this run alone, in which packets of a port are lost, refused or slowed."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import threading
from dataclasses import dataclass, field

_CLONE_NEWNS, _CLONE_NEWNET = 0x00020000, 0x40000000  # <linux/sched.h>
_MTU = 1500  # that of Ethernet: loopback's own lets a whole reply pass in one packet
_UNLIMITED = "100gbit"  # of a class, whose own queueing discipline is what slows
_TABLE = "inet chaos"
_PROGRAMS = ("ip", "mount", "nft", "tc")

SBIN = "/usr/sbin:/sbin:/usr/bin:/bin"
"""Where programs are that a user's PATH may not have."""


class NamespaceUnavailableError(Exception):
    """This machine gives the run no namespace with packet rules; the message says why."""


@dataclass
class Packets:
    """The rules for packets to and from ports of loopback.

    Attributes:
        has_netem: Whether the kernel can delay packets.
    """

    has_netem: bool = False
    _rules: dict[int, list[str]] = field(default_factory=dict)
    _classes: dict[int, int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def lose(self, port: int, share: float) -> None:
        """Drop this share of the packets in each direction; 1 is all of them."""
        chance = "" if share >= 1 else f" numgen random mod 1000 < {share * 1000:.0f}"
        self._put(port, [f"tcp dport {port}{chance} drop", f"tcp sport {port}{chance} drop"])

    def reject(self, port: int) -> None:
        """Answer each packet to the port with RST, as a firewall does it."""
        self._put(port, [f"tcp dport {port} reject with tcp reset"])

    def hide(self, port: int) -> None:
        """Answer each packet to the port with ICMP's "host unreachable"."""
        self._put(port, [f"tcp dport {port} reject with icmp host-unreachable"])

    def slow(self, port: int, rate: float) -> None:
        """Let so many bytes a second pass in both directions together."""
        self._queue(port, f"tbf rate {rate * 8:.0f}bit burst {2 * _MTU} latency 400ms")

    def delay(self, port: int, seconds: float) -> None:
        """Delay each packet; the kernel must have netem."""
        self._queue(port, f"netem delay {seconds * 1000:.0f}ms")

    def repair(self, port: int) -> None:
        """Let all packets of the port pass again."""
        self._put(port, [])

    def _queue(self, port: int, discipline: str) -> None:
        with self._lock:
            number = self._classes.setdefault(port, len(self._classes) + 1)
        _add_queue(number, discipline)
        mark = f"meta priority set 1:{number:x}"
        self._put(port, [f"tcp dport {port} {mark}", f"tcp sport {port} {mark}"])

    def _put(self, port: int, rules: list[str]) -> None:
        with self._lock:
            self._rules[port] = rules
            lines = "\n".join(rule for each in self._rules.values() for rule in each)
            # One transaction: no packet passes between the old rules and the new ones.
            _nft(
                f"table {_TABLE}\ndelete table {_TABLE}\ntable {_TABLE} {{\n"
                f"chain out {{\ntype filter hook output priority 0\n{lines}\n}}\n}}\n"
            )


def enter() -> Packets:
    """Move this process into new namespaces: a network with loopback alone, and mounts of its own.

    Threads and processes that it starts are in them, too. They have no names: the kernel removes
    them, their rules and mounts with the last process, however the run ends.

    Raises:
        NamespaceUnavailableError: It is not possible here.
    """
    missing = [name for name in _PROGRAMS if _find(name) is None]
    if missing:
        raise NamespaceUnavailableError(
            f"{', '.join(missing)} not found; fix: apt-get install iproute2 nftables"
        )
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET | _CLONE_NEWNS):
        why = os.strerror(ctypes.get_errno())
        raise NamespaceUnavailableError(f"unshare: {why}; fix: run it as root")
    try:
        return _prepare()
    except subprocess.CalledProcessError as error:
        raise NamespaceUnavailableError(f"{error}: {error.stderr.strip()}") from error


def _prepare() -> Packets:
    _run("mount", "--make-rprivate", "/")
    _run("ip", "link", "set", "lo", "up", "mtu", str(_MTU))
    # Packets of no class pass at once.
    _run("tc", "qdisc", "add", "dev", "lo", "root", "handle", "1:", "htb", "default", "0")
    packets = Packets(_has_netem())
    packets.repair(0)  # whether nft works is known from now on
    return packets


def _has_netem() -> bool:
    try:
        _add_queue(0xFFF, "netem delay 1ms")
    except subprocess.CalledProcessError:
        return False
    return True


def _add_queue(number: int, discipline: str) -> None:
    name = f"1:{number:x}"
    _run("tc", *f"class replace dev lo parent 1: classid {name} htb rate {_UNLIMITED}".split())
    _run("tc", *f"qdisc replace dev lo parent {name} {discipline}".split())


def _nft(text: str) -> None:
    _run("nft", "-f", "-", text=text)


def _run(program: str, *arguments: str, text: str = "") -> None:
    subprocess.run(
        [_find(program) or program, *arguments],
        check=True,
        input=text,
        capture_output=True,
        text=True,
    )


def _find(program: str) -> str | None:
    return shutil.which(program) or shutil.which(program, path=SBIN)
