"""The adapter of python-glanceclient: the controllers of its API v2, and its two HTTP clients."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from .calls import UNDER_WAY
from .hooks import ClientRequest
from .patching import LibraryChangedError, find_method
from .streams import CountedData, observe_data, observe_list

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import ModuleType

    from .calls import Instrumentation
    from .client_call import GaveUp
    from .observed_call import ObservedCall
    from .patching import Foreign, Patches, Wrapper

NAME = "python-glanceclient"
REQUIREMENT = "python-glanceclient >= 4.8"

_REQUIRED = frozenset("get list data upload create update delete".split())
"""The methods of images that every release has; without one, the library is not observed."""


@dataclass(frozen=True, slots=True)
class _Controller:
    """A class of controllers, and its methods that make calls.

    Attributes:
        module: Its module, a name in ``glanceclient.v2.client``.
        name: Its name.
        group: The first part of its operations: the client's attribute of such a controller.
        methods: Its methods that return when the call has ended, with spaces between them.
        lists: Its methods that return a generator.
    """

    module: str
    name: str
    group: str
    methods: str
    lists: str = "list"


_RECORDS = "get create update delete delete_all"
_CONTROLLERS = (
    _Controller(
        "images",
        "Controller",
        "images",
        "get data upload create update delete stage image_import deactivate reactivate"
        " add_location update_location delete_locations add_image_location get_image_locations"
        " get_associated_image_tasks get_import_info get_stores_info get_stores_info_detail"
        " delete_from_store",
    ),
    _Controller("image_members", "Controller", "image_members", "get create update delete"),
    _Controller("image_tags", "Controller", "image_tags", "update delete", lists=""),
    _Controller("schemas", "Controller", "schemas", "get", lists=""),
    _Controller("tasks", "Controller", "tasks", "get create"),
    _Controller("info", "Controller", "info", "get_usage", lists=""),
    _Controller("versions", "VersionController", "versions", "list", lists=""),
    _Controller(
        "cache",
        "Controller",
        "cache",
        "list list_cached_nodes queue delete clear clean prune",
        lists="",
    ),
    _Controller(
        "metadefs", "NamespaceController", "metadefs_namespace", "get create update delete"
    ),
    _Controller(
        "metadefs",
        "ResourceTypeController",
        "metadefs_resource_type",
        "associate deassociate",
        lists="list get",
    ),
    _Controller("metadefs", "PropertyController", "metadefs_property", _RECORDS),
    _Controller("metadefs", "ObjectController", "metadefs_object", _RECORDS),
    _Controller("metadefs", "TagController", "metadefs_tag", _RECORDS, "list create_multiple"),
)

LISTS = frozenset(
    f"{each.group}.{method}" for each in _CONTROLLERS for method in each.lists.split()
)
"""The operations that make their requests when their results are read."""


def hooks(
    instrumentation: Instrumentation, patches: Patches
) -> Mapping[str, Callable[[ModuleType], None]]:
    """Return what to do when each module of the library, or of what it uses, is imported."""

    def observe_client(client: ModuleType) -> None:
        http = _get_module(client, "http")
        adapter = _Adapter(instrumentation, _find_gave_up(http))
        found = [*adapter.wrap_http_clients(http), *adapter.wrap_controllers(client)]
        # Only now, so that a library that has changed is left as it is.
        for owner, method, wrapper in found:
            patches.wrap(owner, method, wrapper)

    return {"glanceclient.v2.client": observe_client}


def _get_module(client: ModuleType, name: str) -> ModuleType:
    module = getattr(client, name, None)
    if not inspect.ismodule(module):
        raise LibraryChangedError(f"{client.__name__} has no module {name}")
    return module


def _find_gave_up(http: ModuleType) -> GaveUp:
    """Return the exceptions that nova and cinder retry; with one attempt, the call gave up."""
    errors = _get_module(http, "exc")
    names = ("CommunicationError", "InvalidEndpoint", "HTTPServiceUnavailable")
    return tuple(getattr(errors, name) for name in names if hasattr(errors, name))


def _find_endpoint(client: Foreign) -> str | None:
    """Return the URL of an HTTP client's server; None if a catalogue will name it."""
    endpoint = getattr(client, "endpoint_override", None) or getattr(client, "endpoint", None)
    return endpoint or None


def _is_of_keystoneauth1(session: Foreign) -> bool:
    """Return whether keystoneauth1 sends a session's requests, and not keystoneclient or others.

    The session may be an adapter around another one, or stand for it.
    """
    for each in (session, getattr(session, "session", None)):
        sender = getattr(getattr(each, "_send_request", None), "__self__", None)
        if any(kind.__module__ == "keystoneauth1.session" for kind in type(sender).__mro__):
            return True
    return False


