"""The environment as a source."""

import dataclasses
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from traced_image.config import Config, RetryPolicy, load_config
from traced_image.errors import ConfigError, InvalidOption, InvalidRetry, InvalidServer

SERVERS = {"TRACED_IMAGE_SERVERS": "a:1,b:2"}


class Tokens:
    def get_token(self):
        return "t0ken"

    def invalidate(self):
        return False


@pytest.mark.parametrize(
    ("variable", "text", "field", "value"),
    [
        ("NUM_RETRIES", "7", "num_retries", 7),
        ("NUM_RETRIES", " 7 ", "num_retries", 7),
        ("CONNECT_TIMEOUT", "0.5", "connect_timeout", 0.5),
        ("READ_TIMEOUT", "600", "read_timeout", 600.0),
        ("DEADLINE", "30", "deadline", 30.0),
        ("DEADLINE", "None", "deadline", None),
        ("INSECURE", "true", "insecure", True),
        ("INSECURE", "Yes", "insecure", True),
        ("INSECURE", "1", "insecure", True),
        ("INSECURE", "off", "insecure", False),
        ("AUTH_STRATEGY", "keystone", "auth_strategy", "keystone"),
        ("API_VERSION", "1", "api_version", 1),
        ("POOL_SIZE", "2", "pool_size", 2),
        ("MAX_METADATA_SIZE", "1024", "max_metadata_size", 1024),
        ("REGION_NAME", "RegionOne", "region_name", "RegionOne"),
        ("RETRY_BACKOFF_BASE", "2", "retry", RetryPolicy(backoff_base=2)),
        ("RETRY_FIXED_DELAY", "1", "retry", RetryPolicy(fixed_delay=1)),
        ("RETRY_STATUSES", "429, 503", "retry", RetryPolicy(statuses={429, 503})),
        ("RETRY_BUDGET_SHARE", "none", "retry", RetryPolicy(budget_share=None)),
        ("RETRY_REPEAT_UNSAFE", "on", "retry", RetryPolicy(repeat_unsafe=True)),
    ],
)
def test_a_variable_sets_a_field(variable, text, field, value):
    config = load_config(environ={**SERVERS, f"TRACED_IMAGE_{variable}": text})
    assert value == getattr(config, field)


def test_every_plain_field_has_a_variable():
    from traced_image.config import environment

    fields = {each.name for each in dataclasses.fields(Config)} - {
        *("auth", "service_auth", "sources", "retry")
    }
    fields |= {f"retry_{each.name}" for each in dataclasses.fields(RetryPolicy)}
    fields |= {"config_file"}
    assert {f"TRACED_IMAGE_{name.upper()}" for name in fields} == environment.VARIABLES


def test_servers_have_commas_between_them():
    expected = Config(servers=["a:1", "b:2"])
    assert expected == load_config(environ=SERVERS)


def test_an_empty_variable_is_not_set():
    assert load_config(environ={**SERVERS, "TRACED_IMAGE_CAFILE": ""}).cafile is None


def test_the_process_environment_is_the_default(monkeypatch):
    monkeypatch.setenv("TRACED_IMAGE_SERVERS", "glance.example")
    assert "glance.example" == load_config().servers[0].host


def test_an_argument_goes_before_a_variable():
    environ = {**SERVERS, "TRACED_IMAGE_NUM_RETRIES": "7"}
    assert 5 == load_config(environ=environ, num_retries=5).num_retries


def test_sources_are_told():
    environ = {**SERVERS, "TRACED_IMAGE_RETRY_BACKOFF_BASE": "1"}
    assert {
        "num_retries": "argument",
        "servers": "TRACED_IMAGE_SERVERS",
        "retry": "TRACED_IMAGE_RETRY_BACKOFF_BASE",
    } == load_config(environ=environ, num_retries=5).sources


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("TRACED_IMAGE_NUM_RETRIES", "many"),
        ("TRACED_IMAGE_NUM_RETRIES", "-1"),
        ("TRACED_IMAGE_DEADLINE", "soon"),
        ("TRACED_IMAGE_INSECURE", "perhaps"),
        ("TRACED_IMAGE_RETRY_STATUSES", "503,x"),
        ("TRACED_IMAGE_RETRY_BACKOFF_CAP", "nan"),
        ("TRACED_IMAGE_API_VERSION", "two"),
    ],
)
def test_an_error_names_the_variable(variable, text):
    with pytest.raises(ConfigError) as caught:
        load_config(environ={**SERVERS, variable: text})
    assert variable == caught.value.source


def test_a_password_in_a_variable_is_not_shown():
    with pytest.raises(InvalidServer) as caught:
        load_config(environ={"TRACED_IMAGE_SERVERS": "http://admin:s3,cret@a"})
    assert "s3" not in str(caught.value)


def test_no_source_at_all_is_refused():
    with pytest.raises(InvalidServer, match="no server is configured"):
        load_config(environ={})


WAYS = ["servers=", "TRACED_IMAGE_SERVERS", "config_file", "TRACED_IMAGE_CONFIG_FILE", "OS_CLOUD"]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("fields", [{}, {"auth": Tokens()}])
def test_where_no_source_has_a_server_every_way_to_give_one_is_named(way, fields):
    with pytest.raises(InvalidServer) as caught:
        load_config(environ={}, **fields)
    assert way in str(caught.value)


def test_where_no_source_has_a_server_no_single_one_is_blamed():
    with pytest.raises(InvalidServer) as caught:
        load_config(environ={})
    assert "any source" == caught.value.source


def test_an_unknown_argument_is_refused():
    with pytest.raises(InvalidOption, match="did you mean servers"):
        load_config(environ={}, server=["a"])


def test_an_argument_unlike_any_is_told_all():
    with pytest.raises(InvalidOption, match="use one of api_version, auth, auth_strategy,"):
        load_config(environ={}, zzz=1)


@pytest.mark.parametrize(
    ("variable", "hint"),
    [
        ("TRACED_IMAGE_NUM_RETRYS", "did you mean TRACED_IMAGE_NUM_RETRIES?"),
        ("TRACED_IMAGE_PORT_9292_TCP", "is it misspelt?"),
    ],
)
def test_an_unknown_variable_is_warned_of(caplog, variable, hint):
    with caplog.at_level(logging.WARNING, "traced_image.config"):
        load_config(environ={**SERVERS, variable: "1"})
    assert [f"the variable {variable} is unknown and ignored: {hint}"] == caplog.messages


NAMES = st.sampled_from(["num_retries", "deadline", "insecure", "retry_statuses", "servers"])


@given(NAMES, st.text(max_size=10))
def test_any_text_is_read_or_refused(name, text):
    environ = {**SERVERS, f"TRACED_IMAGE_{name.upper()}": text}
    try:
        config = load_config(environ=environ)
    except ConfigError:
        return
    assert isinstance(config, Config)


def test_a_retry_policy_as_an_argument_replaces_that_of_the_environment():
    environ = {**SERVERS, "TRACED_IMAGE_RETRY_BACKOFF_BASE": "1"}
    assert RetryPolicy() == load_config(environ=environ, retry=RetryPolicy()).retry


def test_a_bad_policy_is_an_error_of_retries():
    with pytest.raises(InvalidRetry):
        load_config(environ={**SERVERS, "TRACED_IMAGE_RETRY_COOLDOWN_CAP": "-1"})
