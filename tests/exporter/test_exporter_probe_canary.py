"""Probes with an image: its record, its first megabyte, and whose token they show."""

from __future__ import annotations

import asyncio
import logging
import threading

import pytest
from probe_parts import HEALTHY, LIMIT, VERSIONS, Tokens, config, reply, run, saying, until

from traced_image import lab
from traced_image.exporter.probing import probe as probes
from traced_image.exporter.probing.probe import Canary, Probe
from traced_image.exporter.probing.timed_requests import MOST_BYTES

DATA = bytes(range(256)) * 16


@pytest.fixture
def images():
    return lab.Images()


@pytest.fixture
def image_id(images):
    return images.add(name="cirros", data=DATA)


@pytest.fixture
def glance(images):
    with lab.GlanceServer(images) as server:
        yield server


def probed_for(url, image, *, timeout=5.0, **fields):
    """Probe as the prober does: with whatever token there is."""

    async def once():
        servers = config(url, **fields)
        probe = Probe(servers, image=image, timeout=timeout)
        return await probe(servers.servers[0], await probe.canary())

    return run(once())


def outcomes(result):
    return [(each.check, each.reason) for each in result.canary]


def test_the_record_and_the_data_are_asked_for(glance, image_id):
    assert [("show", ""), ("download", "")] == outcomes(probed_for(glance.url, image_id))


def test_the_bytes_that_came_are_told(glance, image_id):
    assert len(DATA) == probed_for(glance.url, image_id).canary[1].size


def test_a_record_has_no_bytes(glance, image_id):
    assert None is probed_for(glance.url, image_id).canary[0].size


def test_each_check_has_its_time(glance, image_id):
    assert all(each.seconds > 0 for each in probed_for(glance.url, image_id).canary)


def test_a_megabyte_is_asked_for_and_no_more(glance, images):
    image_id = images.add(name="large", data=b"0" * (MOST_BYTES + 1000))
    assert MOST_BYTES == probed_for(glance.url, image_id).canary[1].size


def test_a_server_that_ignores_ranges_is_read_for_a_megabyte():
    record = reply(b'{"id": "1"}')
    whole = reply(b"0" * (3 * MOST_BYTES))

    async def once():
        async with saying([VERSIONS, HEALTHY, record, whole]) as (port, asked):
            servers = config(f"http://127.0.0.1:{port}")
            result = await Probe(servers)(servers.servers[0], Canary("1"))
            return result.canary[1], asked[0][3]

    download, request = run(once())
    assert ("", MOST_BYTES) == (download.reason, download.size)
    assert f"range: bytes=0-{MOST_BYTES - 1}\r\n" in request.lower()


def test_an_image_without_data_has_no_bytes_of_it(glance, images):
    result = probed_for(glance.url, images.add(name="queued"))
    assert [("show", ""), ("download", "")] == outcomes(result)
    assert 0 == result.canary[1].size


def test_an_image_that_is_not_there_fails_the_probe(glance):
    result = probed_for(glance.url, "none")
    assert ("404", [("show", "404")]) == (result.reason, outcomes(result))


def test_data_that_fails_fails_the_probe(glance, image_id):
    glance.break_with(lab.faults.status(503).only(path="/file$"))
    result = probed_for(glance.url, image_id)
    assert ("503", [("show", ""), ("download", "503")]) == (result.reason, outcomes(result))


def test_data_that_is_cut_short_fails_the_probe(glance, image_id):
    glance.break_with(lab.faults.cut_body().only(path="/file$"))
    assert "protocol_error" == probed_for(glance.url, image_id).reason


def test_data_that_hangs_fails_the_probe_in_time(glance, image_id):
    glance.break_with(lab.faults.never_answer().only(path="/file$"))
    result = probed_for(glance.url, image_id, timeout=0.3)
    assert [("show", ""), ("download", "read_timeout")] == outcomes(result)


def test_a_record_of_another_image_fails_the_probe(glance, image_id):
    glance.break_with(lab.faults.wrong_type({"id": "another"}).only(path="/v2/images/"))
    assert "protocol_error" == probed_for(glance.url, image_id).reason


def test_a_record_that_is_no_json_fails_the_probe(glance, image_id):
    glance.break_with(lab.faults.not_json().only(path="/v2/images/"))
    assert "protocol_error" == probed_for(glance.url, image_id).reason


def test_the_request_id_of_the_check_that_failed_is_told(glance, image_id):
    glance.break_with(lab.faults.status(503).only(path="/file$"))
    result = probed_for(glance.url, image_id)
    assert glance.access_log[-1].request_id == result.request_id


def test_a_request_id_that_repeats_the_token_is_told_without_it():
    async def once():
        echo = reply(b"", "503 No", "X-OpenStack-Request-ID: req-0p4que")
        async with saying([VERSIONS, HEALTHY, echo]) as (port, _):
            servers = config(f"http://127.0.0.1:{port}")
            return await Probe(servers)(servers.servers[0], Canary("1", "0p4que"))

    assert "req-REDACTED" == run(once()).request_id


def test_the_status_stays_that_of_the_versions(glance, image_id):
    glance.break_with(lab.faults.status(503).only(path="/file$"))
    assert 200 == probed_for(glance.url, image_id).status


