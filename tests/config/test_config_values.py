"""A configuration as a value: what it takes, what it refuses, what it warns of."""

import copy
import dataclasses
import logging
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from traced_image.config import Config, RetryPolicy, Server
from traced_image.errors import (
    ConfigError,
    InvalidAuth,
    InvalidOption,
    InvalidRetry,
    InvalidServer,
    InvalidTimeout,
    InvalidTLS,
)


class Tokens:
    def get_token(self):
        return "t0ken"

    def invalidate(self):
        return False


def test_servers_may_be_text():
    assert (Server("http", "a", 9292), Server("http", "b", 80)) == Config(
        servers=["a", "b:80"]
    ).servers


def test_a_configuration_without_servers_is_refused():
    with pytest.raises(InvalidServer, match="no server is configured"):
        Config()


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"num_retries": -1}, InvalidRetry),
        ({"num_retries": True}, InvalidRetry),
        ({"num_retries": 1.0}, InvalidRetry),
        ({"num_retries": "3"}, InvalidRetry),
        ({"retry": None}, InvalidRetry),
        ({"connect_timeout": 0}, InvalidTimeout),
        ({"connect_timeout": None}, InvalidTimeout),
        ({"read_timeout": float("inf")}, InvalidTimeout),
        ({"read_timeout": 1e9}, InvalidTimeout),
        ({"deadline": -1}, InvalidTimeout),
        ({"deadline": "none"}, InvalidTimeout),
        ({"insecure": 1}, InvalidTLS),
        ({"auth_strategy": "noauth2"}, InvalidAuth),
        ({"auth": "t0ken"}, InvalidAuth),
        ({"api_version": 3}, InvalidOption),
        ({"api_version": True}, InvalidOption),
        ({"api_version": 2.0}, InvalidOption),
        ({"pool_size": 0}, InvalidOption),
        ({"max_metadata_size": 0}, InvalidOption),
        ({"sources": None}, InvalidOption),
        ({"sources": ["servers"]}, InvalidOption),
        ({"num_retries": -(10**5000)}, InvalidRetry),
        ({"read_timeout": 10**5000}, InvalidTimeout),
        ({"region_name": ""}, InvalidOption),
        ({"region_name": 7}, InvalidOption),
        ({"region_name": "a\nb"}, InvalidOption),
    ],
)
def test_a_value_that_is_refused(fields, kind):
    with pytest.raises(ConfigError) as caught:
        Config(servers="a", **fields)
    assert (kind, next(iter(fields))) == (type(caught.value), caught.value.item)


@pytest.mark.parametrize(
    "fields",
    [{"num_retries": 0}, {"deadline": None}, {"api_version": 1}, {"region_name": "RegionOne"}],
)
def test_a_value_that_is_taken(fields):
    (name,) = fields
    assert fields[name] == getattr(Config(servers="a", **fields), name)


def test_a_long_value_is_cut_in_the_message():
    with pytest.raises(InvalidRetry) as caught:
        Config(servers="a", num_retries="x" * 1000)
    assert len(str(caught.value)) < 200


def test_a_number_that_python_can_not_write_is_told_by_its_type():
    with pytest.raises(InvalidRetry, match="<int, too large to show> can't be used"):
        Config(servers="a", num_retries=-(10**5000))


def test_an_error_names_the_source():
    with pytest.raises(InvalidRetry, match=r"^num_retries \(from nova.conf\): -1 can't be used"):
        Config(servers="a", num_retries=-1, sources={"num_retries": "nova.conf"})


def test_a_token_source_implies_keystone():
    assert "keystone" == Config(servers="a", auth=Tokens()).auth_strategy


def test_a_token_source_is_not_shown():
    assert "Tokens" not in repr(Config(servers="a", auth=Tokens()))


def test_credentials_in_auth_url_are_refused():
    tokens = Tokens()
    tokens.auth_url = "http://admin:s3cret@keystone"
    with pytest.raises(InvalidAuth) as caught:
        Config(servers="a", auth=tokens)
    assert "s3cret" not in str(caught.value)


def test_sources_are_no_part_of_equality():
    assert Config(servers="a") == Config(servers="a", sources={"servers": "nova.conf"})


def test_a_configuration_is_hashable():
    assert hash(Config(servers="a")) == hash(Config(servers=["a"]))


@pytest.mark.parametrize("again", [copy.deepcopy, lambda c: pickle.loads(pickle.dumps(c))])
def test_a_copy_is_equal(again):
    config = Config(servers="a", retry=RetryPolicy.nova_2013(), sources={"servers": "x"})
    assert (config, config.sources) == (again(config), again(config).sources)


def test_replace_changes_a_value():
    assert Config(servers="b", num_retries=7) == Config(servers="a", num_retries=7).replace(
        servers=["b"]
    )


def test_replace_checks_the_value():
    with pytest.raises(InvalidRetry):
        Config(servers="a").replace(num_retries=-1)


def test_replace_refuses_an_unknown_field():
    with pytest.raises(InvalidOption, match="did you mean num_retries"):
        Config(servers="a").replace(num_retry=1)


def test_replace_forgets_the_source_of_what_it_changes():
    config = Config(servers="a", num_retries=1, sources={"servers": "x", "num_retries": "y"})
    assert {"servers": "x"} == config.replace(num_retries=2).sources


def warnings_of(caplog, **fields):
    with caplog.at_level(logging.WARNING, "traced_image.config"):
        Config(**fields)
    return caplog.messages


def test_fewer_attempts_than_servers_are_warned_of(caplog):
    (message,) = warnings_of(caplog, servers="a,b,c", num_retries=1)
    expected = (
        "num_retries=1 allows 2 attempts, but there are 3 servers: a call may fail before it has"
        " tried them all; set num_retries to at least 2"
    )
    assert expected == message


def test_as_many_attempts_as_servers_are_not_warned_of(caplog):
    assert [] == warnings_of(caplog, servers="a,b,c", num_retries=2)


FIELDS = [each.name for each in dataclasses.fields(Config)]
VALUES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.lists(st.text(max_size=5), max_size=2)
)


@given(st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=3))
def test_any_values_are_taken_or_refused(fields):
    try:
        config = Config(**{"servers": "a", **fields})
    except ConfigError:
        return
    assert config == config.replace()
