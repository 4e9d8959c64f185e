"""Keystone in time: no caller waits beyond its own limit, whatever Keystone does."""

from __future__ import annotations

import math
import os
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from time import monotonic

import pytest
from hostile_keystone import DRIPS
from keystoneauth1.exceptions import Unauthorized
from keystoneauth1.identity import v3
from keystoneauth1.plugin import BaseAuthPlugin

from traced_image import lab
from traced_image._version import make_user_agent
from traced_image.config import Config
from traced_image.config.keystone import KeystoneHTTP, PluginTokens
from traced_image.config.keystone_session import KeystoneSession, _Sockets
from traced_image.errors import InvalidAuth, TokenUnavailable

LIMIT = 10
SHORT = 0.2
SOON = 5.0
"""Seconds within which whoever has `SHORT` must have given up, on a busy machine too."""
DRIPPING = pytest.mark.parametrize(
    ("how", "scheme"),
    [
        *((how, "http") for how in DRIPS),
        ("body", "https"),
        *(pytest.param(how, "https", marks=pytest.mark.slow) for how in DRIPS if how != "body"),
    ],
)
"""Over TLS the same happens on the same socket, so that one case is enough for a quick run."""


@pytest.fixture(scope="module")
def tls():
    return lab.TLS.trusted()


@pytest.fixture
def tokens(credentials):
    return Config(servers="a", auth=v3.Password(**credentials)).auth


def tokens_of(url, **fields):
    plugin = v3.Password(
        auth_url=url,
        username="nova",
        password="s3cret",
        user_domain_id="default",
        project_name="service",
        project_domain_id="default",
    )
    return Config(servers="a", auth=plugin, **fields).auth


def waited(tokens, left):
    """The seconds that a caller waited in vain."""
    began = monotonic()
    with pytest.raises(TokenUnavailable, match=r"^Keystone gave no token in time: "):
        tokens.get_token(left)
    return monotonic() - began


def request_of(tokens):
    """The thread of a request that the caller has left."""
    before = set(threading.enumerate())
    waited(tokens, 0)
    found = set(threading.enumerate()) - before
    return next(each for each in found if each.name == "traced-image-keystone")


# --- a caller's own limit ----------------------------------------------------------------------


@DRIPPING
def test_a_caller_leaves_a_keystone_that_takes_too_long(hostile, tls, how, scheme):
    server = hostile(DRIPS[how], tls if scheme == "https" else None)
    tokens = tokens_of(server.url, cafile=tls.cafile, read_timeout=LIMIT)
    assert SHORT <= waited(tokens, SHORT) < SOON


def test_a_later_caller_gets_the_token_that_an_earlier_one_did_not_wait_for(tokens, keystone):
    keystone.answering.clear()
    waited(tokens, SHORT)
    keystone.answering.set()
    assert ("token-1", 1) == (tokens.get_token(LIMIT), keystone.issued)


def test_each_of_several_callers_leaves_at_its_own_limit(tokens, keystone):
    keystone.answering.clear()
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(tokens.get_token, LIMIT)
        assert keystone.asked.wait(LIMIT)
        took = [*pool.map(waited, [tokens] * 3, [SHORT, SHORT, 2 * SHORT])]
        keystone.answering.set()
        assert "token-1" == first.result(LIMIT)
    assert [True] * 3 == [seconds < SOON for seconds in took]


def test_to_forget_a_token_waits_no_longer_than_it_may(tokens, keystone):
    keystone.answering.clear()
    waited(tokens, 0)
    with pytest.raises(TokenUnavailable):
        tokens.invalidate(0)


def test_nothing_is_left_to_wait_for_after_the_limit(tokens, keystone):
    keystone.answering.clear()
    assert waited(tokens, -1.0) < SOON


class NotedLock:
    """A lock that counts who has come for it."""

    def __init__(self, lock):
        self._lock = lock
        self.tried = threading.Semaphore(0)
        self.release = lock.release

    def acquire(self, timeout):
        self.tried.release()
        return self._lock.acquire(timeout=timeout)


def test_those_who_wait_for_one_request_share_its_failure(credentials, keystone):
    keystone.answering.clear()
    tokens = Config(servers="a", auth=v3.Password(**{**credentials, "password": "no"})).auth
    failures = []

    def fetch():
        with pytest.raises(Unauthorized):
            tokens.get_token()
        failures.append(1)

    tokens._turn._lock = lock = NotedLock(tokens._turn._lock)
    waiting = [threading.Thread(target=fetch) for _ in range(4)]
    waiting[0].start()
    assert keystone.asked.wait(LIMIT)
    for thread in waiting[1:]:
        thread.start()
    for _ in waiting:
        assert lock.tried.acquire(timeout=LIMIT)
    keystone.answering.set()
    for thread in waiting:
        thread.join(LIMIT)
    assert (4, 1) == (len(failures), len(keystone.peers))


# --- Keystone's own limit ----------------------------------------------------------------------


