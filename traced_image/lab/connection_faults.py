"""Faults of connections: before a request is read, in the TLS handshake, or while a body comes."""

from __future__ import annotations

from .checks import check_choice, check_status
from .fault import THEN, Fault, Then


def refuse() -> Fault:
    """Refuse connections and close the open ones; the server keeps its port."""
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


def early_answer(code: int, then: Then = "close") -> Fault:
    """Answer a request when its headers have arrived, and read nothing of its body.

    Args:
        code: The HTTP status. All but 204 and 304 come with a page of HTML (of JSON, if that is
            all that the client accepts).
        then: ``close`` closes the connection, which resets it if the client has sent more.
            ``half_close`` closes the server's side only, and reads on. ``reset`` resets the
            connection. ``hang`` keeps it open, and reads without an end. ``stall`` keeps it
            open, and reads nothing. ``keep`` reads the body and then the next request.

    Raises:
        InvalidArgument: `code` is no status, or `then` is none of these words.
    """
    check_status("early_answer", code)
    check_choice("early_answer", then, THEN)
    return Fault("early_answer", code=code, then=then, carried_out=False)
