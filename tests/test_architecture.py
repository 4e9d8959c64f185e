"""The rules of the design that no type checker knows: who imports whom, sizes, what is loaded."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = "traced_image"
ROOT = Path(__file__).parent.parent / PACKAGE

ROOMS = (
    {"errors"},
    {"config"},
    {"pipeline"},
    {"telemetry"},
    {"__init__", "_connect"},
    {"instrumentation"},
    {"exporter"},
    {"lab"},
    {"terminal"},
    {"stage"},
    {"demo"},
    {"cli"},
)
"""A room's modules import from their own and from those before it; telemetry is put around the
pipeline by `_connect`, and the package's face is `__init__`."""

OPTIONAL = (
    "click",
    "keystoneauth1",
    "openstack",
    "opentelemetry",
    "oslo_config",
    "prometheus_client",
    "rich",
    "sqlalchemy",
    "trustme",
)
"""What only some users need, or what telemetry alone does."""

MOST_LINES = 350
MOST_LINES_OF_A_FUNCTION = 45


def named(path: Path) -> str:
    """A module's full name; a package's is that of its `__init__`."""
    return ".".join((PACKAGE, *path.relative_to(ROOT).with_suffix("").parts))


MODULES = {named(path): path for path in sorted(ROOT.glob("**/*.py"))}
every_module = pytest.mark.parametrize("module", MODULES)


def rank(module: str) -> int:
    """Where a module's room is in the order."""
    room = module.split(".")[1]
    return next(place for place, rooms in enumerate(ROOMS) if room in rooms)


def imported(module: str, source: str) -> set[str]:
    """The modules of this package that a module imports.

    Those under ``if TYPE_CHECKING`` and inside functions count like all others: whoever names
    another room's types knows that room.
    """
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = ".".join([*module.split(".")[: -node.level], *filter(None, [base])])
            found |= {f"{base}.{alias.name}" for alias in node.names}
    return {resolved(name) for name in found if name.split(".")[0] == PACKAGE}


def resolved(name: str) -> str:
    """The module that holds a name."""
    for candidate in (name, f"{name}.__init__"):
        if candidate in MODULES:
            return candidate
    return resolved(name.rpartition(".")[0])


def back_edges(module: str, source: str) -> set[str]:
    """What a module imports from rooms behind its own."""
    return {name for name in imported(module, source) if rank(name) > rank(module)}


@every_module
def test_every_module_is_in_a_room(module):
    assert module.split(".")[1] in set().union(*ROOMS)


@every_module
def test_imports_point_one_way(module):
    assert set() == back_edges(module, MODULES[module].read_text())


@pytest.mark.parametrize(
    ("module", "source", "edge"),
    [
        ("errors", "from .config import Server", "config.__init__"),
        ("errors", "from .config.server import Server", "config.server"),
        ("config.retry", "from ..pipeline import clock", "pipeline.clock"),
        ("pipeline.call", "import traced_image.telemetry", "telemetry.__init__"),
        ("pipeline.call", "from traced_image.telemetry import spans", "telemetry.spans"),
        ("pipeline.call", "def f():\n from ..telemetry import spans", "telemetry.spans"),
        ("pipeline.call", "if TYPE_CHECKING:\n from ..lab import Images", "lab.__init__"),
        ("pipeline.__init__", "from ..lab import Images", "lab.__init__"),
        ("telemetry.spans", "from .. import connect", "__init__"),
        ("telemetry.spans", "from .._connect import connect", "_connect"),
        ("_connect", "from . import lab", "lab.__init__"),
    ],
)
def test_an_import_of_a_later_room_is_found(module, source, edge):
    assert {f"{PACKAGE}.{edge}"} == back_edges(f"{PACKAGE}.{module}", source)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("pipeline.call", "from .. import errors\nfrom . import cycle\nimport requests"),
        ("telemetry.spans", "from ..pipeline.model import Attempt"),
        ("_connect", "from .telemetry import Telemetry"),
        ("__init__", "from ._connect import connect"),
        ("lab.server", "from .. import connect"),
    ],
)
def test_an_import_of_an_earlier_room_is_right(module, source):
    assert set() == back_edges(f"{PACKAGE}.{module}", source)


def docstrings(tree: ast.AST) -> dict[ast.AST, int]:
    """How many lines each documented node's docstring takes."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return {
        node: node.body[0].end_lineno - node.body[0].lineno + 1
        for node in ast.walk(tree)
        if isinstance(node, kinds) and ast.get_docstring(node, clean=False) is not None
    }


@every_module
def test_a_modules_first_line_says_what_it_holds(module):
    source = MODULES[module].read_text()
    first = source.partition("\n")[0]
    docstring = ast.get_docstring(ast.parse(source)) or ""
    assert first.strip('"') == docstring.partition("\n")[0]
    assert len(first.split()) >= 3


@every_module
def test_a_module_is_short_beside_its_docstrings(module):
    source = MODULES[module].read_text()
    lines = len(source.splitlines()) - sum(docstrings(ast.parse(source)).values())
    assert lines <= MOST_LINES


@every_module
def test_functions_are_short_beside_their_docstrings(module):
    tree = ast.parse(MODULES[module].read_text())
    documented = docstrings(tree)
    assert {} == {
        node.name: node.end_lineno - node.lineno + 1 - documented.get(node, 0)
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and node.end_lineno - node.lineno + 1 - documented.get(node, 0) > MOST_LINES_OF_A_FUNCTION
    }


@pytest.mark.parametrize("module", [PACKAGE, f"{PACKAGE}.lab"])
def test_importing_it_imports_nothing_that_only_some_need(module):
    program = f"import sys, {module}; print(*sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert set() == {name.partition(".")[0] for name in done.stdout.split()} & set(OPTIONAL)
