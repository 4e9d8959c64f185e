"""A program that knows nothing of this package is observed by ``opentelemetry-instrument``.

Run by ``make test-clients``.
"""

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys
import glanceclient
from keystoneauth1 import session, token_endpoint
from prometheus_client import generate_latest

url, image = sys.argv[1:]
auth = token_endpoint.Token(url, "t")
glanceclient.Client("2", session=session.Session(auth=auth)).images.get(image)
sys.stdout.write(generate_latest().decode())
"""
COUNTED = (
    'glance_client_call_duration_seconds_count{error_type="",operation="images.get",'
    'outcome="success_first_try"} 1.0'
)
# Otherwise opentelemetry-distro wants the package of OTLP.
NO_EXPORTERS = {f"OTEL_{kind}_EXPORTER": "none" for kind in ("TRACES", "METRICS", "LOGS")}


@pytest.mark.parametrize("disabled", ["", "glance"])
def test_a_program_is_observed_unless_the_environment_says_no(server, image_id, disabled):
    command = Path(sys.executable).with_name("opentelemetry-instrument")
    done = subprocess.run(
        [command, sys.executable, "-c", PROGRAM, server.url, image_id],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        env={"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": disabled, **NO_EXPORTERS},
    )
    assert (not disabled) == (COUNTED in done.stdout.splitlines())
