"""Whose token a request carries, how one is renewed, and what no header can carry."""

import math
import socket
import time
import traceback
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from keystoneauth1.identity import v3
from keystoneauth1.plugin import BaseAuthPlugin
from loopback import Loopback, conversation, get, reply

from traced_image import Config, RequestContext
from traced_image.errors import DeadlineExceeded, InvalidContext, TokenUnavailable
from traced_image.pipeline.context import SERVICE
from traced_image.pipeline.http.auth import (
    RequestTokens,
    SentTokens,
    ServiceToken,
    check_context,
    find_request_id,
)


class Tokens:
    """A token source with one token after the other, the last of which stays."""

    def __init__(self, *tokens, says=True):
        self.tokens = list(tokens)
        self.says = says

    def get_token(self):
        return self.tokens[0]

    def invalidate(self):
        del self.tokens[: len(self.tokens) - 1]
        return self.says


def service_token(*tokens, says=True):
    return ServiceToken(Tokens(*tokens, says=says) if tokens else None)


def request_tokens(**fields):
    return RequestTokens(Config(servers="glance-1", **fields))


CALLER = RequestContext(auth_token="caller")


def test_the_caller_s_token_is_taken_under_keystone():
    found = request_tokens(auth_strategy="keystone").find(CALLER, math.inf)
    assert SentTokens("caller") == found


@pytest.mark.parametrize(
    ("text", "shown"), [("header value: 's3cret\\n'", False), ("Keystone is down", True)]
)
def test_a_cause_that_shows_a_token_is_left_out(text, shown):
    class Failing(Tokens):
        def get_token(self):
            raise ValueError(text)

    with pytest.raises(TokenUnavailable) as caught:
        ServiceToken(Failing()).get(math.inf)
    told = "".join(traceback.format_exception(caught.value))
    assert (shown, shown) == (caught.value.__cause__ is not None, text in told)


class Mute(Exception):  # noqa: N818
    def __str__(self):
        raise RuntimeError


@pytest.mark.parametrize(
    "context", [ValueError("header value: 's3cret\\n'"), Mute()], ids=["secret", "no text"]
)
def test_a_cause_whose_own_cause_can_not_be_shown_is_left_out(context):
    class Failing(Tokens):
        def get_token(self):
            raise ValueError("no answer") from context

    with pytest.raises(TokenUnavailable) as caught:
        ServiceToken(Failing()).get(math.inf)
    assert caught.value.__cause__ is None


def test_the_caller_s_token_is_left_under_noauth():
    assert SentTokens() == request_tokens().find(CALLER, math.inf)


@pytest.mark.parametrize("token", [None, ""])
def test_a_caller_without_a_token_has_none(token):
    tokens = request_tokens(auth=Tokens("service"), service_auth=Tokens("beside"))
    assert SentTokens() == tokens.find(RequestContext(auth_token=token), math.inf)


def test_a_context_that_equals_the_service_s_is_not_the_service():
    tokens = request_tokens(auth=Tokens("service"))
    assert SentTokens() == tokens.find(RequestContext(is_admin=True), math.inf)


def test_the_service_itself_has_its_own_token():
    assert SentTokens("own") == request_tokens(auth=Tokens("own")).find(SERVICE, math.inf)


def test_a_caller_s_token_has_the_service_s_beside_it():
    found = request_tokens(service_auth=Tokens("beside")).find(CALLER, math.inf)
    assert SentTokens("caller", "beside") == found


def test_the_token_beside_a_caller_s_implies_keystone():
    assert "keystone" == Config(servers="a", service_auth=Tokens("beside")).auth_strategy


def test_a_caller_s_token_is_not_renewed():
    tokens = request_tokens(auth=Tokens("service", "new"))
    assert tokens.renew(SentTokens("caller"), CALLER, math.inf) is None


def test_the_token_beside_a_caller_s_is_renewed():
    tokens = request_tokens(service_auth=Tokens("old", "new"))
    found = tokens.renew(SentTokens("caller", "old"), CALLER, math.inf)
    assert SentTokens("caller", "new") == found


def test_without_a_plugin_the_service_has_no_token():
    assert service_token().get(math.inf) is None


def test_without_a_plugin_nothing_is_renewed():
    assert service_token().renew("old", math.inf) is None


def test_without_a_token_there_is_none_to_renew():
    assert service_token("old", "new").renew(None, math.inf) is None


def test_a_refused_token_is_renewed():
    assert service_token("old", "new").renew("old", math.inf) == "new"


def test_a_token_that_another_thread_has_renewed_is_not_renewed_again():
    found = service_token("new", "newer")
    assert (found.renew("old", math.inf), found.get(math.inf)) == ("new", "new")


def test_a_token_that_another_thread_renews_meanwhile_is_renewed():
    """That thread has invalidated it, so that there is nothing left to invalidate."""
    assert service_token("old", "new", says=False).renew("old", math.inf) == "new"


@pytest.mark.parametrize("says", [True, False])
def test_a_token_that_stays_the_same_is_not_renewed(says):
    assert service_token("old", says=says).renew("old", math.inf) is None


def test_a_plugin_of_keystoneauth_is_renewed():
    tokens = ["old", "new"]

    class Plugin(BaseAuthPlugin):
        def get_token(self, _session):
            return tokens[0]

        def invalidate(self):
            return tokens.pop(0) == "old"

    found = ServiceToken(Config(servers="glance-1", auth=Plugin()).auth)
    assert (found.get(math.inf), found.renew("old", math.inf)) == ("old", "new")


