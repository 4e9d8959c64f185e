"""The words of the project: what docstrings, messages and help texts must not say."""

import ast
from pathlib import Path

import click
import pytest
from test_language import find_banned

from traced_image.cli.commands import COMMANDS, traced_image

ROOT = Path(__file__).parent.parent

FILES = {
    path.relative_to(ROOT).as_posix(): path
    for pattern in ("traced_image/**/*.py", "traced_image/**/*.html", "dashboards/src/**/*.py")
    for path in sorted(ROOT.glob(pattern))
}


HOST = {
    "traced_image/config/server.py": "a part of an address, beside the port",
    "traced_image/errors.py": "nova's words, for which operators search logs",
    "traced_image/exporter/page.html": "the report's key for the name of the process's machine",
    "traced_image/pipeline/log.py": "nova's words, for which operators search logs",
}
"""Files that say ``host``, and what it is there."""


def texts(source):
    """Each docstring and string constant of a module, with the line that it begins in."""
    whole = ast.parse(source)
    parts = {each for node in ast.walk(whole) for each in getattr(node, "values", ())}
    for node in ast.walk(whole):
        if isinstance(node, ast.JoinedStr):
            # Words on both sides of a value are not one phrase.
            words = (getattr(each, "value", "") for each in node.values)
            yield node.lineno, "".join(each if isinstance(each, str) else "…" for each in words)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in parts:
            yield node.lineno, node.value


def find_in_module(source):
    return sorted(
        (start + line - 1, word, instead)
        for start, text in texts(source)
        if " " in text.strip()  # one word is a name, such as of a keyword or a label
        for line, word, instead in find_banned(text)
    )


def find_in_file(name):
    text = FILES[name].read_text("utf-8")
    found = find_in_module(text) if name.endswith(".py") else find_banned(text)
    return [each for each in found if not (name in HOST and each[1] == "host")]


def test_no_file_has_a_banned_word():
    assert {} == {name: found for name in FILES if (found := find_in_file(name))}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_commands_help_has_no_banned_word(name):
    context = click.Context(traced_image)
    command = traced_image.get_command(context, name)

    assert [] == find_banned(command.get_help(click.Context(command, info_name=name)))


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ('"""Two servers\n\nare well."""', [(3, "are well")]),
        ('x = f"{a} is well, {b}"', [(1, "is well")]),
        ('x = f"is{a}well"', []),
        ('x = kwargs["host"]', []),
        ("# whoever\nwhoever = 1", []),
    ],
)
def test_the_search_reads_docstrings_and_strings(source, words):
    assert words == [(line, word) for line, word, _ in find_in_module(source)]
