"""The adapter of cinder: its calls, whose attempts are the calls of python-glanceclient."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .glanceclient import LISTS
from .patching import find_method
from .services import find_gave_up, name_operation

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import ModuleType

    from .calls import Instrumentation
    from .client_call import GaveUp
    from .patching import Foreign, Patches, Wrapper

NAME = "cinder"
REQUIREMENT = "cinder >= 26.0"

_PARAMETERS = ("context", "method")
_METHOD = _PARAMETERS.index("method")


def hooks(
    instrumentation: Instrumentation, patches: Patches
) -> Mapping[str, Callable[[ModuleType], None]]:
    """Return what to do when the module of cinder that calls Glance is imported."""

    def observe(glance: ModuleType) -> None:
        owner = find_method(glance, "GlanceClientWrapper.call", _PARAMETERS)
        patches.wrap(owner, "call", _make_call(instrumentation, find_gave_up(glance)))

    return {"cinder.image.glance": observe}


def _make_call(instrumentation: Instrumentation, gave_up: GaveUp) -> Wrapper:
    def call(wrapped: Foreign, _client: Foreign, args: Foreign, kwargs: Foreign) -> Foreign:
        method = args[_METHOD] if len(args) > _METHOD else kwargs.get("method")
        operation = name_operation(kwargs.get("controller"), method)
        # A list is a call of its own when it is read, which is after this one.
        serve = instrumentation.prepare if operation in LISTS else instrumentation.serve
        return serve(operation, gave_up, wrapped, args, kwargs)

    return call
