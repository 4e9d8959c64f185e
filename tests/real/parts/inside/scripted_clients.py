"""Plays a script of operations by stock clients: scripted_clients.py URL... < SCRIPT.

It runs inside nova's environment, which has python-glanceclient and openstacksdk as well. Its
output is JSON: by client and URL, the ids that were kept, and what each step returned or raised. A
client is not asked for what it has no call for.
"""

import io
import json
import os
import sys
import time
import warnings
from contextlib import suppress

os.environ["OS_NOVA_DISABLE_EVENTLET_PATCHING"] = "1"
import nova.conf
import openstack
from glanceclient import Client
from keystoneauth1 import noauth
from nova import context, objects
from nova.image import glance as nova_glance

BASE = ("id", "name", "disk_format", "container_format", "min_disk", "min_ram", "protected")
PAGING = ("limit", "marker", "sort_key", "sort_dir")
PATIENCE = 1.0  # seconds for an import
PAUSE = 0.05


class Glanceclient:
    def __init__(self, url):
        self._client = Client(endpoint=f"{url}/v2")
        images, members, tags = (
            self._client.images,
            self._client.image_members,
            self._client.image_tags,
        )
        self.show, self.delete = images.get, images.delete
        self.deactivate, self.reactivate = images.deactivate, images.reactivate
        self.import_info = images.get_import_info
        self.add_tag, self.remove_tag = tags.update, tags.delete
        self.add_member, self.remove_member = members.create, members.delete
        self.list_members, self.show_member = members.list, members.get

    def set_member(self, image, member, status):
        return self._client.image_members.update(image, member, status)

    def create(self, attributes):
        return self._client.images.create(**attributes)

    def update(self, image, changes, remove):
        return self._client.images.update(image, remove or None, **changes)

    def list(self, query):
        paging = {name: query.pop(name) for name in PAGING if name in query}
        query["tag"] = [query["tag"]]
        return [each.name for each in self._client.images.list(filters=query, **paging)]

    def download(self, image):
        body = self._client.images.data(image)
        return None if body is None or body.wrapped is None else b"".join(body)

    def upload(self, image, data):
        return self._client.images.upload(image, io.BytesIO(data.encode()))

    def stage(self, image, data):
        self._client.images.stage(image, io.BytesIO(data.encode()))

    def import_(self, image, method):
        self._client.images.image_import(image, method)


class Openstacksdk:
    def __init__(self, url):
        self._proxy = openstack.connect(auth_type="none", endpoint=url, image_api_version="2").image
        self.show, self.delete = self._proxy.get_image, self._delete
        self.deactivate, self.reactivate = (
            self._proxy.deactivate_image,
            self._proxy.reactivate_image,
        )
        self.import_info = self._proxy.get_import_info
        self.add_tag, self.remove_tag = self._proxy.add_tag, self._proxy.remove_tag

    def _delete(self, image):
        self._proxy.delete_image(image, ignore_missing=False)

    def create(self, attributes):
        return self._proxy.create_image(**attributes, allow_duplicates=True)

    def update(self, image, changes, remove):
        if remove:
            changes = {**changes, **dict.fromkeys(remove)}
        return self._proxy.update_image(image, **changes)

    def list(self, query):
        return [each.name for each in self._proxy.images(**query)]

    def download(self, image):
        return self._proxy.download_image(image).content

    def upload(self, image, data):
        found = self._proxy.get_image(image)
        found.data = data.encode()
        openstack.exceptions.raise_from_response(found.upload(self._proxy))

    def stage(self, image, data):
        self._proxy.stage_image(self._proxy.get_image(image), data=data.encode())

    def import_(self, image, method):
        self._proxy.import_image(self._proxy.get_image(image), method)

    def add_member(self, image, member):
        return self._proxy.add_member(image, member_id=member)

    def list_members(self, image):
        return list(self._proxy.members(image))

    def show_member(self, image, member):
        return self._proxy.get_member(member, image)

    def set_member(self, image, member, status):
        return self._proxy.update_member(member, image, status=status)

    def remove_member(self, image, member):
        self._proxy.remove_member(member, image, ignore_missing=False)


