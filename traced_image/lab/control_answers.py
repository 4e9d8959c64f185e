"""What the control API does to servers and images, and the errors that it answers with."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from threading import Event
from typing import TYPE_CHECKING, Any

from .fault_text import parse_fault
from .http1 import Response, make_json_response
from .logged_server import want

if TYPE_CHECKING:
    from .access_log import Access
    from .http1 import JSON, ReceivedRequest
    from .image import Image
    from .images import Images
    from .server import GlanceServer

_LONGEST = 300.0
"""The longest wait for requests, in seconds."""


class ControlError(Exception):
    """An error reply of the control API.

    Args:
        status: The HTTP status.
        message: What is wrong, and how to fix it.
        headers: Further headers of the reply.
    """

    def __init__(self, status: int, message: str, *headers: tuple[str, str]) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers


@dataclass(frozen=True)
class Controlled:
    """What a control API controls.

    Attributes:
        servers: The servers by their names.
        images: The store that they share.
        cafile: The path of the CA's certificate, for clients of HTTPS; None for plain HTTP.
        stopping: Set when the API stops, so that nobody waits for requests any more.
    """

    servers: Mapping[str, GlanceServer]
    images: Images
    cafile: str | None = None
    stopping: Event = field(default_factory=Event)

    def find(self, name: str) -> GlanceServer:
        """Return a server by its name.

        Raises:
            ControlError: There is no such server.
        """
        if name not in self.servers:
            raise ControlError(404, f"no server {name}: there are {', '.join(self.servers)}")
        return self.servers[name]


def list_servers(lab: Controlled, _request: ReceivedRequest, _name: str) -> Response:
    """List the servers."""
    return make_json_response(200, {"servers": [_show(each) for each in lab.servers.values()]})


def show_server(lab: Controlled, _request: ReceivedRequest, name: str) -> Response:
    """Show one server."""
    return make_json_response(200, _show(lab.find(name)))


def _show(server: GlanceServer) -> JSON:
    fault = server.episode.fault
    return {
        "name": server.name,
        "url": server.url,
        "fault": None if fault is None else fault.name,
        "connections": server.connections,
        "requests": len(server.access_log),
    }


def break_server(lab: Controlled, request: ReceivedRequest, name: str) -> Response:
    """Break a server with the fault of the body."""
    server = lab.find(name)
    text = _read_object(request).get("fault")
    if not isinstance(text, str):
        raise ControlError(400, 'write the fault as {"fault": "status(503, retry_after=2)"}')
    server.break_with(parse_fault(text))
    return make_json_response(200, _show(server))


def heal_server(lab: Controlled, _request: ReceivedRequest, name: str) -> Response:
    """Heal a server."""
    server = lab.find(name)
    server.heal()
    return make_json_response(200, _show(server))


def list_requests(lab: Controlled, request: ReceivedRequest, name: str) -> Response:
    """List the requests that match the query, once there are as many as it asks for."""
    server, query = lab.find(name), dict(request.query)
    unknown = query.keys() - {"count", "timeout", "method", "path", "status", "fault"}
    if unknown:
        problem = f"no parameter {', '.join(sorted(unknown))}"
        raise ControlError(400, f"{problem}: use count, timeout, method, path, status or fault")
    count = int(_read_number(query, "count", 0))
    timeout = min(_read_number(query, "timeout", 5), _LONGEST)
    status = int(_read_number(query, "status", 0)) or None
    wanted = want(
        "find_requests", query.get("method"), query.get("path"), status, query.get("fault")
    )
    try:
        found = server.await_requests(wanted, count, timeout, lab.stopping.is_set)
    except AssertionError as error:
        raise ControlError(409, str(error)) from error
    return make_json_response(200, {"requests": [_write(each) for each in found]})


def _read_number(query: Mapping[str, str], name: str, default: float) -> float:
    try:
        number = float(query.get(name, default))
    except ValueError as error:
        raise ControlError(400, f"{name}={query[name]!r}: give a number") from error
    if not 0 <= number < float("inf"):
        raise ControlError(400, f"{name}={query[name]!r}: give a number from 0")
    return number


def _write(access: Access) -> JSON:
    return {field.name: _to_plain(getattr(access, field.name)) for field in fields(access)}


def _to_plain(value: Any) -> Any:  # noqa: ANN401 - any value of the log
    return dict(value) if isinstance(value, Mapping) else value


def clear_log(lab: Controlled, _request: ReceivedRequest, name: str) -> Response:
    """Empty a server's access log."""
    lab.find(name).clear_log()
    return Response(204, content_type="")


def list_images(lab: Controlled, _request: ReceivedRequest, _name: str) -> Response:
    """List the images, newest first."""
    return make_json_response(200, {"images": [_view(each) for each in lab.images.all()]})


def _view(image: Image) -> JSON:
    return image.view(show_locations=False)


def add_image(lab: Controlled, request: ReceivedRequest, _name: str) -> Response:
    """Add an image with the attributes of the body."""
    given = _read_object(request)
    if "data" in given and "data_base64" in given:
        raise ControlError(400, "give data or data_base64, not both")
    data = _read_data(given)
    try:
        image_id = lab.images.add(data=data, **given)
    except (TypeError, ValueError) as error:
        raise ControlError(400, f"the image can't be added: {error}") from error
    image = lab.images.get(image_id)
    return make_json_response(201, None if image is None else _view(image))


def _read_data(given: dict[str, Any]) -> bytes | None:
    """Take the data out of the fields of an image; None for none."""
    text, encoded = given.pop("data", None), given.pop("data_base64", None)
    if not isinstance(text, str | None) or not isinstance(encoded, str | None):
        raise ControlError(400, "write data as text, or data_base64 as Base64")
    if encoded is None:
        return None if text is None else _encode(text)
    try:
        return base64.b64decode(encoded, validate=True)
    except binascii.Error as error:
        raise ControlError(400, f"data_base64 is not Base64: {error}") from error


def _encode(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise ControlError(400, f"data can't be written as UTF-8: {error}") from error


def remove_image(lab: Controlled, _request: ReceivedRequest, name: str) -> Response:
    """Remove an image."""
    if lab.images.get(name) is None:
        raise ControlError(404, f"no image {name}")
    lab.images.remove(name)
    return Response(204, content_type="")


def reset(lab: Controlled, _request: ReceivedRequest, _name: str) -> Response:
    """Heal all servers, empty their access logs, and remove all images."""
    for server in lab.servers.values():
        server.reset()
    return Response(204, content_type="")


def _read_object(request: ReceivedRequest) -> dict[str, Any]:
    try:
        value = json.loads(request.body)
    except (ValueError, RecursionError) as error:
        raise ControlError(400, f"the body is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise ControlError(400, 'the body is not a JSON object, such as {"name": "cirros"}')
    return value
