"""A real Prometheus and a real ``openssl s_client`` at an exporter that its web file protects."""

import base64
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import bcrypt
import parts.prometheus
import pytest
import trustme
from parts.prometheus import Prometheus
from prometheus_client import CollectorRegistry

from traced_image import exporter
from traced_image.exporter.web.handle import ExporterHandle
from traced_image.telemetry.catalogue.probe_metrics import RELOADED

USER, PASSWORD = "prometheus", "correct horse"
HASH = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(10)).decode()

MUTUAL = f"""\
tls_server_config:
  cert_file: server.pem
  key_file: server.key
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: ca.pem
  client_allowed_sans: [prometheus.example.org]
  min_version: TLS12
  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384]
http_server_config:
  headers: {{Strict-Transport-Security: max-age=3600}}
basic_auth_users:
  {USER}: {HASH}
"""
"""Everything at once: both know each other by certificate, and then there is a password."""

SETTINGS = """\
global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}
scrape_configs:
- job_name: traced-image
  scheme: https
  file_sd_configs: [{{files: [targets/*.json]}}]
  tls_config:
    ca_file: {folder}/ca.pem
    cert_file: {folder}/{client}.pem
    key_file: {folder}/{client}.key
  basic_auth: {{username: {user}, password: {password}}}
"""

REQUEST = f"""\
GET /healthz HTTP/1.1\r
Host: exporter\r
Authorization: Basic {base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()}\r
Connection: close\r
\r
"""

