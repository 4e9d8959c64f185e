"""The commands; each is imported when it is called."""

from __future__ import annotations

import importlib
from typing import NamedTuple

import click

from ..errors import MissingExtra


class _CommandEntry(NamedTuple):
    """The module and name of a command, and the extra whose packages it needs."""

    module: str
    name: str
    extra: str


COMMANDS = {
    "config": _CommandEntry("config", "config", "cli"),
    "dashboards": _CommandEntry("dashboards", "dashboards", "cli"),
    "demo": _CommandEntry(".demo.__main__", "main", "exporter,lab"),
    "diagnose": _CommandEntry("diagnose", "diagnose", "cli"),
    "download": _CommandEntry("download_upload", "download", "cli"),
    "exporter": _CommandEntry("exporter", "exporter", "exporter"),
    "lab": _CommandEntry("lab", "lab", "cli"),
    "list": _CommandEntry("show_list", "list_", "cli"),
    "servers": _CommandEntry("servers", "servers", "exporter"),
    "show": _CommandEntry("show_list", "show", "cli"),
    "upload": _CommandEntry("download_upload", "upload", "cli"),
    "watch": _CommandEntry("watch", "watch", "exporter"),
}


class _Commands(click.Group):
    """A group that imports a command when it is called, so that each start stays fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 click's signature
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        place = COMMANDS.get(cmd_name)
        if place is None:
            return None
        try:
            module = importlib.import_module(f".{place.module}", __package__)
        except ModuleNotFoundError as error:
            # A missing extra must not break the other commands, nor `--help`, which lists them all.
            return _make_unavailable(cmd_name, place.extra, str(error.name).partition(".")[0])
        command: click.Command = getattr(module, place.name)
        return command


def _make_unavailable(name: str, extra: str, package: str) -> click.Command:
    """Build a stand-in for a command whose packages are missing; it says what to install."""

    def refuse(_arguments: tuple[str, ...]) -> None:
        problem = f"it needs {package}, one of the packages of the extra {extra!r}"
        raise MissingExtra(name, problem, fix=f"pip install 'traced-image[{extra}]'")

    anything = click.Argument(["_arguments"], nargs=-1, type=click.UNPROCESSED)
    return click.Command(
        name,
        callback=refuse,
        params=[anything],
        context_settings={"ignore_unknown_options": True},
        add_help_option=False,
        short_help=f"(needs the extra {extra!r})",
    )


@click.command(cls=_Commands, invoke_without_command=True)
@click.version_option(package_name="traced-image")
@click.pass_context
def traced_image(ctx: click.Context) -> None:
    """Image metadata and data from a cycle of Glance servers, and which of them fail.

    Name the servers by --server, or configure them: see `traced-image config`.

    For completion in bash: eval "$(_TRACED_IMAGE_COMPLETE=bash_source traced-image)"; zsh_source
    and fish_source do it for zsh and fish.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help(), err=True)
        ctx.exit(3)
