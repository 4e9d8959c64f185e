"""The limits of time and size for the exporter's clients."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ClientLimits:
    """The limits of time and size for clients.

    Attributes:
        connections: Open connections; further clients wait in the system's queue.
        patience_seconds: Seconds that a slow client keeps its place while others wait for one.
        handshake_seconds: Seconds until the TLS handshake ends.
        request_seconds: Seconds until a whole request has arrived.
        answer_seconds: Seconds to build an answer, and again to send it.
        idle_seconds: Seconds until the next request begins on an open connection.
        line_bytes: Bytes of a request's target.
        header_bytes: Bytes of a request's line and headers.
        body_bytes: Bytes of a request's body, which the exporter discards.
        stop_seconds: Seconds to finish answers when the exporter stops.
    """

    connections: int = 100
    patience_seconds: float = 0.5
    handshake_seconds: float = 10.0
    request_seconds: float = 10.0
    answer_seconds: float = 30.0
    idle_seconds: float = 120.0
    line_bytes: int = 8 * 1024
    header_bytes: int = 16 * 1024
    body_bytes: int = 64 * 1024
    stop_seconds: float = 0.3


LIMITS = ClientLimits()
