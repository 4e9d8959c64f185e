"""A Glance server on loopback, with faults that a test can switch on and off."""

from __future__ import annotations

import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, final

from ..errors import InvalidArgument
from .app import App
from .checks import check_count
from .conversation import Conversation
from .fault import NEEDS_TLS
from .identity import check_tokens
from .images import Images
from .loopback_server import LoopbackServer

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable, Iterator

    from .active_fault import ActiveFault
    from .fault import Fault
    from .identity import Tokens
    from .met_faults import MetFaults
    from .tls import TLS


@final
class GlanceServer(LoopbackServer):
    """A Glance server (API v1 and v2) in this process, in its own threads.

    Args:
        images: The images that it serves; None for a new, empty store.
        tokens: The accepted ``X-Auth-Token`` values: a mapping to an `Identity` each, so that
            owners, roles and members count, or a collection of tokens that may do everything.
            The server reads them at each request, so that a test can let a token expire. None for
            no authentication (``noauth``).
        tls: The certificates for HTTPS; None for plain HTTP.
        host: A loopback address, IPv4 or IPv6.
        port: The port; 0 for a free one, which the server keeps when it is started again.
        name: The name of its threads.
        prefix: The path before the version, such as ``/image``.
        clock: Returns the time in seconds, for the schedules of faults.

    Raises:
        InvalidArgument: ``tokens`` is one string or has no identities, ``prefix`` is no path,
            ``host`` is no loopback address, or ``port`` is no port.

    Attributes:
        images: The images that it serves.
        host: The address that it listens on.
        name: The name of its threads.
        app: Builds the replies; for this package.
        episode: The current fault; for this package.
    """

    def __init__(
        self,
        images: Images | None = None,
        *,
        tokens: Tokens | None = None,
        tls: TLS | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        name: str = "glance",
        prefix: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        check_tokens(tokens)
        if prefix and not (prefix.startswith("/") and not prefix.endswith("/")):
            raise InvalidArgument(
                f"prefix={prefix!r} does not start with a slash, or ends with one."
                f" Write prefix={'/' + prefix.strip('/')!r}."
            )
        super().__init__(host=host, port=port, name=name, clock=clock)
        self.images = Images() if images is None else images
        self.app = App(self.images, tokens, "http" if tls is None else "https", prefix)
        self._tls = tls

    @property
    def url(self) -> str:
        """The URL without a version, such as ``http://127.0.0.1:40123``; it has no final slash."""
        return f"{self.app.scheme}://{self._authority()}{self.app.prefix}"

    def context(self, met: MetFaults, episode: ActiveFault) -> ssl.SSLContext | None:
        """Return the TLS context; None for plain HTTP; for this package."""
        return None if self._tls is None else self._tls.choose(met, episode.began)

    def reset(self) -> None:
        """Heal the server, empty its access log and remove its images, for the next test."""
        super().reset()
        self.images.clear()

    def converse(self, sock: socket.socket, abort: Callable[[], None]) -> None:
        """Serve a connection after its TLS handshake; for this package."""
        Conversation(sock, self, abort).run()

    def _check_fault(self, fault: Fault) -> None:
        for leaf in fault.leaves:
            if self._tls is None and leaf.name in NEEDS_TLS:
                raise InvalidArgument(f"{leaf.name} needs a server with tls=TLS.trusted().")


@contextmanager
def cluster(
    count: int,
    *,
    images: Images | None = None,
    tokens: Tokens | None = None,
    tls: TLS | None = None,
    port: int = 0,
) -> Iterator[tuple[GlanceServer, ...]]:
    """Start several servers that share one store, and stop them at the end.

    The servers are named ``glance-1``, ``glance-2`` and so on.

    Args:
        count: How many servers.
        images: The store; None for a new, empty one.
        tokens: The accepted tokens, as in `GlanceServer`.
        tls: The certificates, as in `GlanceServer`.
        port: The first server's port; the others have the ports after it. 0 for free ones.

    Raises:
        OSError: A port is in use.
        InvalidArgument: There is no port of so high a number, or `count` is below 1.
    """
    check_count("cluster", count)
    images = Images() if images is None else images
    servers = [
        GlanceServer(images, tokens=tokens, tls=tls, name=f"glance-{n + 1}", port=port and port + n)
        for n in range(count)
    ]
    with ExitStack() as stack:
        yield tuple(stack.enter_context(server) for server in servers)
