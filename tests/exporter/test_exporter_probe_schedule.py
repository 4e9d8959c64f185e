"""The schedule over all servers: its times, who is told, and how it changes under way."""

from __future__ import annotations

import asyncio
import logging
import random

import pytest
from probe_parts import (
    Chance,
    HangingLookups,
    Time,
    config,
    recorder,
    run,
    until,
)
from prometheus_client import CollectorRegistry

from traced_image import Server, lab
from traced_image.errors import InvalidOption, InvalidTimeout, InvalidTLS
from traced_image.exporter.journal import Journal
from traced_image.exporter.probing.probe import Probe
from traced_image.exporter.probing.schedule import ProbeSchedule, Timing, probe_once
from traced_image.telemetry import catalogue
from traced_image.telemetry.metrics import Metrics
from traced_image.telemetry.recorder import Recorder
from traced_image.telemetry.spans import Spans


@pytest.fixture
def images():
    return lab.Images()


@pytest.fixture
def servers(images):
    with lab.cluster(3, images=images) as running:
        yield running


@pytest.fixture
def time():
    return Time()


@pytest.fixture
def registry():
    return CollectorRegistry()


@pytest.fixture
def prober(servers, time, registry):
    """Make a prober whose time stands still, and which takes no chances."""

    def make(*urls, rng=None, **fields):
        timing = Timing(monotonic=time.monotonic, sleep=time.sleep, rng=rng or Chance())
        made = ProbeSchedule(
            config(*(urls or [server.url for server in servers])),
            recorder=fields.pop("recorder", None) or recorder(registry),
            timing=timing,
            **fields,
        )
        registry.register(made.results)
        return made

    return make


def server_of(glance):
    return Server.parse(glance.url)


def value(registry, name, glance, **labels):
    place = {"server_address": glance.host, "server_port": str(glance.port)}
    return registry.get_sample_value(name, {**place, **labels})


def probes_of(glance):
    return sum(access.path == "/versions" for access in glance.access_log)


# --- the schedule ------------------------------------------------------------------------------


def test_the_first_probes_are_spread_over_the_interval(prober, time):
    async def once():
        async with prober(interval=30.0):
            await until(lambda: len(time.sleeping) == 3)
            return time.sleeping

    assert [5.0, 15.0, 25.0] == run(once())


def test_nobody_is_probed_before_it_is_its_turn(prober, time, servers):
    async def once():
        async with prober(interval=30.0):
            await until(lambda: len(time.sleeping) == 3)
            time.advance(5.0)
            await until(lambda: len(time.sleeping) == 3)

    run(once())
    assert [1, 0, 0] == [probes_of(server) for server in servers]


def test_a_server_is_probed_again_after_the_interval(prober, time, servers):
    async def once():
        async with prober(interval=30.0):
            await until(lambda: len(time.sleeping) == 3)
            time.advance(5.0)
            await until(lambda: len(time.sleeping) == 3)
            return time.sleeping

    assert [15.0, 25.0, 5.0 + 30.0] == run(once())


def test_two_probes_are_a_tenth_nearer_or_farther_than_the_interval(prober, time, servers):
    async def once():
        async with prober(servers[0].url, interval=10.0, rng=random.Random(1)):
            for _ in range(50):
                await until(lambda: time.sleeping)
                time.advance(time.sleeping[0] - time.now)
                await until(lambda: time.sleeping)

    run(once())
    pauses = time.slept[1:]
    assert 9.0 <= min(pauses) < 9.5
    assert 10.5 < max(pauses) <= 11.0


def test_a_probe_that_takes_long_does_not_shift_the_next(prober, time, servers):
    async def once():
        servers[0].break_with(lab.faults.never_answer())
        async with prober(servers[0].url, interval=10.0):
            await until(lambda: time.sleeping)
            time.advance(5.0)
            await until(lambda: servers[0].access_log)
            time.now += 4.0
            servers[0].heal()
            await until(lambda: time.sleeping)
            return time.sleeping

    assert [5.0 + 10.0] == run(once())


