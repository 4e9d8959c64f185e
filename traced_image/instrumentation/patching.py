"""Replacements of other libraries' methods: made when a library is imported, and undone exactly."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from importlib import metadata
from typing import TYPE_CHECKING, Any, TypeAlias

import wrapt

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import ModuleType

Foreign: TypeAlias = Any
"""An object of another library, whose types are not known here."""

Wrapper = Callable[[Foreign, Foreign, Foreign, Foreign], Foreign]
"""What is called instead of a method, with what wrapt passes: the bound method, its object, the
arguments and the keyword arguments."""


class LibraryChangedError(LookupError):
    """A library has not the classes or methods that its adapter knows."""


def find_method(module: ModuleType, name: str, parameters: Sequence[str] = ()) -> type:
    """Return the class that defines a method.

    Args:
        module: The class's module.
        name: The class and the method, such as ``Controller.get``.
        parameters: The names of the method's first parameters after ``self``.

    Raises:
        LibraryChangedError: The module has no such class, or the class no such method.
    """
    owner_name, _, method = name.partition(".")
    owner = getattr(module, owner_name, None)
    if not isinstance(owner, type) or not callable(vars(owner).get(method)):
        raise LibraryChangedError(f"{module.__name__} has no {name}()")
    names = list(inspect.signature(vars(owner)[method]).parameters)[1 : len(parameters) + 1]
    if names != list(parameters):
        raise LibraryChangedError(f"{module.__name__}.{name}() has other parameters")
    return owner


class _BoundMethod(wrapt.BoundFunctionWrapper):  # type: ignore[type-arg] # wrapt 1.17 has none
    """A replaced method of an object, which can be copied and pickled as far as the object can."""

    def __copy__(self) -> _BoundMethod:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> object:
        return getattr(copy.deepcopy(self.__self__, memo), self.__name__)

    def __reduce_ex__(self, _protocol: object) -> tuple[object, ...]:
        return getattr, (self.__self__, self.__name__)


class _ReplacedMethod(wrapt.FunctionWrapper):  # type: ignore[type-arg] # wrapt 1.17 has none
    __bound_function_wrapper__ = _BoundMethod


class Patches:
    """The methods that were replaced, with what was there.

    Attributes:
        active: Whether the replacements do anything. Another instrumentation may have wrapped one
            of them since; then it stays where it is, and only calls what was there.
    """

    def __init__(self) -> None:
        self.active = True
        self._done: list[tuple[type | ModuleType, str, object, object]] = []

    def wrap(self, owner: type, method: str, wrapper: Wrapper) -> None:
        """Put a wrapper around a method that a class itself defines."""
        original = vars(owner)[method]
        replacement = _ReplacedMethod(original, wrapper, enabled=self.is_active)
        self.replace(owner, method, replacement)

    def replace(self, owner: type | ModuleType, name: str, replacement: object) -> None:
        """Put an object in the place of another one that a class or a module itself defines."""
        original = vars(owner)[name]
        setattr(owner, name, replacement)
        self._done.append((owner, name, original, replacement))

    def is_active(self) -> bool:
        """Return whether the replacements do anything."""
        return self.active

    def remove(self) -> None:
        """Put back the very objects that were there."""
        self.active = False
        while self._done:
            owner, name, original, replacement = self._done.pop()
            if vars(owner).get(name) is replacement:
                setattr(owner, name, original)


def when_imported(hooks: Mapping[str, Callable[[ModuleType], None]]) -> None:
    """Call a function with a module as soon as that is imported, or at once if it already is.

    Args:
        hooks: The functions, by the modules' names; they must raise nothing.
    """
    for name, hook in hooks.items():
        wrapt.register_post_import_hook(hook, name)


def find_version(distribution: str) -> str | None:
    """Return the version of an installed distribution; None if it is not installed."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
