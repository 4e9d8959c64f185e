"""A real PostgreSQL of the system's packages, with its data in a folder of its own."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from . import cache, debian
from .process import Process, as_user

_LIMIT = 60.0  # seconds until it accepts connections


@dataclass(frozen=True)
class Postgres:
    """A running PostgreSQL.

    Attributes:
        process: Its postmaster.
        programs: The folder of its programs.
        folder: Where its Unix socket is, the only way to it.
    """

    process: Process
    programs: Path
    folder: Path

    def url(self, database: str = "postgres") -> str:
        """SQLAlchemy's address of a database, with psycopg."""
        return f"postgresql+psycopg://postgres@/{database}?host={self.folder}"

    def create(self, database: str) -> str:
        """Make an empty database, and return its address."""
        options = [f"--host={self.folder}", "--username=postgres"]
        cache.run([str(self.programs / "createdb"), *options, database])
        return self.url(database)


def install(say: cache.Say) -> Path:
    """Return the folder of PostgreSQL's programs; install Debian's package where there is none."""
    return debian.install("postgresql", _programs, say, "postgresql")


def _programs() -> Path | None:
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    elsewhere = shutil.which("initdb")
    if debian:
        return debian[-1].parent
    return Path(elsewhere).parent if elsewhere else None


@contextmanager
def postgres(programs: Path) -> Iterator[Postgres]:
    """Run a PostgreSQL that keeps nothing: its data go when it does."""
    user = _user()
    with tempfile.TemporaryDirectory(prefix="traced-image-", ignore_cleanup_errors=True) as place:
        folder = Path(place)
        if os.geteuid() == 0:
            # It refuses to run as root.
            shutil.chown(folder, user)
        data = folder / "data"
        initdb = [str(programs / "initdb"), "--no-sync", "--auth=trust", "--username=postgres"]
        initdb += ["--encoding=UTF8", "--locale=C", f"--pgdata={data}"]
        cache.run(as_user(user, initdb))
        process = _process(programs, folder, user)
        try:
            process.start()
            _wait(process, programs, folder)
            yield Postgres(process, programs, folder)
        finally:
            process.close()


def _process(programs: Path, folder: Path, user: str) -> Process:
    settings = ["fsync=off", "listen_addresses=", f"unix_socket_directories={folder}"]
    command = [str(programs / "postgres"), "-D", str(folder / "data")]
    for setting in settings:
        command += ["-c", setting]
    # SIGQUIT is its immediate shutdown, after which no child of its own is left.
    return Process("postgresql", command, folder / "log", user=user, farewell=signal.SIGQUIT)


def _wait(process: Process, programs: Path, folder: Path) -> None:
    end = time.monotonic() + _LIMIT
    ask = [str(programs / "pg_isready"), "--quiet", f"--host={folder}"]
    while subprocess.run(ask, check=False).returncode:
        if not process.running:
            raise process.failed("ended before it accepted connections")
        if time.monotonic() > end:
            raise process.failed(f"accepted no connection in {_LIMIT:.0f} s")
        time.sleep(0.05)


def _user() -> str:
    """Whom root runs it as."""
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"
