"""The command ``servers``: one probe of each, a table or JSON, and a check plugin's status."""

from __future__ import annotations

import datetime as dt
import json
import signal

import pytest
import trustme
from terminals import COLOUR, plain

from traced_image import lab


def rows(out):
    """The table's lines, by server."""
    return {line.split()[0]: line.split()[1:] for line in out.splitlines()[2:] if "  " in line}


def place(server):
    return f"{server.host}:{server.port}"


# --- the status --------------------------------------------------------------------------------


@pytest.mark.parametrize(("failing", "status"), [(0, 0), (1, 1), (2, 1), (3, 2)])
def test_the_status_is_that_of_a_check_plugin(cli, three, on, failing, status):
    for server in three[:failing]:
        server.break_with(lab.faults.refuse())
    result = cli("servers", *on(*three))
    assert (status, "") == (result.status, result.err)


@pytest.mark.parametrize(("failing", "status"), [(0, 0), (1, 2)])
def test_of_one_server_all_fail_or_none(cli, server, on, failing, status):
    if failing:
        server.break_with(lab.faults.status(503))
    assert status == cli("servers", *on(server)).status


IMAGE = "84efd1f0-5f0f-4a67-8e4d-2f8a2f7b9c31"


def test_an_image_that_no_server_has_is_a_setting_to_fix(cli, three, on):
    result = cli("servers", "--image", IMAGE, *on(*three))
    found = rows(result.out)
    assert (3, ["healthy", "wrong", "image"]) == (result.status, found[place(three[0])][:3])
    assert f"{place(three[0])}: HTTP 404 for image {IMAGE}; fix: " in result.out


def test_a_wrong_prefix_is_a_setting_to_fix(cli, server):
    result = cli("servers", "--server", f"{server.url}/image")
    assert (3, True) == (result.status, "Glance does not answer under /image" in result.out)


@pytest.mark.parametrize(("failing", "status"), [(1, 1), (2, 1), (3, 2)])
def test_a_server_that_fails_counts_more_than_a_wrong_setting(cli, three, on, failing, status):
    for server in three[:failing]:
        server.break_with(lab.faults.refuse())
    assert status == cli("servers", "--image", IMAGE, *on(*three)).status


CLOUD = """
clouds:
  mine:
    auth:
      auth_url: http://127.0.0.1:1/v3
      username: me
      password: secret
      project_name: mine
      user_domain_name: Default
      project_domain_name: Default
"""


def test_an_image_without_a_token_to_request_it_is_not_well(
    cli, server, on, tmp_path, monkeypatch, caplog
):
    (tmp_path / "clouds.yaml").write_text(CLOUD)
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(tmp_path / "clouds.yaml"))
    result = cli("servers", "--os-cloud", "mine", "--image", IMAGE, *on(server))
    assert (3, "healthy") == (result.status, rows(result.out)[place(server)][0])
    assert "Servers are probed without the image for now: Keystone gave no token" in caplog.text


def test_json_names_the_wrong_setting(cli, server, on):
    (found,) = json.loads(cli("servers", "--json", "--image", IMAGE, *on(server)).out)
    assert (False, "image", "404") == (found["ok"], found["misconfigured"], found["reason"])


@pytest.mark.parametrize("options", [["--image", ""], ["--timeout", "0s"], ["--timeout", "x"]])
def test_what_can_not_be_probed_is_unknown(cli, server, on, options):
    result = cli("servers", *options, *on(server))
    assert (3, "", "traced-image: ") == (result.status, result.out, result.line[:14])


def test_a_host_that_is_not_known_fails(cli):
    result = cli("servers", "--server", "nonesuch.invalid")
    assert (2, ["cooling", "dns_error"]) == (
        result.status,
        rows(result.out)["nonesuch.invalid:9292"][:2],
    )


def test_many_servers_need_no_more_retries(cli, server, on):
    """There is no warning of a setting that has no meaning here."""
    others = [f"http://127.0.0.1:{number}" for number in range(1, 6)]
    assert "" == cli("servers", *on(server, *others)).err


def test_times_are_in_iso_8601(cli, on):
    with lab.GlanceServer(tls=lab.TLS.trusted()) as server:
        (found,) = json.loads(cli("servers", "--insecure", "--json", *on(server)).out)
    when, expiry = map(dt.datetime.fromisoformat, (found["when"], found["certificate_expiry"]))
    assert abs(dt.datetime.now(dt.timezone.utc) - when) < dt.timedelta(minutes=1) < expiry - when


# --- the table ---------------------------------------------------------------------------------


def test_each_server_has_a_line(cli, three, on):
    three[1].break_with(lab.faults.status(503))
    found = rows(cli("servers", *on(*three)).out)
    assert ["healthy", "cooling", "healthy"] == [found[place(server)][0] for server in three]


def test_the_version_and_the_healthcheck_are_shown(cli, server, on):
    cells = rows(cli("servers", *on(server)).out)[place(server)]
    assert ("healthy", ["v2.17", "passes"]) == (cells[0], cells[2:])


