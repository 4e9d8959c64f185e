"""The map of the package, read from its code: the rooms, their modules and who imports whom."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING

import traced_image

from .pages import table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

PACKAGE = "traced_image"
ROOT = Path(traced_image.__file__).parent

LAYERS = (
    ("errors", "redact", "_forks", "_signals", "_version"),
    ("config", "reasons"),
    ("pipeline.clock", "pipeline.context"),
    ("pipeline.api",),
    ("pipeline.attempts",),
    ("pipeline.http",),
    ("pipeline",),
    ("pipeline.ec2",),
    ("telemetry.catalogue",),
    ("telemetry",),
    ("telemetry.wire_spans", "telemetry.layers"),
    ("instrumentation",),
    ("stock_cycle",),
    ("__init__", "_connect"),
    ("lab",),
    ("pytest_plugin",),
    ("exporter.web",),
    ("exporter",),
    ("exporter.probing",),
    ("diagnosis",),
    ("terminal",),
    ("demo",),
    ("cli",),
    ("__main__",),
)
"""The rooms in their order: a room imports from itself and from those before it."""

STRANGERS = {
    "telemetry.catalogue": ("pipeline",),
    "telemetry": ("pipeline",),
    "instrumentation": ("pipeline", "telemetry.layers", "telemetry.wire_spans"),
    "diagnosis": ("pipeline", "exporter.probing"),
    "lab": (
        "config",
        "reasons",
        "pipeline",
        "telemetry",
        "instrumentation",
        "__init__",
        "_connect",
    ),
}
"""Rooms before a room that it must not know all the same, with all that is in them."""


def list_modules(root: Path = ROOT) -> dict[str, Path]:
    """Return the package's modules by their names below it; a package is its ``__init__``."""
    return {
        ".".join(path.relative_to(root).with_suffix("").parts): path
        for path in sorted(root.glob("**/*.py"))
    }


MODULES = list_modules()


def room_of(module: str) -> str:
    """Return the room that a module is in: the longest name of a room that begins its own.

    Raises:
        LookupError: It is in none.
    """
    names = [name for layer in LAYERS for name in layer if _is_below(module, name)]
    if not names:
        raise LookupError(f"{module} is in no room: add one to LAYERS")
    return max(names, key=len)


def _is_below(module: str, name: str) -> bool:
    return module == name or module.startswith(f"{name}.")


def find_imports(module: str, source: str) -> set[str]:
    """Return the modules of this package that a module imports.

    Those under ``if TYPE_CHECKING`` and inside functions count like all others: a module that
    names another room's types knows that room.
    """
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = [PACKAGE, *module.split(".")][: -node.level] if node.level else []
            base = ".".join([*above, *filter(None, [node.module])])
            found |= {f"{base}.{alias.name}" for alias in node.names}
    return {_find_holder(name) for name in found if name.partition(".")[0] == PACKAGE}


def _find_holder(name: str) -> str:
    """Return the module that holds a name."""
    below = name.removeprefix(PACKAGE).removeprefix(".")
    for candidate in (below, f"{below}.__init__".removeprefix(".")):
        if candidate in MODULES:
            return candidate
    return _find_holder(name.rpartition(".")[0])


def find_wrong_imports(module: str, source: str) -> set[str]:
    """Return what a module imports from rooms behind its own, or from strangers of its room."""
    return {name for name in find_imports(module, source) if not _may_import(room_of(module), name)}


def _may_import(room: str, module: str) -> bool:
    strange = any(_is_below(module, stranger) for stranger in STRANGERS.get(room, ()))
    return _rank(room_of(module)) <= _rank(room) and not strange


def _rank(room: str) -> int:
    return next(rank for rank, layer in enumerate(LAYERS) if room in layer)


def check_circles(sources: Mapping[str, str]) -> None:
    """Check that no module imports itself by way of others.

    Raises:
        CycleError: One does.
    """
    graph = {name: find_imports(name, source) - {name} for name, source in sources.items()}
    TopologicalSorter(graph).prepare()


def _draw_map() -> str:
    lines = [f"{PACKAGE}/", *_draw_folder("")]
    return "\n".join(["```text", *lines, "```"])


def _draw_folder(folder: str) -> Iterator[str]:
    """Yield a line for each module of a folder, files first, folders as their rooms are ordered."""
    indent = "  " * (folder.count(".") + bool(folder) + 1)
    below = f"{folder}." if folder else ""
    names = {
        name.removeprefix(below).partition(".")[0] for name in MODULES if name.startswith(below)
    }
    for name in sorted(names, key=lambda name: (below + name not in MODULES, name)):
        if name == "__init__" and folder:
            continue
        module = below + name
        is_file = module in MODULES
        label = f"{indent}{name}.py" if is_file else f"{indent}{name}/"
        yield f"{label:<30}{_first_line(module if is_file else f'{module}.__init__')}"
        if not is_file:
            yield from _draw_folder(module)


def _first_line(module: str) -> str:
    docstring = ast.get_docstring(ast.parse(MODULES[module].read_text("utf-8"))) or ""
    return docstring.partition("\n")[0]


def _list_rooms() -> str:
    imports: dict[str, set[str]] = {}
    for name, path in MODULES.items():
        others = {room_of(other) for other in find_imports(name, path.read_text("utf-8"))}
        imports.setdefault(room_of(name), set()).update(others - {room_of(name)})
    rooms = [room for layer in LAYERS for room in layer if room in imports]
    rows = (
        (f"`{room}`", _quote(other for other in rooms if other in imports[room])) for room in rooms
    )
    return table(("room", "imports from"), rows)


def _quote(rooms: Iterable[str]) -> str:
    return ", ".join(f"`{room}`" for room in rooms) or "nothing"


TABLES: Mapping[str, Callable[[], str]] = {"map": _draw_map, "rooms": _list_rooms}
