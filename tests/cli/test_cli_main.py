"""The program: its commands, how it ends, what it says then, and completion in shells."""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
from importlib import metadata
from pathlib import Path

import pytest
from terminals import LIMIT, PROGRAM, until

from traced_image import errors, lab
from traced_image.cli import commands, exit_status, main
from traced_image.cli.signals import Terminated
from traced_image.errors import Reason

COMMANDS = (
    "config dashboards demo diagnose download exporter lab list servers show upload watch".split()
)


# --- commands ----------------------------------------------------------------------------------


def test_the_commands_are_those_of_the_help(cli):
    listed = cli("--help").out.partition("Commands:\n")[2].splitlines()
    assert [*COMMANDS] == [each.split()[0] for each in listed]


@pytest.mark.parametrize("name", COMMANDS)
def test_what_a_command_does_is_said_in_whole(cli, name):
    listed = cli("--help").out.partition("Commands:\n")[2].splitlines()
    assert [] == [each for each in listed if each.split()[0] == name != "demo" and "..." in each]


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_help(cli, name):
    result = cli(name, "--help")
    assert (0, True) == (
        result.status,
        result.out.startswith(f"Usage: traced-image {name} [OPTIONS]"),
    )


def test_the_version_is_that_of_the_package(cli):
    assert f"traced-image, version {metadata.version('traced-image')}\n" == cli("--version").out


@pytest.mark.parametrize(
    ("closed", "status", "said"),
    [
        (">&-", 4, "traced-image: a file or the output: Bad file descriptor\n"),
        # Each starts a program; the last one closes all of them.
        pytest.param("2>&-", 0, "", marks=pytest.mark.slow),
        pytest.param("<&-", 0, "", marks=pytest.mark.slow),
        ("<&- >&- 2>&-", 4, ""),
    ],
)
def test_a_stream_that_is_closed_is_no_defect(server, on, closed, status, said):
    command = shlex.join([sys.executable, "-c", PROGRAM, "list", *map(str, on(server))])
    done = subprocess.run(
        ["sh", "-c", f"exec {command} {closed}"],
        check=False,
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    assert (status, said) == (done.returncode, done.stderr)


def test_without_a_command_the_help_is_an_error(cli):
    result = cli()
    assert (3, "", "Usage: traced-image") == (result.status, result.out, result.err[:19])


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["shwo"], "traced-image: No such command 'shwo'. (try 'traced-image --help')"),
        (["--nope"], "traced-image: No such option '--nope'. (try 'traced-image --help')"),
        (
            ["show", "--nope", "x"],
            "traced-image: No such option '--nope'. (try 'traced-image show --help')",
        ),
        (["show"], "traced-image: Missing argument 'ID'. (try 'traced-image show --help')"),
    ],
)
def test_a_command_line_that_can_not_be_used_is_one_line(cli, arguments, line):
    result = cli(*arguments)
    assert (3, line) == (result.status, result.line)


# --- how it ends -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.ImageNotFound("x"), 1),
        (errors.ImageNotAuthorized("x"), 1),
        (errors.ServerError("x"), 1),
        (errors.ChecksumMismatch("x"), 1),
        (errors.ImageUnacceptable("x"), 1),
        (errors.GlanceConnectionFailed("http://x", Reason("503"), "x"), 2),
        (errors.DeadlineExceeded("http://x", Reason("deadline_exceeded"), "x"), 2),
        (errors.CommunicationError("x"), 2),
        (errors.TLSError("x"), 2),
        (errors.TokenUnavailable("x"), 2),
        (errors.InvalidServer("x", "x", fix="x"), 3),
        (errors.MissingExtra("x", "x", fix="x"), 3),
        (errors.InvalidImageID("x"), 3),
        (errors.ExporterError("x"), 3),
        (PermissionError(13, "x"), 4),
        (KeyboardInterrupt(), 130),
        (Terminated(143), 143),
    ],
    ids=lambda value: type(value).__name__,
)
def test_each_kind_of_error_has_its_status(error, status):
    assert status == exit_status.find_status(error)


def test_every_status_that_an_error_has_is_documented():
    assert {status for _, status in exit_status._KINDS} <= set(exit_status.STATUSES)


ERRORS = [
    each
    for each in vars(errors).values()
    if isinstance(each, type) and issubclass(each, errors.TracedImageError)
]


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_no_error_of_the_package_is_taken_for_a_defect(kind):
    assert issubclass(kind, exit_status._EXPECTED)


class Raising(commands.click.Command):
    """A command that raises what it is told."""

    def __init__(self, error):
        super().__init__("raising")
        self.error = error

    def invoke(self, ctx):
        raise self.error


