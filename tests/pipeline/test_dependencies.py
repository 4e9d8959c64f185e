"""What the package imports of others, and that it says so where pip looks."""

import ast
import re
import sys
from pathlib import Path

import pytest

import traced_image

ROOT = Path(__file__).parents[2]
PACKAGE = Path(traced_image.__file__).parent

BY = {"openstack": "openstacksdk", "opentelemetry": "opentelemetry-sdk", "yaml": "pyyaml"}
"""What has to be installed for a module, where that has another name."""


class Imports(ast.NodeVisitor):
    """The packages that modules import when they run, and not for their types alone."""

    def __init__(self):
        self.found = set()

    def visit_If(self, node):
        if ast.unparse(node.test) != "TYPE_CHECKING":
            self.generic_visit(node)

    def visit_Import(self, node):
        self.found |= {alias.name.partition(".")[0] for alias in node.names}

    def visit_ImportFrom(self, node):
        if not node.level:
            self.found.add(node.module.partition(".")[0])


def imported():
    imports = Imports()
    for path in PACKAGE.rglob("*.py"):
        imports.visit(ast.parse(path.read_text()))
    # pytest loads the plugin, so it is there.
    return imports.found - {"pytest", "traced_image", *sys.stdlib_module_names}


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def declared(text):
    """The requirements in some lines of pyproject.toml, by name."""
    found = re.findall(r'"([A-Za-z][\w.-]*)(?:\[[\w,-]*\])?((?:[<>=!~]=?[\w.*]+,?)*)"', text)
    return {normal(name): version for name, version in found}


def lines(start, end):
    return (ROOT / "pyproject.toml").read_text().partition(start)[2].partition(end)[0]


# The plugin of pytest is imported by pytest only.
@pytest.mark.parametrize("package", sorted(imported() - {"pytest"}))
def test_what_is_imported_is_declared(package):
    extras = lines("[project.optional-dependencies]", "\ntest = [")
    known = {*declared(lines("dependencies = [", "\n]")), *declared(extras)}
    assert BY.get(package, normal(package)) in known


# OpenStack 2025.1 and 2025.2 have urllib3 1.26.20, and requests 2.32.3 and 2.32.4.
# requests 2.32.0 and 2.32.1 were withdrawn, and urllib3 before 1.26.20 is not tested. idna before
# 3.7 has CVE-2024-3651.
@pytest.mark.parametrize(
    ("package", "lowest"), [("urllib3", ">=1.26.20"), ("requests", ">=2.32.2"), ("idna", ">=3.7")]
)
def test_what_every_user_imports_has_a_lowest_version(package, lowest):
    assert lowest == declared(lines("dependencies = [", "\n]")).get(package)
