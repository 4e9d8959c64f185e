"""The exporter's metrics: the results of its probes, and the state of its configuration."""

from __future__ import annotations

from typing import Literal

from .metrics import Metric

Phase = Literal["dns", "connect", "tls", "first_byte", "body"]
PHASES: dict[Phase, str] = {
    "dns": "looking up the server's name",
    "connect": "opening the TCP connection",
    "tls": "the TLS handshake",
    "first_byte": "from sending the request to the first byte of the reply",
    "body": "from the first byte of the reply to its last byte",
}
"""The phases of a probe, in this order; each phase ends when the next one begins."""

CanaryCheck = Literal["show", "download"]
CHECKS: dict[CanaryCheck, str] = {
    "show": "read the canary's record",
    "download": "download the first MiB of its data",
}
"""The checks that a probe makes with the canary."""

Setting = Literal["image", "credentials", "prefix"]
SETTINGS: dict[Setting, str] = {
    "image": "the server refuses the canary or its data, such as by 404",
    "credentials": "the server, or a proxy before it, refuses the token or wants one",
    "prefix": "no Glance answers under the path of the server's address",
}
"""The settings of a probe that a refusal shows to be wrong; the server itself is up."""

LABELS = {"phase": "phase", "check": "check", "setting": "setting"}
"""The labels that only these metrics have, with their OpenTelemetry attributes."""

_SERVER = ("server_address", "server_port")

SUCCESS = Metric(
    "glance_probe_success",
    "glance.probe.success",
    "{probe}",
    "gauge",
    "1 if the latest probe found the server up, else 0; a wrong setting of the probe is no 0.",
    _SERVER,
)
FAILURE = Metric(
    "glance_probe_failure_info",
    "glance.probe.failure_info",
    "",
    "gauge",
    "1, with the reason in error_type, if the latest probe failed.",
    (*_SERVER, "error_type"),
)
MISCONFIGURED = Metric(
    "glance_probe_misconfigured",
    "glance.probe.misconfigured",
    "{probe}",
    "gauge",
    "1 if the server's reply shows that a setting of the probe is wrong, else 0.",
    (*_SERVER, "setting"),
)
TIME = Metric(
    "glance_probe_timestamp_seconds",
    "glance.probe.timestamp",
    "s",
    "gauge",
    "Time at which the latest probe ended, in seconds since the epoch.",
    _SERVER,
)
DURATION = Metric(
    "glance_probe_duration_seconds",
    "glance.probe.duration",
    "s",
    "gauge",
    "Duration of each phase of the latest probe, including a phase that failed.",
    (*_SERVER, "phase"),
)
STATUS_CODE = Metric(
    "glance_probe_http_status_code",
    "glance.probe.http.status_code",
    "{status}",
    "gauge",
    "HTTP status of /versions below the server's URL; Glance answers 200.",
    _SERVER,
)
CERTIFICATE_EXPIRY = Metric(
    "glance_probe_tls_certificate_expiry_timestamp_seconds",
    "glance.probe.tls.certificate_expiry_timestamp",
    "s",
    "gauge",
    "Expiry of the server's certificate, trusted or not, in seconds since the epoch.",
    _SERVER,
)
HEALTHCHECK = Metric(
    "glance_probe_healthcheck_up",
    "glance.probe.healthcheck.up",
    "{server}",
    "gauge",
    "1 if /healthcheck answers 200, 0 if it fails; no series if the server has no /healthcheck.",
    _SERVER,
)
API_VERSION = Metric(
    "glance_probe_api_version_info",
    "glance.probe.api_version_info",
    "",
    "gauge",
    "1, with the version of the Image API that the server names as CURRENT.",
    (*_SERVER, "version"),
)
CANARY_SUCCESS = Metric(
    "glance_probe_canary_success",
    "glance.probe.canary.success",
    "{check}",
    "gauge",
    "1 if the latest check with the canary succeeded, else 0.",
    (*_SERVER, "check"),
)
CANARY_DURATION = Metric(
    "glance_probe_canary_duration_seconds",
    "glance.probe.canary.duration",
    "s",
    "gauge",
    "Duration of the latest check with the canary.",
    (*_SERVER, "check"),
)
CANARY_BYTES = Metric(
    "glance_probe_canary_download_bytes",
    "glance.probe.canary.download",
    "By",
    "gauge",
    "Bytes of image data that the latest download received.",
    _SERVER,
)

PROBE_METRICS = (
    SUCCESS,
    FAILURE,
    MISCONFIGURED,
    TIME,
    DURATION,
    STATUS_CODE,
    CERTIFICATE_EXPIRY,
    HEALTHCHECK,
    API_VERSION,
    CANARY_SUCCESS,
    CANARY_DURATION,
    CANARY_BYTES,
)

RELOADED = Metric(
    "traced_image_exporter_config_last_reload_successful",
    "traced_image.exporter.config.last_reload_successful",
    "{reload}",
    "gauge",
    "1 if the latest reload of the configuration files succeeded, else 0.",
    merge="livemostrecent",
)
