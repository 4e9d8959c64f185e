"""Virtual environments of the real parts: installed once, kept outside the clone.

A folder is one environment, named after the part, its version and Python's. It is built in its
final place, since environments hold absolute paths, under a lock; the marker is written last, so
that a half-made environment is never used.
"""

import contextlib
import fcntl
import functools
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

Say = Callable[[str], None]

_PROBE = "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])"
_OLDEST = (3, 11)  # Requires-Python of glance 33, keystone 30 and nova 34


class PartUnavailableError(Exception):
    """A real part can neither be found nor be installed here; the message says what to do."""


class PartCommandError(Exception):
    """A command that installs or prepares a part failed; the message has what it said."""


@dataclass(frozen=True)
class Part:
    """What to install: `requirements[0]` is the part itself, the others are what it is run with.

    Attributes:
        suffix: What tells its environment from that of the same part with other requirements.
    """

    requirements: tuple[str, ...]
    suffix: str = ""

    @property
    def title(self) -> str:
        return self.requirements[0].replace("==", " ")

    @property
    def key(self) -> str:
        return self.requirements[0].replace("==", "-") + self.suffix


GLANCE = Part(("glance==33.0.0", "waitress==3.0.2"))
KEYSTONE = Part(("keystone==30.0.0", "waitress==3.0.2"))
# With pytest, it runs the tests of python-glanceclient, which nova brings, too.
NOVA = Part(("nova==34.0.0", "waitress==3.0.2", "pytest==9.2.0"), "-pytest")
OBSERVED_NOVA = Part(
    (
        *("nova==34.0.0", "opentelemetry-sdk==1.45.1", "prometheus-client==0.26.0"),
        *("opentelemetry-instrumentation-requests==0.66b1", "wrapt==2.5.2"),
    ),
    "-observed",
)
# What the benchmarks compare; it also sends by OTLP.
_SENDING = (
    *("opentelemetry-sdk==1.45.1", "opentelemetry-exporter-otlp-proto-http==1.45.1"),
    *("opentelemetry-instrumentation-requests==0.66b1", "prometheus-client==0.26.0"),
    "wrapt==2.5.2",
)
SENDING_NOVA = Part(("nova==34.0.0", *_SENDING), "-observed-otlp")
SENDING_CINDER = Part(("cinder==29.0.0", *_SENDING), "-observed-otlp")


def folder() -> Path:
    """`$TRACED_IMAGE_CACHE`, else traced-image in the user's cache folder."""
    if chosen := os.environ.get("TRACED_IMAGE_CACHE"):
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "traced-image"


def install(part: Part, say: Say) -> Path:
    """Return the part's environment, made now unless it was made before; says which in one line."""
    python, version = interpreter()
    place = folder() / f"{part.key}-py{version}"
    place.parent.mkdir(parents=True, exist_ok=True)
    with locked(place):
        if _is_complete(place, part):
            say(f"{part.title}: cached in {place}")
            return place
        began = time.monotonic()
        _build(place, part, python)
        say(f"{part.title}: installed in {time.monotonic() - began:.0f} s in {place}")
    return place


def python(environment: Path) -> list[str]:
    """The start of a command line that runs an environment's Python and nothing of this one's."""
    return [str(environment / "bin/python"), "-I", "-W", "ignore"]


@functools.cache
def interpreter() -> tuple[str, str]:
    """The first Python, of those that the services run on, that works here: its path and `3.N`."""
    for candidate in _candidates():
        with contextlib.suppress(OSError, PartCommandError):
            version = run([candidate, "-c", _PROBE]).strip()
            if tuple(map(int, version.split("."))) >= _OLDEST:
                return candidate, version
    raise PartUnavailableError(
        "no Python 3.11 or newer with venv was found for glance, keystone and nova; "
        "fix: apt-get install python3-venv, or put python3.11 on PATH"
    )


def _candidates() -> Iterator[str]:
    # One order for all of the test environments, so that they share the cache.
    names = ["python3.11", "python3.12", "python3.13", "python3"]
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    for name in names:
        yield from map(str, sorted(root.glob(f"versions/*/bin/{name}")))
        if found := shutil.which(name):
            yield found
    yield getattr(sys, "_base_executable", sys.executable)


def _is_complete(place: Path, part: Part) -> bool:
    try:
        installed = _marker(place).read_text().splitlines()
        # The interpreter that the environment was made with may have gone.
        run([str(place / "bin/python"), "-c", ""])
    except (OSError, PartCommandError):
        return False
    return installed == list(part.requirements)


def _build(place: Path, part: Part, python: str) -> None:
    shutil.rmtree(place, ignore_errors=True)
    run([python, "-m", "venv", str(place)])
    pip = [str(place / "bin/python"), "-m", "pip", "--disable-pip-version-check"]
    run([*pip, "install", "--quiet", "--no-input", *part.requirements])
    _marker(place).write_text("\n".join(part.requirements))


def _marker(place: Path) -> Path:
    return place / "complete"


def run(command: Sequence[str], *, env: Mapping[str, str] | None = None) -> str:
    """Run a command to its end and return what it printed; its error has what it said."""
    result = subprocess.run(
        command, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=env
    )
    if result.returncode:
        tail = "\n".join((result.stderr or result.stdout).splitlines()[-20:])
        raise PartCommandError(f"{shlex.join(command)} ended with {result.returncode}:\n{tail}")
    return result.stdout


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Be the only process that makes a file or folder of the cache."""
    with path.with_name(path.name + ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
