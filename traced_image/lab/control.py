"""The control API: an HTTP server on loopback by which programs of any language script the lab."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn, final
from urllib.parse import urlsplit

from ..errors import InvalidArgument
from .control_answers import ControlError, Controlled
from .control_routes import find_answer
from .conversation import Conversation
from .http1 import make_json_response
from .loopback_server import LoopbackServer

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence

    from .access_log import Access
    from .fault import Fault
    from .http1 import ReceivedRequest, Response
    from .server import GlanceServer
    from .tls import TLS

_HOSTS = frozenset({"127.0.0.1", "::1", "localhost"})


class _ControlAnswers:
    """Answers requests of the control API; an error is a reply with a message."""

    def __init__(self, controlled: Controlled) -> None:
        self._controlled = controlled

    def answer(self, request: ReceivedRequest) -> Response:
        """Return the reply to a request."""
        try:
            _refuse_browsers(request)
            return find_answer(self._controlled, request)
        except ControlError as error:
            return make_json_response(error.status, {"error": str(error)}, *error.headers)

    def add_request_id(self, request: ReceivedRequest, response: Response) -> Response:  # noqa: ARG002 - as App's
        """Return the reply as it is: this API gives no ids."""
        return response


def _refuse_browsers(request: ReceivedRequest) -> None:
    """Refuse what a page of the web makes a browser of this machine send (DNS rebinding, CSRF)."""
    try:
        host = urlsplit(f"//{request.headers.get('host', '')}").hostname
    except ValueError:  # such as a bracket without its other one
        host = None
    if host not in _HOSTS or "origin" in request.headers:
        raise ControlError(403, "the control API answers programs of this machine, by 127.0.0.1")


@final
class Control(LoopbackServer):
    """The control API of lab servers, in this process and in its own threads.

    Args:
        servers: The servers that it controls; they share one store of images.
        tls: The certificates of the servers, whose CA's file the API names; None for plain HTTP.
        host: A loopback address, IPv4 or IPv6.
        port: The port; 0 for a free one at each start.

    Attributes:
        host: The address that it listens on.
        name: The name of its threads.
        app: Builds the replies; for this package.
        episode: No fault; for this package.

    Raises:
        InvalidArgument: There is no server, two have the same name, `host` is no loopback address,
            or `port` is no port.
    """

    def __init__(
        self,
        servers: Sequence[GlanceServer],
        *,
        tls: TLS | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        super().__init__(host=host, name="control", port=port)
        if not servers:
            raise InvalidArgument("Control() needs at least one server to control.")
        by_name = {server.name: server for server in servers}
        if len(by_name) < len(servers):
            raise InvalidArgument("Control() needs servers of different names: give them name=.")
        cafile = None if tls is None else tls.cafile
        self._controlled = Controlled(by_name, servers[0].images, cafile)
        self.app = _ControlAnswers(self._controlled)

    @property
    def url(self) -> str:
        """The URL, such as ``http://127.0.0.1:9291``."""
        return f"http://{self._authority()}"

    def start(self) -> None:
        """Take the port and serve; do nothing if the server runs already.

        Raises:
            OSError: The address is not this machine's, or another process has the port.
        """
        self._controlled.stopping.clear()
        super().start()

    def _give_up(self) -> None:
        self._controlled.stopping.set()
        for server in self._controlled.servers.values():
            server.wake()

    def converse(self, sock: socket.socket, abort: Callable[[], None]) -> None:
        """Serve a connection; for this package."""
        Conversation(sock, self, abort).run()

    def record(self, access: Access) -> None:
        """Keep nothing, because a test counts the requests to its servers; for this package."""

    def _check_fault(self, fault: Fault) -> NoReturn:
        raise InvalidArgument(f"The control API can't have the fault {fault.name}: break a server.")
