"""The adapter of ironic: its image service, which calls openstacksdk and retries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .patching import find_method
from .sdk_operations import LISTS, OPERATIONS
from .services import find_gave_up

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import ModuleType

    from .calls import Instrumentation
    from .patching import Foreign, Patches

NAME = "ironic"
REQUIREMENT = "ironic >= 29.0"

_MODULE = "ironic.common.glance_service.image_service"


def hooks(
    instrumentation: Instrumentation, patches: Patches
) -> Mapping[str, Callable[[ModuleType], None]]:
    """Return what to do when the module of ironic's image service is imported."""

    def observe_service(module: ModuleType) -> None:
        owner = find_method(module, "GlanceImageService.call", ("method",))
        gave_up = find_gave_up(module)

        def call(wrapped: Foreign, _service: Foreign, args: Foreign, kwargs: Foreign) -> Foreign:
            method = args[0] if args else kwargs.get("method")
            # A list makes its requests when it is read: it is a call of the client below alone.
            if method not in OPERATIONS or method in LISTS:
                return wrapped(*args, **kwargs)
            return instrumentation.serve(OPERATIONS[method], gave_up, wrapped, args, kwargs)

        patches.wrap(owner, "call", call)

    return {_MODULE: observe_service}
