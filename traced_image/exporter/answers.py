"""Decides what the exporter answers: metrics, the report as JSON, the page, and health checks."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from functools import partial
from importlib import resources
from typing import TYPE_CHECKING
from urllib.parse import quote

from ..telemetry.multiprocess import read_all
from .exposition import expose
from .messages import ExporterResponse, complete, say
from .report import make_report

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from prometheus_client import CollectorRegistry

    from .journal import Journal
    from .messages import ExporterRequest
    from .server_report import Probed

METHODS = ("GET", "HEAD")
"""The methods that the exporter answers."""

_INLINE = re.compile(r"<(script|style)>(.*?)</\1>", re.DOTALL)


def _read_page() -> str:
    return resources.files(__package__).joinpath("page.html").read_text("utf-8")


def _build_policy(page: str) -> str:
    """Build a Content-Security-Policy that allows only the page's own inline script and style."""
    # By their hashes, so that a script that somebody injects does not run (CSP Level 3).
    allowed: dict[str, list[str]] = {"script": [], "style": []}
    for kind, text in _INLINE.findall(page):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        allowed[kind].append(f"'sha256-{digest}'")
    return (
        f"default-src 'none'; script-src {' '.join(allowed['script'])}; "
        f"style-src {' '.join(allowed['style'])}; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


class ExporterAnswers:
    """Answers requests; needs no web framework.

    Args:
        registry: The registry whose metrics ``/metrics`` shows.
        journal: The last hour, for ``/servers`` and the page.
        trace_url: The URL of a trace in a tracing UI, with ``{trace_id}`` as a placeholder.
        probed: Returns what the exporter's probes found; None if the process makes no probes.
        ready: Says whether ``/readyz`` answers 200; otherwise it answers 503.

    Attributes:
        headers: The security headers of every response.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        journal: Journal,
        *,
        trace_url: str | None = None,
        probed: Callable[[], Probed] | None = None,
        ready: Callable[[], bool] = lambda: True,
    ) -> None:
        self._journal = journal
        self._trace_url = trace_url
        self._probed = probed
        self._ready = ready
        page = _read_page()
        self._page = page.encode()
        self._paths: Mapping[str, Callable[[ExporterRequest], ExporterResponse]] = {
            "/": self._show_page,
            "/servers": self._report,
            "/metrics": partial(expose, read_all(registry)),
            "/healthz": lambda _: say("ok"),
            "/readyz": lambda _: say("ok") if self._ready() else say("not yet", 503),
        }
        self.headers = (
            ("content-security-policy", _build_policy(page)),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
        )

    def __call__(self, request: ExporterRequest) -> ExporterResponse:
        """Return the response to a request; whatever a collector of the registry raises."""
        return complete(self._find(request), request, self.headers)

    def _find(self, request: ExporterRequest) -> ExporterResponse:
        if request.method not in METHODS:
            return say("only GET and HEAD", 405, ("allow", ", ".join(METHODS)))
        # Without its slash, the page's relative addresses would lead out of the mount. The redirect
        # is relative, too: only the client knows under which name and path it reaches the mount.
        if not request.path and request.mount:
            place = f"{quote(request.mount.rpartition('/')[2], safe='')}/"
            return say("the page has a slash at its end", 307, ("location", place))
        answer = self._paths.get(request.path.rstrip("/") or "/")
        return say("there is nothing here", 404) if answer is None else answer(request)

    def _show_page(self, _request: ExporterRequest) -> ExporterResponse:
        return ExporterResponse(200, (("content-type", "text/html; charset=utf-8"),), self._page)

    def _report(self, request: ExporterRequest) -> ExporterResponse:
        hour = self._journal.hour()
        notice = self._journal.notice(hour, several=request.shared)
        probed = None if self._probed is None else self._probed()
        report = make_report(hour, self._trace_url, probed, notice=notice)
        body = json.dumps(report, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        kind = "content-type", "application/json"
        return ExporterResponse(200, (kind, ("cache-control", "no-store")), body.encode())
