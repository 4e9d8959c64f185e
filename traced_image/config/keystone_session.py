"""Sessions with Keystone that end at a set moment and send no password to where they are led."""

from __future__ import annotations

import math
import socket
import threading
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING

from keystoneauth1.session import Session, TCPKeepAliveAdapter

from .._version import make_user_agent
from ..errors import Reason, TokenUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    import requests
    from typing_extensions import Self
    from urllib3 import HTTPConnectionPool, PoolManager

    T = TypeVar("T")


_READS = frozenset({"GET", "HEAD"})
_REDIRECTS = frozenset({301, 302, 303, 305, 307, 308})


class KeystoneSession(Session):
    """A session for one use of a plugin.

    Args:
        verify: As `keystoneauth1.session.Session` has it; so are the others.
        cert: The client's certificate.
        timeout: Seconds for each wait.
    """

    def __init__(
        self,
        *,
        verify: bool | str,
        cert: str | tuple[str, str] | None,
        timeout: float | None,
    ) -> None:
        super().__init__(verify=verify, cert=cert, timeout=timeout, user_agent=make_user_agent())
        self._sockets = _Sockets()
        for scheme in ("http://", "https://"):
            self.mount(scheme, _ObservedAdapter(self._sockets))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.session.close()
        self._sockets.close()

    def run(self, use: Callable[[Session], T], until: float) -> T:
        """Use this session until a moment, in monotonic seconds; then break its connections.

        A timeout of a socket limits one wait. A server that sends one byte now and then would
        never come to it.

        Raises:
            TimeoutError: The moment came first.
        """
        if until == math.inf:
            return use(self)
        timer = threading.Timer(until - monotonic(), self._sockets.shut_down)
        timer.daemon = True
        timer.start()
        try:
            return use(self)
        except Exception as error:
            if self._sockets.ended:
                raise TimeoutError("Keystone did not answer in time") from error
            raise
        finally:
            timer.cancel()

    def request(  # type: ignore[override]
        self, url: str, method: str, *, redirect: int | bool | None = None, **options: object
    ) -> requests.Response:
        """Send a request; refuse to follow a redirect with what may contain a password.

        keystoneauth1 posts again to where it is redirected, whatever the server and the scheme. A
        plugin that sets `redirect` examines the answer itself, as SAML's do.

        Raises:
            TokenUnavailable: The server redirects.
        """
        guarded = redirect is None and method not in _READS
        response = super().request(
            url,
            method,
            redirect=False if guarded else redirect,
            **options,  # type: ignore[arg-type]
        )
        if guarded and response.status_code in _REDIRECTS:
            raise TokenUnavailable(
                f"Keystone redirects the request for a token (HTTP {response.status_code}), and the"
                " password is not sent elsewhere: set auth_url to where it redirects, as to https",
                reason=Reason("invalid_endpoint"),
            )
        return response


class _Sockets:
    """The open connections of a session, which another thread can break.

    Each is kept as a second descriptor: its owner may close the first one at any time.

    Attributes:
        ended: Whether they were broken.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._twins: list[socket.socket] = []
        self.ended = False

    def add(self, sock: socket.socket) -> None:
        """Keep a connection; break it at once if the time is over."""
        twin = socket.fromfd(sock.fileno(), sock.family, sock.type)
        with self._lock:
            self._twins.append(twin)
        if self.ended:
            self.shut_down()

    def shut_down(self) -> None:
        """Break all connections, so that a thread that reads from them ends."""
        self.ended = True
        with self._lock:
            for twin in self._twins:
                with suppress(OSError):  # the server has closed it
                    twin.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the second descriptors."""
        with self._lock:
            while self._twins:
                self._twins.pop().close()


class _ObservedAdapter(TCPKeepAliveAdapter):
    """An adapter whose connections are kept in `_Sockets`."""

    def __init__(self, sockets: _Sockets) -> None:
        self._sockets = sockets
        super().__init__()

    def init_poolmanager(self, *args: object, **options: object) -> None:
        super().init_poolmanager(*args, **options)
        self._observe(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **options: object) -> PoolManager:
        manager: PoolManager = super().proxy_manager_for(proxy, **options)
        self._observe(manager)
        return manager

    def _observe(self, manager: PoolManager) -> None:
        # Derived from what is there, because a SOCKS proxy has classes of its own.
        manager.pool_classes_by_scheme = {
            scheme: _observe_pool(pool, self._sockets)
            for scheme, pool in manager.pool_classes_by_scheme.items()
        }


def _observe_pool(kind: type[HTTPConnectionPool], sockets: _Sockets) -> type[HTTPConnectionPool]:
    class Connection(kind.ConnectionCls):  # type: ignore[name-defined, misc]
        # Not `connect`, which returns only after TLS and a proxy's tunnel are set up.
        def _new_conn(self) -> socket.socket:
            sock: socket.socket = super()._new_conn()
            sockets.add(sock)
            return sock

    return type(kind.__name__, (kind,), {"ConnectionCls": Connection})
