"""A gateway that asks for a token takes spans of those that have it, and no log has the token.

The agents find the gateway by a list or by DNS. Its file of tokens is changed while it runs.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import trustme
from parts.backend import Backend
from parts.collector import AGENT, DNS, GATEWAY, TOKENS, Collector

NAME = "localhost"  # the gateway's
OLD, NEW = "the-old-secret-6f1d", "the-new-secret-a0b7"
REFUSED = 'rpc_response_status_code="UNAUTHENTICATED"'
ANSWERS = "rpc_server_call_duration_count"


@pytest.fixture(scope="module")
def scene(collector: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """A gateway that knows the old token, its backend, and agents by their names."""
    folder = tmp_path_factory.mktemp("token")
    files = {}
    for name, text in (("old", OLD), ("new", NEW), ("gateway", f"{OLD} # until the weekend")):
        files[name] = folder / f"{name}.token"
        files[name].write_text(f"{text}\n")
    backend = Backend("backend", folder / "backend")
    tls = certified(folder)
    gateway = Collector(
        "gateway",
        collector,
        [GATEWAY, TOKENS["gateway"]],
        folder / "gateway",
        **backend.variables,
        **tls,
        COLLECTOR_TOKEN_FILE=str(files["gateway"]),
    )
    ways = {
        "COLLECTOR_CA_FILE": str(folder / "ca.pem"),
        "COLLECTOR_GATEWAYS": f"[{NAME}:{gateway.grpc}]",
        "COLLECTOR_GATEWAYS_NAME": NAME,
        "COLLECTOR_GATEWAYS_PORT": str(gateway.grpc),
    }

    def agent(name: str, token: str, *configs: Path, **variables: str) -> Collector:
        settings = {**ways, "COLLECTOR_TOKEN_FILE": str(files[token]), **variables}
        return Collector(name, collector, [AGENT, *configs], folder / name, **settings)

    agents = {
        "listed": agent("listed", "old", TOKENS["agent"]),
        "named": agent("named", "old", DNS, TOKENS["agent"]),
        "stranger": agent("stranger", "old"),
        "new": agent("new", "new", TOKENS["agent"]),
    }
    with ExitStack() as stack:
        for each in (backend, gateway, *agents.values()):
            stack.callback(each.kill)
            each.open()
        yield SimpleNamespace(gateway=gateway, backend=backend, agents=agents, files=files)


def certified(folder: Path) -> dict[str, str]:
    """The variables of a gateway with a certificate of an authority in `folder`."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    leaf = authority.issue_cert(NAME)
    leaf.private_key_pem.write_to_path(folder / "gateway.key")
    leaf.cert_chain_pems[0].write_to_path(folder / "gateway.pem")
    return {
        "COLLECTOR_TLS": "true",
        "COLLECTOR_TLS_CERT_FILE": str(folder / "gateway.pem"),
        "COLLECTOR_TLS_KEY_FILE": str(folder / "gateway.key"),
    }


def has_got(backend: Backend, name: str) -> bool:
    return name in {span.name for span in backend.spans()}


@pytest.mark.parametrize("name", ["listed", "named"])
def test_spans_of_an_agent_with_the_token_arrive(scene, name):
    scene.agents[name].send_failure(name)

    scene.gateway.until(partial(has_got, scene.backend, name), f"got nothing of {name}")


@pytest.mark.parametrize("name", ["stranger", "new"])
def test_spans_of_an_agent_without_it_are_refused_and_counted(scene, name):
    before = scene.gateway.own(ANSWERS, REFUSED)
    scene.agents[name].send_failure(f"{name} too early")

    scene.gateway.until(
        lambda: scene.gateway.own(ANSWERS, REFUSED) > before, "counted no refused export"
    )
    lost = "otelcol_exporter_send_failed_spans"
    scene.agents[name].until(lambda: scene.agents[name].own(lost), "counted no lost span")
    assert not has_got(scene.backend, f"{name} too early")


def test_a_second_token_is_taken_without_a_restart(scene):
    scene.files["gateway"].write_text(f"{OLD}\n{NEW}\n")
    scene.gateway.until(lambda: "refresh token" in scene.gateway.log.read_text(), "read no file")
    scene.agents["new"].send_failure("new and known")

    scene.gateway.until(partial(has_got, scene.backend, "new and known"), "took no new token")


def test_no_log_has_a_token(scene):
    logs = [each.log.read_text() for each in (scene.gateway, *scene.agents.values())]

    assert [] == [text for text in logs if OLD in text or NEW in text]


def test_a_collector_without_the_file_ends_and_names_it(collector, tmp_path):
    missing = str(tmp_path / "no-such-token")
    lost = Collector(
        "lost",
        collector,
        [GATEWAY, TOKENS["gateway"]],
        tmp_path / "lost",
        COLLECTOR_TOKEN_FILE=missing,
    )
    lost.start()
    try:
        assert 0 != lost.ended()
    finally:
        lost.kill()
    assert missing in lost.log.read_text().splitlines()[-1]


def test_a_token_is_never_sent_without_tls(collector, tmp_path):
    (tmp_path / "token").write_text(OLD)
    bare = Collector(
        "bare",
        collector,
        [AGENT, TOKENS["agent"]],
        tmp_path / "bare",
        COLLECTOR_TOKEN_FILE=str(tmp_path / "token"),
        COLLECTOR_GATEWAYS_INSECURE="true",
    )
    try:
        bare.open()
        bare.send_failure("bare")
        bare.until(lambda: "transport" in bare.log.read_text(), "said nothing")
    finally:
        bare.kill()
