"""The command line, ``traced-image``, as ``python -m traced_image``."""

from __future__ import annotations

from .cli.main import main

main()
