"""What only the real openstacksdk, and the real ironic over it, can show, with real Glance servers.

Run by ``make test-clients``, in one environment for each release. Of three servers one is killed,
one answers 503, and one works: it is a real Glance, and so was the one that is killed.
"""

import ast
import importlib
import inspect
import io
import json
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import clients_sdk_seen
import pytest
from clients_sdk_seen import call_ironic, make_proxy
from openstack.image.v2 import _proxy as image_proxy
from sdk_client import find_images, over_override
from stock_client import SHAPES

from traced_image import lab
from traced_image.instrumentation.sdk_operations import LISTS, OPERATIONS
from traced_image.lab import faults

sys.path.append(str(Path(__file__).parents[1] / "real"))

from parts import cache, glance

PAGE = Path(__file__).parents[2] / "docs/reference/stock-clients.md"
NEW = {"disk_format": "raw", "container_format": "bare", "allow_duplicates": True}
DATA = b"0123456789" * 10_000
# They ask again and again, each time by a request outside of any call.
WAITS = {"wait_for_task", "wait_for_status", "wait_for_delete"}
# What differs from one run to the next: ids, times and addresses of objects.
VARYING = re.compile(
    r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|0x[0-9a-f]+|\d{4}-\d\d-\d\dT[\d:]+"
)
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::PendingDeprecationWarning"),
]


def test_every_public_method_is_observed():
    methods = {
        name
        for name, value in vars(image_proxy.Proxy).items()
        if inspect.isfunction(value) and not name.startswith("_")
    }
    assert WAITS == methods - OPERATIONS.keys()