@pytest.fixture
def ended(capsys):
    """Have a command raise an error; its status, and what was said."""

    def run(error):
        return exit_status.run(Raising(error), []), capsys.readouterr().err

    return run


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(28, "No space left", "x"), "x: No space left; make room and try again"),
        (OSError(5, "Input/output error"), "a file or the output: Input/output error"),
        (OSError("odd"), "a file or the output: OSError"),
        (FileNotFoundError(2, "No such file", b"\xff"), "�: No such file"),
        (errors.ImageNotFound("Gone."), "Gone; to see the images: traced-image list"),
        (errors.ImageUnacceptable(""), "ImageUnacceptable"),
        (errors.ServerError("two\n\nlines\tand \x1b[31mred"), "two lines and �[31mred"),
        (KeyboardInterrupt(), "interrupted"),
        (Terminated(143), "ended"),
    ],
)
def test_what_went_wrong_is_one_line(ended, error, said):
    assert f"traced-image: {said}\n" == ended(error)[1]


@pytest.mark.parametrize(
    ("cause", "status"), [(None, 1), (errors.InvalidTLS("x", "x", fix="x"), 3), (ValueError(), 1)]
)
def test_an_error_of_a_command_has_the_status_of_its_cause(ended, cause, status):
    error = commands.click.ClickException("no")
    error.__cause__ = cause
    assert (status, "traced-image: no\n") == ended(error)


def test_a_defect_shows_where_it_is(ended):
    with pytest.raises(ZeroDivisionError):
        ended(ZeroDivisionError())


def test_a_signal_before_the_command_is_no_traceback(monkeypatch, cli):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr(main, "_run", interrupted)
    assert (130, "") == (cli().status, cli().err)


def test_sigterm_ends_it_with_a_line(cli, server, images, on, signalled):
    server.break_with(lab.faults.never_answer())
    signalled(signal.SIGTERM, lambda: server.connections)
    result = cli("list", *on(server))
    assert (143, "traced-image: ended") == (result.status, result.line)


def test_a_signal_ends_it_though_what_is_under_way_can_not_be_interrupted(
    cli, monkeypatch, signalled
):
    """The system's resolver, for one, does not return before it has given up."""
    asked, go, real = threading.Event(), threading.Event(), socket.getaddrinfo

    def lookup(host, *args, **kwargs):
        if host != "glance.example":  # a thread that an earlier test has left tries once more
            return real(host, *args, **kwargs)
        asked.set()
        go.wait(LIMIT)
        raise socket.gaierror(socket.EAI_NONAME, "x")

    monkeypatch.setenv("TRACED_IMAGE_NUM_RETRIES", "0")
    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    signalled(signal.SIGTERM, asked.is_set)
    result = cli("list", "--server", "glance.example")
    go.set()
    assert (143, "traced-image: ended") == (result.status, result.line)


def test_ctrl_c_on_a_terminal_ends_it_with_a_line(on_terminal, server, on):
    server.break_with(lab.faults.never_answer())
    running = on_terminal("list", *on(server))
    until(lambda: server.connections)
    running.press("\x03")
    assert (130, "^C\r\ntraced-image: interrupted\r\n") == running.ended()


