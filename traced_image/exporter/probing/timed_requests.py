"""HTTP requests to one server, with the time of each phase: DNS, connect, TLS, first byte, body."""

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

from ..._version import make_user_agent
from ...errors import AttemptError, CommunicationError, InvalidEndpoint, ProtocolError, Reason
from ...reasons import classify
from .reply_head import check_head, check_start, has_body

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ...config import Server
    from ...telemetry.catalogue.probe_metrics import Phase
    from .blocking_calls import Address, Resolver


MOST_BYTES = 2**20
"""How many bytes of a reply's body are read at most (1 MiB)."""

_MOST_HEADERS = 64 * 1024
_MOST_INTERIM = 16
_CHUNK = 64 * 1024
_DEFAULT_PORTS = {"http": 80, "https": 443}
_BASE_HEADERS = {"Accept": "*/*", "Accept-Encoding": "identity"}


class Stopwatch:
    """Measures the seconds of each phase; a phase begins when the previous one ends.

    Args:
        clock: Returns seconds that never go back.

    Attributes:
        phase: The phase under way.
        phases: The seconds of each phase that has ended.
    """

    def __init__(self, clock: Callable[[], float] = perf_counter) -> None:
        self._clock = clock
        self._since = clock()
        self._stopped = False
        self.phase: Phase = "dns"
        self.phases: dict[Phase, float] = {}

    def enter(self, phase: Phase) -> None:
        """Begin a phase and end the one under way; do nothing if it is already under way."""
        if phase != self.phase:
            self._end()
            self.phase = phase

    def stop(self) -> None:
        """End the last phase; only the first call counts."""
        if not self._stopped:
            self._stopped = True
            self._end()

    def _end(self) -> None:
        now = self._clock()
        self.phases[self.phase] = self.phases.get(self.phase, 0.0) + now - self._since
        self._since = now


@dataclass(frozen=True, slots=True)
class ProbeConnection:
    """How a probe connects to servers.

    Attributes:
        resolve: Finds the addresses of a server.
        connect_timeout: Seconds for DNS, connect and TLS together.
        tls: Returns the TLS context; called for servers with TLS only.
        unchecked: Returns a TLS context that accepts any certificate, to read a rejected one.
    """

    resolve: Resolver
    connect_timeout: float
    tls: Callable[[], ssl.SSLContext]
    unchecked: Callable[[], ssl.SSLContext]


