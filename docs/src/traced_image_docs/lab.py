"""The page of the lab: its classes, and each fault with the reason that a client sees."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from traced_image import lab
from traced_image.lab import faults
from traced_image.lab.control_routes import ROUTES

from . import docstrings, signatures
from .api import write_group
from .pages import table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LAB: Mapping[str, Any] = {
    name: getattr(lab, name)
    for name in (
        *("cluster", "GlanceServer", "Identity", "Images", "Image", "Limits", "Access", "Fault"),
        *("parse_fault", "TLS", "Proxy", "Control"),
    )
}

NONE = "none: the call succeeds"

REASONS: Mapping[str, str] = {
    "refuse": "connection_refused",
    "reset": "connection_reset",
    "never_read": "read_timeout",
    "early_answer": "the status, such as 413",
    "never_answer": "read_timeout",
    "lost_reply": "connection_reset",
    "slow_headers": "read_timeout",
    "slow_body": "read_timeout",
    "cut_body": "protocol_error",
    "wrong_length": "protocol_error",
    "garbage_headers": "protocol_error",
    "not_json": "protocol_error",
    "wrong_type": "protocol_error",
    "status": "the status, such as 503",
    "redirect_loop": "too_many_redirects",
    "corrupt_data": "checksum_mismatch",
    "untrusted_tls": "tls_error",
    "broken_tls": "tls_error",
    "plain_http": "tls_error",
    "silent_tls": "connect_timeout",
    "demand_certificate": "tls_error",
    "raw_reply": "protocol_error, if the bytes are no HTTP reply",
    "extra_reply": NONE,
    "interim_replies": NONE,
    "slow_error": "the status, such as 503",
    "redirect": "too_many_redirects, if they lead nowhere else",
    "framing": "protocol_error, if the lines are wrong",
    "delay": "read_timeout, if it is too late",
    "chunked": NONE,
    "bad_chunk": "protocol_error",
    "unexpected_body": "protocol_error",
    "endless_headers": "protocol_error",
    "endless_body": "protocol_error",
    "many_headers": "protocol_error",
    "new_cookies": NONE,
    "huge_json": "protocol_error",
    "endless_pages": "protocol_error",
    "black_hole": "connect_timeout",
    "expiring_tls": "tls_error",
    "cut_upload": "connection_reset",
    "limit_rate": "read_timeout, if it is too slow",
    "nginx_error": "the status, such as 502",
    "haproxy_error": "the status, such as 503",
    "flapping": "that of each fault in turn",
}
"""The reason that a client sees of each fault. The tests hold them against what one does see."""


def list_faults() -> dict[str, Callable[..., lab.Fault]]:
    """Return the functions that make a fault by their names, in the order of their code."""
    return {
        name: function
        for name, function in vars(faults).items()
        if inspect.isfunction(function) and name in faults.__all__
    }


def _write_faults() -> str:
    rows = (
        (_write_call(name, make), *_describe(name, make)) for name, make in list_faults().items()
    )
    return table(("fault", "what the server does", "the reason that a client sees"), rows)


def _write_control() -> str:
    rows = ((f"`{each.method} {each.path}`", each.help) for each in ROUTES)
    return table(("request", "what it does"), rows)


def _write_call(name: str, make: Callable[..., lab.Fault]) -> str:
    """Write a fault's signature for a table, in which a bar would end the cell."""
    return f"`{signatures.write(name, make)}`".removesuffix(" -> Fault`").replace("|", "\\|") + "`"


def _describe(name: str, make: Callable[..., lab.Fault]) -> tuple[str, str]:
    doc = docstrings.read(make)
    arguments = [f"`{argument}`: {text}" for argument, text in doc.arguments.items()]
    reason = REASONS[name]
    return " ".join([doc.summary, *arguments]), reason if " " in reason else f"`{reason}`"


TABLES: Mapping[str, Callable[[], str]] = {
    "control": _write_control,
    "faults": _write_faults,
    "lab": lambda: write_group(LAB),
}
