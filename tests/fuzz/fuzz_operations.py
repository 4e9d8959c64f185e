"""The operations that the fuzzer performs."""

from __future__ import annotations

import io
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fuzz_judges import (
    Judge,
    Run,
    are_members,
    both,
    is_data,
    is_image,
    is_list,
    is_member,
    is_new,
    is_nothing,
    is_stored,
    is_url,
)

from traced_image import errors
from traced_image.lab.image import STORE

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Operation:
    """What to do and what may come out.

    Attributes:
        name: The operation, for reports.
        do: Performs it.
        judge: Judges its result.
        version: The version of the API that the service must have; None for any.
        calls: Calls with a deadline of their own.
        has_data: Whether image data is sent or received, which has no deadline.
        unsafe: Whether it may end in `UnsafeToRepeat`.
        own: Errors that only this operation and those like it may raise.
    """

    name: str
    do: Callable[[Run], Any]
    judge: Judge
    version: int | None = None
    calls: int = 1
    has_data: bool = False
    unsafe: bool = False
    own: tuple[type[Exception], ...] = ()


def _meta(run: Run) -> dict[str, Any]:
    public = (
        {"visibility": "public"} if run.service.config.api_version == 2 else {"is_public": True}
    )
    properties = {"marker": run.scene.marker}
    return {"name": f"new {run.scene.marker}", **public, **_FORMATS, "properties": properties}


def _create(run: Run, data: Any = None) -> Any:
    return run.service.create(run.context, _meta(run), data)


def _update(run: Run, data: Any = None) -> Any:
    image_id = run.scene.target if data is None else run.scene.queued
    meta = {"name": f"renamed {run.scene.marker}", "properties": {"marker": run.scene.marker}}
    return run.service.update(run.context, image_id, meta, data, purge_props=data is None)


def _join(download: Any) -> bytes | None:
    if download is None:
        return None
    try:
        return b"".join(download)
    finally:
        download.close()


def _download_to_path(run: Run) -> bytes:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "image")
        run.service.download(run.context, run.scene.target, dst_path=path)
        return path.read_bytes()


