"""Reads faults from text, for commands and other languages: calls of the functions of `faults`."""

from __future__ import annotations

import ast
import reprlib
from typing import TYPE_CHECKING

from ..errors import InvalidArgument
from . import faults
from .fault import Fault

if TYPE_CHECKING:
    from collections.abc import Callable

_LONGEST = 10_000
_METHODS = ("after_effect", "during", "only", "per_client", "times", "with_probability")


def parse_fault(text: str) -> Fault:
    """Read a fault from its Python notation, such as a command's argument.

    The text may call the functions of `lab.faults` and the methods of `Fault`, and combine faults
    with ``|``. Their arguments are literals and, for `flapping`, faults. Nothing else of Python is
    evaluated.

    Args:
        text: Such as ``status(503, retry_after=2).only(method="PUT")``.

    Raises:
        InvalidArgument: The text is no fault, or a function refuses its arguments.
    """
    try:
        if len(text) > _LONGEST:
            raise _refuse(text, f"it has more than {_LONGEST:,} characters")
        fault = _evaluate(ast.parse(text.strip(), mode="eval").body, text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        if isinstance(error, InvalidArgument):
            raise
        raise _refuse(text, "it is no expression of Python") from error
    if not isinstance(fault, Fault):
        raise _refuse(text, "it calls no function of lab.faults")
    return fault


def _refuse(text: str, problem: str) -> InvalidArgument:
    return InvalidArgument(
        f"The fault {reprlib.repr(text)} can't be read: {problem};"
        " write it as in Python, such as status(503, retry_after=2)."
    )


def _evaluate(node: ast.expr, text: str) -> object:
    if isinstance(node, ast.Call):
        return _call(node, text)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _combine(_evaluate(node.left, text), _evaluate(node.right, text), text)
    try:
        value: object = ast.literal_eval(node)
    except (ValueError, TypeError) as error:
        problem = f"{reprlib.repr(ast.unparse(node))} is neither a fault nor a literal"
        raise _refuse(text, problem) from error
    return value


def _combine(one: object, other: object, text: str) -> Fault:
    if not isinstance(one, Fault) or not isinstance(other, Fault):
        raise _refuse(text, "both sides of | must be faults")
    return one | other


def _call(node: ast.Call, text: str) -> object:
    function = _find(node.func, text)
    arguments = [_evaluate(each, text) for each in node.args]
    options = {each.arg: _evaluate(each.value, text) for each in node.keywords if each.arg}
    if len(options) < len(node.keywords):
        raise _refuse(text, "** is not understood")
    try:
        return function(*arguments, **options)
    except TypeError as error:
        raise _refuse(text, str(error)) from error


def _find(node: ast.expr, text: str) -> Callable[..., Fault]:
    """Return the function of `faults`, or the method of a fault, that is called."""
    if isinstance(node, ast.Name):
        return _find_function(node.id, text)
    if isinstance(node, ast.Attribute):
        fault = _evaluate(node.value, text)
        if isinstance(fault, Fault):
            return _find_method(fault, node.attr, text)
    raise _refuse(text, f"{reprlib.repr(ast.unparse(node))} is no function of lab.faults")


def _find_function(name: str, text: str) -> Callable[..., Fault]:
    if name in _METHODS:
        raise _refuse(text, f"{name} is a method: write it after a fault, as in .{name}(...)")
    if name not in faults.__all__ or name == "Fault":
        known = ", ".join(each for each in faults.__all__ if each != "Fault")
        raise _refuse(text, f"{name} is none of {known}")
    function: Callable[..., Fault] = getattr(faults, name)
    return function


def _find_method(fault: Fault, name: str, text: str) -> Callable[..., Fault]:
    if name not in _METHODS:
        raise _refuse(text, f"a fault has no method {name}: use {', '.join(_METHODS)}")
    method: Callable[..., Fault] = getattr(fault, name)
    return method