def test_nothing_is_asked_of_a_server_whose_versions_fail(glance, image_id):
    glance.break_with(lab.faults.status(503).only(path="^/versions$"))
    assert [] == outcomes(probed_for(glance.url, image_id))


def test_a_healthcheck_that_hangs_leaves_time_for_the_image(glance, image_id):
    glance.break_with(lab.faults.never_answer().only(path="healthcheck"))
    result = probed_for(glance.url, image_id, timeout=1.0)
    assert [("show", ""), ("download", "")] == outcomes(result)


def test_an_id_is_quoted():
    async def once():
        async with saying([VERSIONS, HEALTHY, reply(b'{"id": "a/b"}')]) as (port, asked):
            servers = config(f"http://127.0.0.1:{port}")
            await Probe(servers, image="a/b")(servers.servers[0], Canary("a/b"))
            return asked[0][2]

    assert run(once()).startswith("GET /v2/images/a%2Fb HTTP/1.1\r\n")


# --- tokens ------------------------------------------------------------------------------------


@pytest.fixture
def guarded(images):
    with lab.GlanceServer(images, tokens={"good"}) as server:
        yield server


def test_the_services_token_is_shown_for_the_image(guarded, image_id):
    result = probed_for(guarded.url, image_id, auth=Tokens("good"))
    assert [("show", ""), ("download", "")] == outcomes(result)


def test_the_versions_and_the_healthcheck_are_not_shown_a_token(guarded, image_id):
    probed_for(guarded.url, image_id, auth=Tokens("good"))
    assert [False, False, True, True] == [each.token_present for each in guarded.access_log]


def test_without_keystone_there_is_no_token(glance, image_id):
    probed_for(glance.url, image_id)
    assert not any(each.token_present for each in glance.access_log)


def test_a_token_that_was_revoked_is_renewed(guarded, image_id):
    result = probed_for(guarded.url, image_id, auth=Tokens("old", "good"))
    assert [("show", ""), ("download", "")] == outcomes(result)


def test_a_token_that_can_not_be_renewed_is_the_answer_401(guarded, image_id):
    assert "401" == probed_for(guarded.url, image_id, auth=Tokens("old")).reason


def test_401_without_a_token_is_not_asked_again(guarded, image_id):
    assert "401" == probed_for(guarded.url, image_id).reason
    assert 3 == len(guarded.access_log)


def test_keystone_that_fails_while_a_token_is_renewed_leaves_the_401(guarded, image_id):
    tokens = Tokens("old")

    async def once():
        servers = config(guarded.url, auth=tokens)
        probe = Probe(servers, image=image_id)
        canary = await probe.canary()
        tokens.error = OSError()
        return await probe(servers.servers[0], canary)

    assert "401" == run(once()).reason


def test_keystone_that_hangs_while_a_token_is_renewed_leaves_the_401(guarded, image_id):
    go = threading.Event()
    tokens = Tokens("old")
    tokens.invalidate = lambda: go.wait(LIMIT)

    async def once():
        servers = config(guarded.url, auth=tokens)
        probe = Probe(servers, image=image_id, timeout=0.3)
        result = await probe(servers.servers[0], await probe.canary())
        go.set()
        return result

    assert "401" == run(once()).reason


def test_keystone_that_gives_no_token_is_no_servers_fault(guarded, image_id):
    tokens = Tokens("good")
    tokens.error = OSError()
    result = probed_for(guarded.url, image_id, auth=tokens)
    assert ("", []) == (result.reason, outcomes(result))


def test_keystone_that_hangs_is_waited_for_so_long(guarded, image_id, monkeypatch):
    monkeypatch.setattr(probes, "TOKEN_TIMEOUT", 0.05)
    go = threading.Event()
    tokens = Tokens("good")
    tokens.get_token = lambda: go.wait(LIMIT)

    async def once():
        canary = await Probe(config(guarded.url, auth=tokens), image=image_id).canary()
        go.set()
        return canary

    assert None is run(once())


def test_a_missing_token_is_logged_once_until_there_is_one_again(guarded, image_id, caplog):
    tokens = Tokens("good")

    async def once():
        probe = Probe(config(guarded.url, auth=tokens), image=image_id)
        for error in (OSError(), OSError(), None, OSError()):
            tokens.error = error
            await probe.canary()

    run(once())
    assert [logging.WARNING] * 2 == [record.levelno for record in caplog.records]


def test_the_log_tells_what_to_do_about_a_missing_token(guarded, image_id, caplog):
    tokens = Tokens("good")
    tokens.error = OSError()
    probed_for(guarded.url, image_id, auth=tokens)
    assert "check auth_url and the credentials" in caplog.text


def test_a_canarys_token_is_not_in_its_text():
    assert "secret" not in repr(Canary("1", "secret"))


def test_servers_that_ask_at_the_same_time_share_one_request_to_keystone(guarded, image_id):
    asked, go = [], threading.Event()
    tokens = Tokens("good")

    def get_token():
        asked.append(1)
        go.wait(LIMIT)
        return "good"

    tokens.get_token = get_token

    async def once():
        probe = Probe(config(guarded.url, auth=tokens), image=image_id)
        waiting = [asyncio.create_task(probe.canary()) for _ in range(5)]
        await until(lambda: asked)
        go.set()
        return await asyncio.gather(*waiting)

    assert [Canary(image_id, "good")] * 5 == run(once())
    assert [1] == asked
