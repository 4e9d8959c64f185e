"""Where image data is written: all of it, whole or not at all, to files, pipes and devices."""

import contextlib
import errno
import io
import os
import resource
import stat
import subprocess
import tempfile
import threading
from pathlib import Path

import pytest
from loopback import Pieces, answer
from support import LIMIT, in_child

from traced_image import lab
from traced_image.errors import CommunicationError, ImageNotFound, InvalidArgument
from traced_image.pipeline.api import destination
from traced_image.pipeline.api.destination import open_destination, save
from traced_image.pipeline.api.download import Download

DATA = bytes(range(256)) * 1024
CUT = CommunicationError("glance-1:9292: connection closed")


def download_of(*pieces):
    return Download.of(answer(chunks=Pieces(*pieces)), {})


def save_at(path, *pieces):
    with open_destination(path) as file:
        save(download_of(*pieces), file)


def left(folder):
    """The files that are there."""
    return sorted(each.name for each in folder.iterdir())


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def target(tmp_path):
    return tmp_path / "image"


@pytest.fixture
def big(images):
    return images.add(name="big", data=DATA)


# --- data: all bytes, or an error --------------------------------------------------------------


class Portions(io.RawIOBase):
    """A raw file that takes as many bytes at a time as it is told to."""

    def __init__(self, *sizes):
        self.sizes = sizes
        self.calls = 0
        self.found = b""

    def write(self, data):
        size = self.sizes[self.calls % len(self.sizes)]
        self.calls += 1
        self.found += bytes(data[:size])
        return None if size is None else min(size, len(data))


@pytest.mark.parametrize("sizes", [(1,), (3, 1), (100,), (7, 64)])
def test_a_file_that_takes_a_part_of_a_chunk_gets_all_of_it(sizes):
    file = Portions(*sizes)
    save(download_of(DATA[:100], DATA[100:150]), file)
    assert DATA[:150] == file.found


class Number:
    """An integer of another library's."""

    def __init__(self, value):
        self.value = value

    def __index__(self):
        return self.value

    def __lt__(self, other):
        return self.value < other