def test_a_probe_that_takes_longer_than_the_interval_is_followed_at_once(prober, time, servers):
    async def once():
        servers[0].break_with(lab.faults.never_answer())
        async with prober(servers[0].url, interval=10.0):
            await until(lambda: time.sleeping)
            time.advance(5.0)
            await until(lambda: servers[0].access_log)
            time.now += 40.0
            servers[0].heal()
            await until(lambda: time.sleeping)
            return time.slept[-1]

    assert 0.0 == run(once())


def test_by_itself_it_keeps_real_time(servers):
    async def once():
        async with ProbeSchedule(config(servers[0].url), recorder=recorder(), interval=0.01):
            await until(lambda: probes_of(servers[0]) >= 3)

    run(once())


# --- one server is no other --------------------------------------------------------------------


def test_a_server_that_hangs_delays_no_other(servers):
    first, second, third = servers

    async def once():
        first.break_with(lab.faults.never_answer())
        second.break_with(lab.faults.slow_headers(0.05))
        urls = [server.url for server in servers]
        async with ProbeSchedule(config(*urls), recorder=recorder(), interval=0.02) as made:
            made.probe.timeout = 5.0  # of many intervals
            await until(lambda: probes_of(third) >= 10)
            return probes_of(first), made.results.get(server_of(first))

    assert (1, None) == run(once())


def test_a_name_whose_lookup_hangs_delays_no_other(servers):
    lookups = HangingLookups("hangs")

    async def once():
        urls = ["http://hangs:9292", f"http://glance:{servers[0].port}"]
        made = ProbeSchedule(config(*urls), recorder=recorder(), interval=0.05, lookup=lookups)
        async with made:
            await until(lambda: probes_of(servers[0]) >= 3)
            await until(lambda: made.ready)
            lookups.go.set()
            return made.results.get(Server.parse(urls[0])).reason

    assert "dns_error" == run(once())
    assert 1 == lookups.asked.count("hangs")


# --- who is told -------------------------------------------------------------------------------


def one_round(made, time):
    async def once():
        async with made:
            count = len(made.probe.config.servers)
            await until(lambda: len(time.sleeping) == count)
            time.advance(made.interval)
            await until(lambda: len(time.sleeping) == count)

    run(once())


def test_the_metrics_show_who_fails(prober, time, servers, registry):
    servers[1].break_with(lab.faults.status(503))
    one_round(prober(), time)
    shown = [value(registry, "glance_probe_success", server) for server in servers]
    assert [1.0, 0.0, 1.0] == shown


def test_a_probe_counts_as_an_attempt_on_its_server(prober, time, servers, registry):
    servers[1].break_with(lab.faults.status(503))
    one_round(prober(), time)
    name = "glance_client_attempt_duration_seconds_count"
    reasons = {
        sample.labels["server_port"]: (sample.labels["error_type"], sample.value)
        for metric in registry.collect()
        for sample in metric.samples
        if sample.name == name
    }
    assert {
        str(servers[0].port): ("", 1.0),
        str(servers[1].port): ("503", 1.0),
        str(servers[2].port): ("", 1.0),
    } == reasons


def test_a_probe_counts_as_a_call(prober, time, servers, registry):
    servers[1].break_with(lab.faults.status(503))
    one_round(prober(), time)
    outcomes = {
        sample.labels["outcome"]: sample.value
        for metric in registry.collect()
        for sample in metric.samples
        if sample.name == "glance_client_call_duration_seconds_count"
    }
    assert {"success_first_try": 2.0, "exhausted": 1.0} == outcomes


def test_no_attempt_is_left_under_way(prober, time, servers, registry):
    one_round(prober(), time)
    assert 0.0 == value(registry, "glance_client_active_attempts", servers[0])


STATES = [("healthy", 1.0, 0.0), ("cooling", 0.0, 1.0)]


