"""Alerts on the results of the exporter's probes, and on the exporter itself."""

from __future__ import annotations

from traced_image.telemetry.catalogue import probe_metrics

from ..links import OF_SERVER, OF_TELEMETRY
from ..promql import selector
from ..recording import CALLER, PROBES
from .alert import SERVER, Alert, show_first

_DAYS = 14

_WHY = show_first(probe_metrics.FAILURE.name, "error_type")
_WRONG = (
    f"max without ({', '.join(CALLER)}) "
    f"(avg_over_time({selector(probe_metrics.MISCONFIGURED)}[5m])) > 0.5"
)
_CHECKED = f"avg_over_time({selector(probe_metrics.CANARY_SUCCESS)}[5m])"

PROBE_ALERTS = (
    Alert(
        "GlanceProbeFailing",
        "ticket",
        f"avg_over_time({PROBES.record}[5m]) < 0.5",
        "5m",
        f"Probes of Glance server {SERVER} fail.",
        f"{{{{ $value | humanizePercentage }}}} of the probes of {SERVER} by"
        f" {{{{ $labels.job }}}} succeeded in the last 5 minutes. Reason: {_WHY}.",
        board=OF_SERVER,
    ),
    Alert(
        "GlanceProbeMisconfigured",
        "ticket",
        _WRONG,
        "5m",
        f"Probes of Glance server {SERVER} have a wrong {{{{ $labels.setting }}}}.",
        f"{SERVER} is up, and refused {{{{ $value | humanizePercentage }}}} of the probes by"
        " {{ $labels.job }} in the last 5 minutes: what is wrong is the {{ $labels.setting }} that"
        " the probes use. The exporter's page and its log say more.",
        board=OF_SERVER,
    ),
    Alert(
        "GlanceCanaryFailing",
        "ticket",
        # A server that refuses the test image has an alert of its own.
        f"min without ({', '.join(CALLER)}) ({_CHECKED}) < 0.5\n"
        f"unless ignoring (check)\nmax without (setting) ({_WRONG})",
        "5m",
        f"Glance server {SERVER} answers, but does not serve the test image.",
        f"{{{{ $value | humanizePercentage }}}} of the checks {{{{ $labels.check }}}} on {SERVER}"
        " by {{ $labels.job }} succeeded in the last 5 minutes.",
        board=OF_SERVER,
    ),
    Alert(
        "GlanceCertificateExpiring",
        "ticket",
        f"min without ({', '.join(CALLER)}) ({selector(probe_metrics.CERTIFICATE_EXPIRY)}) - time()"
        f" < {_DAYS} * 86400",
        "15m",
        f"The certificate of Glance server {SERVER} expires soon.",
        f"The certificate that {SERVER} shows to {{{{ $labels.job }}}} expires in"
        " {{ $value | humanizeDuration }}; with a minus sign, it has expired. Then every attempt on"
        " the server fails with tls_error.",
        board=OF_SERVER,
    ),
    Alert(
        "GlanceExporterConfigReloadFailed",
        "ticket",
        f"{selector(probe_metrics.RELOADED)} == 0",
        "10m",
        "The exporter {{ $labels.instance }} can't use its new web configuration.",
        "{{ $labels.job }} at {{ $labels.instance }} still uses the configuration from before; it"
        " would not start again with the new one. Its log says what is wrong with the file.",
        board=OF_TELEMETRY,
    ),
)
