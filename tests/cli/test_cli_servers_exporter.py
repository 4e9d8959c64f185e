"""The command ``servers --exporter``: what callers see, its status, and exporters in trouble."""

from __future__ import annotations

import json
import re
import threading
import time

import pytest
from caller_process import calling
from exporters import BEGAN, NOW, exporting, failing, operation, report, server
from terminals import COLOUR, plain, until

from traced_image import lab
from traced_image.cli.exporter_table import HEADINGS

KEYSTONE = {
    "failing": True,
    "failures": 3,
    "since": BEGAN,
    "last_failure": NOW - 1,
    "last_error": "read_timeout",
}


def rows(out):
    """The table's rows by the server, each with its cells by the heading."""
    heading, _, *lines = out.splitlines()
    starts = [heading.index(name) for name in HEADINGS]
    ends = [*starts[1:], None]
    cells = (
        [line[a:b].strip() for a, b in zip(starts, ends, strict=True)]
        for line in lines
        if not line.startswith("exporter ")
    )
    return {each[0]: dict(zip(HEADINGS, each, strict=True)) for each in cells}


@pytest.fixture
def ask(cli):
    """Ask exporters that give these answers."""

    def run(*answers, options=()):
        with exporting(*answers) as exporters:
            return cli("servers", *exporters.options, *options)

    return run


# --- what callers see --------------------------------------------------------------------------


def test_a_server_that_fails_has_all_that_callers_know(ask):
    healthy = server(recent={"share": 0.35})
    result = ask(
        report(failing(recent={"share": 0.3}), server("10.0.0.2"), pid=1),
        report(failing(since=BEGAN + 9, recent={"share": 0.2}), pid=2),
        report(healthy, service="cinder-volume"),
    )
    assert {
        "server": "10.0.0.1:9292",
        "state": "cooling for 2 of 3",
        "reason": "HTTP 503",
        "since UTC": "05:53:20",
        "in a row": "9",
        "operations": "images.get",
        "share of load": "28 %",
        "cost of retries": "18 s in 18 calls",
        "processes": "nova-api (2 of 2)",
    } == rows(result.out)["10.0.0.1:9292"]


def test_a_server_that_does_not_fail_has_its_share_of_the_load(ask):
    (row,) = rows(ask(report(server())).out).values()
    assert {"server": "10.0.0.1:9292", "state": "healthy", "share of load": "50 %"} == {
        name: cell for name, cell in row.items() if cell
    }


def test_those_that_fail_for_most_processes_are_first(ask):
    result = ask(
        report(server("10.0.0.1"), failing("10.0.0.2"), failing("10.0.0.3"), pid=1),
        report(server("10.0.0.1"), server("10.0.0.2"), failing("10.0.0.3"), pid=2),
    )
    assert ["10.0.0.3:9292", "10.0.0.2:9292", "10.0.0.1:9292"] == list(rows(result.out))


def state_of(result, name="10.0.0.1:9292"):
    return rows(result.out)[name]["state"]


def test_a_server_that_fails_one_operation_fails(ask):
    data = operation("images.data")
    result = ask(report(server(last_failure=NOW - 1, operations=[data])))
    assert ("failing", "images.data") == (
        state_of(result),
        rows(result.out)["10.0.0.1:9292"]["operations"],
    )


def test_the_worst_state_is_shown(ask):
    trial = failing(state="trial")
    assert "cooling for 2 of 2" == state_of(ask(report(trial, pid=1), report(failing(), pid=2)))


def test_a_report_of_several_processes_counts_as_many(ask):
    result = ask(report(failing(), processes=4), report(server(), service="other"))
    assert ("cooling for 4 of 5", "nova-api (4 of 4)") == (
        state_of(result),
        rows(result.out)["10.0.0.1:9292"]["processes"],
    )


def test_a_process_without_a_service_is_named_by_its_machine_and_number(ask):
    result = ask(report(failing(), service=None, pid=77))
    assert "vm:77" == rows(result.out)["10.0.0.1:9292"]["processes"]


def test_a_server_that_only_probes_can_not_use_is_told_so(ask):
    probing = report(failing(reason="connect_timeout"), service="probes", probes=True)
    result = ask(probing, report(server()))
    row = rows(result.out)["10.0.0.1:9292"]
    assert ("probes fail", "connect_timeout", "05:53:20", "", 2) == (
        row["state"],
        row["reason"],
        row["since UTC"],
        row["processes"],
        result.status,
    )


def test_probes_that_fail_add_nothing_where_callers_see_it(ask):
    probing = report(failing(reason="connect_timeout"), service="probes", probes=True)
    result = ask(probing, report(failing()))
    assert ("cooling", "HTTP 503") == (
        state_of(result),
        rows(result.out)["10.0.0.1:9292"]["reason"],
    )


