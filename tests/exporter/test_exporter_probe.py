"""One probe of one server: what each fault looks like, and where its time went."""

from __future__ import annotations

import asyncio
import socket
import time
from types import SimpleNamespace

import pytest
from probe_parts import (
    CHOICES,
    HEALTHY,
    LIMIT,
    VERSIONS,
    Tokens,
    config,
    probed,
    reply,
    run,
    saying,
    until,
)

from traced_image import Server, lab
from traced_image.errors import InvalidAuth, InvalidImageID, InvalidTimeout, InvalidTLS
from traced_image.exporter.probing.probe import Probe
from traced_image.telemetry.catalogue.probe_metrics import PHASES

PLAIN = ["dns", "connect", "first_byte", "body"]


@pytest.fixture
def glance():
    with lab.GlanceServer() as server:
        yield server


def test_a_glance_that_is_well_has_no_reason(glance):
    assert "" == probed(glance.url).reason


def test_the_versions_of_a_glance_are_200(glance):
    assert 200 == probed(glance.url).status


def test_the_current_version_of_the_api_is_told(glance):
    assert "v2.17" == probed(glance.url).version


def test_all_versions_of_the_api_are_told(glance):
    result = probed(glance.url)
    assert {"v2.17", "v2.0", "v1.1"} < set(result.versions)


def test_the_healthcheck_is_asked(glance):
    assert probed(glance.url).healthcheck is True


def test_nothing_else_is_asked_without_an_image(glance):
    probed(glance.url)
    assert ["/versions", "/healthcheck"] == [access.path for access in glance.access_log]


def test_all_is_asked_over_one_connection(glance):
    probed(glance.url)
    assert 1 == glance.connections


def test_a_path_prefix_is_put_before_all_paths():
    with lab.GlanceServer(prefix="/image") as glance:
        assert "" == probed(glance.url).reason
        assert ["/image/versions", "/image/healthcheck"] == [
            each.path for each in glance.access_log
        ]


@pytest.mark.parametrize("host", [pytest.param("::1", marks=pytest.mark.ipv6), "127.0.0.1"])
def test_a_server_is_reached_at_an_address_of_either_family(host):
    with lab.GlanceServer(host=host) as glance:
        assert "" == probed(glance.url).reason


def test_a_server_is_reached_by_its_name(glance):
    assert "" == probed(f"http://localhost:{glance.port}").reason


def test_the_time_is_that_of_the_end_of_the_probe(glance):
    async def once():
        servers = config(glance.url)
        return await Probe(servers, clock=lambda: 42.0)(servers.servers[0])

    assert 42.0 == run(once()).when


