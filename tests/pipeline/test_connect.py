"""The ways in."""

import logging
import subprocess
import sys

import pytest
from support import in_child, servers, together

import traced_image
from traced_image import Config, ConfigError, _connect, lab
from traced_image.errors import InvalidOption, InvalidServer


@pytest.fixture
def environment(monkeypatch):
    """The environment that the default service is made of; there is none yet."""
    _connect._default.clear()
    monkeypatch.setenv("TRACED_IMAGE_SERVERS", "glance-1,glance-2:9000")
    yield monkeypatch
    _connect._default.clear()


def test_a_service_is_built_of_fields():
    service = traced_image.connect(servers=["glance-1"], num_retries=7, telemetry=False)

    assert (servers(1), 7) == (service.config.servers, service.config.num_retries)


def test_a_service_is_built_of_a_configuration():
    config = Config(servers=["glance-1"])

    assert config is traced_image.connect(config=config, telemetry=False).config


def test_a_configuration_may_be_changed_by_fields():
    config = Config(servers=["glance-1"])

    assert (
        7 == traced_image.connect(config=config, num_retries=7, telemetry=False).config.num_retries
    )


def test_a_configuration_is_not_checked_twice_for_nothing(caplog):
    config = Config(servers=servers(3), num_retries=1)
    caplog.clear()

    with caplog.at_level(logging.WARNING):
        traced_image.connect(config=config, telemetry=False)

    assert [] == caplog.messages


@pytest.mark.parametrize("config", [None, Config(servers=["glance-1"])])
def test_a_field_that_there_is_not_is_refused(config):
    with pytest.raises(InvalidOption, match="did you mean num_retries"):
        traced_image.connect(config=config, num_retry=7, telemetry=False)


def test_telemetry_that_is_none_is_refused():
    with pytest.raises(InvalidOption, match="telemetry"):
        traced_image.connect(servers=["glance-1"], telemetry="yes")


def test_a_service_makes_calls():
    with lab.GlanceServer() as server:
        image_id = server.images.add(name="cirros", visibility="public")
        service = traced_image.connect(servers=[server.url], telemetry=False)
        name = service.show(None, image_id)["name"]
        service.close()

    assert "cirros" == name


def test_by_default_it_is_observed():
    wrapper = traced_image.connect(servers=["glance-1"])._client

    assert "observed" == wrapper._perform.__name__


def test_without_telemetry_nothing_is_around_the_pipeline():
    wrapper = traced_image.connect(servers=["glance-1"], telemetry=False)._client

    loop = wrapper._perform
    assert (wrapper._http, loop._decide) == (loop._innermost, loop._send)


@pytest.mark.parametrize(
    "program",
    [
        "import traced_image",
        "import traced_image; traced_image.connect(servers=['glance-1'], telemetry=False)",
    ],
)
def test_without_telemetry_none_is_imported(program):
    roots = "'opentelemetry', 'prometheus_client'"
    program = f"{program}; import sys; print([n for n in ({roots}) if n in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )

    assert "[]" == done.stdout.strip()


def test_the_default_service_is_that_of_the_environment(environment):
    found = traced_image.get_default_image_service().config.servers

    assert ["glance-1:9292", "glance-2:9000"] == [server.netloc for server in found]


def test_the_default_service_is_made_once(environment):
    service = traced_image.get_default_image_service()
    environment.setenv("TRACED_IMAGE_SERVERS", "another")

    assert service is traced_image.get_default_image_service()


def test_threads_that_ask_at_once_get_the_same_default_service(environment):
    services = together(8, lambda _number: traced_image.get_default_image_service())

    assert 1 == len({id(service) for service in services})


def test_a_child_has_the_default_service_of_its_parent(environment):
    service = traced_image.get_default_image_service()

    assert in_child(lambda: service is traced_image.get_default_image_service())


def test_a_default_service_that_could_not_be_made_is_made_later(environment):
    environment.setenv("TRACED_IMAGE_SERVERS", "")
    with pytest.raises(ConfigError):
        traced_image.get_default_image_service()
    environment.setenv("TRACED_IMAGE_SERVERS", "glance-1")

    assert servers(1) == traced_image.get_default_image_service().config.servers


def test_an_environment_that_names_no_server_is_refused(environment):
    environment.delenv("TRACED_IMAGE_SERVERS")

    with pytest.raises(InvalidServer):
        traced_image.get_default_image_service()
