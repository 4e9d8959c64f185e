"""The commands and options that messages advise work when they are pasted."""

from __future__ import annotations

import shlex

import pytest

from traced_image import lab


def advised(line):
    """The arguments of the command at the end of a message."""
    program, *arguments = shlex.split(line.rpartition(": ")[2])
    assert "traced-image" == program
    return arguments


def test_the_servers_that_were_given_are_named(cli, three, on):
    for server in three:
        server.break_with(lab.faults.status(503))
    options = on(*three)
    assert ["servers", *options] == advised(cli("show", "x", *options).line)


def test_the_advised_command_asks_the_same_servers(cli, server, on, images):
    image_id = images.add()
    line = cli("show", "missing", *on(server)).line
    assert image_id in cli(*advised(line)).out


@pytest.mark.parametrize(
    ("name", "quoted"),
    [("nova.conf", "nova.conf"), ("my nova's.conf", "'my nova'\"'\"'s.conf'")],
)
def test_a_file_that_was_given_is_named_and_quoted(
    cli, server, tmp_path, monkeypatch, name, quoted
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_text(f"[glance]\napi_servers = {server.url}\n")
    line = cli("show", "missing", "--config", name, "--insecure").line
    assert line.endswith(f"traced-image list --config {quoted} --insecure")


def test_all_options_that_choose_the_servers_are_named(cli, tls, images, tmp_path, monkeypatch):
    cloud = tmp_path / "clouds.yaml"
    cloud.write_text("clouds: {mine: {auth_type: none}}")
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(cloud))
    with lab.GlanceServer(images, tls=tls) as server:
        server.break_with(lab.faults.status(403))
        options = ["--server", server.url, "--os-cloud", "mine", "--cafile", tls.cafile]
        line = cli("show", "x", *options).line
    assert ["config", *options] == advised(line)


def test_an_upload_that_failed_names_them_before_what_is_left(cli, server, on, tmp_path):
    file = tmp_path / "file"
    file.write_bytes(b"x")
    server.break_with(lab.faults.status(403).only(method="PUT"))
    line = cli("upload", file, *on(server)).line
    assert f"traced-image config --server {server.url}" in line


def test_without_options_there_are_none_to_name(cli, server, monkeypatch):
    monkeypatch.setenv("TRACED_IMAGE_SERVERS", server.url)
    assert ["list"] == advised(cli("show", "missing").line)


def test_no_secret_of_an_option_is_repeated(cli):
    result = cli("show", "x", "--server", "http://nova:s3cret@127.0.0.1:1")
    assert (3, False) == (result.status, "s3cret" in result.err)


def test_a_deadline_that_is_too_short_names_the_option(cli, server, on):
    server.break_with(lab.faults.never_answer())
    line = cli("show", "x", "--timeout", "300ms", *on(server)).line
    assert (True, False) == ("raise --timeout" in line, "Config." in line)


def test_a_timeout_that_can_not_be_used_is_named_as_it_was_given(cli, server, on):
    line = cli("show", "x", "--timeout", "0", *on(server)).line
    assert "traced-image: --timeout: 0.0 can't be used; set a number above 0, at most 1e+06" == line
