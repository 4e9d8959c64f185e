"""Glance's API v2 on a store in memory, with the statuses, bodies and texts of Glance 33."""

from __future__ import annotations

from functools import partial

from ..routing import Routes
from . import data, images, imports, info, listing, locations, sharing, tasks
from .requests import read_json
from .schemas import SCHEMAS, show

_SHOW_SCHEMAS = {f"schemas/{name}": partial(show, name) for name in SCHEMAS}

ROUTES = Routes(
    {
        "images/*": {"GET": images.show, "PATCH": images.update, "DELETE": images.delete},
        "images": {"GET": listing.index, "POST": images.create},
        "images/*/file": {"GET": data.download, "PUT": data.upload},
        "images/*/stage": {"PUT": data.stage},
        "images/*/locations": {"GET": locations.show, "POST": locations.add},
        "images/*/import": {"POST": imports.start},
        "images/*/actions/deactivate": {"POST": images.deactivate},
        "images/*/actions/reactivate": {"POST": images.reactivate},
        "images/*/members": {"GET": sharing.list_members, "POST": sharing.add_member},
        "images/*/members/*": {
            "GET": sharing.show_member,
            "PUT": sharing.change_member,
            "DELETE": sharing.remove_member,
        },
        "images/*/tags/*": {"PUT": sharing.add_tag, "DELETE": sharing.remove_tag},
        "images/*/tasks": {"GET": imports.list_tasks},
        "tasks": {"GET": tasks.index, "POST": tasks.create},
        "tasks/*": {"GET": tasks.show, "DELETE": tasks.delete},
        "info/import": {"GET": info.show_import},
        "info/stores": {"GET": info.list_stores},
        "info/stores/detail": {"GET": info.detail_stores},
        "info/usage": {"GET": info.show_usage},
        "stores/*/*": {"DELETE": info.delete_from_store},
        **{path: {"GET": show_schema} for path, show_schema in _SHOW_SCHEMAS.items()},
    },
    bodyless={
        data.download,
        images.deactivate,
        images.delete,
        images.reactivate,
        images.show,
        sharing.add_tag,
        sharing.list_members,
        sharing.remove_member,
        sharing.remove_tag,
        sharing.show_member,
        *_SHOW_SCHEMAS.values(),
    },
    allowed={"images/*/locations": "POST", "images/*/tasks": None},
    read_refused=read_json,
)
