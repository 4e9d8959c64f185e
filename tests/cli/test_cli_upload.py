"""Uploads: of files and pipes, their bar, and what is left where they fail."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from terminals import LIMIT, PROGRAM, plain

from traced_image import UploadIncomplete, connect, lab
from traced_image.cli import download_upload
from traced_image.cli.exit_status import EndedError
from traced_image.cli.signals import Terminated

DATA = bytes(range(256)) * 1024


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "cirros.img"
    path.write_bytes(DATA)
    return path


def only(images):
    """The only image that there is."""
    (image,) = images.all()
    return image


@pytest.mark.parametrize("version", ["1", "2"])
def test_a_file_becomes_an_image(cli, server, on, images, file, monkeypatch, version):
    monkeypatch.setenv("TRACED_IMAGE_API_VERSION", version)
    result = cli("upload", file, *on(server))
    image = only(images)
    assert (0, f"{image.id}\n", "") == (result.status, result.out, result.err)
    assert ("cirros.img", "raw", "bare", "active", DATA) == (
        image.base["name"],
        image.base["disk_format"],
        image.base["container_format"],
        image.status,
        image.data,
    )


def test_its_name_and_formats_can_be_said(cli, server, on, images, file):
    options = ["--name", "c", "--disk-format", "qcow2", "--container-format", "ovf"]
    cli("upload", file, *options, *on(server))
    base = only(images).base
    assert ("c", "qcow2", "ovf") == tuple(
        base[name] for name in ("name", "disk_format", "container_format")
    )


def test_the_new_image_is_printed_as_json(cli, server, on, images, file):
    image = json.loads(cli("upload", file, "--json", *on(server)).out)
    assert (only(images).id, "active", len(DATA)) == (image["id"], image["status"], image["size"])


def test_standard_input_becomes_an_image(server, on, images):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "upload", "-", "--name", "piped", *on(server)],
        input=DATA,
        capture_output=True,
        check=True,
        timeout=LIMIT,
    )
    assert (f"{only(images).id}\n".encode(), DATA) == (done.stdout, only(images).data)


def test_standard_input_needs_a_name(cli, server, on):
    result = cli("upload", "-", *on(server))
    assert (3, ()) == (result.status, server.access_log)
    assert "standard input has no file name: name the image by --name" in result.line


def test_a_pipe_becomes_an_image(cli, server, on, images, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=lambda: (tmp_path / "pipe").write_bytes(DATA), daemon=True)
    writer.start()
    assert 0 == cli("upload", tmp_path / "pipe", *on(server)).status
    writer.join(LIMIT)
    assert DATA == only(images).data


def test_where_a_server_fails_the_next_one_gets_it_whole(cli, three, on, images, file, monkeypatch):
    monkeypatch.setenv("TRACED_IMAGE_RETRY_REPEAT_UNSAFE", "true")
    for server in three[:2]:
        server.break_with(lab.faults.status(503).only(method="PUT").times(1))
    assert 0 == cli("upload", file, *on(*three)).status
    assert DATA == only(images).data


# --- what fails --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "said"),
    [("missing", "No such file or directory"), (".", "Is a directory"), ("x" * 300, "File name")],
)
def test_a_file_that_can_not_be_read_is_one_line(cli, server, on, tmp_path, name, said):
    result = cli("upload", tmp_path / name, *on(server))
    assert (4, ()) == (result.status, server.access_log)
    assert said in result.line


def test_where_the_data_is_refused_no_image_is_left(cli, server, on, images, file):
    server.break_with(lab.faults.status(413).only(method="PUT"))
    result = cli("upload", file, *on(server))
    assert (1, []) == (result.status, images.all())
    assert result.line.startswith("traced-image: ")


def test_where_it_is_interrupted_no_image_is_left(cli, server, on, images, file, signalled):
    server.break_with(lab.faults.never_answer().only(method="PUT"))
    signalled(signal.SIGTERM, lambda: images.all() and _reads_the_data(server))
    result = cli("upload", file, *on(server))
    assert (143, "traced-image: ended", []) == (result.status, result.line, images.all())


def _reads_the_data(server):
    """Whether the data has come, so that the answer to it is what is waited for."""
    return any(access.method == "PUT" for access in server.access_log)


def raising(error):
    """Return a function that raises an error."""

    def send():
        raise error

    return send


@pytest.mark.parametrize("again", [KeyboardInterrupt, Terminated(143)])
def test_to_interrupt_it_again_does_not_hide_what_is_left(again):
    class Interrupted:
        def delete(self, _context, _id):
            raise again

    with pytest.raises(EndedError) as ended:
        download_upload._upload(Interrupted(), "1", raising(KeyboardInterrupt))
    said = "interrupted; the image 1 still exists, without its data"
    assert (130, said) == (ended.value.status, ended.value.message)


def test_an_image_that_can_not_be_deleted_again_is_named(cli, server, on, images, file):
    fault = lab.faults.status(403)
    server.break_with(lab.faults.flapping(None, fault, fault))
    result = cli("upload", file, *on(server))
    said = f"; the image {only(images).id} still exists, without its data"
    assert (1, True) == (result.status, result.line.endswith(said))


def test_an_upload_that_glance_did_not_store_is_a_failure():
    class Losing:
        def delete(self, _context, _id):
            pass

    error = UploadIncomplete("Image 1 is unacceptable")
    with pytest.raises(EndedError) as ended:
        download_upload._upload(Losing(), "1", raising(error))
    said = "Image 1 is unacceptable; the image 1 was deleted"
    assert (1, said) == (ended.value.status, ended.value.message)


def test_a_defect_is_not_hidden_by_an_image_that_is_left(images, server, on):
    """It shows where it is, as all defects do."""

    server.break_with(lab.faults.status(403).only(method="DELETE"))
    service = connect(servers=[server.url], telemetry=False)
    with pytest.raises(ZeroDivisionError):
        download_upload._upload(service, images.add(), raising(ZeroDivisionError))
    service.close()


def test_where_no_image_can_be_made_nothing_is_deleted(cli, server, on, file):
    server.break_with(lab.faults.status(403).only(method="POST"))
    assert 1 == cli("upload", file, *on(server)).status
    assert ["POST"] == [access.method for access in server.access_log]


# --- the bar -----------------------------------------------------------------------------------


def test_a_terminal_has_a_bar(terminal, server, on, images, file):
    lines = plain(terminal("upload", file, *on(server)).out).splitlines()
    assert [True] * 3 == [each in lines[-2] for each in ("cirros.img ", "100%", "262.1/262.1 kB")]
    assert only(images).id == lines[-1]


def test_a_bar_begins_anew_with_the_next_server(terminal, three, on, file, monkeypatch):
    """It is never beyond the end."""
    monkeypatch.setenv("TRACED_IMAGE_RETRY_REPEAT_UNSAFE", "true")
    for server in three[:2]:
        server.break_with(lab.faults.status(503).only(method="PUT").times(1))
    drawn = plain(terminal("upload", file, *on(*three)).out)
    assert "262.1/262.1 kB" in drawn
    assert "524.3" not in drawn


def test_attempts_and_traces_are_shown(cli, server, on, file):
    said = cli("upload", file, "-v", "--trace", *on(server)).err
    drawn = [line.split()[0] for line in said.splitlines() if line.startswith("glance.")]
    assert [f"glance.images.{each}" for each in ("create", "update", "upload", "get")] == drawn
    assert 8 == said.count("attempt 1 of 4 on ")


def test_the_default_name_is_that_of_the_file_alone(cli, server, on, images, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("sub").mkdir()
    Path("sub/x.img").write_bytes(b"x")
    cli("upload", "sub/x.img", *on(server))
    assert "x.img" == only(images).base["name"]