def test_no_proxy_of_the_environment_is_asked(glance, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert "" == probed(glance.url).reason


# --- faults ------------------------------------------------------------------------------------

FAULTS = {
    "refuse": (lab.faults.refuse(), "connection_refused", "connect"),
    "reset": (lab.faults.reset().only(path="."), "connection_reset", "first_byte"),
    "never_answer": (lab.faults.never_answer(), "read_timeout", "first_byte"),
    "lost_reply": (lab.faults.lost_reply(), "connection_reset", "first_byte"),
    "slow_headers": (lab.faults.slow_headers(0.05), "read_timeout", "body"),
    "slow_body": (lab.faults.slow_body(0.05), "read_timeout", "body"),
    "cut_body": (lab.faults.cut_body(), "protocol_error", "body"),
    "wrong_length": (lab.faults.wrong_length(), "protocol_error", "body"),
    "too_long": (lab.faults.wrong_length(-1), "protocol_error", "body"),
    "garbage_headers": (lab.faults.garbage_headers(), "protocol_error", "body"),
    "not_json": (lab.faults.not_json(), "protocol_error", "body"),
    "wrong_type": (lab.faults.wrong_type(), "protocol_error", "body"),
    "redirect": (lab.faults.redirect_loop(), "invalid_endpoint", "body"),
    "503": (lab.faults.status(503), "503", "body"),
    "401": (lab.faults.status(401), "401", "body"),
}


@pytest.fixture(scope="module", params=FAULTS)
def faulty(request):
    """A server with a fault, what is expected of a probe of it, and what was found."""
    fault, reason, phase = FAULTS[request.param]
    with lab.GlanceServer() as server:
        server.break_with(fault)
        # Only what never ends is ended by the limit.
        result = probed(server.url, timeout=0.5 if reason == "read_timeout" else LIMIT)
        told = f"127.0.0.1:{server.port}: "
    return SimpleNamespace(told=told, reason=reason, phase=phase, result=result)


def test_a_fault_has_its_reason(faulty):
    assert faulty.reason == faulty.result.reason


def test_the_phases_end_with_the_one_that_failed(faulty):
    assert faulty.phase == list(faulty.result.phases)[-1]


def test_a_fault_is_told_in_a_sentence_that_names_the_server(faulty):
    assert faulty.result.error.startswith(faulty.told)


def test_a_name_that_does_not_resolve_is_a_dns_error():
    def lookup(*_args, **_options):
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    result = probed("glance.invalid:9292", lookup=lookup)
    assert ("dns_error", ["dns"]) == (result.reason, list(result.phases))


def test_a_network_without_a_way_there_is_unreachable():
    # 255.255.255.255 is a broadcast address, to which no connection can be made.
    assert "network_unreachable" == probed("http://255.255.255.255:9292", timeout=0.5).reason


def test_a_server_that_accepts_no_connection_is_a_connect_timeout():
    with socket.socket() as full, socket.socket() as waiting:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting.connect(full.getsockname())
        url = f"http://127.0.0.1:{full.getsockname()[1]}"
        result = probed(url, connect_timeout=0.2)
    assert ("connect_timeout", "connect") == (result.reason, list(result.phases)[-1])


def test_a_probe_that_meets_something_unknown_still_has_a_reason_of_the_closed_set():
    def lookup(*_args, **_options):
        raise ArithmeticError

    assert "_OTHER" == probed("glance:9292", lookup=lookup).reason


def test_a_server_that_resets_connections_at_once_has_its_reason(glance):
    glance.break_with(lab.faults.reset())
    assert "connection_reset" == probed(glance.url).reason


# --- where the time goes -----------------------------------------------------------------------


def test_the_phases_are_in_their_order(glance):
    assert PLAIN == list(probed(glance.url).phases)


def test_there_are_no_phases_but_those_of_the_catalogue():
    with lab.GlanceServer(tls=(tls := lab.TLS.trusted())) as glance:
        assert list(PHASES) == list(probed(glance.url, cafile=tls.cafile).phases)


def test_the_phases_leave_out_no_time(glance):
    glance.break_with(lab.faults.never_answer())
    started = time.perf_counter()
    result = probed(glance.url, timeout=0.3)
    assert 0.3 * 0.99 <= result.seconds <= time.perf_counter() - started


SLOW = {
    "first_byte": lab.faults.never_answer(),
    "body": lab.faults.slow_body(0.01),
}


@pytest.mark.parametrize(("phase", "fault"), SLOW.items(), ids=SLOW.keys())
def test_the_phase_that_is_slow_takes_the_time(glance, phase, fault):
    glance.break_with(fault)
    phases = probed(glance.url, timeout=0.5).phases
    assert phase == max(phases, key=phases.get)


def test_headers_that_drip_are_not_taken_for_a_slow_first_byte(glance):
    glance.break_with(lab.faults.slow_headers(0.005))
    result = probed(glance.url, timeout=0.6)
    assert result.phases["body"] > result.phases["first_byte"]


def test_a_slow_lookup_takes_its_time_under_dns(glance):
    def lookup(*_args, **_options):
        time.sleep(0.1)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))]

    result = probed(f"http://glance:{glance.port}", lookup=lookup)
    assert 0.1 <= result.phases["dns"] <= result.seconds


def test_a_lookup_that_hangs_is_a_dns_error_in_time():
    def lookup(*_args, **_options):
        time.sleep(0.4)

    result = probed("glance:9292", lookup=lookup, connect_timeout=0.1)
    assert ("dns_error", ["dns"]) == (result.reason, list(result.phases))


def test_a_probe_has_no_more_than_its_time_in_all(glance):
    glance.break_with(lab.faults.never_answer().only(path="healthcheck"))
    started = time.perf_counter()
    probed(glance.url, timeout=0.3)
    assert time.perf_counter() - started < 0.5 * LIMIT


def test_a_probe_can_be_given_less_time_than_usual(glance):
    glance.break_with(lab.faults.never_answer())

    async def once():
        servers = config(glance.url)
        return await Probe(servers, timeout=LIMIT)(servers.servers[0], within=0.1)

    assert run(once()).seconds < 0.5 * LIMIT


def test_a_probe_that_is_cancelled_closes_its_connection(glance):
    glance.break_with(lab.faults.never_answer())

    async def once():
        servers = config(glance.url)
        task = asyncio.create_task(Probe(servers)(servers.servers[0]))
        await until(lambda: glance.access_log)
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled()

    assert run(once())


# --- what the answers mean ---------------------------------------------------------------------