def test_a_healthcheck_that_fails_is_shown_and_decides_nothing(cli, server, on):
    server.break_with(lab.faults.status(503).only(path="^/healthcheck"))
    result = cli("servers", *on(server))
    assert (0, ["fails"]) == (result.status, rows(result.out)[place(server)][3:])


def test_why_servers_fail_is_said_below(cli, three, on):
    three[0].break_with(lab.faults.refuse())
    three[1].break_with(lab.faults.status(500))
    last = cli("servers", *on(*three)).out.splitlines()[-2:]
    assert [f"{place(three[0])}: connection refused", f"{place(three[1])}: HTTP 500"] == last


@pytest.mark.parametrize(("days", "shown"), [(100, "100 days"), (5, "5 days"), (-5, "expired")])
def test_when_a_certificate_expires_is_shown(cli, on, tmp_path, days, shown):
    authority = trustme.CA()
    now = dt.datetime.now(dt.timezone.utc)
    issued = authority.issue_cert(
        "127.0.0.1",
        not_before=now - dt.timedelta(days=10),
        not_after=now + dt.timedelta(days=days, minutes=5),
    )
    tls = lab.TLS.trusted()
    issued.configure_cert(tls.known)
    with lab.GlanceServer(tls=tls) as server:
        result = cli("servers", "--insecure", *on(server))
        assert (0, True) == (result.status, shown in result.out)


def test_colours_are_for_terminals_alone(terminal, cli, three, on):
    three[0].break_with(lab.faults.refuse())
    assert (None, True) == (
        COLOUR.search(cli("servers", *on(*three)).out),
        bool(COLOUR.search(terminal("servers", *on(*three)).out)),
    )


def test_a_narrow_terminal_has_a_block_for_each_server(terminal, server, on):
    lines = plain(terminal("servers", *on(server), columns=40).out).splitlines()
    assert [["server", place(server)], ["state", "healthy"]] == [line.split() for line in lines[:2]]


# --- JSON --------------------------------------------------------------------------------------


def test_json_has_what_was_found(cli, server, on):
    (found,) = json.loads(cli("servers", "--json", *on(server)).out)
    assert (server.url, place(server), True, "", 200, "v2.17", True) == tuple(
        found[name]
        for name in ("url", "server", "ok", "reason", "status", "version", "healthcheck")
    )
    assert ["dns", "connect", "first_byte", "body"] == list(found["phases"])
    assert pytest.approx(sum(found["phases"].values())) == found["seconds"]


def test_json_says_why_a_server_fails(cli, server, on):
    server.break_with(lab.faults.refuse())
    result = cli("servers", "--json", *on(server))
    (found,) = json.loads(result.out)
    assert (2, False, "connection_refused", f"{place(server)}: connection refused") == (
        result.status,
        found["ok"],
        found["reason"],
        found["error"],
    )


def test_an_image_is_asked_for_if_one_is_named(cli, three, on, images):
    image_id = images.add(name="canary", data=b"0123456789")
    three[0].break_with(lab.faults.status(500).only(path="/file$"))
    result = cli("servers", "--json", "--image", image_id, *on(*three))
    found = json.loads(result.out)
    assert (1, [False, True, True]) == (result.status, [each["ok"] for each in found])
    assert [("show", "", None), ("download", "", 10)] == [
        (each["check"], each["reason"], each["size"]) for each in found[1]["canary"]
    ]


# --- as it happens -----------------------------------------------------------------------------


def test_a_wrong_setting_is_shown_as_its_probe_ends(cli, server, on):
    (line,) = cli("servers", "-v", "--image", IMAGE, *on(server)).err.splitlines()
    assert line.startswith(f"{place(server)} answers, ")
    assert f" ms; wrong image: HTTP 404 for image {IMAGE}; fix: " in line


def test_probes_are_shown_as_they_end(cli, three, on):
    three[0].break_with(lab.faults.slow_headers(0.002))
    three[1].break_with(lab.faults.refuse())
    lines = cli("servers", "-v", *on(*three)).err.splitlines()
    assert 3 == len(lines)
    assert f"{place(three[1])} fails, connection_refused: connection refused" in lines
    assert lines[-1].startswith(f"{place(three[0])} answers, ")


@pytest.mark.parametrize(
    ("number", "status", "word"),
    [(signal.SIGTERM, 143, "ended"), (signal.SIGINT, 130, "interrupted")],
)
def test_a_signal_in_the_middle_of_a_probe_is_one_line(
    cli, server, on, signalled, number, status, word
):
    server.break_with(lab.faults.never_answer())
    signalled(number, lambda: server.connections)
    result = cli("servers", *on(server))
    assert (status, "", f"traced-image: {word}") == (result.status, result.out, result.line)


def test_a_server_that_hangs_is_given_up_in_time(cli, server, on):
    server.break_with(lab.faults.never_answer())
    result = cli("servers", "--timeout", "200ms", *on(server))
    assert (2, "read_timeout") == (result.status, rows(result.out)[place(server)][1])
