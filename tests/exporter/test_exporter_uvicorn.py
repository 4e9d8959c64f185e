"""What the exporter uses of uvicorn that uvicorn does not document, and could change any day."""

from __future__ import annotations

import asyncio
import inspect
import sys
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest
import uvicorn
from packaging.requirements import Requirement
from packaging.version import Version
from serving import hello
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.server import ServerState

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

VERSION = metadata.version("uvicorn")
PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
ASKED = {each.name: each for each in map(Requirement, PROJECT["optional-dependencies"]["exporter"])}
BOUND = ASKED["uvicorn"]


def make_config():
    return uvicorn.Config(hello, lifespan="off", log_config=None)


def make_connection():
    async def made():
        loop = asyncio.get_running_loop()
        return H11Protocol(make_config(), server_state=ServerState(), app_state={}, _loop=loop)

    return asyncio.run(made())


def make_cycle():
    given = dict.fromkeys(inspect.signature(RequestResponseCycle).parameters)
    given["conn"] = SimpleNamespace(they_are_waiting_for_100_continue=False)
    return RequestResponseCycle(**given)


def make_server():
    server = uvicorn.Server(make_config())
    server.config.load()
    server.lifespan = server.config.lifespan_class(server.config)
    return server


MAKE = {
    "H11Protocol": make_connection,
    "RequestResponseCycle": make_cycle,
    "FlowControl": lambda: FlowControl(SimpleNamespace()),
    "Server": make_server,
    "Server.lifespan": lambda: make_server().lifespan,
}
PRIVATE = {
    "H11Protocol": """
        _unset_keepalive_if_required access_log app conn connection_lost connection_made cycle
        data_received flow logger loop on_response_complete send_400_response
        timeout_keep_alive_task transport
    """,
    "RequestResponseCycle": "disconnected keep_alive response_complete",
    "FlowControl": "write_paused",
    "Server": """
        capture_signals config lifespan on_tick run serve server_state should_exit shutdown startup
    """,
    "Server.lifespan": "state",
}
PARTS = [(kind, name) for kind, names in PRIVATE.items() for name in names.split()]


@pytest.mark.parametrize(("kind", "name"), PARTS)
def test_uvicorn_still_has_what_the_exporter_uses(kind, name):
    assert hasattr(MAKE[kind](), name), (
        f"uvicorn {VERSION} has no {kind}.{name}, which traced_image/exporter/web uses: "
        f"change exporter/web, or bound uvicorn below {VERSION} in pyproject.toml"
    )


@pytest.mark.parametrize("name", ["config", "server_state", "app_state"])
def test_uvicorn_still_makes_a_connection_of_the_same_arguments(name):
    assert name in inspect.signature(H11Protocol).parameters, (
        f"H11Protocol of uvicorn {VERSION} takes no {name}, which ExporterServer.startup gives: "
        f"change exporter/web/server.py, or bound uvicorn below {VERSION} in pyproject.toml"
    )


@pytest.mark.parametrize("name", ["startup", "shutdown", "run", "serve"])
def test_uvicorns_server_still_takes_its_sockets(name):
    assert "sockets" in inspect.signature(getattr(uvicorn.Server, name)).parameters, (
        f"Server.{name} of uvicorn {VERSION} takes no sockets: change exporter/web/server.py, or "
        f"bound uvicorn below {VERSION} in pyproject.toml"
    )


def test_uvicorn_is_bounded_above_by_the_next_minor_version():
    """Private parts may change in each one; a new one is allowed once these tests pass with it."""
    above = [Version(each.version) for each in BOUND.specifier if each.operator == "<"]
    assert [2] == [len(each.release) for each in above]


def test_the_version_here_is_one_that_is_allowed():
    assert BOUND.specifier.contains(VERSION)


def test_a_parser_that_reads_bad_chunks_is_not_allowed():
    """CVE-2025-43859, which h11 0.16 fixes."""
    assert not ASKED["h11"].specifier.contains("0.15")
