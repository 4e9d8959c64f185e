"""Faults of connections: before a request is read, in the TLS handshake, or while a body comes."""

from __future__ import annotations

import math

from .checks import check_choice, check_count, check_number, check_status
from .fault import ENDS, THEN, Fault, Then

_CENTURY = 100 * 365 * 86400.0


def refuse() -> Fault:
    """Refuse connections and close the open ones; the server keeps its port.

    The kernel refuses them, so that the access log has no entry of them.
    """
    return Fault("refuse")


def reset() -> Fault:
    """Accept connections and reset them; with `Fault.only`, reset after each such request."""
    return Fault("reset", carried_out=False)


def untrusted_tls() -> Fault:
    """Send a certificate from a CA that no client trusts."""
    return Fault("untrusted_tls")


def broken_tls() -> Fault:
    """Send plain text, and not TLS, on the TLS port."""
    return Fault("broken_tls")


def plain_http() -> Fault:
    """Answer the TLS handshake in plain HTTP, with an error page of the status 400."""
    return Fault("plain_http")


def silent_tls() -> Fault:
    """Accept connections, and never take part in the TLS handshake."""
    return Fault("silent_tls")


def demand_certificate(*, tls_1_2: bool = False) -> Fault:
    """Demand a client's certificate from the server's CA; refuse the handshake of any other client.

    `TLS.certfile` is such a certificate, and `TLS.unknown_certfile` is one from another CA.

    Args:
        tls_1_2: Whether the server has TLS 1.2 only. In TLS 1.3 a client has completed its
            handshake, and may have sent a request, when it learns that the server refuses it.
    """
    return Fault("demand_certificate", tls_1_2=tls_1_2)


def never_read() -> Fault:
    """Accept connections (with their TLS handshake), and neither read nor answer."""
    return Fault("never_read")


def black_hole() -> Fault:
    """Answer no connect, and pass no byte on open connections, as if every packet were lost.

    The connect of a client times out: the queue of the port is full, so that Linux drops its
    packets. Clients that still wait when the fault ends are connected, and transfers go on. The
    access log has no entry of such a connect.
    """
    return Fault("black_hole")


def expiring_tls(after: float = 0.0) -> Fault:
    """Send a certificate that expires under way; open connections are kept.

    Args:
        after: Seconds from ``break_with()`` to its end; certificates count whole seconds. 0 is a
            certificate that has expired.

    Raises:
        InvalidArgument: `after` is no number from 0, or is more than a hundred years.
    """
    fix = "give seconds from 0, and at most a hundred years"
    check_number("expiring_tls", after, fix, most=_CENTURY)
    return Fault("expiring_tls", after=after)


def early_answer(code: int, then: Then = "close", *, after: int = 0) -> Fault:
    """Answer a request when its headers have arrived, and read nothing of its body, or a part.

    Args:
        code: The HTTP status. All but 204 and 304 come with a page of HTML (of JSON, if that is
            all that the client accepts).
        then: ``close`` closes the connection, which resets it if the client has sent more.
            ``half_close`` closes the server's side only, and reads on. ``reset`` resets the
            connection. ``hang`` keeps it open, and reads without an end. ``stall`` keeps it
            open, and reads nothing. ``keep`` reads the body and then the next request.
        after: The bytes of the body that are read before.

    Raises:
        InvalidArgument: `code` is no status, `then` is none of these words, or `after` is below 0.
    """
    check_status("early_answer", code)
    check_choice("early_answer", then, THEN)
    check_count("early_answer", after, least=0)
    return Fault("early_answer", code=code, then=then, after=after, carried_out=False)


def cut_upload(after: int = 0, then: Then = "close") -> Fault:
    """End a request in the middle of its body, without a reply; nothing is carried out.

    Args:
        after: The bytes of the body that are read before; a shorter body is cut at its end.
        then: What the server does then: ``close``, ``half_close``, ``reset``, ``hang`` or
            ``stall``, as in `early_answer`.

    Raises:
        InvalidArgument: `after` is below 0, or `then` is none of these words.
    """
    check_count("cut_upload", after, least=0)
    check_choice("cut_upload", then, ENDS)
    return Fault("cut_upload", after=after, then=then, carried_out=False)


def limit_rate(*, send: float | None = None, receive: float | None = None) -> Fault:
    """Pass so many bytes a second only; it also affects transfers that are under way.

    Args:
        send: The most bytes of replies a second, on each connection; None for no limit.
        receive: The most bytes of requests' bodies a second, on each connection; None for no
            limit. The kernel holds some more bytes that the server has not read.

    Raises:
        InvalidArgument: No rate is given, or one is not above 0.
    """
    for rate in (send, receive):
        if rate is not None or send is receive:
            fix = "give send= or receive= in bytes a second, above 0"
            check_number("limit_rate", rate, fix, least=math.ulp(0.0))
    return Fault("limit_rate", send_rate=send, receive_rate=receive)