def test_keystone_is_told_of_beside_the_servers(ask):
    result = ask(report(server(), keystone=KEYSTONE), report(server(), service="other"))
    row = rows(result.out)["Keystone"]
    assert ("failing for 1 of 2", "read_timeout", "05:53:20", "nova-api (1 of 1)", 1) == (
        row["state"],
        row["reason"],
        row["since UTC"],
        f"{row['processes']} (1 of 1)",
        result.status,
    )


@pytest.mark.parametrize(
    ("since", "told"), [(BEGAN, "05:53:20"), (BEGAN - 86400, "2026-11-29 05:53:20")]
)
def test_since_has_its_date_if_that_is_not_today(ask, since, told):
    old = failing(since=since, strip=[])
    assert told == rows(ask(report(old)).out)["10.0.0.1:9292"]["since UTC"]


def test_json_has_the_names_of_diagnose(ask):
    result = ask(report(failing()), report(server("10.0.0.2"), pid=2), options=["--json"])
    first, second = json.loads(result.out)
    assert {
        "server": "10.0.0.1:9292",
        "ok": False,
        "state": "cooling",
        "reason": "503",
        "reasons": ["503"],
        "since": "2026-11-30T05:53:20+00:00",
        "since_exact": True,
        "failures_in_a_row": 9,
        "operations": ["images.get"],
        "share": 0.5,
        "calls_saved": 9.0,
        "cost_seconds": 9.0,
        "processes": {"nova-api": {"asking": 1, "failing": 1}},
    } == first
    assert (True, None, None) == (second["ok"], second["reason"], second["since"])


def test_processes_that_call_are_asked(cli, three, images):
    image = images.add(name="cirros", data=b"...", visibility="public")
    three[0].break_with(lab.faults.refuse())
    row = rf"{three[0].port} +cooling for 2 of 2 +connection_refused .* nova-api \(2 of 2\)"
    with calling([each.url for each in three], image, *[("nova-api", "show")] * 2) as urls:
        exporters = [part for url in urls for part in ("--exporter", url)]
        until(lambda: re.search(row, cli("servers", *exporters).out))


# --- the status --------------------------------------------------------------------------------

ONE, TWO, DOWN = server("10.0.0.1"), failing("10.0.0.2"), (500, "broken")


@pytest.mark.parametrize(
    ("answers", "status"),
    [
        ([report(ONE)], 0),
        ([report(ONE, TWO)], 1),
        ([report(TWO)], 2),
        ([report(TWO, keystone=KEYSTONE)], 2),
        ([report(ONE), DOWN], 3),
        ([report(ONE, TWO), DOWN], 1),
        ([report()], 0),
        ([DOWN], 3),
    ],
)
def test_the_status_is_that_of_a_check_plugin(ask, answers, status):
    assert status == ask(*answers).status


# --- exporters in trouble ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ((401, "<html>"), "HTTP 401; give --user and --password-file, or --token-file"),
        ((500, "broken"), "HTTP 500; check that the URL is right, with its prefix"),
        ((200, "<html>"), "HTTP 200; check that the URL is right, with its prefix"),
        ((200, "[" * 100_000), "HTTP 200; check that the URL is right, with its prefix"),
        ((200, "[]"), "its answer is no report of an exporter; check that the URL is right, "),
        ((200, {"servers": 1}), "its answer is no report of an exporter; "),
    ],
)
@pytest.mark.parametrize("options", [(), ("--json",)])
def test_an_exporter_that_can_not_be_read_is_told_with_the_others(ask, answer, problem, options):
    result = ask(report(server()), answer, options=options)
    assert [True, True] == [
        "10.0.0.1" in result.out,
        bool(re.match(rf"exporter http://127\.0\.0\.1:\d+/1: {problem}", result.line)),
    ]


def test_an_only_server_that_fails_at_times_is_no_server_that_all_calls_fail_on(ask):
    strip = [{"start": NOW - 60, "attempts": 20, "failed": 6, "reason": "503"}]
    told = {"last_failure": NOW - 1, "last_error": "503", "strip": strip}
    result = ask(report(server(**told)))
    assert (1, True) == (result.status, "fails at times" in result.out)


def test_an_exporter_without_workers_that_share_their_calls_is_no_healthy_one(ask):
    result = ask(report(notice="No worker has shared its calls."))
    assert (3, True) == (
        result.status,
        result.line.rstrip().endswith("/0: No worker has shared its calls."),
    )


def test_an_exporter_that_knows_no_server_is_told(ask):
    result = ask(report())
    assert (True, "") == (
        result.out.rstrip().endswith("/0: no call of its process asked a server"),
        result.err,
    )


