"""The demonstration, run as a person would run it, and in anybody's environment, as all tests."""

import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

import traced_image
from traced_image import lab
from traced_image.demo import CALLS, main

LIMIT = 30.0
"""Seconds after which a test that waits has failed; half of the time that a read may take."""

NOBODY = "http://127.0.0.1:1"
HOSTILE = {
    "http_proxy": NOBODY,
    "HTTP_PROXY": NOBODY,
    "all_proxy": NOBODY,
    "no_proxy": "glance.example",
    "TRACED_IMAGE_SERVERS": "http://",
    "TRACED_IMAGE_NUM_RETRIES": "0",
    "TRACED_IMAGE_CONFIG_FILE": "/nowhere/nova.conf",
    "OS_CLOUD": "nonesuch",
    "OS_AUTH_URL": NOBODY,
    "REQUESTS_CA_BUNDLE": "/nowhere",
    "OTEL_SDK_DISABLED": "true",
    "OTEL_TRACES_SAMPLER": "always_off",
    "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "2",
    "OTEL_PYTHON_REQUESTS_EXCLUDED_URLS": ".*",
    "PROMETHEUS_MULTIPROC_DIR": "/nowhere",
}
"""What changes a program that reads it."""

READ_AT_IMPORT = {
    **HOSTILE,
    "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "many",
    "OTEL_PROPAGATORS": "nonesuch",
}
"""The same, and what OpenTelemetry fails of when it is imported."""


@pytest.fixture
def run():
    def run(*arguments, charset="utf-8", **environment):
        runner = CliRunner(charset=charset, env={"COLUMNS": "80", **environment})
        return runner.invoke(main, arguments)

    return run


@pytest.fixture
def glances():
    with lab.cluster(3) as servers:
        servers[0].images.add(name="cirros", data=b"...", visibility="public")
        yield servers


def _dying(output):
    return re.search(r"http://(\S+) dies", output)[1]


def _on(servers):
    """The arguments that name servers of one's own."""
    return [argument for server in servers for argument in ("--server", server.url)]


