"""The collector's configurations agree with each other, with their manifest and with their page."""

import functools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from traced_image_dashboards.collector import MAX_TRACES

from traced_image.redact import SECRET_FIELDS, SECRET_KEYS

ROOT = Path(__file__).parent.parent
NODE = ROOT / "otel-collector.yaml"
GATEWAY, AGENT, TWICE = (
    ROOT / f"deploy/{name}.yaml" for name in ("gateway", "agent", "agent-twice")
)
FILES = (NODE, GATEWAY, AGENT, TWICE)
DNS, *TOKENS = (
    ROOT / f"deploy/{name}.yaml" for name in ("agent-dns", "agent-token", "gateway-token")
)
OVERLAYS = (DNS, *TOKENS)
"""What is read beside another file, and changes what that has."""
MANIFEST = ROOT / "deploy/collector/builder.yaml"
PAGE = (ROOT / "docs/how-to/collect.md").read_text()

KINDS = ("receivers", "processors", "exporters", "connectors", "extensions")
VARIABLE = re.compile(r"\$\{env:(\w+):-([^}]*)\}")

files = pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)


@functools.cache
def read(file: Path) -> Mapping[str, Any]:
    """A configuration where no variable is set."""
    return yaml.safe_load(VARIABLE.sub(r"\2", file.read_text()))


def used(settings: Mapping[str, Any], kind: str) -> set[str]:
    """The ids of components of a kind that some pipeline or the service uses."""
    pipelines = settings["service"]["pipelines"].values()
    if kind == "extensions":
        return set(settings["service"].get(kind, ()))
    ends = ("receivers", "exporters") if kind == "connectors" else (kind,)
    return {each for pipeline in pipelines for end in ends for each in pipeline.get(end, ())}


@files
def test_no_component_is_there_for_nothing(file):
    settings = read(file)
    for kind in KINDS:
        ours = used(settings, kind) - set(
            settings.get("connectors", ()) if kind != "connectors" else ()
        )
        declared = set(settings.get(kind, ()))
        assert declared == ours & declared, kind


@files
def test_the_version_that_it_needs_is_the_manifests(file):
    version = yaml.safe_load(MANIFEST.read_text())["dist"]["version"]
    if file is not TWICE:
        assert f"Collector {version.rpartition('.')[0]} or newer" in file.read_text()


def test_what_several_files_have_is_the_same_in_each():
    node, gateway, agent, twice = map(read, FILES)
    for other in (gateway, agent):
        assert node["extensions"] == other["extensions"]
        shared = set(node["processors"]) & set(other["processors"])
        assert {"redaction", "memory_limiter", "transform/shown", "transform/hidden"} <= shared
        for each in shared:
            assert node["processors"][each] == other["processors"][each]
    assert node["connectors"] == gateway["connectors"]
    assert node["exporters"] == gateway["exporters"]
    kept, sampled = twice["processors"]["tail_sampling/kept"], node["processors"]["tail_sampling"]
    assert {**sampled, "policies": sampled["policies"][:-1]} == kept
    assert {**agent["exporters"]["load_balancing/traces"], "resolver": None} == {
        **twice["exporters"]["load_balancing/kept"],
        "resolver": None,
    }


@files
def test_every_pipeline_limits_memory_first_and_redacts(file):
    for name, pipeline in read(file)["service"]["pipelines"].items():
        if set(pipeline["receivers"]) & {"otlp", "otlp/kept"}:
            assert "memory_limiter" == pipeline["processors"][0], name
            assert "redaction" in pipeline["processors"], name


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_nothing_waits_for_room(file):
    assert "block_on_overflow: true" not in file.read_text()


def test_the_alert_knows_how_many_traces_may_wait():
    assert MAX_TRACES == read(NODE)["processors"]["tail_sampling"]["num_traces"]


@pytest.mark.parametrize("file", [NODE, GATEWAY], ids=lambda file: file.name)
def test_policies_look_at_single_spans(file):
    """Others would have to wait for whole traces: `span-ingest` judges each span when it comes."""
    policies = read(file)["processors"]["tail_sampling"]["policies"]
    kinds = {"status_code", "numeric_attribute", "ottl_condition", "probabilistic"}
    assert kinds == {policy["type"] for policy in policies}


def test_both_sides_read_the_token_in_the_same_way():
    agent, gateway = map(read, TOKENS)
    assert agent["extensions"] == gateway["extensions"]
    assert agent["service"] == gateway["service"]
    assert {*read(AGENT)["service"]["extensions"], "bearertokenauth"} == {
        *agent["service"]["extensions"]
    }


def test_every_way_to_a_gateway_has_the_token():
    agent, gateway = map(read, TOKENS)
    ways = set(read(AGENT)["exporters"]) | set(read(TWICE)["exporters"])
    assert (ways, set(read(GATEWAY)["receivers"])) == (
        set(agent["exporters"]),
        set(gateway["receivers"]),
    )


