"""Who may do what: Glance 33's default policies, with Keystone's roles."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from .error_responses import Refused

if TYPE_CHECKING:
    from .identity import Identity
    from .image import Image

Policy = Callable[["Identity", "Image"], bool]


def is_visible(identity: Identity, image: Image) -> bool:
    """Return whether a query by this identity finds the image: Glance's ``is_image_visible``."""
    if identity.is_admin or image.base["owner"] is None:
        return True
    if image.base["visibility"] in ("public", "community"):
        return True
    return _owns(identity, image) or (
        image.base["visibility"] == "shared" and _shares(identity, image)
    )


def is_allowed(identity: Identity, rule: str, image: Image) -> bool:
    """Return whether a policy allows this identity something with an image."""
    return identity.is_admin or _RULES[rule](identity, image)


def enforce(identity: Identity, rule: str, image: Image) -> None:
    """Refuse what a policy does not allow.

    Args:
        identity: Who asks.
        rule: The policy's name in Glance, such as ``modify_image``.
        image: The image.

    Raises:
        Refused: 403; 404, if the identity may not see the image either.
    """
    if is_allowed(identity, rule, image):
        return
    if not is_allowed(identity, "get_image", image):
        raise Refused(404)
    forbid(rule)


def forbid(rule: str) -> None:
    """Refuse with the text of Glance's ``Forbidden``.

    Raises:
        Refused: 403.
    """
    raise Refused(403, f"You are not authorized to complete {rule} action.")


def enforce_visibility(identity: Identity, visibility: object, image: Image) -> None:
    """Refuse to make an image visible to all, if the policy does not allow that.

    Raises:
        Refused: As for `enforce`.
    """
    rule = {"public": "publicize_image", "community": "communitize_image"}.get(str(visibility))
    if rule is not None:
        enforce(identity, rule, image)


def enforce_role(identity: Identity, rule: str, *roles: str) -> None:
    """Refuse what needs one of some roles, whatever the image is.

    Raises:
        Refused: 403.
    """
    if not any(identity.has(role) for role in roles):
        forbid(rule)


def _owns(identity: Identity, image: Image) -> bool:
    return identity.project_id is not None and identity.project_id == image.base["owner"]


def _shares(identity: Identity, image: Image) -> bool:
    return identity.project_id in image.members


def _is_open(image: Image) -> bool:
    return image.base["visibility"] in ("public", "community", "shared")


def _of_owner(role: str) -> Policy:
    return lambda identity, image: identity.has(role) and _owns(identity, image)


def _of_readers(role: str) -> Policy:
    def rule(identity: Identity, image: Image) -> bool:
        known = _owns(identity, image) or _shares(identity, image)
        return identity.has(role) and (known or _is_open(image))

    return rule


def _by_member(identity: Identity, image: Image) -> bool:
    return identity.has("member") and _shares(identity, image)


def _by_reader_of_members(identity: Identity, image: Image) -> bool:
    return identity.has("reader") and (_owns(identity, image) or _shares(identity, image))


def _by_service_or_owner(identity: Identity, image: Image) -> bool:
    return identity.has("service") or _of_owner("member")(identity, image)


_OWNERS = (
    "delete_image",
    "modify_image",
    "upload_image",
    "communitize_image",
    "deactivate",
    "reactivate",
    "set_image_location",
    "add_member",
    "delete_member",
)
_ADMINS = ("publicize_image", "copy_image", "delete_image_location")
_RULES: Mapping[str, Policy] = {
    **{name: _of_owner("member") for name in _OWNERS},
    **{name: lambda *_: False for name in _ADMINS},
    "get_image": _of_readers("reader"),
    "download_image": _of_readers("member"),
    "get_image_location": _of_owner("reader"),
    "get_members": _by_reader_of_members,
    "get_member": _by_reader_of_members,
    "modify_member": _by_member,
    "add_image_location": _by_service_or_owner,
    "fetch_image_location": lambda identity, _: identity.has("service"),
}
