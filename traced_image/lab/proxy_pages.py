"""The error pages of nginx and HAProxy, byte for byte, for what stands in front of a Glance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .http1 import REASONS, Response

if TYPE_CHECKING:
    from collections.abc import Mapping

NGINX_VERSION = "nginx/1.22.1"

# The titles that differ from the reason phrases of HTTP, as nginx 1.22.1 sends them
# (src/http/ngx_http_special_response.c and ngx_http_header_filter_module.c).
_NGINX_TITLES: Mapping[int, str] = {
    401: "401 Authorization Required",
    405: "405 Not Allowed",
    408: "408 Request Time-out",
    414: "414 Request-URI Too Large",
    416: "416 Requested Range Not Satisfiable",
    503: "503 Service Temporarily Unavailable",
    504: "504 Gateway Time-out",
}
_NGINX_LINES: Mapping[int, str] = {**_NGINX_TITLES, 401: "401 Unauthorized"}
_NGINX_CLOSES = frozenset({400, 408, 413, 414, 500, 501})
_NGINX_PAGE = (
    "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n"
    "<center><h1>{title}</h1></center>\r\n"
    "<hr><center>{version}</center>\r\n</body>\r\n</html>\r\n"
)

# As HAProxy 2.6.12 sends them (src/http.c, http_err_msgs).
_HAPROXY: Mapping[int, tuple[str, str]] = {
    400: ("Bad request", "Your browser sent an invalid request."),
    401: ("Unauthorized", "You need a valid user and password to access this content."),
    403: ("Forbidden", "Request forbidden by administrative rules."),
    404: ("Not Found", "The resource could not be found."),
    408: ("Request Time-out", "Your browser didn't send a complete request in time."),
    413: ("Payload Too Large", "The request entity exceeds the maximum allowed."),
    429: (
        "Too Many Requests",
        "You have sent too many requests in a given amount of time.",
    ),
    500: ("Internal Server Error", "An internal server error occurred."),
    502: ("Bad Gateway", "The server returned an invalid or incomplete response."),
    503: ("Service Unavailable", "No server is available to handle this request."),
    504: ("Gateway Time-out", "The server didn't respond in time."),
}
_HAPROXY_CLOSES = frozenset({400, 408})

HAPROXY_STATUSES = tuple(_HAPROXY)


@dataclass(frozen=True)
class NginxPage(Response):
    """An error page of nginx, whose headers have an order and a ``Server`` of their own."""

    def head(self, *, length: int | None = None, close: bool = False) -> bytes:
        """Return the status line and headers as nginx sends them."""
        line, _, rest = super().head(length=length, close=close).partition(b"\r\n")
        date = next(each for each in rest.split(b"\r\n") if each.startswith(b"Date: "))
        size = len(self.body) if length is None else length
        fields = (
            f"HTTP/1.1 {_NGINX_LINES.get(self.status, line.decode()[9:])}",
            f"Server: {NGINX_VERSION}",
            date.decode(),
            "Content-Type: text/html",
            f"Content-Length: {size}",
            f"Connection: {'close' if close else 'keep-alive'}",
        )
        return "\r\n".join((*fields, "", "")).encode()


@dataclass(frozen=True)
class HaproxyPage(Response):
    """An error page of HAProxy, which has no ``Date``, and no ``Connection`` if it is kept."""

    def head(self, *, length: int | None = None, close: bool = False) -> bytes:
        """Return the status line and headers as HAProxy sends them."""
        fields = (
            f"HTTP/1.1 {self.status} {_HAPROXY[self.status][0]}",
            f"content-length: {len(self.body) if length is None else length}",
            "cache-control: no-cache",
            "content-type: text/html",
            *(("connection: close",) if close else ()),
        )
        return "\r\n".join((*fields, "", "")).encode()


def make_nginx_page(status: int) -> Response:
    """Build nginx's error page of a status."""
    title = _NGINX_TITLES.get(status, f"{status} {REASONS.get(status, 'Unknown')}")
    page = _NGINX_PAGE.format(title=title, version=NGINX_VERSION)
    return NginxPage(status, page.encode())


def make_haproxy_page(status: int) -> Response:
    """Build HAProxy's error page of a status, one of `HAPROXY_STATUSES`."""
    title, text = _HAPROXY[status]
    page = f"<html><body><h1>{status} {title}</h1>\n{text}\n</body></html>\n"
    return HaproxyPage(status, page.encode())


def closes_connection(proxy: str, status: int) -> bool:
    """Return whether nginx or HAProxy closes the connection after such a page."""
    return status in (_NGINX_CLOSES if proxy == "nginx" else _HAPROXY_CLOSES)
