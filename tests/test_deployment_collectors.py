"""How collectors are deployed: that units, manifests, configurations and the page agree."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
MANIFESTS = DEPLOY / "collector/kubernetes"
PAGE = (ROOT / "docs/how-to/collect.md").read_text()
NAMES = ("agent", "gateway")
CONFIGS = {name: (DEPLOY / f"{name}.yaml").read_text() for name in NAMES}
UNITS = {
    name: (DEPLOY / f"collector/traced-image-{name}.service").read_text()
    for name in ("agent", "gateway")
}
EXPORTERS = (DEPLOY / "exporter/traced-image-exporter.service").read_text()

names = pytest.mark.parametrize("name", NAMES)


def variables(name: str) -> set[str]:
    """What a collector's configurations read, those beside its own included."""
    files = DEPLOY.glob(f"{name}*.yaml")
    return {each for file in files for each in re.findall(r"\{env:(\w+)", file.read_text())}


def default(name: str, variable: str) -> str:
    (found,) = set(re.findall(rf"\{{env:{variable}:-([^}}]*)\}}", CONFIGS[name]))
    return found


# --- systemd -------------------------------------------------------------------------------------


def part(text: str) -> str:
    return text.partition("# What it may not do.")[2]


@names
def test_a_unit_forbids_what_the_exporters_does(name):
    assert part(EXPORTERS) == part(UNITS[name])


@names
def test_a_unit_sets_no_variable_that_is_not_read(name):
    assigned = set(re.findall(r"^Environment=(\w+)=", UNITS[name], re.MULTILINE))

    assert {"ARGS", "GOMEMLIMIT", "COLLECTOR_STORAGE"} == assigned
    assert "COLLECTOR_STORAGE" in variables(name)


@names
def test_a_unit_writes_to_the_folder_that_is_made_for_it(name):
    (made,) = re.findall(r"^StateDirectory=(.*)$", UNITS[name], re.MULTILINE)

    assert f"Environment=COLLECTOR_STORAGE=/var/lib/{made}\n" in UNITS[name]


@names
def test_a_units_memory_is_that_of_its_configuration(name):
    limit = int(default(name, "COLLECTOR_MEMORY_MIB"))

    assert f"Environment=GOMEMLIMIT={limit * 0.8:.0f}MiB".replace("819", "820") in UNITS[name]
    (most,) = re.findall(r"^MemoryMax=(\d+)M$", UNITS[name], re.MULTILINE)
    assert 1.25 * limit < int(most)


@names
def test_a_unit_runs_as_the_user_that_is_made_for_it(name):
    text = (DEPLOY / "collector/traced-image-collector.sysusers").read_text()

    assert [f"User={user}" for user in re.findall(r"^u (\S+) ", text, re.MULTILINE)] == re.findall(
        r"^User=.*$", UNITS[name], re.MULTILINE
    )


