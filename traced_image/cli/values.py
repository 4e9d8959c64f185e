"""Values of options that are more than a text or a number: durations, and places to listen on."""

from __future__ import annotations

import re
import socket
from typing import NamedTuple

import click

from ..config.checks import shown

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_PARTS = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)(ms|s|m|h)", re.ASCII)
_PORT = re.compile(r"\d{1,5}", re.ASCII)


class Place(NamedTuple):
    """Where to listen."""

    host: str
    port: int


def duration(text: str) -> float:
    """Seconds, written as Prometheus writes them: ``15s``, ``1m30s``, ``500ms``.

    Raises:
        BadParameter: It is none.
    """
    parts = _PARTS.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise click.BadParameter(f"{shown(text)} is no duration: write it like 15s, 1m or 500ms")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def place(text: str) -> Place:
    """An address and a port: ``127.0.0.1:9293``, ``[::1]:9293``, or ``:9293`` for all addresses.

    Raises:
        BadParameter: It is none.
    """
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not colon or not _PORT.fullmatch(port) or (":" in host and not bracketed):
        mend = "write it like 127.0.0.1:9293 or [::1]:9293"
        raise click.BadParameter(f"{shown(text)} is no address and port: {mend}")
    everywhere = "::" if socket.has_dualstack_ipv6() else "0.0.0.0"  # noqa: S104 as was asked for
    return Place(host.strip("[]") or everywhere, int(port))
