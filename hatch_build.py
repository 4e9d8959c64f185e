"""Writes `traced_image/content` into the source distribution as files; the checkout has links.

hatchling would write the links. Unpacked without links, the package would lack its content.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

CONTENT = "traced_image/content"


class CustomBuildHook(BuildHookInterface[Any]):
    """Has hatchling take the content from a copy, which has files."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 hatchling's signature
        """Copy the content, and put the copies in its place."""
        self._copy = TemporaryDirectory()
        copy = Path(shutil.copytree(Path(self.root, CONTENT), Path(self._copy.name, "content")))
        for path in sorted(filter(Path.is_file, copy.rglob("*"))):
            place = f"{CONTENT}/{path.relative_to(copy).as_posix()}"
            build_data["force_include"][str(path)] = place

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        """Remove the copy."""
        self._copy.cleanup()
