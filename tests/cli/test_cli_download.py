"""Downloads: whole, gone on with, interrupted, wrong, onto full disks, and their bar."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import resource
import signal
import stat
import subprocess
import sys
import threading

import pytest
from stalled_server import HaltingGlance
from terminals import LIMIT, PROGRAM, plain

from traced_image import lab
from traced_image.cli.partial_download import open_part

DATA = hashlib.sha256(b"data").digest() * 16384
HALF = len(DATA) // 2
MEGABYTE = 2**20


@pytest.fixture
def image_id(images):
    return images.add(name="big", data=DATA)


@pytest.fixture
def target(tmp_path):
    return tmp_path / "image"


@pytest.fixture
def part(tmp_path):
    return tmp_path / "image.part"


def left(tmp_path):
    """The files that are there."""
    return sorted(each.name for each in tmp_path.iterdir())


# --- whole -------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["1", "2"])
def test_data_comes_into_a_file_and_nothing_else_is_left(
    cli, server, on, image_id, target, monkeypatch, version
):
    monkeypatch.setenv("TRACED_IMAGE_API_VERSION", version)
    result = cli("download", image_id, "-o", target, *on(server))
    assert (0, "", "") == (result.status, result.out, result.err)
    assert DATA == target.read_bytes()
    assert ["image"] == left(target.parent)


def test_data_is_on_the_disk_before_it_has_its_name(cli, server, on, image_id, target, monkeypatch):
    synced = []

    def fsync(descriptor):
        status = os.fstat(descriptor)
        synced.append((stat.S_ISDIR(status.st_mode) or status.st_size, target.exists()))

    monkeypatch.setattr(os, "fsync", fsync)
    cli("download", image_id, "-o", target, *on(server))
    assert [(len(DATA), False), (True, True)] == synced


def test_data_comes_to_standard_output(server, on, image_id):
    command = [sys.executable, "-c", PROGRAM, "download", image_id, "-o", "-", *on(server)]
    done = subprocess.run(command, capture_output=True, check=True, timeout=LIMIT)
    assert (DATA, b"") == (done.stdout, done.stderr)


def test_a_reader_of_standard_output_that_has_gone_is_not_a_success(server, on, image_id):
    command = [sys.executable, "-c", PROGRAM, "download", image_id, "-o", "-", *on(server)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        running.stdout.read(10)
        running.stdout.close()
        assert (141, b"") == (running.wait(LIMIT), running.stderr.read())


def test_data_comes_to_a_pipe(cli, server, on, image_id, target):
    os.mkfifo(target)
    found = []
    reader = threading.Thread(target=lambda: found.append(target.read_bytes()), daemon=True)
    reader.start()
    result = cli("download", image_id, "-o", target, *on(server))
    reader.join(LIMIT)
    assert (0, [DATA], ["image"]) == (result.status, found, left(target.parent))


def test_a_device_is_written_to_and_stays_one(cli, server, on, image_id, target):
    target.symlink_to("/dev/null")
    result = cli("download", image_id, "-o", target, "--force", *on(server))
    assert (0, ["image"], True) == (
        result.status,
        left(target.parent),
        target.samefile("/dev/null"),
    )


def test_a_file_that_is_there_is_left_alone(cli, server, on, image_id, target):
    target.write_bytes(b"mine")
    result = cli("download", image_id, "-o", target, *on(server))
    assert (3, b"mine") == (result.status, target.read_bytes())
    assert f"traced-image: {target} exists: name another file, or add" in result.line
    assert () == server.access_log


def test_a_file_that_is_there_is_replaced_if_told_so(cli, server, on, image_id, target):
    target.write_bytes(b"mine")
    assert 0 == cli("download", image_id, "-o", target, "--force", *on(server)).status
    assert DATA == target.read_bytes()


def test_a_link_leads_to_the_file_that_is_replaced(cli, server, on, image_id, target, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "real").write_bytes(b"old")
    target.symlink_to(tmp_path / "elsewhere" / "real")
    cli("download", image_id, "-o", target, "--force", *on(server))
    assert (True, DATA) == (target.is_symlink(), (tmp_path / "elsewhere" / "real").read_bytes())


def test_a_file_that_is_replaced_keeps_its_mode(cli, server, on, image_id, target):
    target.write_bytes(b"mine")
    target.chmod(0o640)
    cli("download", image_id, "-o", target, "--force", *on(server))
    assert (0o640, DATA) == (stat.S_IMODE(target.stat().st_mode), target.read_bytes())


@pytest.mark.parametrize("output", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_standard_output_by_its_path_is_written_where_it_stands(
    process, server, on, image_id, target, output
):
    with target.open("wb", buffering=0) as file:
        file.write(b"before,")
        process("download", image_id, "-o", output, *on(server), stdout=file)
        file.write(b",after")
    assert (b"before," + DATA + b",after", ["image"]) == (target.read_bytes(), left(target.parent))


def test_a_terminal_is_not_for_data(terminal, server, on, image_id):
    result = terminal("download", image_id, "-o", "-", *on(server))
    said = "traced-image: a terminal can't show image data: name a file by -o FILE"
    assert (3, said) == (result.status, plain(result.out).splitlines()[0][: len(said)])


# --- gone on with ------------------------------------------------------------------------------


def test_it_goes_on_from_the_part_that_is_there(cli, server, on, image_id, target, part):
    part.write_bytes(DATA[:HALF])
    assert 0 == cli("download", image_id, "-o", target, *on(server)).status
    assert DATA == target.read_bytes()
    assert 206 == server.access_log[-1].status


def test_a_part_that_is_whole_is_all_that_is_needed(cli, server, on, image_id, target, part):
    part.write_bytes(DATA)
    assert 0 == cli("download", image_id, "-o", target, *on(server)).status
    assert ([f"/v2/images/{image_id}"], DATA) == (
        [access.path for access in server.access_log],
        target.read_bytes(),
    )


def test_api_v1_begins_anew(cli, server, on, image_id, target, part, monkeypatch):
    monkeypatch.setenv("TRACED_IMAGE_API_VERSION", "1")
    part.write_bytes(b"x" * HALF)
    assert 0 == cli("download", image_id, "-o", target, *on(server)).status
    assert DATA == target.read_bytes()


def test_where_there_is_no_checksum_it_begins_anew(cli, server, on, images, target, part):
    image_id = images.add(data=DATA, os_hash_algo=None, os_hash_value=None, checksum="")
    part.write_bytes(b"x" * HALF)
    assert 0 == cli("download", image_id, "-o", target, *on(server)).status
    assert DATA == target.read_bytes()


@pytest.mark.parametrize("there", [b"x" * HALF, b"x" * len(DATA) * 2])
def test_a_part_of_other_data_is_found_out_and_removed(
    cli, server, on, image_id, target, part, there
):
    part.write_bytes(there)
    result = cli("download", image_id, "-o", target, *on(server))
    assert (1, []) == (result.status, left(target.parent))
    assert "the data does not match the image's record" in result.line


def test_after_that_it_comes_whole(cli, server, on, image_id, target, part):
    part.write_bytes(b"x" * HALF)
    statuses = [cli("download", image_id, "-o", target, *on(server)).status for _ in range(2)]
    assert ([1, 0], DATA) == (statuses, target.read_bytes())


def test_a_part_that_is_a_link_leads_nowhere(cli, server, on, image_id, target, part, tmp_path):
    other = tmp_path / "other"
    other.write_bytes(b"precious")
    part.symlink_to(other)
    result = cli("download", image_id, "-o", target, *on(server))
    said = f"traced-image: {part} is not a regular file: move it away, or name another file"
    assert (4, said, b"precious") == (result.status, result.line, other.read_bytes())


def test_a_part_that_is_a_pipe_is_not_written_to(cli, server, on, image_id, target, part):
    os.mkfifo(part)
    result = cli("download", image_id, "-o", target, *on(server))
    said = f"traced-image: {part} is not a regular file: move it away, or name another file"
    assert (4, said, True) == (result.status, result.line, part.is_fifo())


def test_two_never_write_to_one_part(cli, server, on, image_id, target, part):
    with part.open("wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        result = cli("download", image_id, "-o", target, *on(server))
    said = (
        f"traced-image: another download writes to {part}: wait for its end, or name another file"
    )
    assert (4, said, ["image.part"]) == (result.status, result.line, left(target.parent))


def test_a_part_that_is_a_hard_link_is_not_written_to(
    cli, server, on, image_id, target, part, tmp_path
):
    other = tmp_path / "other"
    other.write_bytes(b"precious")
    part.hardlink_to(other)
    result = cli("download", image_id, "-o", target, *on(server))
    said = f"traced-image: {part} is a hard link of another file: remove it, or name another file"
    assert (4, said, b"precious") == (result.status, result.line, other.read_bytes())
    assert () == server.access_log


@pytest.fixture
def before_lock(monkeypatch):
    """Let something happen between the opening of a part and its lock; once for each thing."""
    things = []
    lock = fcntl.flock

    def flock(*args):
        if things:
            things.pop(0)()
        lock(*args)

    monkeypatch.setattr(fcntl, "flock", flock)
    return things


def finish_other(part, target):
    """Do what another process does that has received all of the data."""

    def finish():
        part.write_bytes(DATA)
        part.replace(target)

    return finish


def test_a_part_that_another_process_has_just_finished_is_not_emptied(
    cli, server, on, image_id, target, part, before_lock
):
    before_lock.append(finish_other(part, target))
    result = cli("download", image_id, "-o", target, *on(server))
    assert (3, DATA, ["image"]) == (result.status, target.read_bytes(), left(target.parent))
    assert f"traced-image: {target} exists: name another file, or add" in result.line


def test_a_part_that_is_finished_again_and_again_is_opened_anew(
    cli, server, on, image_id, target, part, before_lock
):
    before_lock += [finish_other(part, target)] * 3
    result = cli("download", image_id, "-o", target, "--force", *on(server))
    assert (0, DATA, ["image"]) == (result.status, target.read_bytes(), left(target.parent))


def test_a_part_that_another_process_has_just_replaced_is_opened_anew(
    cli, server, on, image_id, target, part, before_lock, tmp_path
):
    (tmp_path / "new").write_bytes(DATA[:HALF])
    before_lock.append(lambda: (tmp_path / "new").replace(part))
    assert 0 == cli("download", image_id, "-o", target, *on(server)).status
    assert (206, DATA) == (server.access_log[-1].status, target.read_bytes())


def test_the_new_part_of_another_process_is_not_removed(tmp_path):
    """After an empty image, the path belongs to whoever opened it since."""
    with open_part(tmp_path / "image") as part:
        part.finish()
        part.path.touch()
    assert ["image", "image.part"] == left(tmp_path)


def test_many_processes_at_once_leave_one_whole_file(server, on, image_id, target):
    command = [sys.executable, "-c", PROGRAM, "download", image_id, "-o", target, *on(server)]
    running = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(4)]
    statuses = []
    for each in running:
        each.communicate(timeout=LIMIT)
        statuses.append(each.returncode)
    assert (DATA, ["image"]) == (target.read_bytes(), left(target.parent))
    # One has it; the others found it complete (3) or in progress (4).
    assert (1, {0, 3, 4}) == (statuses.count(0), {0, 3, 4} | set(statuses))


# --- interrupted -------------------------------------------------------------------------------


@pytest.fixture
def halting(images, image_id):
    """A server that halts in the middle of the data."""
    server = HaltingGlance(images.get(image_id))
    yield server
    server.close()


def size(path):
    """The bytes that a file has; 0 if there is none."""
    return path.stat().st_size if path.exists() else 0


@pytest.mark.parametrize(
    ("number", "status", "word"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "ended")],
)
def test_a_signal_leaves_the_part_and_says_so(
    cli, halting, on, image_id, target, part, signalled, number, status, word
):
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signalled(number, lambda: size(part))
    result = cli("download", image_id, "-o", target, *on(halting))
    assert (status, ["image.part"]) == (result.status, left(target.parent))
    assert f"traced-image: {word}; to resume from {part}, run the same command again" == result.line
    assert DATA.startswith(part.read_bytes())


def test_what_a_signal_has_left_is_gone_on_with(
    cli, halting, server, on, image_id, target, part, signalled
):
    signalled(signal.SIGTERM, lambda: size(part))
    cli("download", image_id, "-o", target, *on(halting))
    assert 0 == cli("download", image_id, "-o", target, *on(server)).status
    assert (206, DATA) == (server.access_log[-1].status, target.read_bytes())


def test_a_signal_before_any_data_leaves_nothing(cli, server, on, image_id, target, signalled):
    server.break_with(lab.faults.never_answer())
    signalled(signal.SIGTERM, lambda: server.connections)
    result = cli("download", image_id, "-o", target, *on(server))
    assert (143, "traced-image: ended", []) == (result.status, result.line, left(target.parent))


def test_servers_that_fail_in_the_middle_leave_the_part(
    cli, server, on, image_id, target, part, monkeypatch
):
    monkeypatch.setenv("TRACED_IMAGE_NUM_RETRIES", "0")
    server.break_with(lab.faults.cut_body().only(path="/file$"))
    result = cli("download", image_id, "-o", target, *on(server))
    assert ["image.part"] == left(target.parent)
    assert result.line.endswith(f"; to resume from {part}, run the same command again")


def test_servers_that_fail_at_the_start_leave_nothing(
    cli, server, on, image_id, target, monkeypatch
):
    monkeypatch.setenv("TRACED_IMAGE_NUM_RETRIES", "0")
    server.break_with(lab.faults.status(503))
    result = cli("download", image_id, "-o", target, *on(server))
    assert (2, []) == (result.status, left(target.parent))


def test_data_that_is_wrong_leaves_nothing(cli, server, on, image_id, target):
    server.break_with(lab.faults.corrupt_data())
    result = cli("download", image_id, "-o", target, *on(server))
    assert (1, []) == (result.status, left(target.parent))


@pytest.mark.parametrize("given", ["missing", "queued"])
def test_an_image_without_data_leaves_nothing(cli, server, on, images, target, given):
    image_id = images.add(name="queued") if given == "queued" else given
    result = cli("download", image_id, "-o", target, *on(server))
    assert (1, []) == (result.status, left(target.parent))


# --- what can't be written ---------------------------------------------------------------------


@pytest.fixture
def full_disk(tmp_path):
    """A folder with room for half of the data: a disk of its own, or else a limit."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={HALF}", "tmpfs", folder]
    if (
        os.geteuid() == 0
        and not subprocess.run(command, check=False, capture_output=True).returncode
    ):
        yield folder
        subprocess.run(["umount", folder], check=True)
        return
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (HALF, before[1]))
    yield folder
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


