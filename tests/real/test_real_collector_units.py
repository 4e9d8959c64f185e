"""The units of the collectors, as systemd sees them, and a collector that runs as they run it."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import units
from parts import tools
from parts.backend import Backend
from parts.collector import AGENT, GATEWAY, TOP, Collector
from units import run, verified

DEPLOY = TOP / "deploy/collector"
NAMES = ("agent", "gateway")
UNITS = {name: (DEPLOY / f"traced-image-{name}.service").read_text() for name in NAMES}
MOST_EXPOSURE = 12  # tenths of a point, as the exporter's

names = pytest.mark.parametrize("name", NAMES)


@names
def test_systemd_has_nothing_against_a_unit(analyze, tmp_path, name):
    assert verified(analyze, tmp_path, UNITS[name]) == ""


@names
@pytest.mark.parametrize("word", ["StateDirectory", "@system-service", "1536M"])
def test_systemd_tells_if_a_word_of_a_unit_is_misspelt(analyze, tmp_path, name, word):
    assert verified(analyze, tmp_path, UNITS[name].replace(word, f"{word}x")) != ""


@names
def test_a_unit_exposes_little(analyze, name):
    unit = DEPLOY / f"traced-image-{name}.service"

    run(analyze, "security", "--no-pager", "--offline=true", f"--threshold={MOST_EXPOSURE}", unit)


def test_the_units_user_can_be_made(tool, tmp_path):
    sysusers = tool(tools.system, "systemd-sysusers", "systemd")
    (tmp_path / "etc").mkdir()

    run(sysusers, f"--root={tmp_path}", DEPLOY / "traced-image-collector.sysusers")

    user = (tmp_path / "etc/passwd").read_text().split(":")
    assert ("traced-image-collector", True) == (user[0], user[6].strip().endswith("/nologin"))


@pytest.fixture(scope="module", params=NAMES)
def calls(
    request: pytest.FixtureRequest, tool, collector: Path, tmp_path_factory
) -> tuple[Sequence[str], Path]:
    """The system calls of a collector that takes, keeps and sends, and the folder that it has."""
    strace = tool(tools.system, "strace", "strace")
    folder = tmp_path_factory.mktemp(request.param)
    trace = folder / "trace"
    # The tracer is a child of what it traces, so that signals reach that.
    tracer = [strace, "-D", "-f", "-q", "-o", str(trace)]
    tracers = {name: tracer if name == request.param else [] for name in NAMES}
    backend = Backend("backend", folder / "backend").open()
    gateway = Collector(
        *("gateway", collector, [GATEWAY], folder / "gateway"),
        tracers["gateway"],
        **backend.variables,
    )
    agent = Collector(
        *("agent", collector, [AGENT], folder / "agent"),
        tracers["agent"],
        COLLECTOR_GATEWAYS=f"[127.0.0.1:{gateway.grpc}]",
        COLLECTOR_GATEWAYS_INSECURE="true",
    )
    try:
        gateway.open()
        agent.open()
        agent.send_failure("traced")
        agent.until(lambda: list(backend.spans()), "sent nothing")
        agent.stopped()
        gateway.stopped()
    finally:
        for each in (agent, gateway, backend):
            each.kill()
    return trace.read_text().splitlines(), folder / request.param


def test_it_makes_no_system_call_that_the_units_forbid(analyze, calls):
    made = units.made(calls[0])

    assert {"accept4", "clone", "connect", "execve", "flock"} <= made
    assert made - units.allowed(analyze, UNITS["agent"]) == set()


def test_it_uses_no_kind_of_socket_that_the_units_forbid(calls):
    # Go asks the kernel for its addresses, and does without where it may not.
    assert units.sockets(calls[0]) - {"AF_NETLINK"} <= set(
        units.setting(UNITS["agent"], "RestrictAddressFamilies")
    )


def test_it_has_no_memory_that_it_can_both_write_and_run(calls):
    assert units.writable_code(calls[0]) == []


def test_it_writes_to_its_own_folder_only(calls):
    found, folder = calls
    files = units.written(found) - {"/dev/null"}

    assert files
    assert [] == [file for file in files if not file.startswith(f"{folder}/")]
