"""Glance's error replies: WebOb's bodies, as HTML, JSON or text, by the client's Accept header."""

from __future__ import annotations

import html
import json
import re
from http import HTTPStatus

from .accept import choose_media_type
from .http1 import REASONS, Headers, ReceivedRequest, Response

_EXPLANATIONS = {
    400: "The server could not comply with the request since it is either malformed or otherwise"
    " incorrect.",
    401: "This server could not verify that you are authorized to access the document you"
    " requested. Either you supplied the wrong credentials (e.g., bad password), or your browser"
    " does not understand how to supply the credentials required.",
    403: "Access was denied to this resource.",
    404: "The resource could not be found.",
    409: "There was a conflict when trying to complete your request.",
    413: "The body of your request was too large for this server.",
    416: "The Range requested is not available.",
    500: "The server has either erred or is incapable of performing the requested operation.",
    503: "The server is currently unavailable. Please try again at a later time.",
}
_HTML, _JSON = "text/html", "application/json"
_PAGE = (
    "<html>\n <head>\n  <title>{line}</title>\n </head>\n <body>\n"
    "  <h1>{line}</h1>\n  {text}\n </body>\n</html>"
)


def _escape(text: str) -> str:
    """Escape as WebOb's ``html_escape``, which writes ASCII only."""
    return html.escape(text).encode("ascii", "xmlcharrefreplace").decode()


class Refused(Exception):  # noqa: N818 - it is an answer, and never leaves the lab
    """An error reply, raised by the code that finds the error.

    Args:
        status: The HTTP status.
        explanation: What went wrong; None for WebOb's standard text of the status.
        detail: The text that WebOb puts below the explanation.
        headers: Further headers of the reply.
    """

    def __init__(
        self,
        status: int,
        explanation: str | None = None,
        *,
        detail: str = "",
        headers: Headers = (),
    ) -> None:
        super().__init__(status, explanation, detail)
        self.status = status
        self.explanation = _EXPLANATIONS.get(status, "") if explanation is None else explanation
        self.detail = detail
        self.headers = headers

    def response(self, request: ReceivedRequest) -> Response:
        """Build the reply as HTML, JSON or text, by the request's Accept header."""
        title = REASONS.get(self.status, "Unknown")
        line = f"{self.status} {title}"
        chosen = choose_media_type(request.headers.get("accept", ""), (_HTML, _JSON))
        if chosen == _HTML:
            text = self._text(request, _escape(self.explanation), _escape(self.detail))
            kind, body = "text/html; charset=UTF-8", _PAGE.format(line=line, text=text)
        elif chosen == _JSON:
            text = self._text(request, self.explanation, self.detail)
            value = {"message": text, "code": line, "title": title}
            kind, body = "application/json", json.dumps(value)
        else:
            text = self._text(request, self.explanation, self.detail).replace("\n", " ")
            text = re.sub("<[^>]*>", "", text.replace("<br />", "\n"))
            kind, body = "text/plain; charset=UTF-8", f"{line}\n\n{text}"
        return Response(self.status, body.encode(), kind, self.headers)

    def _text(self, request: ReceivedRequest, explanation: str, detail: str) -> str:
        """Fill in WebOb's template of the status; three of the templates ignore the explanation."""
        if self.status == HTTPStatus.METHOD_NOT_ALLOWED and self.explanation:
            return self.explanation
        if self.status == HTTPStatus.METHOD_NOT_ALLOWED:
            problem = f"The method {request.method} is not allowed for this resource. <br /><br />"
            return f"{problem}\n{detail}"
        if self.status == HTTPStatus.UNSUPPORTED_MEDIA_TYPE:
            kind = request.headers.get("content-type", "${CONTENT_TYPE}")
            problem = f"The request media type {kind} is not supported by this server."
            return f"{problem}\n<br /><br />\n{detail}"
        if self.status == HTTPStatus.NOT_IMPLEMENTED:
            problem = f"The request method {request.method} is not implemented for this server."
            return f"\n{problem} <br /><br />\n{detail}"
        return f"{explanation}<br /><br />\n{detail}\n\n"
