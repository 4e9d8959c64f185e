"""The pytest plugin, loaded by pytest runs of its own."""

import subprocess
import sys

import pytest

from traced_image import pytest_plugin

pytest_plugins = ["pytester"]

PLUGIN = "traced_image.pytest_plugin"


@pytest.fixture
def run(pytester):
    """Run tests with the plugin; the result of pytest."""

    def run(code, *arguments):
        pytester.makepyfile(code)
        quiet = ("-p", "no:anyio", "-p", "no:cacheprovider", "--strict-markers")
        return pytester.runpytest_inprocess("-p", PLUGIN, *quiet, *arguments)

    return run


GET = """
import urllib.request

import pytest

from traced_image import lab


def get(server, path="/v2/images", **headers):
    request = urllib.request.Request(f"{server.url}{path}", headers=headers)
    with urllib.request.urlopen(request) as reply:
        return reply.status

"""


def test_a_test_has_a_server(run):
    result = run(f"{GET}def test_it(glance):\n    assert 200 == get(glance)")
    result.assert_outcomes(passed=1)


def test_a_test_has_three_servers_that_share_their_images(run):
    result = run("""
        def test_it(glance_cluster):
            names = [server.name for server in glance_cluster]
            image_id = glance_cluster[0].images.add(name="cirros")
            assert ["glance-1", "glance-2", "glance-3"] == names
            assert glance_cluster[2].images.get(image_id)
    """)
    result.assert_outcomes(passed=1)


def test_a_marker_says_how_many_servers_and_how_they_start(run):
    result = run(f"""{GET}
pytestmark = pytest.mark.glance(2, tokens=["secret"])

def test_two(glance_cluster):
    assert 2 == len(glance_cluster)

@pytest.mark.glance(count=4)
def test_four_with_the_tokens_of_the_module(glance_cluster):
    with pytest.raises(OSError, match="401"):
        get(glance_cluster[3])
    assert (4, 200) == (len(glance_cluster), get(glance_cluster[3], **{{"X-Auth-Token": "secret"}}))

def test_one_with_the_same_tokens(glance):
    with pytest.raises(OSError, match="401"):
        get(glance)
""")
    result.assert_outcomes(passed=3)


def test_a_second_argument_of_the_marker_without_a_name_is_refused(run):
    result = run("""
        import pytest

        @pytest.mark.glance(2, ["secret"])
        def test_it(glance_cluster):
            pass
    """)
    result.assert_outcomes(errors=1)
    said = "*@pytest.mark.glance of *::test_it has 2 arguments without a name: write the count *"
    result.stdout.fnmatch_lines([said])


def test_each_test_has_a_server_of_its_own(run):
    code = "def test_{0}(glance):\n    assert [] == glance.images.all()\n    glance.images.add()\n"
    result = run("".join(map(code.format, "ab")))
    result.assert_outcomes(passed=2)


def test_servers_stop_after_the_test(run):
    result = run("""
        import pytest
        stopped = []

        def test_it(glance, glance_cluster):
            stopped.extend([glance, *glance_cluster])

        @pytest.mark.parametrize("number", range(4))
        def test_they_have_no_port(number):
            with pytest.raises(RuntimeError, match="is not running"):
                stopped[number].port
    """)
    result.assert_outcomes(passed=5)


def test_a_failed_test_reports_the_access_logs(run):
    result = run(f"""{GET}
@pytest.mark.glance(2)
def test_it(glance_cluster):
    first, _ = glance_cluster
    get(first)
    first.break_with(lab.faults.status(418))
    with pytest.raises(OSError, match="418"):
        get(first, "/v2/schemas/image")
    first.break_with(lab.faults.lost_reply())
    with pytest.raises(OSError):
        get(first, "/v2/tasks")
    assert not "wrong"
""")
    result.stdout.fnmatch_lines(
        [
            "*- access log of glance-1 -*",
            "GET /v2/images from 127.0.0.1:* -> 200",
            "GET /v2/schemas/image from * -> 418, fault status",
            "GET /v2/tasks from * -> no reply, fault lost_reply",
            "*- access log of glance-2 -*",
            "no request",
        ]
    )


def test_a_test_without_servers_reports_no_access_log(run):
    result = run("def test_it():\n    assert not 'wrong'")
    result.stdout.no_fnmatch_line("*access log*")


def test_the_marker_is_listed(run):
    run("", "--markers").stdout.fnmatch_lines(["@pytest.mark.glance(count=3, *"])


def test_processes_of_xdist_have_servers_of_their_own(run, pytester):
    result = run(
        f"""{GET}
@pytest.mark.parametrize("number", range(8))
def test_it(glance_cluster, number):
    assert [200] * 3 == [get(server) for server in glance_cluster]
    assert [1] * 3 == [len(server.access_log) for server in glance_cluster]
""",
        "-n",
        "2",
    )
    result.assert_outcomes(passed=8)


def test_it_imports_no_lab_before_a_test_asks_for_it():
    program = f"import sys, {PLUGIN}; print(*sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    heavy = {"traced_image.lab", "traced_image.config", "requests", "urllib3", "ssl"}
    assert set() == heavy & set(done.stdout.split())


def test_the_hook_is_of_a_form_that_old_versions_of_pluggy_know():
    # pytest loads the plugin in every environment, and pluggy before 1.2 has no `wrapper=True`.
    options = pytest_plugin.pytest_runtest_makereport.pytest_impl
    assert (True, False) == (options["hookwrapper"], options.get("wrapper", False))
