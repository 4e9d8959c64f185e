"""What there is for Kubernetes: kustomize builds it, and the schemas of Kubernetes accept it.

No cluster is there. The real collector reads the configurations in the way that its pods do.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from parts import cache, tools
from parts.collector import validate
from test_real_deployment import blocks
from units import run

ROOT = Path(__file__).parents[2]
DEPLOY, DASHBOARDS = ROOT / "deploy", ROOT / "dashboards"
INSIDE = Path(__file__).parent / "parts/inside"
VERSIONS = ("1.25.0", "1.37.0")  # the oldest and the newest Kubernetes of which there are schemas
LARGEST = 262_144  # bytes of an object that `kubectl apply` takes
OPERATORS = "monitoring.coreos.com/v1"


@pytest.fixture(scope="module")
def problems(tool) -> Callable[..., str]:
    """What a version of Kubernetes has against files of objects."""
    environment, definitions = tool(cache.install, tools.SCHEMAS), tool(tools.operator)
    check = [*cache.python(environment), INSIDE / "manifests.py"]

    def found(version: str, *files: Path) -> str:
        return run(*check, version, definitions, *files, status=None)

    return found


@pytest.fixture(scope="module")
def build(tool) -> Callable[[Path], str]:
    """What kustomize makes of a folder."""
    program = tool(tools.kustomize)
    return lambda folder: run(program, "build", folder)


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    """The folders of all of it, to be changed."""
    folder = tmp_path_factory.mktemp("copy")
    for each in (DEPLOY, DASHBOARDS):
        shutil.copytree(each, folder / each.name)
    return folder


@pytest.fixture(scope="module")
def built(build, copy, tmp_path_factory) -> Mapping[str, Path]:
    """What is built of the folder as it is, with the token, without the operator, and by a user.

    Also what is built of the folders that the command `dashboards` writes.
    """
    folder = tmp_path_factory.mktemp("built")
    listed = (DEPLOY / "kustomization.yaml").read_text()
    files = {}

    def keep(name: str, place: Path) -> None:
        files[name] = folder / f"{name}.yaml"
        files[name].write_text(build(place))

    keep("whole", DEPLOY)
    for name, line, other in (
        ("bare", "  - operator\n", "  []\n"),
        ("guarded", "  # - collector", "  - collector"),
    ):
        assert line in listed
        (copy / "deploy/kustomization.yaml").write_text(listed.replace(line, other))
        keep(name, copy / "deploy")
    (copy / "deploy/kustomization.yaml").write_text(listed)
    (block,) = blocks("yaml", "kind: Kustomization")
    (copy / "ours").mkdir()
    (copy / "ours/kustomization.yaml").write_text(block)
    keep("ours", copy / "ours")
    command = [sys.executable, "-m", "traced_image", "dashboards", "--out", copy / "written"]
    subprocess.run(command, check=True, capture_output=True)
    keep("written", copy / "written")
    keep("rules", copy / "written/prometheusrule")
    return files


def read(file: Path) -> Sequence[Any]:
    return list(yaml.load_all(file.read_text(), yaml.CSafeLoader))


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", ["whole", "guarded", "ours"])
def test_kubernetes_has_nothing_against_what_is_built(problems, built, version, name):
    assert problems(version, built[name]) == ""


def test_only_the_operators_resources_need_the_operator(built):
    whole, bare = (read(built[name]) for name in ("whole", "bare"))

    assert [each for each in whole if each["apiVersion"] != OPERATORS] == bare


def test_each_object_that_there_is_a_file_of_is_built(built):
    """So that the schemas have been asked about all of them."""
    files = [*DEPLOY.rglob("*.yaml"), *DASHBOARDS.glob("prometheusrule/*.yaml")]
    named = {name(each) for file in files for each in read(file) if "kind" in (each or ())}
    names = {name(each) for each in read(built["guarded"])}

    assert {each for each in named if each[0] not in ("Component", "Kustomization")} <= names


def name(each: Mapping[str, Any]) -> tuple[str, str]:
    return each["kind"], each.get("metadata", {}).get("name", "")


def test_the_command_writes_the_same_boards_and_rules(built):
    def named(*builds: str) -> Mapping[tuple[str, str], Any]:
        found = {name(each): each for build in builds for each in read(built[build])}
        return {
            key: each
            for key, each in found.items()
            if key[0] == "PrometheusRule" or "grafana_dashboard" in labels(each)
        }

    assert named("whole") == named("written", "rules")
    assert len(named("whole")) == len(read(built["written"])) + len(read(built["rules"]))


def test_the_boards_are_those_of_the_repository(built):
    maps = [each for each in read(built["whole"]) if "grafana_dashboard" in labels(each)]
    found = {name: json.loads(text) for each in maps for name, text in each["data"].items()}

    assert {file.name: json.loads(file.read_text()) for file in DASHBOARDS.glob("*.json")} == found


def labels(each: Mapping[str, Any]) -> Mapping[str, str]:
    return each["metadata"].get("labels", {})


def test_the_rules_are_those_of_the_repository(built):
    rules = [each["spec"] for each in read(built["whole"]) if each["kind"] == "PrometheusRule"]
    groups = {group["name"]: group for spec in rules for group in spec["groups"]}

    files = [yaml.safe_load(file.read_text()) for file in DASHBOARDS.glob("rules/*.yaml")]
    assert {group["name"]: group for file in files for group in file["groups"]} == groups


def test_no_object_is_too_large_for_kubectl(built):
    sizes = {each["metadata"]["name"]: len(json.dumps(each)) for each in read(built["whole"])}

    assert {name: size for name, size in sizes.items() if size >= LARGEST} == {}


@pytest.mark.parametrize("name", ["whole", "guarded"])
@pytest.mark.parametrize("kind", ["DaemonSet", "StatefulSet"])
def test_the_collector_accepts_what_a_pod_runs_it_with(collector, built, tmp_path, name, kind):
    found = read(built[name])
    (pod,) = (each["spec"]["template"]["spec"] for each in found if each["kind"] == kind)
    (container,) = pod["containers"]
    (config,) = (each["configMap"]["name"] for each in pod["volumes"] if "configMap" in each)
    (files,) = (each["data"] for each in found if each["metadata"]["name"] == config)
    for file, text in files.items():
        (tmp_path / file).write_text(text)
    named = [argument.rpartition("/")[2] for argument in container["args"]]
    variables = {each["name"]: each["value"] for each in container["env"]}

    validate(collector, *(tmp_path / file for file in named), **variables)


def test_what_the_page_patches_is_patched(built):
    found = read(built["ours"])
    (config,) = (each["data"] for each in found if "glance.conf" in each.get("data", ()))

    (gateway,) = (each for each in found if each["kind"] == "StatefulSet")
    (container,) = gateway["spec"]["template"]["spec"]["containers"]
    traces = {"name": "COLLECTOR_TRACES_ENDPOINT", "value": "http://tempo.tracing:4318"}

    assert traces in container["env"]
    assert {"image-cache"} == {each["metadata"]["namespace"] for each in found}
    assert "glance-1.region.example" in config["glance.conf"]


def test_kubernetes_has_nothing_against_the_object_of_the_page(problems, tmp_path):
    (block,) = blocks("yaml", "kind: ServiceMonitor")
    (tmp_path / "page.yaml").write_text(block)

    assert problems(VERSIONS[-1], tmp_path / "page.yaml") == ""


def test_kubernetes_has_nothing_against_the_deployment_with_a_web_configuration(problems, tmp_path):
    (block,) = blocks("yaml", "exec:")
    deployment = yaml.safe_load((DEPLOY / "exporter/kubernetes/deployment.yaml").read_text())
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    container["livenessProbe"] = yaml.safe_load(block)
    container["readinessProbe"]["httpGet"]["scheme"] = "HTTPS"
    (tmp_path / "page.yaml").write_text(yaml.safe_dump(deployment))

    assert problems(VERSIONS[-1], tmp_path / "page.yaml") == ""


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_tells_if_a_manifest_is_bad(problems, tmp_path, version):
    for number, (name, text, other) in enumerate(BAD):
        manifest = (ROOT / name).read_text()
        assert text in manifest
        (tmp_path / f"{number:02}.yaml").write_text(manifest.replace(text, other))

    files = sorted(tmp_path.iterdir())
    lines = problems(version, *files).splitlines()
    assert {line.partition(": $")[0] for line in lines} == {file.name for file in files}


BAD = (
    ("deploy/exporter/kubernetes/configmap.yaml", "data:", "date:"),
    ("deploy/exporter/kubernetes/deployment.yaml", "runAsNonRoot:", "runAsNonroot:"),
    ("deploy/exporter/kubernetes/deployment.yaml", "Port: 9293", 'Port: "9293"'),
    (
        "deploy/exporter/kubernetes/deployment.yaml",
        "                - ALL",
        "                all: 1",
    ),
    ("deploy/exporter/kubernetes/networkpolicy.yaml", "namespaceSelector:", "namespacesSelector:"),
    ("deploy/exporter/kubernetes/service.yaml", "targetPort:", "targetport:"),
    ("deploy/operator/servicemonitor-exporter.yaml", "interval: 15s", "interval: soon"),
    ("deploy/operator/servicemonitor-exporter.yaml", "endpoints:", "endpoint:"),
    ("deploy/operator/podmonitor-callers.yaml", "any: true", "all: true"),
    ("deploy/operator/podmonitor-collectors.yaml", "podMetricsEndpoints:", "endpoints:"),
    ("deploy/collector/kubernetes/agent/daemonset.yaml", "emptyDir:", "emptydir:"),
    ("deploy/collector/kubernetes/agent/service.yaml", "internalTrafficPolicy", "internalPolicy"),
    ("deploy/collector/kubernetes/gateway/statefulset.yaml", "serviceName:", "servicename:"),
    ("deploy/collector/kubernetes/gateway/poddisruptionbudget.yaml", "maxUnavailable", "max"),
    ("dashboards/prometheusrule/alerts.yaml", "for: 5m", "for: soon"),
    ("dashboards/prometheusrule/recording.yaml", "record:", "recording:"),
)
"""What to spoil in which file, and how."""
