"""Makes the pictures of the terminal in ``docs/images``: what the program prints, run for real.

``python tests/cli/terminal_images.py``
"""

from __future__ import annotations

import io
import re
from pathlib import Path

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


def picture(name, *arguments, having=""):
    """Run the program on a terminal until it shows something, and keep that as ``NAME.svg``."""
    for _ in range(TIMES):
        _, printed = Process(*arguments, columns=COLUMNS, lines=40).ended()
        if having in printed:
            break
    shown = re.sub(r"http://127\.0\.0\.1:\d+", "http://…", " ".join(arguments))
    console = Console(record=True, width=COLUMNS, file=io.StringIO())
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


if __name__ == "__main__":
    main()
