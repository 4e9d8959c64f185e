"""Proxies and handshakes that fail: no Glance server is accused of a proxy's failure."""

import io
import select

import pytest
from exchange import (
    DATA,
    EFFECTS,
    EXPECTED,
    LONG,
    NEW,
    OPERATIONS,
    READS,
    SOON,
    WRITES,
    connect,
    names,
    reasons,
    reasons_of,
    within,
)

import traced_image
from traced_image import lab
from traced_image.lab import faults
from traced_image.pipeline.http import connect as http_connect

FAILED = traced_image.GlanceConnectionFailed


@pytest.fixture
def proxy(monkeypatch):
    with lab.Proxy() as running:
        monkeypatch.setenv("https_proxy", running.url)
        monkeypatch.setenv("http_proxy", running.url)
        yield running


@pytest.fixture
def server(images, tls):
    with lab.GlanceServer(images, tls=tls) as running:
        yield running


@pytest.fixture
def pair(images, tls):
    with lab.cluster(2, images=images, tls=tls) as servers:
        yield servers


def states(service):
    return [health.state for health in service.servers()]


# --- A13: the proxy ----------------------------------------------------------------------------


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_operation_goes_through_a_healthy_proxy(
    proxy, server, tls, images, image_id, operation
):
    with connect(server, tls=tls) as service:
        value = OPERATIONS[operation](service, image_id)
    assert (
        value if operation in READS else EXPECTED.get(operation),
        names(images),
        {access.method for access in proxy.access_log},
    ) == (EXPECTED.get(operation), EFFECTS.get(operation, ["cirros"]), {"CONNECT"})


@pytest.mark.parametrize("operation", OPERATIONS)
def test_plain_http_goes_through_a_proxy_too(proxy, images, image_id, operation):
    with lab.GlanceServer(images) as server, connect(server) as service:
        value = OPERATIONS[operation](service, image_id)
        assert (
            value if operation in READS else EXPECTED.get(operation),
            names(images),
            proxy.access_log[0].path.startswith(server.url),
        ) == (EXPECTED.get(operation), EFFECTS.get(operation, ["cirros"]), True)


STATUSES = [400, 403, 404, 407, 500, 502, 503, 504]


@pytest.mark.parametrize("operation", ["show", "create"])
@pytest.mark.parametrize("status", STATUSES)
def test_a_refused_tunnel_has_a_reason_of_its_own(proxy, server, tls, image_id, status, operation):
    proxy.break_with(faults.status(status))
    with connect(server, tls=tls, num_retries=1) as service, pytest.raises(FAILED) as caught:
        OPERATIONS[operation](service, image_id)
    assert (caught.value.reason, str(status) in str(caught.value), len(caught.value.attempts)) == (
        "proxy_error",
        True,
        2,
    )


BROKEN = {
    "400": faults.status(400),
    "403": faults.status(403),
    "407": faults.status(407),
    "502": faults.status(502),
    "503": faults.status(503),
    "504": faults.status(504),
    "no HTTP": faults.raw_reply(b"what?\r\n\r\n"),
    "nothing": faults.raw_reply(b""),
    "no status": faults.raw_reply(b"HTTP/1.1 abc\r\n\r\n"),
    "headers without an end": faults.endless_headers(),
    "closed": faults.lost_reply(),
    "reset": faults.reset(),
}


@pytest.mark.parametrize("fault", BROKEN.values(), ids=BROKEN)
def test_a_proxys_failure_cools_no_server_down(proxy, server, tls, image_id, fault):
    proxy.break_with(fault)
    with connect(server, tls=tls, num_retries=1) as service:
        with within(1), pytest.raises(FAILED) as caught:
            service.show(None, image_id)
        assert (caught.value.reason, states(service)) == ("proxy_error", ["failing"])


def test_a_proxy_that_resets_before_it_is_asked_cools_no_server_down(
    proxy, server, tls, image_id, monkeypatch
):
    def connect_until_reset(*args):
        sock, peer = connect_at_once(*args)
        hung_up = select.poll()
        hung_up.register(sock, 0)
        assert hung_up.poll(SOON * 1000)
        return sock, peer

    connect_at_once = http_connect._connect
    monkeypatch.setattr(http_connect, "_connect", connect_until_reset)
    proxy.break_with(faults.reset())
    with connect(server, tls=tls, num_retries=1) as service:
        with pytest.raises(FAILED):
            service.show(None, image_id)
        assert states(service) == ["failing"]


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("fault", BROKEN.values(), ids=BROKEN)
def test_a_proxys_failure_is_retried_even_for_a_change(
    proxy, server, tls, images, image_id, fault, operation
):
    proxy.break_with(fault.times(1))
    with connect(server, tls=tls) as service, within(1):
        OPERATIONS[operation](service, image_id)
    assert EFFECTS.get(operation, ["cirros"]) == names(images)


def test_a_proxy_that_refuses_connections_is_named(proxy, server, tls, image_id):
    proxy.break_with(faults.refuse())
    with connect(server, tls=tls, num_retries=0) as service:
        with pytest.raises(FAILED, match="proxy") as caught:
            service.show(None, image_id)
        assert (caught.value.reason, states(service)) == ("proxy_error", ["failing"])


SLOW = {
    "drips": faults.slow_headers(0.05),
    "hangs": faults.never_answer(),
    "reads nothing": faults.never_read(),
    "an error that hangs": faults.slow_error(503),
    "an error without an end": faults.endless_body(503),
}