@pytest.mark.parametrize(
    "method", [name for name in OPERATIONS if hasattr(image_proxy.Proxy, name)]
)
def test_a_list_is_one_here_and_there(method):
    source = inspect.getsource(inspect.unwrap(vars(image_proxy.Proxy)[method]))
    calls = {
        node.func.attr
        for node in ast.walk(ast.parse(textwrap.dedent(source)))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    assert (method in LISTS) == ("_list" in calls)


@pytest.fixture(scope="module")
def real_glances(tmp_path_factory):
    environment = cache.install(cache.GLANCE, sys.stderr.write)
    with glance.glances(environment, tmp_path_factory.mktemp("glance") / "home", count=2) as both:
        both[0].kill()
        yield both


@pytest.fixture
def urls(real_glances):
    """A server that is killed, one that answers 503, and one that works."""
    with lab.GlanceServer(lab.Images()) as unavailable:
        unavailable.break_with(faults.status(503))
        yield [real_glances[0].url, unavailable.url, real_glances[1].url]


def script(url, folder):
    """What a program does with images, step by step; a step may use the image of the first one."""
    proxy, image = make_proxy(url), "none"

    def create():
        nonlocal image
        found = proxy.create_image("new", data=io.BytesIO(DATA), **NEW)
        image = found.id
        return found

    def save():
        proxy.download_image(image, stream=True, output=str(folder / "image"))
        return (folder / "image").read_bytes()

    return (
        lambda: type(find_images(over_override(url))),
        create,
        lambda: proxy.get_image(image),
        lambda: proxy.find_image("new"),
        lambda: proxy.find_image("nobody has it"),
        proxy.images,
        lambda: sorted(each.status for each in proxy.images(limit=1)),
        lambda: proxy.download_image(image).content,
        lambda: proxy.download_image(image, stream=True),
        lambda: b"".join(proxy.download_image(image, stream=True).iter_content(1000)),
        save,
        lambda: proxy.update_image(image, name="other"),
        lambda: proxy.add_tag(image, "tag"),
        lambda: proxy.deactivate_image(image),
        lambda: proxy.reactivate_image(image),
        lambda: list(proxy.metadef_namespaces()),
        lambda: proxy.get_image_schema().id,
        lambda: proxy.get_image("none"),
        lambda: proxy.delete_image("none", ignore_missing=False),
        lambda: proxy.create_image("new", disk_format="paper", container_format="bare"),
        lambda: proxy.upload_image(name="new"),
        proxy.get_image,
        lambda: proxy.create_image("new", data=iter([DATA]), **NEW),
        lambda: proxy.delete_image(image),
        lambda: proxy.delete_image(image),
        lambda: [proxy.delete_image(each) for each in list(proxy.images())],
    )


def attempt(step):
    """What a step returns or raises, and where that was raised, without our own code."""
    try:
        return type(found := step()), found
    except Exception as error:  # noqa: BLE001
        frames, trace = [], error.__traceback__.tb_next
        while trace is not None:
            code = trace.tb_frame.f_code
            if "traced_image/instrumentation" not in code.co_filename:
                frames.append((code.co_filename, trace.tb_lineno))
            trace = trace.tb_next
        return type(error), str(error), frames


@pytest.fixture
def ironic():
    """Whether ironic is installed; the scripts below need it."""
    return pytest.importorskip("ironic")


def ironic_script(url, _folder):
    """What ironic does with images, step by step."""
    call, image = call_ironic(url), "none"

    def create():
        nonlocal image
        found = call("create_image", "new", data=io.BytesIO(DATA), **NEW)
        image = image if found is None else found.id
        return found

    return (
        create,
        lambda: call("get_image", image),
        lambda: call("get_image", "none"),
        lambda: call("download_image", image, stream=True).content,
        lambda: list(call("members", image)),
        lambda: call("delete_image", image),
        lambda: call("delete_image", image, ignore_missing=False),
        lambda: call("paint", image),
        call,
    )


def play(script, urls, folder):
    return [VARYING.sub("", repr(attempt(step))) for url in urls for step in script(url, folder)]


@pytest.fixture
def compare(instrumentor, urls, tmp_path):
    """Run a script without the instrumentor and with it."""

    def run(script):
        stock = play(script, urls, tmp_path)
        instrumentor.instrument()
        assert stock == play(script, urls, tmp_path)

    return run


def check(urls, trace, counts):
    """The spans, the samples and the state of each server are complete."""
    ports = [url.rpartition(":")[2] for url in urls]
    shown = zip(ports, ("failing", "failing", "healthy"), strict=True)
    assert set(shown) == set(counts.of("glance_client_server_state", "server_port", "state"))
    assert {} == counts.of("traced_image_telemetry_errors_total", "kind")
    below = {span.name.partition(" ")[2] for span in trace.spans if span.parent is not None}
    assert {"attempt", "stream"} == below
    assert set() == trace.open


def test_results_and_errors_are_the_same(compare, urls, trace, counts):
    compare(script)
    check(urls, trace, counts)


def test_results_and_errors_of_ironic_are_the_same(ironic, compare, urls, trace, counts):
    compare(ironic_script)
    check(urls, trace, counts)


SHAPE = SHAPES / "ironic"
METHODS = [
    pytest.param(".".join(path.relative_to(SHAPES).with_suffix("").parts), owner.name, node)
    for path in sorted(SHAPE.glob("**/*.py"))
    for owner in ast.parse(path.read_text("utf-8")).body
    if isinstance(owner, ast.ClassDef)
    for node in owner.body
    if isinstance(node, ast.FunctionDef)
]


@pytest.mark.parametrize(("module", "owner", "method"), METHODS)
def test_a_method_of_ironic_has_the_same_arguments(ironic, module, owner, method):
    importlib.import_module("ironic.common.image_service")
    real = inspect.getattr_static(getattr(sys.modules[module], owner), method.name)
    given = [argument.arg for argument in method.args.args]
    assert given == [*inspect.signature(real).parameters][: len(given)]


@pytest.mark.parametrize("library", ["openstacksdk", "ironic"])
def test_the_page_says_what_is_seen(library):
    pytest.importorskip({"openstacksdk": "openstack"}.get(library, library))
    program = [sys.executable, "-W", "ignore", clients_sdk_seen.__file__, library]
    done = subprocess.run(program, capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.splitlines()[-1] in PAGE.read_text("utf-8").splitlines()


OWN_TESTS = """
import json, sys, unittest
if sys.argv[1] == "observed":
    from traced_image.instrumentation import GlanceInstrumentor
    GlanceInstrumentor().instrument()
result = unittest.TestResult()
unittest.defaultTestLoader.loadTestsFromNames(sys.argv[2:]).run(result)
failed = [test.id() for test, _ in (*result.failures, *result.errors)]
print(json.dumps([result.testsRun, failed]), file=sys.__stdout__)
"""


def run_own_tests(how, names):
    """How many of a library's own tests ran, and which of them failed."""
    command = [sys.executable, "-W", "ignore", "-c", OWN_TESTS, how, *names]
    # The SDK's tests find their data in the folder that the library is in.
    folder = Path(image_proxy.__file__).parents[3]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder)
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    ("needed", "names"),
    [
        pytest.param(
            ("oslo_config", "requests_mock", "testscenarios"),
            [f"openstack.tests.unit.image.v2.test_{name}" for name in ("image", "proxy")],
            id="openstacksdk",
        ),
        pytest.param(
            ("ironic", "oslotest"),
            [f"ironic.tests.unit.common.test_{name}" for name in ("glance_service", "images")],
            id="ironic",
        ),
    ],
)
def test_the_librarys_own_tests_say_the_same(needed, names, capsys):
    for each in needed:  # what these tests are written with
        pytest.importorskip(each)
    stock, observed = (run_own_tests(how, names) for how in ("stock", "observed"))
    assert stock == observed
    count, failed = stock
    assert [] == failed
    with capsys.disabled():
        sys.stdout.write(f" {count} tests of its own pass ")
