"""A client's connection to the exporter, with limits so that no client can block the exporter."""

from __future__ import annotations

import asyncio
import logging
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from ...redact import hide_in_record

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from uvicorn.protocols.http.h11_impl import RequestResponseCycle

    from .client_limits import ClientLimits
    from .config_file import CurrentConfig, WebConfigFile


_FAREWELL_SECONDS = 1.0
"""Seconds that a closed TLS connection waits for the client's close_notify (RFC 8446, 6.1)."""


class ConnectionState(Enum):
    """What a connection waits for."""

    HANDSHAKE = auto()
    """The end of the TLS handshake."""
    REQUEST = auto()
    """The rest of a request."""
    ANSWER = auto()
    """The exporter, which builds an answer."""
    TAKING = auto()
    """The client, which reads an answer."""
    IDLE = auto()
    """The next request."""


def _is_news(record: logging.LogRecord) -> bool:
    """Return whether a log record reports a defect of the exporter.

    uvicorn's other records report bad clients, or connections that end when the exporter stops.
    """
    error = record.exc_info[1] if record.exc_info else None
    return record.levelno >= logging.ERROR and not isinstance(error, asyncio.CancelledError)


LOG = logging.getLogger(__name__)
LOG.addFilter(_is_news)
LOG.addFilter(hide_in_record)


class ClientConnection(H11Protocol):
    """One client's connection, on top of uvicorn's protocol.

    Args:
        others: All open connections, in the order in which they came.
        left: Called after the connection has left `others`.
        limits: The limits of time and size.
        web: The web configuration file, which may set up TLS; None for plain HTTP.
        given: uvicorn's arguments for each connection.

    Attributes:
        since: Since when it has been in its current state, by the event loop's clock.
        waited: How often it was found in this state while other clients waited for a place.
    """

    def __init__(
        self,
        *,
        others: dict[ClientConnection, None],
        left: Callable[[], None],
        limits: ClientLimits,
        web: WebConfigFile | None,
        **given: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(**given)
        self.logger = LOG
        self.access_log = False
        self._others = others
        self._left = left
        self._limits = limits
        self._web = web
        self._in_force: CurrentConfig | None = None
        self._begun = False
        self._handshake: asyncio.Task[None] | None = None
        self._early = b""
        self._body = 0
        self._timer: asyncio.TimerHandle | None = None
        self._watched: tuple[ConnectionState, object] | None = None
        self.since = 0.0
        self.waited = 0

    # --- start and end ---------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start TLS if it is set up."""
        self.raw = transport
        self._others[self] = None
        self._watch()
        if self._web is not None:
            self._in_force = self._web.now()
        if self._in_force is None or self._in_force.context is None:
            self._ready(transport)
        else:
            self._handshake = self.loop.create_task(self._begin_tls(self._in_force.context))

    async def _begin_tls(self, context: ssl.SSLContext) -> None:
        # start_tls runs here, and not in the listening socket, because a reload of the web
        # configuration may change the certificate at any time.
        if self.raw.is_closing():
            return
        seconds = self._limits.handshake_seconds
        try:
            transport = await self.loop.start_tls(
                self.raw, self, context, server_side=True, ssl_handshake_timeout=seconds
            )
        except OSError:  # ssl.SSLError is a subclass
            self._forget()
        else:
            self._ready(transport)

    def _ready(self, transport: asyncio.Transport | None) -> None:
        if transport is None:  # the client closed the connection during the handshake
            self._forget()
            return
        tls = self._in_force.config.tls if self._in_force else None
        allowed = tls is None or tls.allows(transport.get_extra_info("peercert"))
        if self.raw.is_closing() or not allowed:
            transport.abort()
            self.abort()
            return
        self._begun = True
        super().connection_made(transport)
        if self._early:
            self.data_received(self._early)
        else:
            self._watch()

    def abort(self) -> None:
        """Close the connection immediately, in any state."""
        self._forget()
        self.raw.abort()

    def shutdown(self) -> None:
        """Close the connection after the answer under way, or now if there is none."""
        if not self._begun:
            self.abort()
        elif self._answering:
            self.cycle.keep_alive = False
        else:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Clean up after the end of the connection."""
        self._forget()
        if self._begun:
            super().connection_lost(exc)
            if exc is not None:
                self.transport.close()  # uvicorn closes it only if there is no error

    def _forget(self) -> None:
        self._unset_timer()
        if self in self._others:
            del self._others[self]
            self._left()

    # --- data ------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Handle the client's data; close the connection if a body is too long."""
        # asyncio may deliver the first request before `start_tls` returns.
        if not self._begun:
            self._early += data
            return
        super().data_received(data)
        self._body = self._body + len(data) if self.conn.their_state is h11.SEND_BODY else 0
        if self._body > self._limits.body_bytes:
            self.abort()
        self._watch()

    def send_400_response(self, msg: str) -> None:
        """Answer 400 to data that is not HTTP; close if another answer is under way."""
        if self._answering:
            self.cycle.disconnected = True
            self.abort()
            return
        try:
            super().send_400_response(msg)
        except h11.LocalProtocolError:
            self.abort()

    def on_response_complete(self) -> None:
        """Wait for the next request; close if the web configuration has changed."""
        super().on_response_complete()
        self._unset_keepalive_if_required()  # `idle_seconds` replaces uvicorn's timeout
        if self._web is not None and self._web.in_force is not self._in_force:
            self.shutdown()
        self._watch()

    # --- timeouts --------------------------------------------------------------------------

    @property
    def _answering(self) -> bool:
        cycle = cast("RequestResponseCycle | None", self.cycle)
        return cycle is not None and not cycle.response_complete

    @property
    def doing(self) -> ConnectionState:
        """What the connection waits for now."""
        if not self._begun:
            return ConnectionState.HANDSHAKE
        if self._answering:
            return ConnectionState.TAKING if self.flow.write_paused else ConnectionState.ANSWER
        if self.transport.is_closing():
            return ConnectionState.TAKING
        first = cast("RequestResponseCycle | None", self.cycle) is None
        if first or self.conn.their_state is not h11.IDLE or self.conn.trailing_data[0]:
            return ConnectionState.REQUEST
        waiting = self.transport.get_write_buffer_size() or self.raw.get_write_buffer_size()
        return ConnectionState.TAKING if waiting else ConnectionState.IDLE

    def _watch(self) -> None:
        """Start the timer of the current state, if the state or the request has changed."""
        if self not in self._others:
            return
        doing = self.doing
        if (doing, self.cycle) == self._watched:
            return
        self._watched = doing, self.cycle
        self.since = self.loop.time()
        self.waited = 0
        self._unset_timer()
        seconds = {
            ConnectionState.HANDSHAKE: self._limits.handshake_seconds,
            ConnectionState.REQUEST: self._limits.request_seconds,
            ConnectionState.IDLE: self._limits.idle_seconds,
            ConnectionState.TAKING: self._limits.answer_seconds,
            ConnectionState.ANSWER: self._limits.answer_seconds,
        }[doing]
        self._timer = self.loop.call_later(seconds, self._expired)

    def _unset_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _expired(self) -> None:
        if (
            self._watched == (ConnectionState.TAKING, self.cycle)
            and self.doing is ConnectionState.IDLE
        ):
            self._watch()  # no event reports that the client has read the whole answer
        elif self.doing is ConnectionState.IDLE:
            self.transport.close()
            self._timer = self.loop.call_later(_FAREWELL_SECONDS, self.abort)
        else:
            self.abort()
