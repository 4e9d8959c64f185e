"""Programs of the system's packages: those that are there, else Debian's, installed now."""

import os
import shutil
import time
from collections.abc import Callable
from typing import TypeVar

from . import cache

Found = TypeVar("Found")

_ENVIRONMENT = {"DEBIAN_FRONTEND": "noninteractive"}


def install(title: str, find: Callable[[], Found | None], say: cache.Say, *packages: str) -> Found:
    """What `find` finds, if need be after the installation of `packages`.

    Args:
        title: What the programs are called in what is said.
        find: Looks for them; None if they are not there.
        say: Is told which they are, in one line.
        packages: Debian's packages of them.
    """
    cache.folder().mkdir(parents=True, exist_ok=True)
    # Parts start at the same time, also in two runs, and apt-get does not run twice at a time.
    with cache.locked(cache.folder() / "apt-get"):
        if (found := find()) is not None:
            say(f"{title}: found {found}")
            return found
        if os.geteuid() != 0 or shutil.which("apt-get") is None:
            raise cache.PartUnavailableError(
                f"{title} is not on this machine; fix: apt-get install {' '.join(packages)}"
            )
        began = time.monotonic()
        environment = {**os.environ, **_ENVIRONMENT}
        cache.run(["apt-get", "update"], env=environment)
        command = ["apt-get", "install", "--yes", "--no-install-recommends", *packages]
        cache.run(command, env=environment)
        if (found := find()) is None:
            raise cache.PartUnavailableError(f"{' '.join(packages)} brought no {title}")
        say(f"{title}: installed in {time.monotonic() - began:.0f} s: {found}")
        return found
