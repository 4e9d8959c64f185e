"""What the application has set for the instrumentation of HTTP clients in its process."""

from __future__ import annotations

import os
import re
import sys
from functools import cached_property
from typing import TYPE_CHECKING

from opentelemetry.context import Context, attach, detach, get_current, set_value
from opentelemetry.metrics import get_meter

from .._version import find_version
from . import catalogue as names

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from opentelemetry.metrics import Histogram, MeterProvider
    from opentelemetry.util.types import AttributeValue


_PLAIN_KEY = "suppress_instrumentation"
_EXCLUDED = ("OTEL_PYTHON_REQUESTS_EXCLUDED_URLS", "OTEL_PYTHON_EXCLUDED_URLS")
_INSTRUMENTORS = (
    ("opentelemetry.instrumentation.requests", "RequestsInstrumentor"),
    ("opentelemetry.instrumentation.urllib3", "URLLib3Instrumentor"),
)


class Suppression:
    """The keys of OpenTelemetry's context that switch the instrumentation of HTTP clients off.

    opentelemetry-instrumentation defines them, and keeps their names private. Its public functions
    set them, and so this class learns the names from a context in which those have run. Without
    that package, no instrumentation is installed that must be switched off. An application may
    still set the one key that has a plain name.
    """

    def __init__(self) -> None:
        self._http: frozenset[str] = frozenset()
        self._plain = self._all = frozenset({_PLAIN_KEY})
        try:
            from opentelemetry.instrumentation import utils
        except Exception:  # noqa: BLE001 a bad OTEL_PROPAGATORS is a ValueError of this import
            # Where this import fails, that of any instrumentation fails too.
            return
        self._http = _find_keys(utils.suppress_http_instrumentation)
        self._plain |= _find_keys(utils.suppress_instrumentation)
        self._all = self._plain | self._http

    def is_on_for_all(self, context: Context) -> bool:
        """Return whether the application has switched all instrumentation off in a context."""
        return not self._plain.isdisjoint(context) and any(map(context.get, self._plain))

    def is_on(self, context: Context) -> bool:
        """Return whether it has switched that of HTTP clients off, alone or with all others."""
        # The first test is there for speed: most contexts have none of the keys.
        return not self._all.isdisjoint(context) and any(context.get(key) for key in self._all)

    def add_to(self, context: Context) -> Context:
        """Return a context in which other instrumentation makes no span of a request."""
        for key in self._http:
            context = set_value(key, True, context)  # noqa: FBT003 a context has any values
        return context


def _find_keys(suppress: Callable[[], AbstractContextManager[None]]) -> frozenset[str]:
    # The context is empty at first, because the application may have set the keys here.
    token = attach(Context())
    try:
        with suppress():
            return frozenset(get_current())
    finally:
        detach(token)


def find_excluded_urls() -> Callable[[str], object] | None:
    """Return a search for the URLs that the environment excludes from spans of requests.

    The variables are those of opentelemetry-instrumentation-requests, read in the same way: regular
    expressions with commas between them, which may match anywhere in a URL.

    Returns:
        A function that returns None for a URL that is not excluded; None if no URL is excluded.

    Raises:
        re.error: A variable has no valid regular expression.
    """
    specific, general = _EXCLUDED
    text = os.environ.get(specific, os.environ.get(general, ""))
    if not text:
        return None
    return re.compile("|".join(each.strip() for each in text.split(","))).search


class RequestDurations:
    """The metric ``http.client.request.duration`` of an application that instruments requests.

    If the application instruments ``requests`` or ``urllib3``, it expects this metric for all its
    requests. Its instrumentation does not see those of this package, and so this class records
    them. If the application instruments neither, nothing is recorded.

    Args:
        provider: Where the metric goes; None for the process's global provider.
    """

    def __init__(self, provider: MeterProvider | None) -> None:
        self._provider = provider

    def record(
        self, seconds: float, attributes: dict[str, AttributeValue], context: Context
    ) -> None:
        """Record the duration of a request; `context` has the request's span, for exemplars."""
        self._histogram.record(seconds, attributes, context)

    @cached_property
    def _histogram(self) -> Histogram:
        meter = get_meter(
            names.SCOPE,
            find_version(),
            meter_provider=self._provider,
            schema_url=names.SCHEMA_URL,
        )
        return meter.create_histogram(
            names.HTTP_REQUEST_DURATION,
            "s",
            "Duration of HTTP client requests.",
            explicit_bucket_boundaries_advisory=names.HTTP_BUCKETS,
        )


def is_instrumented() -> bool:
    """Return whether the application has instrumented ``requests`` or ``urllib3``."""
    return any(_is_active(*each) for each in _INSTRUMENTORS)


def is_requests_instrumented() -> bool:
    """Return whether the application has instrumented ``requests``."""
    return _is_active(*_INSTRUMENTORS[0])


def _is_active(module: str, name: str) -> bool:
    # Only modules that the application has imported count, so that this imports none.
    instrumentor = getattr(sys.modules.get(module), name, None)
    return instrumentor is not None and bool(instrumentor().is_instrumented_by_opentelemetry)
