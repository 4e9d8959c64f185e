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
from .health import report_health
from .http1 import JSON, ReceivedRequest, Response, make_json_response
from .identity import Tokens, identify

if TYPE_CHECKING:
    from .images import Images

# In the order in which Glance 33 lists them (glance/api/versions.py).
_MINORS = (15, 13, 12, 11, 10, 9, 8, 17, 7, 6, 5, 4, 3, 2, 1, 0)
_CURRENT = 17
# Glance 33 no longer has v1. The list shows it as in Newton, the last release with v1.
_V1 = frozenset({"v1", "v1.0", "v1.1"})
_V2 = frozenset({"v2", *(f"v2.{minor}" for minor in _MINORS)})


_VENDOR = "application/vnd.openstack.images-"


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
    tokens: Tokens | None = None
    scheme: str = "http"
    prefix: str = ""

    def answer(self, request: ReceivedRequest) -> Response:
        """Return the reply to a request; an error is a reply too."""
        try:
            response = self._route(request)
        except Refused as refused:
            response = refused.response(request)
        # oslo.middleware's CORS filter answers OPTIONS where nothing else does.
        if request.method == "OPTIONS" and response.status >= HTTPStatus.MULTIPLE_CHOICES:
            return Response(200, content_type="")
        return response

    def _route(self, request: ReceivedRequest) -> Response:
        if not request.path.startswith(f"{self.prefix}/"):
            raise Refused(404)
        path = request.path[len(self.prefix) :]
        if path == "/healthcheck" or path.startswith("/healthcheck/"):
            return report_health(request)
        # As WSGI decodes a path: before it is split, and each byte as a character.
        decoded = unquote(path, "latin-1").lstrip("/")
        version, *rest = decoded.split("/")
        accept = request.headers.get("accept", "")
        if accept.startswith(_VENDOR):
            version, rest = accept[len(_VENDOR) :], [version, *rest]
        if version not in _V1 | _V2:
            return self._versions(request, 200 if version == "versions" else 300)
        request = self._identify(request)
        if version in _V2 and not rest:
            root = (("Location", f"{self._origin(request)}/v2/"),)
            found = Response(302, content_type="text/plain; charset=utf8", headers=root)
            return self.add_request_id(request, found)
        return self.add_request_id(request, self._call(version, request, tuple(rest)))

    def _identify(self, request: ReceivedRequest) -> ReceivedRequest:
        """Return the request with its identity and the id of its reply.

        Raises:
            Refused: 401, if its token is not accepted.
        """
        request_id = self._choose_request_id(request)
        if self.tokens is None:
            return replace(request, request_id=request_id)
        identity = identify(self.tokens, request.headers.get("x-auth-token"))
        if identity is None:
            raise Refused(401, headers=(("WWW-Authenticate", 'Keystone uri="http://keystone"'),))
        return replace(request, identity=identity, request_id=request_id)

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
        """Add a request id to a reply."""
        request_id = request.request_id or self._choose_request_id(request)
        return response.with_headers((REQUEST_ID, request_id))

    def _choose_request_id(self, request: ReceivedRequest) -> str:
        """Return a request id.

        As in Glance, a request with a token may choose the id; the id always starts with ``req-``.
        """
        chosen = request.headers.get("x-openstack-request-id")
        if self.tokens is None or not chosen:
            return f"req-{uuid.uuid4()}"
        return chosen if chosen.startswith("req-") else f"req-{chosen}"

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
