"""Calls by python-glanceclient, in nova's environment: ``inside_glanceclient.py SETTINGS``."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path += [str(Path(__file__).parents[3]), str(Path(__file__).parents[1])]

import glanceclient  # type: ignore[import-not-found]

from chaos.inside import main

if TYPE_CHECKING:
    import io


class Glanceclient:
    """python-glanceclient with the methods that callers call; it has no retries."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self._clients = itertools.cycle(
            [
                glanceclient.Client(
                    "2",
                    endpoint=url,
                    token=settings["token"],
                    cacert=settings["authority"],
                    timeout=settings["timeout"],
                )
                for url in settings["urls"]
            ]
        )

    def show(self, _context: object, image: str) -> Any:
        """Get a record."""
        return next(self._clients).images.get(image)

    def detail(self, _context: object, limit: int) -> Any:
        """List records."""
        return list(next(self._clients).images.list(limit=limit))

    def download(self, _context: object, image: str, dst_path: str | None = None) -> Any:
        """Get data."""
        data = next(self._clients).images.data(image)
        if dst_path is None:
            return data
        with Path(dst_path).open("wb") as file:
            file.writelines(data)
        return None

    def create(self, _context: object, record: dict[str, Any], data: io.BytesIO) -> Any:
        """Make an image with data."""
        client = next(self._clients)
        made = client.images.create(**record)
        client.images.upload(made["id"], data)
        return made

    def delete(self, _context: object, image: str) -> None:
        """Delete an image."""
        next(self._clients).images.delete(image)


main(lambda settings: (Glanceclient(settings), None))
