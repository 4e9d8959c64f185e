"""The real parts as fixtures: those that the collected tests use start together, once."""

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from pathlib import Path
from threading import Lock
from typing import Any

import pytest
from diagnosed import Diagnosed, play
from parts import chromium, images, tools
from parts.cache import PartUnavailableError
from parts.cloud import Cloud
from parts.http import HTTPPart
from parts.nova import Nova
from parts.outage import restored
from parts.postgres import Postgres
from parts.prometheus import Prometheus
from parts.start import STARTERS, Running

import traced_image
from traced_image.pipeline.service import GlanceImageService

Parts = Mapping[str, "Future[Running]"]

_CI = os.environ.get("CI") == "true"

# Some of what chaos breaks with needs programs that are installed here.
sys.path.append(str(Path(__file__).parent.parent / "chaos"))


@pytest.fixture(scope="session")
def parts(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Parts]:
    """Every part that a collected test asks for; they start at the same time."""
    asked = {name for item in request.session.items for name in item.fixturenames}
    terminal = request.config.pluginmanager.get_plugin("terminalreporter")
    capture = request.config.pluginmanager.get_plugin("capturemanager")
    folder = tmp_path_factory.mktemp("parts")
    one_at_a_time = Lock()
    with ExitStack() as stack, ThreadPoolExecutor() as pool:

        def start(name: str) -> object:
            began = time.monotonic()
            part = stack.enter_context(STARTERS[name](folder / name, say))
            say(f"{name}: started in {time.monotonic() - began:.1f} s")
            return part

        def say(line: str) -> None:
            with one_at_a_time:
                terminal.write_line(f"real parts: {line}")

        with capture.global_and_fixture_disabled():
            say(f"logs and data are in {folder}")
            futures = {name: pool.submit(start, name) for name in STARTERS if name in asked}
            wait(futures.values())
        yield futures


@pytest.fixture(scope="session")
def tool(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Finds or installs a tool, by one of the functions of `parts.tools`."""
    terminal = request.config.pluginmanager.get_plugin("terminalreporter")
    capture = request.config.pluginmanager.get_plugin("capturemanager")

    def say(line: str) -> None:
        with capture.global_and_fixture_disabled():
            terminal.write_line(f"real parts: {line}")

    def found(find: Callable[..., Any], *arguments: object) -> Any:
        try:
            return find(*arguments, say)
        except PartUnavailableError as error:
            pytest.skip(str(error))

    return found


@pytest.fixture(scope="session")
def analyze(tool: Callable[..., Any]) -> str:
    """The path of systemd-analyze."""
    tool(tools.system, "kill", "procps")  # which a unit runs
    return tool(tools.system, "systemd-analyze", "systemd")


def _part(parts: Parts, name: str) -> object:
    try:
        return parts[name].result()
    except PartUnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def glances(parts: Parts) -> list[HTTPPart]:
    """Three Glance servers that share their images; a list of `HTTPPart`."""
    return _part(parts, "glances")


@pytest.fixture(scope="session")
def keystone(parts: Parts) -> Cloud:
    """A Keystone with a Glance behind it; a `Cloud`."""
    return _part(parts, "keystone")


@pytest.fixture(scope="session")
def nova(parts: Parts) -> Nova:
    """nova 34's image service; a `Nova`."""
    return _part(parts, "nova")


@pytest.fixture(scope="session")
def postgres(parts: Parts) -> Postgres:
    """A PostgreSQL; a `Postgres`."""
    return _part(parts, "postgres")


@pytest.fixture(scope="session")
def prometheus(parts: Parts) -> Prometheus:
    """A Prometheus that scrapes what it is told to; a `Prometheus`."""
    return _part(parts, "prometheus")


@pytest.fixture(scope="session")
def diagnosed(
    prometheus: Prometheus, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Diagnosed:
    """What was found in the scenes of `diagnose_scene`, which are over."""
    terminal = request.config.pluginmanager.get_plugin("terminalreporter")
    try:
        browsers = chromium.install(lambda line: terminal.write_line(f"real parts: {line}"))
    except PartUnavailableError as error:
        pytest.skip(str(error))
    return play(prometheus.programs, browsers, tmp_path_factory.mktemp("diagnose"))


@pytest.fixture(scope="session")
def prometheus3(parts: Parts) -> Prometheus:
    """A Prometheus that takes metrics by OTLP; a `Prometheus`."""
    return _part(parts, "prometheus3")


@pytest.fixture(scope="session")
def collector(parts: Parts) -> Path:
    """The collector's program."""
    return _part(parts, "collector")


@pytest.fixture(scope="session")
def vmagent(parts: Parts) -> Path:
    """The program of VictoriaMetrics's agent."""
    return _part(parts, "vmagent")


@pytest.fixture(scope="session")
def urls(glances: Sequence[HTTPPart]) -> list[str]:
    """The addresses of `glances`."""
    return [one.url for one in glances]


@pytest.fixture(scope="session")
def image_ids(glances: Sequence[HTTPPart], urls: list[str]) -> Mapping[str, str]:
    """An image of each of `images.RECIPES` on `glances`, by the recipe's name."""
    return images.populate(urls, glances[0].log.parent.parent)


@pytest.fixture(scope="session")
def service(urls: list[str]) -> Iterator[GlanceImageService]:
    """An image service over `glances`."""
    connected = traced_image.connect(servers=urls)
    yield connected
    connected.close()


@pytest.fixture
def project_service(keystone: Cloud) -> Iterator[GlanceImageService]:
    """An image service over `keystone`'s Glance, with a plugin that gets tokens as `owner`."""
    auth = keystone.session(keystone.auth("owner"))
    connected = traced_image.connect(servers=[keystone.glance.url], auth=auth, telemetry=False)
    yield connected
    connected.close()


@pytest.fixture
def breakable(glances: Sequence[HTTPPart]) -> Iterator[Sequence[HTTPPart]]:
    """`glances`, to be killed and stopped: they are whole again after the test."""
    with restored(glances):
        yield glances


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Iterator[None]:
    return _none_skipped((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Iterator[None]:
    return _none_skipped((yield))


def _none_skipped(report):
    """In CI nothing real may be skipped: there a skip is a failure."""
    if _CI and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI does not allow: {report.longrepr}"
    return report
