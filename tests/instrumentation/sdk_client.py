"""How a program that uses openstacksdk reaches a server."""

from __future__ import annotations

from keystoneauth1 import session
from keystoneauth1.token_endpoint import Token
from openstack.connection import Connection

DELAY = 0.001
"""Seconds that the SDK waits before it sends a request again; 0.5 and more by default."""


def over_override(url, auth=None):
    """The configuration names the server, as ironic's does."""
    auth = auth or Token("http://127.0.0.1:1", "t")
    return Connection(
        session=session.Session(auth=auth), image_endpoint_override=url, image_api_version="2"
    )


def over_catalogue(url, auth=None):
    """Keystone's catalogue names the server, with the version of the API."""
    return Connection(session=session.Session(auth=auth or Token(f"{url}/v2", "t")))


KINDS = (over_override, over_catalogue)


def find_images(connection):
    """Return the image proxy of a connection, which asks the server for its versions."""
    proxy = connection.image
    proxy.status_code_retry_delay = proxy.connect_retry_delay = DELAY
    return proxy
