"""Requests to one server whose every phase is timed: DNS, connect, TLS, first byte, body."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING, cast

import anyio
import h11

from ...errors import AttemptError, CommunicationError, InvalidEndpoint, ProtocolError, Reason
from ...reasons import classify

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ...config import Server
    from ...telemetry.catalogue.probe_metrics import Phase
    from .blocking_calls import Address, Resolver


MOST_BYTES = 2**20
"""Bytes of a reply that are read at most."""

_MOST_HEADERS = 64 * 1024
_CHUNK = 64 * 1024
_DEFAULT_PORTS = {"http": 80, "https": 443}
_BASE_HEADERS = {"User-Agent": "traced-image", "Accept": "*/*", "Accept-Encoding": "identity"}


class Stopwatch:
    """Seconds by phase; each phase begins where the one before it ends.

    Args:
        clock: Seconds that never go back.

    Attributes:
        phase: The phase under way.
        phases: Seconds of those that are over.
    """

    def __init__(self, clock: Callable[[], float] = perf_counter) -> None:
        self._clock = clock
        self._since = clock()
        self._stopped = False
        self.phase: Phase = "dns"
        self.phases: dict[Phase, float] = {}

    def enter(self, phase: Phase) -> None:
        """End the phase under way, if it is another, and begin this one."""
        if phase != self.phase:
            self._end()
            self.phase = phase

    def stop(self) -> None:
        """End the last phase."""
        if not self._stopped:
            self._stopped = True
            self._end()

    def _end(self) -> None:
        now = self._clock()
        self.phases[self.phase] = self.phases.get(self.phase, 0.0) + now - self._since
        self._since = now


@dataclass(frozen=True, slots=True)
class ProbeConnection:
    """How servers are reached.

    Attributes:
        resolve: Finds their addresses.
        connect_timeout: Seconds for DNS, connect and TLS.
        tls: Makes what TLS is spoken by; called for servers with TLS only.
        unchecked: The same, for looking at a certificate that was refused.
    """

    resolve: Resolver
    connect_timeout: float
    tls: Callable[[], ssl.SSLContext]
    unchecked: Callable[[], ssl.SSLContext]


@dataclass(frozen=True, slots=True)
class TimedReply:
    """What a server answered.

    Attributes:
        status: The HTTP status.
        headers: Its headers, with names in lower case.
        body: Its body, up to what was asked for.
        request_id: The server's id of the request.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    request_id: str | None = None


