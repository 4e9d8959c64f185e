"""Real agents that add callers up: what Prometheus has of them, and what of a direct scrape."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fleet_scene
import pytest
from fleet_scene import CALLERS, JOB, Fleet, series_key, until
from grafana import BOARDS, Answer, ask, options, titled
from parts.prometheus import Prometheus
from traced_image_dashboards.fleet import files

from traced_image.telemetry import catalogue

AGENTS = ("a", "b")
CRON = "cron"
_CALLS = f"{catalogue.CALL_DURATION.name}_count"
_FAST = f"sum(rate({_CALLS}[6s]))"
_USUAL = f"sum(rate({_CALLS}[20s]))"  # as many intervals as in five minutes
_BORN = f'sum(increase({catalogue.CONNECTION_FAILED.name}{{job="{CRON}"}}[1m]))'
_RULE_TEST = """
rule_files: [agents.yaml]
evaluation_interval: 30s
tests:
- interval: 30s
  input_series:
  - {series: 'SUMS{job="nova", instance="zone-1"}', values: '9x20 _x60'}
  - {series: 'SUMS{job="nova", instance="zone-2"}', values: '9x80'}
  - {series: 'SUMS{job="twice", instance="a"}', values: '9x80'}
  - {series: 'SUMS{job="twice", instance="b"}', values: '9x80'}
  - {series: 'job:traced_image_build_info:count{job="nova"}', values: '18x80'}
  - {series: 'job:traced_image_build_info:count{job="twice"}', values: '9x80'}
  alert_rule_test:
  - {eval_time: 15m, alertname: GlanceFleetAgentSilent}
  - {eval_time: 9m, alertname: GlanceFleetCountedTwice}
  - eval_time: 17m
    alertname: GlanceFleetAgentSilent
    exp_alerts:
    - exp_labels: {severity: ticket, job: nova, instance: zone-1}
      exp_annotations:
        summary: The agent zone-1 sends nothing about nova.
        description: >-
          No other alert sees the 9 processes of nova that zone-1 added up. It is down, or it can't
          reach Prometheus.
        runbook_url: https://github.com/traced-image/traced-image/blob/main/docs/how-to/scale.md#glancefleetagentsilent
        dashboard_url: /d/traced-image-pipeline?from=now-3h&to=now&var-job=nova
  - eval_time: 17m
    alertname: GlanceFleetCountedTwice
    exp_alerts:
    - exp_labels: {severity: ticket, job: twice}
      exp_annotations:
        summary: Agents count processes of twice twice.
        description: >-
          Agents have added up 18 processes of twice, more than there are. Two agents with the same
          targets must not send to one Prometheus.
        runbook_url: https://github.com/traced-image/traced-image/blob/main/docs/how-to/scale.md#glancefleetcountedtwice
        dashboard_url: /d/traced-image-pipeline?from=now-3h&to=now&var-job=twice
