"""Kills one Keystone and stops another under the rules as they are, and notes the alerts.

``PYTHONPATH=dashboards/src python tests/real/keystone_drill.py FILE`` takes 20 minutes.
What ``docs/explanation/alerts-seen.md`` says of GlanceKeystoneFailing is from what it wrote to its
file.
"""

import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from alert_drill import Notes
from alert_scene import ROUTES, caller, settings
from keystone_scene import impatient
from parts import alertmanager, cache, glance, keystone, prometheus

LEAD, BROKEN, HEALED = 150, 8 * 60, 8 * 60

QUERIES = (
    "job:glance_client_token_failures:rate5m * 300 > 0",
    "job:glance_client_call_errors:ratio_rate5m",
    "job_server:glance_client_attempt_errors:ratio_rate5m",
    "job_server:glance_client_attempt_failures:rate5m * 300 > 0",
    'ALERTS{alertstate="firing", severity!="none"}',
)


def main(out: Path) -> None:
    """Play it, and write what was seen to a file."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        glances = cache.install(cache.GLANCE, print)
        keystones = cache.install(cache.KEYSTONE, print)
        servers = stack.enter_context(glance.glances(glances, folder / "glances"))
        urls = [server.url for server in servers]
        killed, stopped = (
            stack.enter_context(keystone.keystone(keystones, glances, folder / name))
            for name in ("killed", "stopped")
        )
        jobs = {
            name: stack.enter_context(
                caller(urls, lambda service: service.detail(None), pause=1.0, auth=impatient(cloud))
            )
            for name, cloud in (("keystone-killed", killed), ("keystone-stopped", stopped))
        }
        hook = stack.enter_context(alertmanager.webhook())
        # The times of Alertmanager's own documentation.
        routes = ROUTES.format(url=hook.url, wait="30s")
        program = alertmanager.install(print)
        address = stack.enter_context(alertmanager.alertmanager(program, folder / "am", routes))
        server = stack.enter_context(
            prometheus.prometheus(
                prometheus.install(print), folder / "prom", settings(jobs, address)
            )
        )
        notes = Notes(stack.enter_context(out.open("w", buffering=1)), hook)
        notes.say(f"servers {urls}")
        notes.listen(LEAD)
        killed.keystone.kill()
        stopped.keystone.stop()
        notes.begin("broken")
        for _ in range(2):
            notes.listen(BROKEN / 2)
            notes.ask(server, QUERIES)
        killed.keystone.restart()
        stopped.keystone.cont()
        notes.begin("healed")
        notes.listen(HEALED)
        notes.ask(server, QUERIES)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
