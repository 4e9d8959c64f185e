"""The command ``diagnose``: its sources, its options, and a check plugin's status."""

from __future__ import annotations

import contextlib
import json
import sys
from datetime import datetime, timezone
from pathlib import Path

import pytest

from traced_image import TracedImageError, lab

sys.path.insert(0, str(Path(__file__).parents[1] / "diagnose"))

from replayed import WINDOW, read, replaying, serving
from trace_files import record, to_console


@pytest.fixture
def trace(three, images):
    image = images.add(name="cirros", data=b"...", visibility="public")
    three[0].break_with(lab.faults.status(503))

    def act(service):
        for _ in range(3):
            service.show(None, image)

    return to_console(record(three, act))


def ask(cli, recorded, url, *options):
    jobs = [part for job in recorded.jobs for part in ("--job", job)]
    at = datetime.fromtimestamp(recorded.at, timezone.utc).isoformat()
    told = ("--prometheus", url, "--at", at, "--since", f"{WINDOW:.0f}s", *jobs, *options)
    return cli("diagnose", *told)


@pytest.mark.parametrize(
    ("scene", "status"), [("nothing", 0), ("down", 1), ("slow", 1), ("keystone", 2), ("all", 2)]
)
def test_the_status_is_that_of_a_check_plugin(cli, scene, status):
    recorded = read(scene)
    with replaying(recorded.prometheus) as url:
        result = ask(cli, recorded, url)
    assert (status, "") == (result.status, result.err)


def test_a_prometheus_is_asked_for_the_last_hour_of_now(cli):
    seen = []

    def answer(path, _):
        seen.append(path)
        return 200, {"status": "success", "data": {"result": []}}

    with serving(answer) as url:
        result = cli("diagnose", "--prometheus", url)
    assert (3, True) == (result.status, "has no metrics from traced-image" in result.line)


def test_exporters_are_asked_for_their_reports(cli):
    recorded = read("down")
    reports = {f"/{n}/servers": each for n, each in enumerate(recorded.exporters)}
    with replaying(reports) as url:
        urls = [part for n in range(3) for part in ("--exporter", f"{url}/{n}/")]
        result = cli("diagnose", *urls)
    assert (1, True) == (
        result.status,
        f"\n{recorded.broken} refuses connections" in result.out,
    )


@pytest.mark.parametrize("answer", [[], {}, 1, {"servers": "none"}])
def test_an_answer_that_is_no_report_is_told(cli, answer):
    with serving(lambda *_: (200, answer)) as url:
        result = cli("diagnose", "--exporter", url)
    assert (3, True) == (result.status, "is no report of an exporter" in result.line)


def test_a_job_that_no_exporter_has_is_told(cli):
    recorded = read("down")
    reports = {f"/{n}/servers": each for n, each in enumerate(recorded.exporters)}
    with replaying(reports) as url:
        result = cli("diagnose", "--exporter", f"{url}/0", "--job", "nova-apu")
    said = "no exporter is of nova-apu, only of down/nova-api; check --job"
    assert (3, True) == (result.status, said in result.line)


def test_a_trace_is_read_from_a_file(cli, trace, three, tmp_path):
    file = tmp_path / "trace.json"
    file.write_text(trace)
    result = cli("diagnose", "--trace", file)
    assert (1, f"trace {file}, ", True) == (
        result.status,
        result.out[: len(f"trace {file}, ")],
        f"{three[0].host}:{three[0].port} answers HTTP 503" in result.out,
    )


def test_a_call_that_failed_counts_though_its_attempts_are_missing(cli, three, tmp_path):
    for each in three:
        each.break_with(lab.faults.status(500))

    def act(service):
        with contextlib.suppress(TracedImageError):
            service.show(None, "an image")

    spans = record(three, act)
    file = tmp_path / "trace.json"
    file.write_text(to_console([each for each in spans if each.parent is None]))
    result = cli("diagnose", "--trace", file)
    assert (2, True) == (result.status, "1 call failed (HTTP 500), but no attempt" in result.out)


def test_a_control_character_of_a_trace_is_not_printed(cli, trace, tmp_path):
    file = tmp_path / "trace.json"
    file.write_text(trace.replace('"success_after_retry"', '"\\u001b[2J"'))
    shown = cli("diagnose", "--trace", file).out
    assert (True, False) == ("\N{REPLACEMENT CHARACTER}[2J" in shown, "\x1b" in shown)


def test_a_trace_is_read_from_standard_input(process, trace, three):
    result = process("diagnose", "--trace", "-", "--json", input=trace)
    # On a busy machine another server may be slow, too.
    found = json.loads(result.out)[0]
    assert (1, f"{three[0].host}:{three[0].port}", ["images.get"]) == (
        result.status,
        found["server"],
        found["operations"],
    )


def test_json_is_a_list_of_findings(cli):
    recorded = read("down")
    with replaying(recorded.prometheus) as url:
        (found,) = json.loads(ask(cli, recorded, url, "--json").out)
    assert (recorded.broken, "connection_refused", True) == (
        found["server"],
        found["reason"],
        found["hidden_by_retries"],
    )


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        (("--user", "me", "--password-file", "secret"), "Basic bWU6c2VjcmV0"),
        (("--token-file", "secret"), "Bearer secret"),
    ],
)
def test_it_lets_itself_in(cli, tmp_path, options, sent):
    (tmp_path / "secret").write_text("secret\n")
    seen = []

    def answer(_, headers):
        seen.append(headers["Authorization"])
        return 200, {}

    options = [str(tmp_path / each) if each == "secret" else each for each in options]
    with serving(answer) as url:
        cli("diagnose", "--exporter", url, *options)
    assert [sent] == seen


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "name one source: --prometheus, --exporter or --trace"),
        (("--prometheus", "http://a", "--exporter", "http://a"), "name one source"),
        (("--exporter", "http://a", "--at", "2026-11-29"), "--since and --at need --prometheus"),
        (("--exporter", "http://a", "--since", "1h"), "--since and --at need --prometheus"),
        (("--prometheus", "http://a", "--at", "noon"), "'noon' is not a time: write it like"),
        (("--prometheus", "a:9090"), "write it like http://"),
        (("--exporter", "http://127.0.0.1:1"), "connection refused"),
    ],
)
def test_what_can_not_be_used_is_told(cli, options, words):
    result = cli("diagnose", *options)
    assert (3, True) == (result.status, words in result.line)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-11-29T12:00", 1795953600.0),
        ("2026-11-29T12:00:00z", 1795953600.0),
        ("2026-11-29T13:00:00+01:00", 1795953600.0),
        ("2026-11-29", 1795910400.0),
    ],
)
def test_a_time_is_in_utc_unless_it_has_a_zone(text, seconds):
    from traced_image.cli.diagnose import read_time

    assert seconds == read_time(text)
