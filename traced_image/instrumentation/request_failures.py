"""The requests of an attempt that failed, and the one of them that its call ended with."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ..reasons import find_status

if TYPE_CHECKING:
    from .failures import Blame
    from .hooks import ClientRequest
    from .patching import Foreign


class RequestFailure(NamedTuple):
    """A request of an attempt that failed.

    Attributes:
        cause: What it raised, or the response whose status is an error.
        request: The request.
    """

    cause: Foreign
    request: ClientRequest


class RequestFailures:
    """The requests of an attempt that failed so far."""

    __slots__ = ("_past", "_unraised")

    def __init__(self) -> None:
        self._past: list[RequestFailure] = []
        self._unraised: RequestFailure | None = None

    def add(self, cause: BaseException, request: ClientRequest) -> None:
        """Record that a request raised something."""
        self._past.append(RequestFailure(cause, request))

    def hold(self, response: Foreign, request: ClientRequest) -> None:
        """Record a response with an error, which the library may keep to itself."""
        self._unraised = RequestFailure(response, request)
        self._past.append(self._unraised)

    def clear(self) -> None:
        """Record that a request succeeded: the library has coped with the errors before it."""
        self._unraised = None

    def forget(self) -> None:
        """Let go of all of them."""
        self._past, self._unraised = [], None

    def find(
        self, error: BaseException | None, blame: Blame, ignored: int
    ) -> RequestFailure | None:
        """Return the failed request that a call ended with; None if it ended for another reason.

        Args:
            error: What the call raised; None if it returned.
            blame: What the error was raised from.
            ignored: The HTTP status that is no failure if the call returned after it; 0 for none.
        """
        for failure in reversed(self._past):
            if blame.has(failure.cause):
                return failure
        unraised = self._unraised
        if error is None and ignored and unraised is not None:
            return None if find_status(unraised.cause) == ignored else unraised
        return unraised
