"""A server that is up refuses a probe: the image, the credentials or the prefix is named."""

from __future__ import annotations

import asyncio
import logging
from functools import partial

import pytest
from probe_parts import (
    CHOICES,
    HEALTHY,
    VERSIONS,
    Chance,
    Tokens,
    config,
    probed,
    recorder,
    reply,
    run,
    saying,
    until,
)
from prometheus_client import CollectorRegistry

from traced_image import lab
from traced_image.exporter.probing.probe import Canary, Probe
from traced_image.exporter.probing.schedule import ProbeSchedule, Timing

RECORD = reply(b'{"id": "1"}')
TIMING = Timing(sleep=lambda _seconds: asyncio.sleep(0), rng=Chance())
IMAGE = "84efd1f0-5f0f-4a67-8e4d-2f8a2f7b9c31"


@pytest.fixture
def glance():
    with lab.GlanceServer() as server:
        yield server


def told(*replies, path="", canary=None):
    """The result of a probe of a server that says these replies, and the server's address."""

    async def once():
        async with saying(list(replies)) as (port, _):
            servers = config(f"http://127.0.0.1:{port}{path}")
            result = await Probe(servers)(servers.servers[0], canary)
            return result, f"127.0.0.1:{port}"

    return run(once())


def no(status):
    return reply(b"", f"{status} No")


# --- which setting -----------------------------------------------------------------------------

REFUSED = {
    "versions 401": ((no(401),), "credentials"),
    "versions 403": ((no(403),), "credentials"),
    "versions 407": ((no(407),), "credentials"),
    "versions 404": ((no(404),), "prefix"),
    "versions 400": ((no(400),), "prefix"),
    "versions 410": ((no(410),), "prefix"),
    "image 404": ((VERSIONS, HEALTHY, no(404)), "image"),
    "image 400": ((VERSIONS, HEALTHY, no(400)), "image"),
    "image 401": ((VERSIONS, HEALTHY, no(401)), "credentials"),
    "image 403": ((VERSIONS, HEALTHY, no(403)), "credentials"),
    "data 403": ((VERSIONS, HEALTHY, RECORD, no(403)), "credentials"),
    "data 404": ((VERSIONS, HEALTHY, RECORD, no(404)), "image"),
}


@pytest.mark.parametrize(("replies", "setting"), REFUSED.values(), ids=REFUSED.keys())
def test_a_refusal_names_the_setting_and_accuses_no_server(replies, setting):
    result, _ = told(*replies, canary=Canary("1"))
    assert (setting, False) == (result.misconfigured, result.failed)


@pytest.mark.parametrize("status", [408, 421, 425, 429, 500, 503])
@pytest.mark.parametrize("before", [(), (VERSIONS, HEALTHY), (VERSIONS, HEALTHY, RECORD)])
def test_a_status_after_which_another_server_may_answer_is_a_failure(before, status):
    result, _ = told(*before, no(status), canary=Canary("1"))
    assert (None, True, str(status)) == (result.misconfigured, result.failed, result.reason)


def test_a_success_has_no_wrong_setting(glance):
    result = probed(glance.url)
    assert (None, False) == (result.misconfigured, result.failed)


# --- the prefix --------------------------------------------------------------------------------


def test_a_prefix_that_a_glance_does_not_have_is_named(glance):
    """Glance answers each path that it does not know with its versions, and 300."""
    result = probed(f"{glance.url}/image")
    assert ("prefix", "404", 300) == (result.misconfigured, result.reason, result.status)
    assert (
        f"127.0.0.1:{glance.port}: Glance does not answer under /image (HTTP 300); fix: write"
        f" {glance.url} if Glance has no prefix, or another prefix than /image"
    ) == result.error


def test_a_prefix_that_is_missing_is_asked_for():
    with lab.GlanceServer(prefix="/image") as server:
        origin = f"http://127.0.0.1:{server.port}"
        result = probed(origin)
    assert "prefix" == result.misconfigured
    assert (
        f"{origin.removeprefix('http://')}: Glance does not answer under / (HTTP 404); fix: write"
        f" Glance's prefix after the address, as in {origin}/image"
    ) == result.error


def test_no_image_is_asked_for_under_a_wrong_prefix(glance):
    probed(f"{glance.url}/image", canary=Canary("1"))
    assert ["/image/versions", "/image/healthcheck"] == [each.path for each in glance.access_log]


def test_an_old_glance_without_a_prefix_may_list_its_versions_with_300():
    result, _ = told(CHOICES, HEALTHY)
    assert ("", "v2.17") == (result.reason, result.version)


def test_a_page_that_is_not_glances_names_the_prefix():
    result, place = told(reply(b"<html>"), HEALTHY, path="/image")
    assert ("protocol_error", True) == (result.reason, result.failed)
    assert result.error.startswith(f"{place}: Glance does not answer under /image: ")


