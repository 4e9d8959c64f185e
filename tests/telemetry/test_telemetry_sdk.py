"""`telemetry.setup`: the SDK set up as ``OTEL_*`` variables say, and errors that say what to do."""

import pytest
from opentelemetry.sdk import environment_variables
from otlp_receiver import Receiver
from traced_program import CALLS


@pytest.fixture
def receiver():
    with Receiver("http/protobuf") as listening:
        yield listening.start()


@pytest.fixture
def grpc_receiver():
    with Receiver("grpc") as listening:
        yield listening.start()


@pytest.fixture
def endpoint(receiver):
    """The variables that have both signals sent to `receiver`."""
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
    }


@pytest.fixture
def run(run_python, servers, image_id):
    """Run a program that makes three calls and a download, and return what it printed."""

    def run(source=CALLS, **environment):
        return run_python(source, image_id, *(server.url for server in servers), **environment)

    return run


def test_an_exporter_that_is_named_too_sends_nothing_twice(run, receiver, endpoint):
    run(**endpoint, OTEL_TRACES_EXPORTER="otlp", OTEL_METRICS_EXPORTER="otlp")
    assert 4 == len(receiver.received.tree())


def test_without_a_protocol_it_is_grpc(run, grpc_receiver):
    run(OTEL_EXPORTER_OTLP_ENDPOINT=grpc_receiver.endpoint)
    assert {"traces", "metrics"} == grpc_receiver.received.signals


def test_each_signal_has_a_protocol_of_its_own(run, receiver, grpc_receiver):
    run(
        OTEL_EXPORTER_OTLP_ENDPOINT=grpc_receiver.endpoint,
        OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=f"{receiver.endpoint}/v1/metrics",
        OTEL_EXPORTER_OTLP_METRICS_PROTOCOL="http/protobuf",
    )
    assert ({"metrics"}, {"traces"}) == (receiver.received.signals, grpc_receiver.received.signals)


@pytest.mark.parametrize("signal", ["traces", "metrics"])
def test_a_signal_that_alone_has_an_endpoint_is_sent_alone(run, receiver, signal):
    name = f"OTEL_EXPORTER_OTLP_{signal.upper()}"
    endpoint = f"{receiver.endpoint}/v1/{signal}"
    run(**{f"{name}_ENDPOINT": endpoint, f"{name}_PROTOCOL": "http/protobuf"})
    assert {signal} == receiver.received.signals


@pytest.mark.parametrize(
    ("exporter", "left"),
    [("OTEL_TRACES_EXPORTER", {"metrics"}), ("OTEL_METRICS_EXPORTER", {"traces"})],
)
def test_a_signal_whose_exporter_is_none_is_not_sent(run, receiver, endpoint, exporter, left):
    run(**endpoint, **{exporter: "none"})
    assert left == receiver.received.signals


def test_another_exporter_that_is_named_replaces_otlp(run, receiver, endpoint):
    printed = run(**endpoint, OTEL_TRACES_EXPORTER="console")
    assert ({"metrics"}, True) == (
        receiver.received.signals,
        '    "name": "glance.images.get attempt",' in printed,
    )


