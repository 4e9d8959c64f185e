"""``/v2/images/{id}/members`` and ``/tags``: the projects that see an image, and its tags."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..error_responses import Refused
from ..http1 import JSON, ReceivedRequest, Response, make_json_response
from ..image import Image, Member
from ..policy import enforce, is_allowed
from .checks import check, has_long_character
from .requests import find_image, read_json

if TYPE_CHECKING:
    from ..identity import Identity
    from ..images import Images


def _find_shared(images: Images, request: ReceivedRequest, image_id: str, doing: str) -> Image:
    image = _find(images, request, image_id)
    if image.base["visibility"] != "shared":
        raise Refused(403, f"Not allowed to {doing} members for image {image_id}.")
    return image


def _find(images: Images, request: ReceivedRequest, image_id: str) -> Image:
    return find_image(images, request, image_id, problem="Image {} not found.")


def _show_member(image: Image, member_id: str, member: Member) -> dict[str, JSON]:
    return {
        "member_id": member_id,
        "image_id": image.id,
        "status": member.status,
        "created_at": member.created_at,
        "updated_at": member.updated_at,
        "schema": "/v2/schemas/member",
    }


def _sees_member(identity: Identity, image: Image, member_id: str) -> bool:
    """Return whether a query by this identity finds a member: all do of one's own image."""
    known = (image.base["owner"], member_id)
    return identity.is_admin or identity.project_id in known


def _read_member(identity: Identity, image: Image, member_id: str) -> Member:
    member = image.members.get(member_id)
    if member is None or not _sees_member(identity, image, member_id):
        raise Refused(404, f"{member_id} not found in the member list of the image {image.id}.")
    return member


def _read_field(request: ReceivedRequest, name: str, missing: str, mistaken: str) -> JSON:
    body = read_json(request)
    if not isinstance(body, dict):
        raise Refused(400, mistaken)
    if name not in body:
        raise Refused(400, missing)
    return body[name]


def list_members(images: Images, request: ReceivedRequest, image_id: str) -> Response:
    """``GET /v2/images/{id}/members``."""
    image = _find(images, request, image_id)
    if image.base["visibility"] != "shared":
        problem = "Only shared images have members."
        raise Refused(403, f"Not allowed to list members for image {image_id}: {problem}")
    enforce(request.identity, "get_members", image)
    members: list[JSON] = [
        _show_member(image, *item)
        for item in image.members.items()
        if _sees_member(request.identity, image, item[0])
    ]
    return make_json_response(200, {"members": members, "schema": "/v2/schemas/members"})


def show_member(
    images: Images, request: ReceivedRequest, image_id: str, member_id: str
) -> Response:
    """``GET /v2/images/{id}/members/{member}``."""
    image = _find(images, request, image_id)
    if image.base["visibility"] != "shared":
        raise Refused(404, "Only shared images have members.")
    if not is_allowed(request.identity, "get_member", image):
        raise Refused(404, "You are not authorized to complete get_member action.")
    member = _read_member(request.identity, image, member_id)
    return make_json_response(200, _show_member(image, member_id, member))


def add_member(images: Images, request: ReceivedRequest, image_id: str) -> Response:
    """``POST /v2/images/{id}/members``."""
    member_id = _read_field(
        request,
        "member",
        "Member to be added not specified",
        'Expected a member in the form: {"member": "image_id"}',
    )
    if not member_id:
        raise Refused(400, "Member can't be empty")
    if has_long_character(str(member_id)):
        raise Refused(400, "Member can't contain 4 byte unicode characters.")
    name = str(member_id)
    with images.lock:
        image = _find_shared(images, request, image_id, "create")
        enforce(request.identity, "add_member", image)
        if 0 <= images.limits.members <= len(image.members):
            raise Refused(413, _describe_excess(images, image))
        if name in image.members:
            raise Refused(409, f"Member {name} is duplicated for image {image_id}")
        now = images.timestamp()
        member = Member("pending", now, now)
        images.put(replace(image, members={**image.members, name: member}))
    shown = {**_show_member(image, name, member), "member_id": member_id}
    return make_json_response(200, shown)


def _describe_excess(images: Images, image: Image) -> str:
    amounts = f"Attempted: {len(image.members) + 1}, Maximum: {images.limits.members}"
    problem = "The limit has been exceeded on the number of allowed image members for this image."
    return f"Image member limit exceeded for image {image.id}: {problem} {amounts}:"


def change_member(
    images: Images, request: ReceivedRequest, image_id: str, member_id: str
) -> Response:
    """``PUT /v2/images/{id}/members/{member}``."""
    status = _read_field(
        request,
        "status",
        "Status not specified",
        'Expected a status in the form: {"status": "status"}',
    )
    with images.lock:
        image = _find_shared(images, request, image_id, "update")
        member = _read_member(request.identity, image, member_id)
        enforce(request.identity, "modify_member", image)
        if status not in ("pending", "accepted", "rejected"):
            problem = 'Status must be "pending", "accepted" or "rejected".'
            raise Refused(400, f"Incorrect request: {problem}")
        member = replace(member, status=str(status), updated_at=images.timestamp())
        images.put(replace(image, members={**image.members, member_id: member}))
    return make_json_response(200, _show_member(image, member_id, member))


def remove_member(
    images: Images, request: ReceivedRequest, image_id: str, member_id: str
) -> Response:
    """``DELETE /v2/images/{id}/members/{member}``."""
    with images.lock:
        image = _find_shared(images, request, image_id, "delete")
        _read_member(request.identity, image, member_id)
        enforce(request.identity, "delete_member", image)
        rest = {name: member for name, member in image.members.items() if name != member_id}
        images.put(replace(image, members=rest))
    return Response(204, content_type="")


def _check_tags(images: Images, image: Image, number: int) -> None:
    try:
        images.limits.check_tags(number)
    except Refused as refused:
        problem = f"Image tag limit exceeded for image {image.id}: {refused.explanation}:"
        raise Refused(413, problem) from refused


def add_tag(images: Images, request: ReceivedRequest, image_id: str, tag: str) -> Response:
    """``PUT /v2/images/{id}/tags/{tag}``."""
    check({"tags": [tag]})
    with images.lock:
        image = _find(images, request, image_id)
        enforce(request.identity, "modify_image", image)
        tags = tuple(sorted({*image.tags, tag}))
        _check_tags(images, image, len(tags))
        images.save(replace(image, tags=tags))
    return Response(204)


def remove_tag(images: Images, request: ReceivedRequest, image_id: str, tag: str) -> Response:
    """``DELETE /v2/images/{id}/tags/{tag}``."""
    with images.lock:
        image = _find(images, request, image_id)
        enforce(request.identity, "modify_image", image)
        if tag not in image.tags:
            raise Refused(404)
        images.save(replace(image, tags=tuple(name for name in image.tags if name != tag)))
    return Response(204)
