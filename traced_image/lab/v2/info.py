"""``/v2/info`` and ``/v2/stores``: the import methods, and the lab's only store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..error_responses import Refused
from ..http1 import JSON, ReceivedRequest, Response, make_json_response
from ..image import STORE
from ..policy import enforce, enforce_role
from .imports import METHODS
from .requests import find_image

if TYPE_CHECKING:
    from ..images import Images


def show_import(_: Images, __: ReceivedRequest) -> Response:
    """``GET /v2/info/import``."""
    methods: JSON = {
        "description": "Import methods available.",
        "type": "array",
        "value": list(METHODS),
    }
    return make_json_response(200, {"import-methods": methods})


def list_stores(_: Images, __: ReceivedRequest) -> Response:
    """``GET /v2/info/stores``."""
    return make_json_response(200, {"stores": [{"id": STORE, "default": "true"}]})


def detail_stores(_: Images, request: ReceivedRequest) -> Response:
    """``GET /v2/info/stores/detail``."""
    enforce_role(request.identity, "stores_info_detail", "admin", "service")
    store: JSON = {
        "id": STORE,
        "default": "true",
        "type": "memory",
        "properties": {},
        "weight": 0,
    }
    return make_json_response(200, {"stores": [store]})


def show_usage(_: Images, __: ReceivedRequest) -> Response:
    """``GET /v2/info/usage``, as in a Glance without limits in Keystone."""
    return make_json_response(200, {"usage": {}})


def delete_from_store(
    images: Images, request: ReceivedRequest, store: str, image_id: str
) -> Response:
    """``DELETE /v2/stores/{store}/{id}``, which is never possible where there is one store.

    Raises:
        Refused: Always.
    """
    if store != STORE:
        raise Refused(409, f"The selected store {store} is not available on this node.")
    image = find_image(images, request, image_id, problem="Failed to find image {}")
    enforce(request.identity, "get_image_location", image)
    enforce(request.identity, "delete_image_location", image)
    if image.status != "active":
        problem = "It's not allowed to remove image data from store if image status is not 'active'"
        raise Refused(409, problem)
    problem = "Cannot delete image data from the only store containing it."
    raise Refused(403, f"{problem} Consider deleting the image instead.")
