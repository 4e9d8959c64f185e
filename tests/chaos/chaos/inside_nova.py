"""Calls by nova's own image service, in nova's environment: ``inside_nova.py SETTINGS``."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

os.environ["OS_NOVA_DISABLE_EVENTLET_PATCHING"] = "1"
sys.path += [str(Path(__file__).parents[3]), str(Path(__file__).parents[1])]

import nova.conf  # type: ignore[import-not-found]
from nova import context, objects
from nova.image import glance  # type: ignore[import-not-found]

from chaos.inside import main


def _make(settings: dict[str, Any]) -> tuple[Any, Any]:
    nova.conf.CONF([], project="nova", default_config_files=[])
    for name, value in {
        "api_servers": settings["urls"],
        "cafile": settings["authority"],
        "num_retries": settings["retries"],
        "timeout": settings["timeout"],
    }.items():
        nova.conf.CONF.set_override(name, value, "glance")
    objects.register_all()
    who = context.RequestContext(
        settings["user"], settings["project"], auth_token=settings["token"]
    )
    return glance.GlanceImageServiceV2(), who


main(_make)
