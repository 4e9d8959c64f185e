"""The service's own token: by a keystoneauth1 plugin, under threads and after a fork."""

import gc
import os
import threading

import pytest
from keystoneauth1.exceptions import Unauthorized
from keystoneauth1.identity import v3
from keystoneauth1.session import Session

from traced_image import _forks
from traced_image.config import Config, TokenSource

LIMIT = 10


@pytest.fixture
def plugin(credentials):
    return v3.Password(**credentials)


@pytest.fixture
def tokens(plugin):
    return Config(servers="a", auth=plugin).auth


def test_a_plugin_gives_a_token(tokens):
    assert "token-1" == tokens.get_token()


def test_a_token_is_kept(tokens, keystone):
    tokens.get_token()
    tokens.get_token()
    assert 1 == keystone.issued


def test_a_token_that_ends_soon_is_renewed(tokens, keystone):
    keystone.expires_at = "2026-01-01T00:00:01.000000Z"
    tokens.get_token()
    assert "token-2" == tokens.get_token()


def test_an_invalidated_token_is_renewed(tokens):
    tokens.get_token()
    assert (True, "token-2") == (tokens.invalidate(), tokens.get_token())


def test_there_is_nothing_to_invalidate_at_first(tokens):
    assert tokens.invalidate() is False


def test_a_wrong_password_is_told(credentials):
    tokens = Config(servers="a", auth=v3.Password(**{**credentials, "password": "no"})).auth
    with pytest.raises(Unauthorized):
        tokens.get_token()


def test_the_plugin_is_used_again_in_a_changed_configuration(plugin, keystone):
    config = Config(servers="a", auth=plugin)
    config.auth.get_token()
    assert ("token-1", 1) == (config.replace(read_timeout=1).auth.get_token(), keystone.issued)


def test_a_session_is_a_token_source(plugin):
    session = Session(auth=plugin)
    assert Config(servers="a", auth=session).auth is session


def test_what_has_the_two_methods_is_a_token_source(tokens):
    assert isinstance(tokens, TokenSource)


def test_many_threads_fetch_one_token(tokens, keystone):
    keystone.answering.clear()
    got = []
    threads = [threading.Thread(target=lambda: got.append(tokens.get_token())) for _ in range(8)]
    for thread in threads:
        thread.start()
    assert keystone.asked.wait(LIMIT)
    keystone.answering.set()
    for thread in threads:
        thread.join(LIMIT)
    assert ["token-1"] * 8 == got


def test_invalidation_does_not_disturb_another_thread(tokens):
    failed = []

    def fetch():
        try:
            for _ in range(50):
                tokens.get_token()
        except AssertionError as error:
            failed.append(error)

    threads = [threading.Thread(target=fetch) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(200):
        tokens.invalidate()
    for thread in threads:
        thread.join(LIMIT)
    assert [] == failed


def in_child(action):
    """Run `action` in a fork of this process, and return the text that it returns."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, action().encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as stream:
        text = stream.read()
    os.waitpid(child, 0)
    return text


# Python 3.12 warns of any fork while threads run; the stub has some, and so do services.
forking = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


@forking
def test_a_child_keeps_the_token(tokens):
    tokens.get_token()
    assert "token-1" == in_child(tokens.get_token)


@forking
def test_a_child_has_connections_of_its_own(tokens, keystone):
    tokens.get_token()

    def fetch():
        tokens.invalidate()
        return tokens.get_token()

    in_child(fetch)
    parents, childs = keystone.peers
    assert parents != childs


@forking
def test_a_fork_waits_for_a_thread_that_fetches(tokens, keystone):
    keystone.answering.clear()
    thread = threading.Thread(target=tokens.get_token)
    thread.start()
    assert keystone.asked.wait(LIMIT)
    threading.Timer(0.05, keystone.answering.set).start()
    assert "token-1" == in_child(tokens.get_token)
    thread.join(LIMIT)


@forking
def test_a_configuration_that_is_gone_is_no_burden_of_a_fork(plugin):
    Config(servers="a", auth=plugin)
    gc.collect()
    assert "done" == in_child(lambda: "done")


def test_what_a_child_does_leaves_the_lock_free_and_the_connection_new(tokens, keystone):
    tokens.get_token()
    _forks._before_fork()
    _forks._after_fork_in_child()

    tokens.invalidate()
    tokens.get_token()

    assert 2 == len(set(keystone.peers))
