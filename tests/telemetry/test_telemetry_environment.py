"""Variables of OpenTelemetry whose values can't be used: telemetry goes on, and says so."""

import pytest

CALL = """
import logging

logging.getLogger().addHandler(logging.NullHandler())  # the log has a test of its own
from prometheus_client import REGISTRY
from traced_image import connect, lab

images = lab.Images()
image_id = images.add(name="cirros", data=b"1")
with lab.GlanceServer(images) as server, connect(servers=[server.url]) as service:
    print(service.show(None, image_id)["name"])
print(REGISTRY.get_sample_value("traced_image_telemetry_errors_total", {"kind": KIND}))
"""
LOGGED = """
import logging

logging.getLogger().addHandler(logging.NullHandler())  # OpenTelemetry logs its own failure, too

class Texts(logging.Handler):
    def handle(self, record):
        print(record.exc_text.splitlines()[-1])

logging.getLogger("traced_image.telemetry.telemetry_errors").addHandler(Texts())
from traced_image import connect
connect(servers="glance-1").close()
"""
SETUP = """
from traced_image import telemetry
from traced_image.errors import InvalidOption

try:
    telemetry.setup()
except InvalidOption as error:
    print(error.item)
"""
BAD = {
    "OTEL_PROPAGATORS": ("tracecontext,jaeger", "wire"),
    "OTEL_PYTHON_TRACER_PROVIDER": ("bogus", "spans"),
    "OTEL_PYTHON_METER_PROVIDER": ("bogus", "metrics"),
}


@pytest.mark.parametrize("variable", BAD)
def test_a_call_succeeds_and_the_failure_is_counted(run_python, variable):
    value, kind = BAD[variable]
    name, count = run_python(CALL.replace("KIND", repr(kind)), **{variable: value})
    assert ("cirros", True) == (name, float(count) >= 1)


@pytest.mark.parametrize("variable", BAD)
def test_one_record_of_the_log_names_the_variable(run_python, variable):
    (told,) = run_python(LOGGED, **{variable: BAD[variable][0]})
    assert variable in told


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("OTEL_PROPAGATORS", "tracecontext,jaeger"),
        ("OTEL_TRACES_EXPORTER", "bogus"),
        ("OTEL_PYTHON_ID_GENERATOR", "bogus"),
    ],
)
def test_setup_names_the_variable(run_python, variable, value):
    assert [variable] == run_python(SETUP, **{variable: value})
