"""The demonstration, run as a person would run it, and in anybody's environment, as all tests."""

import contextlib
import io
import json
import logging
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

import traced_image
from traced_image import lab
from traced_image.demo.__main__ import main
from traced_image.demo.scenario import BREAKAGES, CALLS

LIMIT = 30.0
"""Seconds after which a test that waits has failed; half of the time that a read may take."""

NOBODY = "http://127.0.0.1:1"
HOSTILE = {
    "http_proxy": NOBODY,
    "https_proxy": NOBODY,
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


SHORT = ("--seconds", "1")
"""As short as the whole script can be."""


def _run(*arguments, charset="utf-8", **environment):
    runner = CliRunner(charset=charset, env={"COLUMNS": "80", **environment})
    return runner.invoke(main, arguments)


@pytest.fixture
def run():
    return _run


@pytest.fixture(scope="module")
def whole():
    """What the whole script told, and the environment before it and after."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("OTEL_SDK_DISABLED", "true")
        before = dict(os.environ)
        result = _run(*SHORT)
        return SimpleNamespace(
            result=result, output=result.output, before=before, after=dict(os.environ)
        )


@pytest.fixture
def glances():
    with lab.cluster(3) as servers:
        servers[0].images.add(name="cirros", data=b"...", visibility="public")
        yield servers


def _broken(output, fault):
    """The server that the script broke so."""
    return re.search(rf"(\S+) is broken \({fault}\)", output)[1]


FAILURES = {each.name: each.reason for each in BREAKAGES if each.reason}


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


def test_the_exit_status_is_0_where_telemetry_was_right(whole):
    assert 0 == whole.result.exit_code
    assert "Telemetry was right about 4 of 4 faults." in whole.output


def test_it_tells_the_address_of_the_page(whole):
    assert re.search(r"^The page, .*: http://127\.0\.0\.1:\d+/$", whole.output, re.MULTILINE)


@pytest.mark.parametrize("fault", [each.name for each in BREAKAGES])
def test_it_tells_of_a_fault_when_it_begins_and_when_it_ends(whole, fault):
    place = whole.output.index(f"{_broken(whole.output, fault)} is broken ({fault})")

    assert f"{_broken(whole.output, fault)} is healed" in whole.output[place:]


def test_the_log_is_told_as_it_is_written(whole):
    dead = _broken(whole.output, "dead").replace(":", r":")
    first = whole.output.index(f"{dead} is broken")
    last = whole.output.index(f"{dead} is healed")

    line = f"WARNING Error contacting glance server '{dead}' for 'get', retrying."
    # The line is longer than the output is wide.
    told = " ".join(whole.output[first:last].split())
    assert f"{line} Reason: connection_refused." in told


def _said(output, fault):
    """What the witnesses said of a fault, by the witness."""
    lines = output.partition("What was broken, and what telemetry reported")[2].splitlines()
    start = next(place for place, line in enumerate(lines) if f"was broken ({fault})" in line)
    told = [line.split(maxsplit=1) for line in lines[start + 1 : start + 4]]
    return {name: words.strip() for name, words in told}, lines[start + 4]


@pytest.mark.parametrize("fault", FAILURES)
def test_all_witnesses_name_the_broken_server_its_reason_and_how_often(whole, fault):
    said, _ = _said(whole.output, fault)

    named = set(said.values())
    assert ["spans", "metrics", "log"] == list(said)
    assert 1 == len(named)
    server = _broken(whole.output, fault)
    assert re.fullmatch(rf"{server}: {FAILURES[fault]} \(\d+\)", named.pop())


def test_the_latency_of_the_slow_server_stands_out(whole):
    said, _ = _said(whole.output, "slow")

    told = rf"{_broken(whole.output, 'slow')}: p50 \d+ ms, the others' \d+ ms at most"
    assert re.fullmatch(told, said["spans"])
    assert re.fullmatch(told, said["metrics"])
    assert "no server" == said["log"]


@pytest.mark.parametrize("fault", [each.name for each in BREAKAGES])
def test_it_accuses_no_other_server(whole, fault):
    _, judgement = _said(whole.output, fault)

    assert "  ✓ right, and no other server was named" == judgement.rstrip()


def test_it_accuses_nobody_where_all_are_well(whole):
    assert "While no server was broken, telemetry named none." in whole.output


def _shape(text):
    """A text without its figures and line breaks, for two that were printed at other times."""
    text = re.sub(r"[0-9a-f]{32}", "ID", text)
    return " ".join(re.sub(r"\d[\d.,:]*( m?s)?", "N", text).split())


def test_it_tells_what_diagnose_says_while_a_server_is_broken(whole):
    told = " ".join(whole.output.partition("What diagnose reported")[2].split())

    dead = re.escape(_broken(whole.output, "dead"))
    assert re.search(
        rf" {dead} refuses connections \(connection_refused\) since .* in a row\."
        r" hit demo \(1 of 1 process\): images\.get cost ",
        told,
    )


def test_the_first_screen_of_the_readme_has_that_diagnosis(whole):
    lines = (Path(__file__).parents[1] / "README.md").read_text("utf-8").splitlines()[:45]
    start = next(n for n, line in enumerate(lines) if "refuses connections (" in line)
    quoted = lines[start : lines.index("```", start)]

    assert 5 == len(quoted)
    assert [] == [line for line in quoted if _shape(line) not in _shape(whole.output)]


def test_it_tells_at_the_end_which_servers_failed_and_why(whole):
    told = re.findall(r"^(\S+) failed: (\S+) \(", whole.output, re.MULTILINE)

    assert {_broken(whole.output, fault): reason for fault, reason in FAILURES.items()} == dict(
        told
    )


def test_it_tells_how_many_attempts_failed_of_how_many(whole):
    dead = _broken(whole.output, "dead")

    (tries, failed), (told_failed, told_tries) = (
        re.search(
            rf"^{dead} .* (\d+) +(\d+) +[\d.]+ +[\d.]+ *$", whole.output, re.MULTILINE
        ).groups(),
        re.search(r"connection_refused \((\d+) of (\d+) attempts\)", whole.output).groups(),
    )
    assert (failed, tries) == (told_failed, told_tries)


def test_it_draws_a_call_that_recovered(whole):
    tree = whole.output.partition("A call that recovered\n")[2].splitlines()

    assert tree[0].startswith("glance.images.get ")
    assert tree[0].endswith("success_after_retry")
    assert tree[1].startswith(f"├── glance.images.get attempt  {_broken(whole.output, 'dead')} ")
    assert tree[3].startswith("└── glance.images.get attempt  127.0.0.1:")


def test_no_call_fails(whole):
    assert whole.output.endswith("Retries hid the failures: no caller saw one.\n")


# --- as JSON -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def as_json():
    result = _run(*SHORT, "--json")
    return SimpleNamespace(result=result, told=json.loads(result.stdout))


def test_the_document_has_what_was_broken_and_that_telemetry_agreed(as_json):
    told = as_json.told

    broken = [each for each in told["episodes"] if each["server"]]
    assert (True, [], False) == (told["agreed"], told["complaints"], told["interrupted"])
    assert [(each.name, each.reason or None, True) for each in BREAKAGES] == [
        (each["fault"], each["reason"], each["agreed"]) for each in broken
    ]


def test_the_document_has_what_each_witness_said(as_json):
    dead, slow = (
        next(each for each in as_json.told["episodes"] if each["fault"] == fault)
        for fault in ("dead", "slow")
    )

    spans, metrics, log = (dead["said"][name]["failures"] for name in ("spans", "metrics", "log"))
    assert spans == metrics == log
    assert [(dead["server"], "connection_refused")] == [
        (each["server"], each["reason"]) for each in spans
    ]
    assert [slow["server"], slow["server"], None] == [
        slow["said"][name]["slow"] for name in ("spans", "metrics", "log")
    ]


def test_the_document_has_the_servers_the_calls_and_a_trace(as_json):
    told = as_json.told

    assert set(FAILURES.values()) == {
        reason for each in told["servers"] for reason in each["reasons"]
    }
    assert {"success_first_try", "success_after_retry"} == set(told["calls"])
    assert 0 == told["failed_calls"]
    assert any("refuses connections" in line for line in told["diagnosis"])
    call, attempt, *_ = told["trace"]["spans"]
    assert (None, "success_after_retry") == (call["parent_id"], call["outcome"])
    assert (call["span_id"], "connection_refused") == (attempt["parent_id"], attempt["reason"])


def test_what_happens_is_told_beside_the_document(as_json):
    assert re.search(r"^The page, .*: http://", as_json.result.stderr, re.MULTILINE)


# --- where telemetry is wrong ------------------------------------------------------------------


def test_the_exit_status_is_1_where_a_witness_says_nothing(run):
    logger = logging.getLogger("traced_image.pipeline.log")

    def dumb(_record):
        return False

    logger.addFilter(dumb)
    try:
        result = run(*SHORT)
    finally:
        logger.removeFilter(dumb)

    dead = _broken(result.output, "dead")
    assert 1 == result.exit_code
    assert f"  ✗ log did not name {dead}: connection_refused" in result.output.splitlines()
    assert "Telemetry was right about 1 of 4 faults." in result.output


@pytest.mark.parametrize("package", ["click", "rich", "trustme"])
def test_a_package_that_is_not_there_is_one_line_with_the_mend(package):
    program = (
        f"import runpy, sys; sys.modules[{package!r}] = None; sys.argv[1:] = [];"
        "runpy.run_module('traced_image.demo', run_name='__main__')"
    )

    done = _program("-c", program)

    (line,) = done.stderr.splitlines()
    assert (1, "") == (done.returncode, done.stdout)
    assert re.search(r"^Error: .*traced-image\[(cli,)?lab\]", line)


def test_a_package_that_is_not_there_ends_no_program_that_imports_it():
    program = (
        "import sys; sys.modules['click'] = None\n"
        "try: import traced_image.demo.__main__\n"
        "except ModuleNotFoundError as error: print(error.name)"
    )
    assert "click\n" == _program("-c", program).stdout


def test_a_time_that_is_none_is_refused(run):
    assert 2 == run("--seconds", "0").exit_code


# --- servers of one's own ----------------------------------------------------------------------


def test_on_servers_of_ones_own_the_calls_reach_them(run, glances):
    result = run(*_on(glances))

    shows = sum(1 for server in glances for access in server.access_log if "?" not in access.path)
    assert (result.exit_code, shows) == (0, CALLS)


def test_on_servers_of_ones_own_it_goes_on_for_the_time_that_is_said(run, glances):
    begun = time.monotonic()

    result = run(*_on(glances[:1]), "--seconds", "1", "--json")

    assert time.monotonic() - begun >= 1
    told = json.loads(result.stdout)
    assert (0, None, []) == (result.exit_code, told["agreed"], told["episodes"])


def test_without_a_browser_it_says_so(glances):
    done = _program(
        *("-m", "traced_image.demo", "--seconds", "1", "--open", *_on(glances[:1])),
        BROWSER="false",
    )

    assert "found no browser: open the page yourself" in done.stdout


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


@pytest.mark.ipv6
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


def test_no_line_is_wider_than_the_terminal(whole):
    widest = max(len(line) for line in whole.output.splitlines())

    assert widest <= 80


def test_the_servers_are_a_table_where_there_is_room_for_one(whole):
    headings = "server +state +since +why +tries +failed +p50 ms +p95 ms"

    assert re.search(rf"^{headings} *$", whole.output, re.MULTILINE)


@pytest.fixture(scope="module")
def narrow():
    return _run(*SHORT, COLUMNS="40").output


def test_in_a_narrow_terminal_each_server_has_a_block_of_whole_words(narrow):
    (dead,) = re.findall(r"(\S+) is broken\s+\(dead\)", narrow)

    block = narrow.partition(f"server {dead} ")[2].splitlines()
    told = dict(line.rstrip().rsplit(maxsplit=1) for line in block[1:6])
    assert ["state", "since", "why", "tries", "failed"] == list(told)
    assert ("healthy", "connection_refused") == (told["state"], told["why"])


def test_no_line_is_wider_than_a_narrow_terminal(narrow):
    assert max(len(line) for line in narrow.splitlines()) <= 40


@pytest.mark.parametrize("charset", ["ascii", "latin-1"])
def test_an_output_that_is_not_unicode_has_all_that_is_told(run, glances, charset):
    glances[0].break_with(lab.faults.status(503).only(path=r"/images/"))

    result = run(*_on(glances[:2]), charset=charset)

    assert 0 == result.exit_code
    assert result.output.isascii()
    assert re.search(r"ms  failed: 503$", result.output, re.MULTILINE)
    assert re.search(r"ms  ok success_after_retry$", result.output, re.MULTILINE)
    assert "?" not in result.output


def test_the_output_of_a_program_that_runs_it_may_be_a_buffer(glances):
    with contextlib.redirect_stdout(io.StringIO()) as output:
        main(_on(glances), standalone_mode=False)

    assert output.getvalue().endswith("No server fails.\n")


# --- ctrl-c ------------------------------------------------------------------------------------


@pytest.fixture
def interrupted():
    """Send the demonstration what Ctrl-C sends, once `condition` holds."""
    running = []

    def interrupt(server, condition, *arguments):
        # A shell's background job, for one, would ignore the signal, and so would its children.
        program = (
            "import signal, runpy; signal.signal(signal.SIGINT, signal.default_int_handler);"
            "runpy.run_module('traced_image.demo', run_name='__main__')"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", program, "--server", server.url, *arguments],
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


def test_ctrl_c_before_there_is_anything_to_tell_is_quiet():
    class Interrupted(io.StringIO):
        def write(self, _text):
            raise KeyboardInterrupt

    with contextlib.redirect_stdout(Interrupted()) as output:
        status = main([], standalone_mode=False)

    assert (130, "") == (status, output.getvalue())


def test_after_ctrl_c_the_document_is_there_too(interrupted, glances):
    hanging = glances[0]
    hanging.break_with(lab.faults.never_answer())

    status, output = interrupted(hanging, lambda: hanging.connections, "--json")

    told = json.loads(output[output.index("{") :])
    assert (130, True, None) == (status, told["interrupted"], told["agreed"])
    assert [1] == [each["under_way"] for each in told["servers"]]


# --- any environment ---------------------------------------------------------------------------


def test_the_environment_is_as_before_afterwards(whole):
    assert whole.before == whole.after


@pytest.fixture(scope="module")
def elsewhere():
    """The whole script where all that is in the environment is against it."""
    return _program("-m", "traced_image.demo", *SHORT, **READ_AT_IMPORT, PYTHONIOENCODING="ascii")


def test_the_environment_changes_nothing(elsewhere):
    assert (0, "") == (elsewhere.returncode, elsewhere.stderr)
    assert "Telemetry was right about 4 of 4 faults." in elsewhere.stdout
    assert elsewhere.stdout.count("GET  127.0.0.1") >= 2
    assert elsewhere.stdout.endswith("Retries hid the failures: no caller saw one.\n")


def test_what_the_output_can_not_encode_is_told_in_other_words(elsewhere):
    assert elsewhere.stdout.isascii()
    assert elsewhere.stdout.count("  ok right, and no other server was named") == 4
    assert "?" not in elsewhere.stdout


def test_servers_of_ones_own_may_be_behind_a_proxy(run, glances):
    output = run(*_on(glances[:1]), http_proxy=NOBODY).output

    assert () == glances[0].access_log
    assert f"127.0.0.1:{glances[0].port} fails: " in output


# --- all tests ---------------------------------------------------------------------------------

CONFTEST = Path(__file__).with_name("conftest.py")
KEPT = {"TRACED_IMAGE_CACHE": "/kept", "PYENV_ROOT": "/kept", "PATH": "/kept", "HOME": "/kept"}
PYTHON = {"PYTHONUNBUFFERED": "1", "PYTHONUTF8": "0", "PYTHONWARNINGS": "default"}
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


def test_no_setting_of_the_callers_is_left_for_the_tests():
    settings = {**HOSTILE, **LOOKS, **PYTHON, "HTTPS_PROXY": NOBODY, "prometheus_multiproc_dir": ""}
    assert set() == settings.keys() & _left(settings).keys()


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


@pytest.mark.slow  # pytest runs within pytest
def test_a_test_passes_in_any_environment():
    test = f"{__file__}::{test_on_servers_of_ones_own_the_calls_reach_them.__name__}"

    done = _program(*("-m", "pytest", "-q", "-p", "no:cacheprovider", test), **READ_AT_IMPORT)

    assert 0 == done.returncode, done.stdout