@dataclass(frozen=True, slots=True)
class TimedReply:
    """A server's reply.

    Attributes:
        status: The HTTP status.
        headers: The headers, with names in lower case.
        body: The body, at most `MOST_BYTES`.
        request_id: The server's ``X-OpenStack-Request-ID``; None for none.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    request_id: str | None = None


class TimedConnection:
    """A connection to one server, which is reused as long as the server keeps it open.

    The server's name is looked up once, so that a reconnect goes to the same addresses.

    Args:
        server: The server.
        reach: How to connect.

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
        """Send a GET request, and return the reply.

        Args:
            path: The path after the server's URL.
            watch: Measures the phases.
            headers: Headers in addition to those of every request.
            part: Whether to stop after `MOST_BYTES` of the body; without it a longer body is an
                error.

        Raises:
            OSError: The connection could not be opened, or broke.
            ProtocolError: The reply is not HTTP, or is too long.
        """
        request = self._request(path, headers or {})
        reply = await self._reuse(request, watch, part=part)
        if reply is None:
            await self._open(watch)
            reply = await self._exchange(request, watch, part=part)
        return reply

    async def _reuse(
        self, request: h11.Request, watch: Stopwatch, *, part: bool
    ) -> TimedReply | None:
        """Send a request over the open connection; return None if a new one is necessary."""
        if self._writer is None:
            return None
        clean = await self._is_clean()
        try:
            if clean:
                return await self._exchange(request, watch, part=part)
        except ConnectionError:
            # The server may have closed the idle connection before the request arrived. If no
            # byte of a reply came, one new connection is worth a try.
            if self._heard:
                raise
        return None

    async def _is_clean(self) -> bool:
        """Return whether nothing has come over the idle connection, not even its end."""
        reader = cast("asyncio.StreamReader", self._reader)
        reading = asyncio.ensure_future(reader.read(1))
        try:
            await asyncio.wait([reading], timeout=0)  # the loop reads what has arrived
        finally:  # also if the time is up: no second reader may come beside it
            reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        return reading.cancelled()

    def close(self) -> None:
        """Close the connection immediately, if it is open."""
        if self._writer is not None:
            self._writer.transport.abort()
            self._writer = None

    async def look_at_certificate(self) -> None:
        """Read the certificate of a server whose certificate was rejected.

        Raises:
            OSError: The server does not send a certificate.
        """
        await self._open(Stopwatch(), self._reach.unchecked())
        self.close()

    def _request(self, path: str, headers: Mapping[str, str]) -> h11.Request:
        server = self._server
        # Like http.client, the Host header omits the scheme's default port.
        default = server.port == _DEFAULT_PORTS[server.scheme]
        host = server.netloc.rpartition(":")[0] if default else server.netloc
        fields = {"Host": host, "User-Agent": make_user_agent(), **_BASE_HEADERS, **headers}
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
        """Connect to the first address that accepts; raise the first failure if none does.

        Each address gets an equal share of the time left, so that a silent one leaves time for the
        others.
        """
        failure: OSError | None = None
        for left in range(len(self._addresses), 0, -1):
            address = self._addresses[-left]
            # What the name's lookup took, and what the whole probe may take, count as well.
            seconds = anyio.current_effective_deadline() - anyio.current_time()
            try:
                with anyio.fail_after(seconds / left):
                    sock = await _connect(address)
            except OSError as error:
                failure = failure or error
            else:
                # A further connection begins with the address that accepts.
                self._addresses = sorted(self._addresses, key=lambda each: each != address)
                return sock
        raise failure or socket.gaierror(socket.EAI_NONAME, "the name has no address")

    async def _secure(self, sock: socket.socket, tls: ssl.SSLContext) -> None:
        self._reader, self._writer = await asyncio.open_connection(
            sock=sock,
            ssl=tls,
            # RFC 6066, section 3: the name in SNI has no trailing dot.
            server_hostname=self._server.host.rstrip("."),
            # Twice the connect timeout, so that the connect timeout always ends first: it reports
            # the phase that timed out, and asyncio's own timeout does not.
            ssl_handshake_timeout=2 * self._reach.connect_timeout,
        )
        found = self._writer.get_extra_info("ssl_object")
        self.certificate = cast("ssl.SSLObject", found).getpeercert(binary_form=True)

    async def _exchange(self, request: h11.Request, watch: Stopwatch, *, part: bool) -> TimedReply:
        try:
            answer = await self._answer(request, watch, part=part)
        # h11 0.14 leaves a length of thousands of digits to int().
        except (h11.RemoteProtocolError, ValueError) as error:
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
        head = await self._head(watch, part=part)
        status, body = head.status_code, bytearray()
        headers = {name.decode(): value.decode("latin-1") for name, value in head.headers}
        while isinstance(event := await self._event(watch, None), h11.Data):
            body += event.data
            if len(body) > MOST_BYTES:
                self._check_whole(part=part)
                return TimedReply(status, headers, bytes(body[:MOST_BYTES]))
        # h11 keeps bytes after the reply as the start of a next reply, which nobody requested.
        if self._http.trailing_data[0]:
            if has_body(status):
                raise ProtocolError(
                    f"{self._server.netloc}: the reply is longer than its Content-Length"
                )
            self.close()
        return TimedReply(status, headers, bytes(body))

    async def _head(self, watch: Stopwatch, *, part: bool) -> h11.Response:
        """Return the head of the final reply, after the interim ones (1xx)."""
        for _ in range(_MOST_INTERIM + 1):
            raw = bytearray(self._http.trailing_data[0])
            event = await self._event(watch, raw)
            if isinstance(event, h11.Response):
                del raw[len(raw) - len(self._http.trailing_data[0]) :]
                check_head(raw, event, self._server.netloc, None if part else MOST_BYTES)
                return event
        raise ProtocolError(
            f"{self._server.netloc}: more than {_MOST_INTERIM} interim replies before the reply"
        )

    def _check_whole(self, *, part: bool) -> None:
        if not part:
            raise ProtocolError(
                f"{self._server.netloc}: the reply has more than {MOST_BYTES} bytes"
            )

    def _send(self, *events: h11.Request | h11.EndOfMessage) -> None:
        writer = cast("asyncio.StreamWriter", self._writer)
        writer.write(b"".join(filter(None, map(self._http.send, events))))

    async def _event(self, watch: Stopwatch, head: bytearray | None) -> object:
        """Return the next event; add what was read for it to a head, if it is one."""
        reader = cast("asyncio.StreamReader", self._reader)
        while (event := self._http.next_event()) is h11.NEED_DATA:
            data = await reader.read(_CHUNK)
            if not self._heard:
                if not data:
                    raise ConnectionResetError(errno.ECONNRESET, "closed without an answer")
                self._heard = True
                watch.enter("body")
            if head is not None:
                head += data
                check_start(head, self._server.netloc)
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
    "dns": (InvalidEndpoint, "dns_error", "the name was not resolved in time"),
    "connect": (CommunicationError, "connect_timeout", "no connection in time"),
    "tls": (CommunicationError, "connect_timeout", "TLS was not set up in time"),
    "first_byte": (CommunicationError, "read_timeout", "no answer in time"),
    "body": (CommunicationError, "read_timeout", "no whole answer in time"),
}


def classify_in_phase(error: Exception, phase: Phase, server: Server) -> AttemptError:
    """Return the `AttemptError` for an exception that ended a phase."""
    if isinstance(error, AttemptError):
        return error
    if isinstance(error, TimeoutError):
        kind, reason, words = _TOO_LATE[phase]
        return kind(f"{server.netloc}: {words}", reason=Reason(reason))
    return classify(error, server.netloc)


async def fetch_certificate(line: TimedConnection, error: Exception, seconds: float) -> None:
    """Read a server's certificate if `error` says that it was rejected; else do nothing.

    The metrics then show when the rejected certificate expires, which is often the cause.

    Args:
        line: The connection, which keeps the certificate.
        error: What ended the request.
        seconds: The time left, in seconds.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        with suppress(OSError), anyio.move_on_after(seconds):
            await line.look_at_certificate()