# --- what is said of the image and the credentials ---------------------------------------------

WORDS = {
    "no such image": (
        (no(404),),
        None,
        "HTTP 404 for image 1; fix: name an image that exists and that the probe's credentials",
    ),
    "no data": (
        (RECORD, no(404)),
        None,
        "HTTP 404 for the data of image 1; fix: check the server's image store, or name another",
    ),
    "no token": (
        (no(401),),
        None,
        "HTTP 401 for image 1; the server wants a token; fix: configure the credentials, or probe",
    ),
    "a token of no use": (
        (no(403),),
        "secret",
        "HTTP 403 for image 1; fix: check the credentials, which traced-image config shows, and",
    ),
}


@pytest.mark.parametrize(("replies", "token", "words"), WORDS.values(), ids=WORDS.keys())
def test_the_message_names_the_image_and_the_fix(replies, token, words):
    result, place = told(VERSIONS, HEALTHY, *replies, canary=Canary("1", token))
    assert result.error.startswith(f"{place}: {words} ")


def test_credentials_that_a_proxy_wants_are_told():
    result, place = told(no(401))
    assert (
        f"{place}: HTTP 401 for the versions, for which Glance wants no credentials; fix: let the"
        " probe pass the proxy before Glance, or list Glance's own address"
    ) == result.error


def test_a_refusal_keeps_its_request_id():
    refusal = reply(b"", "404 No", "X-OpenStack-Request-ID: req-1")
    assert "req-1" == told(VERSIONS, HEALTHY, refusal, canary=Canary("1"))[0].request_id


def test_a_token_that_can_not_be_renewed_is_a_matter_of_credentials(glance):
    with lab.GlanceServer(tokens={"good"}) as guarded:

        async def once():
            servers = config(guarded.url, auth=Tokens("old"))
            probe = Probe(servers, image=IMAGE)
            return await probe(servers.servers[0], await probe.canary())

        assert "credentials" == run(once()).misconfigured


# --- on a schedule -----------------------------------------------------------------------------


def scheduled(glance, *steps, **fields):
    """Probe one server again and again, and change it in between; the registry at the end."""
    registry = CollectorRegistry()

    async def once():
        made = ProbeSchedule(
            config(glance.url), recorder=recorder(registry), timing=TIMING, **fields
        )
        registry.register(made.results)
        async with made:
            await until(lambda: made.ready)
            for step in steps:
                step()
                # The first of these two probes may have begun before the step.
                await until(partial(_is_later, made, _latest(made)))
                await until(partial(_is_later, made, _latest(made)))

    run(once())
    return registry


def _latest(made):
    return made.results.get(made.probe.config.servers[0]).when


def _is_later(made, before):
    return _latest(made) > before


def test_a_server_that_refuses_the_image_stays_healthy(glance):
    registry = scheduled(glance, image=IMAGE)
    place = {"server_address": glance.host, "server_port": str(glance.port)}
    assert (1.0, 0.0, 1.0) == (
        registry.get_sample_value("glance_client_server_state", {**place, "state": "healthy"}),
        registry.get_sample_value("glance_client_server_consecutive_failures", place),
        registry.get_sample_value("glance_probe_success", place),
    )


def test_a_probe_that_was_refused_did_not_give_up(glance):
    registry = scheduled(glance, image=IMAGE)
    outcomes = {
        (sample.labels["outcome"], sample.labels["error_type"])
        for metric in registry.collect()
        for sample in metric.samples
        if sample.name == "glance_client_call_duration_seconds_count"
    }
    assert {("refused", "404")} == outcomes


def test_the_log_names_the_image_once(glance, caplog):
    scheduled(glance, lambda: None, image=IMAGE)
    (record,) = caplog.records
    assert logging.WARNING == record.levelno
    assert record.getMessage().startswith(
        f"Probes are misconfigured, wrong image: {glance.host}:{glance.port}: HTTP 404 for image"
        f" {IMAGE}; fix: "
    )


def test_the_log_says_when_a_setting_is_right_again(glance, caplog):
    caplog.set_level(logging.INFO, "traced_image.exporter.probing.schedule")
    glance.break_with(lab.faults.status(404).only(path="^/versions$"))
    scheduled(glance, glance.heal)
    assert [logging.WARNING, logging.INFO] == [record.levelno for record in caplog.records]


def test_the_results_say_what_is_wrong_by_server(glance):
    async def once():
        made = ProbeSchedule(config(glance.url), recorder=recorder(), timing=TIMING, image=IMAGE)
        async with made:
            await until(lambda: made.ready)
            return made.results.misconfigurations()

    (found,) = run(once()).items()
    assert ((glance.host, str(glance.port)), True) == (found[0], IMAGE in found[1])
