"""The paths of the control API, and which of them a request asks for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from ..errors import InvalidArgument
from .control_answers import (
    ControlError,
    Controlled,
    add_image,
    break_server,
    clear_log,
    heal_server,
    list_images,
    list_requests,
    list_servers,
    remove_image,
    reset,
    show_server,
)
from .http1 import make_json_response

if TYPE_CHECKING:
    from collections.abc import Callable

    from .http1 import JSON, ReceivedRequest, Response


class ControlRoute(NamedTuple):
    """One path of the API.

    Attributes:
        method: The HTTP method.
        path: The path; a part in braces is a name that the caller chooses.
        answer: Returns the reply to a request; the third argument is what stands for the braces.
        help: What it does.
    """

    method: str
    path: str
    answer: Callable[[Controlled, ReceivedRequest, str], Response]
    help: str

    def match(self, path: str) -> str | None:
        """Return what stands for the braces, "" if there are none; None for another path."""
        pattern = re.sub(r"\{\w+\}", "([^/]+)", self.path)
        found = re.fullmatch(pattern, path)
        return None if found is None else "".join(found.groups())


def _describe(lab: Controlled, _request: ReceivedRequest, _name: str) -> Response:
    paths: dict[str, JSON] = {f"{each.method} {each.path}": each.help for each in ROUTES}
    return make_json_response(200, {"cafile": lab.cafile, "paths": paths})


ROUTES = (
    ControlRoute("GET", "/", _describe, "Lists these paths, and names the CA's file for HTTPS."),
    ControlRoute("GET", "/servers", list_servers, "Lists the servers."),
    ControlRoute("GET", "/servers/{name}", show_server, "Shows a server."),
    ControlRoute(
        *("PUT", "/servers/{name}/fault", break_server),
        'Breaks a server: `{"fault": "status(503, retry_after=2).times(3)"}`.',
    ),
    ControlRoute("DELETE", "/servers/{name}/fault", heal_server, "Heals a server."),
    ControlRoute(
        *("GET", "/servers/{name}/requests", list_requests),
        "Shows the access log. `?method=GET&path=/file$&status=200&fault=delay` shows some requests"
        " only; `path` is a regular expression. `&count=3&timeout=5` waits until there are three;"
        " after five seconds it answers 409.",
    ),
    ControlRoute("DELETE", "/servers/{name}/requests", clear_log, "Empties the access log."),
    ControlRoute("GET", "/images", list_images, "Lists the images, newest first."),
    ControlRoute(
        *("POST", "/images", add_image),
        'Adds an image, without Glance\'s checks: `{"name": "cirros", "data": "..."}`, with'
        " `data_base64` for bytes. Other fields are attributes of v2, or properties.",
    ),
    ControlRoute("DELETE", "/images/{id}", remove_image, "Removes an image."),
    ControlRoute(
        *("POST", "/reset", reset),
        "Heals all servers, empties their access logs, and removes all images.",
    ),
)
"""The paths of the API, in the order of the documentation."""


def find_answer(lab: Controlled, request: ReceivedRequest) -> Response:
    """Return the reply to a request for one of the paths.

    Raises:
        ControlError: The path or the method is unknown, or what it asks for can't be done.
    """
    path = request.path.rstrip("/") or "/"
    found = {each.method: each for each in ROUTES if each.match(path) is not None}
    if not found:
        raise ControlError(404, f"no path {path}: GET / lists the paths")
    if request.method not in found:
        methods = " or ".join(found)
        problem = f"{request.method} {path} is not possible: use {methods}"
        raise ControlError(405, problem, ("Allow", ", ".join(found)))
    route = found[request.method]
    try:
        return route.answer(lab, request, route.match(path) or "")
    except InvalidArgument as error:
        raise ControlError(400, str(error)) from error
