"""The commands that read images: what they print for people and for programs, and what they say."""

from __future__ import annotations

import json
import os

import pytest
from opentelemetry.trace import set_span_in_context
from terminals import COLOUR, plain, until

from traced_image import lab
from traced_image.cli import traced_service
from traced_image.cli.spans import make_provider

HOSTILE = "\x1b[31mred\x1b[0m [bold]x[/bold] :warning: \u202e\x9b31m"
SHOWN = "�[31mred�[0m [bold]x[/bold] :warning: ��31m"


@pytest.fixture
def image_id(images):
    return images.add(name="cirros", data=b"0123456789", os_distro="cirros", min_ram=64)


def fields(out):
    """The names and values that `show` prints."""
    return {line.split()[0]: line.split(maxsplit=1)[1] for line in out.splitlines()}


# --- show --------------------------------------------------------------------------------------


def test_show_prints_an_image(cli, server, on, image_id):
    result = cli("show", image_id, *on(server))
    found = fields(result.out)
    assert (0, "") == (result.status, result.err)
    assert (image_id, "cirros", "active", "10", "64", "cirros") == tuple(
        found[name] for name in ("id", "name", "status", "size", "min_ram", "properties.os_distro")
    )


def test_show_begins_with_what_tells_most(cli, server, on, image_id):
    names = list(fields(cli("show", image_id, *on(server)).out))
    assert ["id", "name", "status", "size", "disk_format"] == names[:5]


def test_show_leaves_out_what_has_no_value(cli, server, on, image_id):
    assert "owner" not in fields(cli("show", image_id, *on(server)).out)


def test_show_as_json_has_the_image_whole(cli, server, on, image_id):
    image = json.loads(cli("show", image_id, "--json", *on(server)).out)
    assert (image_id, 10, None, {"os_distro": "cirros"}) == (
        image["id"],
        image["size"],
        image["owner"],
        image["properties"],
    )


def test_times_are_in_iso_8601(cli, server, on, image_id, images):
    expected = str(images.get(image_id).base["created_at"]).replace("Z", "+00:00")
    as_json = json.loads(cli("show", image_id, "--json", *on(server)).out)
    found = fields(cli("show", image_id, *on(server)).out)
    assert (expected, expected) == (as_json["created_at"], found["created_at"])


@pytest.mark.parametrize("version", ["1", "2"])
def test_images_are_shown_by_both_versions_of_the_api(
    cli, server, on, image_id, monkeypatch, version
):
    monkeypatch.setenv("TRACED_IMAGE_API_VERSION", version)
    assert "cirros" == fields(cli("show", image_id, *on(server)).out)["name"]


def test_a_name_can_not_speak_to_the_terminal(cli, server, on, images):
    image_id = images.add(name=HOSTILE)
    assert SHOWN == fields(cli("show", image_id, *on(server)).out)["name"]


def test_json_has_nothing_that_a_terminal_would_act_upon(cli, server, on, images):
    out = cli("show", images.add(name=HOSTILE), "--json", *on(server)).out
    assert (True, HOSTILE) == (out.isascii() and "\x1b" not in out, json.loads(out)["name"])


@pytest.mark.parametrize(
    ("given", "status", "said"),
    [
        ("missing", 1, "Image missing could not be found; to see the images: traced-image list"),
        ("", 3, "'' is not a valid image id: pass valid text, the image's UUID"),
        ("\udcff", 3, "'\\udcff' is not a valid image id: pass valid text, the image's UUID"),
        ("\x1b[31m", 1, "Image '\\x1b[31m' could not be found; to see the images: traced-image"),
    ],
)
def test_an_id_that_is_none_is_one_line(cli, server, on, given, status, said):
    result = cli("show", given, *on(server))
    assert (status, "") == (result.status, result.out)
    assert result.line.startswith(f"traced-image: {said}")


def test_an_id_of_any_length_is_one_line(cli, server, on):
    result = cli("show", "x" * 5000, *on(server))
    assert (1, True) == (result.status, len(result.line) < 200)


# --- list --------------------------------------------------------------------------------------


def test_list_prints_a_line_for_each_image(cli, server, on, images):
    ids = [images.add(name=f"image-{number}", data=b"x" * number) for number in range(3)]
    lines = cli("list", *on(server)).out.splitlines()
    assert ["id", "name", "status", "size", "disk_format"] == lines[0].split()
    assert [
        [ids[number], f"image-{number}", "active", str(number), "qcow2"] for number in (2, 1)
    ] == [line.split() for line in lines[2:4]]


def test_a_line_has_no_spaces_at_its_end(cli, server, on, image_id):
    lines = cli("list", *on(server)).out.splitlines()
    assert [line.rstrip() for line in lines] == lines