FULL = tuple(os.strerror(each) for each in (errno.ENOSPC, errno.EFBIG))


def test_a_full_disk_leaves_nothing(cli, server, on, image_id, full_disk):
    target = full_disk / "image"
    result = cli("download", image_id, "-o", target, *on(server))
    assert (4, []) == (result.status, left(full_disk))
    assert result.line.startswith(tuple(f"traced-image: {target}: {each}" for each in FULL))


def test_a_full_disk_leaves_what_was_there_before(cli, server, on, image_id, full_disk):
    target = full_disk / "image"
    target.write_bytes(b"old")
    result = cli("download", image_id, "-o", target, "--force", *on(server))
    assert (4, ["image"], b"old") == (result.status, left(full_disk), target.read_bytes())


def test_a_full_disk_with_a_part_has_room_again(cli, server, on, image_id, full_disk):
    (full_disk / "image.part").write_bytes(DATA[: HALF // 2])
    result = cli("download", image_id, "-o", full_disk / "image", *on(server))
    assert (4, []) == (result.status, left(full_disk))


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("/dev/full", "/dev/full: No space left on device; make room and try again"),
        ("/proc/nope", "/proc/nope.part: No such file or directory"),
        ("/nowhere/image", "/nowhere/image.part: No such file or directory"),
        ("/tmp", "/tmp: Is a directory"),
        ("n" * 254, f"{'n' * 254}.part: File name too long"),
    ],
)
def test_where_nothing_can_be_written_is_one_line(
    cli, server, on, image_id, tmp_path, monkeypatch, output, said
):
    monkeypatch.chdir(tmp_path)
    result = cli("download", image_id, "-o", output, *on(server))
    assert 4 == result.status
    assert result.line.endswith(said)
    assert [] == left(tmp_path)


