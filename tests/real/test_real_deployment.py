"""How the exporter is deployed, as the tools see it that do it: systemd, an image's builder.

No image is built; what it copies is, and the exporter runs as the unit runs it, with its system
calls compared with what the unit allows.
"""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from zipfile import ZipFile

import bcrypt
import pytest
import requests
import trustme
import units
import yaml
from parts import cache, prometheus, tools
from parts.ports import free_port
from units import run, verified

from traced_image import lab

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy/exporter"
PAGE = (ROOT / "docs/how-to/deploy.md").read_text()
UNIT = (DEPLOY / "traced-image-exporter.service").read_text()
AGENTS = sorted((ROOT / "dashboards/fleet").glob("*.service"))
LIMIT = 30.0  # seconds for what takes one, on a busy machine
MOST_EXPOSURE = 12  # tenths of a point, of which systemd gives ten to what is wide open
USER, PASSWORD = "prometheus", "right"


def blocks(language: str, has: str) -> list[str]:
    """The page's blocks of a language in which a text is."""
    found = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    return [block for block in found if has in block]


# --- systemd -------------------------------------------------------------------------------------


def test_systemd_has_nothing_against_the_unit(analyze, tmp_path):
    assert verified(analyze, tmp_path, UNIT) == ""


@pytest.mark.parametrize("unit", AGENTS, ids=lambda unit: unit.stem)
def test_systemd_has_nothing_against_the_units_of_a_fleets_agents(analyze, tmp_path, unit):
    assert verified(analyze, tmp_path, unit.read_text()) == ""


def test_systemd_has_nothing_against_what_the_page_adds_to_the_unit(analyze, tmp_path):
    (added,) = blocks("ini", "[Service]")

    assert verified(analyze, tmp_path, UNIT + added) == ""


@pytest.mark.parametrize("word", ["ProtectHome", "@system-service", "AF_INET6", "512M"])
def test_systemd_tells_if_a_word_of_the_unit_is_misspelt(analyze, tmp_path, word):
    assert verified(analyze, tmp_path, UNIT.replace(word, f"{word}x")) != ""


def test_the_unit_exposes_little(analyze):
    unit = DEPLOY / "traced-image-exporter.service"

    run(analyze, "security", "--no-pager", "--offline=true", f"--threshold={MOST_EXPOSURE}", unit)


def test_the_units_user_can_be_made(tool, tmp_path):
    sysusers = tool(tools.system, "systemd-sysusers", "systemd")
    (tmp_path / "etc").mkdir()

    run(sysusers, f"--root={tmp_path}", DEPLOY / "traced-image-exporter.sysusers")

    user = (tmp_path / "etc/passwd").read_text().split(":")
    assert "traced-image" == user[0]
    assert user[6].strip().endswith("/nologin")


# --- what it does under the unit -----------------------------------------------------------------


@pytest.fixture(scope="module")
def calls(tool, tmp_path_factory) -> list[str]:
    """The system calls of an exporter that probes, answers, reloads and ends, told by strace."""
    strace = tool(tools.system, "strace", "strace")
    folder = tmp_path_factory.mktemp("strace")
    trace = folder / "trace"
    with lab.cluster(2) as servers:
        port = free_port()
        ask = protect(folder, port)
        probe(folder, servers[:1])
        # The tracer is a child of what it traces, which so is a child of this process.
        tracing = [strace, "-D", "-f", "-q", "-o", str(trace)]
        with running([*tracing, *unit_command(folder, port)], folder / "log") as process:
            wait(lambda: ask("readyz"), process, folder)
            assert all(map(ask, ("", "metrics", "servers", "healthz")))
            probe(folder, servers)
            process.send_signal(signal.SIGHUP)
            wait(lambda: ask("servers").count('"state":"healthy"') == 2, process, folder)
            process.terminate()
            assert process.wait(LIMIT) == 0
        wait(lambda: "+++ exited with 0 +++" in trace.read_text(), process, folder)
    return trace.read_text().splitlines()


def probe(folder: Path, servers: Sequence[lab.GlanceServer]) -> None:
    """Have servers probed, by their names, so that the resolver is used."""
    listed = ",".join(f"http://localhost:{server.port}" for server in servers)
    (folder / "glance.conf").write_text(f"[glance]\napi_servers = {listed}\n")


def protect(folder: Path, port: int) -> Callable[[str], str]:
    """Protect an exporter as the page does; return what asks it for a path."""
    certify(folder)
    web = yaml.safe_load(blocks("yaml", "basic_auth_users:")[0])
    web["basic_auth_users"] = {USER: bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()}
    (folder / "web.yml").write_text(yaml.safe_dump(web))

    def ask(path: str) -> str:
        """What is answered; nothing, if that is no success."""
        url, trusted = f"https://127.0.0.1:{port}/{path}", str(folder / "clients.crt")
        try:
            reply = requests.get(url, auth=(USER, PASSWORD), verify=trusted, timeout=LIMIT)
        except requests.ConnectionError:
            return ""
        return reply.text if reply.ok else ""

    return ask