def test_a_slow_exporter_delays_no_other_and_is_told_of(ask):
    done = threading.Event()

    def wait():
        done.wait(20)
        return report()

    try:
        begun = time.monotonic()
        result = ask(wait, report(failing()), options=["--timeout", "1500ms"])
    finally:
        done.set()
    assert (True, True) == ("10.0.0.1:9292" in result.out, time.monotonic() - begun < 10)
    assert re.search(r"/0: (no answer within 1\.5 s|no answer in time)", result.line)


def test_an_older_exporter_tells_what_it_can(ask):
    left_out = ("since", "recent", "operations", "cost_seconds", "saved_calls")
    old = {name: value for name, value in failing().items() if name not in left_out}
    result = ask({"generated": NOW, "servers": [old]})
    row = rows(result.out)["10.0.0.1:9292"]
    assert ("cooling", "HTTP 503", "about 05:59:30", "9", "", "", "") == (
        row["state"],
        row["reason"],
        row["since UTC"],
        row["in a row"],
        row["operations"],
        row["share of load"],
        row["cost of retries"],
    )


def test_failures_of_an_hour_ago_and_without_a_time_are_told(ask):
    old = failing(since=None, strip=[], last_failure=None, operations=[])
    assert "" == rows(ask(report(old)).out)["10.0.0.1:9292"]["since UTC"]


@pytest.mark.parametrize(
    "told",
    [
        {"since": 1e300, "last_failure": 1e300},
        {"since": -1e300, "consecutive_failures": "many", "operations": 7},
        {"state": ["cooling"], "strip": "none", "recent": None},
        {"reasons": [], "operations": [None, {}], "consecutive_failures": 1e9},
    ],
)
def test_no_report_breaks_the_table(ask, told):
    result = ask(report(failing(**told), 7, None, {}))
    assert (["10.0.0.1:9292"], "") == (list(rows(result.out)), result.err)


def test_names_do_not_reach_the_terminal_as_they_are(ask):
    hostile = failing(
        "10.0.0.1\x1b[2J",
        reason="bad\x07",
        operations=[operation("images\r.get", reason="bad\x07")],
    )
    result = ask(report(hostile, service="nova\x9b\n"))
    assert (False, True) == (
        bool(re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", result.out)),
        "10.0.0.1\N{REPLACEMENT CHARACTER}[2J" in result.out,
    )


def test_secrets_of_a_url_are_not_shown(cli):
    with exporting(DOWN) as exporters:
        url = f"{exporters.url.replace('//', '//me:s3cret@')}/0?token=s3cret"
        result = cli("servers", "--exporter", url)
    assert (3, False) == (result.status, "s3cret" in result.out + result.err)


# --- terminals ---------------------------------------------------------------------------------


def test_at_80_columns_it_is_a_table(terminal):
    with exporting(report(failing(), server("10.0.0.2"))) as exporters:
        lines = plain(terminal("servers", *exporters.options, columns=80).out).splitlines()
    assert (True, True) == (
        80 >= max(map(len, lines)),
        any(
            re.match(r"10\.0\.0\.1:9292 +cooling +HTTP ?5?0?3? +05:53:20 ", each) for each in lines
        ),
    )


def test_at_60_columns_each_server_is_a_block(terminal):
    with exporting(report(failing())) as exporters:
        out = plain(terminal("servers", *exporters.options, columns=60).out)
    assert (True, True) == (
        60 >= max(map(len, out.splitlines())),
        bool(re.search(r"^since UTC +05:53:20", out, re.MULTILINE)),
    )


@pytest.mark.parametrize(("environment", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_colours_are_left_out_if_the_user_wants_none(terminal, monkeypatch, environment, coloured):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with exporting(report(failing())) as exporters:
        out = terminal("servers", *exporters.options).out
    assert coloured == bool(COLOUR.search(out))


# --- options -----------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["servers", "watch"])
@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--exporter", "http://a", "--server", "b"), "leave out --server, --config"),
        (("--exporter", "http://a", "--image", ""), "leave out --server, --config"),
        (("--user", "me"), "--user, --password-file and --token-file need --exporter"),
        (("--exporter", "a:1"), "exporter 'a:1': write it like http://"),
        (("--exporter", "https://a", "--cafile", "/nowhere"), "--cafile"),
    ],
)
def test_what_does_not_fit_together_is_told(cli, command, options, words):
    result = cli(command, *options)
    assert (3, True) == (result.status, words in result.line)


def test_it_lets_itself_in(cli, tmp_path):
    (tmp_path / "token").write_text("abc\n")
    seen = []

    from replayed import serving

    def answer(_, headers):
        seen.append(headers["Authorization"])
        return 200, report()

    with serving(answer) as url:
        cli("servers", "--exporter", url, "--token-file", tmp_path / "token")
    assert ["Bearer abc"] == seen
