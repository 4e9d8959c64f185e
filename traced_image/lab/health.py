"""``/healthcheck``, as oslo.middleware answers it: text, JSON or HTML, and no body to HEAD."""

from __future__ import annotations

from .accept import choose_media_type
from .http1 import ReceivedRequest, Response, make_json_response

_KINDS = ("text/plain", "text/html", "application/json")
_PAGE = """<HTML>
<HEAD><TITLE>Healthcheck Status</TITLE></HEAD>
<BODY>

<H2>Result of 1 checks:</H2>
<TABLE bgcolor="#ffffff" border="1">
<TBODY>
<TR>

<TH>
Reason
</TH>
</TR>
<TR>

    <TD>OK</TD>

</TR>
</TBODY>
</TABLE>
<HR></HR>

</BODY>
</HTML>"""


def report_health(request: ReceivedRequest) -> Response:
    """``GET /healthcheck``."""
    if request.method == "HEAD":
        return Response(204, content_type="")
    chosen = choose_media_type(request.headers.get("accept", ""), _KINDS)
    if chosen == "application/json":
        return make_json_response(200, {"detailed": False, "reasons": ["OK"]})
    if chosen == "text/html":
        return Response(200, _PAGE.encode())
    return Response(200, b"OK", "text/plain; charset=UTF-8")
