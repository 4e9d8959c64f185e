"""A real part that serves HTTP on a loopback port, which it keeps across restarts."""

import contextlib
import http.client
import socket
from collections.abc import Mapping
from pathlib import Path

from . import cache
from .process import Process

_SERVE = Path(__file__).with_name("inside") / "serve.py"
_LIMIT = 90.0  # seconds until the first answer, on a machine that does much else


def listen(port: int = 0) -> socket.socket:
    """A listening socket on loopback; 0 stands for any free port."""
    return socket.create_server(("127.0.0.1", port))


def port_of(listener: socket.socket) -> int:
    port: int = listener.getsockname()[1]
    return port


class HTTPPart(Process):
    """A WSGI application of a part's environment, served by waitress with 4 threads.

    Its socket listens before it starts, so that its port can stand in configuration files and
    nobody else can take it, and the first request waits in it rather than asking again and again.

    Args:
        name: What messages call it.
        environment: The part's virtual environment.
        application: `module:attribute`.
        listener: From `listen`; it belongs to this object from then on.
        log: The file that its output is added to.
        env: Environment variables beside those of this interpreter.
    """

    def __init__(
        self,
        name: str,
        environment: Path,
        application: str,
        listener: socket.socket,
        log: Path,
        *,
        env: Mapping[str, str],
    ) -> None:
        command = [*cache.python(environment), str(_SERVE), application]
        super().__init__(name, command, log, env=env)
        self._listener: socket.socket | None = listener
        self.port = port_of(listener)
        self.url = f"http://127.0.0.1:{self.port}"

    def __repr__(self) -> str:
        return f"{self.name} at {self.url}"

    def launch(self) -> None:
        """Start it without waiting for its first answer."""
        with self._listener or listen(self.port) as listener:
            self._listener = None
            self.start(stdin=listener.fileno())

    def wait(self) -> None:
        """Wait for its first answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_LIMIT)
        with contextlib.closing(connection):
            try:
                connection.request("GET", "/healthcheck")
                status = connection.getresponse().status
            except (OSError, http.client.HTTPException) as error:
                raise self.failed(f"did not start: {error}") from error
        if status != http.client.OK:
            raise self.failed(f"answered /healthcheck with {status}")

    def close(self) -> None:
        if self._listener is not None:
            self._listener.close()
        super().close()

    def restart(self) -> None:
        """Kill it if it runs, start it anew on the same port, and wait for its first answer."""
        self.kill()
        self.launch()
        self.wait()
