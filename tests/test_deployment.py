"""What `deploy/` has: that its parts agree with each other, with the program and with the page.

`tests/real/test_real_deployment.py` has the tools that know what systemd, an image's builder and
Kubernetes make of it.
"""

from __future__ import annotations

import fnmatch
import inspect
import json
import re
import shlex
import socket
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
import trustme
import yaml
from prometheus_client import CollectorRegistry

from traced_image import exporter
from traced_image.config import load_config
from traced_image.config.environment import VARIABLES
from traced_image.exporter.web import config_file

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy/exporter"
MANIFESTS = DEPLOY / "kubernetes"
PAGE = (ROOT / "docs/how-to/deploy.md").read_text()
UNIT = DEPLOY / "traced-image-exporter.service"
PORT = inspect.signature(exporter.start).parameters["port"].default
PROGRAM = "traced-image"


def blocks(language: str, has: str = "") -> list[str]:
    """The page's blocks of a language in which a text is."""
    found = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    return [block for block in found if has in block]


def refusal(arguments: list[str]) -> str:
    """What the program says against arguments of `traced-image exporter`; nothing, if it may."""
    main = "from traced_image.cli.main import main; main()"
    # What is refused is refused before the help is shown.
    command = [sys.executable, "-c", main, "exporter", *arguments, "--help"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    return done.stderr if done.returncode else ""


# --- systemd -------------------------------------------------------------------------------------


def settings(text: str) -> list[tuple[str, str]]:
    lines = (line.partition("=") for line in text.splitlines() if not line.startswith("#"))
    return [(name, value) for name, equals, value in lines if equals]


def setting(name: str) -> str:
    return dict(settings(UNIT.read_text()))[name]


def environment() -> list[dict[str, str]]:
    """What the page has for the unit's environment."""
    return [dict(settings(block)) for block in blocks("ini", "ARGS=")]


def test_the_unit_runs_the_program_that_is_installed():
    command = setting("ExecStart").split()[0]

    scripts = {each.name for each in metadata.distribution("traced-image").entry_points}
    assert Path(command).name in scripts


@pytest.mark.slow  # each starts a program; the image's and the pod's arguments are tested below
@pytest.mark.parametrize("variables", environment(), ids=lambda each: each["ARGS"])
def test_the_unit_gives_arguments_that_the_program_takes(variables):
    _program, name, *arguments = setting("ExecStart").split()
    (value,) = shlex.split(variables["ARGS"])
    arguments[arguments.index("$ARGS") :] = value.split()

    assert ("exporter", "") == (name, refusal(arguments))


def test_the_page_sets_no_variable_that_is_not_read():
    names = {name for each in environment() for name in each} - {"ARGS"}
    names |= set(re.findall(r"-e (\w+)=", PAGE))

    assert names
    assert names - VARIABLES == set()


def test_the_unit_runs_as_the_user_that_is_made_for_it():
    made_users = [
        line.split()[1]
        for line in (DEPLOY / "traced-image-exporter.sysusers").read_text().splitlines()
        if line.startswith("u ")
    ]

    assert made_users == [setting("User")] == [setting("Group")]


def test_each_line_that_forbids_something_is_explained():
    lines = UNIT.read_text().partition("# What it may not do.")[2].partition("[Install]")[0]

    assert [*dict.fromkeys(name for name, _ in settings(lines))] == re.findall(
        r"^\| `(\w+)` \| .*\.", PAGE, re.MULTILINE
    )


# --- the image -----------------------------------------------------------------------------------


def stages() -> list[list[tuple[str, str]]]:
    """The instructions of each stage of the image."""
    lines = (DEPLOY / "Containerfile").read_text().splitlines()
    text = "\n".join(line for line in lines if not line.startswith("#")).replace("\\\n", " ")
    found: list[list[tuple[str, str]]] = []
    for line in filter(None, text.splitlines()):
        name, _, rest = line.partition(" ")
        if name == "FROM":
            found.append([])
        found[-1].append((name, " ".join(rest.split())))
    return found


def copied() -> list[str]:
    """What the image is made of, as paths from the root of the repository."""
    lines = [rest.split() for stage in stages() for name, rest in stage if name == "COPY"]
    return [path for line in lines if "--from" not in line[0] for path in line[:-1]]


def final(name: str) -> str:
    return dict(stages()[-1])[name]


def entry() -> list[str]:
    return json.loads(final("ENTRYPOINT"))


def health() -> list[str]:
    return json.loads(final("HEALTHCHECK").partition(" CMD ")[2])


def test_the_image_runs_as_nobody_who_is_anybody():
    user, group = final("USER").split(":")

    assert int(user) > 0
    assert int(group) > 0


def test_the_image_is_finished_without_a_shell():
    shells = {name for name, _ in stages()[-1]} & {"RUN", "SHELL", "CMD"}

    assert shells == set()


def test_the_bases_of_the_image_are_pinned():
    bases = [stage[0][1].split()[0] for stage in stages()]

    assert [] == [
        base for base in bases if not re.fullmatch(r"[\w./-]+:[\w.-]+@sha256:[0-9a-f]{64}", base)
    ]


def test_nothing_is_installed_but_what_is_locked():
    installs = [
        command.split()
        for stage in stages()
        for name, rest in stage
        if name == "RUN"
        for command in rest.split(" && ")
        if " pip " in command
    ]

    assert [] == [
        command
        for command in installs
        if "--no-deps" not in command
        or not {"--require-hashes", "--no-build-isolation", "--no-index"} & set(command)
    ]


@pytest.mark.parametrize("path", copied())
def test_what_the_image_copies_is_there_and_sent_to_the_builder(path):
    lines = (DEPLOY / "Containerfile.dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    last = [rule for rule in rules if fnmatch.fnmatch(path, rule.removeprefix("!"))][-1]

    assert (ROOT / path).exists()
    assert f"!{path}" == last


def test_the_image_installs_a_lock_that_is_copied():
    chosen = {dict(stages()[0])["ARG"].removeprefix("LOCK="), *re.findall(r"LOCK=(\w+)", PAGE)}

    assert {f"requirements/image-{each}.txt" for each in chosen} <= set(copied())


def test_the_page_installs_extras_that_there_are():
    chosen = ",".join(re.findall(r"\.whl\[([\w,]+)", PAGE)).split(",")

    known = metadata.metadata("traced-image").get_all("Provides-Extra")
    assert set(chosen) - set(known) == set()


def test_the_image_listens_where_others_reach_it():
    program, name, *arguments = entry()

    assert (f"/venv/bin/{PROGRAM}", "exporter", [f"--listen=0.0.0.0:{PORT}"]) == (
        program,
        name,
        arguments,
    )
    assert final("EXPOSE") == str(PORT)


def test_the_image_gives_arguments_that_the_program_takes():
    assert refusal(entry()[2:]) == ""


def check_health(port: int) -> int:
    """The exit status of the image's health check, of an exporter at a port."""
    python, script, asked = health()
    assert (python, asked) == ("/venv/bin/python3", str(PORT))
    assert f"deploy/exporter{script}" in copied()
    command = [sys.executable, str(DEPLOY / Path(script).name), str(port)]
    return subprocess.run(command, check=False, stderr=subprocess.DEVNULL).returncode


def test_an_exporter_that_answers_is_healthy():
    with exporter.start(registry=CollectorRegistry(), port=0) as handle:
        assert check_health(handle.port) == 0


@pytest.fixture
def protected(tmp_path):
    """A web configuration file in which the page's blocks are one."""
    for name in ("tls.crt", "tls.key", "clients.crt"):
        (tmp_path / name).touch()
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_pem.write_to_path(tmp_path / "tls.key")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "tls.crt")
    authority.cert_pem.write_to_path(tmp_path / "clients.crt")
    (tmp_path / "tls.key").chmod(0o600)
    users, clients = map(yaml.safe_load, blocks("yaml", "tls_server_config:"))
    file = tmp_path / "web.yml"
    file.write_text(yaml.safe_dump(users | clients))
    return file


def test_an_exporter_that_wants_a_password_and_a_certificate_is_healthy(protected):
    registry = CollectorRegistry()
    with exporter.start(registry=registry, port=0, web_config=protected) as handle:
        assert handle.url.startswith("https:")
        assert check_health(handle.port) == 0


def test_an_exporter_that_hangs_is_not_healthy():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert check_health(silent.getsockname()[1]) != 0


def test_an_exporter_that_is_gone_is_not_healthy():
    with socket.socket() as held:  # and never listening
        held.bind(("127.0.0.1", 0))

        assert check_health(held.getsockname()[1]) != 0


# --- Kubernetes ----------------------------------------------------------------------------------

FILES = [*MANIFESTS.glob("*.yaml"), ROOT / "deploy/operator/servicemonitor-exporter.yaml"]
OBJECTS = {each["kind"]: each for file in FILES for each in yaml.safe_load_all(file.read_text())}
LISTED = OBJECTS.pop("Kustomization")["resources"]
POD = OBJECTS["Deployment"]["spec"]["template"]
(CONTAINER,) = POD["spec"]["containers"]
MONITORS = [
    OBJECTS["ServiceMonitor"],
    *map(yaml.safe_load, blocks("yaml", "kind: ServiceMonitor")),
]


def test_there_is_what_a_cluster_needs():
    assert {"ConfigMap", "Deployment", "NetworkPolicy", "Service", "ServiceMonitor"} == set(OBJECTS)


def test_kustomize_is_told_of_each_file():
    assert {file.name for file in MANIFESTS.glob("*.yaml")} == {"kustomization.yaml", *LISTED}


@pytest.mark.parametrize(
    "selector",
    [
        OBJECTS["Deployment"]["spec"]["selector"]["matchLabels"],
        OBJECTS["Service"]["spec"]["selector"],
        OBJECTS["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
    ],
    ids=["Deployment", "Service", "NetworkPolicy"],
)
def test_the_pod_is_the_one_that_is_selected(selector):
    assert selector.items() <= POD["metadata"]["labels"].items()


@pytest.mark.parametrize("monitor", MONITORS, ids=["file", "page"])
def test_the_service_is_the_one_that_is_scraped(monitor):
    selector = monitor["spec"]["selector"]["matchLabels"]

    assert selector.items() <= OBJECTS["Service"]["metadata"]["labels"].items()


@pytest.mark.parametrize("monitor", MONITORS, ids=["file", "page"])
def test_the_port_that_is_scraped_is_the_services(monitor):
    names = {port["name"] for port in OBJECTS["Service"]["spec"]["ports"]}

    assert names == {endpoint["port"] for endpoint in monitor["spec"]["endpoints"]}


def test_the_port_that_everybody_names_is_the_exporters():
    (port,) = CONTAINER["ports"]
    (ingress,) = OBJECTS["NetworkPolicy"]["spec"]["ingress"]
    named = [
        OBJECTS["Service"]["spec"]["ports"][0]["targetPort"],
        CONTAINER["livenessProbe"]["httpGet"]["port"],
        CONTAINER["readinessProbe"]["httpGet"]["port"],
        ingress["ports"][0]["port"],
    ]

    assert port["containerPort"] == PORT
    assert set(named) == {port["name"]}


def test_the_servers_of_the_configmap_are_those_that_are_probed(tmp_path):
    ((name, text),) = OBJECTS["ConfigMap"]["data"].items()
    mounts = {each["name"]: each["mountPath"] for each in CONTAINER["volumeMounts"]}
    volumes = {each["name"]: each for each in POD["spec"]["volumes"]}
    (tmp_path / name).write_text(text)

    config = load_config(config_file=str(tmp_path / name))

    assert volumes["config"]["configMap"]["name"] == OBJECTS["ConfigMap"]["metadata"]["name"]
    assert f"--config={mounts['config']}/{name}" in CONTAINER["args"]
    assert ["glance-1.example:9292", "glance-2.example:9292"] == [
        server.netloc for server in config.servers
    ]


def test_the_pod_gives_arguments_that_the_program_takes():
    # Those in a comment, too.
    text = (MANIFESTS / "deployment.yaml").read_text()
    arguments = re.findall(r"^ +(?:# )?- (--[^ ]+)$", text, re.MULTILINE)

    assert set(CONTAINER["args"]) < set(arguments)
    assert refusal([*entry()[2:], *arguments]) == ""


def test_what_is_mounted_is_a_volume():
    mounted = {each["name"] for each in CONTAINER["volumeMounts"]}

    assert {each["name"] for each in POD["spec"]["volumes"]} == mounted


def test_the_web_configuration_is_where_the_argument_has_it():
    mounts = {each["name"]: each["mountPath"] for each in CONTAINER["volumeMounts"]}
    secret = next(each for each in POD["spec"]["volumes"] if each["name"] == "web")["secret"]

    assert (
        f"--web.config.file={mounts['web']}/web.yml" in (MANIFESTS / "deployment.yaml").read_text()
    )
    assert f"kubectl create secret generic {secret['secretName']} " in PAGE
    assert secret["optional"]


def test_the_key_of_the_web_configuration_is_for_the_pods_group_alone():
    secret = next(each for each in POD["spec"]["volumes"] if each["name"] == "web")["secret"]

    assert secret["defaultMode"] == 0o440
    assert POD["spec"]["securityContext"]["fsGroup"] == int(final("USER").split(":")[1])


def test_the_pod_meets_the_restricted_standard():
    pod, container = POD["spec"]["securityContext"], CONTAINER["securityContext"]

    assert {
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    } == {
        "runAsNonRoot": pod["runAsNonRoot"],
        "seccompProfile": pod["seccompProfile"],
        "allowPrivilegeEscalation": container["allowPrivilegeEscalation"],
        "capabilities": container["capabilities"],
    }


def test_the_pod_writes_nothing_and_knows_nothing_of_the_cluster():
    assert [True, False, False] == [
        CONTAINER["securityContext"]["readOnlyRootFilesystem"],
        POD["spec"]["automountServiceAccountToken"],
        POD["spec"]["enableServiceLinks"],
    ]


def test_the_pods_user_is_the_images():
    pod = POD["spec"]["securityContext"]

    assert final("USER") == f"{pod['runAsUser']}:{pod['runAsGroup']}"


def test_the_health_check_of_the_page_is_the_images():
    (block,) = blocks("yaml", "exec:")

    assert health() == yaml.safe_load(block)["exec"]["command"]


# --- who may look --------------------------------------------------------------------------------


def test_the_web_configuration_of_the_page_lets_in_who_it_says(protected):
    config = config_file.WebConfigFile(protected).in_force.config

    assert ["prometheus"] == list(config.users)
    assert str(protected.parent / "clients.crt") in config.tls.files
