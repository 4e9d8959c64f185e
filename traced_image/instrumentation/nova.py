"""The adapter of nova: its calls, whose attempts are the calls of python-glanceclient."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .patching import LibraryChangedError, find_method
from .services import find_gave_up, name_operation

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import ModuleType

    from .calls import Instrumentation
    from .client_call import GaveUp
    from .patching import Foreign, Patches, Wrapper

NAME = "nova"
REQUIREMENT = "nova >= 31.0"

_PARAMETERS = ("context", "version", "method", "controller", "args", "kwargs")
_METHOD, _CONTROLLER = _PARAMETERS.index("method"), _PARAMETERS.index("controller")


def hooks(
    instrumentation: Instrumentation, patches: Patches
) -> Mapping[str, Callable[[ModuleType], None]]:
    """Return what to do when the module of nova that calls Glance is imported."""

    def observe(glance: ModuleType) -> None:
        owner = find_method(glance, "GlanceClientWrapper.call", _PARAMETERS)
        patches.wrap(owner, "call", _make_call(instrumentation, find_gave_up(glance)))
        try:
            service = find_method(glance, "GlanceImageServiceV2.rbd_download")
        except LibraryChangedError:
            return  # a release may do without it
        patches.wrap(service, "rbd_download", _make_rbd_download(instrumentation))

    return {"nova.image.glance": observe}


def _make_call(instrumentation: Instrumentation, gave_up: GaveUp) -> Wrapper:
    def call(wrapped: Foreign, _client: Foreign, args: Foreign, kwargs: Foreign) -> Foreign:
        method = args[_METHOD] if len(args) > _METHOD else kwargs.get("method")
        controller = args[_CONTROLLER] if len(args) > _CONTROLLER else kwargs.get("controller")
        operation = name_operation(controller, method)
        return instrumentation.serve(operation, gave_up, wrapped, args, kwargs)

    return call


def _make_rbd_download(instrumentation: Instrumentation) -> Wrapper:
    def rbd_download(
        wrapped: Foreign, _service: Foreign, args: Foreign, kwargs: Foreign
    ) -> Foreign:
        return instrumentation.bypass("images.rbd_download", wrapped, args, kwargs)

    return rbd_download
