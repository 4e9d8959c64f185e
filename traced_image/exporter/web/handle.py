"""The handle of an exporter that runs in a thread of a service."""

from __future__ import annotations

import threading
from typing import Protocol, final


class RunningServer(Protocol):
    """A server that runs in a thread.

    Attributes:
        host: The address that it listens on.
        port: The port that it listens on.
    """

    host: str
    port: int

    @property
    def scheme(self) -> str:
        """The scheme of its URL."""

    def request_stop(self) -> None:
        """Have the server stop soon."""


def format_url(server: RunningServer) -> str:
    """Return the URL of a server's page, as `ExporterHandle.url` has it."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(server.host, server.host)  # noqa: S104
    host = f"[{host}]" if ":" in host else host
    return f"{server.scheme}://{host}:{server.port}/"


@final
class ExporterHandle:
    """An exporter that runs in a thread of this process.

    A forked child has no such thread. There, `stop` returns immediately and does not affect the
    parent.

    Attributes:
        host: The address that it listens on.
        port: The port that it listens on; if 0 was given, the free port that it got.
    """

    def __init__(self, server: RunningServer, thread: threading.Thread) -> None:
        self._server = server
        self._thread = thread
        self.host, self.port = server.host, server.port

    @property
    def url(self) -> str:
        """The page's URL; with a loopback address if the exporter listens on all addresses."""
        return format_url(self._server)

    def stop(self) -> None:
        """Finish the answers under way, for a moment, and stop; a second call does nothing.

        It returns within a second, unless a password check is under way: it waits for that.
        """
        if not self._thread.is_alive():
            return
        self._server.request_stop()
        # A thread can't join itself; it may be the exporter's own if a route calls this.
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def __enter__(self) -> ExporterHandle:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
