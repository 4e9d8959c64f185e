"""The metrics of the exporter: what it probes of each server, and its own configuration."""

from __future__ import annotations

from typing import Literal

from .metrics import Metric

Phase = Literal["dns", "connect", "tls", "first_byte", "body"]
PHASES: dict[Phase, str] = {
    "dns": "the server's name was looked up",
    "connect": "the TCP connection was made",
    "tls": "TLS was set up",
    "first_byte": "from then until the first byte of the answer",
    "body": "from then until its last byte",
}
"""What a probe's time goes to, in this order; one ends where the next begins."""

CanaryCheck = Literal["show", "download"]
CHECKS: dict[CanaryCheck, str] = {
    "show": "the record of an image",
    "download": "the first megabyte of its data",
}
"""What is asked of a server about the image that it is probed with."""

LABELS = {"phase": "phase", "check": "check"}
"""The labels beside those of the calls' metrics, with the attributes that stand for them."""

_SERVER = ("server_address", "server_port")

SUCCESS = Metric(
    "glance_probe_success",
    "glance.probe.success",
    "{probe}",
    "gauge",
    "1 if the latest probe succeeded, else 0.",
    _SERVER,
)
FAILURE = Metric(
    "glance_probe_failure_info",
    "glance.probe.failure_info",
    "",
    "gauge",
    "1, with the reason, if the latest probe failed.",
    (*_SERVER, "error_type"),
)
TIME = Metric(
    "glance_probe_timestamp_seconds",
    "glance.probe.timestamp",
    "s",
    "gauge",
    "When the latest probe ended, in seconds since the epoch.",
    _SERVER,
)
DURATION = Metric(
    "glance_probe_duration_seconds",
    "glance.probe.duration",
    "s",
    "gauge",
    "Duration of each phase of the latest probe, the one that failed included.",
    (*_SERVER, "phase"),
)
STATUS_CODE = Metric(
    "glance_probe_http_status_code",
    "glance.probe.http.status_code",
    "{status}",
    "gauge",
    "The HTTP status of the server's root, which is 300 for Glance.",
    _SERVER,
)
CERTIFICATE_EXPIRY = Metric(
    "glance_probe_tls_certificate_expiry_timestamp_seconds",
    "glance.probe.tls.certificate_expiry_timestamp",
    "s",
    "gauge",
    "When the server's certificate expires, in seconds since the epoch, whether trusted or not.",
    _SERVER,
)
HEALTHCHECK = Metric(
    "glance_probe_healthcheck_up",
    "glance.probe.healthcheck.up",
    "{server}",
    "gauge",
    "1 if /healthcheck is well, 0 if it is not; no series if the server has none.",
    _SERVER,
)
API_VERSION = Metric(
    "glance_probe_api_version_info",
    "glance.probe.api_version_info",
    "",
    "gauge",
    "1, with the version of the Image API that the server has as the current one.",
    (*_SERVER, "version"),
)
CANARY_SUCCESS = Metric(
    "glance_probe_canary_success",
    "glance.probe.canary.success",
    "{check}",
    "gauge",
    "1 if the latest check with an image succeeded, else 0.",
    (*_SERVER, "check"),
)
CANARY_DURATION = Metric(
    "glance_probe_canary_duration_seconds",
    "glance.probe.canary.duration",
    "s",
    "gauge",
    "Duration of the latest check with an image.",
    (*_SERVER, "check"),
)
CANARY_BYTES = Metric(
    "glance_probe_canary_download_bytes",
    "glance.probe.canary.download",
    "By",
    "gauge",
    "Bytes of image data that the latest download brought.",
    _SERVER,
)

PROBE_METRICS = (
    SUCCESS,
    FAILURE,
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
    "Whether all configuration files could be used when they were last read.",
    merge="livemostrecent",
)