@pytest.mark.parametrize(("state", "well", "failing"), STATES)
def test_a_servers_state_is_shown(prober, time, servers, registry, state, well, failing):
    servers[1].break_with(lab.faults.status(503))
    one_round(prober(), time)
    name = "glance_client_server_state"
    shown = [value(registry, name, each, state=state) for each in servers[:2]]
    assert [well, failing] == shown


def rounds(made, time, *steps):
    """One round of probes after each step."""

    async def once():
        async with made:
            for step in steps:
                await until(lambda: time.sleeping)
                step()
                time.advance(2 * made.interval)
                await until(lambda: time.sleeping)

    run(once())


def nothing():
    """Leave all as it is."""


def test_failures_in_a_row_are_counted(prober, time, servers, registry):
    servers[0].break_with(lab.faults.status(503))
    rounds(prober(servers[0].url), time, nothing, nothing)
    assert 2.0 == value(registry, "glance_client_server_consecutive_failures", servers[0])


def test_a_success_ends_the_count_of_failures(prober, time, servers, registry):
    servers[0].break_with(lab.faults.status(503))
    rounds(prober(servers[0].url), time, nothing, nothing, servers[0].heal)
    shown = [
        value(registry, "glance_client_server_consecutive_failures", servers[0]),
        value(registry, "glance_client_server_state", servers[0], state="healthy"),
    ]
    assert [0.0, 1.0] == shown


def test_the_times_of_success_and_failure_are_those_of_the_results(prober, time, servers, registry):
    made = prober(servers[0].url)
    servers[0].break_with(lab.faults.status(503))
    rounds(made, time, nothing, servers[0].heal)
    latest = made.results.get(server_of(servers[0])).when
    shown = value(registry, "glance_client_server_last_success_timestamp_seconds", servers[0])
    failed = value(registry, "glance_client_server_last_failure_timestamp_seconds", servers[0])
    assert (latest, True) == (shown, 0 < failed < latest)


def test_a_server_is_shown_before_its_first_probe(prober, time, servers, registry):
    async def once():
        async with prober():
            return value(registry, "glance_client_server_state", servers[0], state="healthy")

    assert 1.0 == run(once())


def test_the_journal_shows_probed_servers(time, servers):
    journal = Journal()
    servers[1].break_with(lab.faults.status(503))
    made = ProbeSchedule(
        config(*(server.url for server in servers)),
        recorder=Recorder(Spans(None, wire_spans=False), Metrics((journal,))),
        timing=Timing(time.monotonic, time.sleep, Chance()),
    )
    one_round(made, time)
    states = [journal.hour().servers[server.host, str(server.port)].state for server in servers]
    assert ["healthy", "cooling", "healthy"] == states


def test_it_is_ready_when_each_server_has_been_probed(prober, time):
    async def once():
        async with prober(interval=30.0) as made:
            await until(lambda: len(time.sleeping) == 3)
            time.advance(15.0)
            await until(lambda: len(time.sleeping) == 3)
            before = made.ready
            time.advance(10.0)
            await until(lambda: len(time.sleeping) == 3)
            return before, made.ready

    assert (False, True) == run(once())


def test_an_image_is_asked_for(prober, time, servers, images, registry):
    image_id = images.add(name="cirros", data=b"0123456789")
    one_round(prober(image=image_id), time)
    assert 10.0 == value(registry, "glance_probe_canary_download_bytes", servers[0])


# --- the log -----------------------------------------------------------------------------------


def test_a_server_that_begins_to_fail_is_logged_once(prober, time, servers, caplog):
    servers[0].break_with(lab.faults.status(503))
    rounds(prober(servers[0].url), time, nothing, nothing)
    assert [logging.WARNING] == [record.levelno for record in caplog.records]


def test_the_log_names_the_server_and_the_reason(prober, time, servers, caplog):
    servers[0].break_with(lab.faults.status(503))
    one_round(prober(servers[0].url), time)
    record = caplog.records[0]
    assert (servers[0].host, servers[0].port, "503", "probe") == (
        record.server_address,
        record.server_port,
        record.error_type,
        record.operation,
    )


