"""The adapter of openstacksdk: the proxy of the image API v2, and how it finds its server."""

from __future__ import annotations

import inspect
from contextvars import ContextVar
from functools import partial
from http import HTTPStatus
from importlib import import_module
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from .calls import UNDER_WAY
from .hooks import ClientRequest
from .patching import LibraryChangedError, find_method
from .sdk_operations import LISTS, OPERATIONS
from .streams import CountedDownload, count_data, observe_list

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import ModuleType

    from .calls import Instrumentation
    from .client_call import GaveUp
    from .observed_call import ObservedCall
    from .patching import Foreign, Patches, Wrapper

NAME = "openstacksdk"
REQUIREMENT = "openstacksdk >= 4.4"

_REQUIRED = frozenset(
    "get_image find_image images create_image download_image update_image delete_image".split()
)
"""The methods that every release has; without one, the library is not observed."""

_FINDS_IMAGE: ContextVar[bool] = ContextVar("traced_image_finds_image", default=False)
"""Whether a connection is looking for the image service, in this thread or task."""

_ASKS_SERVER: ContextVar[bool] = ContextVar("traced_image_asks_server", default=False)
"""Whether a service, and not Keystone, is asked for its versions, in this thread or task."""


def hooks(
    instrumentation: Instrumentation, patches: Patches
) -> Mapping[str, Callable[[ModuleType], None]]:
    """Return what to do when each module of the library, or of what it uses, is imported."""
    discovery = _Discovery(instrumentation)

    def observe_proxy(module: ModuleType) -> None:
        adapter = _ImageProxy(instrumentation, find_method(module, "Proxy.get_image"))
        base = getattr(module, "proxy", None)
        if not inspect.ismodule(base):
            raise LibraryChangedError(f"{module.__name__} has no module proxy")
        owner = find_method(base, "Proxy.request", ("url", "method"))
        found = [(owner, "request", adapter.send), *adapter.wrap_methods(module)]
        # Only now, so that a library that has changed is left as it is.
        for owner, method, wrapper in found:
            patches.wrap(owner, method, wrapper)

    def observe_services(module: ModuleType) -> None:
        owner = find_method(module, "ServiceDescription._make_proxy", ("instance",))
        patches.wrap(owner, "_make_proxy", _find_service)

    def observe_discovery(module: ModuleType) -> None:
        data = find_method(module, "EndpointData.get_versioned_data", ("session",))
        document = find_method(module, "Discover.__init__", ("session", "url"))
        patches.wrap(data, "get_versioned_data", _ask_server)
        patches.wrap(document, "__init__", discovery.discover)

    return {
        "openstack.image.v2._proxy": observe_proxy,
        "openstack.service_description": observe_services,
        "keystoneauth1.discover": observe_discovery,
    }


def find_gave_up() -> GaveUp:
    """Return keystoneauth1's exceptions for a server that can't be reached."""
    errors = import_module("keystoneauth1.exceptions")
    names = ("ConnectionError", "DiscoveryFailure")
    return tuple(getattr(errors, name) for name in names if hasattr(errors, name))


def _find_service(wrapped: Foreign, service: Foreign, args: Foreign, kwargs: Foreign) -> Foreign:
    """Make the proxy of a service, for which its server may be asked for its versions."""
    if service.service_type != "image":
        return _step_out(wrapped, args, kwargs)
    token = _FINDS_IMAGE.set(True)
    try:
        return wrapped(*args, **kwargs)
    finally:
        _FINDS_IMAGE.reset(token)


def _step_out(wrapped: Foreign, args: Foreign, kwargs: Foreign) -> Foreign:
    """Call what asks another service, such as Swift: that is no part of the call under way."""
    call, finds_image = UNDER_WAY.set(None), _FINDS_IMAGE.set(False)
    try:
        return wrapped(*args, **kwargs)
    finally:
        UNDER_WAY.reset(call)
        _FINDS_IMAGE.reset(finds_image)


def _ask_server(wrapped: Foreign, _data: Foreign, args: Foreign, kwargs: Foreign) -> Foreign:
    token = _ASKS_SERVER.set(True)
    try:
        return wrapped(*args, **kwargs)
    finally:
        _ASKS_SERVER.reset(token)