def test_a_writer_that_counts_by_another_librarys_integers_gets_all():
    class Half(io.BytesIO):
        def write(self, data):
            return Number(super().write(data[: max(1, len(data) // 2)]))

    file = Half()
    save(download_of(DATA[:100]), file)
    assert DATA[:100] == file.getvalue()


class Counting:
    """A writer of an application, which returns what it is told to."""

    def __init__(self, value):
        self.value = value
        self.found = b""

    def write(self, data):
        self.found += data
        return self.value


@pytest.mark.parametrize("value", [None, True, "4", 4, 9])
def test_a_writer_that_does_not_count_takes_all(value):
    file = Counting(value)
    save(download_of(b"abcd"), file)
    assert b"abcd" == file.found


@pytest.mark.parametrize("file", [Portions(2, None), Portions(2, 0), Counting(0), Counting(-1)])
def test_a_file_that_takes_nothing_is_an_error(file):
    with pytest.raises(BlockingIOError, match="give one that blocks"):
        save(download_of(b"abcd"), file)


def test_a_pipe_that_does_not_block_is_an_error_and_no_success():
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with (
        open(reading, "rb"),  # noqa: PTH123
        open(writing, "wb", buffering=0) as file,  # noqa: PTH123
        pytest.raises(BlockingIOError) as caught,
    ):
        save(download_of(DATA), file)
    assert errno.EAGAIN == caught.value.errno


def test_a_pipe_that_blocks_gets_all():
    reading, writing = os.pipe()
    found = []
    with open(reading, "rb") as reader:  # noqa: PTH123
        thread = threading.Thread(target=lambda: found.append(reader.read()), daemon=True)
        thread.start()
        with open(writing, "wb", buffering=0) as file:  # noqa: PTH123
            save(download_of(DATA, DATA), file)
        thread.join(LIMIT)
    assert [DATA * 2] == found


def test_what_a_buffer_can_not_write_is_an_error_of_the_call():
    file = open("/dev/full", "wb")  # noqa: PTH123, SIM115
    with pytest.raises(OSError, match="No space left"):
        save(download_of(b"few"), file)
    with pytest.raises(OSError, match="No space left"):
        file.close()


# --- dst_path: whole or not at all -------------------------------------------------------------


def test_a_file_appears_whole(target):
    save_at(target, b"ab", b"cd")
    assert (b"abcd", ["image"]) == (target.read_bytes(), left(target.parent))


def test_a_file_is_replaced(target):
    target.write_bytes(b"what was there before")
    save_at(str(target), b"new")
    assert (b"new", ["image"]) == (target.read_bytes(), left(target.parent))


@pytest.mark.parametrize("error", [CUT, KeyboardInterrupt(), TimeoutError(), MemoryError()])
def test_a_download_that_fails_leaves_the_old_file_alone(target, error):
    target.write_bytes(b"old")
    with pytest.raises(type(error)) as caught:
        save_at(target, b"ab", error)
    assert (error, b"old", ["image"]) == (caught.value, target.read_bytes(), left(target.parent))


def test_a_download_that_fails_leaves_no_file(target):
    with pytest.raises(CommunicationError):
        save_at(target, b"ab", CUT)
    assert [] == left(target.parent)


def test_the_old_file_is_there_until_the_new_one_is_whole(target):
    target.write_bytes(b"old")
    with open_destination(target) as file:
        file.write(b"new")
        assert b"old" == target.read_bytes()
    assert b"new" == target.read_bytes()


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_a_new_file_has_the_mode_of_the_umask(target, umask):
    before = os.umask(umask)
    try:
        save_at(target, b"ab")
    finally:
        os.umask(before)
    assert 0o666 & ~umask == mode(target)


@pytest.mark.parametrize("permissions", [0o600, 0o640, 0o666, 0o755])
def test_a_file_keeps_its_mode(target, permissions):
    target.write_bytes(b"old")
    target.chmod(permissions)
    save_at(target, b"new")
    assert (permissions, b"new") == (mode(target), target.read_bytes())


def test_what_replaces_a_private_file_is_private_from_its_start(target):
    target.write_bytes(b"old")
    target.chmod(0o600)
    with open_destination(target) as file:
        assert 0o600 == stat.S_IMODE(os.fstat(file.fileno()).st_mode)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_keeps_its_owner(target):
    target.write_bytes(b"old")
    os.chown(target, 1234, 2345)
    save_at(target, b"new")
    assert (1234, 2345) == (target.stat().st_uid, target.stat().st_gid)


def test_an_owner_that_can_not_be_kept_is_no_error(target, monkeypatch):
    def refuse(*_):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "fchown", refuse)
    target.write_bytes(b"old")
    save_at(target, b"new")
    assert b"new" == target.read_bytes()


def test_a_link_stays_and_leads_to_the_new_file(target, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    real = tmp_path / "elsewhere" / "real"
    real.write_bytes(b"old")
    target.symlink_to("elsewhere/real")
    save_at(target, b"new")
    assert (True, b"new", ["real"]) == (target.is_symlink(), real.read_bytes(), left(real.parent))


def test_a_link_to_no_file_stays_and_the_file_appears(target, tmp_path):
    target.symlink_to(tmp_path / "real")
    save_at(target, b"new")
    assert (True, b"new") == (target.is_symlink(), (tmp_path / "real").read_bytes())


def test_another_hard_link_keeps_the_old_data(target, tmp_path):
    target.write_bytes(b"old")
    (tmp_path / "other").hardlink_to(target)
    save_at(target, b"new")
    assert (b"new", b"old") == (target.read_bytes(), (tmp_path / "other").read_bytes())


def test_a_relative_path_is_one_of_the_folder_at_the_start(target, tmp_path, monkeypatch):
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path)
    with open_destination("image") as file:
        os.chdir("other")
        file.write(b"new")
    assert b"new" == target.read_bytes()


def test_the_longest_name_is_good(tmp_path):
    save_at(tmp_path / ("n" * 255), b"new")
    assert ["n" * 255] == left(tmp_path)


def test_the_data_is_on_the_disk_before_it_has_its_name_and_then_the_name(target, monkeypatch):
    synced = []

    def fsync(descriptor):
        status = os.fstat(descriptor)
        synced.append((stat.S_ISDIR(status.st_mode) or status.st_size, target.exists()))

    monkeypatch.setattr(os, "fsync", fsync)
    save_at(target, b"abcd")
    assert [(4, False), (True, True)] == synced


def test_a_folder_that_can_not_be_synced_is_no_error(tmp_path):
    destination.sync_folder(tmp_path / "missing" / "image")
    assert [] == left(tmp_path)


def test_a_rename_that_fails_leaves_nothing_behind(target):
    def write():
        with open_destination(target) as file:
            file.write(b"new")
            target.mkdir()

    with pytest.raises(OSError, match="directory"):
        write()
    assert ["image"] == left(target.parent)


# --- dst_path: full disks ----------------------------------------------------------------------


@pytest.fixture
def full_disk(tmp_path):
    """A folder with room for 64 KiB: a disk of its own, or else a limit."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder]
    if (
        os.geteuid() == 0
        and not subprocess.run(command, check=False, capture_output=True).returncode
    ):
        yield folder
        subprocess.run(["umount", folder], check=True)
        return
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (65536, before[1]))
    yield folder
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("version", [1, 2])
def test_a_full_disk_leaves_the_old_file_alone(full_disk, server, big, opened, version):
    target = full_disk / "image"
    target.write_bytes(b"old")
    service = opened.service(server, api_version=version)
    with pytest.raises(OSError, match=str(target)) as caught:
        service.download(None, big, dst_path=target)
    assert caught.value.errno in (errno.ENOSPC, errno.EFBIG)
    assert (b"old", ["image"]) == (target.read_bytes(), left(full_disk))


def test_a_full_disk_accuses_no_server(full_disk, server, big, opened):
    service = opened.service(server)
    with pytest.raises(OSError, match="image"):
        service.download(None, big, dst_path=full_disk / "image")
    assert [None] == [health.last_reason for health in service.servers()]


def test_a_full_device_is_an_error(server, big, opened):
    with pytest.raises(OSError, match=r"No space left on device: '/dev/full'"):
        opened.service(server).download(None, big, dst_path="/dev/full")


# --- dst_path: what can't be written, before anything is fetched -------------------------------


@pytest.mark.parametrize(
    "name",
    ["missing/image", ".", "new/", "file/image", "loop", "n" * 256, "/proc/self/fd/99999", "/tmp"],
)
def test_what_can_not_be_written_is_refused_before_any_request(
    server, big, opened, tmp_path, monkeypatch, name
):
    (tmp_path / "file").write_bytes(b"old")
    (tmp_path / "loop").symlink_to("loop")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidArgument, match=r"dst_path: .*: name another file"):
        opened.service(server).download(None, big, dst_path=name)
    assert ((), ["file", "loop"]) == (server.access_log, left(tmp_path))


def as_nobody(work):
    """Run `work` in a child without the rights of root; return whether it was refused."""

    def run():
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
        try:
            work()
        except InvalidArgument as error:
            return str(error)
        return None

    return in_child(run)


@pytest.fixture
def open_folder():
    """A folder that any user reaches, unlike those of pytest."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        yield Path(name)


def test_a_folder_that_is_read_only_is_refused(open_folder):
    open_folder.chmod(0o555)
    said = as_nobody(lambda: save_at(open_folder / "image", b"new"))
    assert ("Permission denied" in said, []) == (True, left(open_folder))


def test_a_file_that_is_read_only_is_refused(open_folder):
    target = open_folder / "image"
    target.write_bytes(b"old")
    target.chmod(0o444)
    said = as_nobody(lambda: save_at(target, b"new"))
    assert ("Permission denied" in said, b"old") == (True, target.read_bytes())


def test_a_file_of_another_user_is_replaced_where_it_may_be_written(open_folder):
    target = open_folder / "image"
    target.write_bytes(b"old")
    target.chmod(0o666)
    assert as_nobody(lambda: save_at(target, b"new")) is None
    assert (b"new", 0o666) == (target.read_bytes(), mode(target))


def test_an_image_that_is_not_there_leaves_the_old_file_alone(server, opened, target):
    target.write_bytes(b"old")
    with pytest.raises(ImageNotFound):
        opened.service(server).download(None, "missing", dst_path=target)
    assert (b"old", ["image"]) == (target.read_bytes(), left(target.parent))


# --- dst_path: pipes, devices, open files ------------------------------------------------------


@pytest.mark.parametrize("pieces", [[b"ab"], [b"ab", CUT]])
def test_a_pipe_is_written_directly(target, pieces):
    os.mkfifo(target)
    found = []
    reader = threading.Thread(target=lambda: found.append(target.read_bytes()), daemon=True)
    reader.start()
    with contextlib.suppress(CommunicationError):
        save_at(target, *pieces)
    reader.join(LIMIT)
    assert ([b"ab"], True) == (found, target.is_fifo())


def test_a_device_stays_one(target):
    target.symlink_to("/dev/null")
    save_at(target, b"ab")
    assert (True, True) == (target.is_symlink(), target.samefile("/dev/null"))


@pytest.mark.parametrize(
    "name", ["/dev/fd/{}", "/proc/self/fd/{}", "/proc/thread-self/fd/{}", "link"]
)
def test_an_open_file_is_written_where_it_stands(target, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with target.open("wb", buffering=0) as file:
        (tmp_path / "link").symlink_to(f"/proc/self/fd/{file.fileno()}")
        file.write(b"before,")
        save_at(name.format(file.fileno()), b"data")
        file.write(b",after")
    assert b"before,data,after" == target.read_bytes()


def test_standard_output_that_is_a_file_is_written_directly(target):
    def run():
        with target.open("wb") as file:
            os.dup2(file.fileno(), 1)
        save_at("/dev/stdout", b"data")
        os.write(1, b",after")
        return True

    assert in_child(run)
    assert (b"data,after", ["image"]) == (target.read_bytes(), left(target.parent))


def test_an_open_file_of_another_process_is_replaced_by_its_name(target):
    target.write_bytes(b"old")
    with target.open("rb") as file:
        name = f"/proc/{os.getpid()}/fd/{file.fileno()}"
        assert in_child(lambda: save_at(name, b"new") or True)
    assert b"new" == target.read_bytes()


# --- in the middle -----------------------------------------------------------------------------


def test_a_cut_download_into_an_old_file_goes_on_at_another_server(three, big, opened, target):
    target.write_bytes(b"old")
    three[0].break_with(lab.faults.cut_body().only(path="/file$").times(1))
    opened.service(*three).download(None, big, dst_path=target)
    assert DATA == target.read_bytes()


def test_a_fork_in_the_middle_leaves_the_file_to_the_parent(target):
    with open_destination(target) as file:
        file.write(b"new")
        assert in_child(lambda: target.exists() or "no file yet") == "no file yet"
    assert (b"new", ["image"]) == (target.read_bytes(), left(target.parent))
