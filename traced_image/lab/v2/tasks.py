"""``/v2/tasks``: the list of tasks, for administrators."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from ..error_responses import Refused
from ..http1 import JSON, ReceivedRequest, Response, make_json_response
from ..policy import enforce_role
from .json_schema import Subschema, find_problem
from .requests import read_json, read_query
from .schemas import UUID

if TYPE_CHECKING:
    from ..images import Images

_TYPES = ("import", "api_image_import", "location_import")
_STATUSES = ("pending", "processing", "success", "failure")


def _make_field(kind: JSON, description: str, **rules: JSON) -> dict[str, JSON]:
    return {"description": description, **rules, "type": kind}


_OBJECT: JSON = ["null", "object"]
_MOMENT: JSON = ["null", "string"]
_LINK: dict[str, JSON] = {"readOnly": True, "type": "string"}
_MESSAGE = "Human-readable informative message only included when appropriate (usually on failure)"
_FIELDS: dict[str, dict[str, JSON]] = {
    "id": _make_field("string", "An identifier for the task", pattern=UUID),
    "type": _make_field(
        "string", "The type of task represented by this content", enum=list(_TYPES)
    ),
    "status": _make_field("string", "The current status of this task", enum=list(_STATUSES)),
    "input": _make_field(_OBJECT, "The parameters required by task, JSON blob"),
    "result": _make_field(_OBJECT, "The result of current task, JSON blob"),
    "owner": _make_field("string", "An identifier for the owner of this task"),
    "message": _make_field("string", _MESSAGE),
    "image_id": _make_field("string", "Image associated with the task"),
    "request_id": _make_field("string", "Human-readable informative request-id"),
    "user_id": _make_field("string", "User associated with the task"),
    "expires_at": _make_field(_MOMENT, "Datetime when this resource would be subject to removal"),
    "created_at": _make_field("string", "Datetime when this resource was created"),
    "updated_at": _make_field("string", "Datetime when this resource was updated"),
    "self": _LINK,
    "schema": _LINK,
}
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_SORTABLE = ("id", "type", "status", "created_at", "updated_at", "expires_at")
_PAGE = 25


def create(_: Images, request: ReceivedRequest) -> Response:
    """``POST /v2/tasks``, which starts nothing here: the lab imports by ``/import`` only.

    Raises:
        Refused: Always.
    """
    enforce_role(request.identity, "tasks_api_access", "admin")
    read = read_json(request)
    body = read if isinstance(read, dict) else {}
    for name in ("type", "input"):
        if name not in body:
            raise Refused(400, f"Task '{name}' is required")
    problem = _find_problem(body)
    if problem is not None:
        raise Refused(400, f"Provided object does not match schema 'task': {problem}")
    given = body["input"]
    place = given.get("import_from") if isinstance(given, dict) else None
    raise Refused(400, _refuse_place(place))


def _find_problem(body: dict[str, JSON]) -> str | None:
    for name, rules in _FIELDS.items():
        if name in body:
            problem = find_problem(body[name], Subschema(rules, ("properties", name), (name,)))
            if problem is not None:
                return problem
    unknown = [name for name in body if name not in _FIELDS]
    if unknown:
        return f"Additional properties are not allowed ({unknown[0]!r} was unexpected)"
    return None


def _refuse_place(place: JSON) -> str:
    """Return why a task can't import from a place: always, as the lab imports by ``/import``."""
    text = place if isinstance(place, str) else ""
    if text.startswith(("file:///", "filesystem:///")):
        problem = "File based imports are not allowed."
        return f"{problem} Please use a non-local source of image data."
    if not text or text.startswith(("http://", "https://")):
        return f"Invalid location: {place}"
    problem = "The given uri is not valid."
    return f"{problem} Please specify a valid uri from the following list of supported uri ['http']"


def index(images: Images, request: ReceivedRequest) -> Response:
    """``GET /v2/tasks``."""
    enforce_role(request.identity, "tasks_api_access", "admin")
    query = dict(read_query(request))
    _check(query)
    tasks = [one.view() for one in reversed(list(images.tasks.values()))]
    for name in ("type", "status"):
        tasks = [one for one in tasks if query.get(name, one[name]) == one[name]]
    limit = int(query.get("limit", _PAGE))
    shown: list[JSON] = [_summarize(one) for one in tasks[:limit]]
    query.pop("marker", None)
    first = f"/v2/tasks?{urlencode(query)}" if query else "/v2/tasks"
    body: JSON = {"tasks": shown, "first": first, "schema": "/v2/schemas/tasks"}
    return make_json_response(200, body)


def _check(query: dict[str, str]) -> None:
    limit = query.get("limit", "0")
    if not limit.lstrip("-").isdigit():
        raise Refused(400, "limit param must be an integer")
    if int(limit) < 0:
        raise Refused(400, "limit param must be positive")
    if not _UUID.fullmatch(query.get("marker", "0" * 8 + "-0000" * 3 + "-" + "0" * 12)):
        raise Refused(400, "Invalid marker format")
    if query.get("sort_dir", "desc") not in ("asc", "desc"):
        raise Refused(400, f"Invalid sort direction: {query['sort_dir']}")
    for name, allowed in (("status", _STATUSES), ("type", _TYPES[:1])):
        if query.get(name, allowed[0]) not in allowed:
            raise Refused(400, f"Invalid {name} value: {query[name]}")
    if query.get("sort_key", "id") not in _SORTABLE:
        raise Refused(400, "Sort key supplied was not valid.")


def show(images: Images, request: ReceivedRequest, task_id: str) -> Response:
    """``GET /v2/tasks/{id}``."""
    enforce_role(request.identity, "tasks_api_access", "admin")
    task = images.tasks.get(task_id)
    if task is None:
        raise Refused(404, f"Could not find task {task_id}")
    return make_json_response(200, _with_links(task.view()))


def delete(_: Images, request: ReceivedRequest, __: str) -> Response:
    """``DELETE /v2/tasks/{id}``, which Glance has never allowed.

    Raises:
        Refused: 405; 400, if it has a body that is not JSON.
    """
    if request.body:
        read_json(request)
    problem = "This operation is currently not permitted on Glance Tasks."
    reason = "They are auto deleted after reaching the time based on their expires_at property."
    raise Refused(405, f"{problem} {reason}", headers=(("Allow", "GET"),))


def _with_links(task: dict[str, JSON]) -> dict[str, JSON]:
    shown = {name: value for name, value in task.items() if not name.startswith("deleted")}
    return {**shown, "self": f"/v2/tasks/{task['id']}", "schema": "/v2/schemas/task"}


def _summarize(task: dict[str, JSON]) -> JSON:
    hidden = ("input", "result", "message", "image_id", "request_id", "user_id")
    return {name: value for name, value in _with_links(task).items() if name not in hidden}
