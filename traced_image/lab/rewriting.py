"""Changes the replies of a lab server by its fault, before they are sent."""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from .access_log import REQUEST_ID
from .error_responses import Refused
from .http1 import BYTES, JSON, Response, make_json_response
from .proxy_pages import make_haproxy_page, make_nginx_page

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .fault import Fault
    from .http1 import ReceivedRequest
    from .met_faults import MetFaults

_STATUS_LINE = re.compile(rb"HTTP/1\.[01] (\d{3})")
_SILENT = ("never_answer", "lost_reply", "reset")
_ADDS_HEADERS = frozenset({"many_headers", "new_cookies"})
# The page size that python-glanceclient 0.8.0 asks for.
_PAGE = "20"


def rewrite(met: MetFaults, request: ReceivedRequest, response: Response) -> Response | None:
    """Return the reply that faults put in place of `response`; None for no reply."""
    if met.find(*_SILENT):
        return None
    # A reply is replaced first, and then gets its headers.
    for fault in sorted(met.parts, key=lambda part: part.name in _ADDS_HEADERS):
        change = _REWRITES.get(fault.name)
        response = response if change is None else change(fault, request, response)
    return response


def _status(fault: Fault, request: ReceivedRequest, response: Response) -> Response:
    after = () if fault.retry_after is None else (("Retry-After", str(fault.retry_after)),)
    return _instead(response, Refused(fault.code, headers=after), request)


def _redirect(fault: Fault, request: ReceivedRequest, response: Response) -> Response:
    headers = tuple(("Location", location) for location in fault.headers)
    return _instead(response, Refused(fault.code, headers=headers), request)


def _redirect_loop(_: Fault, request: ReceivedRequest, response: Response) -> Response:
    return _instead(response, Refused(302, headers=(("Location", request.target),)), request)


def _extra(fault: Fault, request: ReceivedRequest, response: Response) -> Response:
    return _status(fault, request, response) if fault.code else response


def _instead(response: Response, refused: Refused, request: ReceivedRequest) -> Response:
    """Return an error's reply with the request id of the reply that it replaces."""
    ids = [header for header in response.headers if header[0] == REQUEST_ID]
    return refused.response(request).with_headers(*ids)


def _code(fault: Fault, _: ReceivedRequest, response: Response) -> Response:
    """Give the reply the fault's status, for the access log; its bytes are the fault's own."""
    return replace(response, status=fault.code)


def _raw_status(fault: Fault, _: ReceivedRequest, response: Response) -> Response:
    found = _STATUS_LINE.match(fault.data)
    return replace(response, status=int(found[1]) if found else 0)


def _not_json(_: Fault, __: ReceivedRequest, response: Response) -> Response:
    body = b"This text says that it is JSON.\n"
    return replace(response, status=200, body=body, content_type="application/json")


def _wrong_type(fault: Fault, _: ReceivedRequest, response: Response) -> Response:
    body = json.dumps(fault.value).encode()
    return replace(response, status=200, body=body, content_type="application/json")


def _huge_json(fault: Fault, _: ReceivedRequest, response: Response) -> Response:
    body = b'{"images": [{}%s]}' % (b",{}" * ((fault.count or 0) // 3))
    return replace(response, status=200, body=body, content_type="application/json")


def _endless_pages(fault: Fault, request: ReceivedRequest, response: Response) -> Response:
    query = dict(request.query)
    ids = [str(uuid.uuid4()) for _ in range(int(query.get("limit", _PAGE)))]
    query["marker"] = ids[-1]
    body: dict[str, JSON] = {
        "images": [{"id": each, "name": "endless", "status": "queued", "tags": []} for each in ids],
        "next": f"{request.path}?{urlencode(query)}",
        "filler": "x" * (fault.count or 0),
    }
    page = make_json_response(200, body)
    return page.with_headers(*response.headers)


def _many_headers(fault: Fault, _: ReceivedRequest, response: Response) -> Response:
    return response.with_headers(*((f"X-Many-{n}", "x") for n in range(fault.count or 0)))


def _new_cookies(_: Fault, __: ReceivedRequest, response: Response) -> Response:
    return response.with_headers(("Set-Cookie", f"lab-{uuid.uuid4()}=1; Path=/"))


def _nginx(fault: Fault, _: ReceivedRequest, __: Response) -> Response:
    return make_nginx_page(fault.code)


def _haproxy(fault: Fault, _: ReceivedRequest, __: Response) -> Response:
    return make_haproxy_page(fault.code)


def _corrupt(_: Fault, __: ReceivedRequest, response: Response) -> Response:
    body = response.body
    if response.content_type != BYTES or not body:
        return response
    return replace(response, body=bytes([body[0] ^ 1]) + body[1:])


_REWRITES: Mapping[str, Callable[[Fault, ReceivedRequest, Response], Response]] = {
    "corrupt_data": _corrupt,
    "early_answer": _status,
    "endless_body": _code,
    "endless_pages": _endless_pages,
    "extra_reply": _extra,
    "haproxy_error": _haproxy,
    "huge_json": _huge_json,
    "many_headers": _many_headers,
    "new_cookies": _new_cookies,
    "nginx_error": _nginx,
    "not_json": _not_json,
    "raw_reply": _raw_status,
    "redirect": _redirect,
    "redirect_loop": _redirect_loop,
    "slow_error": _status,
    "status": _status,
    "unexpected_body": _code,
    "wrong_type": _wrong_type,
}