@DRIPPING
def test_a_request_ends_at_the_configured_limit(hostile, tls, how, scheme):
    server = hostile(DRIPS[how], tls if scheme == "https" else None)
    tokens = tokens_of(server.url, cafile=tls.cafile, read_timeout=SHORT)
    with pytest.raises(Exception):  # noqa: B017, PT011 by the socket's timeout or by the request's
        tokens.get_token()
    assert server.left.wait(LIMIT)


def test_a_drip_ends_with_words_about_the_time(hostile):
    tokens = tokens_of(hostile(DRIPS["body"]).url, read_timeout=SHORT)
    assert waited(tokens, math.inf) < SOON


def test_a_request_that_ended_late_leaves_no_thread(hostile):
    thread = request_of(tokens_of(hostile(DRIPS["headers"]).url, read_timeout=SHORT))
    thread.join(LIMIT)
    assert not thread.is_alive()


def test_a_later_caller_asks_again_after_a_request_ended_late(hostile):
    server = hostile(DRIPS["headers"])
    tokens = tokens_of(server.url, read_timeout=SHORT)
    request_of(tokens).join(LIMIT)
    waited(tokens, math.inf)
    assert 2 == server.accepted


def test_a_proxy_that_drips_is_left_in_time(hostile, tls, monkeypatch):
    proxy = hostile(DRIPS["status"])
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.port}")
    tokens = tokens_of("https://keystone.example/v3", cafile=tls.cafile, read_timeout=SHORT)
    waited(tokens, math.inf)
    assert proxy.left.wait(LIMIT)


def test_without_a_limit_a_token_comes(credentials):
    tokens = PluginTokens(v3.Password(**credentials), KeystoneHTTP(timeout=None))
    assert "token-1" == tokens.get_token()


def test_a_connection_that_is_made_too_late_is_broken_at_once():
    sockets = _Sockets()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        sockets.shut_down()
        sockets.add(ours)
        assert b"" == theirs.recv(1)
    sockets.close()


def test_to_break_a_connection_that_is_no_longer_one_does_no_harm():
    sockets = _Sockets()
    with socket.socket() as unconnected:
        sockets.add(unconnected)
        sockets.shut_down()
    sockets.close()
    assert sockets.ended


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_waits_no_longer_than_the_limit(hostile):
    tokens = tokens_of(hostile(DRIPS["headers"]).url, read_timeout=SHORT)
    waited(tokens, 0)
    began = monotonic()
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    assert monotonic() - began < SOON


# --- threads -----------------------------------------------------------------------------------


def refuse(_thread):
    raise RuntimeError("can't start new thread")


def test_a_token_that_is_there_needs_no_thread(tokens, monkeypatch):
    tokens.get_token()
    monkeypatch.setattr(KeystoneSession, "__init__", None)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert "token-1" == tokens.get_token()


def test_without_a_thread_the_callers_own_asks(credentials, monkeypatch):
    tokens = PluginTokens(v3.Password(**credentials), KeystoneHTTP(timeout=LIMIT))
    real = threading.Thread.start

    def start(thread):
        if thread.name == "traced-image-keystone":
            refuse(thread)
        real(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    assert "token-1" == tokens.get_token()


def test_a_request_has_the_callers_context():
    seen = ContextVar("seen")

    class Plugin(BaseAuthPlugin):
        def get_token(self, session):
            return f"{session.verify}-{seen.get()}"

    seen.set("here")
    assert "True-here" == PluginTokens(Plugin(), KeystoneHTTP()).get_token()


# --- redirects ---------------------------------------------------------------------------------


def redirecting(url):
    def talk(sock):
        sock.sendall(f"HTTP/1.1 302 Found\r\nLocation: {url}\r\nContent-Length: 0\r\n\r\n".encode())

    return talk


@pytest.fixture
def elsewhere(hostile):
    return hostile(DRIPS["silence"])


def test_a_password_is_not_sent_to_where_keystone_redirects(hostile, elsewhere):
    tokens = tokens_of(hostile(redirecting(elsewhere.url)).url)
    with pytest.raises(TokenUnavailable, match=r"\(HTTP 302\).* set auth_url "):
        tokens.get_token(LIMIT)
    assert 0 == elsewhere.accepted


def test_a_catalogue_is_refused_for_a_redirect_as_well(hostile, elsewhere, tmp_path, monkeypatch):
    from traced_image.config.keystone import find_image_endpoint
    from traced_image.config.sources import EndpointFilter

    tokens = tokens_of(hostile(redirecting(elsewhere.url)).url)
    with pytest.raises(InvalidAuth, match="set auth_url"):
        find_image_endpoint(tokens, EndpointFilter(), None, "test")


def session():
    return KeystoneSession(verify=True, cert=None, timeout=LIMIT)


def test_a_plugin_that_looks_at_redirects_itself_gets_them(hostile, elsewhere):
    with session() as one:
        url = hostile(redirecting(elsewhere.url)).url
        answer = one.post(url, authenticated=False, redirect=False)
    assert 302 == answer.status_code


def test_keystone_is_told_which_program_asks():
    with session() as one:
        assert one.user_agent.startswith(make_user_agent())


def test_a_redirect_of_a_read_is_followed(hostile, keystone):
    with session() as one:
        url = hostile(redirecting(keystone.url)).url
        assert 200 == one.get(url, authenticated=False).status_code