@pytest.mark.parametrize("operation", ["show", "create", "upload"])
@pytest.mark.parametrize("fault", SLOW.values(), ids=SLOW)
def test_a_slow_proxy_has_the_time_to_connect(proxy, server, tls, image_id, fault, operation):
    proxy.break_with(fault)
    with connect(server, tls=tls, num_retries=0, connect_timeout=SOON) as service:
        with within(2 * SOON), pytest.raises(FAILED) as caught:
            OPERATIONS[operation](service, image_id)
        assert (caught.value.reason in {"proxy_error", "connect_timeout"}, states(service)) == (
            True,
            ["failing"],
        )


def test_the_deadline_holds_for_a_slow_proxy(proxy, server, tls, image_id):
    proxy.break_with(faults.slow_headers(0.05))
    with (
        connect(server, tls=tls, connect_timeout=LONG, deadline=SOON) as service,
        within(SOON),
        pytest.raises(FAILED),
    ):
        service.show(None, image_id)


def test_a_password_of_a_proxy_is_in_no_message(proxy, server, tls, image_id, monkeypatch):
    monkeypatch.setenv("https_proxy", proxy.url.replace("//", "//user:secret@"))
    proxy.break_with(faults.status(407))
    with connect(server, tls=tls, num_retries=0) as service, pytest.raises(FAILED) as caught:
        service.show(None, image_id)
    assert "secret" not in f"{caught.value} {caught.value.__cause__}"


def test_a_failure_behind_the_proxy_is_the_servers(proxy, pair, tls, image_id):
    pair[0].break_with(faults.status(503))
    with connect(*pair, tls=tls) as service:
        for _ in range(3):
            service.show(None, image_id)
        assert reasons_of(service, pair[0]) == "503"


# --- A14: TLS ----------------------------------------------------------------------------------


def test_https_to_a_port_of_http_is_said(images, image_id, tls):
    with lab.GlanceServer(images) as plain:
        service = traced_image.connect(
            servers=[plain.url.replace("http:", "https:")],
            telemetry=False,
            cafile=tls.cafile,
            num_retries=0,
        )
        with service, pytest.raises(FAILED, match=r"http\b") as caught:
            service.show(None, image_id)
    assert caught.value.reason == "tls_error"


@pytest.mark.parametrize("fault", [faults.plain_http(), faults.broken_tls()], ids=lambda f: f.name)
def test_what_speaks_no_tls_is_a_tls_error_with_ssls_reason(server, tls, image_id, fault):
    server.break_with(fault)
    with (
        connect(server, tls=tls, num_retries=0) as service,
        pytest.raises(FAILED, match=r"(?i)wrong.version.number|http.request") as caught,
    ):
        service.show(None, image_id)
    assert caught.value.reason == "tls_error"


def test_an_untrusted_certificate_is_said(server, tls, image_id):
    server.break_with(faults.untrusted_tls())
    with (
        connect(server, tls=tls, num_retries=0) as service,
        pytest.raises(FAILED, match=r"(?i)certificate.verify.failed|self.signed|issuer"),
    ):
        service.show(None, image_id)


OLD = pytest.mark.parametrize("old", [False, True], ids=["TLS 1.3", "TLS 1.2"])
SAID = {
    "none": r"(?i)certificate.required|handshake.failure",
    "unknown": r"(?i)unknown.ca",
}


@OLD
@pytest.mark.parametrize("kind", SAID)
@pytest.mark.parametrize("operation", ["show", "create"])
def test_a_refused_certificate_of_the_client_is_said(server, tls, image_id, old, kind, operation):
    server.break_with(faults.demand_certificate(tls_1_2=old))
    certfile = tls.unknown_certfile if kind == "unknown" else None
    with (
        connect(server, tls=tls, num_retries=0, certfile=certfile) as service,
        pytest.raises(FAILED, match=SAID[kind]) as caught,
    ):
        OPERATIONS[operation](service, image_id)
    assert caught.value.reason == "tls_error"


@OLD
@pytest.mark.parametrize("operation", WRITES)
def test_a_change_refused_in_the_handshake_goes_to_the_next_server(
    pair, tls, images, old, operation
):
    pair[0].break_with(faults.demand_certificate(tls_1_2=old))
    with connect(*pair, tls=tls) as service:
        for _ in range(4):
            for image in images.all():
                images.remove(image.id)
            WRITES[operation](service, images.add(name="cirros", data=DATA))
            assert EFFECTS[operation] == names(images)


@OLD
def test_a_large_upload_refused_in_the_handshake_goes_to_the_next_server(pair, tls, old):
    pair[0].break_with(faults.demand_certificate(tls_1_2=old))
    data = b"x" * (8 << 20)
    with connect(*pair, tls=tls) as service:
        for _ in range(3):
            image = service.create(None, dict(NEW), data=io.BytesIO(data))
            assert image["size"] == len(data)


@OLD
@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_certificate_of_the_ca_is_accepted(server, tls, images, image_id, old, operation):
    server.break_with(faults.demand_certificate(tls_1_2=old))
    with connect(server, tls=tls, certfile=tls.certfile, num_retries=0) as service:
        OPERATIONS[operation](service, image_id)
        assert (reasons(service), names(images)) == ([None], EFFECTS.get(operation, ["cirros"]))
