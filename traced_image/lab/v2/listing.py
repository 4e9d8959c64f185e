"""``GET /v2/images``: its filters, sorting and paging."""

from __future__ import annotations

import re
from datetime import datetime
from operator import eq, ge, gt, le, lt, ne
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from ..error_responses import Refused
from ..http1 import JSON, ReceivedRequest, Response, make_json_response
from ..listing import MOST, PAGE, Condition, at_least, at_most, equals, select
from ..policy import enforce_role
from .requests import read_query

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ..identity import Identity
    from ..image import Image
    from ..images import Images

_SORTABLE = (
    "name",
    "status",
    "container_format",
    "disk_format",
    "size",
    "id",
    "created_at",
    "updated_at",
)
_PARAMETERS = frozenset(
    {
        *("limit", "sort", "sort_key", "sort_dir", "tag", "member_status", "visibility"),
        *("os_hidden", "deleted"),
    }
)
_LISTABLE = frozenset({"name", "id", "status", "container_format", "disk_format"})
_VISIBILITIES = ("community", "public", "private", "shared", "all")
_COMPARISONS: Mapping[str, Callable[[str, str], bool]] = {
    "gt": gt,
    "gte": ge,
    "lt": lt,
    "lte": le,
    "neq": ne,
    "eq": eq,
}
_QUOTE = re.compile(r'(?<!\\)"')
_VALUES = re.compile(r'"([^"\\]*(?:\\.[^"\\]*)*)",?|([^,]+),?|,')


def index(images: Images, request: ReceivedRequest) -> Response:
    """``GET /v2/images``."""
    parameters = read_query(request)
    query = dict(parameters)
    marker = query.pop("marker", None)
    tags = [value.strip() for name, value in parameters if name == "tag"]
    limit = min(_read_limit(query.get("limit")), MOST)
    _check(query)
    enforce_role(request.identity, "get_images", "reader")
    found = select(
        images,
        [*_read_conditions(query, tags), *_make_visible(request.identity, query)],
        order=_read_order(parameters),
        marker=marker,
        limit=limit,
        sees_removed=request.identity.is_admin,
    )
    body: dict[str, JSON] = {
        "images": [image.view(show_locations=images.show_locations) for image in found],
        "first": _make_link(query),
        "schema": "/v2/schemas/images",
    }
    if found and len(found) == limit:
        body["next"] = _make_link({**query, "marker": found[-1].id})
    return make_json_response(200, body)


def _make_link(query: Mapping[str, str]) -> str:
    return f"/v2/images?{urlencode(query)}" if query else "/v2/images"


def _read_limit(text: str | None) -> int:
    if text is None:
        return PAGE
    try:
        limit = int(text)
    except ValueError as error:
        raise Refused(400, "limit param must be an integer") from error
    if limit < 0:
        raise Refused(400, "limit param must be positive")
    return limit


def _check(query: Mapping[str, str]) -> None:
    visibility = query.get("visibility")
    if visibility and visibility not in _VISIBILITIES:
        raise Refused(400, f"Invalid visibility value: {visibility}")
    if query.get("changes-since"):
        raise Refused(400, 'The "changes-since" filter is no longer available on v2.')
    status = query.get("member_status", "accepted")
    if status not in ("pending", "accepted", "rejected", "all"):
        raise Refused(400, f"Invalid status: {status}")
    for name in ("os_hidden", "protected"):
        value = query.get(name, "false")
        if (value.lower() if name == "os_hidden" else value) not in ("true", "false"):
            valid = "Valid values are 'true' or 'false'."
            raise Refused(400, f"Invalid value '{value}' for '{name}' filter. {valid}")


