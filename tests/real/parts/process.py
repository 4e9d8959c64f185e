"""One process of a real part: started in its own group, logged to a file, never left behind."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

# The kernel kills a child when the thread that started it ends, so this thread starts them all:
# it lives as long as the interpreter does.
_SPAWNER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="real-parts")
_TAIL = 30  # lines of a log that a message shows


class PartFailedError(Exception):
    """A real part did not start or did not work; the message has the end of its log."""


class Process:
    """A command that runs until it is told otherwise, at most as long as this interpreter.

    Args:
        name: What messages call it.
        command: The program and its arguments.
        log: The file that its output is added to.
        env: Environment variables beside those of this interpreter.
        user: Whom to run it as, where this interpreter is root's.
        farewell: The signal that ends it, when its time or the interpreter's has come.

    Attributes:
        extra: Environment variables that it has, too, when it is started again.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        *,
        env: Mapping[str, str] | None = None,
        user: str | None = None,
        farewell: signal.Signals = signal.SIGKILL,
    ) -> None:
        self.name = name
        self.log = log
        self._env = {**os.environ, **(env or {})}
        self.extra: Mapping[str, str] = {}
        self._farewell = farewell
        self._command = as_user(user, ["--pdeathsig", farewell.name[3:]]) + list(command)
        self._popen: subprocess.Popen[bytes] | None = None

    def __repr__(self) -> str:
        return self.name

    def start(self, stdin: int = subprocess.DEVNULL) -> None:
        """Start it; it inherits the descriptor `stdin`, be it a listening socket's."""
        self._popen = _SPAWNER.submit(self._spawn, stdin).result()

    def _spawn(self, stdin: int) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(
                self._command,
                stdin=stdin,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**self._env, **self.extra},
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Its process id, which is its group's, too; once it is started."""
        if self._popen is None:
            raise ProcessLookupError(f"{self.name} is not started")
        return self._popen.pid

    @property
    def running(self) -> bool:
        return self._popen is not None and self._popen.poll() is None

    def ended(self, limit: float = 30.0) -> int:
        """Wait for its end, which is due; return its exit status."""
        if self._popen is None:
            raise ProcessLookupError(f"{self.name} is not started")
        return self._popen.wait(limit)

    def stop(self) -> None:
        """Freeze it: its sockets accept, and nothing answers."""
        self._signal(signal.SIGSTOP)

    def cont(self) -> None:
        """Let it go on after `stop`."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """Kill it and wait until it is gone: its port refuses from then on."""
        self._end(signal.SIGKILL)

    def close(self) -> None:
        """End it in the way that suits it."""
        self._end(self._farewell)

    def failed(self, what: str) -> PartFailedError:
        """The error that says what went wrong with it, and what it said last."""
        lines = self.log.read_text(errors="replace").splitlines()[-_TAIL:]
        return PartFailedError("\n".join([f"{self.name} {what}; the end of {self.log}:", *lines]))

    def _signal(self, number: signal.Signals) -> None:
        if self.running:
            os.killpg(self.pid, number)

    def _end(self, number: signal.Signals) -> None:
        self._signal(number)
        self._signal(signal.SIGCONT)
        if self._popen is None:
            return
        try:
            self._popen.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL)
            self._popen.wait()


def as_user(user: str | None, options: Sequence[str] = ()) -> list[str]:
    """The start of a command line that runs what follows as `user`, if root runs it."""
    if user is None or os.geteuid() != 0:
        return ["setpriv", *options]
    return ["setpriv", "--reuid", user, "--regid", user, "--init-groups", *options]
