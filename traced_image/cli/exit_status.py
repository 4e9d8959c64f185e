"""The end of a command: its exit status, and one line if it failed."""

from __future__ import annotations

import errno
import io
import os
import shlex
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

import click
from click.shell_completion import shell_complete

from ..errors import (
    CommunicationError,
    ConfigError,
    DiagnosisError,
    ExporterError,
    Forbidden,
    GlanceConnectionFailed,
    InvalidArgument,
    NotFound,
    TokenUnavailable,
    TracedImageError,
)
from ..redact import hide_in_text
from .output import make_line
from .signals import INTERRUPTED, TERMINATED, Terminated

if TYPE_CHECKING:
    from collections.abc import Sequence


NAME = "traced-image"
COMPLETION = "_TRACED_IMAGE_COMPLETE"

DONE, REFUSED, UNREACHABLE, UNUSABLE, FILE = range(5)
BROKEN_PIPE = 128 + signal.SIGPIPE

STATUSES = {
    DONE: "done; for `servers`: all answer; for `diagnose`: nothing fails now",
    REFUSED: "Glance refused, has no such image, or gave wrong data; for `servers`: some fail; for "
    "`diagnose`: something fails or is slow, and no call fails by it",
    UNREACHABLE: "no server answered, or Keystone gave no token; for `servers`: all fail; for "
    "`diagnose`: calls fail",
    UNUSABLE: "the command line or the configuration can't be used, or packages are missing; for "
    "`servers`: no server fails, but the image, the credentials or a prefix is wrong, Keystone "
    "gave no token for the image, or an exporter can't be read; for `diagnose`: a source can't be "
    "read",
    FILE: "a file can't be read or written",
    INTERRUPTED: "ended by Ctrl-C",
    BROKEN_PIPE: "the reader of the output has closed it; no message is printed",
    TERMINATED: "ended by SIGTERM; `exporter` and `lab` end with 0 then, as services do",
}
"""The exit statuses; the first four are those of check plugins: OK, WARNING, CRITICAL, UNKNOWN.

The source of these four is the Monitoring Plugins' Development Guidelines, "Plugin Return Codes".
"""

# The first match counts, so that subclasses stand before their bases.
_KINDS: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], int], ...] = (
    ((ConfigError, DiagnosisError, ExporterError, InvalidArgument), UNUSABLE),
    ((CommunicationError, GlanceConnectionFailed, TokenUnavailable), UNREACHABLE),
    (TracedImageError, REFUSED),
    (OSError, FILE),
    (KeyboardInterrupt, INTERRUPTED),
    (Terminated, TERMINATED),
)
_FIXES: tuple[tuple[type[TracedImageError], str], ...] = (
    (GlanceConnectionFailed, "; to see which servers answer: traced-image servers"),
    (NotFound, "; to see the images: traced-image list"),
    (Forbidden, "; to see whose credentials are in force: traced-image config"),
)
"""Fixes for errors whose messages name none; the options that were given follow the command."""

_GIVEN = f"{__name__}.given"
"""The key of the options that were given, in the meta data of click's context."""

_IN_PYTHON = (
    ("Config.deadline", "--timeout"),
    ("deadline (from argument)", "--timeout"),
    ("Config.max_list_size", "TRACED_IMAGE_MAX_LIST_SIZE"),
)
"""Words of messages that are for programs, and those that are for a command line."""

_EXPECTED = (TracedImageError, click.ClickException, OSError, KeyboardInterrupt, Terminated)
"""Errors that end a command with one line; any other is a defect and prints its traceback."""

_FULL = (errno.ENOSPC, errno.EDQUOT)