class TimedConnection:
    """Requests to one server, over a connection that is kept for as long as the server does.

    Its addresses are looked up once: whichever was checked is the one that is connected to.

    Args:
        server: The server.
        reach: How it is reached.

    Attributes:
        certificate: The server's certificate, in DER form, as soon as TLS is set up.
    """

    def __init__(self, server: Server, reach: ProbeConnection) -> None:
        self._server = server
        self._reach = reach
        self._addresses: Sequence[Address] = ()
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._http = h11.Connection(h11.CLIENT)
        self._heard = False
        self.certificate: bytes | None = None

    async def get(
        self,
        path: str,
        watch: Stopwatch,
        headers: Mapping[str, str] | None = None,
        *,
        part: bool = False,
    ) -> TimedReply:
        """Ask for a path.

        Args:
            path: What follows the server's URL.
            watch: Is told of the phases.
            headers: Headers beside those that every request has.
            part: Whether no more than `MOST_BYTES` of the body are wanted; a longer one is an
                error otherwise.

        Raises:
            OSError: The connection could not be made, or broke.
            ProtocolError: The reply is no HTTP, or too long.
        """
        request = self._request(path, headers or {})
        if self._writer is not None:
            try:
                return await self._exchange(request, watch, part=part)
            except ConnectionError:
                # It may have been closed for being idle, before the request came.
                if self._heard:
                    raise
        await self._open(watch)
        return await self._exchange(request, watch, part=part)

    def close(self) -> None:
        """Close the connection, if there is one, at once."""
        if self._writer is not None:
            self._writer.transport.abort()
            self._writer = None

    async def look_at_certificate(self) -> None:
        """Have the certificate of a server that was refused for it.

        Raises:
            OSError: It is not to be had.
        """
        await self._open(Stopwatch(), self._reach.unchecked())
        self.close()

    def _request(self, path: str, headers: Mapping[str, str]) -> h11.Request:
        server = self._server
        default = server.port == _DEFAULT_PORTS[server.scheme]
        host = server.netloc.rpartition(":")[0] if default else server.netloc
        fields = {"Host": host, **_BASE_HEADERS, **headers}
        return h11.Request(
            method="GET", target=f"{server.path}{path}", headers=list(fields.items())
        )

    async def _open(self, watch: Stopwatch, tls: ssl.SSLContext | None = None) -> None:
        self.close()
        server, reach = self._server, self._reach
        watch.enter("dns")
        with anyio.fail_after(reach.connect_timeout):
            self._addresses = self._addresses or await reach.resolve(server.host, server.port)
            watch.enter("connect")
            sock = await self._connected()
            try:
                if server.scheme == "https":
                    watch.enter("tls")
                    await self._secure(sock, tls or reach.tls())
                else:
                    self._reader, self._writer = await asyncio.open_connection(sock=sock)
            except BaseException:
                sock.close()
                raise
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MOST_HEADERS)

    async def _connected(self) -> socket.socket:
        """Connect to the first address that takes it; the first one's failure tells the most."""
        until = perf_counter() + self._reach.connect_timeout
        failure: OSError | None = None
        for left in range(len(self._addresses), 0, -1):
            try:
                with anyio.fail_after((until - perf_counter()) / left):
                    return await _connect(self._addresses[-left])
            except OSError as error:
                failure = failure or error
        raise failure or socket.gaierror(socket.EAI_NONAME, "it has no address")

    async def _secure(self, sock: socket.socket, tls: ssl.SSLContext) -> None:
        self._reader, self._writer = await asyncio.open_connection(
            sock=sock,
            ssl=tls,
            server_hostname=self._server.host.rstrip("."),
            # Never met: the time to connect ends before, and tells what it is.
            ssl_handshake_timeout=2 * self._reach.connect_timeout,
        )
        found = self._writer.get_extra_info("ssl_object")
        self.certificate = cast("ssl.SSLObject", found).getpeercert(binary_form=True)

    async def _exchange(self, request: h11.Request, watch: Stopwatch, *, part: bool) -> TimedReply:
        try:
            answer = await self._answer(request, watch, part=part)
        except h11.RemoteProtocolError as error:
            self.close()
            raise ProtocolError(
                f"{self._server.netloc}: the reply is cut short or is not HTTP"
            ) from error
        except BaseException:
            self.close()
            raise
        if self._http.our_state is self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
        else:
            self.close()
        return answer

    async def _answer(self, request: h11.Request, watch: Stopwatch, *, part: bool) -> TimedReply:
        watch.enter("first_byte")
        self._heard = False
        self._send(request, h11.EndOfMessage())
        status, headers, body = 0, {}, bytearray()
        event = await self._event(watch)
        while not isinstance(event, h11.EndOfMessage):
            if isinstance(event, h11.Response):
                status = event.status_code
                headers = {name.decode(): value.decode("latin-1") for name, value in event.headers}
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > MOST_BYTES:
                    self._check_whole(part=part)
                    return TimedReply(status, headers, bytes(body[:MOST_BYTES]))
            event = await self._event(watch)
        if self._http.trailing_data[0]:
            raise ProtocolError(f"{self._server.netloc}: the reply is longer than it says")
        return TimedReply(status, headers, bytes(body))

    def _check_whole(self, *, part: bool) -> None:
        if not part:
            raise ProtocolError(
                f"{self._server.netloc}: the reply has more than {MOST_BYTES} bytes"
            )

    def _send(self, *events: h11.Request | h11.EndOfMessage) -> None:
        writer = cast("asyncio.StreamWriter", self._writer)
        writer.write(b"".join(filter(None, map(self._http.send, events))))

    async def _event(self, watch: Stopwatch) -> object:
        reader = cast("asyncio.StreamReader", self._reader)
        while (event := self._http.next_event()) is h11.NEED_DATA:
            data = await reader.read(_CHUNK)
            if not self._heard:
                if not data:
                    raise ConnectionResetError(errno.ECONNRESET, "closed without an answer")
                self._heard = True
                watch.enter("body")
            self._http.receive_data(data)
        return event


async def _connect(address: Address) -> socket.socket:
    sock = socket.socket(address.family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)  # noqa: FBT003 the socket's own
        await asyncio.get_running_loop().sock_connect(sock, address.sockaddr)
    except BaseException:
        sock.close()
        raise
    return sock


_TOO_LATE: dict[Phase, tuple[type[AttemptError], str, str]] = {
    "dns": (InvalidEndpoint, "dns_error", "its name was not resolved in time"),
    "connect": (CommunicationError, "connect_timeout", "no connection in time"),
    "tls": (CommunicationError, "connect_timeout", "TLS was not set up in time"),
    "first_byte": (CommunicationError, "read_timeout", "no answer in time"),
    "body": (CommunicationError, "read_timeout", "no whole answer in time"),
}


def classify_in_phase(error: Exception, phase: Phase, server: Server) -> AttemptError:
    """Which error an exception of a phase is."""
    if isinstance(error, AttemptError):
        return error
    if isinstance(error, TimeoutError):
        kind, reason, words = _TOO_LATE[phase]
        return kind(f"{server.netloc}: {words}", reason=Reason(reason))
    return classify(error, server.netloc)


async def fetch_certificate(line: TimedConnection, error: Exception, seconds: float) -> None:
    """Have a line look at the certificate that it was refused for, if that is what happened."""
    if isinstance(error, ssl.SSLCertVerificationError):
        with suppress(OSError), anyio.move_on_after(seconds):
            await line.look_at_certificate()
