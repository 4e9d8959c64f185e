"""The collector's configurations, checked and run by the collector that their manifest makes."""

import re
import socket
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trustme
import yaml
from parts import collector as part
from parts.backend import Backend
from parts.collector import AGENT, DNS, GATEWAY, NODE, TOKENS, TWICE, Collector

KINDS = ("receivers", "processors", "exporters", "connectors", "extensions")
LAYOUTS = {"node": (NODE,), "gateway": (GATEWAY,), "agent": (AGENT,), "agent-twice": (AGENT, TWICE)}
OVERLAYS = {
    "agent-dns": (AGENT, DNS),
    "agent-token": (AGENT, TOKENS["agent"]),
    "agent-twice-token": (AGENT, TWICE, TOKENS["agent"]),
    "agent-dns-token": (AGENT, DNS, TOKENS["agent"]),
    "gateway-token": (GATEWAY, TOKENS["gateway"]),
}
FILES = (NODE, GATEWAY, AGENT, TWICE, DNS, *TOKENS.values())

QUICK = {"COLLECTOR_DECISION_WAIT": "2s", "COLLECTOR_ROOT_WAIT": "1s"}
"""Decides soon."""

layouts = pytest.mark.parametrize("configs", LAYOUTS.values(), ids=LAYOUTS)


def read(file: Path) -> Mapping[str, Any]:
    """A configuration where no variable is set."""
    defaults = re.sub(r"\$\{env:\w+:-([^}]*)\}", r"\1", file.read_text())
    return yaml.safe_load(defaults)


@pytest.mark.parametrize(
    "configs", [*LAYOUTS.values(), *OVERLAYS.values()], ids=[*LAYOUTS, *OVERLAYS]
)
def test_the_collector_accepts_it(collector, configs):
    part.validate(collector, *configs)


@layouts
def test_the_collector_accepts_it_with_every_variable_set(collector, configs):
    variables = {
        "COLLECTOR_TLS": "true",
        "COLLECTOR_TLS_CERT_FILE": "/etc/otelcol/server.pem",
        "COLLECTOR_TLS_KEY_FILE": "/etc/otelcol/server.key",
        "COLLECTOR_TLS_CLIENT_CA_FILE": "/etc/otelcol/ca.pem",
        "COLLECTOR_GATEWAYS": "[gateway-1.example:4317, gateway-2.example:4317]",
        "COLLECTOR_KEPT_GATEWAYS": "[gateway-1.example:4319, gateway-2.example:4319]",
        "COLLECTOR_SHARE_PERCENT": "0.1",
        "COLLECTOR_SLOW": "2500ms",
    }
    part.validate(collector, *configs, **variables)


def test_the_manifest_lists_exactly_the_components_used(collector):
    made_of = yaml.safe_load(part.components(collector))
    for kind in KINDS:
        wanted = {each.partition("/")[0] for file in FILES for each in read(file).get(kind, ())}
        assert wanted == {each["name"] for each in made_of[kind]}, kind
    wanted = set(re.findall(r"\$\{(\w+):", "".join(file.read_text() for file in FILES)))
    assert wanted | {"file"} == {each["scheme"] for each in made_of["providers"]}


def listening(pid: int) -> set[str]:
    """The addresses on which a process listens, as the kernel has them."""
    inodes = {
        each.readlink().name for each in Path(f"/proc/{pid}/fd").iterdir() if each.is_symlink()
    }
    found = set()
    for family in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{family}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes:
                found.add(address(fields[1].partition(":")[0]))
    return found


def address(text: str) -> str:
    """An address as /proc has it: words of the machine's byte order, in hex digits."""
    words = [int(text[at : at + 8], 16).to_bytes(4, "little") for at in range(0, len(text), 8)]
    return socket.inet_ntop(socket.AF_INET if len(words) == 1 else socket.AF_INET6, b"".join(words))


@pytest.fixture(scope="module")
def running(collector, tmp_path_factory):
    """A collector of each layout, by its name."""
    folder = tmp_path_factory.mktemp("running")
    with ExitStack() as stack:
        started = {}
        for name, configs in LAYOUTS.items():
            each = Collector(name, collector, configs, folder / name)
            stack.callback(each.kill)
            started[name] = each.open()
        yield started


@pytest.mark.parametrize("name", LAYOUTS)
def test_nothing_listens_beyond_loopback(running, name):
    assert {"127.0.0.1"} == listening(running[name].pid)


@pytest.mark.parametrize("name", LAYOUTS)
def test_nothing_in_it_is_deprecated(running, name):
    log = running[name].log.read_text()
    assert "Everything is ready" in log
    assert [] == [line for line in log.splitlines() if re.search("deprecat", line, re.IGNORECASE)]


@pytest.mark.parametrize("name", LAYOUTS)
def test_it_ends_by_itself_although_there_is_no_backend(running, name):
    running[name].stopped()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """Variables for those who serve and for those who send, with a CA that both know."""
    folder, authority = tmp_path_factory.mktemp("certificates"), trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    for name in ("server", "client"):
        leaf = authority.issue_cert("127.0.0.1")
        leaf.private_key_pem.write_to_path(folder / f"{name}.key")
        leaf.cert_chain_pems[0].write_to_path(folder / f"{name}.pem")
    server = {
        "COLLECTOR_TLS": "true",
        "COLLECTOR_TLS_CERT_FILE": f"{folder}/server.pem",
        "COLLECTOR_TLS_KEY_FILE": f"{folder}/server.key",
        "COLLECTOR_TLS_CLIENT_CA_FILE": f"{folder}/ca.pem",
    }
    stranger = {"COLLECTOR_CA_FILE": f"{folder}/ca.pem"}
    client = {"COLLECTOR_CERT_FILE": f"{folder}/client.pem"}
    client["COLLECTOR_KEY_FILE"] = f"{folder}/client.key"
    return SimpleNamespace(server=server, stranger=stranger, client={**stranger, **client})


def says(collector: Collector, words: str) -> bool:
    """Whether its log has these words."""
    return words in collector.log.read_text()


def test_tls_guards_every_way_from_one_to_another(collector, tmp_path, certificates):
    """Both an agent's way and that to a backend, by TLS on both sides; one without is refused."""
    with ExitStack() as stack:

        def opened(process):
            stack.callback(process.kill)
            return process.open()

        backend = opened(Backend("backend", tmp_path / "backend"))
        variables = {**QUICK, **backend.variables, **certificates.server}
        guarded = opened(Collector("guarded", collector, [NODE], tmp_path / "guarded", **variables))
        grpc = {"COLLECTOR_GATEWAYS": f"[127.0.0.1:{guarded.grpc}]"}
        http = {"COLLECTOR_TRACES_ENDPOINT": f"https://127.0.0.1:{guarded.http}"}
        for name, config, way, own in (
            ("agent", AGENT, grpc, certificates.client),
            ("node", NODE, http, certificates.client),
            ("strange-agent", AGENT, grpc, certificates.stranger),
            ("strange-node", NODE, http, certificates.stranger),
        ):
            variables = {**QUICK, **way, **own}
            sender = opened(Collector(name, collector, [config], tmp_path / name, **variables))
            sender.send_failure(name)
            if own is certificates.stranger:
                sender.until(partial(says, sender, "certificate required"), "got by")
        guarded.until(lambda: 2 <= len(list(backend.spans())), "did not get both")
        assert {"agent", "node"} == {span.name for span in backend.spans()}
