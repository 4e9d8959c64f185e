"""The commands that read image metadata: show and list."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from .options import deadline, json_output, trace_output, verbose, with_choice
from .output import print_fields, print_json, print_table
from .traced_service import connect_traced

if TYPE_CHECKING:
    from .options import Choice


_COLUMNS = ("id", "name", "status", "size", "disk_format")


@click.command()
@click.argument("image_id", metavar="ID")
@json_output
@trace_output
@deadline
@verbose
@with_choice
def show(choice: Choice, image_id: str, *, as_json: bool, trace: bool) -> None:
    """Show an image's metadata."""
    with connect_traced(choice, trace=trace) as connected:
        image = connected.call(lambda service: service.show(None, image_id))
    if as_json:
        print_json(image)
        return
    properties = image.pop("properties")
    own = properties.items() if isinstance(properties, dict) else ()
    first = {name: image.pop(name, None) for name in _COLUMNS}
    print_fields({**first, **image, **{f"properties.{name}": value for name, value in own}})


@click.command("list")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="List at most N images.")
@click.option(
    "--filter",
    "filters",
    multiple=True,
    metavar="NAME=VALUE",
    help="List only images with this value; repeatable.",
)
@json_output
@trace_output
@deadline
@verbose
@with_choice
def list_(
    choice: Choice, limit: int | None, filters: tuple[str, ...], *, as_json: bool, trace: bool
) -> None:
    """List images."""
    wanted = dict(_split_filter(each) for each in filters)
    with connect_traced(choice, trace=trace) as connected:
        images = connected.call(lambda service: service.detail(None, filters=wanted, limit=limit))
    if as_json:
        print_json(images)
    else:
        rows = ([image.get(name) for name in _COLUMNS] for image in images)
        print_table(_COLUMNS, rows, flexible=("name", "status", "disk_format"))


def _split_filter(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not (name and sign):
        raise click.BadParameter("write it as NAME=VALUE", param_hint="--filter")
    return name, value
