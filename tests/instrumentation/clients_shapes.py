"""The real libraries have the shapes of the small ones, and the page says what is seen of them.

Run by ``make test-clients``, in one environment for each release.
"""

import ast
import importlib
import importlib.util
import inspect
import subprocess
import sys
from pathlib import Path

import clients_seen
import pytest
from stock_client import SHAPES

from traced_image.instrumentation import glanceclient

PAGE = Path(__file__).parents[2] / "docs/reference/stock-clients.md"
CLASSES = [
    (".".join(path.relative_to(SHAPES).with_suffix("").parts), node)
    for path in sorted(SHAPES.glob("**/*.py"))
    if importlib.util.find_spec(path.relative_to(SHAPES).parts[0])
    for node in ast.parse(path.read_text("utf-8")).body
    if isinstance(node, ast.ClassDef)
]
METHODS = [
    pytest.param(module, owner.name, node, id=f"{module}.{owner.name}.{node.name}")
    for module, owner in CLASSES
    for node in owner.body
    if isinstance(node, ast.FunctionDef)
]


def import_real(module):
    if module == "cinder.image.glance":
        importlib.import_module("cinder.image.image_utils")  # it fails without
    return importlib.import_module(module)


@pytest.mark.parametrize(("module", "owner", "method"), METHODS)
def test_a_method_has_the_same_arguments(module, owner, method):
    real = inspect.getattr_static(getattr(import_real(module), owner), method.name)
    if isinstance(real, staticmethod):
        real = real.__func__
    if not callable(real):
        return  # a property
    given = [argument.arg for argument in method.args.args]
    assert given == [*inspect.signature(real).parameters][: len(given)]


@pytest.mark.parametrize(("module", "owner", "method"), METHODS)
def test_a_generator_is_one_here_and_there(module, owner, method):
    real = inspect.getattr_static(getattr(import_real(module), owner), method.name)
    if not callable(real):
        return
    is_one = any(isinstance(node, (ast.Yield, ast.YieldFrom)) for node in ast.walk(method))
    assert is_one == inspect.isgeneratorfunction(inspect.unwrap(real))


def test_every_public_method_of_a_controller_is_observed():
    client = importlib.import_module("glanceclient.v2.client")
    known = {
        (each.module, each.name, method)
        for each in glanceclient._CONTROLLERS
        for method in (*each.methods.split(), *each.lists.split())
    }
    makes_no_request = {("cache", "Controller", "is_supported")}
    found = {
        (each.module, each.name, name)
        for each in glanceclient._CONTROLLERS
        for name, value in vars(getattr(getattr(client, each.module), each.name)).items()
        if callable(value) and not name.startswith("_")
    }
    assert makes_no_request == found - known | makes_no_request


def test_the_page_says_what_is_seen():
    program = [sys.executable, clients_seen.__file__]
    done = subprocess.run(program, capture_output=True, text=True, check=True, timeout=120)
    assert set(done.stdout.splitlines()) <= set(PAGE.read_text("utf-8").splitlines())
