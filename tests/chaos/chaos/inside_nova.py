"""Calls by nova's own image service or by python-glanceclient, which this package observes.

It runs in nova's environment until its input ends: ``inside_nova.py SETTINGS``, a file of JSON.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ["OS_NOVA_DISABLE_EVENTLET_PATCHING"] = "1"
sys.path += [str(Path(__file__).parents[3]), str(Path(__file__).parents[1])]

import glanceclient  # type: ignore[import-not-found]
import nova.conf  # type: ignore[import-not-found]
from nova import context, objects
from nova.image import glance  # type: ignore[import-not-found]

from chaos.callers import Caller, Journal, Traffic
from chaos.names import Names
from chaos.observing import Observer, settle
from chaos.records import Seen, dump_seen
from traced_image.instrumentation import GlanceInstrumentor

if TYPE_CHECKING:
    import io


class Glanceclient:
    """python-glanceclient with the methods that callers call; it has no retries."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self._clients = itertools.cycle(
            [
                glanceclient.Client(
                    "2",
                    endpoint=url,
                    token=settings["token"],
                    cacert=settings["authority"],
                    timeout=settings["timeout"],
                )
                for url in settings["urls"]
            ]
        )

    def show(self, _context: object, image: str) -> Any:
        """Get a record."""
        return next(self._clients).images.get(image)

    def detail(self, _context: object, limit: int) -> Any:
        """List records."""
        return list(next(self._clients).images.list(limit=limit))

    def download(self, _context: object, image: str, dst_path: str | None = None) -> Any:
        """Get data."""
        data = next(self._clients).images.data(image)
        if dst_path is None:
            return data
        with Path(dst_path).open("wb") as file:
            file.writelines(data)
        return None

    def create(self, _context: object, record: dict[str, Any], data: io.BytesIO) -> Any:
        """Make an image with data."""
        client = next(self._clients)
        made = client.images.create(**record)
        client.images.upload(made["id"], data)
        return made

    def delete(self, _context: object, image: str) -> None:
        """Delete an image."""
        next(self._clients).images.delete(image)


def _nova(settings: dict[str, Any]) -> Any:
    nova.conf.CONF([], project="nova", default_config_files=[])
    for name, value in {
        "api_servers": settings["urls"],
        "cafile": settings["authority"],
        "num_retries": settings["retries"],
        "timeout": settings["timeout"],
    }.items():
        nova.conf.CONF.set_override(name, value, "glance")
    objects.register_all()
    return glance.GlanceImageServiceV2()


def main() -> None:
    """Call until the input ends, and write what was seen."""
    settings = json.loads(Path(sys.argv[1]).read_text())
    observer = Observer(*settings["secrets"])
    GlanceInstrumentor().instrument(
        tracer_provider=observer.provider,
        meter_provider=False,
        registry=observer.registry,
        wire_spans=True,
    )
    # The faults of names are the other process's; here each is right.
    names = Names(tuple(settings["names"]), random.Random(0))
    with names.installed():
        seen = _call(settings, observer)
    Path(settings["seen"]).write_text(dump_seen(seen))


def _call(settings: dict[str, Any], observer: Observer) -> Seen:
    service: Any = Glanceclient(settings)
    who = None
    if settings["client"] == "nova":
        service = _nova(settings)
        who = context.RequestContext(
            settings["user"], settings["project"], auth_token=settings["token"]
        )
    journal = Journal(settings["seeded"])
    callers = [
        Caller(service, who, journal, random.Random(seed), settings["number"], (Exception,))
        for seed in settings["seeds"]
    ]
    before = observer.measure()
    traffic = Traffic(callers)
    observer.pulse.start()
    Path(settings["ready"]).touch()
    traffic.start()
    sys.stdin.read()
    traffic.end()
    traffic.wait(settings["patience"])
    observer.pulse.stop()
    return observer.sum_up(
        journal.made.values(), before, settle(observer, before, settings["descriptors"])
    )


if __name__ == "__main__":
    main()
