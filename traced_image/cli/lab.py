"""The command ``lab``: Glance servers with faults, and an API by which tests script them."""

from __future__ import annotations

import asyncio
import json
import os
import re
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import InvalidArgument
from ..lab import TLS, Control, cluster
from ..lab.fault_text import parse_fault
from .exit_status import DONE
from .lab_tokens import read_tokens
from .output import print_fields
from .signals import Terminated, end_on_hangup, run_in_loop, start_work

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..lab import GlanceServer

_MOST_PORT = 65535
_MOST_SERVERS = 100
_CONTROL_PORT = 9291
_STDIN, _PIECE = 0, 1 << 16
_OF_SERVER = re.compile(r"([\w-]+)=(.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class _LabOptions:
    """The options of the command line."""

    count: int
    port: int
    control_port: int | None
    tls: bool
    tokens: Path | None
    faults: tuple[str, ...]
    as_json: bool
    until_stdin_closes: bool


@click.command(short_help="Serve a Glance with faults, for tests.")
@click.option(
    "--servers",
    "count",
    type=click.IntRange(1, _MOST_SERVERS),
    default=3,
    show_default=True,
    metavar="N",
    help="The number of servers; they are named glance-1, glance-2 and so on.",
)
@click.option(
    "--port",
    type=click.IntRange(0, _MOST_PORT),
    default=9292,
    show_default=True,
    metavar="PORT",
    help="The port of the first server; the others have the ports after it. 0 for free ones.",
)
@click.option(
    "--control-port",
    type=click.IntRange(0, _MOST_PORT),
    metavar="PORT",
    help=f"The port of the control API. By default {_CONTROL_PORT}, or a free one with --port 0.",
)
@click.option("--tls", is_flag=True, help="Serve HTTPS; the output names the CA's file.")
@click.option(
    "--tokens",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The accepted tokens, in JSON: an object that maps each to its project_id, user_id and "
    "roles, or an array of tokens that may do everything. Without it, nobody needs a token.",
)
@click.option(
    "--fault",
    "faults",
    multiple=True,
    metavar="[SERVER=]FAULT",
    help="A fault of all servers or of one: 'glance-2=status(503).times(3)'; repeatable.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
@click.option(
    "--until-stdin-closes",
    is_flag=True,
    help="End when standard input closes, as it does if the program that started this one ends.",
)
def lab(**given: object) -> int:
    """Serve Glance servers that share their images, on loopback, and an API that breaks them.

    When all listen, it prints their addresses and that of the control API. SIGTERM and SIGHUP end
    it with status 0. The images are in memory: nothing is left of them at the end.
    """
    wanted = _LabOptions(**given)  # type: ignore[arg-type]
    end_on_hangup()  # its default would leave the certificates of --tls behind
    tokens = None if wanted.tokens is None else read_tokens(wanted.tokens)
    tls = TLS.trusted() if wanted.tls else None
    # A signal may come as soon as the addresses are printed, before the loop runs.
    with suppress(Terminated), ExitStack() as stack:
        try:
            servers = stack.enter_context(
                cluster(wanted.count, tokens=tokens, tls=tls, port=wanted.port)
            )
            port = wanted.control_port
            if port is None:
                port = _CONTROL_PORT if wanted.port else 0
            control = stack.enter_context(Control(servers, tls=tls, port=port))
        except OSError as error:
            problem = f"{error.filename}: {error.strerror}"
            fix = "use another --port or --control-port"
            raise click.UsageError(f"can't listen: {problem}; {fix}") from error
        _break(servers, wanted.faults)
        _print(servers, control, tls, as_json=wanted.as_json)
        run_in_loop(_wait(until_stdin_closes=wanted.until_stdin_closes))
    return DONE


def _break(servers: Sequence[GlanceServer], texts: Sequence[str]) -> None:
    """Break servers as the options say.

    Raises:
        BadParameter: A text names no fault, or no server, or a fault that the server can't have.
    """
    by_name = {server.name: server for server in servers}
    for text in texts:
        found = _OF_SERVER.fullmatch(text)
        name, notation = found.groups() if found else (None, text)
        if name is not None and name not in by_name:
            problem = f"{text}: there is no server {name}, but {', '.join(by_name)}"
            raise click.BadParameter(problem, param_hint="'--fault'")
        try:
            fault = parse_fault(notation)
            for server in servers if name is None else [by_name[name]]:
                server.break_with(fault)
        except InvalidArgument as error:
            raise click.BadParameter(str(error), param_hint="'--fault'") from error


def _print(
    servers: Sequence[GlanceServer], control: Control, tls: TLS | None, *, as_json: bool
) -> None:
    """Print where all listen, for a person or for the program that started this one."""
    cafile = None if tls is None else tls.cafile
    if as_json:
        found = {"servers": [server.url for server in servers], "control": control.url}
        click.echo(json.dumps({**found, "cafile": cafile}))
        return
    named = {server.name: server.url for server in servers}
    print_fields({**named, "control": control.url, "cafile": cafile})


async def _wait(*, until_stdin_closes: bool) -> None:
    """Wait for a signal, or for the end of standard input."""
    if until_stdin_closes:
        await asyncio.wrap_future(start_work(_read_to_the_end))
    else:
        await asyncio.Event().wait()


def _read_to_the_end() -> None:
    # Not by sys.stdin: the interpreter ends with an error if a thread has its lock.
    while os.read(_STDIN, _PIECE):
        pass
