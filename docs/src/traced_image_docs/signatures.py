"""Signatures as the page of the API shows them: without quotes, and in lines that fit."""

from __future__ import annotations

import inspect
import re
from dataclasses import is_dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_WIDTH = 96
_PRIVATE = re.compile(r"\b_(?=[A-Z])")
"""The mark of an alias that only its module uses."""


class _Written:
    """Stands for a value in a signature, as it shall be written."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def write(name: str, function: Callable[..., object]) -> str:
    """Write a signature as code, under the name by which a program calls it."""
    found = inspect.signature(function, eval_str=False)
    each = [_plain(one) for one in found.parameters.values() if one.name not in ("self", "cls")]
    answer = found.return_annotation
    returns = "" if answer in (inspect.Signature.empty, "None", None) else f" -> {answer}"
    line = f"{name}{inspect.Signature(each)}{returns}"
    if len(line) <= _WIDTH:
        return line
    return "\n".join([f"{name}(", *(f"    {text}," for text in _split(each)), f"){returns}"])


def _plain(parameter: inspect.Parameter) -> inspect.Parameter:
    default = parameter.default
    if default is not inspect.Parameter.empty:
        default = _Written(_write_default(default))
    return parameter.replace(
        default=default, annotation=_Written(_PRIVATE.sub("", str(parameter.annotation)))
    )


def _write_default(value: object) -> str:
    if isinstance(value, tuple) and value:
        return f"({', '.join(map(_write_default, value))},)"
    if isinstance(value, frozenset):
        return f"frozenset({sorted(value)})"  # its own order differs between processes
    if is_dataclass(value) and not isinstance(value, type) and value == type(value)():
        return f"{type(value).__name__}()"
    return str(getattr(value, "__name__", None) or repr(value))


def _split(parameters: list[inspect.Parameter]) -> list[str]:
    """Return what stands between the brackets, one text for each line."""
    lines = []
    for before, parameter in zip([None, *parameters], parameters, strict=False):
        kinds = (before and before.kind, parameter.kind)
        if kinds[1] is not kinds[0] is inspect.Parameter.POSITIONAL_ONLY:
            lines.append("/")
        if kinds[0] is not kinds[1] is inspect.Parameter.KEYWORD_ONLY:
            lines.append("*")
        lines.append(str(parameter))
    return lines
