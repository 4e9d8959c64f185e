"""Certificates for a lab server's TLS, made by trustme when they are needed."""

from __future__ import annotations

import shutil
import ssl
import tempfile
import weakref
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import MissingExtra

if TYPE_CHECKING:
    import trustme


class TLS:
    """The certificates and TLS contexts of a server.

    Attributes:
        cafile: The path of the CA's certificate, for clients; removed with this object.
        known: The server's context, with a certificate from that CA.
        unknown: A context with a certificate from another CA, which no client trusts.
    """

    def __init__(self) -> None:
        try:
            import trustme
        except ImportError as error:
            raise MissingExtra(
                "tls",
                "trustme is not installed",
                fix="install traced-image[lab]",
            ) from error
        directory = tempfile.mkdtemp(prefix="traced-image-lab-")
        weakref.finalize(self, shutil.rmtree, directory, ignore_errors=True)
        self.cafile = str(Path(directory, "ca.pem"))
        authority = trustme.CA()
        authority.cert_pem.write_to_path(self.cafile)
        self.known, self.unknown = _context(authority), _context(trustme.CA())

    @classmethod
    def trusted(cls) -> TLS:
        """Build TLS that a client trusts if it uses `cafile`.

        Raises:
            MissingExtra: The extra ``lab`` is not installed.
        """
        return cls()


def _context(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "::1", "localhost").configure_cert(context)
    return context
