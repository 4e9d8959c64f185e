"""The web configuration file as YAML: sections of known keys, whose values are of known types."""

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
"""A larger file is not read: parsing it would keep the exporter's clients waiting."""


class _TwiceError(yaml.YAMLError):  # type: ignore[misc]
    """A key is there twice, so that one of the two would silently not count."""

    def __init__(self, mark: object) -> None:
        super().__init__()
        self.problem_mark = mark


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """What ``safe_load`` takes, but for keys that are there twice."""

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
        InvalidOption: It can't be read or is not YAML. The message shows nothing of what is in
            the file, which may be a secret.
    """
    text = _read_text(path)
    try:
        return yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader
    except Exception as error:  # noqa: BLE001 PyYAML lets many out for a scalar of a wrong form
        problem = "has a key twice" if isinstance(error, _TwiceError) else "is not YAML"
        mark = getattr(error, "problem_mark", None)
        place = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        raise InvalidOption(
            "web configuration",
            f"the file {problem}{place}",
            source=str(path),
            fix="fix what is written there",
        ) from None


def _read_text(path: Path) -> str:
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # to open a FIFO would wait for a writer
            reason = "it is no file"
        elif len(data := path.read_bytes()) > MOST_BYTES:
            reason = f"it has more than {MOST_BYTES} bytes"
        else:
            return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        reason = f"byte {error.start + 1} is not UTF-8"
    except (OSError, ValueError) as error:  # a path with a null character is a ValueError
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
        value: What the file has there; None for nothing.
        name: Its key; empty for the file's top.
        path: The file.
        keys: The keys that it may have; None for any.

    Raises:
        InvalidOption: It is no mapping, or has a key that is unknown.
    """

    def __init__(
        self, value: object, name: str, path: Path, keys: Collection[str] | None = None
    ) -> None:
        self.path = path
        self._name = name
        if value is None:
            value = {}
        if not isinstance(value, dict):
            raise self.refused("", "is no mapping", "write it as `key: value`, one a line")
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
        return self.refused(shortened, "there is no such key", fix)

    def section(self, key: str, keys: Collection[str] | None = None) -> Section:
        """A section of this one."""
        name = ".".join(filter(None, (self._name, key)))
        return Section(self._values.get(key), name, self.path, keys)

    def text(self, key: str) -> str | None:
        """A value that is text; None for none, or an empty one."""
        value = self._values.get(key)
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)  # as YAML has it for a text without quotes
        if value is None or isinstance(value, str):
            return value or None
        raise self.refused(key, "is no text", "put it in quotes")

    def texts(self, key: str) -> tuple[str, ...]:
        """A value that is a list of texts; empty for none."""
        value = self._values.get(key)
        if value is None:
            return ()
        if isinstance(value, list) and value and all(isinstance(each, str) for each in value):
            return tuple(value)
        fix = "write it as `- text`, one a line, or leave it out"
        raise self.refused(key, "is no list of texts", fix)

    def flag(self, key: str, *, default: bool) -> bool:
        """A value that is true or false."""
        value = self._values.get(key)
        if value is None:
            return default
        if isinstance(value, bool):
            return value
        raise self.refused(key, "is neither true nor false", "set true or false")

    def number(self, key: str) -> int:
        """A value that is a whole number; 0 for none."""
        value = self._values.get(key)
        if value is None:
            return 0
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        raise self.refused(key, "is no whole number", "set a whole number")

    def choice(self, key: str, choices: Collection[str], default: str = "") -> str:
        """A value that is one of `choices`."""
        value = self.text(key) or default
        if value in choices:
            return value
        fix = suggest(value, choices, f"set one of {', '.join(choices)}")
        raise self.refused(key, f"{format_value(value)} can't be used", fix)

    def file(self, key: str) -> str | None:
        """The path of a file, taken from where the configuration file is; None for none.

        Raises:
            InvalidOption: There is no file that can be read.
        """
        value = self.text(key)
        if value is None:
            return None
        if "-----BEGIN" in value:
            raise self.refused(key, "is PEM itself", f"put it under {key.removesuffix('_file')}")
        path = self.path.parent / value
        try:
            if not stat.S_ISREG(path.stat().st_mode):
                reason = "it is no file"
            else:
                path.open("rb").close()
                return str(path)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
        problem = f"{format_value(value)} can't be read: {reason}"
        raise self.refused(key, problem, "name a PEM file that this process may read") from None