# --- its output --------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [[], pytest.param(["--json"], marks=pytest.mark.slow)])
def test_a_reader_that_has_gone_is_no_error(server, images, on, options):
    for number in range(800):
        images.add(name=f"{number:0200}")  # together more than a pipe holds
    command = [sys.executable, "-c", PROGRAM, "list", *options, *on(server)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        running.stdout.read(10)
        running.stdout.close()
        said = running.stderr.read()
    assert (141, b"") == (running.returncode, said)


def test_its_status_is_the_same_if_nobody_reads_what_it_says():
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-c", PROGRAM, "list", "--nonesuch"]
    with os.fdopen(writer, "wb") as stderr:
        done = subprocess.run(command, check=False, stderr=stderr, timeout=LIMIT)
    assert 3 == done.returncode


def test_output_that_can_not_be_written_is_an_error(process, server, images, on):
    images.add(name="cirros")
    with Path("/dev/full").open("w") as full:
        result = process("list", *on(server), stdout=full)
    line = "traced-image: a file or the output: No space left on device; make room and try again"
    assert (4, line) == (result.status, result.line)


def test_what_an_output_can_not_encode_ends_nothing(process, server, images, on):
    images.add(name="été \N{SNOWMAN} \a")
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    result = process("list", *on(server), env=environment, encoding="latin-1")
    assert (0, "", True) == (result.status, result.err, "été ? ?" in result.out)


def test_the_output_of_a_program_that_runs_it_may_be_a_buffer():
    with contextlib.redirect_stdout(io.StringIO()) as output:
        status = exit_status.run(commands.traced_image, ["--help"])
    assert (0, "Usage: traced-image") == (status, output.getvalue()[:19])


# --- packages that are missing -----------------------------------------------------------------


@pytest.fixture
def without(monkeypatch):
    """Have a package be missing, and the modules that need it be imported anew."""

    def hide(package, *modules):
        for name in sorted(sys.modules, reverse=True):
            if name.startswith(tuple(f"traced_image.{each}" for each in modules)):
                parent, _, last = name.rpartition(".")
                # What it is now, so that it is that again afterwards: an import sets this too.
                monkeypatch.setattr(sys.modules[parent], last, sys.modules[name])
                monkeypatch.delitem(sys.modules, name)
            if name.startswith(f"{package}."):
                monkeypatch.setitem(sys.modules, name, None)
        monkeypatch.setitem(sys.modules, package, None)

    return hide


def test_without_the_exporters_packages_its_extra_is_named(without, cli):
    without("starlette", "exporter.", "cli.exporter")
    result = cli("exporter", "--listen", "127.0.0.1:0")
    assert 3 == result.status
    assert result.line.startswith("traced-image: exporter (from argument): it needs starlette, one")
    assert result.line.endswith("extra 'exporter'; pip install 'traced-image[exporter]'")


def test_without_the_exporters_packages_the_others_go_on(without, cli, server, on):
    without("starlette", "exporter.", "cli.exporter")
    assert 0 == cli("list", *on(server)).status
    assert "exporter (needs the extra 'exporter')" in " ".join(cli("--help").out.split())


def test_without_click_the_extra_is_named(without, cli):
    without("click", "cli.commands", "cli.exit_status")
    words = "traced-image: it needs click, one of the packages of the extra 'cli':"
    assert (3, f"{words} pip install 'traced-image[cli]'") == (cli().status, cli().line)


# --- completion --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shell", "said"),
    [
        ("bash", "complete -o nosort -F _traced_image_completion traced-image"),
        ("zsh", "compdef _traced_image_completion traced-image"),
        ("fish", "complete --no-files --command traced-image"),
    ],
)
def test_each_shell_is_told_how_to_complete(cli, monkeypatch, shell, said):
    monkeypatch.setenv(exit_status.COMPLETION, f"{shell}_source")
    result = cli()
    assert (0, True) == (result.status, said in result.out)


def test_a_shell_that_is_not_known_is_an_error(cli, monkeypatch):
    monkeypatch.setenv(exit_status.COMPLETION, "cmd_source")
    assert 1 == cli().status


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("traced-image s", ["servers", "show"]),
        ("traced-image download --o", ["--output", "--os-cloud"]),
        ("traced-image exporter --web", ["--web.config.file"]),
    ],
)
def test_what_is_meant_is_proposed(cli, monkeypatch, words, expected):
    monkeypatch.setenv(exit_status.COMPLETION, "bash_complete")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split()) - 1))
    proposed = [each.partition(",")[2] for each in cli().out.split()]
    assert expected == proposed


@pytest.mark.parametrize("words", ["traced-image upload ", "traced-image download -o "])
def test_files_are_proposed_where_one_is_wanted(cli, monkeypatch, words):
    monkeypatch.setenv(exit_status.COMPLETION, "bash_complete")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split())))
    assert ["file,"] == cli().out.split()


def test_bash_completes_it(tmp_path):
    """By the shell itself, as if somebody had pressed the tab key."""
    program = tmp_path / "traced-image"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -c {shlex.quote(PROGRAM)} "$@"\n')
    program.chmod(0o755)
    script = """
        eval "$(_TRACED_IMAGE_COMPLETE=bash_source traced-image)"
        COMP_WORDS=(traced-image li) COMP_CWORD=1
        _traced_image_completion traced-image
        echo "${COMPREPLY[@]}"
    """
    done = subprocess.run(
        ["bash", "--norc", "-c", script],
        capture_output=True,
        text=True,
        check=True,
        timeout=LIMIT,
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
    )
    assert ("list\n", "") == (done.stdout, done.stderr)


def test_a_standard_output_that_is_no_file_will_do(monkeypatch):
    monkeypatch.setattr("sys.stdout", io.StringIO())
    assert 0 == exit_status.run(commands.traced_image, ["--version"])


def test_the_package_is_the_program():
    done = subprocess.run(
        [sys.executable, "-m", "traced_image", "--version"],
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=True,
    )
    assert done.stdout.startswith("traced-image, version ")
