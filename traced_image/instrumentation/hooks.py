"""The application's part in the instrumentation: its hooks, and the URLs that it leaves out."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import InvalidOption

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    from ..telemetry.telemetry_errors import TelemetryErrors

EXCLUDED = ("OTEL_PYTHON_GLANCE_EXCLUDED_URLS", "OTEL_PYTHON_EXCLUDED_URLS")
"""The variables that exclude URLs; the first that is set counts."""


@dataclass(frozen=True, slots=True)
class ClientRequest:
    """An HTTP request that a stock client makes.

    Attributes:
        method: The HTTP method.
        path: The path and query after the server's URL.
    """

    method: str
    path: str


RequestHook = Callable[["Span", ClientRequest], object]
"""Called with an attempt's span before each of its HTTP requests."""

ResponseHook = Callable[["Span", ClientRequest, Any], object]
"""Called with an attempt's span after each HTTP response; the last argument is the response."""


class Hooks:
    """The application's hooks; what they raise is counted, and harms no call.

    Args:
        request: Called before each HTTP request; None for none.
        response: Called after each HTTP response; None for none.
        errors: Counts what the hooks raise.
    """

    def __init__(
        self, request: RequestHook | None, response: ResponseHook | None, errors: TelemetryErrors
    ) -> None:
        self._request = request
        self._response = response
        self._guard = errors.guard("hooks")

    def before(self, span: Span, request: ClientRequest) -> None:
        """Call the hook of requests."""
        if self._request is not None and span.is_recording():
            with self._guard:
                self._request(span, request)

    def after(self, span: Span, request: ClientRequest, response: object) -> None:
        """Call the hook of responses."""
        if self._response is not None and span.is_recording():
            with self._guard:
                self._response(span, request, response)


def find_excluded(text: str | None) -> Callable[[str], object]:
    """Return a search for the servers' URLs that are not recorded.

    Args:
        text: Regular expressions with commas between them, which may match anywhere in a URL; None
            for those of the environment, empty for none.

    Raises:
        InvalidOption: They are no valid regular expressions.
    """
    source = "argument"
    if text is None:
        name = next(filter(os.environ.get, EXCLUDED), EXCLUDED[0])
        text, source = os.environ.get(name, ""), name
    patterns = [part.strip() for part in text.split(",") if part.strip()]
    try:
        # `(?!)` matches nothing.
        return re.compile("|".join(patterns) or "(?!)").search
    except re.error as error:
        problem, fix = f"no regular expression: {error}", "write patterns with commas between them"
        raise InvalidOption("excluded_urls", problem, source=source, fix=fix) from error
