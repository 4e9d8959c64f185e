"""Certificates for a lab server's TLS, made by trustme when they are needed."""

from __future__ import annotations

import datetime as dt
import shutil
import ssl
import tempfile
import threading
import weakref
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import MissingExtra

if TYPE_CHECKING:
    import trustme

    from .met_faults import MetFaults


class TLS:
    """The certificates and TLS contexts of a server.

    Attributes:
        cafile: The path of the CA's certificate, for clients; removed with this object.
        known: The server's context, with a certificate from that CA.
        unknown: A context with a certificate from another CA, which no client trusts.
        certfile: The path of a client's certificate and key from that CA.
        unknown_certfile: The path of a client's certificate and key from another CA.
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
        self._lock = threading.Lock()
        self._expiring: tuple[float, ssl.SSLContext] | None = None
        self._authority, other = trustme.CA(), trustme.CA()
        self._authority.cert_pem.write_to_path(self.cafile)
        self.known, self.unknown = _make_context(self._authority), _make_context(other)
        self.certfile = _write_client(self._authority, Path(directory, "client.pem"))
        self.unknown_certfile = _write_client(other, Path(directory, "unknown-client.pem"))

    @classmethod
    def trusted(cls) -> TLS:
        """Build TLS that a client trusts if it uses `cafile`.

        Raises:
            MissingExtra: The extra ``lab`` is not installed.
        """
        return cls()

    def choose(self, met: MetFaults, began: float) -> ssl.SSLContext:
        """Return the context for a connection; for this package.

        Args:
            met: The faults of the connection.
            began: When they began, in seconds since the epoch.
        """
        fault = met.find("untrusted_tls", "demand_certificate", "expiring_tls")
        if fault is None:
            return self.known
        if fault.name == "untrusted_tls":
            return self.unknown
        if fault.name == "demand_certificate":
            return self._demanding(tls_1_2=fault.tls_1_2)
        return self._expire(began + (fault.after or 0.0))

    def _expire(self, end: float) -> ssl.SSLContext:
        # One certificate for all connections of a fault.
        with self._lock:
            if self._expiring is None or self._expiring[0] != end:
                until = dt.datetime.fromtimestamp(end, dt.timezone.utc)
                self._expiring = end, _make_context(self._authority, until)
            return self._expiring[1]

    def _demanding(self, *, tls_1_2: bool) -> ssl.SSLContext:
        context = _make_context(self._authority)
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cafile=self.cafile)
        if tls_1_2:
            context.maximum_version = ssl.TLSVersion.TLSv1_2
        return context


def _make_context(authority: trustme.CA, until: dt.datetime | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    names = ("127.0.0.1", "::1", "localhost")
    authority.issue_cert(*names, not_after=until).configure_cert(context)
    return context


def _write_client(authority: trustme.CA, path: Path) -> str:
    authority.issue_cert("client@example.org").private_key_and_cert_chain_pem.write_to_path(path)
    return str(path)
