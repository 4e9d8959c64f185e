"""Makes the pictures of the terminal in ``docs/images``: what the program prints, run for real.

``python tests/cli/terminal_images.py``
"""

from __future__ import annotations

import io
import re
import time
from pathlib import Path

from caller_process import calling
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text
from terminals import Process

from traced_image import lab

IMAGES = Path(__file__).parents[2] / "docs" / "images"
COLUMNS = 92

TIMES = 30
"""How often a command is run at most; which server it asks first is a matter of chance."""

# The reader's own font, rather than one from somebody's server.
_FORMAT = re.sub(r"@font-face \{\{.*?\}\}\n", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)


CALLERS = (("nova-api", "show"), ("nova-api", "show"), ("image-cache", "download"))
"""The services of the processes that call, and their operations."""

SCENE_SECONDS = 20.0
"""How long they call before they are looked at."""

WATCH_SECONDS = 3.0
"""How long a command is watched that ends by a key."""


def picture(name, *arguments, having="", columns=COLUMNS, keys=""):
    """Run the program on a terminal until it shows something, and keep that as ``NAME.svg``."""
    for _ in range(TIMES):
        running = Process(*arguments, columns=columns, lines=40)
        if keys:
            time.sleep(WATCH_SECONDS)
            running.press(keys)
        _, printed = running.ended()
        if having in printed:
            break
    printed = printed.rpartition("\x1b[2K")[2]  # what is drawn over is not seen
    shown = re.sub(r"http://127\.0\.0\.1:\d+", "http://…", " ".join(arguments))
    console = Console(record=True, width=columns, file=io.StringIO())
    console.print(Text(f"$ traced-image {shown}", style="bold"))
    console.print(Text.from_ansi(printed.replace("\r\n", "\n")))
    svg = console.export_svg(title="traced-image", code_format=_FORMAT, unique_id=name)
    (IMAGES / f"{name}.svg").write_text(svg)


def main():
    """Make all pictures, with three servers; one of them refuses connections."""
    images = lab.Images()
    images.add(name="ubuntu-24.04", data=b"\0" * 4096)
    with lab.cluster(3, images=images) as servers:
        on = [part for server in servers for part in ("--server", server.url)]
        servers[1].break_with(lab.faults.refuse())
        picture("terminal-servers", "servers", *on)
        picture("terminal-trace", "list", "--trace", *on, having="success_after_retry")
    callers()


def callers():
    """Make the pictures of what callers see: one server hangs, another fails one operation."""
    images = lab.Images()
    image = images.add(name="ubuntu-24.04", data=b"\0" * 4096, visibility="public")
    with (
        lab.cluster(4, images=images) as servers,
        calling([each.url for each in servers], image, *CALLERS) as urls,
    ):
        time.sleep(SCENE_SECONDS / 2)
        servers[1].break_with(lab.faults.never_answer())
        servers[2].break_with(lab.faults.status(503).only(path=r"/file"))
        time.sleep(SCENE_SECONDS)
        exporters = [part for url in urls for part in ("--exporter", url.rstrip("/"))]
        picture("terminal-diagnose", "diagnose", *exporters, columns=116)
        picture("terminal-watch", "watch", *exporters, columns=116, keys="q")


if __name__ == "__main__":
    main()