def test_links_that_go_round_in_a_circle_are_one_line(cli, server, on, image_id, target):
    target.symlink_to(target)
    result = cli("download", image_id, "-o", target, "--force", *on(server))
    said = f"traced-image: {target}: Too many levels of symbolic links"
    assert (4, said, True) == (result.status, result.line, target.is_symlink())
    assert () == server.access_log


def test_standard_output_that_is_full_is_named(process, server, on, image_id):
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        result = process("download", image_id, "-o", "-", *on(server), stdout=full)
    said = "traced-image: standard output: No space left on device; make room and try again"
    assert (4, said) == (result.status, result.line)


def test_where_to_has_to_be_said(cli, server, on, image_id):
    result = cli("download", image_id, *on(server))
    assert (3, True) == (result.status, "Missing option '-o' / '--output'" in result.line)


# --- the bar -----------------------------------------------------------------------------------


def test_a_terminal_has_a_bar(terminal, server, on, image_id, target):
    result = terminal("download", image_id, "-o", target, *on(server))
    last = plain(result.out).split("\r")[-1]
    assert 0 == result.status
    assert [True] * 4 == [each in last for each in ("image ", "━━", "100%", "524.3/524.3 kB")]


def test_a_bar_begins_where_the_part_ends(terminal, server, on, image_id, target, part):
    part.write_bytes(DATA[:HALF])
    drawn = plain(terminal("download", image_id, "-o", target, *on(server)).out)
    assert " 50%" in next(each for each in drawn.split("\r") if "%" in each)


