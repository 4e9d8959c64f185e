"""A real Glance is killed: who is told by a real Prometheus and a real Alertmanager, and when.

The rules are those of ``dashboards/rules``, but for their times, which are divided by `FASTER`.
alert_drill.py has the rules as they are, and an hour's time.
"""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from alert_scene import FASTER, ROUTES, caller, settings, write_faster_rules
from parts import alertmanager, prometheus
from parts.cache import PartUnavailableError, run

from traced_image import RetryPolicy

PAGE = Path(__file__).parents[2] / "docs/how-to/alert.md"

LIMIT = 90.0  # seconds for what takes 30


@pytest.fixture(scope="module")
def say(request):
    """Tell what is installed."""
    terminal = request.config.pluginmanager.get_plugin("terminalreporter")
    return lambda line: terminal.write_line(f"real parts: {line}")


@pytest.fixture(scope="module")
def program(say):
    """Alertmanager's program."""
    try:
        return alertmanager.install(say)
    except PartUnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def hook():
    """What receives Alertmanager's notices."""
    with alertmanager.webhook() as receiver:
        yield receiver


@pytest.fixture
def watched(breakable, image_ids, hook, tmp_path, program, say):
    """Two jobs, one with all of the servers and one with the second alone, and who watches them."""
    try:
        programs = prometheus.install(say)
    except PartUnavailableError as error:
        pytest.skip(str(error))
    rules = write_faster_rules(tmp_path / "rules")
    image_id = next(iter(image_ids.values()))
    retry = RetryPolicy(cooldown_base=1 / FASTER, cooldown_cap=60 / FASTER)

    def on(servers):
        urls = [server.url for server in servers]
        return caller(urls, lambda service: service.show(None, image_id), retry=retry)

    routes = ROUTES.format(url=hook.url, wait="1s")
    with (
        on(breakable) as three,
        on(breakable[1:2]) as alone,
        alertmanager.alertmanager(program, tmp_path / "alertmanager", routes) as address,
        prometheus.prometheus(
            programs,
            tmp_path / "prometheus",
            settings({"three": three, "alone": alone}, address, rules, "750ms"),
        ) as server,
    ):
        yield SimpleNamespace(prometheus=server, glances=breakable)


def test_alertmanager_takes_the_routes_that_are_documented(program, tmp_path):
    (routes,) = re.findall(
        r"^```yaml\n(route:\n.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL
    )
    file = tmp_path / "alertmanager.yml"
    file.write_text(routes)
    said = run([str(Path(program).with_name("amtool")), "check-config", str(file)])
    assert "1 inhibit rules" in said
    assert "3 receivers" in said


def test_who_is_told_of_a_killed_glance_and_that_it_is_well_again(watched, hook):
    victim = watched.glances[1]
    full = "count_over_time(job_server:glance_client_attempts:rate5m[15s]) > 8"
    watched.prometheus.until(lambda: len(watched.prometheus.query(full)) == 4, "saw no traffic")
    firing = 'ALERTS{alertstate="firing", severity!="none"}'
    assert [] == watched.prometheus.query(firing)

    victim.kill()
    server = {"server_address": "127.0.0.1", "server_port": str(victim.port)}
    ticket = hook.wait("firing", LIMIT, alertname="GlanceServerFailing", job="three", **server)
    page = hook.wait("firing", LIMIT, alertname="GlanceAllServersFailing", job="alone")

    assert ("ticket", "page") == (ticket.route, page.route)
    said = ticket.alert["annotations"]["description"]
    assert said.startswith(f"Attempts of three on 127.0.0.1:{victim.port} have failed for ")
    assert re.search(r", since \d\d:\d\d:\d\d UTC: images.get connection_refused\. ", said)
    assert f"127.0.0.1:{victim.port} connection_refused" in page.alert["annotations"]["description"]
    # Whose calls succeed is not woken, and no other server is blamed.
    assert {"alone"} == {
        each.alert["labels"]["job"] for each in hook.notices if each.route == "page"
    }
    blamed = {each.alert["labels"].get("server_port") for each in hook.notices}
    assert {str(victim.port), None} == blamed

    victim.restart()
    for alert in ("GlanceServerFailing", "GlanceAllServersFailing"):
        hook.wait("resolved", LIMIT, alertname=alert)
