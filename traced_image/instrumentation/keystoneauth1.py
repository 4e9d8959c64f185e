"""The adapter of keystoneauth1: what its sessions send for a call that a client has under way."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from .calls import UNDER_WAY
from .patching import find_method

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from types import ModuleType, TracebackType

    from .calls import Instrumentation
    from .hooks import ClientRequest
    from .observed_call import ObservedCall
    from .patching import Foreign, Patches

NAME = "keystoneauth1"
REQUIREMENT = "keystoneauth1 >= 5.9"

_PARAMETERS = (
    *("url", "method", "redirect", "log", "logger", "split_loggers"),
    *("connect_retries", "status_code_retries", "retriable_status_codes", "rate_semaphore"),
    *("connect_retry_delays", "status_code_retry_delays"),
)
"""Those of the session's method that sends a request, and calls itself to send it again."""

_SERVER_ERRORS = range(500, 600)
"""The statuses of a server that can't say which versions it has, unlike 300 or 404."""


def hooks(
    instrumentation: Instrumentation, patches: Patches
) -> Mapping[str, Callable[[ModuleType], None]]:
    """Return what to do when the modules of sessions and of versions are imported."""

    def observe_session(session: ModuleType) -> None:
        owner = find_method(session, "Session._send_request", _PARAMETERS)
        patches.wrap(owner, "_send_request", _Sending(session.requests.Session).send)
        instrumentation.sees_sessions = True

    def observe_discovery(discover: ModuleType) -> None:
        owner = find_method(discover, "EndpointData.get_versioned_data", ("session",))
        patches.wrap(owner, "get_versioned_data", _discover)

    return {
        "keystoneauth1.session": observe_session,
        "keystoneauth1.discover": observe_discovery,
    }


def _discover(wrapped: Foreign, data: Foreign, args: Foreign, kwargs: Foreign) -> Foreign:
    """Ask a service of the catalogue which versions of its API it has."""
    call = UNDER_WAY.get()
    if call is None or data.service_type == "identity":
        return wrapped(*args, **kwargs)
    call.discovering = True
    try:
        return wrapped(*args, **kwargs)
    finally:
        call.discovering = False


class _Sending:
    """The wrapper of the method that sends a request.

    Args:
        requests: The class of sessions below whose requests take hooks.
    """

    def __init__(self, requests: Foreign) -> None:
        self._requests = requests

    def send(self, wrapped: Foreign, session: Foreign, args: Foreign, kwargs: Foreign) -> Foreign:
        """Send a request; watch it if it is the one that a client has under way."""
        call = UNDER_WAY.get()
        if call is None:
            return wrapped(*args, **kwargs)
        with call.guard:
            args, kwargs = (), self._watch(call, session, {**_name(args), **kwargs})
        return wrapped(*args, **kwargs)

    def _watch(self, call: ObservedCall, session: Foreign, given: Foreign) -> Foreign:
        """Return the arguments of a request with what observes it among them.

        Those of Keystone's own requests are returned as they are, and those of a repeated request
        have that of the first one.
        """
        sends = given["rate_semaphore"]
        if isinstance(sends, _ObservedSends):
            sends.retries = given["status_code_retries"]
        elif located := call.locate(given["method"], given["url"]):
            given = {**given, "rate_semaphore": _ObservedSends(call, *located, given)}
            transport = session.session
            if isinstance(transport, self._requests):
                # A hook of the request replaces those of the session.
                others = (given.get("hooks") or transport.hooks).get("response") or ()
                listed = (others,) if callable(others) else others
                given["hooks"] = {"response": [*listed, given["rate_semaphore"].note]}
        return given


def _name(args: Foreign) -> dict[str, Foreign]:
    return dict(zip(_PARAMETERS, args, strict=False))


class _ObservedSends:
    """Sees a request from its start to its response, each time that it is sent.

    It stands for the session's semaphore, which is entered just around each of these.

    Args:
        call: The call that the request is for.
        endpoint: The server's URL.
        request: The request.
        given: The arguments of the method that sends it.

    Attributes:
        retries: How often the request may be sent again because of the response's status.
    """

    def __init__(
        self, call: ObservedCall, endpoint: str, request: ClientRequest, given: Foreign
    ) -> None:
        self.retries: int = given["status_code_retries"]
        self._call = call
        self._endpoint = endpoint
        self._request = request
        self._headers = given["headers"]
        self._statuses = given["retriable_status_codes"]
        self._semaphore = given["rate_semaphore"]

    def __enter__(self) -> Foreign:
        entered = self._semaphore.__enter__()
        try:
            with self._call.guard:
                self._call.start_request(self._endpoint, self._request, self._headers)
        except BaseException:  # a signal handler's: nobody else leaves the semaphore
            self._semaphore.__exit__(*sys.exc_info())
            raise
        return entered

    def note(self, response: Foreign, *_: Foreign, **__: Foreign) -> None:
        """Take a response; the session reads its body later."""
        with self._call.guard:
            self._call.note_response(response)
            self._unhook(response.request)

    def _unhook(self, request: Foreign) -> None:
        """Take the hook out of a request, which may be pickled: openstacksdk's cache does so."""
        hooks = request.hooks
        hooks["response"] = [each for each in hooks["response"] if each != self.note]

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> Foreign:
        try:
            with self._call.guard:
                self._call.end_request(error, self._find_statuses())
                request = getattr(error, "request", None)
                if request is not None:
                    self._unhook(request)
        finally:
            leave = self._semaphore.__exit__(kind, error, trace)
        return leave

    def _find_statuses(self) -> Collection[int]:
        """Return the statuses after which the session sends this request or another one."""
        if self._call.discovering:
            return _SERVER_ERRORS
        return self._statuses if self.retries > 0 else ()
