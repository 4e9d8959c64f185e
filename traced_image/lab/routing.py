"""Finds the handler of a request by its path and method."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from .error_responses import Refused
from .http1 import ReceivedRequest, Response

if TYPE_CHECKING:
    from .images import Images

Handler = Callable[..., Response]
"""Takes the store, the request, and the path's variable segments."""

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"})
_ANY = "*"


class Routes:
    """A table of handlers by path and method.

    Args:
        table: The handlers; ``*`` in a path stands for one segment.
        bodyless: The handlers of requests that must not have a body.
        allowed: What ``Allow`` says for a path, where Glance names other methods than it has; None
            for a path whose other methods Glance does not find.
        read_refused: Reads the body of a method that a path has not, and may refuse it.
    """

    def __init__(
        self,
        table: Mapping[str, Mapping[str, Handler]],
        bodyless: Collection[Handler] = (),
        allowed: Mapping[str, str | None] = MappingProxyType({}),
        read_refused: Callable[[ReceivedRequest], object] = bool,
    ) -> None:
        self._read_refused = read_refused
        self._allowed = {tuple(path.split("/")): allow for path, allow in allowed.items()}
        self._patterns = [(tuple(path.split("/")), handlers) for path, handlers in table.items()]
        self._bodyless = bodyless

    def answer(
        self, images: Images, request: ReceivedRequest, segments: tuple[str, ...]
    ) -> Response:
        """Return the reply of the handler that matches a request.

        Args:
            images: The store.
            request: The request.
            segments: The segments of its path after the version.

        Raises:
            Refused: No handler matches, or the handler refuses the request.
        """
        for pattern, handlers in self._patterns:
            names = _match(pattern, segments)
            if names is not None and self._has(pattern, handlers, request):
                return self._handler(pattern, handlers, request)(images, request, *names)
        raise Refused(404 if request.method in _METHODS else 501)

    def _has(
        self, pattern: tuple[str, ...], handlers: Mapping[str, Handler], request: ReceivedRequest
    ) -> bool:
        return request.method in handlers or self._allowed.get(pattern, "") is not None

    def _handler(
        self, pattern: tuple[str, ...], handlers: Mapping[str, Handler], request: ReceivedRequest
    ) -> Handler:
        handler = handlers.get(request.method)
        if handler is None:
            if request.body:
                self._read_refused(request)
            allow = self._allowed.get(pattern) or ", ".join(handlers)
            raise Refused(405, headers=(("Allow", allow),))
        if request.body and handler in self._bodyless:
            raise Refused(400, "A body is not expected with this request.")
        return handler


def _match(pattern: tuple[str, ...], segments: tuple[str, ...]) -> list[str] | None:
    """Return the segments in the places of ``*``; None if the path does not match."""
    if len(pattern) != len(segments):
        return None
    names = []
    for expected, segment in zip(pattern, segments, strict=True):
        if expected == _ANY and segment:
            names.append(segment)
        elif expected != segment:
            return None
    return names
