"""The commands that move image data: download, which can go on where it ended, and upload."""

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

from ..errors import TracedImageError
from .exit_status import build_end_error
from .options import json_output, trace_output, verbose, with_choice
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


_WIDE = 70
"""Columns of a terminal that has room for all that can be told of a transfer."""

_ANY_FILE = click.Path(path_type=str, allow_dash=True)


class _Bar:
    """A bar on standard error, which is drawn on a terminal only.

    Args:
        progress: What draws it.
        task: Which of its bars it is.
    """

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task

    def at(self, done: int) -> None:
        """So many bytes are done."""
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
    help="Where to; - for standard output.",
)
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
@trace_output
@verbose
@with_choice
def download(choice: Choice, image_id: str, output: str, *, force: bool, trace: bool) -> None:
    """Download an image's data, checked against its record.

    What has come is in FILE.part until all is there. Where it was interrupted, the same command
    goes on from there.
    """
    place = Path(output)
    special = output == "-" or (place.exists() and not place.is_file())
    if not special and place.exists() and not force:
        raise click.UsageError(f"{output} is there already: name another file, or say --force")
    with ExitStack() as stack:
        if special:
            # A device or a pipe can't be replaced, and has no place beside it.
            file = _open_output(place, output, stack)
            service = stack.enter_context(connect_traced(choice, trace=trace))
            _stream(service, image_id, file, output)
        else:
            part = stack.enter_context(open_part(place.resolve()))
            service = stack.enter_context(connect_traced(choice, trace=trace))
            _download(service, image_id, part)


def _open_output(place: Path, output: str, stack: ExitStack) -> BinaryIO:
    if output != "-":
        return stack.enter_context(place.open("wb", buffering=0))
    if sys.stdout.isatty():
        raise click.UsageError("image data is nothing for a terminal: name a file by -o FILE")
    # Without a buffer, whose lock a thread that is left to itself could hold to the end.
    return FileIO(sys.stdout.fileno(), "wb", closefd=False)


def _stream(service: GlanceImageService, image_id: str, file: BinaryIO, output: str) -> None:
    found = cast("Download", run_interruptibly(lambda: service.download(None, image_id)))
    try:
        _write(found, file, 0, output)
    except OSError as error:
        name = "standard output" if output == "-" else output
        raise OSError(error.errno, error.strerror, name) from error


def _download(service: GlanceImageService, image_id: str, part: PartialFile) -> None:
    """Fetch what a part has not yet, and make it the file that was asked for."""
    if service.config.api_version == 1:
        part.clear()  # it can't be asked for the rest
    found = run_interruptibly(lambda: service.download_rest(None, image_id, part.file))
    if part.size and not found.has_checksum:
        # What is there may be of other data, and nobody could tell.
        found.close()
        part.clear()
        found = run_interruptibly(lambda: service.download_rest(None, image_id, part.file))
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
            left = memoryview(chunk)
            while left:  # for a file may take a part of it
                left = left[file.write(left) :]
            done += len(chunk)
            bar.at(done)
    finally:
        found.close()


class _ReportedFile:
    """A file that tells a bar how far it has been read."""

    def __init__(self, file: BinaryIO, tell: Callable[[int], None]) -> None:
        self._file = file
        self._tell = tell
        self._done = 0
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


@click.command(short_help="Create an image of a file.")
@click.argument("file", type=_ANY_FILE)
@click.option("--name", help="The image's name; by default the file's.")
@click.option(
    "--disk-format", default="raw", show_default=True, metavar="FORMAT", help="Such as qcow2."
)
@click.option(
    "--container-format", default="bare", show_default=True, metavar="FORMAT", help="Such as ovf."
)
@json_output
@trace_output
@verbose
@with_choice
def upload(
    choice: Choice, file: str, *, as_json: bool, trace: bool, name: str | None, **formats: str
) -> None:
    """Create an image of FILE's data (- for standard input), and print its id.

    Where the data can't be sent, the new image is deleted again.
    """
    if file == "-" and not name:
        raise click.UsageError("standard input has no name: give the image one by --name")
    fields = {"name": name or Path(file).name, **formats}
    with ExitStack() as stack:
        data = stack.enter_context(_open_source(file))
        service = stack.enter_context(connect_traced(choice, trace=trace))
        size = os.fstat(data.fileno()).st_size or None
        bar = stack.enter_context(_show_bar(fields["name"], size))
        image = _upload(service, fields, _ReportedFile(data, bar.at))
    if as_json:
        print_json(image)
    else:
        click.echo(image["id"])


def _open_source(file: str) -> BinaryIO:
    # Without a buffer, as above.
    if file == "-":
        return FileIO(sys.stdin.fileno(), "rb", closefd=False)
    return Path(file).open("rb", buffering=0)


def _upload(
    service: GlanceImageService, fields: dict[str, str], data: _ReportedFile
) -> dict[str, object]:
    image = run_interruptibly(lambda: service.create(None, dict(fields)))
    image_id = str(image["id"])
    source = cast("BinaryIO", data)
    try:
        return run_interruptibly(
            lambda: service.update(None, image_id, {}, source, purge_props=False)
        )
    except BaseException as error:
        kept = f"; the image {image_id} is left, without its data"
        # To be interrupted once more does not hide what is left.
        with suppress(TracedImageError, KeyboardInterrupt, Terminated):
            run_interruptibly(lambda: service.delete(None, image_id))
            kept = ""
        if kept and isinstance(error, (TracedImageError, OSError, KeyboardInterrupt, Terminated)):
            raise build_end_error(error, kept) from error
        raise