def test_a_narrow_terminal_has_a_bar_of_one_line(terminal, server, on, image_id, tmp_path):
    target = tmp_path / ("n" * 100)
    drawn = plain(terminal("download", image_id, "-o", target, *on(server), columns=40).out)
    lines = [each for each in drawn.replace("\n", "\r").split("\r") if each]
    assert 40 >= max(len(each) for each in lines)
    assert ("nnn", "100%") == (lines[-1][:3], lines[-1].rstrip()[-4:])


def test_a_name_can_not_draw_on_the_terminal(terminal, server, on, image_id, tmp_path):
    result = terminal("download", image_id, "-o", tmp_path / "\x1b]0;x\x07[red]", *on(server))
    assert "�]0;x�[red]" in result.out


def test_a_simple_terminal_has_no_bar(terminal, server, on, image_id, target):
    assert "" == terminal("download", image_id, "-o", target, *on(server), term="dumb").out


def test_attempts_are_shown_above_the_bar(terminal, three, on, image_id, target):
    cut = lab.faults.cut_body().only(path="/file$").times(1)
    for server in three:
        server.break_with(cut)
    lines = plain(terminal("download", image_id, "-v", "-o", target, *on(*three)).out).splitlines()
    assert [True, True] == [
        any(each in line and "━" not in line for line in lines)
        for each in ("attempt 1 of 4 on 127.0.0.1", ": ok, ")
    ]
    assert DATA == target.read_bytes()


def test_the_traces_of_a_download_are_drawn(cli, server, on, image_id, target):
    said = cli("download", image_id, "--trace", "-o", target, *on(server)).err
    assert [1, 2, 1] == [
        said.count(each)
        for each in ("glance.images.data attempt", "─ GET", "glance.images.data stream")
    ]