def test_lines_are_as_long_as_they_need_to_be(cli, server, on, images):
    name = "n" * 250
    images.add(name=name)
    assert name in cli("list", *on(server)).out


def test_list_as_json_has_the_images_whole(cli, server, on, images):
    ids = {images.add(name=f"image-{number}") for number in range(3)}
    assert ids == {image["id"] for image in json.loads(cli("list", "--json", *on(server)).out)}


def test_list_takes_a_limit(cli, server, on, images):
    for number in range(3):
        images.add(name=f"image-{number}")
    assert 2 == len(json.loads(cli("list", "--json", "--limit", "2", *on(server)).out))


def test_list_takes_filters(cli, server, on, images):
    for name, distro in (("a", "x"), ("b", "x"), ("a", "y")):
        images.add(name=name, os_distro=distro)
    found = cli(
        "list", "--json", "--filter", "name=a", "--filter", "property-os_distro=x", *on(server)
    )
    assert [("a", {"os_distro": "x"})] == [
        (image["name"], image["properties"]) for image in json.loads(found.out)
    ]


def test_a_value_of_a_filter_may_have_any_sign(cli, server, on, images):
    images.add(name="a=b")
    assert 1 == len(json.loads(cli("list", "--json", "--filter", "name=a=b", *on(server)).out))


@pytest.mark.parametrize(
    "options",
    [
        ["--filter", "name"],
        ["--filter", "=x"],
        ["--filter", ""],
        ["--limit", "0"],
        ["--limit", "x"],
    ],
)
def test_a_filter_or_limit_that_is_none_is_one_line(cli, server, on, options):
    result = cli("list", *options, *on(server))
    assert 3 == result.status
    assert result.line.startswith("traced-image: Invalid value for")
    assert () == server.access_log


# --- servers that fail -------------------------------------------------------------------------


def test_a_server_that_fails_is_passed_over(cli, three, on, image_id):
    for server in three[:2]:
        server.break_with(lab.faults.refuse())
    result = cli("show", image_id, *on(*three))
    assert (0, "") == (result.status, result.err)


def test_where_no_server_answers_it_says_what_to_do(cli, three, on, image_id):
    for server in three:
        server.break_with(lab.faults.refuse())
    result = cli("show", image_id, *on(*three))
    assert (2, "") == (result.status, result.out)
    assert result.line.endswith(
        ": connection refused; to see which servers answer: traced-image servers --server "
        + " --server ".join(each.url for each in three)
    )


@pytest.mark.parametrize(("code", "status"), [(401, 1), (403, 1), (400, 1), (500, 1), (503, 2)])
def test_a_status_of_the_servers_is_one_line(cli, server, on, image_id, monkeypatch, code, status):
    monkeypatch.setenv("TRACED_IMAGE_NUM_RETRIES", "0")
    server.break_with(lab.faults.status(code))
    result = cli("show", image_id, *on(server))
    assert (status, "traced-image: ") == (result.status, result.line[:14])


@pytest.mark.parametrize(
    "fault", [lab.faults.not_json(), lab.faults.garbage_headers(), lab.faults.cut_body()]
)
def test_nonsense_of_the_servers_is_one_line(cli, server, on, image_id, monkeypatch, fault):
    monkeypatch.setenv("TRACED_IMAGE_NUM_RETRIES", "0")
    server.break_with(fault)
    result = cli("list", *on(server))
    assert (2, "traced-image: ") == (result.status, result.line[:14])


# --- attempts and traces -----------------------------------------------------------------------


def test_attempts_are_shown_as_they_happen(cli, server, on, image_id):
    place = f"127.0.0.1:{server.port}"
    lines = cli("show", image_id, "-v", *on(server)).err.splitlines()
    assert [f"attempt 1 of 4 on {place}", f"attempt 1 of 4 on {place}: ok, "] == [
        lines[0],
        lines[1][: len(f"attempt 1 of 4 on {place}: ok, ")],
    ]


def test_an_attempt_that_fails_says_why(cli, server, on, image_id, monkeypatch):
    monkeypatch.setenv("TRACED_IMAGE_NUM_RETRIES", "0")
    server.break_with(lab.faults.status(503))
    lines = cli("show", image_id, "-v", *on(server)).err.splitlines()
    assert f"attempt 1 of 1 on 127.0.0.1:{server.port}: 503, " in lines[1]


@pytest.mark.ipv6
def test_an_attempt_on_an_ipv6_address_is_written_as_one(cli, on, images):
    image_id = images.add(name="cirros")
    with lab.GlanceServer(images, host="::1") as server:
        said = cli("show", image_id, "-v", *on(server)).err
        assert f"attempt 1 of 4 on [::1]:{server.port}\n" in said


