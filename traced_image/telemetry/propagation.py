"""The headers that name the current span to a server, by the process's propagator."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping

    from opentelemetry.context import Context

    from .telemetry_errors import TelemetryErrors


_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\x01-\x09\x0b\x0c\x0e-\xff]*")
"""A name and value that an HTTP header can have: no line end, no NUL, and only Latin-1."""


class Propagation:
    """Adds the headers of the process's propagator to a request's headers.

    Args:
        errors: Counts the failures of the propagator, which never fail a request.
    """

    def __init__(self, errors: TelemetryErrors) -> None:
        self._errors = errors
        self._guard = errors.guard("wire")
        self._inject: Callable[[dict[str, str], Context], None] = _inject_nothing
        try:
            # Imported here, because it fails if OTEL_PROPAGATORS names a propagator that is not
            # installed.
            from opentelemetry.propagate import inject

            self._inject = inject
        except Exception as cause:  # noqa: BLE001 telemetry never fails a call
            error = LookupError(
                f"OTEL_PROPAGATORS names a propagator that can't be loaded ({cause}): correct the"
                " variable, or install the propagator"
            )
            errors.note("wire", error.with_traceback(cause.__traceback__))

    def collect(self, context: Context) -> dict[str, str]:
        """Return the headers that name a context's span, whether HTTP can carry them or not."""
        told: dict[str, str] = {}
        with self._guard:
            self._inject(told, context)
        return told

    def add_to(self, headers: MutableMapping[str, str], context: Context) -> None:
        """Add the headers that name a context's span; leave out those that HTTP can't carry."""
        for name, value in self.collect(context).items():
            if _is_header(name, value):
                headers[name] = value
            else:
                problem = "it has a line end, a NUL, or a character that is not Latin-1"
                error = ValueError(f"the propagator's header {name!r} can't be sent: {problem}")
                self._errors.note("wire", error)


def _inject_nothing(headers: dict[str, str], context: Context) -> None:
    """Stand in for a propagator that can't be had."""


def _is_header(name: object, value: object) -> bool:
    texts = isinstance(name, str) and isinstance(value, str)
    return texts and _HEADER.fullmatch(f"{name}:{value}") is not None
