"""Where nova's and cinder's code gets a server and where it waits, and what replaces that."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .._signals import SUPPRESSED
from ..instrumentation.patching import Foreign, LibraryChangedError, find_method
from .stock_call import CURRENT_CALL, StockCall
from .turns import Fleets

if TYPE_CHECKING:
    from types import ModuleType

    from ..instrumentation.patching import Patches, Wrapper
    from .stock_call import Rules

_CLIENT = "GlanceClientWrapper"


@dataclass(frozen=True, slots=True)
class Library:
    """A library whose client has a loop of attempts over a cycle of servers.

    Attributes:
        name: Its name on PyPI.
        module: The module of the client.
        parameters: The first parameters of its ``GlanceClientWrapper.call``.
        read_url: Returns the URL of a server in its list; None for none.
    """

    name: str
    module: str
    parameters: tuple[str, ...]
    read_url: Callable[[Foreign], str | None]


def _read_cinder(item: tuple[str, bool]) -> str:
    netloc, use_ssl = item
    return f"{'https' if use_ssl else 'http'}://{netloc}"


LIBRARIES = (
    Library("nova", "nova.image.glance", ("context", "version", "method"), lambda item: item),
    Library("cinder", "cinder.image.glance", ("context", "method"), _read_cinder),
)


class InPlaceOf:
    """Stands for a module under its name in another one: one function differs, all else is its own.

    Args:
        module: The module.
        name: The function's name.
        function: What it is instead.
    """

    def __init__(self, module: ModuleType, name: str, function: Callable[..., object]) -> None:
        self._module = module
        setattr(self, name, function)

    def __getattr__(self, name: str) -> Foreign:
        return getattr(self._module, name)


def give_cycle(library: Library, module: ModuleType, patches: Patches, rules: Rules) -> None:
    """Put the cycle in the place of a library's order of servers and of its waits.

    Args:
        library: The library.
        module: Its module.
        patches: Keeps what was there.
        rules: The rules of its cycle.

    Raises:
        LibraryChangedError: The module has not the code that this knows; nothing was replaced.
    """
    owner = find_method(module, f"{_CLIENT}.call", library.parameters)
    find_method(module, f"{_CLIENT}._create_onetime_client")
    itertools = _find_used(module, "itertools", "cycle", "get_api_servers")
    time = _find_used(module, "time", "sleep", f"{_CLIENT}.call")
    fleets = Fleets(library.name, library.read_url, rules)

    def cycle(items: Foreign) -> Foreign:
        if patches.active and isinstance(items, Sequence):
            with SUPPRESSED:
                return fleets.cycle(items)
        return itertools.cycle(items)

    patches.wrap(owner, "call", _make_call(library.parameters.index("method"), rules))
    patches.replace(module, "itertools", InPlaceOf(itertools, "cycle", cycle))
    patches.replace(module, "time", InPlaceOf(time, "sleep", _make_sleep(time)))


def _find_used(module: ModuleType, name: str, attribute: str, user: str) -> ModuleType:
    """Return a module that a function or method uses by its name.

    Raises:
        LibraryChangedError: It does not.
    """
    found = module.__dict__.get(name)
    function: Foreign = module
    for part in user.split("."):
        function = getattr(function, part, None)
    code = getattr(inspect.unwrap(function), "__code__", None)
    if not inspect.ismodule(found) or code is None or not {name, attribute} <= {*code.co_names}:
        raise LibraryChangedError(f"{module.__name__}.{user}() does not use {name}.{attribute}()")
    return found


def _make_call(place: int, rules: Rules) -> Wrapper:
    def call(wrapped: Foreign, _client: Foreign, args: Foreign, kwargs: Foreign) -> Foreign:
        method = args[place] if len(args) > place else kwargs.get("method")
        under_way = StockCall(str(method), rules)
        token = CURRENT_CALL.set(under_way)
        try:
            result = wrapped(*args, **kwargs)
        except BaseException as error:
            with SUPPRESSED:
                under_way.end(error)
            raise
        else:
            with SUPPRESSED:
                under_way.end(None, is_known=not inspect.isgenerator(result))
            return result
        finally:
            CURRENT_CALL.reset(token)

    return call


def _make_sleep(time: ModuleType) -> Callable[[float], None]:
    def sleep(seconds: float) -> None:
        under_way = CURRENT_CALL.get()
        if under_way is not None:
            with SUPPRESSED:
                seconds = under_way.fail(seconds)
        time.sleep(seconds)

    return sleep