@pytest.mark.parametrize(
    "sampler",
    [
        pytest.param({"OTEL_TRACES_SAMPLER": "always_off"}, marks=pytest.mark.slow),
        {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0"},
    ],
    ids=lambda sampler: sampler["OTEL_TRACES_SAMPLER"],
)
def test_what_the_sampler_drops_has_metrics_alone_without_exemplars(
    run, receiver, endpoint, sampler
):
    run(**endpoint, **sampler)
    exemplars = {metric.exemplars for metric in receiver.received.metrics.values()}
    assert ({"metrics"}, {frozenset()}) == (receiver.received.signals, exemplars)


def test_a_disabled_sdk_sends_nothing(run, receiver, endpoint):
    run(**endpoint, OTEL_SDK_DISABLED="true")
    assert set() == receiver.received.signals


def test_without_an_endpoint_there_is_no_exporter(run):
    """Neither is one sent to its default address, nor does it cost its import."""
    source = f"{CALLS}    print([name for name in sys.modules if '.exporter.otlp' in name])"
    assert ["[]"] == run(source)


BEFORE = """
    import sys

    import traced_image
    from traced_image.telemetry import setup

    image_id, *urls = sys.argv[1:]
    service = traced_image.connect(servers=urls)
    setup()
    service.show(None, image_id)
"""


def test_a_service_that_was_there_before_is_told_of_too(run, receiver, endpoint):
    run(BEFORE, **endpoint)
    assert ({"traces", "metrics"}, 1) == (
        receiver.received.signals,
        len(receiver.received.tree()),
    )


def test_what_it_returns_are_the_providers_of_the_process(run, endpoint):
    source = """
        from opentelemetry import metrics, trace

        from traced_image.telemetry import setup

        providers = setup()
        print(providers.tracer is trace.get_tracer_provider())
        print(providers.meter is metrics.get_meter_provider())
    """
    assert ["True", "True"] == run(source, **endpoint)


SHUT_DOWN = (
    CALLS.replace("setup()", "providers = setup()")
    + """
    providers.shutdown()
    import os

    os._exit(0)
"""
)


def test_its_shutdown_exports_what_is_left(run, receiver, endpoint):
    run(SHUT_DOWN, **endpoint)
    assert ({"traces", "metrics"}, 4) == (
        receiver.received.signals,
        len(receiver.received.tree()),
    )


def test_an_end_after_a_shutdown_is_nothing_to_complain_of(run, endpoint):
    assert [] == run(SHUT_DOWN.replace("os._exit(0)", ""), **endpoint)


# What the package opentelemetry-configuration has, as far as the SDK uses it.
CONFIGURATION = """
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import set_tracer_provider


def load_config_file(path):
    return path


def configure_sdk(path):
    print(f"configured by {path}", flush=True)
    set_tracer_provider(TracerProvider())
"""


@pytest.mark.skipif(
    not hasattr(environment_variables, "OTEL_CONFIG_FILE"), reason="this SDK reads no such file"
)
def test_a_configuration_file_decides_alone(run, receiver, endpoint, tmp_path):
    """This one has the SDK provide no meters."""
    (tmp_path / "opentelemetry").mkdir()
    (tmp_path / "opentelemetry/configuration.py").write_text(CONFIGURATION)
    printed = run(SHUT_DOWN, **endpoint, OTEL_CONFIG_FILE="sdk.yaml", PYTHONPATH=str(tmp_path))
    assert (["configured by sdk.yaml"], set()) == (printed, receiver.received.signals)


def test_a_configuration_file_that_the_sdk_does_not_read_is_refused(run):
    source = """
        import traced_image
        from opentelemetry.sdk import environment_variables
        from traced_image.telemetry import setup

        vars(environment_variables).pop("OTEL_CONFIG_FILE", None)
        try:
            setup()
        except traced_image.errors.InvalidOption as error:
            print(error)
    """
    (said,) = run(source, OTEL_CONFIG_FILE="sdk.yaml")
    assert said.startswith("OTEL_CONFIG_FILE (from environment): opentelemetry-sdk ")


UNUSED = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4317"}

BLOCKED = """
    import sys

    import traced_image
    from traced_image.telemetry import setup


    class Missing:
        def find_spec(self, name, path=None, target=None):
            if name == "{module}":
                raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)


    sys.meta_path.insert(0, Missing())
    try:
        setup()
    except traced_image.errors.MissingExtra as error:
        print(error)
"""


@pytest.mark.parametrize(
    ("module", "protocol"),
    [
        ("opentelemetry.exporter.otlp.proto.grpc", "grpc"),
        ("opentelemetry.exporter.otlp.proto.http", "http/protobuf"),
    ],
)
def test_what_is_not_installed_is_named_with_the_extra_that_brings_it(run, module, protocol):
    settings = {**UNUSED, "OTEL_EXPORTER_OTLP_PROTOCOL": protocol}
    (said,) = run(BLOCKED.format(module=module), **settings)
    fix = "pip install 'traced-image[otlp]'"
    assert f"telemetry.setup (from argument): {module} is not installed; {fix}." == said


def test_a_protocol_that_is_unknown_is_refused(run):
    source = """
        import traced_image
        from traced_image.telemetry import setup

        try:
            setup()
        except traced_image.errors.InvalidOption as error:
            print(error)
    """
    (said,) = run(source, **UNUSED, OTEL_EXPORTER_OTLP_PROTOCOL="http/yaml")
    problem, fix = "'http/yaml' is unknown", "use grpc or http/protobuf"
    assert f"protocol (from OTEL_EXPORTER_OTLP_PROTOCOL): {problem}; {fix}." == said
