"""What the adapters of nova, cinder and ironic share: how they give up, and their operations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..telemetry.catalogue import OPERATIONS, OTHER
from .patching import LibraryChangedError

if TYPE_CHECKING:
    from types import ModuleType

    from .client_call import GaveUp


def find_gave_up(module: ModuleType) -> GaveUp:
    """Return the exception by which a service says that no attempt succeeded.

    Args:
        module: The service's module, which has its exceptions as ``exception``.

    Raises:
        LibraryChangedError: It has no such exception.
    """
    error = getattr(getattr(module, "exception", None), "GlanceConnectionFailed", None)
    if not isinstance(error, type) or not issubclass(error, BaseException):
        raise LibraryChangedError(f"{module.__name__} has no exception.GlanceConnectionFailed")
    return (error,)


def name_operation(controller: object, method: object) -> str:
    """Return the operation of a call; ``_OTHER`` if the closed set has none.

    Args:
        controller: The client's attribute, such as ``image_members``; None for ``images``.
        method: The controller's method.
    """
    operation = f"{controller or 'images'}.{method}"
    return operation if operation in OPERATIONS else OTHER
