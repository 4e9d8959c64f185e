"""Reads the web configuration file as YAML: sections with known keys and types of values."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, Any

import yaml  # type: ignore[import-untyped]

from ...config.checks import format_value, suggest
from ...errors import InvalidOption

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path


MOST_BYTES = 128 * 1024
"""The size of the largest file that is read, because parsing blocks the event loop."""


class _TwiceError(yaml.YAMLError):  # type: ignore[misc]
    """A mapping has a key twice; YAML parsers silently ignore one of the two values."""

    def __init__(self, mark: object) -> None:
        super().__init__()
        self.problem_mark = mark


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """The loader of ``yaml.safe_load``, which also rejects duplicate keys."""

    def construct_mapping(self, node: Any, **how: bool) -> dict[object, object]:  # noqa: ANN401
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise _TwiceError(key.start_mark)
                seen.add(key.value)
        made: dict[object, object] = super().construct_mapping(node, **how)
        return made


def load_section(path: Path) -> object:
    """Read a file as YAML.

    Raises:
        InvalidOption: The file can't be read or is not YAML. The message shows nothing of the
            file's content, which may be a secret.
    """
    text = _read_text(path)
    try:
        return yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader
    except Exception as error:  # noqa: BLE001 PyYAML raises ValueError and others too
        problem = "has a key twice" if isinstance(error, _TwiceError) else "is not YAML"
        mark = getattr(error, "problem_mark", None)
        place = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        raise InvalidOption(
            "web configuration",
            f"the file {problem}{place}",
            source=str(path),
            fix="correct the file there",
        ) from None


def _read_text(path: Path) -> str:
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a FIFO would block
            reason = "it is not a regular file"
        elif len(data := path.read_bytes()) > MOST_BYTES:
            reason = f"it has more than {MOST_BYTES} bytes"
        else:
            return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        reason = f"byte {error.start + 1} is not UTF-8"
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        reason = getattr(error, "strerror", None) or str(error)
    raise InvalidOption(
        "web configuration",
        f"the file can't be read: {reason}",
        source=str(path),
        fix="name a YAML file that this process may read",
    ) from None


class Section:
    """One mapping of the file.

    Args:
        value: The mapping; None for an empty one.
        name: The mapping's key; empty for the top level.
        path: The file.
        keys: The keys that the mapping may have; None for any.

    Raises:
        InvalidOption: `value` is not a mapping, or has an unknown key.
    """

    def __init__(
        self, value: object, name: str, path: Path, keys: Collection[str] | None = None
    ) -> None:
        self.path = path
        self._name = name
        if value is None:
            value = {}
        if not isinstance(value, dict):
            raise self.refused("", "is not a mapping", "write it as `key: value`, one per line")
        self._values: dict[object, object] = value
        for key in value:
            if keys is not None and key not in keys:
                raise self._unknown(str(key), keys)

    def __bool__(self) -> bool:
        return bool(self._values)

    def __iter__(self) -> Iterator[tuple[object, object]]:
        return iter(self._values.items())

    def refused(self, key: str, problem: str, fix: str) -> InvalidOption:
        """Build the error for a value that can't be used, or for the section itself."""
        item = ".".join(filter(None, (self._name, key))) or "web configuration"
        return InvalidOption(item, problem, source=str(self.path), fix=fix)

    def _unknown(self, key: str, keys: Collection[str]) -> InvalidOption:
        fix = suggest(key, keys, f"use one of {', '.join(sorted(keys))}")
        shortened = format_value(key).strip("'")
        return self.refused(shortened, "is an unknown key", fix)

    def section(self, key: str, keys: Collection[str] | None = None) -> Section:
        """Return the section under a key; an empty one if the key is missing."""
        name = ".".join(filter(None, (self._name, key)))
        return Section(self._values.get(key), name, self.path, keys)

    def text(self, key: str) -> str | None:
        """Return a text; None if it is missing or empty."""
        value = self._values.get(key)
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)  # YAML reads digits without quotes as a number
        if value is None or isinstance(value, str):
            return value or None
        raise self.refused(key, "is not text", "put it in quotes")

    def texts(self, key: str) -> tuple[str, ...]:
        """Return a list of texts; empty if it is missing."""
        value = self._values.get(key)
        if value is None:
            return ()
        if isinstance(value, list) and value and all(isinstance(each, str) for each in value):
            return tuple(value)
        fix = "write it as `- text`, one per line, or leave it out"
        raise self.refused(key, "is not a list of texts", fix)

    def flag(self, key: str, *, default: bool) -> bool:
        """Return a boolean; `default` if it is missing."""
        value = self._values.get(key)
        if value is None:
            return default
        if isinstance(value, bool):
            return value
        raise self.refused(key, "is neither true nor false", "set true or false")

    def number(self, key: str) -> int:
        """Return a whole number; 0 if it is missing."""
        value = self._values.get(key)
        if value is None:
            return 0
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        raise self.refused(key, "is not a whole number", "set a whole number")

    def choice(self, key: str, choices: Collection[str], default: str = "") -> str:
        """Return a text that is one of `choices`; `default` if it is missing."""
        value = self.text(key) or default
        if value in choices:
            return value
        fix = suggest(value, choices, f"set one of {', '.join(choices)}")
        raise self.refused(key, f"{format_value(value)} can't be used", fix)

    def file(self, key: str) -> str | None:
        """Return the path of a file, relative to the configuration file's directory.

        Returns:
            None if the key is missing or empty.

        Raises:
            InvalidOption: The file does not exist or can't be read.
        """
        value = self.text(key)
        if value is None:
            return None
        if "-----BEGIN" in value:
            raise self.refused(
                key, "contains PEM instead of a path", f"put it under {key.removesuffix('_file')}"
            )
        path = self.path.parent / value
        try:
            if not stat.S_ISREG(path.stat().st_mode):
                reason = "it is not a regular file"
            else:
                path.open("rb").close()
                return str(path)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
        problem = f"{format_value(value)} can't be read: {reason}"
        raise self.refused(key, problem, "name a PEM file that this process may read") from None
