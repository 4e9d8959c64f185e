"""How soon alerts on outages fire, and on what they keep quiet, for many callers by promtool.

`outage_callers` says how the series are made. Each test has callers of many kinds: some that call
often and some that call once in 10 seconds, one process and several, two servers and more.
"""

import itertools
import json
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import yaml
from outage_callers import LEAD, SCRAPE, Job, Reply, scrape
from parts import prometheus
from parts.cache import PartUnavailableError

RULES = Path(__file__).parents[2] / "dashboards/rules"
FILES = [RULES / f"{name}.yaml" for name in ("objective", "recording", "alerts")]
BROKEN = "10.0.0.0:9292"
OUTAGES = 'alertname=~"GlanceServerFailing|GlanceOperationFailing|GlanceAllServersFailing"'

Count = Callable[[Sequence[Job], str, float], float]


@pytest.fixture(scope="module")
def count(request, tmp_path_factory) -> Count:
    """Count the series that a query finds, so many seconds after something broke."""
    terminal = request.config.pluginmanager.get_plugin("terminalreporter")
    try:
        programs = prometheus.install(lambda line: terminal.write_line(f"real parts: {line}"))
    except PartUnavailableError as error:
        pytest.skip(str(error))
    file = tmp_path_factory.mktemp("outages") / "test.yaml"
    groups = [group for each in FILES for group in yaml.safe_load(each.read_text())["groups"]]

    def ask(jobs: Sequence[Job], query: str, seconds: float) -> float:
        asked = {
            "expr": f"count({query}) or vector(0)",
            "eval_time": f"{LEAD + seconds:.0f}s",
            # No result is this one, so that promtool says what the result is.
            "exp_samples": [{"labels": "{}", "value": -1}],
        }
        series = [each for job in jobs for each in scrape(job, seconds).inputs()]
        test = {"interval": f"{SCRAPE}s", "input_series": series, "promql_expr_test": [asked]}
        told = {
            "rule_files": [str(each) for each in FILES],
            "evaluation_interval": f"{SCRAPE}s",
            "group_eval_order": [group["name"] for group in groups],
            "tests": [test],
        }
        file.write_text(json.dumps(told))
        command = [programs.promtool, "test", "rules", str(file)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        said = done.stdout + done.stderr
        return float(said.partition("got: {} ")[2].split()[0])

    return ask


def all_kinds(
    reply: Reply,
    *,
    processes: Sequence[int] = (1, 3),
    servers: Sequence[int] = (2, 3),
    periods: Sequence[float] = (1.0, 10.0),
    seeds: int = 2,
    operations: tuple[str, ...] = ("images.get",),
    gap: tuple[float, float] = (0.0, 0.0),
) -> list[Job]:
    """Jobs that differ in the numbers of processes and servers, and in how often they call."""
    kinds = itertools.product(range(seeds), processes, servers, periods)
    return [
        Job(
            reply=reply,
            name="-".join(map(str, (seed, many, of, period))),
            processes=many,
            servers=of,
            period=period,
            operations=operations,
            seed=seed,
            gap=gap,
        )
        for seed, many, of, period in kinds
    ]


def down(begin: float, end: float) -> Reply:
    """One server is down for a time."""
    return lambda now, server, *_: (
        "connection_refused" if begin <= now < end and server == BROKEN else ""
    )


def firing(name: str) -> str:
    """The query of an alert's instances that fire."""
    return f'ALERTS{{alertname="{name}", alertstate="firing"}}'


def fired(seconds: float) -> str:
    """The query of all alerts on outages that have fired."""
    return f'count_over_time(ALERTS{{{OUTAGES}, alertstate="firing"}}[{seconds + LEAD:.0f}s])'


def test_a_ticket_names_a_dead_server_within_two_and_a_half_minutes(count):
    jobs = all_kinds(down(0, 1000))
    assert len(jobs) == count(jobs, firing("GlanceServerFailing"), 150)


def test_no_other_server_is_named(count):
    jobs = all_kinds(down(0, 1000), seeds=1)
    others = fired(300).replace("ALERTS{", 'ALERTS{server_address!="10.0.0.0", ')
    assert 0 == count(jobs, others, 300)


def fail_data(now, server, operation, _):
    """One server fails one operation."""
    return "503" if now >= 0 and (server, operation) == (BROKEN, "images.data") else ""


def test_a_ticket_names_a_server_that_fails_one_operation_within_three_and_a_half_minutes(count):
    # If trials after a cool-down happen to be of this operation alone, the server seems dead.
    either = f'ALERTS{{{OUTAGES}, alertstate="firing", server_address="10.0.0.0"}}'
    jobs = all_kinds(fail_data, periods=(1.0, 2.0), operations=("images.get", "images.data"))
    assert len(jobs) == count(jobs, f"group by (job) ({either})", 210)


def test_the_ticket_names_the_operation(count):
    jobs = all_kinds(fail_data, periods=(0.5,), operations=("images.get",) * 3 + ("images.data",))
    named = firing("GlanceOperationFailing").replace("{", '{operation="images.data", ')
    assert len(jobs) == count(jobs, named, 210)


def test_a_dead_server_raises_no_ticket_about_operations(count):
    operations = ("images.get", "images.data")
    jobs = all_kinds(down(0, 1000), operations=operations)
    assert 0 == count(jobs, firing("GlanceOperationFailing"), 300)


def test_a_page_says_within_90_seconds_that_all_servers_fail(count):
    jobs = all_kinds(lambda now, *_: "connection_refused" if now >= 0 else "")
    assert len(jobs) == count(jobs, firing("GlanceAllServersFailing"), 90)


@pytest.mark.parametrize("operation", ["images.get", "images.data"])
def test_the_outage_of_many_rare_callers_is_a_page_and_a_ticket_within_five_minutes(
    count, operation
):
    def reply(now, *_):
        return "connect_timeout" if now >= 0 else ""

    # Each of 90 processes makes a call in a quarter of an hour, so that each failure is its first.
    fleet = Job(reply=reply, processes=90, period=10.0, operations=(operation,))
    named = 'ALERTS{alertname=~"GlanceAllServersFailing|GlanceConnectionFailed"'
    assert 2 == count([fleet], f'{named}, alertstate="firing"}}', 300)


def test_the_ticket_ends_with_the_first_success(count):
    jobs = all_kinds(down(0, 240))
    assert 0 == count(jobs, firing("GlanceServerFailing"), 360)


@pytest.mark.parametrize("mixed", [False, True])
def test_a_restart_of_a_minute_raises_no_alert(count, mixed):
    operations = ("images.get", "images.data") if mixed else ("images.get",)
    jobs = all_kinds(down(0, 60), operations=operations)
    assert 0 == count(jobs, fired(400), 400)


def test_a_rolling_upgrade_raises_no_alert(count):
    def reply(now, server, *_):
        begin = 70 * int(server.partition(":")[0].rpartition(".")[2])
        return "connection_refused" if begin <= now < begin + 60 else ""

    assert 0 == count(all_kinds(reply), fired(400), 400)


@pytest.mark.parametrize(("cycle", "broken"), [(40, 20), (100, 80)])
def test_one_callers_flapping_network_raises_no_alert(count, cycle, broken):
    def reply(now, server, _, process):
        fails = now >= 0 and now % cycle < broken and server == BROKEN and process == 0
        return "connection_refused" if fails else ""

    jobs = all_kinds(reply, processes=(2, 3), periods=(1.0, 3.0))
    assert 0 == count(jobs, fired(900), 900)


def test_one_failed_call_raises_no_alert(count):
    def reply(now, _server, _operation, process):
        return "503" if 0 <= now < 3 and process == 0 else ""

    assert 0 == count(all_kinds(reply), fired(400), 400)


def test_a_scrape_gap_around_a_restart_raises_no_alert(count):
    assert 0 == count(all_kinds(down(0, 60), gap=(20, 320)), fired(600), 600)