def test_a_service_token_must_be_one_that_a_header_can_carry():
    with pytest.raises(TokenUnavailable):
        service_token("new\nline").get(math.inf)


@pytest.mark.parametrize("method", ["get_token", "invalidate"])
def test_whatever_a_source_of_tokens_raises_says_what_to_check(method):
    class Broken(Tokens):
        pass

    def fail(_self):
        raise OSError("no route")

    setattr(Broken, method, fail)
    found = ServiceToken(Broken("old"))
    with pytest.raises(TokenUnavailable, match=r"\(OSError\): check auth_url"):
        found.renew("old", math.inf)


@pytest.fixture
def silent():
    """A Keystone that never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/v3"
        yield v3.Password(url, "password", username="nova")


def handling(error, tokens):
    """Ask for a token in a block that handles an exception; return why there was none."""
    try:
        raise error
    except type(error):
        with pytest.raises(TokenUnavailable) as caught:
            tokens.get(math.inf)
    return caught.value.reason


def test_keystones_reason_is_found_whatever_the_caller_is_handling():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    plugin = v3.Password(f"http://127.0.0.1:{port}/v3", "password", username="nova")
    tokens = ServiceToken(Config(servers="glance-1", auth=plugin).auth)
    assert "connection_refused" == handling(TimeoutError(), tokens)


def test_what_the_caller_is_handling_is_not_keystones_reason():
    class Broken(Tokens):
        def get_token(self):
            raise LookupError("no token")

    assert "_OTHER" == handling(TimeoutError(), ServiceToken(Broken("old")))


@pytest.mark.parametrize("work", [ServiceToken.get, lambda t, s: t.renew("old", s)])
def test_a_keystone_that_never_answers_is_left_in_time(silent, work):
    tokens = ServiceToken(Config(servers="glance-1", auth=silent, read_timeout=1).auth)
    with pytest.raises(TokenUnavailable, match=r"^Keystone gave no token in time: "):
        work(tokens, 0.1)


def test_a_call_leaves_a_keystone_that_never_answers_at_its_deadline(silent, opened):
    sender = opened.sender("http://127.0.0.1:1", auth=silent, read_timeout=1)
    with pytest.raises(TokenUnavailable, match=r"^Keystone gave no token in time: "):
        sender(get(), deadline=0.1)


def test_what_a_callers_own_source_of_tokens_takes_counts_as_part_of_the_call(opened):
    class Slow(Tokens):
        def get_token(self):
            time.sleep(0.05)
            return "late"

    sender = opened.sender("http://127.0.0.1:1", auth=Slow("late"))
    with pytest.raises(TokenUnavailable, match=r"only after the call's deadline") as caught:
        sender(get(), deadline=0.04)
    assert "read_timeout" == caught.value.reason


@pytest.mark.parametrize(
    ("context", "expected"),
    [
        (RequestContext(), None),
        (SERVICE, None),
        (SimpleNamespace(request_id=""), None),
        (SimpleNamespace(global_id=None, request_id="req-1"), "req-1"),
        (SimpleNamespace(global_id="req-2", request_id="req-1"), "req-2"),
    ],
)
def test_the_id_that_ties_requests_together(context, expected):
    assert find_request_id(context) == expected


@pytest.mark.parametrize("name", ["auth_token", "request_id", "global_id"])
@pytest.mark.parametrize(
    "value", ["a\r\nX-Injected: b", "a\nb", "a b", "a\0", "ü", "\ud800", b"a", 5, ["a"]]
)
def test_a_context_that_no_header_can_carry_is_refused_without_showing_it(name, value):
    context = SimpleNamespace(**{"auth_token": None, name: value})
    shown = {"global_id": "request_id"}.get(name, name)
    with pytest.raises(InvalidContext, match=f"^context.{shown} is not text that a header"):
        check_context(context)


@given(st.text())
def test_what_passes_is_one_line_of_visible_ascii(value):
    try:
        check_context(SimpleNamespace(auth_token=value, request_id=value))
    except InvalidContext:
        return
    assert value == "" or (value.isascii() and value.isprintable() and " " not in value)


@pytest.mark.parametrize(
    "context", [SERVICE, SimpleNamespace(auth_token=None), RequestContext("t", "u", "p")]
)
def test_an_ordinary_context_passes(context):
    assert check_context(context) is None


@pytest.mark.parametrize("value", [0, False, b"", []])
def test_a_token_that_counts_as_false_must_be_text_or_none(value):
    with pytest.raises(InvalidContext, match=r"^context\.auth_token is not text"):
        check_context(SimpleNamespace(auth_token=value))


@pytest.mark.parametrize("context", [{"auth_token": "s3cret"}, "s3cret", 5, SimpleNamespace()])
def test_what_has_no_token_is_no_context_and_is_not_shown(context):
    with pytest.raises(InvalidContext, match=f"^{type(context).__name__} is no context") as caught:
        check_context(context)
    assert "s3cret" not in str(caught.value)


def test_a_server_is_not_accused_of_the_time_that_keystone_took_to_renew_a_token(opened):
    class Slow(Tokens):
        def invalidate(self):
            time.sleep(0.3)
            return super().invalidate()

    def silent(sock):
        while sock.recv(4096):
            pass

    with Loopback(conversation(reply(401), silent)) as server:
        fields = {"auth": Slow("old", "new"), "auth_strategy": "keystone"}
        service = opened.service(server, deadline=0.5, **fields)
        with pytest.raises(DeadlineExceeded):
            service.show(None, "8f3c1a52-0000-4000-8000-000000000001")
    assert 0 == service.servers()[0].consecutive_failures