def test_the_page_sets_no_variable_that_is_not_read():
    (block,) = re.findall(r"^```ini\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)

    assert set(re.findall(r"^(\w+)=", block, re.MULTILINE)) - variables("agent") == {"ARGS"}


# --- Kubernetes ----------------------------------------------------------------------------------


def objects(name: str) -> dict[str, dict]:
    files = (MANIFESTS / name).glob("*.yaml")
    return {each["kind"]: each for each in map(yaml.safe_load, map(Path.read_text, files))}


OBJECTS = {name: objects(name) for name in NAMES}
PODS = {
    "agent": OBJECTS["agent"]["DaemonSet"]["spec"],
    "gateway": OBJECTS["gateway"]["StatefulSet"]["spec"],
}
CONTAINERS = {name: PODS[name]["template"]["spec"]["containers"][0] for name in NAMES}
ENVIRONMENTS = {
    name: {each["name"]: each["value"] for each in CONTAINERS[name]["env"]} for name in NAMES
}
PORTS = {
    name: {port["name"]: port["containerPort"] for port in CONTAINERS[name]["ports"]}
    for name in NAMES
}
WHOLE = yaml.safe_load((DEPLOY / "kustomization.yaml").read_text())


@names
def test_kustomize_is_told_of_each_file(name):
    listed = OBJECTS[name]["Kustomization"]["resources"]

    assert sorted(listed) == sorted(
        file.name for file in (MANIFESTS / name).glob("*.yaml") if file.name != "kustomization.yaml"
    )


@names
def test_the_pod_is_the_one_that_is_selected(name):
    found = OBJECTS[name]
    selectors = [
        PODS[name]["selector"]["matchLabels"],
        found["Service"]["spec"]["selector"],
        found["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
    ]
    if "PodDisruptionBudget" in found:
        selectors.append(found["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"])

    for selector in selectors:
        assert selector == PODS[name]["template"]["metadata"]["labels"]


@names
def test_the_image_is_pinned_and_has_the_version_of_the_manifest(name):
    version = yaml.safe_load((DEPLOY / "collector/builder.yaml").read_text())["dist"]["version"]

    assert re.fullmatch(
        rf"docker\.io/otel/opentelemetry-collector-contrib:{version}@sha256:[0-9a-f]{{64}}",
        CONTAINERS[name]["image"],
    )


@names
def test_a_pod_sets_no_variable_that_is_not_read(name):
    assert set(ENVIRONMENTS[name]) - variables(name) == {"GOMEMLIMIT"}


@names
def test_a_pod_reads_files_that_it_has(name):
    (generated,) = (
        each for each in WHOLE["configMapGenerator"] if each["name"] == f"traced-image-{name}"
    )
    read = {argument.rpartition("/")[2] for argument in CONTAINERS[name]["args"]}
    patch = yaml.safe_load((MANIFESTS / f"token/{name}.yaml").read_text())
    (container,) = patch["spec"]["template"]["spec"]["containers"]
    guarded = {argument.rpartition("/")[2] for argument in container["args"]}

    assert set(generated["files"]) == guarded
    assert guarded - read == {f"{name}-token.yaml"}


@names
def test_the_ports_are_those_that_the_collector_listens_on(name):
    environment = ENVIRONMENTS[name]
    listening = {
        "otlp-grpc": environment["COLLECTOR_GRPC"],
        "health": environment["COLLECTOR_HEALTH"],
        "own-metrics": f"0.0.0.0:{default(name, 'COLLECTOR_OWN_METRICS_PORT')}",
    }
    if "COLLECTOR_HTTP" in environment:
        listening["otlp-http"] = environment["COLLECTOR_HTTP"]

    assert {each: f"0.0.0.0:{port}" for each, port in PORTS[name].items()} == listening


@names
def test_each_port_that_is_named_is_the_pods(name):
    service, policy = OBJECTS[name]["Service"]["spec"], OBJECTS[name]["NetworkPolicy"]["spec"]
    named = {port["targetPort"] for port in service["ports"]}
    named |= {port["port"] for rule in policy["ingress"] for port in rule["ports"]}

    assert named <= set(PORTS[name])


@names
def test_a_pods_memory_is_that_of_its_collector(name):
    environment, limits = ENVIRONMENTS[name], CONTAINERS[name]["resources"]["limits"]
    limit = int(environment["COLLECTOR_MEMORY_MIB"])

    assert int(environment["GOMEMLIMIT"].removesuffix("MiB")) == pytest.approx(0.8 * limit, abs=1)
    assert 1.25 * limit < int(limits["memory"].removesuffix("Mi"))


@names
def test_a_pod_meets_the_restricted_standard(name):
    pod, container = PODS[name]["template"]["spec"], CONTAINERS[name]
    context = container["securityContext"]

    assert [False, True, {"drop": ["ALL"]}] == [
        context["allowPrivilegeEscalation"],
        context["readOnlyRootFilesystem"],
        context["capabilities"],
    ]
    assert [True, {"type": "RuntimeDefault"}, False] == [
        pod["securityContext"]["runAsNonRoot"],
        pod["securityContext"]["seccompProfile"],
        pod["automountServiceAccountToken"],
    ]
    assert not any("hostPath" in volume for volume in pod["volumes"])


@names
def test_the_queues_are_on_a_volume_that_can_be_written_to(name):
    folder = default(name, "COLLECTOR_STORAGE")
    mounts = {each["name"]: each for each in CONTAINERS[name]["volumeMounts"]}

    assert Path(mounts["storage"]["mountPath"]) in Path(folder).parents
    assert "readOnly" not in mounts["storage"]


def test_agents_find_the_gateways_by_the_name_of_their_service():
    service = OBJECTS["gateway"]["Service"]
    (port,) = service["spec"]["ports"]

    assert (service["metadata"]["name"], str(port["port"])) == (
        ENVIRONMENTS["agent"]["COLLECTOR_GATEWAYS_NAME"],
        ENVIRONMENTS["agent"]["COLLECTOR_GATEWAYS_PORT"],
    )
    assert "None" == service["spec"]["clusterIP"]


def test_agents_may_send_to_gateways_and_nobody_else_may():
    agent, gateway = (OBJECTS[name]["NetworkPolicy"]["spec"] for name in NAMES)
    (to,) = (each["to"] for each in agent["egress"] if "to" in each)
    senders = [
        each["from"]
        for each in gateway["ingress"]
        if {"otlp-grpc"} == {port["port"] for port in each["ports"]}
    ]

    assert [{"podSelector": gateway["podSelector"]}] == to
    assert [[{"podSelector": agent["podSelector"]}]] == senders


def test_both_are_scraped_at_the_port_of_their_own_metrics():
    monitor = yaml.safe_load((DEPLOY / "operator/podmonitor-collectors.yaml").read_text())["spec"]
    (expression,) = monitor["selector"]["matchExpressions"]
    (endpoint,) = monitor["podMetricsEndpoints"]

    assert {PODS[name]["template"]["metadata"]["labels"][expression["key"]] for name in NAMES} == {
        *expression["values"]
    }
    assert all(endpoint["port"] in PORTS[name] for name in NAMES)


def test_the_page_tells_callers_how_the_operator_finds_them():
    monitor = yaml.safe_load((DEPLOY / "operator/podmonitor-callers.yaml").read_text())["spec"]
    page = (ROOT / "docs/how-to/deploy.md").read_text()
    ((label, value),) = monitor["selector"]["matchLabels"].items()

    assert f'`{label}: "{value}"`' in page
    assert f"named `{monitor['podMetricsEndpoints'][0]['port']}`" in page


@names
def test_the_component_of_the_token_reads_what_the_secret_has(name):
    component = (MANIFESTS / "token/kustomization.yaml").read_text()
    patch = yaml.safe_load((MANIFESTS / f"token/{name}.yaml").read_text())
    pod = patch["spec"]["template"]["spec"]
    (container,), (volume,) = pod["containers"], pod["volumes"]
    (mount,) = container["volumeMounts"]
    files = {each["name"]: each["value"] for each in container["env"]}
    read = {value for value in files.values() if value.startswith("/")}

    assert set(files) <= variables(name)
    assert f"secret generic {volume['secret']['secretName']} " in component
    assert read <= {
        f"{mount['mountPath']}/{key}" for key in re.findall(r"--from-file (\S+)", component)
    }
