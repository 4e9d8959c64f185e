"""The record of the public API: each name once, with its signature and defaults."""

from __future__ import annotations

import inspect
from functools import cached_property
from importlib import import_module
from itertools import chain
from typing import TYPE_CHECKING, Any

from . import api, signatures

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

RECORD = "reference/public-api.txt"
"""Where the record is, below ``docs/``."""

MODULES = (
    "traced_image",
    "traced_image.errors",
    "traced_image.telemetry",
    "traced_image.exporter",
    "traced_image.instrumentation",
    "traced_image.stock_cycle",
    "traced_image.lab",
    "traced_image.lab.faults",
    "traced_image.pipeline.api.v1",
    "traced_image.pipeline.api.v2",
)
"""The modules that a program may import."""

_HEAD = """\
The public API of traced-image. A test compares this record with the code, and `make docs` writes it
anew. docs/explanation/compatibility.md says which changes a release may have.
"""
_PROTOCOLS = {
    *("__enter__", "__exit__", "__iter__", "__next__", "__call__", "__len__"),
    *("__or__", "__rshift__", "__getitem__", "__contains__"),
}
"""Methods that a program calls by syntax."""

_GETTERS: Mapping[type, str] = {property: "fget", cached_property: "func"}
"""Where a member that reads as an attribute has its function."""


def write() -> str:
    """Write the record, with a section for each module."""
    sections: dict[str, Mapping[str, Any]] = {name: list_public(name) for name in MODULES}
    sections["what these return"] = list_returned()
    home: dict[Any, str] = {}
    for title, things in sections.items():
        for name, thing in things.items():
            home.setdefault(thing, f"{title}.{name}")
    return "\n".join(
        [_HEAD, *(_write_section(title, things, home) for title, things in sections.items())]
    )


def list_public(module: str) -> dict[str, Any]:
    """Return what a module has for programs: its ``__all__``, else what it defines itself."""
    found = import_module(module)
    names = getattr(found, "__all__", None) or [
        name
        for name, thing in vars(found).items()
        if not name.startswith("_") and _is_defined_in(module, thing)
    ]
    return {name: getattr(found, name) for name in sorted(names)}


def _is_defined_in(module: str, thing: object) -> bool:
    return (inspect.isclass(thing) or inspect.isfunction(thing)) and thing.__module__ == module


def list_returned() -> dict[str, Any]:
    """Return the classes that programs get from calls, and do not import."""
    importable = [thing for module in MODULES for thing in list_public(module).values()]
    things = {thing.__name__: thing for group in api.GROUPS.values() for thing in group.values()}
    return {name: things[name] for name in sorted(things) if things[name] not in importable}


def _write_section(title: str, things: Mapping[str, Any], home: Mapping[Any, str]) -> str:
    lines = chain.from_iterable(
        [f"{name} = {home[thing]}"]
        if home[thing] != f"{title}.{name}"
        else _write_thing(name, thing, home)
        for name, thing in things.items()
    )
    return "\n".join([f"[{title}]", *lines, ""])


def _write_thing(name: str, thing: Any, home: Mapping[Any, str]) -> Iterator[str]:  # noqa: ANN401 it is anything
    if inspect.ismodule(thing):
        yield f"module {name}"
    elif inspect.isclass(thing):
        yield from _write_class(name, thing, home)
    else:
        yield signatures.write(name, thing)


def _write_class(name: str, kind: type, home: Mapping[Any, str]) -> Iterator[str]:
    bases = ", ".join(base.__name__ for base in kind.__bases__ if base is not object)
    yield f"class {name}({bases})" if bases else f"class {name}"
    owners = _list_owners(kind, home)
    if name not in api.RETURNED and any("__init__" in vars(owner) for owner in owners):
        yield signatures.write(name, kind)
    for owner in owners:
        yield from (
            f"{name}.{field}: {annotation}"
            for field, annotation in inspect.get_annotations(owner).items()
            if not field.startswith("_")
        )
    yield from _write_members(name, owners)


def _list_owners(kind: type, home: Mapping[Any, str]) -> list[type]:
    """Return a class and the bases of this package whose members the record has nowhere else."""
    own = kind.__module__.partition(".")[0]
    return [
        base
        for base in reversed(kind.__mro__)
        if base is kind or (base not in home and base.__module__.partition(".")[0] == own)
    ]


def _write_members(name: str, owners: list[type]) -> Iterator[str]:
    known = {member: value for owner in owners for member, value in vars(owner).items()}
    internal = api.INTERNAL.get(name, set())
    for member, value in known.items():
        is_public = member in _PROTOCOLS or not member.startswith("_")
        if is_public and member not in internal and api.is_documented(value):
            yield _write_member(f"{name}.{member}", value)


def _write_member(name: str, member: Any) -> str:  # noqa: ANN401 it is anything
    if type(member) in _GETTERS:
        getter = getattr(member, _GETTERS[type(member)])
        return f"{name}: {inspect.get_annotations(getter)['return']}"
    if isinstance(member, (classmethod, staticmethod)):
        return f"{type(member).__name__} {signatures.write(name, member.__func__)}"
    return signatures.write(name, member)