def _download_rest(run: Run) -> bytes:
    begun = io.BytesIO(run.scene.data[: len(run.scene.data) // 2])
    return begun.getvalue() + _join(run.service.download_rest(run.context, run.scene.target, begun))


def _pieces(run: Run) -> Any:
    return (run.scene.data[start : start + 5000] for start in range(0, len(run.scene.data), 5000))


def _call(version: int, method: str, image: str, *args: object, **fields: object) -> Any:
    return lambda run: run.call(version, method, getattr(run.scene, image), *args, **fields)


def _download(run: Run) -> bytes | None:
    return _join(run.service.download(run.context, run.scene.target))


def _delete_location(run: Run) -> Any:
    url = f"memory://{STORE}/{run.scene.target}"
    return run.call(2, "delete_locations", run.scene.target, [url])


_LARGE = (errors.ListTooLarge,)
_FORMATS = {"disk_format": "raw", "container_format": "bare"}
_URL = "http://store/image"
_ABOUT = (
    errors.ImageNotFound,
    errors.ImageNotAuthorized,
    errors.ImageBadRequest,
    errors.ImageQuotaExceeded,
)
_TARGET = is_image("target", "image")
_STORED = both(is_new, is_stored)
_UPDATED = both(is_image("queued", "renamed"), is_stored)
_UPLOAD = {"has_data": True, "own": (errors.UploadNotRewindable,)}
_ODD = (errors.InvalidImageRecord,)
_CHECKED_UPLOAD = {
    "has_data": True,
    "own": (errors.UploadNotRewindable, errors.UploadIncomplete, *_ODD),
}
_STREAM = {"has_data": True, "own": (errors.ChecksumMismatch, errors.InvalidImageRecord)}
_STREAM_V1 = {"has_data": True, "own": (errors.ChecksumMismatch,)}
_DOWNLOAD = {
    "has_data": True,
    "own": (errors.ChecksumMismatch, errors.ImageUnacceptable, errors.InvalidImageRecord),
}


def _new(run: Run) -> dict[str, Any]:
    return {"name": f"new {run.scene.marker}"}


def _safe(name: str, do: Callable[[Run], Any], judge: Judge, **fields: Any) -> Operation:
    """An operation that may be repeated."""
    own = fields.pop("own", ())
    if name.startswith("service."):
        own += _ABOUT
    return Operation(name, do, judge, own=own, **fields)


def _unsafe(
    name: str, do: Callable[[Run], Any], judge: Judge = is_nothing, **fields: Any
) -> Operation:
    """An operation that changes something."""
    return _safe(name, do, judge, unsafe=True, **fields)


_SERVICE = (
    *[_safe("service.show", lambda r: r.service.show(r.context, r.scene.target), _TARGET, own=_ODD)]
    * 5,
    _safe("service.detail", lambda r: r.service.detail(r.context), is_list, own=_LARGE),
    _safe(
        "service.detail by pages",
        lambda r: r.service.detail(r.context, page_size=2),
        is_list,
        own=_LARGE,
    ),
    _unsafe("service.create", _create, is_new, own=_ODD),
    *[
        _unsafe(
            "service.create with data",
            lambda r: _create(r, r.scene.data),
            _STORED,
            calls=2,
            **_CHECKED_UPLOAD,
        )
    ]
    * 2,
    _unsafe(
        "service.create with a generator",
        lambda r: _create(r, _pieces(r)),
        _STORED,
        calls=2,
        **_CHECKED_UPLOAD,
    ),
    _unsafe("service.update", _update, is_image("target", "renamed"), calls=2, own=_ODD),
    _unsafe(
        "service.update with data",
        lambda r: _update(r, r.scene.data),
        _UPDATED,
        calls=2,
        **_CHECKED_UPLOAD,
    ),
    _unsafe(
        "service.delete",
        lambda r: r.service.delete(r.context, r.scene.target),
        own=(errors.ImageDeleteConflict,),
    ),
    *[_safe("service.download", _download, is_data, **_DOWNLOAD)] * 4,
    _safe("service.download to a path", _download_to_path, is_data, **_DOWNLOAD),
    _safe("service.download_rest", _download_rest, is_data, version=2, **_DOWNLOAD),
    _safe(
        "service.get_location", lambda r: r.service.get_location(r.context, r.scene.target), is_url
    ),
    _unsafe(
        "service.image_import_copy",
        lambda r: r.service.image_import_copy(r.context, r.scene.decoy, [STORE]),
        version=2,
        own=(errors.ImageImportImpossible,),
    ),
)

_V1 = (
    _safe("v1 get", _call(1, "get", "target"), _TARGET),
    _safe("v1 list", lambda r: r.call(1, "list", page_size=2), is_list, own=_LARGE),
    _unsafe("v1 create", lambda r: r.call(1, "create", **_new(r), **_FORMATS), is_new),
    _unsafe(
        "v1 create with data",
        lambda r: r.call(1, "create", r.scene.data, **_new(r), **_FORMATS),
        _STORED,
        **_UPLOAD,
    ),
    _unsafe("v1 update", _call(1, "update", "target", min_ram=5), _TARGET),
    _unsafe("v1 delete", _call(1, "delete", "target")),
    _safe("v1 data", lambda r: _join(r.call(1, "data", r.scene.target)), is_data, **_STREAM_V1),
)

_CHANGE = {"op": "replace", "path": "/min_disk", "value": 3}

_V2 = (
    *[_safe("get", _call(2, "get", "target"), _TARGET)] * 2,
    _safe("list", lambda r: r.call(2, "list", page_size=2), is_list, own=_LARGE),
    _unsafe("create", lambda r: r.call(2, "create", **_new(r)), is_new),
    _unsafe("update", _call(2, "update", "target", ["marker"], min_ram=5), _TARGET),
    _unsafe("patch", _call(2, "patch", "target", [_CHANGE]), _TARGET),
    _unsafe("delete", _call(2, "delete", "target")),
    *[_safe("data", lambda r: _join(r.call(2, "data", r.scene.target)), is_data, **_STREAM)] * 2,
    _unsafe("upload", lambda r: r.call(2, "upload", r.scene.queued, r.scene.data), **_UPLOAD),
    _unsafe("deactivate", _call(2, "deactivate", "target")),
    _unsafe("reactivate", _call(2, "reactivate", "target")),
    _unsafe("image_import", _call(2, "image_import", "queued", "web-download", uri=_URL)),
    _unsafe("add_location", _call(2, "add_location", "queued", _URL), is_image("queued", "queued")),
    _unsafe("add_image_location", _call(2, "add_image_location", "queued", _URL)),
    _unsafe("delete_locations", _delete_location, _TARGET, own=(errors.InvalidMetadata,)),
    _safe("image_members.list", _call(2, "image_members.list", "shared"), are_members, own=_LARGE),
    _safe("image_members.get", _call(2, "image_members.get", "shared", "m1"), is_member),
    _unsafe("image_members.create", _call(2, "image_members.create", "shared", "m2"), is_member),
    _unsafe(
        "image_members.update",
        _call(2, "image_members.update", "shared", "m1", "accepted"),
        is_member,
    ),
    _unsafe("image_members.delete", _call(2, "image_members.delete", "shared", "m1")),
    _unsafe("image_tags.update", _call(2, "image_tags.update", "target", "t")),
    _unsafe("image_tags.delete", _call(2, "image_tags.delete", "target", "t")),
)

OPERATIONS = (*_SERVICE, *_V1, *_V2)
"""All methods of the service and of the API; those that matter most more than once."""
