"""The clients that `peer.py` runs: each function returns what makes one call.

They import what they need when they are called, since each environment has only some of it.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    Call = Callable[[], object]

PAGE_SIZE = 200
"""Records of a page of a list."""


def requests_get(url: str, image_id: str) -> Call:
    """`requests.Session().get(url).json()`, with a session that is reused."""
    import requests

    session, target = requests.Session(), f"{url}/v2/images/{image_id}"
    return lambda: session.get(target).json()


def urllib3_get(url: str, image_id: str) -> Call:
    """The same with urllib3's pool."""
    import json

    import urllib3

    pool, target = urllib3.PoolManager(), f"{url}/v2/images/{image_id}"
    return lambda: json.loads(pool.request("GET", target).data)


def requests_list(url: str, _image_id: str) -> Call:
    """Every page of a list, by requests."""
    import requests

    session = requests.Session()

    def fetch() -> object:
        images: list[object] = []
        path: str | None = f"/v2/images?limit={PAGE_SIZE}"
        while path:
            page = session.get(url + path).json()
            images += page["images"]
            path = page.get("next")
        return images

    return fetch


def requests_upload(url: str, path: str) -> Call:
    """A file, sent by requests."""
    import requests

    session = requests.Session()

    def upload() -> object:
        with Path(path).open("rb") as data:
            return session.put(f"{url}/v2/images/{'0' * 8}/file", data=data)

    return upload


def nova(url: str, image_id: str) -> Call:
    """The `show` of nova, with a service that is reused; it makes a client for each call."""
    make, context = _nova(url)
    service = make()
    return lambda: service.show(context, image_id)


def nova_operation(url: str, image_id: str) -> Call:
    """The same with a service for each call, as nova's API makes one for each operation."""
    make, context = _nova(url)
    return lambda: make().show(context, image_id)


def nova_list(url: str, _image_id: str) -> Call:
    """The `detail` of nova."""
    make, context = _nova(url)
    service = make()
    return lambda: service.detail(context, page_size=PAGE_SIZE)


def _nova(urls: str) -> tuple[Any, Any]:
    """What makes nova's image service, and a context."""
    os.environ["OS_NOVA_DISABLE_EVENTLET_PATCHING"] = "1"
    import nova.conf
    from keystoneauth1 import noauth
    from nova import context, objects
    from nova.image import glance

    del os.environ["OS_NOVA_DISABLE_EVENTLET_PATCHING"]
    nova.conf.CONF([], project="nova", default_config_files=[])
    nova.conf.CONF.set_override("api_servers", urls.split(","), group="glance")
    objects.register_all()
    logging.disable(logging.CRITICAL)  # a failed attempt is logged with its traceback
    # Without a token nova needs a plugin.
    admin = context.RequestContext(is_admin=True, user_auth_plugin=noauth.NoAuth())
    return glance.GlanceImageServiceV2, admin


def cinder(url: str, image_id: str) -> Call:
    """The `show` of cinder, with a service that is reused."""
    import cinder.image.image_utils  # noqa: F401 - the next module fails without
    from cinder import context
    from cinder.image import glance

    glance.CONF([], project="cinder", default_config_files=[])
    glance.CONF.set_override("glance_api_servers", url.split(","))
    logging.disable(logging.CRITICAL)
    user = context.RequestContext("user", "project", auth_token="t")
    service = glance.GlanceImageService()
    return lambda: service.show(user, image_id)


def openstacksdk(url: str, image_id: str) -> Call:
    """The `conn.image.get_image` of openstacksdk, with a connection that is reused."""
    conn = _connection(url)
    return lambda: conn.image.get_image(image_id)


def openstacksdk_list(url: str, _image_id: str) -> Call:
    """The `conn.image.images` of openstacksdk."""
    conn = _connection(url)
    return lambda: list(conn.image.images(limit=PAGE_SIZE))


def _connection(url: str) -> Any:  # noqa: ANN401
    import openstack.connection

    return openstack.connection.Connection(auth_type="none", endpoint=url)


def glanceclient(url: str, image_id: str) -> Call:
    """python-glanceclient's `images.data`, with a client that is reused."""
    images = _images(url)
    images.get(image_id)
    sink = Path(os.devnull).open("wb")  # noqa: SIM115
    return lambda: sink.writelines(images.data(image_id))


def glanceclient_get(url: str, image_id: str) -> Call:
    """python-glanceclient's `images.get`, with a client that is reused."""
    images = _images(url)
    return lambda: images.get(image_id)


def glanceclient_list(url: str, _image_id: str) -> Call:
    """python-glanceclient's `images.list`."""
    images = _images(url)
    return lambda: list(images.list(page_size=PAGE_SIZE))


def glanceclient_upload(url: str, path: str) -> Call:
    """python-glanceclient's `images.upload`."""
    images = _images(url)

    def upload() -> None:
        with Path(path).open("rb") as data:
            images.upload("0" * 8, data)

    return upload


def _images(url: str) -> Any:  # noqa: ANN401
    from glanceclient import Client

    return Client("2", endpoint=url).images


CLIENTS: dict[str, Callable[[str, str], Call]] = {
    each.__name__: each
    for each in (
        *(requests_get, requests_list, requests_upload, urllib3_get),
        *(nova, nova_operation, nova_list, cinder),
        *(openstacksdk, openstacksdk_list),
        *(glanceclient, glanceclient_get, glanceclient_list, glanceclient_upload),
    )
}
