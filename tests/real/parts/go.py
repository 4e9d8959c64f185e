"""Programs that are built from Go modules: each once by its version, kept as a file."""

import hashlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from . import cache

_HERE = Path(__file__).parent

GOPHERCLOUD: Mapping[str, tuple[Path, Sequence[str]]] = {
    "failover": (_HERE.parents[2] / "examples/gophercloud", ("test", "-c")),
    "scripted": (_HERE / "inside/gophercloud", ("build",)),
}
"""Programs that share most of what is compiled: the folder of each, and the command for it."""

_OLDEST = (1, 25)  # the `go` line of the modules that are built here
_HOME = "/usr/local/go/bin/go"  # where Go's own archive puts it, which PATH may lack


def program() -> str:
    """The path of a Go that builds today's modules."""
    for found in filter(None, (shutil.which("go"), shutil.which(_HOME))):
        # GOTOOLCHAIN: what it is itself, not what it could download.
        told = cache.run([found, "version"], env={**os.environ, "GOTOOLCHAIN": "local"})
        if (version := re.search(r"go(\d+)\.(\d+)", told)) and _is_new(version):
            return found
    raise cache.PartUnavailableError(
        f"no Go {'.'.join(map(str, _OLDEST))} or newer was found; fix: put one on PATH"
    )


def _is_new(version: re.Match[str]) -> bool:
    return (int(version[1]), int(version[2])) >= _OLDEST


def environment(place: str | os.PathLike[str]) -> Mapping[str, str]:
    """Go's environment: all that it keeps is in one folder, from which it can be removed."""
    ways = {"HTTPS_PROXY": "PIP_PROXY", "SSL_CERT_FILE": "PIP_CERT"}
    found = {name: os.environ[way] for name, way in ways.items() if way in os.environ}
    kept = {
        "GOMODCACHE": str(Path(place) / "modules"),
        "GOCACHE": str(Path(place) / "builds"),
        "GOBIN": str(Path(place) / "bin"),
    }
    # A program needs no C compiler then; modules are writable, so that the folder can be removed.
    return {**os.environ, **found, **kept, "CGO_ENABLED": "0", "GOFLAGS": "-modcacherw"}


def install(package: str, version: str, say: cache.Say, tags: str = "") -> Path:
    """The program of a Go package at a version: built now unless it was built before.

    Args:
        package: Its import path, such as ``go.opentelemetry.io/collector/cmd/builder``.
        version: The version of its module, such as ``v0.159.0``.
        say: Is told which it was, in one line.
        tags: Build tags, which leave out what is not needed.
    """
    # A module's major version is no name: go.example/tool/v5 is the program "tool".
    name = re.sub(r"/v\d+$", "", package).rpartition("/")[2]
    title = f"{name} {version}"
    kept = cache.folder() / f"go-{package.replace('/', '-')}-{version}"
    kept.parent.mkdir(parents=True, exist_ok=True)
    with cache.locked(kept):
        if kept.exists():
            say(f"{title}: cached in {kept}")
            return kept
        go = program()
        began = time.monotonic()
        with tempfile.TemporaryDirectory(dir=kept.parent) as place:
            command = ["nice", "-n", "10", go, "install", "-tags", tags, f"{package}@{version}"]
            cache.run(command, env=environment(place))
            (Path(place) / "bin" / name).replace(kept)
    say(f"{title}: built in {time.monotonic() - began:.0f} s in {kept}")
    return kept


def build_gophercloud(say: cache.Say) -> Path:
    """A folder with the programs of `GOPHERCLOUD`: built now unless they have been built before."""
    files = [path for folder, _ in GOPHERCLOUD.values() for path in sorted(folder.iterdir())]
    content = hashlib.sha256(b"\0".join(path.read_bytes() for path in files)).hexdigest()
    kept = cache.folder() / f"go-gophercloud-{content[:12]}"
    kept.parent.mkdir(parents=True, exist_ok=True)
    with cache.locked(kept):
        if kept.exists():
            say(f"programs with gophercloud: cached in {kept}")
            return kept
        go = program()
        began = time.monotonic()
        with tempfile.TemporaryDirectory(dir=kept.parent) as place:
            made = Path(place) / "made"
            for name, (folder, build) in GOPHERCLOUD.items():
                command = ["nice", "-n", "10", go, "-C", str(folder), *build, "-o", made / name]
                cache.run(list(map(str, command)), env=environment(place))
            made.replace(kept)
    say(f"programs with gophercloud: built in {time.monotonic() - began:.0f} s in {kept}")
    return kept
