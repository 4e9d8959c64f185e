"""The process's global providers, or providers that do nothing if those can't be loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.environment_variables import (
    OTEL_PYTHON_METER_PROVIDER,
    OTEL_PYTHON_TRACER_PROVIDER,
)
from opentelemetry.metrics import MeterProvider, NoOpMeterProvider, get_meter_provider
from opentelemetry.trace import (
    NoOpTracerProvider,
    ProxyTracerProvider,
    TracerProvider,
    get_tracer_provider,
)

if TYPE_CHECKING:
    from .telemetry_errors import TelemetryErrors

_NO_METERS = NoOpMeterProvider()


def find_tracer_provider(given: TracerProvider | None, errors: TelemetryErrors) -> TracerProvider:
    """Return a tracer provider: the given one, or else the process's global one.

    Args:
        given: A provider; None for the global one.
        errors: Counts a global provider that can't be loaded.
    """
    if given is not None:
        return given
    try:
        return get_tracer_provider()
    except Exception as error:  # noqa: BLE001 telemetry never fails a call
        errors.note("spans", _name_variable(OTEL_PYTHON_TRACER_PROVIDER, error))
        return NoOpTracerProvider()


def has_tracer_provider() -> bool:
    """Return whether the process has a global tracer provider by now."""
    try:
        return not isinstance(get_tracer_provider(), ProxyTracerProvider)
    except Exception:  # noqa: BLE001 `find_tracer_provider` has counted it
        return False


def find_meter_provider() -> tuple[MeterProvider, Exception | None]:
    """Return the process's global meter provider, and why it can't be loaded if so."""
    try:
        return get_meter_provider(), None
    except Exception as error:  # noqa: BLE001 telemetry never fails a call
        return _NO_METERS, _name_variable(OTEL_PYTHON_METER_PROVIDER, error)


def _name_variable(variable: str, cause: Exception) -> Exception:
    error = LookupError(f"the provider that {variable} names can't be loaded: correct the variable")
    # OpenTelemetry raises a StopIteration without a text.
    return error.with_traceback(cause.__traceback__)