# --- secrets -----------------------------------------------------------------------------------

REDACTING = [file for file in FILES if "redaction" in read(file)["processors"]]
redacting = pytest.mark.parametrize("file", REDACTING, ids=lambda file: file.name)

SIGNED = re.compile(r"\(\?i\)\[\?&;\]\(([\w|-]+)\)=")


def masked(file: Path, text: str, order: int = 1) -> str:
    """What the collector makes of a text; its patterns are Go's, and it takes them in any order."""
    for pattern in read(file)["processors"]["redaction"]["blocked_values"][::order]:
        text = re.sub(pattern.replace("[:space:]", r"\s"), "****", text)
    return text


def test_all_but_what_is_read_beside_another_redact():
    assert [NODE, GATEWAY, AGENT] == REDACTING


@redacting
def test_the_keys_of_signed_urls_are_those_that_the_package_hides(file):
    patterns = read(file)["processors"]["redaction"]["blocked_values"]
    listed = [found[1] for found in map(SIGNED.match, patterns) if found]
    assert ["|".join(map(str.lower, SECRET_KEYS))] == listed


@redacting
@pytest.mark.parametrize("order", [1, -1])
def test_a_secret_keys_value_is_masked_in_whatever_case(file, order):
    before, after = "https://store.example/image?kept=1", "&also=kept"
    for written in [case for key in SECRET_KEYS for case in (key, key.lower(), key.upper())]:
        text = masked(file, f"{before}&{written}=2026-01-01T00:00:00Z/hunter2{after}", order)
        assert (before, after) == (text[: len(before)], text[-len(after) :])
        assert not any(part in text for part in ("2026", "00", "hunter2"))


@redacting
@pytest.mark.parametrize("order", [1, -1])
def test_a_secret_fields_value_is_masked(file, order):
    forms = ("{}: hunter2", "{}=hunter2", '{{"{}": "hunter2"}}', "{{'{}': 'hunter2'}}")
    texts = [form.format(field.title()) for form in forms for field in SECRET_FIELDS]
    assert [] == [text for text in texts if "hunter2" in masked(file, text, order)]


@redacting
@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://user:hunter2@store:443/a", "https****store:443/a"),
        ("https://hunter2@store/a", "https****store/a"),
        ("https://user:hunt@er2@store/a", "https****store/a"),
        ("s3://key:hunt/er2@store/a", "s3****store/a"),
        ("http://store:443/a@b", "http://store:443/a@b"),
        ("http://[::1]:443/a@b", "http://[::1]:443/a@b"),
        ("http://store/a@b", "http://store/a@b"),
    ],
)
def test_userinfo_is_masked_and_nothing_else(file, url, shown):
    assert shown == masked(file, url)


# --- addresses ---------------------------------------------------------------------------------


def addresses(settings: Any) -> list[str]:
    """What a configuration listens on."""
    listening = [settings.get("receivers", {}), settings.get("extensions", {})]
    found, telemetry = [], settings["service"].get("telemetry")
    while listening:
        each = listening.pop()
        if isinstance(each, dict):
            found += [each["endpoint"]] if "endpoint" in each else []
            listening += each.values()
    if telemetry:
        found.append(telemetry["metrics"]["readers"][0]["pull"]["exporter"]["prometheus"]["host"])
    return found


@pytest.mark.parametrize("file", FILES[:3], ids=[each.name for each in FILES[:3]])
def test_nothing_is_told_to_listen_beyond_loopback(file):
    found = addresses(read(file))
    assert 4 <= len(found)
    assert {"localhost"} == {each.partition(":")[0] for each in found}


@pytest.mark.parametrize("file", [*FILES, *OVERLAYS], ids=lambda file: file.name)
def test_every_variable_is_on_the_page_with_its_default(file):
    rows = [line.split("|") for line in PAGE.splitlines() if line.startswith("| `COLLECTOR_")]
    told = {
        variable: default
        for row in rows
        for variable, default in zip(
            re.findall("COLLECTOR_\\w+", row[1]), re.findall("`(.*?)`", row[2]), strict=False
        )
    }
    wanted = dict(VARIABLE.findall(file.read_text()))
    assert wanted == {variable: told.get(variable, "") for variable in wanted}


def test_the_page_tells_of_no_other_variable():
    used = {each[0] for file in (*FILES, *OVERLAYS) for each in VARIABLE.findall(file.read_text())}
    assert used == set(re.findall(r"COLLECTOR_\w+", PAGE))


def test_the_page_has_the_version_of_the_manifest():
    version = yaml.safe_load(MANIFEST.read_text())["dist"]["version"]
    assert f"builder@v{version}" in PAGE
    assert f"builder@v{version}" in MANIFEST.read_text()