class EndedError(click.ClickException):
    """A command ended early, with a message and a status of its own.

    Args:
        message: The line to print.
        status: The exit status.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


def remember_given(options: Sequence[str]) -> None:
    """Keep the options that choose the servers, for the commands that messages advise."""
    click.get_current_context().meta[_GIVEN] = "".join(f" {shlex.quote(each)}" for each in options)


def _find_given() -> str:
    context = click.get_current_context(silent=True)
    given: str = context.meta.get(_GIVEN, "") if context is not None else ""
    return given


def find_status(error: BaseException) -> int:
    """Return the exit status that an error stands for."""
    if isinstance(error, EndedError):
        return error.status
    if isinstance(error, click.UsageError):
        return UNUSABLE
    if isinstance(error, click.ClickException):
        return error.exit_code if error.__cause__ is None else find_status(error.__cause__)
    return next((status for kinds, status in _KINDS if isinstance(error, kinds)), REFUSED)


def build_end_error(error: BaseException, hint: str) -> EndedError:
    """Build an error with the message and status of another one, and a hint after the message."""
    return EndedError(f"{_describe(error)}{hint}", find_status(error))


def _describe(error: BaseException) -> str:
    if isinstance(error, click.UsageError):
        hint = f" (try '{error.ctx.command_path} --help')" if error.ctx is not None else ""
        return f"{error.format_message()}{hint}"
    if isinstance(error, click.ClickException):
        return error.message
    if isinstance(error, OSError):
        what = os.fsdecode(error.filename) if error.filename else "a file or the output"
        fix = "; make room and try again" if error.errno in _FULL else ""
        return f"{what}: {error.strerror or type(error).__name__}{fix}"
    if isinstance(error, (KeyboardInterrupt, Terminated)):
        return "ended" if isinstance(error, Terminated) else "interrupted"
    fix = next((f"{fix}{_find_given()}" for kind, fix in _FIXES if isinstance(error, kind)), "")
    words = str(error).rstrip(".") or type(error).__name__
    for here, there in _IN_PYTHON:
        words = words.replace(here, there)
    return f"{words}{fix}"


def run(command: click.Command, arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status; an error becomes one line on standard error.

    The status is the same if standard error is closed.
    """
    try:
        return _status(command, sys.argv[1:] if arguments is None else arguments)
    finally:
        _silence_streams(sys.stderr)


def _status(command: click.Command, arguments: Sequence[str]) -> int:
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Image names may have characters that the encoding of the output lacks.
        sys.stdout.reconfigure(errors="replace")
    try:
        status = _invoke(command, arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        _silence_streams(sys.stdout)
        return BROKEN_PIPE
    except _EXPECTED as error:
        status = find_status(error)
        # The terminal has printed ^C in its current line.
        after = "\n" if status == INTERRUPTED and sys.stderr.isatty() else ""
        with suppress(OSError):
            click.echo(f"{after}{NAME}: {make_line(hide_in_text(_describe(error)))}", err=True)
        _silence_streams(sys.stdout)
        return status
    return status if isinstance(status, int) else DONE


def _invoke(command: click.Command, arguments: Sequence[str]) -> object:
    """Run a command without click's `main`, which maps exceptions to exit statuses of its own."""
    instruction = os.environ.get(COMPLETION)
    if instruction:
        return shell_complete(command, {}, NAME, COMPLETION, instruction)
    try:
        with command.make_context(NAME, list(arguments)) as context:
            return _invoke_in(context, command)
    except click.exceptions.Exit as left:
        return left.exit_code


def _invoke_in(context: click.Context, command: click.Command) -> object:
    try:
        return command.invoke(context)
    except TracedImageError as error:
        # Here, the context still has the options that the message repeats.
        raise build_end_error(error, "") from error


def _silence_streams(stream: TextIO) -> None:
    """Redirect a stream that can't be written to os.devnull.

    The interpreter flushes it at exit; a failure there would change the exit status to 120.
    """
    try:
        stream.flush()
    except OSError:
        with suppress(OSError, ValueError), open(os.devnull, "wb") as nothing:  # noqa: PTH123
            os.dup2(nothing.fileno(), stream.fileno())
