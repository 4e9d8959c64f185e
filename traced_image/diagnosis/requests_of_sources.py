"""Requests to a Prometheus or an exporter: who asks, whom it trusts, and what can't be read."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import requests
from requests.auth import AuthBase, HTTPBasicAuth

from ..config.checks import format_value
from ..config.tls import check_path
from ..errors import DiagnosisError
from ..reasons import classify
from ..redact import hide_in_text, hide_in_url

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Self

LIMIT = 30.0
"""Seconds for one answer; Prometheus itself gives up a query after two minutes."""

MOST = 2**28
"""Bytes that an answer has at most: what is at the URL may never end."""

_PART = 2**16
_READ, _SHOWN = 2000, 300
"""Characters of an error that are looked at for secrets, and of those that are shown."""

_WEB = ("http://", "https://")
_TLS = " and --cafile"


@dataclass(frozen=True, slots=True)
class SourceAccess:
    """How a source lets its readers in.

    Attributes:
        user: The name for basic auth; None for none.
        password: Its password.
        token: A bearer token; None for none.
        cafile: A file of certificate authorities to trust, in PEM; None for the usual ones.
    """

    user: str | None = None
    password: str = field(default="", repr=False)
    token: str | None = field(default=None, repr=False)
    cafile: str | None = None


class _BearerAuth(AuthBase):
    """Sends a bearer token (RFC 6750)."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class SourceReader:
    """Reads JSON below the URL of a source; a context manager.

    Args:
        url: The URL; ``user:password@`` in it is used, and never shown.
        access: How the source lets its readers in.
        kind: What the source is, for messages.
        limit: Seconds for one answer.

    Attributes:
        shown: The URL without its secrets.
        name: What the source is, and the URL without its secrets.
    """

    def __init__(self, url: str, access: SourceAccess, kind: str, limit: float = LIMIT) -> None:
        self.shown = hide_in_text(hide_in_url(url)).rstrip("/")
        if not url.startswith(_WEB):
            raise DiagnosisError(f"{kind} {format_value(url)}: write it like http://10.0.0.9:9090")
        self.name = f"{kind} {self.shown}"
        self._url, self._access, self._limit = url.rstrip("/"), access, limit
        self._session = requests.Session()
        self._session.auth = self._make_auth()
        if access.cafile is not None:
            check_path("--cafile", access.cafile, "argument")
            self._session.verify = access.cafile

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def _make_auth(self) -> AuthBase | None:
        if self._access.token is not None:
            return _BearerAuth(self._access.token)
        if self._access.user is not None:
            return HTTPBasicAuth(self._access.user, self._access.password)
        return None

    def read(self, path: str, parameters: Mapping[str, str] | None = None) -> object:
        """Return the JSON at a path.

        Raises:
            DiagnosisError: There is no answer, a refusal, no JSON, or too much of it.
        """
        url = f"{self._url}{path}"
        try:
            with self._session.get(
                url, params=parameters, timeout=self._limit, stream=True
            ) as reply:
                body = _read_body(reply)
        except (OSError, ValueError) as error:  # requests' errors are OSErrors
            raise DiagnosisError(f"{classify(error, self.name)}; check its URL{_TLS}") from error
        if len(body) > MOST:
            problem = f"its answer is longer than {MOST:,} bytes; check that the URL is right"
            raise DiagnosisError(f"{self.name}: {problem}")
        try:
            answer: object = json.loads(body)
        except (ValueError, RecursionError):  # the latter: lists in lists without end
            answer = None
        if reply.ok and answer is not None:
            return answer
        problem = f"HTTP {reply.status_code}{_read_error(answer)}"
        raise DiagnosisError(f"{self.name}: {problem}; {_fix(reply.status_code)}")


def _read_body(reply: requests.Response) -> bytes:
    """Return the body, up to the part that exceeds `MOST`."""
    body = bytearray()
    for part in reply.iter_content(_PART):
        body += part
        if len(body) > MOST:
            break
    return bytes(body)


def _read_error(answer: object) -> str:
    """Return what Prometheus says of an error, which may quote the query, but no secret."""
    told = answer.get("error") if isinstance(answer, dict) else None
    return f", {hide_in_text(str(told)[:_READ])[:_SHOWN]}" if told else ""


def _fix(status: int) -> str:
    if status in (401, 403):
        return "give --user and --password-file, or --token-file"
    return "check that the URL is right, with its prefix"