def _program(*arguments, **environment):
    return subprocess.run(
        [sys.executable, *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        env={**os.environ, **environment},
    )


# --- what it tells -----------------------------------------------------------------------------


def test_it_is_a_program_of_its_own():
    assert _program("-m", "traced_image.demo", "--help").stdout.startswith("Usage: ")


def test_it_names_the_server_that_died_and_why(run):
    output = run().output

    assert f"{_dying(output)} fails: connection_refused" in output


def test_it_accuses_no_other_server(run):
    output = run().output

    assert [_dying(output)] == re.findall(r"^(\S+) fails:", output, re.MULTILINE)


def test_it_tells_how_many_attempts_failed_of_how_many(run):
    output = run().output

    (tries, failed), (told_failed, told_tries) = (
        re.search(rf" {_dying(output)} .* (\d+) +(\d+) +[\d.]+ *$", output, re.MULTILINE).groups(),
        re.search(r"connection_refused \((\d+) of (\d+) attempts\)", output).groups(),
    )
    assert (failed, tries) == (told_failed, told_tries)


def test_it_draws_a_call_that_recovered(run):
    output = run().output

    tree = output.partition("A call that recovered\n")[2].splitlines()
    assert tree[0].startswith("glance.images.get ")
    assert tree[0].endswith("success_after_retry")
    assert tree[1].startswith(f"├── glance.images.get attempt  {_dying(output)} ")
    assert tree[3].startswith("└── glance.images.get attempt  127.0.0.1:")


def test_no_call_fails(run):
    assert "no caller saw a failure" in run().output


# --- servers of one's own ----------------------------------------------------------------------


def test_on_servers_of_ones_own_the_calls_reach_them(run, glances):
    result = run(*_on(glances))

    shows = sum(1 for server in glances for access in server.access_log if "?" not in access.path)
    assert (result.exit_code, shows) == (0, CALLS)


def test_on_servers_that_are_well_it_accuses_nobody(run, glances):
    output = run(*_on(glances[:1])).output

    assert "The slowest call" in output
    assert "No server fails." in output


def test_calls_that_fail_are_counted(run, glances):
    glances[0].break_with(lab.faults.status(500).only(path=r"/images/"))

    output = run(*_on(glances[:1])).output

    assert f"{CALLS} calls failed for their callers." in output


def test_several_reasons_are_counted_apart(run, glances):
    glances[0].break_with(
        lab.faults.flapping(
            lab.faults.status(500), lab.faults.status(403), lab.faults.status(500), None
        ).only(path=r"/images/")
    )

    output = run(*_on(glances[:1])).output

    assert re.search(r"\d+ 500\s", output)
    assert re.search(r"\d+ 403\s", output)


def test_the_verdict_has_each_reason_with_its_count(run, glances):
    # Of all requests but the list.
    sequence = [lab.faults.status(500), lab.faults.status(403), lab.faults.status(500)]
    glances[0].break_with(lab.faults.flapping(*sequence).only(path=r"/images/"))

    output = run(*_on(glances[:1]), COLUMNS="120").output

    many, few, tries = CALLS * 2 // 3, CALLS // 3, CALLS + 1
    assert f"fails: 500 ({many} of {tries} attempts), 403 ({few} of {tries} attempts)" in output


def test_servers_that_all_fail_from_the_start_are_told_of_with_reasons_and_counts(run, glances):
    for server in glances[:2]:
        server.break_with(lab.faults.refuse())

    result = run(*_on(glances[:2]))

    told = re.findall(
        r"^(\S+) fails: connection_refused \(2 of 2 attempts\)", result.output, re.MULTILINE
    )
    assert sorted(server.url for server in glances[:2]) == sorted(f"http://{each}" for each in told)
    assert "1 call failed for its caller." in result.output
    assert (1, "Error: ") == (result.exit_code, result.output.splitlines()[-1][:7])


def test_a_server_that_cools_down_since_before_is_told_of(run, glances):
    first, second = glances[:2]
    first.break_with(lab.faults.status(503, retry_after=30))
    service = traced_image.connect(servers=[first.url, second.url], telemetry=False)
    image_id = first.images.all()[0].id
    while not first.access_log:
        service.show(None, image_id)
    service.close()

    output = run(*_on([first, second])).output

    assert f"{first.host}:{first.port} fails: 503\n" in output


def test_attempts_on_an_ipv6_address_are_counted(run):
    with lab.GlanceServer(host="::1") as server:
        server.images.add(name="cirros", data=b"...", visibility="public")
        server.break_with(lab.faults.status(500).only(path=r"/images/"))

        output, port = run("--server", server.url).output, server.port

    tried = f"{CALLS} of {CALLS + 1} attempts"
    assert f"[::1]:{port} fails: 500 ({tried})" in output


def test_without_an_image_it_says_what_to_do(run):
    with lab.GlanceServer() as empty:
        result = run("--server", empty.url)

    assert (result.exit_code, result.output.strip()[-16:]) == (1, "upload one first")


def test_a_server_that_can_not_be_used_is_one_clear_line(run):
    result = run("--server", "http://user:secret@10.0.0.1")

    assert result.exit_code == 1
    assert "secret" not in result.output
    assert result.output.splitlines()[-1].startswith("Error: servers[0] ")


# --- any terminal ------------------------------------------------------------------------------


def test_no_line_is_wider_than_the_terminal(run):
    widest = max(len(line) for line in run().output.splitlines())

    assert widest <= 80


def test_the_servers_are_a_table_where_there_is_room_for_one(run):
    assert re.search(
        r"^ server +state +since +why +tries +failed +p50 ms *$", run().output, re.MULTILINE
    )


def test_in_a_narrow_terminal_each_server_has_a_block_of_whole_words(run):
    output = run(COLUMNS="40").output

    block = output.partition(f"server {_dying(output)} ")[2].splitlines()
    told = dict(line.rstrip().rsplit(maxsplit=1) for line in block[1:6])
    assert ["state", "since", "why", "tries", "failed"] == list(told)
    assert ("cooling", "connection_refused") == (told["state"], told["why"])


def test_a_block_is_no_wider_than_the_terminal(run):
    drawn = run(COLUMNS="40").output.partition("A call that recovered\n")[2]

    assert max(len(line) for line in drawn.splitlines()) <= 40


@pytest.mark.parametrize("charset", ["ascii", "latin-1"])
def test_an_output_that_is_not_unicode_has_all_that_is_told(run, charset):
    result = run(charset=charset)

    assert 0 == result.exit_code
    assert result.output.isascii()
    assert re.search(r"ms  failed: connection_refused$", result.output, re.MULTILINE)
    assert re.search(r"ms  ok success_after_retry$", result.output, re.MULTILINE)
    assert "?" not in result.output


def test_what_the_output_can_not_encode_ends_nothing():
    done = _program("-m", "traced_image.demo", PYTHONIOENCODING="ascii")

    assert (0, "") == (done.returncode, done.stderr)


def test_the_output_of_a_program_that_runs_it_may_be_a_buffer():
    with contextlib.redirect_stdout(io.StringIO()) as output:
        main([], standalone_mode=False)

    assert "no caller saw a failure" in output.getvalue()


# --- ctrl-c ------------------------------------------------------------------------------------


@pytest.fixture
def interrupted():
    """Send the demonstration what Ctrl-C sends, once `condition` holds."""
    running = []

    def interrupt(server, condition):
        # A shell's background job, for one, would ignore the signal, and so would its children.
        program = (
            "import signal, runpy; signal.signal(signal.SIGINT, signal.default_int_handler);"
            "runpy.run_module('traced_image.demo', run_name='__main__')"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", program, "--server", server.url],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        running.append(process)
        end = time.monotonic() + LIMIT
        while not condition():
            assert time.monotonic() < end
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=LIMIT)
        return process.returncode, output

    yield interrupt
    for process in running:
        process.kill()
        process.communicate()


def test_ctrl_c_ends_it_at_once_though_a_server_hangs(interrupted, glances):
    hanging = glances[0]
    hanging.break_with(lab.faults.never_answer().only(path=r"/images/"))

    # One connection is that of the list, which is kept.
    status, output = interrupted(hanging, lambda: hanging.connections > 1)

    assert 130 == status
    assert "Traceback" not in output


def test_after_ctrl_c_it_tells_which_server_has_not_answered(interrupted, glances):
    hanging = glances[0]
    hanging.break_with(lab.faults.never_answer())

    _, output = interrupted(hanging, lambda: hanging.connections)

    name = f"127.0.0.1:{hanging.port}"
    assert f"{name} has not answered: 1 attempt under way" == output.splitlines()[-1]


# --- any environment ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        *("http_proxy", "HTTP_PROXY", "all_proxy"),
        *("TRACED_IMAGE_NUM_RETRIES", "TRACED_IMAGE_CONFIG_FILE", "OS_CLOUD"),
        *("OTEL_SDK_DISABLED", "OTEL_TRACES_SAMPLER", "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT"),
        "OTEL_PYTHON_REQUESTS_EXCLUDED_URLS",
    ],
)
def test_the_environment_changes_nothing(run, name):
    output = run(**{name: HOSTILE[name]}).output

    assert f"{_dying(output)} fails: connection_refused" in output
    assert output.count("GET  127.0.0.1") >= 2
    assert output.endswith("Retries hid it: no caller saw a failure.\n")


