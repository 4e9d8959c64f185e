"""The commands that transfer image data: download, which can resume, and upload."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack, contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

import click
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Column

from ..errors import TracedImageError, UploadIncomplete
from ..pipeline.api.destination import find_descriptor, write_all
from .exit_status import build_end_error
from .options import deadline, json_output, trace_output, verbose, with_choice
from .output import format_cell, open_messages, print_json
from .partial_download import PartialFile, open_part
from .signals import Terminated, run_interruptibly
from .traced_service import connect_traced

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.progress import TaskID

    from ..pipeline.api.download import Download
    from ..pipeline.service import GlanceImageService
    from .options import Choice
    from .traced_service import TracedService


_WIDE = 70
"""The least width, in columns, of a terminal that has room for all facts of a transfer."""

_ANY_FILE = click.Path(path_type=str, allow_dash=True)


class _Bar:
    """A progress bar on standard error; it is drawn on a terminal only.

    Args:
        progress: The drawing of rich.
        task: The id of this bar in it.
    """

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task

    def at(self, done: int) -> None:
        """Show that so many bytes are done."""
        self._progress.update(self._task, completed=done)


def _make_columns() -> tuple[ProgressColumn, ...]:
    return DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn()


@contextmanager
def _show_bar(name: str, total: int | None, done: int = 0) -> Iterator[_Bar]:
    console = open_messages()
    name_column = Column(ratio=1, no_wrap=True, overflow="ellipsis")
    progress = Progress(
        TextColumn("{task.description}", markup=False, table_column=name_column),
        BarColumn(bar_width=None, table_column=Column(ratio=2)),
        TaskProgressColumn(),
        *(_make_columns() if console.width >= _WIDE else ()),
        console=console,
        disable=not (sys.stderr.isatty() and console.is_interactive),
        expand=True,
    )
    with progress:
        yield _Bar(
            progress, progress.add_task(format_cell(name).plain, total=total, completed=done)
        )


@click.command(short_help="Download an image's data.")
@click.argument("image_id", metavar="ID")
@click.option(
    "-o",
    "--output",
    required=True,
    type=_ANY_FILE,
    metavar="FILE",
    help="The file to write; - for standard output.",
)
@click.option("--force", is_flag=True, help="Replace FILE if it exists.")
@trace_output
@deadline
@verbose
@with_choice
def download(choice: Choice, image_id: str, output: str, *, force: bool, trace: bool) -> None:
    """Download an image's data, and check it against the image's record.

    The data is in FILE.part until the download is complete. After an interruption, the same
    command resumes from there.
    """
    place = Path(output)
    special = output == "-" or _is_special(place)
    if not special:
        _check_absent(place, force=force)
    with ExitStack() as stack:
        if special:
            # A device or a pipe can't be replaced by a rename, nor be resumed.
            file = _open_output(place, output, stack)
            connected = stack.enter_context(connect_traced(choice, trace=trace))
            _stream(connected, image_id, file, output)
        else:
            part = stack.enter_context(open_part(_follow_links(place)))
            # Another process may have finished its download to the same file meanwhile.
            _check_absent(place, force=force)
            connected = stack.enter_context(connect_traced(choice, trace=trace))
            _download(connected, image_id, part)


def _is_special(place: Path) -> bool:
    """Return whether a path is a device, a pipe, or an open file such as /dev/stdout."""
    return find_descriptor(str(place)) is not None or (place.exists() and not place.is_file())


def _follow_links(place: Path) -> Path:
    """Return the path of the file that the data becomes, which need not exist.

    Raises:
        OSError: The path leads to no file, because its links go round in a circle.
    """
    # Python up to 3.12 has a RuntimeError for such links, and 3.13 would replace one of them.
    with suppress(FileNotFoundError):
        place.stat()
    return place.resolve()


def _check_absent(place: Path, *, force: bool) -> None:
    if place.exists() and not force:
        raise click.UsageError(f"{place} exists: name another file, or add --force")


def _open_output(place: Path, output: str, stack: ExitStack) -> BinaryIO:
    descriptor = None if output == "-" else find_descriptor(output)
    if descriptor is not None:
        return stack.enter_context(FileIO(os.dup(descriptor), "wb"))
    if output != "-":
        return stack.enter_context(place.open("wb", buffering=0))
    if sys.stdout.isatty():
        raise click.UsageError("a terminal can't show image data: name a file by -o FILE")
    # Unbuffered: a signal abandons the writing thread (see run_interruptibly). That thread could
    # hold a buffer's lock for ever, and the interpreter would wait for it when it flushes at exit.
    return FileIO(sys.stdout.fileno(), "wb", closefd=False)


def _stream(connected: TracedService, image_id: str, file: BinaryIO, output: str) -> None:
    found = cast("Download", connected.call(lambda service: service.download(None, image_id)))
    try:
        _write(found, file, 0, output)
    except OSError as error:
        name = "standard output" if output == "-" else output
        raise OSError(error.errno, error.strerror, name) from error


def _download(connected: TracedService, image_id: str, part: PartialFile) -> None:
    """Fetch the missing rest of a part, and turn it into the target file."""
    if connected.service.config.api_version == 1:
        part.clear()  # the Images API v1 has no range requests
    found = connected.call(lambda service: service.download_rest(None, image_id, part.file))
    if part.size and not found.has_checksum:
        # The part may come from other data, and without a checksum nothing would detect it.
        found.close()
        part.clear()
        found = connected.call(lambda service: service.download_rest(None, image_id, part.file))
    with part.guard_writes():
        _write(found, part.file, part.size, part.target.name)
        part.finish()


def _write(found: Download, file: BinaryIO, there: int, name: str) -> None:
    total = None if found.length is None else there + found.length
    with _show_bar(name, total, there) as bar:
        run_interruptibly(lambda: _copy(found, file, there, bar))


def _copy(found: Download, file: BinaryIO, done: int, bar: _Bar) -> None:
    try:
        for chunk in found:
            write_all(file, chunk)
            done += len(chunk)
            bar.at(done)
    finally:
        found.close()


class _ReportedFile:
    """A file that reports to a bar how many bytes have been read."""

    def __init__(self, file: BinaryIO, tell: Callable[[int], None]) -> None:
        self._file = file
        self._tell = tell
        self._done = 0
        # The pipeline takes an object with these two methods for one that it can send again.
        if file.seekable():
            self.tell, self.seek = file.tell, self._seek

    def read(self, size: int, /) -> bytes:
        chunk = self._file.read(size)
        self._done += len(chunk)
        self._tell(self._done)
        return chunk

    def _seek(self, *where: int) -> int:
        self._done = self._file.seek(*where)
        return self._done


@click.command(short_help="Create an image from a file.")
@click.argument("file", type=_ANY_FILE)
@click.option("--name", help="The image's name. Default: the file's name.")
@click.option(
    "--disk-format", default="raw", show_default=True, metavar="FORMAT", help="For example qcow2."
)
@click.option(
    "--container-format",
    default="bare",
    show_default=True,
    metavar="FORMAT",
    help="For example ovf.",
)
@json_output
@trace_output
@deadline
@verbose
@with_choice
def upload(
    choice: Choice, file: str, *, as_json: bool, trace: bool, name: str | None, **formats: str
) -> None:
    """Create an image from FILE's data (- for standard input), and print its id.

    If the data can't be sent, the command deletes the new image.
    """
    if file == "-" and not name:
        raise click.UsageError("standard input has no file name: name the image by --name")
    fields = {"name": name or Path(file).name, **formats}
    with ExitStack() as stack:
        data = stack.enter_context(_open_source(file))
        connected = stack.enter_context(connect_traced(choice, trace=trace))
        size = os.fstat(data.fileno()).st_size or None
        service = connected.service
        created = connected.call(lambda service: service.create(None, dict(fields)))
        image_id = str(created["id"])

        def send() -> dict[str, object]:
            with _show_bar(fields["name"], size) as bar:
                source = cast("BinaryIO", _ReportedFile(data, bar.at))
                return run_interruptibly(
                    lambda: service.update(None, image_id, {}, source, purge_props=False)
                )

        image = _upload(service, image_id, send)
    if as_json:
        print_json(image)
    else:
        click.echo(image["id"])


def _open_source(file: str) -> BinaryIO:
    # Unbuffered, as in _open_output.
    if file == "-":
        return FileIO(sys.stdin.fileno(), "rb", closefd=False)
    return Path(file).open("rb", buffering=0)


def _upload(
    service: GlanceImageService, image_id: str, send: Callable[[], dict[str, object]]
) -> dict[str, object]:
    """Send the data of a new image; delete the image if that fails."""
    try:
        return send()
    except BaseException as error:
        kept = f"; the image {image_id} still exists, without its data"
        # A second interruption must not hide that the image still exists.
        with suppress(TracedImageError, KeyboardInterrupt, Terminated):
            run_interruptibly(lambda: service.delete(None, image_id))
            # The message of this error says to delete the image.
            done = f"; the image {image_id} was deleted"
            kept = done if isinstance(error, UploadIncomplete) else ""
        if kept and isinstance(error, (TracedImageError, OSError, KeyboardInterrupt, Terminated)):
            raise build_end_error(error, kept) from error
        raise
