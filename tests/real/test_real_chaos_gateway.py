"""nginx in front of a server: what it answers for one that is dead, and what it logs."""

from __future__ import annotations

import http.client
import time

import pytest
from chaos.gateway import gateway
from parts import tools
from parts.ports import free_port

from traced_image import lab

TRACE, SPAN = "1" * 32, "2" * 16


@pytest.fixture
def nginx(tool):
    return tool(tools.system, "nginx", "nginx-light")


def ask(port, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/v2/images", headers=headers)
    status = connection.getresponse().status
    connection.close()
    return status


def read_logged(passed, dead):
    """Read the requests: nginx writes a line after the reply."""
    end = time.monotonic() + 10
    while not (lines := list(passed.read_served({dead: 9292}))) and time.monotonic() < end:
        time.sleep(0.01)
    return lines


def test_what_a_server_answers_passes(nginx, tmp_path):
    with lab.GlanceServer() as server, gateway(nginx, tmp_path / "n", [server.port]) as passed:
        assert 200 == ask(passed.ports[server.port])


def test_a_server_that_is_dead_is_answered_for_and_logged_by_its_clients_port(nginx, tmp_path):
    dead = free_port()
    with gateway(nginx, tmp_path / "n", [dead]) as passed:
        status = ask(passed.ports[dead], traceparent=f"00-{TRACE}-{SPAN}-01")
        (line,) = read_logged(passed, dead)
    expected = (502, (TRACE, SPAN, 9292, "GET", "/v2/images", 502, True))
    fields = (line.trace, line.span, line.server, line.method, line.path, line.status)
    assert expected == (status, (*fields, line.is_gateway))


def test_a_request_of_no_trace_is_not_read(nginx, tmp_path):
    dead = free_port()
    with gateway(nginx, tmp_path / "n", [dead]) as passed:
        ask(passed.ports[dead])
        ask(passed.ports[dead], traceparent=f"00-{TRACE}-{SPAN}-01")
        assert [TRACE] == [line.trace for line in read_logged(passed, dead)]