class _Discovery:
    """The wrapper of what asks a server for its versions.

    Args:
        instrumentation: Observes it, as a call.
    """

    def __init__(self, instrumentation: Instrumentation) -> None:
        self._instrumentation = instrumentation

    def discover(
        self, wrapped: Foreign, _document: Foreign, args: Foreign, kwargs: Foreign
    ) -> Foreign:
        """Get a server's document of versions; within a call it is part of that."""
        observed = None
        if _FINDS_IMAGE.get() and _ASKS_SERVER.get():
            with self._instrumentation.guard:
                url = args[1] if len(args) > 1 else kwargs["url"]
                observed = self._instrumentation.start("versions.list", url, find_gave_up())
        if observed is None:
            return wrapped(*args, **kwargs)
        observed.discovering = True
        return self._instrumentation.call(observed, wrapped, args, kwargs)


class _ImageProxy:
    """The wrappers of the image proxy's methods.

    Args:
        instrumentation: Observes the calls.
        proxy: The class of image proxies.
    """

    def __init__(self, instrumentation: Instrumentation, proxy: Foreign) -> None:
        self._instrumentation = instrumentation
        self._proxy = proxy
        self._gave_up = find_gave_up()

    def wrap_methods(self, module: ModuleType) -> Iterator[tuple[type, str, Wrapper]]:
        """Yield the methods that this release has."""
        for method, operation in OPERATIONS.items():
            try:
                owner = find_method(module, f"Proxy.{method}")
            except LibraryChangedError:
                if method in _REQUIRED:
                    raise
                continue
            if method in LISTS:
                yield owner, method, self._make_list(operation)
            else:
                ignores = "ignore_missing" in inspect.signature(vars(owner)[method]).parameters
                yield owner, method, self._make_call(operation, ignores=ignores)

    def _start(self, operation: str, proxy: Foreign) -> ObservedCall | None:
        with self._instrumentation.guard:
            return self._instrumentation.start(operation, proxy.endpoint_override, self._gave_up)
        return None

    def _make_call(self, operation: str, *, ignores: bool) -> Wrapper:
        def call(wrapped: Foreign, proxy: Foreign, args: Foreign, kwargs: Foreign) -> Foreign:
            observed = self._start(operation, proxy)
            if observed is None:
                return wrapped(*args, **kwargs)
            if ignores:  # unless it raises, the caller has asked for that
                observed.ignored = HTTPStatus.NOT_FOUND
            return self._instrumentation.call(observed, wrapped, args, kwargs)

        return call

    def _make_list(self, operation: str) -> Wrapper:
        def list_(wrapped: Foreign, proxy: Foreign, args: Foreign, kwargs: Foreign) -> Foreign:
            items = wrapped(*args, **kwargs)
            if not inspect.isgenerator(items):
                return items
            observed: Foreign = observe_list(items, partial(self._start, operation, proxy))
            observed.__name__, observed.__qualname__ = items.__name__, items.__qualname__
            return observed

        return list_

    def send(self, wrapped: Foreign, proxy: Foreign, args: Foreign, kwargs: Foreign) -> Foreign:
        """Make an HTTP request of the call under way."""
        call = UNDER_WAY.get()
        # The library passes both by their places.
        if call is None or len(args) < len(("url", "method")):
            return wrapped(*args, **kwargs)
        if not isinstance(proxy, self._proxy):
            return _step_out(wrapped, args, kwargs)
        given, endpoint, request = kwargs, None, None
        with call.guard:
            request = ClientRequest(args[1], _find_path(args[0]))
            given = _count_data(call, args[0], kwargs)
            if not self._instrumentation.sees_sessions:
                endpoint = proxy.endpoint_override
        if request is None:
            return wrapped(*args, **kwargs)

        def send(*_args: Foreign, **_kwargs: Foreign) -> tuple[Foreign]:
            # Headers would change the keys of the library's cache.
            return (wrapped(*args, **given),)

        (response,) = call.send(endpoint, request, send, args, given)
        with call.guard:
            _count_response(call, given, response)
        return response


def _find_path(url: str) -> str:
    """Return the path of a request, which the library may write without a slash at its start."""
    return f"/{urlsplit(url).path.lstrip('/')}"


def _count_data(call: ObservedCall, url: str, kwargs: Foreign) -> Foreign:
    """Return the arguments of a request with what counts the data of an upload."""
    if "data" in kwargs and url.endswith(("/file", "/stage")):
        return {**kwargs, "data": count_data(kwargs["data"], call)}
    return kwargs


def _count_response(call: ObservedCall, given: Foreign, response: Foreign) -> None:
    """Count the data of an upload that has been sent, and of a download that will be read."""
    if response.status_code >= HTTPStatus.BAD_REQUEST:
        return
    if isinstance(given.get("data"), bytes):
        call.sent(len(given["data"]))
    if given.get("stream") and hasattr(response.raw, "stream"):
        response.raw = CountedDownload(response.raw, call)
