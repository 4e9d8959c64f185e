"""Each panel of the dashboards answers its question, from a real Prometheus and real traffic.

`dashboards_scene` says what there is to see: callers that are well first, and then with one server
that refuses connections. Every question is put in the way in which Grafana puts it.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import dashboards_scene as stage
import pytest
from dashboards_scene import Servers
from grafana import BOARDS, Answer, ask, exemplars, marks, options, panels
from parts.prometheus import Prometheus
from traced_image_dashboards import recording

from traced_image.lab import faults

CALLING = ("nova-compute", "glance-tools")
"""The jobs that are somebody's; the exporter is the third."""

REFUSED = "connection_refused"
SERVERS = ("good", "slow", "cutting", "bad", "secure")
RECORDED = "job:traced_image_build_info:count"
"""What the last rule records."""

Check = Callable[["Seen", dict[str, Answer]], None]
QUESTIONS: dict[tuple[str, str], tuple[dict[str, str | Sequence[str]], Check]] = {}


@dataclass(frozen=True)
class Seen:
    """What was there to see.

    Attributes:
        prometheus: Who saw it.
        ports: The servers' labels, by their names.
        cut: A time when one server cut downloads off.
        well: A time when all was well, though one server is slow.
        broken: A time when one server had been down for a while.
        healed: A time when it was used again by all.
    """

    prometheus: Prometheus
    ports: Mapping[str, str]
    cut: float
    well: float
    broken: float
    healed: float

    def port(self, name: str) -> str:
        """The label of a server of this name."""
        return self.ports[name]

    def before(self, board: str, title: str, **chosen: str | Sequence[str]) -> dict[str, Answer]:
        """What a panel showed while all was well."""
        return ask(self.prometheus, board, title, self.well, chosen)