def _read_order(query: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the requested sort keys, from the old or the new notation, completed as in Glance."""
    parameters = {name: value for name, value in query if name == "sort"}
    keys = [value.strip() for name, value in query if name == "sort_key"]
    directions = [value.strip() for name, value in query if name == "sort_dir"]
    if parameters:
        if keys or directions:
            raise Refused(400, "Old and new sorting syntax cannot be combined")
        parts = [part.partition(":") for part in parameters["sort"].strip().split(",")]
        keys = [key.strip() for key, _, _ in parts]
        directions = [direction.strip() or "desc" for _, _, direction in parts]
    return _complete_directions(keys, directions)


def _complete_directions(keys: list[str], directions: list[str]) -> list[tuple[str, str]]:
    for key in keys:
        if key not in _SORTABLE:
            available = f"It must be one of the following: {', '.join(_SORTABLE)}."
            raise Refused(400, f"Invalid sort key: {key}. {available}")
    for direction in directions:
        if direction not in ("asc", "desc"):
            raise Refused(400, f"Invalid sort direction: {direction}")
    if len(directions) > 1 and len(directions) != len(keys):
        raise Refused(400, "Number of sort dirs does not match the number of sort keys")
    rest = directions[0] if len(directions) == 1 else "desc"
    keys = keys or ["created_at"]
    directions = directions if len(directions) > 1 else [rest] * len(keys)
    keys = keys + [key for key in ("created_at", "id") if key not in keys]
    directions = directions + [rest] * (len(keys) - len(directions))
    return list(zip(keys, directions, strict=True))


def _read_conditions(query: Mapping[str, str], tags: list[str]) -> list[Condition]:
    conditions: list[Condition] = [_has_tag(tag) for tag in tags]
    visibility = query.get("visibility", "all")
    if visibility != "all":
        conditions.append(equals("visibility", visibility))
    conditions.append(equals("os_hidden", query.get("os_hidden", "false")))
    conditions += [_make_condition(name, query[name]) for name in query if name not in _PARAMETERS]
    return conditions


def _make_visible(identity: Identity, query: Mapping[str, str]) -> Iterator[Condition]:
    """Build the conditions on who sees an image in a list: Glance's ``_select_images_query``."""
    owner = identity.project_id
    status = query.get("member_status", "accepted")

    def is_listed(image: Image) -> bool:
        visibility, member = image.base["visibility"], image.members.get(str(owner))
        if visibility in ("public", "community") or (owner and image.base["owner"] == owner):
            return True
        return visibility == "shared" and member is not None and status in ("all", member.status)

    if not identity.is_admin:
        yield is_listed
    if "visibility" not in query:
        yield (
            lambda image: (
                image.base["visibility"] != "community" or (owner and image.base["owner"] == owner)
            )
        )


def _has_tag(tag: str) -> Condition:
    return lambda image: tag in image.tags


def _make_condition(name: str, value: str) -> Condition:
    if name.endswith("_min"):
        return at_least(name[:-4], value)
    if name.endswith("_max"):
        return at_most(name[:-4], value)
    if name in ("created_at", "updated_at"):
        return _make_comparison(name, value)
    if name in _LISTABLE:
        return _make_membership(name, value)
    return equals(name, value)


def _make_comparison(name: str, text: str) -> Condition:
    operator, colon, moment = text.partition(":")
    if not colon or (operator not in _COMPARISONS and text[:1].isdigit()):
        operator, moment = "eq", text
    try:
        threshold = _read_time(moment)
    except ValueError as error:
        use = "Use ISO 8601 DateTime notation."
        raise Refused(400, f'Bad "{name}" query filter format. {use}') from error
    if operator not in _COMPARISONS:
        raise Refused(400, "Unable to filter on a unknown operator.")
    compare = _COMPARISONS[operator]
    return lambda image: compare(str(image.base[name]), threshold)


def _read_time(text: str) -> str:
    """Return an ISO 8601 time in the store's format: UTC, whole seconds.

    Raises:
        ValueError: The text is not an ISO 8601 time.
    """
    # Before Python 3.11, `fromisoformat` does not accept Z.
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    offset = moment.utcoffset()
    moment = moment.replace(tzinfo=None)
    return (moment if offset is None else moment - offset).strftime("%Y-%m-%dT%H:%M:%SZ")


def _make_membership(name: str, text: str) -> Condition:
    operator, colon, values = text.partition(":")
    if not colon or operator == "eq":
        wanted = values if colon else text
        return lambda image: image.base[name] == wanted
    if operator != "in":
        raise Refused(400, f"Unable to filter by unknown operator '{operator}'.")
    problem = _find_wrong_quote(values)
    if problem is not None:
        raise Refused(400, f"Invalid filter value {values}. {problem}")
    listed = [quoted or bare for quoted, bare in _VALUES.findall(values)]
    return lambda image: image.base[name] in listed


def _find_wrong_quote(values: str) -> str | None:
    """Return what is wrong with the quotes of a list of values; None for nothing."""
    is_open = False
    for place in (found.start() for found in _QUOTE.finditer(values)):
        if not is_open and place and values[place - 1] != ",":
            return "There is no comma before opening quotation mark."
        if is_open and values[place + 1 : place + 2] not in ("", ","):
            return "There is no comma after closing quotation mark."
        is_open = not is_open
    return "The quote is not closed." if is_open else None
