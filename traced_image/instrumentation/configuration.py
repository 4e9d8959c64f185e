"""The options of the instrumentor in a file of OpenTelemetry's declarative configuration."""

from __future__ import annotations

from dataclasses import dataclass

from ..config.checks import format_value
from ..errors import InvalidOption

_SECTION = "instrumentation/development.python.glance"


@dataclass(frozen=True, slots=True)
class DeclaredOptions:
    """What the section ``instrumentation/development.python.glance`` may have.

    The package opentelemetry-configuration passes what is not None to
    `GlanceInstrumentor.instrument`. There are the arguments that a file can express.

    Attributes:
        excluded_urls: Regular expressions with commas between them: calls to servers whose URL
            matches are not recorded.
        wire_spans: Whether to instrument ``requests`` as well.
        registry: False for no Prometheus metrics.
        meter_provider: False for no metrics through OpenTelemetry's Metrics API.

    Raises:
        InvalidOption: A value has another type.
    """

    excluded_urls: str | None = None
    wire_spans: bool | None = None
    registry: bool | None = None
    meter_provider: bool | None = None

    def __post_init__(self) -> None:
        for name, (is_allowed, fix) in _RULES.items():
            value = getattr(self, name)
            if value is not None and not is_allowed(value):
                problem = f"{format_value(value)} can't be used"
                raise InvalidOption(name, problem, source=_SECTION, fix=fix)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_switch(value: object) -> bool:
    return isinstance(value, bool)


def _is_off(value: object) -> bool:
    return value is False


_RULES = {
    "excluded_urls": (_is_text, "write regular expressions with commas between them, as one text"),
    "wire_spans": (_is_switch, "write true or false"),
    "registry": (_is_off, "write false, or leave it out"),
    "meter_provider": (_is_off, "write false, or leave it out"),
}
