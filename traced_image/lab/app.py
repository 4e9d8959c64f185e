"""The replies of a lab server without a fault: versions, health, authentication, v1 and v2."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import unquote

from . import v1, v2
from .access_log import REQUEST_ID
from .error_responses import Refused
from .http1 import JSON, ReceivedRequest, Response, make_json_response

if TYPE_CHECKING:
    from collections.abc import Collection

    from .images import Images

# In the order in which Glance 33 lists them (glance/api/versions.py).
_MINORS = (15, 13, 12, 11, 10, 9, 8, 17, 7, 6, 5, 4, 3, 2, 1, 0)
_CURRENT = 17
# Glance 33 no longer has v1. The list shows it as in Newton, the last release with v1.
_V1 = frozenset({"v1", "v1.0", "v1.1"})
_V2 = frozenset({"v2", *(f"v2.{minor}" for minor in _MINORS)})


@dataclass(frozen=True)
class App:
    """A Glance without a network: it turns requests into replies.

    Attributes:
        images: The images that it serves.
        tokens: The accepted tokens; None for no authentication (Glance's ``noauth``).
        scheme: ``http`` or ``https``, for the links in its replies.
        prefix: The path before the version; empty, or it starts with a slash.
    """

    images: Images
    tokens: Collection[str] | None = None
    scheme: str = "http"
    prefix: str = ""

    def answer(self, request: ReceivedRequest) -> Response:
        """Return the reply to a request; an error is a reply too."""
        try:
            return self._route(request)
        except Refused as refused:
            return refused.response(request)

    def _route(self, request: ReceivedRequest) -> Response:
        if not request.path.startswith(f"{self.prefix}/"):
            raise Refused(404)
        path = request.path[len(self.prefix) :]
        version, *rest = (unquote(part) for part in path.lstrip("/").split("/"))
        if path == "/healthcheck":
            return Response(200, b"OK", "text/plain; charset=UTF-8")
        if version not in _V1 | _V2:
            return self._versions(request, 200 if version == "versions" else 300)
        if self.tokens is not None and request.headers.get("x-auth-token") not in self.tokens:
            raise Refused(401, headers=(("WWW-Authenticate", "Keystone uri='http://keystone'"),))
        return self.add_request_id(request, self._call(version, request, tuple(rest)))

    def _call(self, version: str, request: ReceivedRequest, segments: tuple[str, ...]) -> Response:
        routes = v1.ROUTES if version in _V1 else v2.ROUTES
        try:
            response = routes.answer(self.images, request, segments)
        except Refused as refused:
            return refused.response(request)
        if response.status != HTTPStatus.CREATED:
            return response
        # Like WebOb, which makes a Location absolute when it sends it.
        origin = self._origin(request)
        headers = ((n, f"{origin}{v}" if n == "Location" else v) for n, v in response.headers)
        return replace(response, headers=tuple(headers))

    def add_request_id(self, request: ReceivedRequest, response: Response) -> Response:
        """Add a request id to a reply.

        As in Glance, a request with a token may choose the id; the id always starts with ``req-``.
        """
        chosen = request.headers.get("x-openstack-request-id")
        if self.tokens is None or not chosen:
            chosen = f"req-{uuid.uuid4()}"
        prefix = "" if chosen.startswith("req-") else "req-"
        return response.with_headers((REQUEST_ID, prefix + chosen))

    def _origin(self, request: ReceivedRequest) -> str:
        return f"{self.scheme}://{request.headers.get('host', '')}{self.prefix}"

    def _versions(self, request: ReceivedRequest, status: int) -> Response:
        origin = self._origin(request)
        versions: list[JSON] = [
            _describe_version(
                f"v2.{minor}", "CURRENT" if minor == _CURRENT else "SUPPORTED", origin
            )
            for minor in _MINORS
        ]
        versions += [_describe_version(f"v1.{minor}", "DEPRECATED", origin) for minor in (1, 0)]
        return make_json_response(status, {"versions": versions})


def _describe_version(name: str, status: str, origin: str) -> JSON:
    href = f"{origin}/{name.partition('.')[0]}/"
    return {"id": name, "status": status, "links": [{"rel": "self", "href": href}]}
