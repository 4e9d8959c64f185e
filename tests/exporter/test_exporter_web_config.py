"""The web configuration file: what is taken, what is refused in which words, and its reload."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import ssl
import sys

import bcrypt
import pytest
import trustme
import yaml
from cryptography.hazmat.primitives import serialization
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from serving import Certificates

from traced_image.errors import ConfigError, InvalidTLS
from traced_image.exporter.web import tls as web_tls
from traced_image.exporter.web.config_file import Rate, WebConfig, WebConfigFile, read_config
from traced_image.exporter.web.config_yaml import MOST_BYTES
from traced_image.telemetry.catalogue.probe_metrics import RELOADED

# Its salt is the same in every run, for it is in the names of tests.
HASH = bcrypt.hashpw(b"secret", b"$2b$04$" + b"." * 22).decode()
TLS = "tls_server_config: {cert_file: cert.pem, key_file: key.pem"
SECRETS = ("hunter2", HASH, "PRIVATE KEY")


def refused(path):
    """What is said of a file that can't be used."""
    with pytest.raises(ConfigError) as caught:
        WebConfigFile(path)
    return str(caught.value)


def tls(path, **changes):
    """What a file says of TLS."""
    return dataclasses.replace(read_config(path).tls, **changes)


# --- what is taken -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "",
        "---",
        "# nothing",
        "{}",
        "tls_server_config:",
        "tls_server_config: {}\nbasic_auth_users: {}\nhttp_server_config: {}\nrate_limit: {}",
        "http_server_config: {http2: true, headers: {X-Frame-Options: ''}}",
        "http_server_config: {http2: false, headers:}",
        "rate_limit: {interval: 0, burst: 0}",
    ],
)
def test_a_file_that_asks_for_nothing_protects_nothing(write, text):
    assert WebConfig() == read_config(write(text))


def test_a_mark_of_the_byte_order_is_no_part_of_the_file(tmp_path):
    (tmp_path / "web.yml").write_bytes(b"\xef\xbb\xbfrate_limit:\n")
    assert WebConfig() == read_config(tmp_path / "web.yml")


def test_the_users_are_those_of_the_file(write):
    text = f"basic_auth_users:\n  alice: {HASH}\n  'bob': '{HASH.replace('$2b$', '$2y$')}'\n"
    assert {
        "alice": HASH.encode(),
        "bob": HASH.replace("$2b$", "$2y$").encode(),
    } == read_config(write(text)).users


def test_what_is_read_shows_no_hash_and_no_key(certificates, write):
    key = (certificates.folder / "key.pem").read_text().replace("\n", "\n    ")
    text = f"basic_auth_users: {{alice: '{HASH}'}}\n"
    text += f"tls_server_config:\n  cert_file: cert.pem\n  key: |\n    {key}"
    shown = repr(read_config(write(text)))
    assert not [secret for secret in (HASH, "PRIVATE KEY") if secret in shown]


def test_the_headers_are_those_that_are_not_blank(write):
    headers = "{X-Frame-Options: deny, Strict-Transport-Security: max-age=60, X-XSS-Protection: 0,"
    headers += " Content-Security-Policy: ''}"
    text = f"http_server_config: {{headers: {headers}}}"
    assert (
        (b"strict-transport-security", b"max-age=60"),
        (b"x-frame-options", b"deny"),
        (b"x-xss-protection", b"0"),
    ) == read_config(write(text)).headers


@pytest.mark.parametrize(
    ("interval", "seconds"), [("1s", 1.0), ("500ms", 0.5), ("1m.5s", 60.5), ("1.5h", 5400.0)]
)
def test_a_rates_interval_is_in_gos_notation(write, interval, seconds):
    text = f"rate_limit: {{interval: {interval}, burst: 3}}"
    assert Rate(seconds, 3) == read_config(write(text)).rate


def test_tls_has_safe_defaults(certificates, write):
    found = tls(write(TLS + "}"))
    assert (
        ssl.TLSVersion.TLSv1_2,
        ssl.TLSVersion.TLSv1_3,
        ssl.CERT_NONE,
        None,
        (),
        None,
        True,
    ) == (
        found.minimum,
        found.maximum,
        found.clients,
        found.allowed_sans,
        found.ciphers,
        found.curve,
        found.servers_order,
    )


