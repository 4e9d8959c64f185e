"""The attributes of HTTP requests and their replies, which spans and metrics have in common."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from . import catalogue as names

if TYPE_CHECKING:
    from opentelemetry.util.types import AttributeValue

    Attributes = dict[str, AttributeValue]


_LOWEST_ERROR = 400
_MOST_ORIGINS = 1024
_SCHEME_PORTS = {"http": 80, "https": 443}


def describe_request(method: str, url: str) -> Attributes:
    """Return the attributes of a request that its span and its metric have in common."""
    origin = "/".join(url.split("/", 3)[:3])
    return {names.HTTP_REQUEST_METHOD: method, **_describe_server(origin)}


@lru_cache(maxsize=_MOST_ORIGINS)
def _describe_server(origin: str) -> Attributes:
    """Return the attributes of a URL's server; nobody may change them."""
    parts = urlsplit(origin)
    port = parts.port or _SCHEME_PORTS[parts.scheme]
    return {names.SERVER_ADDRESS: str(parts.hostname), names.SERVER_PORT: port}


def describe_reply(status: int, version: str) -> Attributes:
    """Return the attributes of a reply; each status of 400 or more is an error of its client."""
    result: Attributes = {
        names.HTTP_RESPONSE_STATUS_CODE: status,
        names.NETWORK_PROTOCOL_VERSION: version,
    }
    if status >= _LOWEST_ERROR:
        result[names.ERROR_TYPE] = str(status)
    return result