class _Adapter:
    """The wrappers of the library's methods.

    Args:
        instrumentation: Observes the calls.
        gave_up: The exceptions of a server that can't be reached or is overloaded.
    """

    def __init__(self, instrumentation: Instrumentation, gave_up: GaveUp) -> None:
        self._instrumentation = instrumentation
        self._gave_up = gave_up

    def wrap_http_clients(self, http: ModuleType) -> Iterator[tuple[type, str, Wrapper]]:
        """Yield the methods that send requests; their first two arguments differ in order."""
        owner = find_method(http, "HTTPClient._request", ("method", "url"))
        yield owner, "_request", _make_send(("method", "url"), _find_endpoint)
        owner = find_method(http, "SessionClient.request", ("url", "method"))
        yield owner, "request", _make_send(("url", "method"), self._find_unseen)

    def _find_unseen(self, client: Foreign) -> str | None:
        """Return the URL of a server, unless the session will tell it when it sends a request."""
        seen = self._instrumentation.sees_sessions and _is_of_keystoneauth1(client.session)
        return None if seen else _find_endpoint(client)

    def wrap_controllers(self, client: ModuleType) -> Iterator[tuple[type, str, Wrapper]]:
        """Yield the methods of the controllers that this release has."""
        for each in _CONTROLLERS:
            for method in (*each.methods.split(), *each.lists.split()):
                try:
                    module = _get_module(client, each.module)
                    owner = find_method(module, f"{each.name}.{method}")
                except LibraryChangedError:
                    if each.module == "images" and method in _REQUIRED:
                        raise
                    continue
                yield owner, method, self._make_wrapper(each, method)

    def _make_wrapper(self, controller: _Controller, method: str) -> Wrapper:
        operation = f"{controller.group}.{method}"
        if method in controller.lists.split():
            return self._make_list(operation)
        if operation == "images.data":
            return self._make_download(operation)
        if operation in ("images.upload", "images.stage"):
            return self._make_upload(operation)
        return self._make_call(operation)

    def _start(self, operation: str, controller: Foreign) -> ObservedCall | None:
        with self._instrumentation.guard:
            endpoint = _find_endpoint(controller.http_client)
            return self._instrumentation.start(operation, endpoint, self._gave_up)
        return None

    def _make_call(self, operation: str) -> Wrapper:
        def call(wrapped: Foreign, instance: Foreign, args: Foreign, kwargs: Foreign) -> Foreign:
            observed = self._start(operation, instance)
            if observed is None:
                return wrapped(*args, **kwargs)
            return self._instrumentation.call(observed, wrapped, args, kwargs)

        return call

    def _make_list(self, operation: str) -> Wrapper:
        def list_(wrapped: Foreign, instance: Foreign, args: Foreign, kwargs: Foreign) -> Foreign:
            result = wrapped(*args, **kwargs)
            with self._instrumentation.guard:
                # A proxy that shows the request id of its first page, around a generator.
                items = result.wrapped
                if inspect.isgenerator(items):
                    start = partial(self._start, operation, instance)
                    return type(result)(observe_list(items, start))
            return result

        return list_

    def _make_download(self, operation: str) -> Wrapper:
        def download(
            wrapped: Foreign, instance: Foreign, args: Foreign, kwargs: Foreign
        ) -> Foreign:
            observed = self._start(operation, instance)
            if observed is None:
                return wrapped(*args, **kwargs)
            result = self._instrumentation.call(observed, wrapped, args, kwargs)
            with self._instrumentation.guard:
                # A proxy around an object with the length and the generator; or around None.
                body = result.wrapped
                if inspect.isgenerator(getattr(body, "iterable", None)):
                    body.iterable = observe_data(body.iterable, observed)
            return result

        return download

    def _make_upload(self, operation: str) -> Wrapper:
        def upload(wrapped: Foreign, instance: Foreign, args: Foreign, kwargs: Foreign) -> Foreign:
            observed = self._start(operation, instance)
            if observed is None:
                return wrapped(*args, **kwargs)
            with observed.guard:
                args, kwargs = _count_upload(observed, args, kwargs)
            return self._instrumentation.call(observed, wrapped, args, kwargs)

        return upload


def _count_upload(observed: ObservedCall, args: Foreign, kwargs: Foreign) -> Foreign:
    """Return the arguments of an upload with what counts its data, if that is a file."""
    if len(args) > 1 and hasattr(args[1], "read"):
        args = (args[0], CountedData(args[1], observed).resume(), *args[2:])
    elif hasattr(kwargs.get("image_data"), "read"):
        kwargs = {**kwargs, "image_data": CountedData(kwargs["image_data"], observed).resume()}
    return args, kwargs


def _make_send(
    parameters: tuple[str, str], find_endpoint: Callable[[Foreign], str | None]
) -> Wrapper:
    """Return the wrapper of a method that sends requests.

    Args:
        parameters: The names of its first two parameters, in their order.
        find_endpoint: Returns the URL of a client's server; None if the session will tell it.
    """
    method, url = parameters.index("method"), parameters.index("url")

    def send(wrapped: Foreign, client: Foreign, args: Foreign, kwargs: Foreign) -> Foreign:
        call = UNDER_WAY.get()
        # The library passes both by their places.
        if call is None or len(args) != len(parameters):
            return wrapped(*args, **kwargs)
        request = ClientRequest(args[method], args[url])
        return call.send(find_endpoint(client), request, wrapped, args, kwargs)

    return send
