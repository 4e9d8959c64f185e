"""A certificate that is valid and one that has expired, of an authority of our own."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import trustme

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Certificates:
    """What a server with TLS can present.

    Attributes:
        authority: The file of the authority that clients trust.
        valid: A context with a valid certificate.
        expired: A context with one that has expired.
    """

    authority: Path
    valid: ssl.SSLContext
    expired: ssl.SSLContext


def make_certificates(folder: Path, name: str) -> Certificates:
    """Make the certificates of a server; the folder gets the authority's."""
    authority = trustme.CA()
    file = folder / "authority.pem"
    authority.cert_pem.write_to_path(str(file))
    past = datetime.now(timezone.utc) - timedelta(days=1)
    contexts = []
    for until in (None, past):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(name, not_after=until).configure_cert(context)
        contexts.append(context)
    return Certificates(file, *contexts)