class Nova:
    """nova's image service; its names of attributes are nova's own."""

    def __init__(self, url):
        nova.conf.CONF.set_override("api_servers", [url], group="glance")
        self._service = nova_glance.GlanceImageServiceV2()
        self._context = context.RequestContext(is_admin=True, user_auth_plugin=noauth.NoAuth())

    def _meta(self, attributes):
        meta = {key: attributes[key] for key in BASE if key in attributes}
        others = {key: value for key, value in attributes.items() if key not in BASE}
        if "visibility" in others:
            meta["visibility"] = others.pop("visibility")
        return {**meta, "properties": others} if others else meta

    def create(self, attributes):
        tags = attributes.pop("tags")
        made = self._service.create(self._context, self._meta(attributes))
        # nova can't set tags: its service finds the images by a property.
        return self._service.update(
            self._context, made["id"], {"properties": {"tag": tags[0]}}, purge_props=False
        )

    def show(self, image):
        return self._service.show(self._context, image)

    def update(self, image, changes, remove):
        if remove:
            raise NotImplementedError
        return self._service.update(self._context, image, self._meta(changes), purge_props=False)

    def delete(self, image):
        return self._service.delete(self._context, image)

    def list(self, query):
        paging = {name: query.pop(name) for name in PAGING if name in query}
        query["property-tag"] = query.pop("tag")
        found = self._service.detail(self._context, filters=query, **paging)
        return [each["name"] for each in found]

    def download(self, image):
        return b"".join(self._service.download(self._context, image))

    def upload(self, image, data):
        return self._service.update(
            self._context, image, {}, io.BytesIO(data.encode()), purge_props=False
        )


# openstacksdk and nova warn of what they use themselves.
warnings.simplefilter("ignore")

CLIENTS = {"python-glanceclient": Glanceclient, "openstacksdk": Openstacksdk, "nova": Nova}


def main(*urls):
    nova.conf.CONF([], project="nova", default_config_files=[])
    objects.register_all()
    script = json.load(sys.stdin)
    told = {name: [play(client(url), script) for url in urls] for name, client in CLIENTS.items()}
    json.dump(told, sys.stdout)


def play(client, script):
    ids, results = {}, []
    for step in script:
        arguments = {name: fill_in(value, ids) for name, value in step.items()}
        op, keep = arguments.pop("op"), arguments.pop("keep", None)
        result = call(client, op, arguments)
        if keep and "value" in result:
            ids[keep] = result["value"]["id"]
        results.append(result)
    return {"ids": ids, "results": results}


def fill_in(value, ids):
    if isinstance(value, dict):
        return {name: fill_in(each, ids) for name, each in value.items()}
    if isinstance(value, str) and value.startswith("<"):
        return ids.get(value[1:-1], value)
    return value


def call(client, op, arguments):
    if op == "await_status":
        return await_status(client, **arguments)
    method = getattr(client, "import_" if op == "import" else op, None)
    if method is None:
        return {"absent": True}
    positional = [arguments.pop(name) for name in ("image", "tag", "member") if name in arguments]
    try:
        return {"value": plain(method(*positional, **arguments))}
    except NotImplementedError:
        return {"absent": True}
    except Exception as error:  # noqa: BLE001 - whatever a client raises is compared
        return {"raised": type(error).__name__, "text": str(error)}


def await_status(client, image, status):
    """Show an image until it has a status; a client without imports is not asked."""
    if not hasattr(client, "import_"):
        return {"absent": True}
    found, end = None, time.monotonic() + PATIENCE
    while found != status and time.monotonic() < end:
        time.sleep(PAUSE)
        with suppress(Exception):
            found = plain(client.show(image))["status"]
    return {"value": found}


def plain(value):
    if isinstance(value, bytes):
        return {"bytes": value.decode("latin-1")}
    if hasattr(value, "to_dict"):
        return plain(value.to_dict(computed=False, original_names=True))
    if isinstance(value, dict) or hasattr(value, "keys"):
        return {key: plain(value[key]) for key in value}
    if value is None or isinstance(value, (str, int, float)):
        return value
    return [plain(each) for each in value] if hasattr(value, "__iter__") else str(value)


if __name__ == "__main__":
    main(*sys.argv[1:])