def test_files_are_taken_from_where_the_configuration_is(certificates, write, monkeypatch):
    path = write(TLS + "}")
    monkeypatch.chdir("/")
    assert (str(path.parent / "cert.pem"), str(path.parent / "key.pem")) == tls(path).files


def test_a_relative_path_stays_right_when_the_process_goes_elsewhere(write, monkeypatch):
    monkeypatch.chdir(write("").parent)
    now = [0.0]
    file = WebConfigFile("web.yml", clock=lambda: now[0])
    monkeypatch.chdir("/")
    write(f"basic_auth_users: {{alice: '{HASH}'}}")
    now[0] = 2.0
    assert ["alice"] == list(file.now().config.users)


def test_every_key_of_tls_is_taken(certificates, write):
    text = f"""{TLS}, client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.pem,
      client_allowed_sans: [scraper, '2001:DB8::1'], min_version: TLS12, max_version: TLS12,
      cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_AES_128_GCM_SHA256],
      prefer_server_cipher_suites: false, curve_preferences: [CurveP256]}}"""
    found = tls(write(text))
    assert (
        ssl.CERT_REQUIRED,
        frozenset({"scraper", "2001:db8::1"}),
        ssl.TLSVersion.TLSv1_2,
        ssl.TLSVersion.TLSv1_2,
        ("ECDHE-ECDSA-AES128-GCM-SHA256",),
        False,
        "prime256v1",
    ) == (
        found.clients,
        found.allowed_sans,
        found.minimum,
        found.maximum,
        found.ciphers,
        found.servers_order,
        found.curve,
    )


@pytest.mark.parametrize("name", sorted(web_tls._SUITES))
def test_every_suite_that_is_known_is_one_of_openssl(certificates, write, name):
    context = web_tls.make_context(tls(write(f"{TLS}, cipher_suites: [{name}]}}")))
    names = [suite["name"] for suite in context.get_ciphers() if suite["protocol"] != "TLSv1.3"]
    assert [web_tls._SUITES[name]] == names


