"""``/v2/tasks``: the list of tasks, for administrators."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..error_responses import Refused
from ..http1 import JSON, ReceivedRequest, Response, make_json_response
from ..policy import enforce_role
from .json_schema import Subschema, find_problem
from .requests import read_json

if TYPE_CHECKING:
    from ..images import Images

_TYPES = ("import", "api_image_import", "location_import")
_KIND: dict[str, JSON] = {
    "description": "The type of task represented by this content",
    "enum": list(_TYPES),
    "type": "string",
}
_STATUSES = ("pending", "processing", "success", "failure")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_SORTABLE = ("id", "type", "status", "created_at", "updated_at", "expires_at")
_PAGE = 25


def create(_: Images, request: ReceivedRequest) -> Response:
    """``POST /v2/tasks``, which starts nothing here: the lab imports by ``/import`` only.

    Raises:
        Refused: Always.
    """
    read = read_json(request)
    body = read if isinstance(read, dict) else {}
    for name in ("type", "input"):
        if name not in body:
            raise Refused(400, f"Task '{name}' is required")
    problem = find_problem(body["type"], Subschema(_KIND, ("properties", "type"), ("type",)))
    if problem is not None:
        raise Refused(400, f"Provided object does not match schema 'task': {problem}")
    enforce_role(request.identity, "tasks_api_access", "admin")
    raise Refused(400, "Invalid location: None")


def index(images: Images, request: ReceivedRequest) -> Response:
    """``GET /v2/tasks``."""
    enforce_role(request.identity, "tasks_api_access", "admin")
    query = dict(request.query)
    _check(query)
    tasks = [one.view() for one in reversed(list(images.tasks.values()))]
    for name in ("type", "status"):
        tasks = [one for one in tasks if query.get(name, one[name]) == one[name]]
    limit = int(query.get("limit", _PAGE))
    shown: list[JSON] = [_summarize(one) for one in tasks[:limit]]
    body: JSON = {"tasks": shown, "first": "/v2/tasks", "schema": "/v2/schemas/tasks"}
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
    for name, allowed in (("status", _STATUSES), ("type", _TYPES)):
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


def delete(_: Images, __: ReceivedRequest, ___: str) -> Response:
    """``DELETE /v2/tasks/{id}``, which Glance has never allowed.

    Raises:
        Refused: 405.
    """
    problem = "This operation is currently not permitted on Glance Tasks."
    reason = "They are auto deleted after reaching the time based on their expires_at property."
    raise Refused(405, f"{problem} {reason}", headers=(("Allow", "GET"),))


def _with_links(task: dict[str, JSON]) -> dict[str, JSON]:
    shown = {name: value for name, value in task.items() if not name.startswith("deleted")}
    return {**shown, "self": f"/v2/tasks/{task['id']}", "schema": "/v2/schemas/task"}


def _summarize(task: dict[str, JSON]) -> JSON:
    hidden = ("input", "result", "message", "image_id", "request_id", "user_id")
    return {name: value for name, value in _with_links(task).items() if name not in hidden}