LIMIT = 30.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Certificates of the server, of a client that is allowed, and of others; the web file."""
    authority, stranger = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    issue(tmp_path, "server", authority, "127.0.0.1")
    issue(tmp_path, "client", authority, "prometheus.example.org")
    issue(tmp_path, "colleague", authority, "grafana.example.org")
    issue(tmp_path, "stranger", stranger, "prometheus.example.org")
    (tmp_path / "web.yml").write_text(MUTUAL)
    return tmp_path


def issue(folder: Path, name: str, authority: trustme.CA, san: str) -> None:
    made = authority.issue_cert(san)
    (folder / f"{name}.pem").write_bytes(b"".join(pem.bytes() for pem in made.cert_chain_pems))
    (folder / f"{name}.key").write_bytes(made.private_key_pem.bytes())
    (folder / f"{name}.key").chmod(0o600)


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def running(folder: Path, registry: CollectorRegistry) -> Iterator[ExporterHandle]:
    with exporter.start(registry=registry, port=0, web_config=folder / "web.yml") as handle:
        yield handle


# --- Prometheus --------------------------------------------------------------------------------


@pytest.fixture
def scrape(prometheus, folder, running, monkeypatch):
    """A Prometheus that has scraped the exporter as some client: ``with scrape(...) as it``."""

    @contextmanager
    def scraping(client: str = "client", password: str = PASSWORD) -> Iterator[Prometheus]:
        settings = SETTINGS.format(folder=folder, client=client, user=USER, password=password)
        monkeypatch.setattr(parts.prometheus, "_SETTINGS", settings)
        with parts.prometheus.prometheus(prometheus.programs, folder / client) as own:
            own.scrape("exporter", running.port)
            yield own

    return scraping


def up(prometheus: Prometheus) -> list[str]:
    return [found["value"][1] for found in prometheus.query("up")]


def last_error(prometheus: Prometheus) -> str:
    (target,) = prometheus.get("targets", state="active")["activeTargets"]
    return target["lastError"]


def test_prometheus_is_up_over_mutual_tls_and_basic_auth(scrape):
    with scrape() as prometheus:
        prometheus.until(lambda: ["1"] == up(prometheus), "the exporter is not up")
        assert "" == last_error(prometheus)


def failures(prometheus: Prometheus) -> int:
    """How many scrapes have failed."""
    (all_,), (good,) = (prometheus.query(f"{what}_over_time(up[1h])") for what in ("count", "sum"))
    return int(all_["value"][1]) - int(good["value"][1])


def test_prometheus_stays_up_while_the_authority_and_the_certificate_change(
    scrape, folder, running
):
    with scrape() as prometheus:
        prometheus.until(lambda: ["1"] == up(prometheus), "the exporter is not up")
        before, serial = failures(prometheus), shown(running, folder)
        authority = trustme.CA()
        both = (folder / "ca.pem").read_bytes() + authority.cert_pem.bytes()
        (folder / "ca.pem").write_bytes(both)
        issue(folder, "server", authority, "127.0.0.1")
        prometheus.until(lambda: serial != shown(running, folder), "the old certificate is shown")
        prometheus.fresh("exporter")
        assert before == failures(prometheus)


def test_the_gauge_says_whether_the_last_reload_was_right(scrape, folder):
    with scrape() as prometheus:
        (folder / "web.yml").write_text("nonsense")
        prometheus.until(
            lambda: ["0"] == [found["value"][1] for found in prometheus.query(RELOADED.name)],
            "no reload failed",
        )
        assert ["1"] == up(prometheus)


@pytest.mark.parametrize(
    ("client", "password", "said"),
    [
        ("client", "wrong", "server returned HTTP status 401 Unauthorized"),
        ("colleague", PASSWORD, ""),
        ("stranger", PASSWORD, ""),
    ],
)
def test_prometheus_is_not_up_with_a_wrong_password_or_certificate(scrape, client, password, said):
    with scrape(client, password) as prometheus:
        prometheus.until(lambda: said in last_error(prometheus) != "", "the exporter let it in")
        assert ["0"] == up(prometheus)


# --- openssl -----------------------------------------------------------------------------------


def s_client(running: ExporterHandle, folder: Path, *options: str, client: str = "client") -> str:
    """What openssl says and hears, when it asks once."""
    certificate = ["-cert", f"{client}.pem", "-key", f"{client}.key"] if client else []
    done = subprocess.run(
        [
            *("openssl", "s_client", "-connect", f"127.0.0.1:{running.port}", "-ign_eof"),
            *("-CAfile", "ca.pem", "-verify_return_error", *certificate, *options),
        ],
        input=REQUEST,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT,
    )
    return done.stdout + done.stderr


def shown(running: ExporterHandle, folder: Path) -> str:
    """The number of the certificate that the exporter shows."""
    told = s_client(running, folder)
    certificate = re.search(
        "-----BEGIN CERTIFICATE-----.*-----END CERTIFICATE-----", told, re.DOTALL
    )
    assert certificate is not None, told
    return subprocess.run(
        ["openssl", "x509", "-noout", "-serial"],
        input=certificate[0],
        capture_output=True,
        text=True,
        check=True,
        timeout=LIMIT,
    ).stdout


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_a_client_with_an_allowed_certificate_is_answered(running, folder, version):
    told = s_client(running, folder, version)
    assert ["Verify return code: 0 (ok)", "HTTP/1.1 200 OK", "ok"] == [
        line.strip()
        for line in told.splitlines()
        if line.strip() in ("Verify return code: 0 (ok)", "HTTP/1.1 200 OK", "ok")
    ][-3:]


def test_the_headers_of_the_web_file_are_on_its_answers(running, folder):
    assert "strict-transport-security: max-age=3600" in s_client(running, folder)


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
@pytest.mark.parametrize("client", ["", "colleague", "stranger"])
def test_a_client_without_an_allowed_certificate_is_not_answered(running, folder, client, version):
    told = s_client(running, folder, version, client=client)
    assert (True, False) == ("CONNECTED" in told, "HTTP/1.1" in told)


@pytest.mark.parametrize(
    "options",
    [
        ["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"],
        ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"],
    ],
)
def test_an_older_version_or_another_suite_is_not_spoken(running, folder, options):
    told = s_client(running, folder, *options)
    assert (True, False) == ("CONNECTED" in told, "HTTP/1.1" in told)


def test_the_suite_of_the_web_file_is_spoken(running, folder):
    told = s_client(running, folder, "-tls1_2")
    assert "Cipher is ECDHE-ECDSA-AES256-GCM-SHA384" in told


def test_no_session_is_offered_for_later(running, folder):
    assert "TLS session ticket:" not in s_client(running, folder)