def test_the_environment_is_as_before_afterwards(run, monkeypatch):
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    before = dict(os.environ)

    run()

    assert before == dict(os.environ)


def test_what_is_read_when_opentelemetry_is_imported_changes_nothing():
    done = _program("-m", "traced_image.demo", **READ_AT_IMPORT)

    assert (0, "") == (done.returncode, done.stderr)
    assert done.stdout.endswith("Retries hid it: no caller saw a failure.\n")


def test_servers_of_ones_own_may_be_behind_a_proxy(run, glances):
    output = run(*_on(glances[:1]), http_proxy=NOBODY).output

    assert () == glances[0].access_log
    assert f"127.0.0.1:{glances[0].port} fails: " in output


# --- all tests ---------------------------------------------------------------------------------

CONFTEST = Path(__file__).with_name("conftest.py")
KEPT = {"TRACED_IMAGE_CACHE": "/kept", "PYENV_ROOT": "/kept", "PATH": "/kept", "HOME": "/kept"}
LOOKS = {"NO_COLOR": "1", "FORCE_COLOR": "1", "COLUMNS": "20"}


def _left(environment):
    """What `conftest.py` leaves of an environment."""
    program = (
        f"import json, os, runpy; conftest = runpy.run_path({str(CONFTEST)!r});"
        "conftest['pytest_sessionstart'](); print(json.dumps(dict(os.environ)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, env=environment
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", [*HOSTILE, *LOOKS, "HTTPS_PROXY", "prometheus_multiproc_dir"])
def test_no_setting_of_the_callers_is_left_for_the_tests(name):
    assert name not in _left({name: "1"})


def test_what_the_tests_and_their_real_parts_need_is_left():
    left = _left({**HOSTILE, **KEPT})

    assert KEPT == {name: value for name, value in left.items() if name in KEPT}


@pytest.mark.parametrize("name", ["https_proxy", "HTTPS_PROXY"])
def test_pip_still_knows_the_proxy(name):
    assert NOBODY == _left({name: NOBODY})["PIP_PROXY"]


def test_pip_still_knows_the_authorities():
    assert "/ca.pem" == _left({"REQUESTS_CA_BUNDLE": "/ca.pem"})["PIP_CERT"]


def test_what_pip_is_told_already_counts():
    assert "/kept" == _left({"REQUESTS_CA_BUNDLE": "/ca.pem", "PIP_CERT": "/kept"})["PIP_CERT"]


def test_a_test_passes_in_any_environment():
    test = f"{__file__}::{test_on_servers_of_ones_own_the_calls_reach_them.__name__}"

    done = _program(*("-m", "pytest", "-q", "-p", "no:cacheprovider", test), **READ_AT_IMPORT)

    assert 0 == done.returncode, done.stdout
