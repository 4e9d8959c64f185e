"""Breaks embedded servers under the rules as they are, and notes when an agent's store fires.

``PYTHONPATH=dashboards/src python tests/real/fleet_drill.py FILE`` takes 14 minutes, mostly idle.
One Prometheus scrapes all callers every 15 seconds. An agent with the files of ``dashboards/fleet``
scrapes them as well, and sends to another one. ``docs/how-to/scale.md`` has what it wrote.
"""

import json
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from fleet_scene import Caller
from parts import prometheus, vmagent
from parts.prometheus import Prometheus
from parts.vmagent import Agent
from traced_image_dashboards import fleet

from traced_image import lab
from traced_image.lab import GlanceServer, faults

LEAD, AFTER = 330, 480
PROCESSES = 4
RULES = Path(__file__).parents[2] / "dashboards/rules"
_SCRAPING = """\
global: {scrape_interval: 15s, scrape_timeout: 15s}
scrape_configs: [{job_name: callers, file_sd_configs: [{files: [targets/*.json]}]}]
"""


@dataclass(frozen=True)
class Job:
    """Processes of a kind, and what happens to their servers.

    Attributes:
        name: Its name.
        servers: How many servers it has.
        broken: How many of these refuse connections, from some time on.
        pause: Seconds between two calls of a process.
    """

    name: str
    servers: int
    broken: int
    pause: float


JOBS = (
    Job("all", 3, 3, 2.0),
    Job("all-rare", 3, 3, 60.0),
    Job("one-of-three", 3, 1, 2.0),
    Job("one-of-three-rare", 3, 1, 60.0),
)


def cast(stack: ExitStack) -> tuple[list[dict[str, object]], list[GlanceServer]]:
    """Start all callers; return their targets, and the servers that will refuse."""
    targets: list[dict[str, object]] = []
    broken: list[GlanceServer] = []
    over = threading.Event()
    for job in JOBS:
        images = lab.Images()
        image = images.add(name="cirros", data=b"." * 1024, visibility="public")
        servers = stack.enter_context(lab.cluster(job.servers, images=images))
        broken += servers[: job.broken]
        for number in range(PROCESSES):
            caller = Caller(f"{job.name}-{number}", servers)
            stack.callback(caller.close)
            arguments = (caller, image, job.pause, number / PROCESSES, over)
            thread = threading.Thread(target=_call, args=arguments)
            thread.start()
            stack.callback(thread.join)
            labels = {"job": job.name, "instance": caller.name}
            targets.append({"targets": [f"127.0.0.1:{caller.port}"], "labels": labels})
    stack.callback(over.set)
    return targets, broken


def _call(caller: Caller, image: str, pause: float, share: float, over: threading.Event) -> None:
    over.wait(share * pause)
    while not over.wait(pause):
        caller.call(image)


def settings(scraping: str) -> str:
    """A Prometheus's configuration with the rules as they are."""
    return f'rule_files: ["{RULES}/*.yaml"]\n{scraping}'


def add_up(stack: ExitStack, folder: Path, targets: str, to: Prometheus) -> None:
    """Start an agent that sends to a Prometheus."""
    (folder / "targets").mkdir(parents=True)
    (folder / "targets/callers.json").write_text(targets)
    for file, text in fleet.files().items():
        (folder / file).write_text(text)
    options = [
        f"-promscrape.config={folder / 'scraping.yaml'}",
        f"-streamAggr.config={folder / 'aggregation.yaml'}",
        f"-remoteWrite.relabelConfig={folder / 'relabeling.yaml'}",
        f"-remoteWrite.url={to.url}/api/v1/write",
        *("-remoteWrite.forcePromProto", "-remoteWrite.queues=1"),
    ]
    agent = Agent("agent", vmagent.install(print), folder, options, AGENT="zone-1")
    stack.callback(agent.close)
    agent.open()


def listen(stores: Sequence[Prometheus], seconds: float) -> dict[tuple[str, str], list[float]]:
    """After how many seconds each store's alerts fire; -1 if they do not."""
    began, found = time.time(), dict[tuple[str, str], list[float]]()
    while time.time() < began + seconds:
        for place, store in enumerate(stores):
            for each in store.query('ALERTS{alertstate="firing", job!=""}'):
                key = each["metric"]["job"], each["metric"]["alertname"]
                times = found.setdefault(key, [-1.0] * len(stores))
                if times[place] < 0:
                    times[place] = time.time() - began
        time.sleep(1)
    return found


def main(out: Path) -> None:
    """Play it, and write when each alert fired to a file."""
    programs = prometheus.install(print)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        found, broken = cast(stack)
        targets = json.dumps(found)
        direct = prometheus.prometheus(programs, folder / "direct", settings(_SCRAPING))
        receiver = ["--web.enable-remote-write-receiver"]
        store = prometheus.prometheus(programs, folder / "store", settings(""), receiver)
        stores = [stack.enter_context(direct), stack.enter_context(store)]
        (folder / "direct/targets/callers.json").write_text(targets)
        add_up(stack, folder / "agent", targets, stores[1])
        time.sleep(LEAD)
        for server in broken:
            server.break_with(faults.refuse())
        times = listen(stores, AFTER)
        lines = [
            f"{job} | {alert} | {direct:.0f} s | {added_up:.0f} s\n"
            for (job, alert), (direct, added_up) in sorted(times.items(), key=lambda each: each[1])
        ]
        out.write_text("job | alert | direct | agent\n" + "".join(lines))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