def test_a_server_that_is_well_again_is_logged(prober, time, servers, caplog):
    caplog.set_level(logging.INFO, "traced_image.exporter.probing.schedule")
    servers[0].break_with(lab.faults.status(503))
    rounds(prober(servers[0].url), time, nothing, servers[0].heal)
    assert [logging.WARNING, logging.INFO] == [record.levelno for record in caplog.records]


def test_the_log_has_no_fields_but_those_of_the_catalogue(prober, time, servers, caplog):
    servers[0].break_with(lab.faults.status(503))
    one_round(prober(servers[0].url), time)
    usual = set(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
    assert set(vars(caplog.records[0])) - usual <= set(catalogue.LOG_FIELDS)


# --- changes under way -------------------------------------------------------------------------


def test_a_server_that_is_gone_has_no_series(prober, time, servers, registry):
    first, second, _ = servers

    async def once():
        async with prober() as made:
            await until(lambda: len(time.sleeping) == 3)
            time.advance(made.interval)
            await until(lambda: len(time.sleeping) == 3)
            made.replace(config(second.url))
            return [value(registry, "glance_probe_success", each) for each in (first, second)]

    assert [None, 1.0] == run(once())


def test_a_server_that_is_gone_is_probed_no_more(prober, time, servers):
    async def once():
        async with prober() as made:
            await until(lambda: len(time.sleeping) == 3)
            made.replace(config(servers[0].url))
            await until(lambda: len(made._tasks) == 1)
            time.advance(2 * made.interval)
            await until(lambda: time.sleeping)

    run(once())
    assert [1, 0, 0] == [probes_of(server) for server in servers]


def test_a_new_server_is_probed(prober, time, servers):
    async def once():
        async with prober(servers[0].url) as made:
            await until(lambda: len(time.sleeping) == 1)
            made.replace(config(servers[0].url, servers[1].url))
            await until(lambda: len(time.sleeping) == 2)
            time.advance(made.interval)
            await until(lambda: len(time.sleeping) == 2)

    run(once())
    assert 1 == probes_of(servers[1])


def test_a_server_that_stays_keeps_its_schedule(prober, time, servers):
    async def once():
        async with prober(servers[0].url, interval=30.0) as made:
            await until(lambda: len(time.sleeping) == 1)
            before = time.sleeping
            made.replace(config(servers[0].url))
            await asyncio.sleep(0)
            return before, time.sleeping

    before, after = run(once())
    assert before == after == [15.0]


def test_a_server_that_stays_is_probed_by_the_new_configuration(prober, time, servers):
    tls = lab.TLS.trusted()
    with lab.GlanceServer(tls=tls) as glance:

        async def once():
            made = prober(glance.url)
            async with made:
                await until(lambda: time.sleeping)
                made.replace(config(glance.url, cafile=tls.cafile))
                time.advance(made.interval)
                await until(lambda: time.sleeping)
                return made.results.get(server_of(glance)).reason

        assert "" == run(once())


def test_a_configuration_that_can_not_be_used_changes_nothing(prober, servers, monkeypatch):
    async def once():
        async with prober() as made:
            before = made.probe
            monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere")
            with pytest.raises(InvalidTLS):
                made.replace(config("https://glance"))
            return before is made.probe, len(made._rounds)

    assert (True, 3) == run(once())


def test_a_probe_under_way_on_a_server_that_is_gone_comes_to_its_end(
    prober, time, servers, registry
):
    first, second, _ = servers
    gone = []

    async def once():
        first.break_with(lab.faults.never_answer())
        async with prober(first.url, gone=gone.append) as made:
            await until(lambda: time.sleeping)
            time.advance(made.interval)
            await until(lambda: first.access_log)
            made.replace(config(second.url))
            first.heal()
            await until(lambda: gone)
            return value(registry, "glance_probe_success", first)

    assert None is run(once())
    # It was cut off by the healing: a failure of the server's, and none of the change.
    name = "glance_client_attempt_duration_seconds_count"
    labels = {"operation": operation(), "verdict": "failed", "error_type": "connection_reset"}
    assert 1.0 == value(registry, name, first, **labels)


def operation():
    return "probe" if "probe" in catalogue.OPERATIONS else catalogue.OTHER


def test_whoever_wants_to_know_is_told_of_servers_that_are_gone(prober, time, servers):
    gone = []

    async def once():
        async with prober(gone=gone.append) as made:
            await until(lambda: len(time.sleeping) == 3)
            made.replace(config(servers[0].url))
            await until(lambda: len(made._tasks) == 1)

    run(once())
    assert {server_of(each) for each in servers[1:]} == set(gone)


def test_a_server_that_is_another_path_of_one_place_is_not_gone(prober, time, servers, registry):
    gone = []

    async def once():
        async with prober(servers[0].url, gone=gone.append) as made:
            await until(lambda: time.sleeping)
            time.advance(made.interval)
            await until(lambda: time.sleeping)
            made.replace(config(f"{servers[0].url}/image"))
            await until(lambda: len(made._tasks) == 1)
            return value(registry, "glance_probe_success", servers[0])

    assert 1.0 == run(once())
    assert [] == gone


# --- its end -----------------------------------------------------------------------------------


def test_its_end_leaves_no_task(prober, servers):
    async def once():
        before = asyncio.all_tasks()
        async with prober():
            pass
        return asyncio.all_tasks() - before

    assert set() == run(once())


def test_its_end_does_not_wait_for_a_probe_under_way(prober, time, servers, registry):
    async def once():
        before = asyncio.all_tasks()
        servers[0].break_with(lab.faults.never_answer())
        async with prober(servers[0].url) as made:
            await until(lambda: time.sleeping)
            time.advance(made.interval)
            await until(lambda: servers[0].access_log)
        return asyncio.all_tasks() - before

    assert set() == run(once())
    assert 0.0 == value(registry, "glance_client_active_attempts", servers[0])


def test_without_servers_to_end_its_end_is_at_once(prober, servers):
    async def once():
        async with prober(servers[0].url) as made:
            for each in made._rounds.values():
                each.leave()
            await asyncio.wait(set(made._tasks))
            await until(lambda: not made._tasks)

    run(once())


def test_a_probe_that_comes_to_nothing_is_not_the_last(prober, time, servers, caplog):
    async def once():
        made = prober(servers[0].url)
        put, made.results.put = made.results.put, None
        async with made:
            await until(lambda: time.sleeping)
            time.advance(made.interval)
            await until(lambda: time.sleeping)
            made.results.put = put
            time.advance(2 * made.interval)
            await until(lambda: time.sleeping)
            return made.results.get(server_of(servers[0])).reason

    assert "" == run(once())
    assert [logging.ERROR] == [record.levelno for record in caplog.records]


def test_a_server_that_leaves_before_its_task_began_is_not_probed(prober, time, servers):
    async def once():
        async with prober(servers[0].url) as made:
            made.replace(config(servers[1].url))
            await until(lambda: len(made._tasks) == 1)

    run(once())
    assert 0 == probes_of(servers[0])


# --- what can't be used, and one probe of all --------------------------------------------------


@pytest.mark.parametrize("interval", [0, -1, "15s", float("nan")])
def test_an_interval_that_is_none_is_refused(prober, interval):
    with pytest.raises(InvalidOption, match="interval"):
        prober(interval=interval)


def test_a_timeout_that_is_none_is_refused(prober):
    with pytest.raises(InvalidTimeout, match="timeout"):
        prober(timeout="10s")


def test_a_probe_takes_no_longer_than_the_interval(prober):
    assert 3.0 == prober(interval=3.0).probe.timeout


def test_all_servers_can_be_probed_once(servers):
    servers[1].break_with(lab.faults.status(503))

    async def once():
        return await probe_once(Probe(config(*(server.url for server in servers))))

    assert ["", "503", ""] == [result.reason for result in run(once())]
