"""``/v2/images/{id}/import`` and ``/tasks``: starts imports, and shows their tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ..error_responses import Refused
from ..http1 import JSON, ReceivedRequest, Response, make_json_response
from ..image import STORE, Image
from ..import_flow import LOCK, Import
from ..policy import enforce, is_visible
from .requests import find_image, read_json_object

if TYPE_CHECKING:
    from ..images import Images

METHODS = ("glance-direct", "web-download", "copy-image")


def start(images: Images, request: ReceivedRequest, image_id: str) -> Response:
    """``POST /v2/images/{id}/import``."""
    body = read_json_object(request)
    method = _method(body)
    name = str(method["name"])
    with images.lock:
        image = find_image(images, request, image_id)
        _check_state(image, name)
        rule = "copy_image" if name == "copy-image" else "modify_image"
        enforce(request.identity, rule, image)
        if LOCK in image.properties:
            raise Refused(409, "Image has active task")
        _check_stores(image, name, body)
        uri = _uri(method) if name == "web-download" else None
        if name != "copy-image":
            Import(images, image_id, uri).start(request, body)
    return Response(202)


def list_tasks(images: Images, request: ReceivedRequest, image_id: str) -> Response:
    """``GET /v2/images/{id}/tasks``."""
    image = images.get(image_id)
    if image is None or not is_visible(request.identity, image):
        raise Refused(404)
    enforce(request.identity, "get_image", image)
    mine: list[JSON] = [one.view() for one in images.tasks.values() if one.image_id == image_id]
    return make_json_response(200, {"tasks": mine})


def _method(body: dict[str, JSON]) -> dict[str, JSON]:
    if "method" not in body:
        raise Refused(400, "Import request requires a 'method' field.")
    method = body["method"]
    if not isinstance(method, dict) or "name" not in method:
        raise Refused(400, "Import request requires a 'name' field.")
    if method["name"] not in METHODS:
        raise Refused(400, f"Unknown import method name '{method['name']}'.")
    for flag in ("all_stores_must_succeed", "all_stores"):
        if not isinstance(body.get(flag, True), bool):
            raise Refused(400, f"'{flag}' must be boolean value only")
    return method


def _check_state(image: Image, method: str) -> None:
    problem = None
    if image.status == "active" and method != "copy-image":
        problem = "Image with status active cannot be target for import"
    elif image.status != "active" and method == "copy-image":
        problem = "Only images with status active can be targeted for copying"
    elif image.status != "queued" and method == "web-download":
        problem = "Image needs to be in 'queued' state to use 'web-download' method"
    elif image.status != "uploading" and method == "glance-direct":
        problem = "Image needs to be staged before 'glance-direct' method can be used"
    else:
        for name in ("container_format", "disk_format"):
            if not image.base[name]:
                problem = problem or f"'{name}' needs to be set before import"
    if problem is not None:
        raise Refused(409, problem)


def _check_stores(image: Image, method: str, body: dict[str, JSON]) -> None:
    everywhere = body.get("all_stores", False)
    if everywhere and "stores" in body:
        raise Refused(
            400,
            "All_stores parameter can't be used with x-image-meta-store header or stores parameter",
        )
    stores = body.get("stores", [STORE])
    for store in stores if isinstance(stores, list) else [stores]:
        if store != STORE:
            raise Refused(409, f"Store for identifier {store} not found")
    if method == "copy-image" and not everywhere and image.locations:
        raise Refused(400, f"Image is already present at store '{STORE}'")


def _uri(method: dict[str, JSON]) -> str:
    uri = method.get("uri")
    if not isinstance(uri, str) or not _is_address(uri):
        raise Refused(400, f"URI for web-download does not pass filtering: {uri}")
    return uri


def _is_address(uri: str) -> bool:
    try:
        place = urlsplit(uri)
        host, _port = place.hostname, place.port
    except ValueError:  # such as a bracket without its other one, or a port that is no number
        return False
    return place.scheme in ("http", "https") and bool(host)
