"""The rules of the design that no type checker knows: who imports whom, sizes, what is loaded."""

from __future__ import annotations

import ast
import functools
import re
import subprocess
import sys
from graphlib import CycleError

import pytest
from traced_image_docs.architecture import (
    LAYERS,
    MODULES,
    PACKAGE,
    STRANGERS,
    check_circles,
    find_imports,
    find_wrong_imports,
    room_of,
)

SOURCES = {name: path.read_text("utf-8") for name, path in MODULES.items()}


@functools.cache
def parse(source: str) -> ast.Module:
    """A module's tree, parsed once for all tests."""
    return ast.parse(source)


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

# --- rooms -------------------------------------------------------------------------------------


def test_imports_point_one_way():
    wrong = {name: find_wrong_imports(name, source) for name, source in SOURCES.items()}
    assert {} == {name: found for name, found in wrong.items() if found}


def test_no_module_imports_itself_by_way_of_others():
    check_circles(SOURCES)


def test_a_circle_is_found():
    with pytest.raises(CycleError):
        check_circles(
            {
                "config.retry_policy": "def load():\n    from . import server",
                "config.server": "if TYPE_CHECKING:\n    from .retry_policy import RetryPolicy",
            }
        )


def test_every_stranger_is_of_a_room_before_the_one_that_must_not_know_it():
    rooms = [room for layer in LAYERS for room in layer]
    assert {} == {
        room: names
        for room, names in STRANGERS.items()
        if not set(names) <= set(rooms[: rooms.index(room)])
    }


def test_a_module_in_no_room_is_told():
    with pytest.raises(LookupError, match=r"^cellar is in no room: add one to LAYERS$"):
        room_of("cellar")


@pytest.mark.parametrize(
    ("module", "source", "imported"),
    [
        ("errors", "from .config import Server", "config.__init__"),
        ("errors", "from .config.server import Server", "config.server"),
        ("config.retry_policy", "from ..pipeline import clock", "pipeline.clock"),
        ("reasons", "from .pipeline.http import connection", "pipeline.http.connection"),
        ("pipeline.context", "from .api import v2", "pipeline.api.v2"),
        ("pipeline.api.v2", "from ..attempts.seams import Call", "pipeline.attempts.seams"),
        ("pipeline.attempts.retry_loop", "from ..http.send import HTTPSend", "pipeline.http.send"),
        ("pipeline.http.send", "from ..client import build_operation", "pipeline.client"),
        ("pipeline.client", "import traced_image.telemetry", "telemetry.__init__"),
        ("pipeline.client", "from traced_image.telemetry import spans", "telemetry.spans"),
        ("pipeline.client", "def f():\n from ..telemetry import spans", "telemetry.spans"),
        ("pipeline.client", "if TYPE_CHECKING:\n from ..lab import Images", "lab.__init__"),
        ("pipeline.__init__", "from ..lab import Images", "lab.__init__"),
        ("telemetry.spans", "from ..pipeline import clock", "pipeline.clock"),
        ("telemetry.spans", "from . import layers", "telemetry.layers"),
        (
            "telemetry.catalogue.attributes_reasons",
            "from ...pipeline import clock",
            "pipeline.clock",
        ),
        ("telemetry.spans", "from .. import connect", "__init__"),
        ("telemetry.layers", "from .._connect import connect", "_connect"),
        ("instrumentation.nova", "from ..pipeline.clock import Clock", "pipeline.clock"),
        ("instrumentation.nova", "from ..telemetry import layers", "telemetry.layers"),
        ("diagnosis.answer", "from ..pipeline.clock import Clock", "pipeline.clock"),
        ("_connect", "from . import lab", "lab.__init__"),
        ("lab.server", "from .. import connect", "__init__"),
        ("lab.server", "from ..config.checks import shown", "config.checks"),
        ("exporter.web.tls", "from ..app import app", "exporter.app"),
    ],
)
def test_an_import_of_a_room_that_must_not_be_known_is_found(module, source, imported):
    assert {imported} == find_wrong_imports(module, source)


@pytest.mark.parametrize(
    ("module", "source", "imported"),
    [
        ("pipeline.client", "from .. import errors\nimport requests", {"errors"}),
        ("pipeline.http.send", "from ..attempts import fleet", {"pipeline.attempts.fleet"}),
        ("telemetry.spans", "from ..errors import Reason", {"errors"}),
        ("telemetry.layers", "from ..pipeline.clock import Clock", {"pipeline.clock"}),
        ("instrumentation.nova", "from ..telemetry import recorder", {"telemetry.recorder"}),
        ("_connect", "from .telemetry import Telemetry", {"telemetry.__init__"}),
        ("__init__", "from ._connect import connect", {"_connect"}),
        ("lab.server", "from ..errors import InvalidArgument", {"errors"}),
        ("cli.main", "import traced_image", {"__init__"}),
    ],
)
def test_an_import_of_an_earlier_room_is_right(module, source, imported):
    assert (imported, set()) == (find_imports(module, source), find_wrong_imports(module, source))


# --- modules -----------------------------------------------------------------------------------


def docstrings(tree: ast.AST) -> dict[ast.AST, int]:
    """How many lines each documented node's docstring takes."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return {
        node: node.body[0].end_lineno - node.body[0].lineno + 1
        for node in ast.walk(tree)
        if isinstance(node, kinds) and ast.get_docstring(node, clean=False) is not None
    }


def describes(source: str) -> bool:
    """Whether a module's first line is a whole sentence of its docstring."""
    first = source.partition("\n")[0]
    docstring = ast.get_docstring(parse(source)) or ""
    return first.strip('"') == docstring.partition("\n")[0] and len(first.split()) > 2


def test_a_modules_first_line_says_what_it_holds():
    assert [] == [name for name, source in SOURCES.items() if not describes(source)]


def test_modules_are_short_beside_their_docstrings():
    lines = {
        name: len(source.splitlines()) - sum(docstrings(parse(source)).values())
        for name, source in SOURCES.items()
    }
    assert {} == {name: count for name, count in lines.items() if count > MOST_LINES}


def test_functions_are_short_beside_their_docstrings():
    sizes = {}
    for name, source in SOURCES.items():
        tree = parse(source)
        documented = docstrings(tree)
        sizes |= {
            f"{name}.{node.name}": node.end_lineno - node.lineno + 1 - documented.get(node, 0)
            for node in ast.walk(tree)
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        }
    assert {} == {name: size for name, size in sizes.items() if size > MOST_LINES_OF_A_FUNCTION}


def test_no_name_of_a_class_or_type_stands_for_two():
    places = {}
    for name, source in SOURCES.items():
        for node in ast.walk(parse(source)):
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name.lstrip("_"), []).append(name)
        for node in parse(source).body:
            # A type alias, such as Layer = Callable[[F], F].
            target = ast.unparse(node.targets[0]) if isinstance(node, ast.Assign) else ""
            if re.match("[A-Z][a-z]", target):
                places.setdefault(target, []).append(name)
    assert {} == {name: found for name, found in places.items() if len(found) > 1}


@pytest.mark.parametrize("module", [PACKAGE, f"{PACKAGE}.lab"])
def test_importing_it_imports_nothing_that_only_some_need(module):
    program = f"import sys, {module}; print(*sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert set() == {name.partition(".")[0] for name in done.stdout.split()} & set(OPTIONAL)
