"""Checks of certificate files, which report a bad file before the first request."""

from __future__ import annotations

import os
import ssl
from typing import TYPE_CHECKING

from ..errors import InvalidTLS
from .checks import format_value

if TYPE_CHECKING:
    from collections.abc import Callable


PAIR_FIX = "name the PEM files of a certificate and its key, which has no passphrase"
"""The fix for a certificate and key that can't be loaded."""


class PassphraseError(Exception):
    """A private key has a passphrase."""


def load_pair(context: ssl.SSLContext, certfile: str, keyfile: str | None) -> None:
    """Load a certificate and its key; never ask for a passphrase.

    Args:
        context: The context to load them into.
        certfile: Path of a PEM file with the certificate.
        keyfile: Path of a PEM file with its key; None if `certfile` contains the key too.

    Raises:
        PassphraseError: The key has a passphrase. OpenSSL would ask for it on the terminal.
        OSError: A file can't be read, or the key does not belong to the certificate.
    """

    def refuse() -> str:
        raise PassphraseError("the key has a passphrase")

    context.load_cert_chain(certfile, keyfile, refuse)


def check_path(item: str, value: object, source: str) -> str | None:
    """Return the path of a PEM file as text; return None for None.

    Raises:
        InvalidTLS: The value is not a path, or the file can't be read.
    """
    if value is None:
        return None
    if not isinstance(value, (str, os.PathLike)) or not os.fspath(value):
        fix = "give the path of a PEM file, or leave it out"
        raise InvalidTLS(item, f"{format_value(value)} is not a path", source=source, fix=fix)
    path = os.fsdecode(value)
    try:
        with open(path, "rb"):  # noqa: PTH123 - a path with a null character must fail here too
            return path
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        fix = "name a PEM file that this process may read"
        raise InvalidTLS(
            item, f"{format_value(path)} can't be read: {reason}", source=source, fix=fix
        ) from error


def check_authorities(cafile: str, source: str) -> None:
    """Check that a file has CA certificates that OpenSSL can load.

    Raises:
        InvalidTLS: The file has no certificate, or OpenSSL can't parse one of them.
    """
    _load(
        lambda context: context.load_verify_locations(cafile),
        ("cafile", f"{format_value(cafile)} has no usable certificate", source),
        "name a PEM file of CA certificates",
    )


def check_client(certfile: str, keyfile: str | None, source: str) -> None:
    """Check that a client certificate and a key belong together.

    Raises:
        InvalidTLS: One of them is missing, the key has a passphrase, or they don't match.
    """
    item = "certfile" if keyfile is None else "certfile, keyfile"
    _load(
        lambda context: load_pair(context, certfile, keyfile),
        (item, f"{format_value(certfile)} and its key can't be used", source),
        PAIR_FIX,
    )


def _load(load: Callable[[ssl.SSLContext], None], what: tuple[str, str, str], fix: str) -> None:
    item, problem, source = what
    try:
        load(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    except PassphraseError as error:
        raise InvalidTLS(item, f"{problem}: {error}", source=source, fix=fix) from None
    except OSError as error:
        detail = getattr(error, "reason", None) or type(error).__name__
        raise InvalidTLS(item, f"{problem}: {detail}", source=source, fix=fix) from error