def test_an_attempt_that_hangs_is_seen_while_it_does(on_terminal, server, on, image_id):
    server.break_with(lab.faults.never_answer())
    running = on_terminal("show", image_id, "-v", *on(server))
    until(lambda: f"attempt 1 of 4 on 127.0.0.1:{server.port}\r\n" in running.text)
    running.press("\x03")
    assert 130 == running.ended()[0]


def test_without_v_there_are_no_attempts_to_see(cli, server, on, image_id):
    assert "" == cli("show", image_id, *on(server)).err


def test_the_trace_is_drawn_on_standard_error(cli, server, on, image_id):
    result = cli("show", image_id, "--trace", "--json", *on(server))
    lines = result.err.splitlines()
    assert image_id == json.loads(result.out)["id"]
    assert [True, True, True] == [
        lines[0].startswith("glance.images.get "),
        lines[1].startswith(f"└── glance.images.get attempt  127.0.0.1:{server.port} "),
        lines[2].startswith(f"    └── GET  127.0.0.1:{server.port} "),
    ]


def test_the_trace_of_a_call_that_failed_is_drawn_too(cli, server, on, image_id, monkeypatch):
    monkeypatch.setenv("TRACED_IMAGE_NUM_RETRIES", "0")
    server.break_with(lab.faults.status(503))
    result = cli("show", image_id, "--trace", *on(server))
    assert (2, True) == (result.status, "✗ 503" in result.err)


def test_a_trace_in_which_the_call_has_no_end_is_not_drawn(capsys):
    """As of a call that another signal ended in the middle of its end."""
    kept = []
    tracer = make_provider(kept, attempts=False).get_tracer("test")
    call = tracer.start_span("call")
    tracer.start_span("attempt", set_span_in_context(call)).end()
    traced_service._draw(kept)
    assert (1, "") == (len(kept), capsys.readouterr().err)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_SDK_DISABLED", "true"),
        ("OTEL_TRACES_SAMPLER", "always_off"),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "1"),
        ("OTEL_PYTHON_REQUESTS_EXCLUDED_URLS", ".*"),
    ],
)
def test_opentelemetrys_variables_change_nothing(
    cli, server, on, image_id, monkeypatch, name, value
):
    monkeypatch.setenv(name, value)
    said = cli("show", image_id, "--trace", "-v", *on(server)).err
    assert [1, 2, 1] == [said.count(each) for each in ("─ GET", "attempt 1 of 4 on", "✓ success")]


def test_what_opentelemetry_fails_of_when_it_is_imported_ends_nothing(
    process, server, on, image_id
):
    environment = {**os.environ, "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "many"}
    result = process("show", image_id, "-v", *on(server), env=environment)
    assert (0, 2) == (result.status, len(result.err.splitlines()))


# --- terminals ---------------------------------------------------------------------------------


def test_on_a_narrow_terminal_rows_are_blocks(terminal, server, on, image_id):
    lines = plain(terminal("list", *on(server), columns=40).out).splitlines()
    assert [["id", image_id[:27]], [image_id[27:]], ["name", "cirros"]] == [
        line.split() for line in lines[:3]
    ]


@pytest.mark.parametrize("command", ["list", "show"])
def test_no_line_is_wider_than_the_terminal(terminal, server, on, images, image_id, command):
    images.add(name="n" * 100)
    arguments = [image_id] if command == "show" else []
    lines = plain(terminal(command, *arguments, *on(server), columns=40).out).splitlines()
    assert 40 >= max(len(line) for line in lines)


def test_a_terminal_of_forty_columns_is_one_line_of_an_error(on_terminal, server, on):
    status, text = on_terminal("show", "missing", *on(server), columns=40).ended()
    assert (1, 1) == (status, len(text.splitlines()))


def test_a_wide_terminal_has_a_table(terminal, server, on, image_id):
    lines = plain(terminal("list", *on(server), columns=120).out).splitlines()
    assert ["id", "name", "status", "size", "disk_format"] == lines[0].split()


def test_headings_are_bold_on_a_terminal_alone(terminal, cli, server, on, image_id):
    assert (
        "\x1b" in cli("list", *on(server)).out,
        "\x1b[1m" in terminal("list", *on(server)).out,
    ) == (
        False,
        True,
    )


def test_there_are_no_colours_where_they_are_not_wanted(
    terminal, server, on, image_id, monkeypatch
):
    coloured = terminal("show", image_id, "--trace", *on(server)).out
    monkeypatch.setenv("NO_COLOR", "1")
    bare = terminal("show", image_id, "--trace", *on(server)).out
    assert (True, False) == (bool(COLOUR.search(coloured)), bool(COLOUR.search(bare)))