def python_takes_x25519():
    """Not before Python 3.11, and not the first of its releases either, which Debian 12 has."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).set_ecdh_curve("X25519")
    except (ValueError, ssl.SSLError):
        return False
    return True


needs_x25519 = pytest.mark.skipif(
    not python_takes_x25519(), reason="this Python can't be told to use X25519"
)


@pytest.mark.parametrize(
    "name",
    [
        *("CurveP256", "CurveP384", "CurveP521"),
        pytest.param("X25519", marks=needs_x25519),
    ],
)
def test_every_curve_that_is_known_is_one_of_openssl(certificates, write, name):
    web_tls.make_context(tls(write(f"{TLS}, curve_preferences: [{name}]}}")))


def test_suites_of_tls_13_alone_are_enough_where_nothing_older_is_spoken(certificates, write):
    text = f"{TLS}, min_version: TLS13, cipher_suites: [TLS_AES_256_GCM_SHA384]}}"
    assert () == tls(write(text)).ciphers


@pytest.mark.parametrize(("order", "has"), [("true", True), ("false", False)])
def test_whose_order_of_suites_counts_is_told_to_openssl(certificates, write, order, has):
    context = web_tls.make_context(tls(write(f"{TLS}, prefer_server_cipher_suites: {order}}}")))
    assert has == bool(context.options & ssl.OP_CIPHER_SERVER_PREFERENCE)


def test_no_session_is_resumed_with_a_certificate_of_before(certificates, write):
    context = web_tls.make_context(tls(write(TLS + "}")))
    assert (0, True) == (context.num_tickets, bool(context.options & ssl.OP_NO_TICKET))


def test_certificates_can_be_in_the_file_itself(certificates, write):
    text = "tls_server_config:\n  client_auth_type: RequireAndVerifyClientCert\n"
    for key, name in (("cert", "cert.pem"), ("key", "key.pem"), ("client_ca", "ca.pem")):
        pem = (certificates.folder / name).read_text().replace("\n", "\n    ")
        text += f"  {key}: |\n    {pem}\n"
    path = write(text)
    path.chmod(0o600)
    assert ((), 1) == (tls(path).files, len(web_tls.make_context(tls(path)).get_ca_certs()))


@pytest.mark.parametrize(
    ("certificate", "allowed"),
    [
        ({"subjectAltName": (("DNS", "scraper"), ("DNS", "other"))}, True),
        ({"subjectAltName": (("IP Address", "2001:DB8:0:0:0:0:0:1"),)}, True),
        ({"subjectAltName": (("email", "ops@example.org"),)}, True),
        ({"subjectAltName": (("URI", "spiffe://scraper"),)}, True),
        ({"subjectAltName": (("DNS", "other"), ("Registered ID", "scraper"))}, False),
        ({"subject": ((("commonName", "scraper"),),)}, False),
        (None, False),
    ],
)
def test_a_client_is_allowed_by_one_of_its_names(certificates, write, certificate, allowed):
    text = f"""{TLS}, client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.pem,
      client_allowed_sans: [scraper, '2001:db8::1', ops@example.org, 'spiffe://scraper']}}"""
    assert allowed == tls(write(text)).allows(certificate)


# --- what is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tls_server_configs: {}", "did you mean tls_server_config?"),
        ("nonsense: {}", "use one of basic_auth_users, http_server_config, rate_limit,"),
        ("17: {}", "17 (from "),
        ("[]", "web configuration (from "),
        ("basic_auth_users: [alice]", "basic_auth_users (from "),
        ("tls_server_config: yes", "is not a mapping"),
        ("tls_server_config: {certfile: x}", "did you mean cert_file?"),
        ("tls_server_config: {min_version: TLS13}", "tls_server_config.cert_file"),
        ("tls_server_config: {cert_file: cert.pem}", "tls_server_config.key_file"),
        ("tls_server_config: {cert_file: absent.pem}", "absent.pem' can't be read: No such file"),
        ("tls_server_config: {cert_file: .}", "can't be read: it is not a regular file"),
        ("tls_server_config: {cert_file: pipe}", "can't be read: it is not a regular file"),
        ('tls_server_config: {cert_file: "a\\0b"}', "embedded null "),
        ("tls_server_config: {cert_file: [x]}", "cert_file (from "),
        ("tls_server_config: {cert: true}", "is not text; put it in quotes"),
        (TLS + ", cert: x}", "cert_file is set too; leave one out"),
        ('tls_server_config: {cert: "\\ud800"}', "is not PEM; name a PEM file under cert_file"),
        (TLS + ", client_ca: é}", "is not PEM; name a PEM file under client_ca_file"),
        ('tls_server_config: {cert_file: "\\ud800"}', "can't be read: "),
        (TLS + ", min_version: TLS11}", "TLS11 is not supported; set TLS12 or TLS13"),
        (TLS + ", max_version: TLS10}", "TLS10 is not supported; set TLS12 or TLS13"),
        (TLS + ", min_version: TLSv13}", "did you mean TLS13?"),
        (TLS + ", min_version: TLS13, max_version: TLS12}", "is newer than max_version"),
        (TLS + ", client_auth_type: Require}", "'Require' can't be used; "),
        (TLS + ", client_auth_type: 7}", "set one of NoClientCert, "),
        (TLS + ", client_auth_type: RequestClientCert}", "set VerifyClientCertIfGiven and "),
        (TLS + ", client_auth_type: RequireAnyClientCert}", "set RequireAndVerifyClientCert and "),
        (TLS + ", client_auth_type: VerifyClientCertIfGiven}", "client_ca_file (from "),
        (TLS + ", client_ca_file: ca.pem}", "set RequireAndVerifyClientCert"),
        (TLS + ", client_allowed_sans: [a]}", "clients may connect without a certificate"),
        (TLS + ", client_allowed_sans: []}", "is not a list of texts"),
        (TLS + ", client_allowed_sans: a}", "is not a list of texts"),
        (TLS + ", cipher_suites: [RC4]}", "'RC4' is not a supported suite"),
        (TLS + ", cipher_suites: [TLS_AES_128_GCM_SHA256]}", "has no suite of TLS 1.2"),
        (TLS + ", curve_preferences: [P256]}", "'P256' is not a supported curve"),
        (TLS + ", curve_preferences: [X25519, CurveP256]}", "but Python's ssl accepts one"),
        (TLS + ", prefer_server_cipher_suites: 1}", "is neither true nor false"),
        ("http_server_config: {http2: maybe}", "is neither true nor false"),
        ("http_server_config: {headers: {X-Powered-By: x}}", "headers.X-Powered-By"),
        ("http_server_config: {headers: {X-Frame-Options: allow}}", "set one of deny, sameorigin"),
        (
            'http_server_config: {headers: {X-XSS-Protection: "0\\r\\nA: b"}}',
            "not allowed in a header",
        ),
        ("http_server_config: {headers: {Content-Security-Policy: é}}", "not allowed in a header"),
        ("rate_limit: {interval: soon}", "'soon' is not a duration; write it like 500ms or 1s"),
        ("rate_limit: {interval: 1s 2s, burst: 1}", "'1s 2s' is not a duration"),
        ("rate_limit: {interval: 1s}", "0 would let no request through"),
        ("rate_limit: {interval: 1s, burst: many}", "is not a whole number"),
        ("basic_auth_users: {alice: hunter2}", "user 1 (from "),
        ("basic_auth_users: {hunter2: alice}", "has no bcrypt hash for a password"),
        ("basic_auth_users: {alice: 7}", "make one with `htpasswd -nBC 10 USER`"),
        (f"basic_auth_users: {{alice: '{HASH}', 7: '{HASH}'}}", "user 2 (from "),
        (f"basic_auth_users: {{'': '{HASH}'}}", "has a name that is not text"),
        (f"basic_auth_users: {{'a:b': '{HASH}'}}", "without a colon"),
        (f'basic_auth_users: {{"\\ud800": "{HASH}"}}', "or can't be sent"),
        (f"basic_auth_users: {{alice: '{HASH.replace('$04$', '$03$')}'}}", "not one of 4 to 14"),
        (f"basic_auth_users: {{alice: '{HASH.replace('$04$', '$15$')}'}}", "not one of 4 to 14"),
        (f"basic_auth_users: {{alice: '{HASH}', alice: '{HASH}'}}", "has a key twice (line 1, col"),
        ("rate_limit:\nrate_limit:\n", "has a key twice (line 2, column 1)"),
        ("a: b: hunter2", "is not YAML (line 1, column 5)"),
        ("a: *hunter2", "is not YAML (line 1, column 4)"),
        ("a: !hunter2 b", "is not YAML (line 1, column 4)"),
        ("a: !!bool hunter2", "is not YAML;"),
        ("a: !!timestamp hunter2", "is not YAML;"),
        ("a: 2001-99-99", "is not YAML;"),
        ("a: \x00", "is not YAML;"),
        ("? [a]\n: b", "is not YAML (line 1, column 3)"),
        ("--- 1\n--- 2\n", "is not YAML (line 2, column 1)"),
        ("[" * sys.getrecursionlimit(), "is not YAML;"),
        ("#" * (MOST_BYTES + 1), f"it has more than {MOST_BYTES} bytes"),
    ],
)
def test_what_can_not_be_used_is_refused(certificates, write, text, said):
    os.mkfifo(certificates.folder / "pipe")
    assert said in refused(write(text))


@pytest.mark.parametrize(
    "text",
    [
        "hunter2",
        "hunter2: hunter2: hunter2",
        "basic_auth_users: {alice: hunter2}",
        "basic_auth_users: {hunter2: alice}",
        f"basic_auth_users: {{'{HASH}': alice}}",
        f"basic_auth_users: {{alice: '{HASH}', alice: '{HASH}'}}",
        f"basic_auth_users: '{HASH}'",
        f"basic_auth_users: {{alice: {HASH}",
        "tls_server_config: {cert_file: cert.pem, key: -----BEGIN PRIVATE KEY----- hunter2}",
        "tls_server_config: {cert_file: cert.pem, key: [-----BEGIN PRIVATE KEY----- hunter2]}",
        "tls_server_config: {cert_file: cert.pem, key_file: -----BEGIN PRIVATE KEY----- hunter2}",
        "tls_server_config:\n  key: |\n  -----BEGIN PRIVATE KEY-----\nhunter2\n",
    ],
)
def test_no_secret_is_told_of_a_file_that_is_refused(certificates, write, text):
    path = write(text)
    path.chmod(0o600)
    told = refused(path)
    assert [] == [secret for secret in SECRETS if secret in told]


@pytest.mark.parametrize(
    "text", ["hunter2: hunter2: hunter2", "basic_auth_users: {alice: hunter2}", "a: !!bool hunter2"]
)
def test_no_secret_is_in_what_caused_a_refusal(write, text):
    with pytest.raises(ConfigError) as caught:
        read_config(write(text))
    error = caught.value
    assert (None, True) == (error.__cause__, error.__suppress_context__ or not error.__context__)


def test_pem_under_the_key_of_a_file_is_told_its_place(certificates, write):
    text = "tls_server_config: {cert_file: '-----BEGIN CERTIFICATE-----'}"
    assert "cert_file" in refused(write(text))
    assert "contains PEM instead of a path; put it under cert." in refused(write(text))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("absent.yml", "No such file or directory"),
        (".", "it is not a regular file"),
        ("pipe", "it is not a regular file"),
        ("latin.yml", "byte 4 is not UTF-8"),
    ],
)
def test_a_file_that_can_not_be_read_is_refused(tmp_path, name, reason):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "latin.yml").write_bytes(b"a: \xe9")
    path = tmp_path / name
    assert (
        f"web configuration (from {path}): the file can't be read: {reason}; "
        "name a YAML file that this process may read."
    ) == refused(path)


def test_a_path_with_a_null_character_is_refused(tmp_path):
    assert "the file can't be read: " in refused(tmp_path / "a\0b")


def test_a_refusal_names_the_key_the_file_and_the_mend(write):
    path = write("rate_limit: {interval: soon}")
    assert (
        f"rate_limit.interval (from {path}): 'soon' is not a duration; write it like 500ms or 1s."
    ) == refused(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode()))
def test_whatever_is_in_the_file_nothing_but_a_refusal_comes_of_it(tmp_path, data):
    path = tmp_path / "web.yml"
    path.write_bytes(data)
    with contextlib.suppress(ConfigError):
        read_config(path)


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9) | st.just("cert.pem"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=6,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(key=st.sampled_from(web_tls.KEYS), value=_VALUES)
def test_whatever_tls_has_as_a_value_nothing_but_a_refusal_comes_of_it(
    certificates, tmp_path, key, value
):
    there = {"cert_file": "cert.pem", "key_file": "key.pem", key: value}
    path = tmp_path / "web.yml"
    path.write_text(yaml.safe_dump({"tls_server_config": there}))
    with contextlib.suppress(ConfigError):
        WebConfigFile(path)


# --- certificates that can't be used -----------------------------------------------------------


def test_a_key_of_another_certificate_is_refused(certificates, write):
    certificates.issue("other.pem", "key.pem", "127.0.0.1")
    path = write(TLS + "}")
    assert (
        f"tls_server_config.cert_file (from {path}): {path.parent / 'cert.pem'} and its key can't "
        "be used: KEY_VALUES_MISMATCH; name the PEM files of a certificate and its key, which has "
        "no passphrase."
    ) == refused(path)


def test_a_key_with_a_passphrase_is_refused(certificates, write):
    key = serialization.load_pem_private_key((certificates.folder / "key.pem").read_bytes(), None)
    sealed = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"hunter2"),
    )
    (certificates.folder / "key.pem").write_bytes(sealed)
    assert "can't be used: the key has a passphrase; " in refused(write(TLS + "}"))


@pytest.mark.parametrize("name", ["cert.pem", "key.pem"])
def test_a_file_that_is_no_pem_is_refused(certificates, write, name):
    (certificates.folder / name).write_text("hunter2")
    assert "and its key can't be used: " in refused(write(TLS + "}"))


def test_a_file_of_authorities_that_has_none_is_refused(certificates, write):
    certificates.ca.write_text("")
    path = write(f"{TLS}, client_auth_type: VerifyClientCertIfGiven, client_ca_file: ca.pem}}")
    assert (
        f"tls_server_config.client_ca_file (from {path}): {certificates.ca} contains no usable "
        "certificate: NO_CERTIFICATE_OR_CRL_FOUND; name a PEM file of CA certificates."
    ) == refused(path)


def test_authorities_in_the_file_itself_that_are_none_are_refused(certificates, write):
    path = write(f"{TLS}, client_auth_type: VerifyClientCertIfGiven, client_ca: nobody}}")
    assert "tls_server_config.client_ca (from" in refused(path)


def test_a_certificate_in_the_file_itself_that_is_none_is_refused(certificates, write):
    path = write("tls_server_config: {cert: nobody, key: hunter2}")
    path.chmod(0o600)
    assert f"tls_server_config.cert (from {path}): it and its key can't be used" in refused(path)


def test_suites_that_this_openssl_lacks_are_refused(certificates, write):
    with pytest.raises(InvalidTLS, match="OpenSSL does not support these suites"):
        web_tls.make_context(tls(write(TLS + "}"), ciphers=("RETIRED",)))


# --- what others may read ----------------------------------------------------------------------


def test_a_key_that_every_user_may_read_is_warned_of(certificates, write, caplog):
    (certificates.folder / "key.pem").chmod(0o644)
    WebConfigFile(write(TLS + "}"))
    key = certificates.folder / "key.pem"
    assert [f"Every user may read the key in {key}; chmod o-r fixes it."] == caplog.messages


def test_a_key_in_the_file_itself_makes_that_the_one_to_keep(certificates, write, caplog):
    key = (certificates.folder / "key.pem").read_text().replace("\n", "\n    ")
    path = write(f"tls_server_config:\n  cert_file: cert.pem\n  key: |\n    {key}")
    path.chmod(0o644)
    WebConfigFile(path)
    assert [f"Every user may read the key in {path}; chmod o-r fixes it."] == caplog.messages


def test_a_file_that_can_not_be_used_is_not_warned_of_again_and_again(certificates, write, caplog):
    (certificates.folder / "key.pem").chmod(0o644)
    watched = Watched(write(TLS + "}"))
    (certificates.folder / "cert.pem").write_text("")
    for _ in range(3):
        watched.later()
    assert 2 == len(caplog.messages)


def test_a_key_that_goes_away_is_not_warned_of(certificates, write, caplog):
    found = tls(write(TLS + "}"))
    (certificates.folder / "key.pem").unlink()
    found.warn_of_readers()
    assert [] == caplog.messages


def test_a_key_of_its_own_user_is_not_warned_of(certificates, write, caplog):
    WebConfigFile(write(TLS + "}"))
    assert [] == caplog.messages


# --- the reload --------------------------------------------------------------------------------


class Watched:
    """A file in force, the time, and the gauge."""

    def __init__(self, path):
        self.time = 0.0
        self.gauge = []
        self.file = WebConfigFile(
            path, record=lambda value, _: self.gauge.append(value), clock=lambda: self.time
        )

    def later(self, seconds=1.0):
        """What is in force some time later."""
        self.time += seconds
        return self.file.now()

    @property
    def users(self):
        return sorted(self.later().config.users)


def users(*names):
    return "basic_auth_users: {" + ", ".join(f"{name}: '{HASH}'" for name in names) + "}\n"


@pytest.fixture
def watched(write):
    return Watched(write(users("alice")))


def test_the_gauge_is_one_of_the_catalogues_kind():
    assert ("traced_image_exporter_config_last_reload_successful", "gauge", ()) == (
        RELOADED.name,
        RELOADED.kind,
        RELOADED.labels,
    )


def test_a_file_that_was_read_sets_the_gauge(watched):
    assert [1.0] == watched.gauge


def test_a_file_that_stays_as_it_is_is_not_read_again(watched):
    before = watched.file.in_force
    assert before is watched.later()


def test_a_changed_file_is_in_force(watched, write):
    write(users("alice", "bob"))
    assert ["alice", "bob"] == watched.users


def test_a_file_is_looked_at_once_a_second_at_most(watched, write):
    write(users("alice", "bob"))
    assert ["alice"] == sorted(watched.later(0.9).config.users)


def test_a_file_of_the_same_size_and_time_is_seen_to_be_another(watched, write, tmp_path):
    before = (tmp_path / "web.yml").stat()
    write(users("bobby"), "next.yml")
    os.utime(tmp_path / "next.yml", ns=(before.st_atime_ns, before.st_mtime_ns))
    (tmp_path / "next.yml").replace(tmp_path / "web.yml")
    assert ["bobby"] == watched.users


def test_a_link_that_leads_elsewhere_is_seen(write, tmp_path):
    """As Kubernetes does it when it changes what is mounted."""
    for name, who in (("one", "alice"), ("two", "bobby")):
        (tmp_path / name).mkdir()
        write(users(who), f"{name}/web.yml")
    link = tmp_path / "data"
    link.symlink_to("one")
    (tmp_path / "web.yml").symlink_to("data/web.yml")
    watched = Watched(tmp_path / "web.yml")
    (tmp_path / "next").symlink_to("two")
    (tmp_path / "next").replace(link)
    assert ["bobby"] == watched.users


def test_a_bad_file_leaves_what_was_in_force(watched, write):
    write("nonsense")
    assert ["alice"] == watched.users


def test_a_bad_file_is_warned_of_once(watched, write, caplog):
    path = write("rate_limit: {interval: soon}")
    for _ in range(3):
        watched.later()
    said = (
        f"rate_limit.interval (from {path}): 'soon' is not a duration; write it like 500ms or 1s. "
        "The old configuration stays in force."
    )
    assert [
        ("traced_image.exporter.web.config_file", logging.WARNING, said)
    ] == caplog.record_tuples


def test_a_bad_file_sets_the_gauge_to_zero(watched, write):
    write("nonsense")
    watched.later()
    assert [1.0, 0.0] == watched.gauge


def test_another_fault_is_warned_of_again(watched, write, caplog):
    for text in ("rate_limit: 1", "rate_limit: {interval: soon}"):
        write(text)
        watched.later()
    assert 2 == len(caplog.messages)


def test_a_file_that_is_right_again_is_in_force_and_sets_the_gauge(watched, write):
    write("nonsense")
    watched.later()
    write(users("bob"))
    assert (["bob"], [1.0, 0.0, 1.0]) == (watched.users, watched.gauge)


def test_a_file_that_is_gone_leaves_what_was_in_force(watched, tmp_path):
    (tmp_path / "web.yml").unlink()
    assert (["alice"], [1.0, 0.0]) == (watched.users, watched.gauge)


@pytest.mark.parametrize("text", ["", "basic_auth_users: {}"])
def test_a_reload_does_not_let_everybody_in(watched, write, caplog, text):
    path = write(text)
    assert ["alice"] == watched.users
    said = (
        f"basic_auth_users (from {path}): is a protection that a reload can't remove; "
        "put it back, or restart the exporter without it. The old configuration stays in force."
    )
    assert [said] == caplog.messages


MUTUAL = f"{TLS}, client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.pem"


@pytest.mark.parametrize(
    ("before", "after", "lost"),
    [
        (TLS + "}", users("alice"), "tls_server_config"),
        (MUTUAL + "}", TLS + "}", "tls_server_config.client_auth_type"),
        (
            MUTUAL + "}",
            f"{TLS}, client_auth_type: VerifyClientCertIfGiven, client_ca_file: ca.pem}}",
            "tls_server_config.client_auth_type",
        ),
        (
            MUTUAL + ", client_allowed_sans: [a]}",
            MUTUAL + "}",
            "tls_server_config.client_allowed_sans",
        ),
    ],
)
def test_a_reload_gives_up_nothing_that_protects(certificates, write, caplog, before, after, lost):
    watched = Watched(write(before))
    in_force = watched.file.in_force
    write(after)
    assert in_force is watched.later()
    assert caplog.messages[0].startswith(f"{lost} (from ")


def test_a_reload_can_add_what_protects(certificates, write, watched):
    write(users("alice") + TLS + "}")
    assert watched.later().context is not None


def test_a_new_certificate_is_in_force(certificates, write):
    watched = Watched(write(TLS + "}"))
    before = watched.file.in_force
    certificates.issue("cert.pem", "key.pem", "127.0.0.1")
    assert before.context is not watched.later().context


def test_a_new_authority_of_clients_is_in_force(certificates, write):
    watched = Watched(write(MUTUAL + "}"))
    trustme.CA().cert_pem.write_to_path(str(certificates.ca), append=True)
    assert 2 == len(watched.later().context.get_ca_certs())


def test_half_of_a_new_certificate_leaves_the_old_one_until_all_is_there(certificates, write):
    watched = Watched(write(TLS + "}"))
    before = watched.file.in_force
    certificates.issue("cert.pem", "later.pem", "127.0.0.1")
    half = watched.later()
    (certificates.folder / "later.pem").replace(certificates.folder / "key.pem")
    assert (True, False) == (before is half, before is watched.later())


def test_a_certificate_that_comes_later_than_the_file_that_names_it_is_found(certificates, write):
    watched = Watched(write(TLS + "}"))
    before = watched.file.in_force
    write("tls_server_config: {cert_file: new.pem, key_file: newkey.pem}")
    watched.later()
    certificates.issue("new.pem", "newkey.pem", "127.0.0.1")
    assert before is not watched.later()


def test_the_first_certificates_go_unwatched_once_others_are_named(certificates, write):
    watched = Watched(write(TLS + "}"))
    Certificates(certificates.authority, certificates.folder).issue("n.pem", "k.pem", "localhost")
    write("tls_server_config: {cert_file: n.pem, key_file: k.pem}")
    after = watched.later()
    (certificates.folder / "cert.pem").unlink()
    assert after is watched.later()
