"""The exporter's TLS: translates the web configuration file's settings into an SSLContext."""

from __future__ import annotations

import ipaddress
import logging
import os
import ssl
import stat
import sys
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast

from ...config.checks import format_value
from ...config.tls import PAIR_FIX, PassphraseError, load_pair
from ...errors import InvalidTLS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .config_yaml import Section


LOG = logging.getLogger(__name__)

KEYS = (
    *("cert", "key", "client_ca", "cert_file", "key_file", "client_ca_file"),
    *("client_auth_type", "client_allowed_sans", "min_version", "max_version"),
    *("cipher_suites", "prefer_server_cipher_suites", "curve_preferences"),
)

_VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
_OLD_VERSIONS = ("TLS10", "TLS11")

_CLIENTS = {
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
_UNVERIFIED = {
    "RequestClientCert": "VerifyClientCertIfGiven",
    "RequireAnyClientCert": "RequireAndVerifyClientCert",
    "RequireClientCert": "RequireAndVerifyClientCert",
}
"""Go's modes that request a certificate but do not verify it, and the modes to use instead."""

_TLS13 = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
"""The suites of TLS 1.3, which are always on if TLS 1.3 is, as in Go."""

_SUITES = {
    f"TLS_ECDHE_{auth}_WITH_{go}": f"ECDHE-{auth}-{openssl}"
    for auth in ("ECDSA", "RSA")
    for go, openssl in (
        ("AES_128_GCM_SHA256", "AES128-GCM-SHA256"),
        ("AES_256_GCM_SHA384", "AES256-GCM-SHA384"),
        ("CHACHA20_POLY1305_SHA256", "CHACHA20-POLY1305"),
        ("AES_128_CBC_SHA", "AES128-SHA"),
        ("AES_256_CBC_SHA", "AES256-SHA"),
    )
}
"""The suites of TLS 1.2 that Go considers secure: Go's names and OpenSSL's."""

_CURVES = {
    "CurveP256": "prime256v1",
    "CurveP384": "secp384r1",
    "CurveP521": "secp521r1",
    "X25519": "X25519",
}

_SAN_KINDS = ("DNS", "IP Address", "email", "URI")


@dataclass(frozen=True, slots=True)
class ServerTLS:
    """The TLS settings in the file.

    One of `cert` and `cert_file` is set, and one of `key` and `key_file`; at most one of
    `client_ca` and `client_ca_file`.

    Attributes:
        cert: The certificate chain, as PEM.
        key: The private key, as PEM.
        client_ca: The CA certificates for client certificates, as PEM.
        cert_file: The path of a file with `cert`.
        key_file: The path of a file with `key`.
        client_ca_file: The path of a file with `client_ca`.
        clients: Whether clients must send a certificate.
        allowed_sans: A client's certificate must have one of these names; None for any name.
        minimum: The oldest accepted TLS version.
        maximum: The newest accepted TLS version.
        ciphers: The suites of TLS 1.2, by OpenSSL's names; empty for OpenSSL's default.
        servers_order: Whether the server's order of suites wins over the client's.
        curve: The only curve, by OpenSSL's name; None for OpenSSL's default.
        source: The path of the web configuration file.
    """

    cert: str | None
    key: str | None = field(repr=False)
    client_ca: str | None
    cert_file: str | None
    key_file: str | None
    client_ca_file: str | None
    clients: ssl.VerifyMode
    allowed_sans: frozenset[str] | None
    minimum: ssl.TLSVersion
    maximum: ssl.TLSVersion
    ciphers: tuple[str, ...]
    servers_order: bool
    curve: str | None
    source: str

    def warn_of_readers(self) -> None:
        """Log a warning if every user of the machine may read the key."""
        path = Path(self.key_file or self.source)
        with suppress(OSError):
            if path.stat().st_mode & stat.S_IROTH:
                LOG.warning("Every user may read the key in %s; chmod o-r fixes it.", path)

    @property
    def files(self) -> tuple[str, ...]:
        """The paths of the files with certificates and the key."""
        return tuple(filter(None, (self.cert_file, self.key_file, self.client_ca_file)))

    def allows(self, certificate: Mapping[str, object] | None) -> bool:
        """Return whether a client's verified certificate has one of the allowed names."""
        return self.allowed_sans is None or not self.allowed_sans.isdisjoint(
            _list_sans(certificate)
        )


def read_tls(section: Section) -> ServerTLS | None:
    """Read ``tls_server_config``.

    Returns:
        None if the section is missing or empty.

    Raises:
        InvalidOption: A value can't be used.
    """
    if not section:
        return None
    minimum, maximum = (
        _read_version(section, key, default)
        for key, default in (("min_version", "TLS12"), ("max_version", "TLS13"))
    )
    if minimum > maximum:
        raise section.refused("min_version", "is newer than max_version", "exchange the two")
    cert, cert_file = _read_choice(section, "cert")
    key, key_file = _read_choice(section, "key")
    client_ca, client_ca_file = _read_choice(section, "client_ca", needed=False)
    clients = _read_clients(section, authorities=bool(client_ca or client_ca_file))
    return ServerTLS(
        cert=cert,
        key=key,
        client_ca=client_ca,
        cert_file=cert_file,
        key_file=key_file,
        client_ca_file=client_ca_file,
        clients=clients,
        allowed_sans=_read_allowed_sans(section, clients),
        minimum=minimum,
        maximum=maximum,
        ciphers=_read_ciphers(section, minimum),
        servers_order=section.flag("prefer_server_cipher_suites", default=True),
        curve=_read_curve(section),
        source=str(section.path),
    )


def _read_version(section: Section, key: str, default: str) -> ssl.TLSVersion:
    name = section.choice(key, (*_VERSIONS, *_OLD_VERSIONS), default)
    if name in _OLD_VERSIONS:
        raise section.refused(key, f"{name} is not supported", "set TLS12 or TLS13")
    return _VERSIONS[name]


def _read_choice(
    section: Section, key: str, *, needed: bool = True
) -> tuple[str | None, str | None]:
    """Return a PEM text or the path of its file, whichever is set."""
    inline, file = section.text(key), section.file(f"{key}_file")
    if inline is not None and file is not None:
        raise section.refused(key, f"{key}_file is set too", "leave one out")
    if inline is not None and not inline.isascii():
        raise section.refused(key, "is not PEM", f"name a PEM file under {key}_file")
    if needed and inline is None and file is None:
        raise section.refused(f"{key}_file", "is missing", "name a PEM file")
    return inline, file


def _read_clients(section: Section, *, authorities: bool) -> ssl.VerifyMode:
    key = "client_auth_type"
    name = section.choice(key, (*_CLIENTS, *_UNVERIFIED), "NoClientCert")
    if name in _UNVERIFIED:
        problem = f"{name} accepts unverified certificates, which Python's ssl can't do"
        raise section.refused(key, problem, f"set {_UNVERIFIED[name]} and client_ca_file")
    clients = _CLIENTS[name]
    if authorities and clients is ssl.CERT_NONE:
        problem = "client_ca_file is set, but the server requests no client certificate"
        raise section.refused(key, problem, "set RequireAndVerifyClientCert")
    if not authorities and clients is not ssl.CERT_NONE:
        fix = "name a PEM file of CA certificates"
        raise section.refused("client_ca_file", f"is missing, but {key} is {name}", fix)
    return clients


def _read_allowed_sans(section: Section, clients: ssl.VerifyMode) -> frozenset[str] | None:
    key = "client_allowed_sans"
    allowed = section.texts(key)
    if allowed and clients is not ssl.CERT_REQUIRED:
        fix = "set client_auth_type: RequireAndVerifyClientCert"
        raise section.refused(key, "is set, but clients may connect without a certificate", fix)
    return frozenset(map(_normalize_san, allowed)) if allowed else None


def _read_ciphers(section: Section, minimum: ssl.TLSVersion) -> tuple[str, ...]:
    key = "cipher_suites"
    names = section.texts(key)
    for name in names:
        if name not in _SUITES and name not in _TLS13:
            fix = f"use some of {', '.join(sorted(_SUITES))}"
            raise section.refused(key, f"{format_value(name)} is not a supported suite", fix)
    # `SSLContext.set_ciphers` does not change TLS 1.3, so that its names have no effect here.
    ciphers = tuple(_SUITES[name] for name in names if name in _SUITES)
    if names and not ciphers and minimum < ssl.TLSVersion.TLSv1_3:
        fix = "add one, or set min_version: TLS13"
        raise section.refused(key, "has no suite of TLS 1.2", fix)
    return ciphers


def _read_curve(section: Section) -> str | None:
    key = "curve_preferences"
    names = section.texts(key)
    for name in names:
        if name not in _CURVES:
            fix = f"use one of {', '.join(_CURVES)}"
            raise section.refused(key, f"{format_value(name)} is not a supported curve", fix)
    if len(names) > 1:
        fix = "leave one, or leave the key out"
        raise section.refused(key, "has several curves, but Python's ssl accepts one", fix)
    return _CURVES[names[0]] if names else None


def _normalize_san(name: str) -> str:
    """Return a name in the form for comparisons: an IP address in its shortest form."""
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name


def _list_sans(certificate: Mapping[str, object] | None) -> set[str]:
    pairs = cast("tuple[tuple[str, str], ...]", (certificate or {}).get("subjectAltName", ()))
    return {_normalize_san(value) for kind, value in pairs if kind in _SAN_KINDS}


# --- the context -------------------------------------------------------------------------------


def make_context(tls: ServerTLS) -> ssl.SSLContext:
    """Build the server's TLS context from the current content of the files.

    Raises:
        InvalidTLS: A certificate, a key or a curve can't be used.
    """
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version, made.maximum_version = tls.minimum, tls.maximum
    made.set_alpn_protocols(["http/1.1"])
    # No session resumption: each connection must verify the client's certificate again, because a
    # reload may have removed its CA.
    made.options |= ssl.OP_NO_TICKET
    made.num_tickets = 0
    _choose_ciphers(made, tls)
    _load_pair(made, tls)
    if tls.clients is not ssl.CERT_NONE:
        _load_authorities(made, tls)
        made.verify_mode = tls.clients
        # As in Go, every certificate in the file is trusted, even an intermediate one.
        made.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return made


def _choose_ciphers(made: ssl.SSLContext, tls: ServerTLS) -> None:
    if not tls.servers_order:
        made.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    try:
        if tls.ciphers:
            made.set_ciphers(":".join(tls.ciphers))
        if tls.curve is not None:
            made.set_ecdh_curve(tls.curve)
    except (OSError, ValueError):
        problem = "this Python's OpenSSL does not support these suites or this curve"
        item = "tls_server_config.cipher_suites, curve_preferences"
        fix = "leave them out"
        raise InvalidTLS(item, problem, source=tls.source, fix=fix) from None


def _load_pair(made: ssl.SSLContext, tls: ServerTLS) -> None:
    try:
        with ExitStack() as stack:
            cert = tls.cert_file or _write_file(stack, tls.cert)
            key = tls.key_file or _write_file(stack, tls.key)
            load_pair(made, cert, key)
    except PassphraseError as error:
        reason = str(error)
    except OSError as error:
        reason = getattr(error, "reason", None) or error.strerror or type(error).__name__
    else:
        return
    item = f"tls_server_config.{'cert' if tls.cert_file is None else 'cert_file'}"
    problem = f"{tls.cert_file or 'it'} and its key can't be used: {reason}"
    raise InvalidTLS(item, problem, source=tls.source, fix=PAIR_FIX) from None


def _write_file(stack: ExitStack, text: str | None) -> str:
    """Return the path of an in-memory file with a text, because OpenSSL reads keys from files."""
    if sys.platform != "linux":  # pragma: no cover
        raise OSError(0, "on this system a certificate and its key must be in files")
    number = os.memfd_create("traced-image")
    stack.callback(os.close, number)
    os.write(number, (text or "").encode())
    return f"/proc/self/fd/{number}"


def _load_authorities(made: ssl.SSLContext, tls: ServerTLS) -> None:
    try:
        made.load_verify_locations(tls.client_ca_file, cadata=tls.client_ca)
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or type(error).__name__
        suffix, name = ("", "it") if tls.client_ca_file is None else ("_file", tls.client_ca_file)
        raise InvalidTLS(
            f"tls_server_config.client_ca{suffix}",
            f"{name} contains no usable certificate: {reason}",
            source=tls.source,
            fix="name a PEM file of CA certificates",
        ) from None