@pytest.fixture(scope="module")
def seen(prometheus: Prometheus, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    """The scene, played once."""
    folder = tmp_path_factory.mktemp("dashboards")
    with contextlib.ExitStack() as stack:
        traffic = stack.enter_context(contextlib.ExitStack())
        servers = traffic.enter_context(stage.servers())
        callers = traffic.enter_context(stage.callers(servers))
        probes = traffic.enter_context(stage.exporter(servers, folder))
        own = stack.enter_context(
            stage.watched(
                prometheus.programs,
                folder,
                [
                    *callers,
                    stage.Caller(stage.EXPORTER, stage.PROBES, probes),
                    stage.gone(),
                    stage.foreign(),
                ],
            )
        )
        cut = _moment(own, _data_breaks_off(servers))
        servers.cutting.heal()
        well = _moment(own, _all_answer(servers))
        servers.bad.break_with(faults.refuse())
        (folder / "web.yml").write_text("http_server_config: [")
        broken = _moment(own, _all_complain(servers))
        servers.bad.heal()
        healed = _moment(own, _all_use())
        ports = {name: str(getattr(servers, name).port) for name in SERVERS}
        traffic.close()
        yield Seen(own, ports, cut, well, broken, healed)


def _moment(prometheus: Prometheus, conditions: Sequence[str]) -> float:
    """A whole second at which all conditions were met, and every process that is there scraped."""
    wanted = (f"sum(up) == {len(stage.CALLERS) + 1}", *conditions)
    at = 0

    def met() -> bool:
        nonlocal at
        at = int(time.time())
        recorded = f"min(timestamp({RECORDED})) > {at}"
        prometheus.until(partial(prometheus.query, recorded), "stopped to evaluate rules")
        return all(prometheus.get("query", query=each, time=at)["result"] for each in wanted)

    prometheus.until(met, f"never at the same time: {wanted}")
    return float(at)


def _data_breaks_off(servers: Servers) -> list[str]:
    cutting = f'server_port="{servers.cutting.port}"'
    return [
        f"job_server:glance_client_stream_errors:rate5m{{{cutting}}} > 0",
        f"glance_probe_canary_success{{{cutting}}} == 0",
    ]


def _out(servers: str = "") -> str:
    """How many callers have left servers."""
    return f'sum(job_server:glance_client_server_state:sum{{state!="healthy"{servers}}})'


def _all_answer(servers: Servers) -> list[str]:
    ports = "|".join(str(each.port) for each in (servers.good, servers.slow, servers.bad))
    tried = f'job="nova-compute", server_port=~"{ports}"'
    return [
        f"count(job_server:glance_client_attempts:rate5m{{{tried}}} > 0) == 3",
        "sum(glance_probe_success) == 4",
        f"{_out()} == 0",
        "count_over_time(job:glance_client_call_errors:ratio_rate3d[1m]) > 5",
    ]


def _all_complain(servers: Servers) -> list[str]:
    bad = f'server_port="{servers.bad.port}"'
    failing = f'alertstate="firing", {bad}'
    return [
        f'ALERTS{{alertname="GlanceServerFailing", job="glance-tools", {failing}}}',
        f'job_server:glance_client_attempt_errors:ratio_rate5m{{job="nova-compute", {bad}}} > 0.1',
        f'ALERTS{{alertname="GlanceProbeFailing", {failing}}}',
        'sum(job_server:glance_client_connection_failed:rate5m{job="glance-tools"}) > 0',
        f"{_saved()} > 0",
        "traced_image_exporter_config_last_reload_successful == 0",
        f"{_out(f', {bad}')} == {len(stage.CALLERS) + 1} == {_out()}",
    ]


def _saved() -> str:
    matchers = 'instance="compute-1", outcome="success_after_retry"'
    return f"instance:glance_client_calls:rate5m{{{matchers}}}"


def _all_use() -> list[str]:
    return [f"{_out()} == 0"]


def answers(board: str, title: str, **chosen: str | Sequence[str]) -> Callable[[Check], Check]:
    """Put a question to a panel; what is chosen of the variables is not All."""

    def keep(check: Check) -> Check:
        assert (board, title) not in QUESTIONS, title
        QUESTIONS[board, title] = (chosen, check)
        return check

    return keep


# --- Overview ----------------------------------------------------------------------------------


@answers("overview", "Error budget left")
def which_job_has_failed_too_often(seen, found):
    left = found["A"].by("job")
    assert left["nova-compute"] == 1
    assert left["glance-tools"] < 0


@answers("overview", "Service level of 30 days", job=CALLING)
def which_job_misses_its_objective(seen, found):
    assert set(found["A"].by("job").values()) == {0.999}
    left, achieved = found["B"].by("job"), found["C"].by("job")
    assert (left["nova-compute"], achieved["nova-compute"]) == (1, 1)
    assert left["glance-tools"] == pytest.approx(1 - (1 - achieved["glance-tools"]) / 0.001)
    assert left["glance-tools"] < 0 < achieved["glance-tools"] < 1
    assert max(found["D"].by("job").values()) < 1


@answers("overview", "Calls that succeed", job=CALLING)
def how_many_calls_succeed(seen, found):
    assert seen.before("overview", "Calls that succeed")["A"].value == 1
    assert 0 < found["A"].value < 0.9


@answers("overview", "Calls", job="glance-tools")
def how_many_calls_there_are(seen, found):
    assert found["A"].value > 0


@answers("overview", "Calls that gave up")
def whether_any_call_gave_up(seen, found):
    title = "Calls that gave up"
    assert seen.before("overview", title)["A"].value == 0
    assert found["A"].value > 0
    others = ask(seen.prometheus, "overview", title, seen.broken, {"job": "nova-compute"})
    assert others["A"].value == 0


@answers("overview", "Servers not healthy", job=CALLING)
def how_many_servers_are_out(seen, found):
    assert seen.before("overview", "Servers not healthy", job=CALLING)["A"].value == 0
    assert found["A"].value == 1


@answers("overview", "Callers")
def how_many_processes_tell(seen, found):
    assert found["A"].value == 4


@answers("overview", "What fails now", job=CALLING)
def what_fails_for_whom_and_since_when(seen, found):
    what = ("server_port", "error_type", "job", "operation")
    bad = (seen.port("bad"), "connection_refused")
    rows = found["A"].by(*what)
    assert {each[:2] for each in rows} == {bad}
    assert (*bad, "glance-tools", "images.get") in rows
    assert (*bad, "nova-compute", "images.list") in rows
    assert rows.keys() == found["B"].by(*what).keys() == found["D"].by(*what).keys()
    (since,) = {value for row, value in found["C"].by(*what).items() if row[2] == "glance-tools"}
    assert seen.broken - 60 < since / 1000 <= seen.broken
    assert set(found["D"].by(*what).values()) <= {1, 2, 3}


@answers("overview", "How long calls take, by outcome", job="nova-compute")
def how_long_a_retry_takes(seen, found):
    assert found["A"].by("outcome").keys() >= {"success_first_try", "success_after_retry"}


@answers("overview", "What retries cost", job="nova-compute")
def what_retries_cost(seen, found):
    costs = found["A"].by("server_port", "error_type")
    assert costs.keys() == {(seen.port("bad"), "connection_refused")}


@answers("overview", "Calls that retries saved", job="nova-compute")
def which_calls_retries_saved(seen, found):
    assert found["A"].by("server_port").keys() == {seen.port("bad")}


@answers("servers", "What fails now", job="glance-tools")
def what_fails_on_the_chosen_servers(seen, found):
    rows = found["A"].by("server_port", "operation")
    assert {port for port, _ in rows} == {seen.port("bad")}


@answers("overview", "Alerts")
def what_fires(seen, found):
    raised = found["A"].by("alertname", "job", "server_port", "severity", "alertstate")
    firing = {each[:4] for each in raised if each[4] == "firing"}
    of_bad = {name for name, _, port, _ in firing if port == seen.port("bad")}
    assert {"GlanceServerFailing", "GlanceProbeFailing"} <= of_bad
    assert ("GlanceServerFailing", "glance-tools", seen.port("bad"), "ticket") in firing


@answers("overview", "Servers that fail most", job=CALLING)
def which_server_fails(seen, found):
    ratios = found["B"].by("server_port")
    assert found["B"].most["server_port"] == seen.port("bad")
    assert ratios == {**dict.fromkeys(ratios, 0), seen.port("bad"): ratios[seen.port("bad")]}
    assert found["A"].by("server_port").keys() == ratios.keys()


@answers("overview", "Slowest servers", job="nova-compute")
def which_server_takes_longest(seen, found):
    assert found["B"].most["server_port"] == seen.port("slow")
    assert found["A"].by("server_port").keys() == found["B"].by("server_port").keys()


@answers("overview", "Success of calls, and of attempts", job="nova-compute")
def what_retries_hide(seen, found):
    assert found["A"].value == 1
    assert found["B"].value < 0.995
    assert found["C"].value == 0.999


@answers("overview", "Calls by outcome", job=CALLING)
def how_calls_end(seen, found):
    rates = found["A"].by("outcome")
    assert {name for name, rate in rates.items() if rate} == {
        *("success_first_try", "success_after_retry", "exhausted", "refused", "non_retryable")
    }


@answers("overview", "Calls without a token, by Keystone's reason")
def why_keystone_gives_no_token(seen, found):
    title = "Calls without a token, by Keystone's reason"
    assert seen.before("overview", title)["A"].series == []
    assert found["A"].by("error_type").keys() == {"connection_refused"}


@answers("overview", "How long calls take", job="nova-compute")
def how_long_calls_take(seen, found):
    assert found["A"].value < found["B"].value <= found["C"].value
    # The slow server is one of four.
    assert found["A"].value < 0.1 < found["C"].value


@answers("overview", "Calls that gave up, by the last reason")
def why_calls_gave_up(seen, found):
    assert found["A"].by("error_type", "server_port").keys() == {(REFUSED, seen.port("bad"))}
    assert seen.before("overview", "Calls that gave up, by the last reason")["A"].series == []


@answers("overview", "Why calls are retried")
def why_calls_are_retried(seen, found):
    assert max(found["A"].by("error_type").items(), key=lambda each: each[1])[0] == REFUSED


@answers("overview", "Retries per call", job="nova-compute")
def how_often_calls_are_retried(seen, found):
    assert 0 < found["A"].value < 1


@answers("overview", "Attempts per call", job="glance-tools")
def how_much_retries_add(seen, found):
    # It has one server, and tries each call four times when that is down.
    before = seen.before("overview", "Attempts per call", job="glance-tools")["A"].value
    assert before == pytest.approx(1, abs=0.3)
    assert 1.5 < found["A"].value < 4


@answers("overview", "Servers that calls were retried after")
def which_server_is_retried_after(seen, found):
    assert found["A"].most["server_port"] == seen.port("bad")


# --- Servers -----------------------------------------------------------------------------------


@answers("servers", "Servers by host state", job=CALLING)
def which_server_is_out(seen, found):
    shares = found["A"].by("server_port")
    assert shares == {**dict.fromkeys(shares, 0), seen.port("bad"): 1}
    before = seen.before("servers", "Servers by host state", job=CALLING)["A"]
    assert set(before.by("server_port").values()) == {0}


@answers("servers", "All servers", job=CALLING)
def what_is_known_of_each_server(seen, found):
    assert all(len(answer.series) == 4 for answer in found.values())
    bad = {"server_port": seen.port("bad")}
    assert bad.items() <= found["B"].most.items()
    assert found["C"].by("server_port")[seen.port("bad")] == 1
    last = found["D"].by("server_port")
    assert min(last, key=last.__getitem__) == seen.port("bad")
    assert abs(last[seen.port("good")] / 1000 - seen.broken) < 10
    assert bad.items() <= found["E"].most.items()
    assert found["F"].most["server_port"] == seen.port("slow")


@answers("servers", "Failed attempts by server", job=CALLING)
def which_server_failed_when(seen, found):
    ratios = found["A"].by("server_port")
    assert ratios == {**dict.fromkeys(ratios, 0), seen.port("bad"): ratios[seen.port("bad")]}
    before = seen.before("servers", "Failed attempts by server", job=CALLING)["A"]
    assert set(before.by("server_port").values()) == {0}


@answers("servers", "Failed attempts by reason", job=CALLING)
def why_attempts_fail(seen, found):
    assert found["A"].by("error_type").keys() == {REFUSED}


@answers("servers", "Failures in a row", job=CALLING)
def which_server_has_not_succeeded_for_long(seen, found):
    counts = found["A"].by("server_port")
    assert counts.pop(seen.port("bad")) > 5
    assert set(counts.values()) == {0}


@answers("servers", "Share of attempts", job="nova-compute")
def how_the_load_is_shared(seen, found):
    shares = found["A"].by("server_port")
    assert sum(shares.values()) == pytest.approx(1)
    assert min(shares, key=shares.__getitem__) == seen.port("bad")


@answers("servers", "How long attempts take, 95th percentile", job="nova-compute")
def which_server_is_slow(seen, found):
    assert found["A"].most["server_port"] == seen.port("slow")


@answers("servers", "How attempts' times spread", job="nova-compute")
def how_times_spread(seen, found):
    counts = {float(bound): count for bound, count in found["A"].by("le").items()}
    assert sorted(counts.values()) == [counts[bound] for bound in sorted(counts)]
    assert counts[0.1] < counts[1]


@answers("servers", "Attempts under way", job=CALLING)
def which_server_keeps_callers_waiting(seen, found):
    assert len(found["A"].series) == 4
    assert max(found["A"].by("server_port").values()) <= 3


@answers("servers", "Image data that broke off")
def whose_data_breaks_off(seen, found):
    assert found["A"].by("server_port").keys() == {seen.port("cutting")}


@answers("servers", "Records that lists left out")
def what_lists_leave_out(seen, found):
    assert found["A"].value > 0


@answers("servers", "Hazards of stock clients")
def what_stock_clients_hide(seen, found):
    assert found["A"].by("kind").keys() == {"create_repeated"}


@answers("servers", "Image data", job="nova-compute")
def how_much_data_passes(seen, found):
    assert found["A"].by("direction")["download"] > 0


@answers("servers", "Probes")
def which_probes_fail(seen, found):
    failed = {port for port, value in found["A"].by("server_port").items() if value == 0}
    assert failed == {seen.port("bad")}


@answers("servers", "Latest probes")
def what_the_latest_probe_found(seen, found):
    assert found["B"].by("server_port")[seen.port("bad")] == 0
    assert (seen.port("bad"), REFUSED) in found["E"].by("server_port", "error_type")
    assert abs(found["A"].by("server_port")[seen.port("good")] / 1000 - seen.broken) < 10
    assert found["C"].by("server_port")[seen.port("good")] == 200
    assert found["D"].by("server_port")[seen.port("good")] == 1
    assert (seen.port("secure"), "prefix") in found["F"].by("server_port", "setting")
    assert seen.port("good") in found["G"].by("server_port")


@answers("servers", "Duration of a probe's phases")
def what_a_probes_time_goes_to(seen, found):
    assert found["A"].by("phase").keys() == {"dns", "connect", "tls", "first_byte", "body"}


@answers("servers", "Days until a certificate expires")
def when_certificates_expire(seen, found):
    assert found["A"].by("server_port").keys() == {seen.port("secure")}
    assert found["A"].value > 0


@answers("servers", "Checks with an image")
def whether_an_image_can_be_had(seen, found):
    checks = ask(seen.prometheus, "servers", "Checks with an image", seen.cut, {})["A"]
    failed = {key for key, value in checks.by("check", "server_port").items() if value == 0}
    assert failed == {("download", seen.port("cutting"))}
    assert set(found["A"].by("check", "server_port").values()) == {1}


@answers("servers", "How long checks with an image take")
def how_fast_an_image_can_be_had(seen, found):
    assert ("show", seen.port("good")) in found["A"].by("check", "server_port")


# --- Callers -----------------------------------------------------------------------------------


@answers("callers", "Processes")
def how_many_processes_there_are(seen, found):
    counts = {"nova-compute": 2, "glance-tools": 1, "glance-exporter": 1}
    assert found["A"].by("job") == counts


@answers("callers", "Processes that an agent adds up")
def which_processes_are_not_kept(seen, found):
    assert found["A"].series == []  # test_real_fleet.py has an agent


@answers("callers", "What is kept of it", caller="compute-1")
def whether_a_process_is_kept(seen, found):
    assert found["A"].value == 0


@answers("callers", "Versions")
def what_they_run(seen, found):
    assert list(found["A"].by("version").values()) == [4]


@answers("callers", "Calls by job")
def which_job_calls(seen, found):
    assert found["A"].by("job").keys() == set(CALLING)


@answers("callers", "Failed calls by job")
def which_jobs_calls_fail(seen, found):
    ratios = found["A"].by("job")
    assert ratios["nova-compute"] == 0 < ratios["glance-tools"]


@answers("callers", "Calls, the busiest processes")
def which_process_calls_most(seen, found):
    assert found["A"].by("instance").keys() == set(stage.CALLERS)


@answers("callers", "Failed calls, the worst processes", instance=("compute-1", "tools-1"))
def which_processes_calls_fail(seen, found):
    ratios = found["A"].by("instance")
    assert ratios.keys() == {"compute-1", "tools-1"}
    assert ratios["compute-1"] == 0 < ratios["tools-1"]


@answers("callers", "Attempts per call, by process")
def which_process_retries(seen, found):
    assert found["A"].most["instance"] == "tools-1"
    assert found["A"].by("instance").keys() == set(stage.CALLERS)


@answers("callers", "Processes whose calls fail most")
def which_process_to_look_at(seen, found):
    assert found["B"].most["instance"] == "tools-1"
    assert found["A"].by("instance").keys() == found["B"].by("instance").keys()


@answers("callers", "Which process sees which server fail", job=CALLING)
def who_cannot_reach_which_server(seen, found):
    failing = {(instance, seen.port("bad")) for instance in stage.CALLERS}
    assert failing == found["B"].by("instance", "server_port").keys()
    assert failing == found["A"].by("instance", "server_port").keys()


@answers("callers", "Its servers", caller="compute-1")
def what_a_process_thinks_of_its_servers(seen, found):
    thought = found["A"].by("server_port")
    assert thought.pop(seen.port("bad")) in (1, 3)  # on trial, or cooling
    assert set(thought.values()) == {0}


@answers("callers", "Its calls", caller="compute-1")
def how_a_processs_calls_end(seen, found):
    rates = found["A"].by("operation", "outcome")
    assert rates["images.get", "refused"] > 0
    assert any(rate for (_, outcome), rate in rates.items() if outcome == "success_after_retry")


@answers("callers", "How long its calls take, 95th percentile", caller="compute-1")
def how_long_a_processs_calls_take(seen, found):
    assert {"images.get", "images.list", "images.data"} <= found["A"].by("operation").keys()


@answers("callers", "Its failed attempts", caller="compute-1")
def what_a_processs_attempts_fail_of(seen, found):
    kinds = found["A"].by("error_type", "server_port")
    assert (REFUSED, seen.port("bad")) in kinds
    assert ("404", seen.port("good")) in kinds


@answers("callers", "Retries of its calls that had any", caller="tools-1")
def how_often_a_process_retries(seen, found):
    assert found["A"].value == pytest.approx(3)


@answers("callers", "What its calls wait between attempts", caller="tools-1")
def what_retries_cost_a_process(seen, found):
    assert found["A"].value > 0


# --- Pipeline ----------------------------------------------------------------------------------


@answers("pipeline", "Processes that can't be scraped")
def how_many_processes_are_not_seen(seen, found):
    assert found["A"].value == 1


@answers("pipeline", "Exporters with an unusable web configuration")
def whether_the_exporter_is_set_up(seen, found):
    title = "Exporters with an unusable web configuration"
    assert seen.before("pipeline", title)["A"].value == 0
    assert found["A"].value == 1


@answers("pipeline", "Processes whose telemetry fails")
def how_many_processes_tell_too_little(seen, found):
    assert found["A"].value == 1


@answers("pipeline", "Share of each job that can't be scraped")
def which_job_is_not_seen(seen, found):
    assert found["A"].most["job"] == "nova-compute"
    assert found["A"].by("job")["nova-compute"] == pytest.approx(1 / 3)


@answers("pipeline", "Series of a process", instance=("compute-1", "exporter-1"))
def how_many_series_a_process_has(seen, found):
    assert found["A"].by("instance").keys() == {"compute-1", "exporter-1"}
    assert min(found["A"].by("instance").values()) > 50


@answers("pipeline", "How long a scrape takes")
def how_long_scrapes_take(seen, found):
    assert found["A"].by("instance").keys() == {*stage.CALLERS, stage.GONE, stage.EXPORTER}


@answers("pipeline", "Failures of the telemetry itself")
def what_fails_in_the_telemetry(seen, found):
    failing = {key for key, rate in found["A"].by("job", "kind").items() if rate}
    assert ("nova-compute", "spans") in failing
    assert {job for job, _ in failing} == {"nova-compute"}


# --- the tests ---------------------------------------------------------------------------------

COLLECTORS = "Collectors"
NO_AGENT = "Processes that an agent adds up"


def _of_collectors(board: str) -> set[str]:
    """The panels below the row of the collectors, which have a test of their own."""
    below, found = False, set()
    for panel in BOARDS[board]["panels"]:
        below = panel["title"] == COLLECTORS if panel["type"] == "row" else below
        found |= {panel["title"]} if below else set()
    return found


def test_each_panel_has_a_question():
    assert {
        (board, panel["title"])
        for board in BOARDS
        for panel in panels(board)
        if panel["title"] not in _of_collectors(board)
    } == QUESTIONS.keys()


@pytest.mark.parametrize(("board", "title"), QUESTIONS, ids=lambda word: word)
def test_a_panel_answers_its_question(seen, board, title):
    chosen, check = QUESTIONS[board, title]
    found = ask(seen.prometheus, board, title, seen.broken, chosen)

    empty = [letter for letter, answer in found.items() if not answer.series]
    assert empty == (["A"] if title == NO_AGENT else [])
    check(seen, found)


RECORDINGS = [
    rule.record
    for group in (
        *recording.GROUPS.values(),
        recording.MONTH,
        recording.OUTAGES,
        recording.BY_CALLER,
    )
    for rule in group
]


@pytest.mark.parametrize("record", [recording.OBJECTIVE, *RECORDINGS])
def test_a_recording_rule_has_data(seen, record):
    found = seen.prometheus.get("query", query=record, time=seen.broken)["result"]
    bad = [each for each in found if each["metric"].get("server_port") == seen.port("bad")]

    assert (True, True) == (bool(found), bool(bad) or "server:" not in record)


def test_prometheus_has_no_fault_to_find_with_any_rule(seen):
    groups = seen.prometheus.get("rules")["groups"]
    rules = [(rule["name"], rule["health"]) for group in groups for rule in group["rules"]]

    assert (set(), True) == (
        {(name, health) for name, health in rules if health != "ok"},
        len(rules) > len(RECORDINGS),
    )


DOTTED = [
    (board, panel["title"])
    for board in BOARDS
    for panel in panels(board)
    if any(target.get("exemplar") for target in panel.get("targets", []))
]


@pytest.mark.parametrize(("board", "title"), DOTTED, ids=lambda word: word)
def test_a_panel_has_the_traces_that_its_dots_lead_to(seen, board, title):
    chosen, _ = QUESTIONS[board, title]

    assert exemplars(seen.prometheus, board, title, seen.broken, chosen)


def test_a_server_that_is_down_is_marked_as_left(seen):
    moments = range(int(seen.well), int(seen.broken))
    marked = [
        marks(seen.prometheus, "servers", "Server cooling", at, "2s").by("job", "server_port")
        for at in moments
    ]
    assert {(job, seen.port("bad")) for job in CALLING} == {
        key for found in marked for key in found if key[0] in CALLING
    }


def test_a_server_that_is_used_again_is_marked_as_rejoined(seen):
    marked = [
        marks(seen.prometheus, "servers", "Server healthy", seen.healed + second, "3s")
        for second in (-3, -2, -1, 0)
    ]
    assert seen.port("bad") in {
        labels["server_port"] for found in marked for labels, _ in found.series
    }


@pytest.mark.parametrize(
    ("board", "name", "chosen", "offered"),
    [
        ("overview", "job", {}, {*CALLING, stage.PROBES}),
        ("pipeline", "job", {}, {*CALLING, stage.PROBES}),
        ("servers", "server", {}, {"127.0.0.1"}),
        ("callers", "instance", {}, {*stage.CALLERS, stage.EXPORTER}),
        ("callers", "instance", {"job": "nova-compute"}, {"compute-1", "compute-2"}),
        ("callers", "caller", {"job": "glance-tools"}, {"tools-1"}),
        ("pipeline", "instance", {"job": "nova-compute"}, {"compute-1", "compute-2", stage.GONE}),
    ],
)
def test_a_variable_offers_what_there_is(seen, board, name, chosen, offered):
    assert offered == options(seen.prometheus, board, name, chosen)


ROUTED = stage.ROUTED["tools-1"]


@pytest.mark.parametrize("board", BOARDS)
def test_a_board_offers_the_routes_that_there_are(seen, board):
    assert {name: {value} for name, value in ROUTED.items()} == {
        name: options(seen.prometheus, board, name, {}) for name in ROUTED
    }


@pytest.mark.parametrize(("name", "value"), ROUTED.items())
@pytest.mark.parametrize(
    ("board", "title", "letter", "label", "found"),
    [
        ("overview", "What fails now", "A", "job", {"glance-tools"}),
        ("overview", "What fails now", "A", "region", {"north"}),
        ("overview", "Service level of 30 days", "B", "job", {"glance-tools"}),
        ("overview", "Error budget left", "A", "job", {"glance-tools"}),
        ("overview", "Slowest servers", "B", "job", {"glance-tools"}),
        ("servers", "Share of attempts", "A", "server_port", {"bad"}),
        ("servers", "All servers", "A", "server_port", {"bad"}),
        ("callers", "Processes", "A", "job", {"glance-tools"}),
        ("callers", "Processes whose calls fail most", "B", "instance", {"tools-1"}),
        ("callers", "Which process sees which server fail", "B", "instance", {"tools-1"}),
        ("pipeline", "Series of a process", "A", "instance", {"tools-1"}),
        ("pipeline", "Share of each job that can't be scraped", "A", "job", {"glance-tools"}),
    ],
    ids=str,
)
def test_a_panel_shows_the_chosen_route(seen, name, value, board, title, letter, label, found):
    shown = ask(seen.prometheus, board, title, seen.broken, {name: value})[letter]
    found = {seen.port(each) for each in found} if label == "server_port" else found

    assert found == {labels[label] for labels, _ in shown.series}


def test_alerts_without_a_route_are_shown_with_each(seen):
    shown = ask(seen.prometheus, "overview", "Alerts", seen.broken, {"region": "north"})["A"]
    rows = {(labels.get("job"), labels.get("region")) for labels, _ in shown.series}

    assert {("glance-tools", "north")} < rows
    assert {region for _, region in rows} == {"north", None}


def test_the_ports_are_those_of_the_chosen_servers(seen):
    ports = {seen.port(name) for name in ("good", "slow", "cutting", "bad")}
    assert ports == options(
        seen.prometheus, "servers", "port", {"job": "nova-compute", "server": "127.0.0.1"}
    )
    assert set() == options(seen.prometheus, "servers", "port", {"server": "127.0.0.2"})


def test_servers_of_one_address_are_told_apart_by_their_ports(seen):
    chosen = {"server": ["127.0.0.1"], "port": [seen.port("bad"), seen.port("slow")]}
    found = ask(seen.prometheus, "servers", "All servers", seen.broken, chosen)

    assert {seen.port("bad"), seen.port("slow")} == found["A"].by("server_port").keys()