HEALTH = {
    "well": (HEALTHY, True),
    "disabled by a file": (reply(b"DISABLED BY FILE", "503 Service Unavailable"), False),
    "broken": (reply(b"", "500 Internal Server Error"), False),
    "not configured": (reply(b"", "404 Not Found"), None),
    "a Glance without it answers with its versions": (CHOICES, None),
    "the connection ends": (None, False),
}


@pytest.mark.parametrize(("answer", "expected"), HEALTH.values(), ids=HEALTH.keys())
def test_the_healthcheck_is_well_or_not_or_unknown(answer, expected):
    async def once():
        async with saying([VERSIONS, answer], [answer]) as (port, _):
            servers = config(f"http://127.0.0.1:{port}")
            return await Probe(servers)(servers.servers[0])

    assert expected is run(once()).healthcheck


def test_a_server_whose_healthcheck_is_not_well_is_well_all_the_same(glance):
    glance.break_with(lab.faults.status(503).only(path="healthcheck"))
    result = probed(glance.url)
    assert ("", False) == (result.reason, result.healthcheck)


def test_a_healthcheck_that_hangs_is_not_well(glance):
    glance.break_with(lab.faults.never_answer().only(path="healthcheck"))
    result = probed(glance.url, timeout=1.0)
    assert ("", False) == (result.reason, result.healthcheck)


def test_a_server_with_an_error_for_its_versions_is_asked_for_its_health(glance):
    glance.break_with(lab.faults.status(500).only(path="^/versions$"))
    result = probed(glance.url)
    assert ("500", True) == (result.reason, result.healthcheck)


def test_the_request_id_of_what_failed_is_told(glance):
    glance.break_with(lab.faults.status(500).only(path="^/versions$"))
    assert probed(glance.url).request_id.startswith("req-")


LISTS = {
    "no object": b"[]",
    "no list": b'{"versions": 42}',
    "an empty list": b'{"versions": []}',
    "no objects in it": b'{"versions": ["v2.17"]}',
    "digits of others": '{"versions": [{"id": "v\u0662.\u0660"}]}'.encode(),
    "no versions": b'{"versions": [{"id": "latest"}, {"id": 42}, {}]}',
    "nested too deeply": b"[" * 100_000,
    "not UTF-8": b"\xff\xfe\xfd",
}


def answered(body, status="200 OK"):
    async def once():
        async with saying([reply(body, status), HEALTHY]) as (port, _):
            servers = config(f"http://127.0.0.1:{port}")
            return await Probe(servers)(servers.servers[0])

    return run(once())


@pytest.mark.parametrize("body", LISTS.values(), ids=LISTS.keys())
def test_a_list_that_names_no_version_is_a_protocol_error(body):
    assert "protocol_error" == answered(body).reason


def test_a_list_without_a_current_version_is_well():
    result = answered(b'{"versions": [{"id": "v2.0"}]}')
    assert ("", None, ("v2.0",)) == (result.reason, result.version, result.versions)


def test_versions_without_end_are_not_kept():
    many = b",".join(b'{"id": "v2.%d"}' % number for number in range(1000))
    assert 100 == len(answered(b'{"versions": [%s]}' % many).versions)


def test_a_status_that_answers_nothing_is_a_protocol_error():
    assert "protocol_error" == answered(b"{}", "202 Accepted").reason


def test_a_status_beyond_http_is_of_the_closed_set():
    assert "_OTHER" == answered(b"{}", "799 What").reason


# --- what can't be used ------------------------------------------------------------------------


def test_a_timeout_of_nothing_is_refused():
    with pytest.raises(InvalidTimeout, match="timeout"):
        Probe(config("glance:9292"), timeout=0)


def test_an_image_id_that_is_none_is_refused():
    with pytest.raises(InvalidImageID):
        Probe(config("glance:9292"), image="")


def test_an_image_needs_a_token_under_keystone():
    with pytest.raises(InvalidAuth, match="without an image"):
        Probe(config("glance:9292", auth_strategy="keystone"), image="1")


def test_an_image_goes_with_a_source_of_tokens():
    assert Probe(config("glance:9292", auth=Tokens("t")), image="1").config.auth is not None


def test_authorities_that_can_not_be_used_are_refused_at_once(monkeypatch, tmp_path):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "none.pem"))
    with pytest.raises(InvalidTLS, match="REQUESTS_CA_BUNDLE"):
        Probe(config("https://glance"))


def test_authorities_are_not_read_for_servers_without_tls(monkeypatch, tmp_path):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "none.pem"))
    assert (Server.parse("glance:9292"),) == Probe(config("glance:9292")).config.servers
