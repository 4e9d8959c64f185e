"""Records what a Prometheus behind an agent answers to the diagnosis, for the quick tests.

Run it after a change of the questions: ``PYTHONPATH=dashboards/src python
tests/real/fleet_record.py``. It writes ``tests/diagnose/recorded/fleet/down.json``.
"""

import json
import tempfile
import time
from pathlib import Path

import fleet_scene
from diagnose_record import FOLDER, WINDOW, recorder
from parts import prometheus, vmagent

from traced_image.diagnosis.prometheus import observe
from traced_image.diagnosis.prometheus_api import PrometheusAPI
from traced_image.diagnosis.requests_of_sources import SourceAccess, SourceReader


def main() -> None:
    """Play a server that refuses, and record the diagnosis of it."""
    programs, agent = prometheus.install(print), vmagent.install(print)
    with (
        tempfile.TemporaryDirectory() as folder,
        fleet_scene.play(programs, agent, Path(folder)) as fleet,
    ):
        fleet.add(fleet_scene.CALLERS)
        time.sleep(2)
        with fleet.calling(fleet_scene.JOB):
            time.sleep(5)
            began = fleet_scene.refuse(fleet.servers[-1])
            time.sleep(8)
        fleet.settle()
        time.sleep(2)  # for the rules
        answers: dict[str, object] = {}
        at = round(time.time(), 3)
        with (
            recorder(fleet.stores["a"].url, answers) as url,
            SourceReader(url, SourceAccess(), "Prometheus") as reader,
        ):
            observe(PrometheusAPI(reader), end=at, window=WINDOW, jobs=[fleet_scene.JOB])
        places = [f"{each.host}:{each.port}" for each in fleet.servers]
        told = {
            "at": at,
            "began": round(began, 3),
            "jobs": [fleet_scene.JOB],
            "servers": sorted(places),
            "broken": places[-1],
            "prometheus": answers,
            "exporters": [],
        }
        text = json.dumps(told, separators=(",", ":"))
        (FOLDER / "fleet/down.json").write_text(text)


if __name__ == "__main__":
    main()
