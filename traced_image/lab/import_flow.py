"""An import under way: it fetches the data, stores it, and keeps its task up to date."""

from __future__ import annotations

import http.client
import logging
import time
import uuid
from contextlib import closing
from dataclasses import dataclass, replace
from threading import Thread
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from .disk_formats import BadFormat
from .image import STORE
from .tasks import Task

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .http1 import JSON, ReceivedRequest
    from .image import Image
    from .images import Images

LOCK = "os_glance_import_task"
FAILED = "os_glance_failed_import"
IMPORTING = "os_glance_importing_to_stores"
_TIMEOUT = 10.0
_KEPT = 48 * 3600.0
_OK = 200
# Glance tells the user of a task no more.
_ERROR = "Task failed due to Internal Error"


class ImportFailed(Exception):  # noqa: N818 - its message is the task's
    """The data can't be fetched."""


@dataclass(frozen=True)
class Import:
    """One import, by ``glance-direct`` or ``web-download``.

    Attributes:
        images: The store.
        image_id: The image that the data is for.
        uri: Where the data is; None for the bytes that are staged.
    """

    images: Images
    image_id: str
    uri: str | None

    def start(self, request: ReceivedRequest, body: Mapping[str, JSON]) -> None:
        """Add the task, and import: now, or in a thread after the store's ``import_time``."""
        now = self.images.timestamp()
        identity = request.identity
        wanted: dict[str, JSON] = {
            "image_id": self.image_id,
            "import_req": dict(body),
            "backend": [STORE],
        }
        project, user = identity.project_id, identity.user_id
        key = str(uuid.uuid4())
        task = Task(key, self.image_id, project, user, request.request_id, wanted, now, now)
        self.images.tasks[task.id] = task
        self._change(lock=task.id)
        if self.images.import_time > 0:
            Thread(target=self._run_later, args=(task,), name="import", daemon=True).start()
        else:
            self._run(task)

    def _run_later(self, task: Task) -> None:
        time.sleep(self.images.import_time)
        self._run(task)

    def _run(self, task: Task) -> None:
        task = replace(task, status="processing")
        self.images.tasks[task.id] = task
        try:
            self._change(data=self._get_data())
        except (ImportFailed, BadFormat) as error:
            self._change(failed=True)
            task = replace(task, status="failure", message=self.images.import_error or _ERROR)
            logging.getLogger(__name__).info("The import of %s failed: %s", task.image_id, error)
        else:
            task = replace(task, status="success", message="Copied 0 MiB")
        now, expires = self.images.timestamp(), self.images.timestamp(_KEPT)
        self.images.tasks[task.id] = replace(task, updated_at=now, expires_at=expires)

    def _get_data(self) -> bytes | None:
        if self.images.import_error is not None:
            raise ImportFailed(self.images.import_error)
        return None if self.uri is None else fetch(self.uri)

    def _change(
        self, *, lock: str | None = None, data: bytes | None = None, failed: bool = False
    ) -> None:
        """Store the image's next state, if it was not deleted meanwhile."""
        with self.images.lock:
            image = self.images.get(self.image_id)
            if image is None:
                return
            if lock is not None:
                image = _lock(image, lock)
            elif failed:
                image = _mark_failed(image)
            else:
                image = _store(image, image.staged or b"" if data is None else data)
            self.images.save(image)


def _store(image: Image, data: bytes) -> Image:
    kept = {name: value for name, value in image.properties.items() if name != LOCK}
    marks: dict[str, JSON] = {IMPORTING: "", FAILED: ""}
    return replace(image.with_checked_data(data), properties={**kept, **marks})


def _lock(image: Image, lock: str) -> Image:
    marks: dict[str, JSON] = {LOCK: lock, IMPORTING: STORE, FAILED: ""}
    locked = replace(image, properties={**image.properties, **marks})
    return locked if image.staged is None else locked.with_base(status="importing")


def _mark_failed(image: Image) -> Image:
    kept = {name: value for name, value in image.properties.items() if name != LOCK}
    failed = replace(image, properties={**kept, IMPORTING: "", FAILED: STORE})
    # Staged data stays, and the image with it in this status, until somebody deletes the image.
    return failed if image.staged is None else failed.with_base(status="importing")


def fetch(uri: str) -> bytes:
    """Return what a server has at an URI.

    Raises:
        ImportFailed: The server can't be reached, or its status is not 200.
    """
    kinds = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}
    try:
        place = urlsplit(uri)
        with closing(kinds[place.scheme](place.netloc, timeout=_TIMEOUT)) as connection:
            query = f"?{place.query}" if place.query else ""
            connection.request("GET", f"{place.path or '/'}{query}")
            response = connection.getresponse()
            data: bytes = response.read()
    # A ValueError is of an address or a path that can't be sent, such as one with an umlaut.
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise ImportFailed(f"Task failed due to {error}") from error
    if response.status != _OK:
        raise ImportFailed(f"Task failed due to HTTP Error {response.status}: {response.reason}")
    return data
