"""What a list of 10,000 images takes, beside its peers: ``python bench/listing.py [--rounds 5]``.

nginx serves the same pages of 200 records to all clients, which take turns in processes of their
own.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from peer_clients import PAGE_SIZE
from processes import THIS, service_pythons, started
from report import Report, bars, markdown
from rounds import conditions, small_environment
from serving import IMAGE_PATH, PAGES_PATH, nginx, nginx_version, recorded_image
from targets import at_most

if TYPE_CHECKING:
    from collections.abc import Mapping

IMAGES = 10_000

BARE = "requests, all pages"
OFF, CALLS, WIRE = (
    f"detail, {how}"
    for how in ("telemetry off", "call and attempt spans, metrics", "wire spans too")
)
CLIENT = "python-glanceclient, images.list"
VARIANTS = {
    BARE: "requests_list",
    OFF: "detail --observed off",
    CALLS: "detail --observed calls",
    WIRE: "detail --observed wire",
    CLIENT: "glanceclient_list",
    "openstacksdk, conn.image.images": "openstacksdk_list",
    "nova 34, detail": "nova_list",
}
"""What is compared, and what `peer.py` is told."""

MOST = 1.0
"""The most that `detail` may take beside python-glanceclient."""


@dataclass(slots=True)
class Lists:
    """What the lists of one client took, in seconds.

    Attributes:
        wall: By the clock.
        cpu: Of a core.
    """

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)


def main() -> None:
    """Run, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    service_pythons()
    small_environment()
    told = conditions(nginx_version())
    print(report(measured(options.rounds)))
    print(", ".join(f"{name} {value}" for name, value in told.items()))


def measured(rounds: int) -> dict[str, Lists]:
    """What the lists of each client took."""
    services = service_pythons()
    image_id, recorded = recorded_image()
    pages = _pages(json.loads(recorded[IMAGE_PATH + image_id]))
    with nginx({**recorded, **pages}) as (url,), ExitStack() as stack:
        drivers = {}
        for name, told in VARIANTS.items():
            client, *options = told.split()
            python = services.get("nova") if client == "nova_list" else THIS
            if python is not None:
                arguments = ("peer.py", client, url, image_id, *options)
                drivers[name] = stack.enter_context(started(*arguments, python=python))
        found = {name: Lists() for name in drivers}
        for driver in drivers.values():
            driver.run(1)
        for _ in range(rounds):
            for name in random.sample(list(drivers), len(drivers)):
                found[name].wall += drivers[name].run(1)
                found[name].cpu.append(drivers[name].cpu)
    return found


def _pages(record: dict[str, object]) -> dict[str, bytes]:
    """The pages of the list, by where nginx finds them: after the last image of the page before."""
    ids = [f"00000000-0000-4000-8000-{number:012}" for number in range(IMAGES)]
    found = {}
    marker = ""
    # The last page is empty: openstacksdk asks for what comes after a full one.
    for start in range(0, IMAGES + 1, PAGE_SIZE):
        images = [{**record, "id": each} for each in ids[start : start + PAGE_SIZE]]
        page: dict[str, object] = {"images": images, "schema": "/v2/schemas/images"}
        last = ids[min(start + PAGE_SIZE, IMAGES) - 1]
        if start + PAGE_SIZE < IMAGES:
            page["next"] = f"/v2/images?limit={PAGE_SIZE}&marker={last}"
        found[f"{PAGES_PATH}{marker}.json"] = json.dumps(page).encode()
        marker = last
    return found


def report(found: Mapping[str, Lists]) -> Report:
    """The results as a table, and those that have a target."""
    wall = {name: statistics.median(each.wall) for name, each in found.items()}
    cpu = {name: statistics.median(each.cpu) for name, each in found.items()}
    rows = [
        [
            name,
            f"{wall[name]:.2f}",
            *(f"{wall[name] / wall[each]:.2f}" for each in (BARE, CLIENT)),
            f"{cpu[name]:.2f}",
        ]
        for name in found
    ]
    figures = [
        at_most(f"10,000 images, {name}", wall[name] / wall[CLIENT], MOST, "python-glanceclient")
        for name in (OFF, WIRE)
    ]
    return Report(
        "How long does a list of 10,000 images take?",
        f"`listing.py`, {len(found[BARE].wall)} rounds, pages of {PAGE_SIZE} records.",
        markdown("Client | median s | by requests | by glanceclient | s of a core", "lrrrr", rows),
        figures,
        [bars("listing", "A list of 10,000 images", "median duration in seconds", wall)],
        "`requests` only decodes the JSON. `detail` checks each record, and turns it into nova's"
        " dict.",
    )


if __name__ == "__main__":
    main()
