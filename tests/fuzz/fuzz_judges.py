"""What a right result of an operation is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from replying_server import Scene

    from traced_image import GlanceImageService, RequestContext


@dataclass
class Run:
    """One operation under way.

    Attributes:
        service: The service that performs it.
        context: The caller, with the marker of the scene as request id.
        scene: What the servers know of it.
    """

    service: GlanceImageService
    context: RequestContext
    scene: Scene

    def call(self, version: Any, method: str, *args: object, **fields: object) -> Any:
        """Call a method of the API."""
        return self.service._client.call(self.context, version, method, *args, **fields)


Judge = Callable[[Run, Any], "str | None"]
"""Returns what is wrong with a result; None if nothing is."""


def is_image(image_of: str, name: str) -> Judge:
    """The record must be that of an image of the scene."""

    def judge(run: Run, record: Any) -> str | None:
        wanted = getattr(run.scene, image_of)
        if str(record["id"]).lower() != wanted:
            return f"the record of {record['id']}, not of {wanted}"
        expected = f"{name} {run.scene.marker}"
        if not run.scene.content and record["name"] != expected:
            return f"the image's name is {record['name']!r}, not {expected!r}"
        return None

    return judge


def is_new(run: Run, record: Any) -> str | None:
    """A record must be that of the image that was just created."""
    if run.scene.content:
        return None
    return None if record["name"] == f"new {run.scene.marker}" else f"another image: {record}"


def is_stored(run: Run, record: Any) -> str | None:
    """A record after an upload must be that of an image with the data."""
    scene = run.scene
    if scene.content or (record["status"], record["size"]) == ("active", len(scene.data)):
        return None
    return f"the image is {record['status']} with {record['size']} bytes of {len(scene.data)}"


def both(first: Judge, second: Judge) -> Judge:
    """Both judges must agree."""
    return lambda run, record: first(run, record) or second(run, record)


def is_list(run: Run, found: Any) -> str | None:
    """A list must have the images of the scene, each once."""
    scene = run.scene
    if scene.content:
        return None
    ids, known = [image["id"] for image in found], {one.id for one in scene.images.all()}
    if not set(ids) <= known:
        return f"a list of other images: {ids}"
    # A redirect may skip or repeat a page, which no client can tell.
    if any("redirect" in one.plan.names for one in scene.sent):
        return None
    whole = len(set(ids)) == len(ids) and {scene.target, scene.decoy} <= set(ids)
    return None if whole else f"the list is incomplete, or has an image twice: {ids}"


def is_data(run: Run, data: Any) -> str | None:
    """Image data must be that of the target, or None if a status said so."""
    scene = run.scene
    if data == scene.data:
        return None
    if data is None:
        ended = any(one.plan.is_data and one.plan.changes_status for one in scene.sent)
        return None if ended else "no data"
    # Without a checksum that the server has not changed, nobody can tell.
    doubtful = any(one.plan.content and one.plan.has_record for one in scene.sent)
    return None if doubtful else f"other data: {data[:60]!r}, {len(data)} bytes"


def is_member(run: Run, record: Any) -> str | None:
    """A membership must be one of the shared image."""
    wrong = not run.scene.content and record.get("image_id") != run.scene.shared
    return f"a membership of another image: {record}" if wrong else None


def are_members(run: Run, found: Any) -> str | None:
    """Each membership must be one of the shared image."""
    return next(filter(None, (is_member(run, record) for record in found)), None)


def is_url(run: Run, url: Any) -> str | None:
    """A location must be the target's."""
    right = run.scene.content or run.scene.target in str(url)
    return None if right else f"the location is {url!r}"


def is_nothing(_run: Run, value: Any) -> str | None:
    """There is no result."""
    return None if value in (None, True) else f"a result where there is none: {value!r}"