def certify(folder: Path) -> None:
    """Make the files that the page's web configurations name."""
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_pem.write_to_path(folder / "tls.key")
    certificate.cert_chain_pems[0].write_to_path(folder / "tls.crt")
    authority.cert_pem.write_to_path(folder / "clients.crt")
    (folder / "tls.key").chmod(0o600)


def unit_command(folder: Path, port: int) -> list[str]:
    """What the unit runs with the arguments of the page, in other places."""
    (block,) = blocks("ini", "--web.config.file")
    (arguments,) = shlex.split(block.partition("=")[2])
    command = dict(re.findall("^(ExecStart)=(.*)$", UNIT, re.MULTILINE))["ExecStart"]
    for place, other in {
        "$ARGS": f"{arguments} --interval 1s",
        "/opt/traced-image/bin": str(Path(sys.executable).parent),
        "/etc/traced-image": str(folder),
        "0.0.0.0:9293": f"127.0.0.1:{port}",
    }.items():
        command = command.replace(place, other)
    return command.split()


@contextmanager
def running(command: Sequence[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    # Python writes what it compiles beside its source, unless it may not.
    env = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=env)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait(condition: Callable[[], object], process: subprocess.Popen[bytes], folder: Path) -> None:
    """Wait for a condition, which a process that has failed will not meet."""
    end = time.monotonic() + LIMIT
    while not condition():
        assert not process.poll(), (folder / "log").read_text()
        assert time.monotonic() < end, (folder / "log").read_text()
        time.sleep(0.05)


def test_it_makes_no_system_call_that_the_unit_forbids(analyze, calls):
    made = units.made(calls)

    assert {"accept4", "clone3", "connect", "execve"} <= made
    assert made - units.allowed(analyze, UNIT) == set()


def test_it_uses_no_kind_of_socket_that_the_unit_forbids(calls):
    # The C library asks the kernel for its addresses, and does without where it may not.
    assert units.sockets(calls) - {"AF_NETLINK"} <= set(
        units.setting(UNIT, "RestrictAddressFamilies")
    )


def test_it_has_no_memory_that_it_can_both_write_and_run(calls):
    assert units.setting(UNIT, "MemoryDenyWriteExecute") == ["yes"]
    assert units.writable_code(calls) == []


def test_it_writes_no_file(calls):
    assert units.written(calls) - {"/dev/null"} == set()


# --- the image -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hadolint(tool) -> Callable[[Path], str]:
    """What the linter has against an image."""
    program = tool(tools.hadolint)
    return lambda file: run(program, "--no-color", file, status=None)


def test_hadolint_has_nothing_against_the_image(hadolint):
    assert hadolint(DEPLOY / "Containerfile") == ""


@pytest.mark.parametrize(
    ("line", "other", "rule"),
    [
        (r"debian:13-slim@\S+", "debian", "DL3006"),
        ("USER 65532:65532", "USER root", "DL3002"),
        (r"CMD \[.*\]", "CMD [python]", "DL3025"),
    ],
)
def test_hadolint_tells_if_the_image_is_bad(hadolint, tmp_path, line, other, rule):
    text, count = re.subn(line, other, (DEPLOY / "Containerfile").read_text())
    assert count == 1
    (tmp_path / "Containerfile").write_text(text)

    assert rule in hadolint(tmp_path / "Containerfile")


def test_what_the_image_copies_is_all_that_the_package_is_made_of(tool, tmp_path):
    builder = tool(cache.install, tools.BUILDER)
    (tmp_path / "src").mkdir()
    text = (DEPLOY / "Containerfile").read_text()
    for line in re.findall("^COPY ((?!--from).*)$", text, re.MULTILINE):
        *sources, target = line.split()
        for source in sources if target.startswith("/src") else ():
            copy(ROOT / source, tmp_path / target[1:])

    run(
        *cache.python(builder),
        *("-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"),
        *("--wheel-dir", tmp_path, tmp_path / "src"),
    )

    (wheel,) = tmp_path.glob("*.whl")
    names = {str(file.relative_to(ROOT)) for file in (ROOT / "traced_image").rglob("*.*")}
    with ZipFile(wheel) as built:
        missing = names - set(built.namelist())
    assert {name for name in missing if "__pycache__" not in name} == set()


def copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copy(source, target)


# --- Prometheus ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def promtool(tool) -> str:
    return tool(prometheus.install).promtool


def test_prometheus_takes_the_pages_configuration(promtool, tmp_path):
    (block,) = blocks("yaml", "scrape_configs:")
    (tmp_path / "prometheus.yml").write_text(block)

    assert "SUCCESS" in run(
        promtool, "check", "config", "--syntax-only", tmp_path / "prometheus.yml"
    )


@pytest.mark.parametrize("block", blocks("yaml", "tls_server_config:"))
def test_prometheus_takes_the_pages_web_configurations(promtool, tmp_path, block):
    certify(tmp_path)
    (tmp_path / "web.yml").write_text(block)

    assert "SUCCESS" in run(promtool, "check", "web-config", tmp_path / "web.yml")
