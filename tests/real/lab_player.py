"""Plays the requests of `lab_requests` to a server, and makes its replies comparable."""

import http.client
import json
import re
import time
import uuid
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from lab_requests import Ask, requests_of

_LIMIT = 60.0
_PATIENCE = 8.0
_HEADERS = (
    *("Content-Type", "Location", "Allow", "Accept-Patch", "WWW-Authenticate", "Retry-After"),
    *("Content-MD5", "Content-Range", "X-Openstack-Request-Id", "OpenStack-image-import-methods"),
    *("OpenStack-image-store-ids", "Access-Control-Allow-Origin"),
)
_UUID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")
_TIME = re.compile(r"\b20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)?")
_PLACE = re.compile(r"(file:///[^\"]*/fast/|memory://fs/)")
_STORES = re.compile(r"\bfast(,slow,web(,os_glance_staging_store,os_glance_tasks_store)?)?\b")
_KEYSTONE = re.compile(r'(?<=Keystone uri=)"[^"]*"')
_HTTP_STORE = re.compile(r'(?<="store": )"web"|(?<="stores": )"web(,web)?"')
_FORMATS = re.compile(r"(?<=Multiple formats detected: )[\w,]+")


@dataclass(frozen=True)
class Reply:
    """What is compared of a reply: ids, times, addresses and the name of the store are alike.

    Attributes:
        status: The HTTP status.
        headers: Those of `_HEADERS` that it has.
        body: What its JSON says, or its text.
    """

    status: int
    headers: Mapping[str, str]
    body: object


@dataclass
class Player:
    """Sends families of requests to one server.

    Attributes:
        url: The server's address without a version.
        tokens: The token of each user.
        known: Values that are sent and come back, by their names in requests and replies.
    """

    url: str
    tokens: Mapping[str, str] = field(default_factory=dict)
    known: Mapping[str, str] = field(default_factory=dict)

    def play(self, family: str) -> dict[str, Reply]:
        """Send a family's requests in order; return the replies by the requests' labels."""
        place = urlsplit(self.url)
        ids = {**self.known, "fresh": str(uuid.uuid4())}
        # Ids in a known order, since lists can be sorted by them.
        ids |= {f"id{number}": f"{number:x}{str(uuid.uuid4())[1:]}" for number in range(12)}
        replies = {}
        line = http.client.HTTPConnection(place.hostname, place.port, timeout=_LIMIT)
        with closing(line):
            for label, ask in requests_of(family):
                replies[label] = self._exchange(line, ask, ids)
        return replies

    def _exchange(self, line: http.client.HTTPConnection, ask: Ask, ids: dict[str, str]) -> Reply:
        give_up = time.monotonic() + _PATIENCE
        while True:
            status, headers, body = self._send(line, ask, ids)
            text = body.decode("utf-8", "backslashreplace")
            ended = not ask.until or any(word in text for word in ask.until)
            if (ended and not (ask.gone and ask.gone in text)) or time.monotonic() > give_up:
                break
            time.sleep(0.02)
        if ask.keep:
            ids[ask.keep] = _read_id(body, ids.get(ask.keep, "no-id"))
        return Reply(status, self._alike_headers(headers, ids), self._alike_body(text, ids))

    def _send(
        self, line: http.client.HTTPConnection, ask: Ask, ids: Mapping[str, str]
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        body = _fill(ask.content.decode("latin-1"), ids).encode("latin-1")
        line.putrequest(ask.method, _fill(ask.target, ids), skip_accept_encoding=True)
        headers = {"Accept": "*/*", **ask.headers}
        if ask.user is not None:
            headers["X-Auth-Token"] = self.tokens[ask.user]
        if body or ask.method in ("POST", "PUT", "PATCH"):
            headers["Content-Length"] = str(len(body))
        for name, value in headers.items():
            line.putheader(name, value.encode())
        line.endheaders(body)
        with closing(line.getresponse()) as response:
            content = response.read()
        return response.status, response.headers, content

    def _alike_headers(
        self, headers: http.client.HTTPMessage, ids: Mapping[str, str]
    ) -> dict[str, str]:
        return {name: self._alike(headers[name], ids) for name in _HEADERS if name in headers}

    def _alike_body(self, text: str, ids: Mapping[str, str]) -> object:
        text = self._alike(text, ids)
        try:
            return _with_sorted_tags(json.loads(text))
        except ValueError:
            return text

    def _alike(self, text: str, ids: Mapping[str, str]) -> str:
        for name, value in ids.items():
            text = text.replace(value, f"<{name}>") if len(value) > 8 else text
        text = text.replace(self.url, "<url>")
        text = _PLACE.sub("memory://fs/", text)
        text = _STORES.sub("fs", text)
        text = _KEYSTONE.sub("<keystone>", text)
        text = _HTTP_STORE.sub('"fs"', text)
        text = _UUID.sub("<uuid>", text)
        text = _FORMATS.sub(lambda match: ",".join(sorted(match[0].split(","))), text)
        return _TIME.sub("<time>", text)


def _fill(text: str, ids: Mapping[str, str]) -> str:
    for name, value in ids.items():
        text = text.replace(f"<{name}>", value)
    return text


def _read_id(body: bytes, otherwise: str) -> str:
    try:
        value = json.loads(body)
        value = value.get("tasks", [value])[0]
        return str(value["id"])
    except (ValueError, KeyError, TypeError, IndexError, AttributeError):
        return otherwise


def _with_sorted_tags(body: object) -> object:
    """An image's tags are a set in Glance, which has another order in each process."""
    for image in body.get("images", [body]) if isinstance(body, dict) else ():
        if isinstance(image, dict) and isinstance(image.get("tags"), list):
            image["tags"].sort()
    return body