""".replace("SUMS", catalogue.AGGREGATED_PROCESSES)
_PAUSE = 2.5  # seconds, longer than an agent's interval


@dataclass
class Played:
    """What came of it.

    Attributes:
        fleet: All that runs.
        since: Since when a server fails.
        at: When the first act had ended.
        recorded: What the rules recorded at the end of the first act, by store.
        alerts: The alerts then on the rare callers, by store.
        found: What `traced-image diagnose` then says of the first agent's Prometheus.
        told: The same, for people.
        born: By how much each store saw calls of rare callers fail; they failed four times.
        fastest: The most calls a second by each store while the first agent was restarted.
        taken_over: Whether the standby counted as many calls a second as the other agent.
        handed_over: The most by each store until the first agent was back.
        slowest: The fewest calls a second by each store while callers came and went.
        busiest: The most meanwhile.
        settled: Whether the other agent's store then had exactly what all callers counted.
    """

    fleet: Fleet
    since: float = 0.0
    at: float = 0.0
    recorded: dict[str, dict[tuple[str, ...], float]] = field(default_factory=dict)
    alerts: dict[str, set[tuple[str, str]]] = field(default_factory=dict)
    found: list[dict[str, Any]] = field(default_factory=list)
    told: str = ""
    born: dict[str, float] = field(default_factory=dict)
    fastest: dict[str, float] = field(default_factory=dict)
    taken_over: bool = False
    handed_over: dict[str, float] = field(default_factory=dict)
    slowest: dict[str, float] = field(default_factory=dict)
    busiest: dict[str, float] = field(default_factory=dict)
    settled: bool = False


@pytest.fixture(scope="module")
def played(
    prometheus: Prometheus, vmagent: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Played]:
    """All acts, played once. Each waits for what the next one needs."""
    folder: Path = tmp_path_factory.mktemp("fleet")
    with fleet_scene.play(prometheus.programs, vmagent, folder) as fleet:
        result = Played(fleet)
        _fail(result)
        fleet.remove(fleet.callers[0])
        fleet.add()
        with fleet.calling(JOB):
            _restart(result)
            _hand_over(result)
        fleet.settle("a")  # what was counted while it was away it does not know
        result.settled = True
        yield result


def _stores(fleet: Fleet) -> Mapping[str, Prometheus]:
    return {**fleet.stores, "direct": fleet.direct}


def _fail(result: Played) -> None:
    """Callers call, a server begins to refuse, and processes that call rarely fail by it."""
    fleet = result.fleet
    for caller in fleet.add(CALLERS):
        for _ in fleet.servers:  # a direct scrape does not count with what a success is born
            caller.call(fleet.image)
            caller.list()
    rare = fleet.add(4, job=CRON, broken=True)
    for caller in fleet.callers:
        fleet.direct.fresh(caller.name)
    with fleet.calling(JOB):
        time.sleep(4)
        result.since = fleet_scene.refuse(fleet.servers[-1])
        for caller in rare:
            time.sleep(_PAUSE)
            caller.list()
    fleet.settle()
    until(
        lambda: len({frozenset(_find_alerts(store)) for store in _stores(fleet).values()}) == 1,
        "the alerts differ",
    )
    result.at = time.time()
    for name, store in _stores(fleet).items():
        found = store.query(f'{{__name__=~"job.*:.+", job="{JOB}"}}')
        result.recorded[name] = {
            series_key(each["metric"]): float(each["value"][1]) for each in found
        }
        result.alerts[name] = _find_alerts(store)
        (born,) = store.query(_BORN)
        result.born[name] = float(born["value"][1])
    result.found = json.loads(_diagnose(fleet.stores["a"], "--json"))
    result.told = _diagnose(fleet.stores["a"])


def _find_alerts(store: Prometheus) -> set[tuple[str, str]]:
    found = [each["metric"] for each in store.query(f'ALERTS{{job="{CRON}"}}')]
    return {(each["alertname"], each.get("server_port", "")) for each in found}


def _diagnose(store: Prometheus, *options: str) -> str:
    command = [sys.executable, "-m", "traced_image", "diagnose", "--prometheus", store.url]
    done = subprocess.run(
        [*command, "--job", JOB, *options],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (1, "") == (done.returncode, done.stderr)
    return done.stdout


def _restart(result: Played) -> None:
    """The first agent is restarted while callers call, and while others come and go."""
    fleet = result.fleet
    calls = fleet.stores["a"]
    time.sleep(2 * _PAUSE)
    began = time.monotonic()
    fleet.agents["a"].close()
    fleet.agents["a"].open()
    _churn(fleet)
    until(lambda: calls.query(f"{_FAST} > 0"), "the restarted agent sends nothing")
    time.sleep(2)
    past = f"[{time.monotonic() - began:.0f}s:1s]"
    result.slowest = _ask(fleet, f"min_over_time(({_FAST}){past})")
    result.busiest = _ask(fleet, f"max_over_time(({_FAST}){past})")
    result.fastest = _ask(fleet, f"max_over_time(({_FAST})[20s:1s])")


def _hand_over(result: Played) -> None:
    """The first agent dies, its standby takes over, and the first one is back."""
    fleet = result.fleet
    fleet.agents["a"].close()
    fleet.standby.open()
    until(lambda: _counts_alike(fleet), "the standby does not count what the first agent would")
    result.taken_over = True
    fleet.agents["a"].open()
    sums = f'{catalogue.AGGREGATED_PROCESSES}{{instance="agent-a"}}'
    query = f"timestamp({sums}) > {time.time() + _PAUSE}"
    until(lambda: fleet.stores["a"].query(query), "the agent that is back sends no sums")
    fleet.standby.close()
    time.sleep(_PAUSE)
    result.handed_over = _ask(fleet, f"max_over_time(({_USUAL})[20s:1s])")


def _churn(fleet: Fleet) -> None:
    """Half as many callers as there are come, call, and go when their last scrapes are over."""
    came = fleet.add(CALLERS // 2)
    for caller in came:
        for _ in range(10):
            caller.list()
    for caller in came:
        fleet.stores["b"].fresh(caller.name)
        fleet.direct.fresh(caller.name)
        fleet.remove(caller)


def _counts_alike(fleet: Fleet) -> bool:
    """Whether the standby has about as many calls a second as the agent of the other store."""
    of_standby = _FAST.replace(_CALLS, f'{_CALLS}{{instance="agent-c"}}')
    found = [fleet.stores["a"].query(of_standby), fleet.stores["b"].query(_FAST)]
    if not all(found):
        return False
    one, other = (float(each[0]["value"][1]) for each in found)
    return 0.6 < one / other < 1.5


def _ask(fleet: Fleet, query: str) -> dict[str, float]:
    """The one value of a query, by store."""
    stores = _stores(fleet)
    return {name: float(store.query(query)[0]["value"][1]) for name, store in stores.items()}


@pytest.mark.parametrize("agent", AGENTS)
def test_the_rules_record_the_same_series_as_of_a_direct_scrape(played: Played, agent: str) -> None:
    assert played.recorded["direct"].keys() == played.recorded[agent].keys()


@pytest.mark.parametrize("agent", AGENTS)
@pytest.mark.parametrize(
    "record",
    [
        "server_state:sum",
        "consecutive_failures:max",
        "last_success_timestamp_seconds:max",
        "last_failure_timestamp_seconds:max",
        "failing_since_timestamp_seconds:min",
        "build_info:count",
    ],
)
def test_the_rules_record_the_same_host_states(played: Played, agent: str, record: str) -> None:
    direct, added_up = (find(played, name, record) for name in ("direct", agent))
    assert direct
    # An agent rounds a time in its last digit.
    assert added_up == pytest.approx(direct, rel=0, abs=1e-5)


@pytest.mark.parametrize("agent", AGENTS)
def test_attempts_under_way_are_recorded_for_the_same_servers(played: Played, agent: str) -> None:
    # Their number changes between two scrapes.
    direct, added_up = (find(played, name, "active_attempts:sum") for name in ("direct", agent))
    assert direct
    assert direct.keys() == added_up.keys()


def find(played: Played, store: str, record: str) -> dict[tuple[str, ...], float]:
    """What a store has of a recording."""
    return {key: value for key, value in played.recorded[store].items() if record in key[0]}


@pytest.mark.parametrize("agent", AGENTS)
@pytest.mark.parametrize(
    "record", ["job:glance_client_all_calls", "job_server:glance_client_attempts:"]
)
def test_the_rules_record_the_same_rates(played: Played, agent: str, record: str) -> None:
    direct, added_up = (
        sum(value for key, value in played.recorded[name].items() if record in key[0])
        for name in ("direct", agent)
    )
    assert added_up == pytest.approx(direct, rel=0.2)


@pytest.mark.parametrize("agent", AGENTS)
def test_the_same_alerts_are_pending_or_fire(played: Played, agent: str) -> None:
    assert ("GlanceAllServersFailing", "") in played.alerts["direct"]
    assert played.alerts["direct"] == played.alerts[agent]


def test_a_direct_scrape_does_not_see_with_what_a_series_is_born(played: Played) -> None:
    assert 0 == played.born["direct"]


@pytest.mark.parametrize("agent", AGENTS)
def test_failures_of_rare_callers_count_with_their_births(played: Played, agent: str) -> None:
    assert played.born[agent] > 1.5


def test_a_restart_of_an_agent_is_no_burst(played: Played) -> None:
    assert played.fastest["a"] < 1.5 * played.fastest["b"]


def test_a_standby_counts_what_the_agent_would_count_that_is_gone(played: Played) -> None:
    assert played.taken_over


def test_neither_a_standby_nor_the_agent_that_is_back_is_a_burst(played: Played) -> None:
    assert played.handed_over["a"] < 1.5 * played.handed_over["b"]


def test_sums_do_not_rise_while_callers_come_and_go(played: Played) -> None:
    assert played.busiest["b"] < 1.5 * played.busiest["direct"]


def test_sums_do_not_drop_while_callers_come_and_go(played: Played) -> None:
    assert played.slowest["b"] > 0.5 * played.slowest["direct"]


def test_the_other_agent_has_all_that_was_counted_also_by_callers_that_are_gone(
    played: Played,
) -> None:
    assert played.settled


def test_the_rules_of_agents_fire_and_keep_quiet(played: Played, tmp_path: Path) -> None:
    (tmp_path / "agents.yaml").write_text(files()["agents.yaml"])
    (tmp_path / "test.yaml").write_text(_RULE_TEST)
    promtool = played.fleet.direct.programs.promtool
    done = subprocess.run(
        [promtool, "test", "rules", tmp_path / "test.yaml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (0, done.stdout) == (done.returncode, done.stdout)


def test_the_diagnosis_names_the_server_why_and_since_when(played: Played) -> None:
    (found,) = played.found
    server = played.fleet.servers[-1]
    since = fleet_scene.to_seconds(found["since"])
    assert (f"{server.host}:{server.port}", "connection_refused") == (
        found["server"],
        found["reason"],
    )
    assert since == pytest.approx(played.since, abs=5)


def test_the_diagnosis_tells_operations_and_cost(played: Played) -> None:
    (found,) = played.found
    assert (["images.get", "images.list"], 0, True) == (
        found["operations"],
        found["calls_failed"],
        found["cost_seconds"] > 0,
    )


def test_the_diagnosis_counts_processes_by_their_host_states(played: Played) -> None:
    (found,) = played.found
    assert {JOB: {"asking": CALLERS, "failing": CALLERS}} == found["processes"]


def test_the_diagnosis_says_what_is_not_kept(played: Played) -> None:
    assert "processes: not kept" in played.told


def show(played: Played, store: str, title: str) -> dict[str, Answer]:
    """What a panel of the board Callers shows, of one process if it is of one."""
    chosen = {"job": JOB, "caller": f"{JOB}-0"}
    return ask(_stores(played.fleet)[store], "callers", title, int(played.at), chosen)


def test_a_board_says_which_processes_are_not_kept(played: Played) -> None:
    title = "Processes that an agent adds up"
    assert [] == show(played, "direct", title)["A"].series
    assert {JOB: CALLERS} == show(played, "a", title)["A"].by("job")


def test_a_board_says_whether_a_process_is_kept(played: Played) -> None:
    word = titled("callers", "What is kept of it")["fieldConfig"]["defaults"]["mappings"]
    (told,) = (each["options"] for each in word)
    shown = [show(played, name, "What is kept of it")["A"].value for name in ("direct", "a")]

    assert ["all that it counts", "processes: not kept"] == [
        told[f"{value:g}"]["text"] for value in shown
    ]


def test_a_board_offers_the_agent_among_its_processes(played: Played) -> None:
    offered = options(played.fleet.stores["a"], "callers", "caller", {"job": JOB})
    assert {"agent-a", f"{JOB}-0"} < offered


def test_a_panel_that_is_empty_by_an_agent_says_so(played: Played) -> None:
    panels = BOARDS["callers"]["panels"]
    (begin,) = (n for n, each in enumerate(panels) if each["title"].startswith("One process"))
    empty = [
        panel["fieldConfig"]["defaults"]["noValue"]
        for panel in panels[begin + 1 :]
        if not any(answer.series for answer in show(played, "a", panel["title"]).values())
    ]

    assert 5 == len(empty)
    assert [] == [words for words in empty if "processes: not kept" not in words]


def test_a_board_shows_which_servers_a_process_that_is_not_kept_can_not_reach(
    played: Played,
) -> None:
    shown = show(played, "a", "Its servers")["A"].by("server_port")
    failing = str(played.fleet.servers[-1].port)

    assert {failing} == {port for port, value in shown.items() if value == 4}
    assert {0, 4} == set(shown.values())
