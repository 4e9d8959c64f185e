"""One attempt over HTTP: headers, tokens and their renewal, redirects, what a reply may be."""

import contextlib
import io
import logging
import traceback
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from loopback import Loopback, closing, conversation, get, reply, resetting, sent
from support import together

import traced_image
from traced_image import Config, RequestContext, lab
from traced_image.errors import (
    AttemptError,
    CommunicationError,
    Invalid,
    InvalidEndpoint,
    NotFound,
    ProtocolError,
    TokenUnavailable,
    Unauthorized,
)
from traced_image.pipeline.api import v2
from traced_image.pipeline.api.operation import Operation, Request
from traced_image.pipeline.attempts.seams import Attempt, Call
from traced_image.pipeline.clock import Clock
from traced_image.pipeline.context import SERVICE
from traced_image.pipeline.http.send import HTTPSend, _ServerWire
from traced_image.pipeline.http.transport import send_prepared

JSON = reply(200, b"{}")
TOKEN = "gAAAAABtoken-1"


class Tokens:
    """A token source that counts what is asked of it."""

    def __init__(self, *tokens):
        self.tokens = list(tokens)
        self.invalidated = 0

    def get_token(self):
        token = self.tokens[0]
        if isinstance(token, Exception):
            raise token
        return token

    def invalidate(self):
        self.invalidated += 1
        if len(self.tokens) < 2:
            return False
        self.tokens.pop(0)
        return True


@pytest.fixture
def tell(opened):
    """Start a server that answers as told; give it and a sender to it."""
    with contextlib.ExitStack() as stack:

        def start(*says, prefix="", **fields):
            server = stack.enter_context(Loopback(conversation(*says)))
            return server, opened.sender(server.url + prefix, **fields)

        yield start


def headers_of(request):
    """A request's headers by their names in lower case."""
    lines = request.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]
    return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}


def path_of(request):
    return request.split(b" ", 2)[1].decode()


# --- headers -----------------------------------------------------------------------------------


def test_a_request_has_few_headers(tell):
    server, sender = tell(JSON)
    sender(get())
    assert headers_of(server.requests[0]) == {
        "host": f"127.0.0.1:{server.port}",
        "user-agent": f"traced-image/{traced_image.__version__}",
        "accept": "*/*",
        "accept-encoding": "identity",
    }


def test_an_operation_adds_headers(tell):
    server, sender = tell(JSON)
    sender(get(headers={"Range": "bytes=5-"}))
    assert headers_of(server.requests[0])["range"] == "bytes=5-"


@pytest.mark.parametrize(
    ("method", "body", "length"),
    [("GET", None, None), ("POST", None, "0"), ("POST", b"", "0"), ("PATCH", b"[1]", "3")],
)
def test_a_body_has_its_length(tell, method, body, length):
    server, sender = tell(JSON)
    sender(sent(method, body=body))
    assert headers_of(server.requests[0]).get("content-length") == length


@pytest.mark.parametrize(
    ("context", "expected"),
    [
        (RequestContext(request_id="req-1"), "req-1"),
        (RequestContext(request_id="req-1", global_request_id="req-2"), "req-2"),
        (SimpleNamespace(global_id="req-3", request_id="req-1"), "req-3"),
        (SimpleNamespace(request_id="req-1"), "req-1"),
        (SimpleNamespace(), None),
        (RequestContext(), None),
    ],
)
def test_the_caller_s_request_id_is_sent(tell, context, expected):
    server, sender = tell(JSON)
    sender(get(), context)
    assert headers_of(server.requests[0]).get("x-openstack-request-id") == expected


def test_the_reply_s_request_id_is_kept(tell):
    _, sender = tell(reply(200, b"{}", "X-Openstack-Request-Id: req-9"))
    assert sender(get()).request_id == "req-9"


@pytest.mark.parametrize(
    ("said", "kept"),
    [(b"\x9b31mreq-9\x9d", "31mreq-9"), (b"req\x85-\x909", "req - 9"), (b"\x9b", None)],
)
def test_a_request_id_has_no_control_characters(tell, said, kept):
    """The parser rejects those of ASCII; those above it are text to HTTP, and CSI to a terminal."""
    _, sender = tell(reply(200, b"{}", "X-Openstack-Request-Id: ID").replace(b"ID", said))
    assert sender(get()).request_id == kept


def test_the_last_reply_s_request_id_and_status_are_kept(tell):
    first = reply(200, b"{}", "X-Openstack-Request-Id: req-1")
    second = reply(202, b"{}", "X-Openstack-Request-Id: req-2")
    _, sender = tell(first, second)
    request = Request("GET", "/v2/images/x")
    answer = sender(Operation("x", "GET", "/", lambda wire: [wire(request), wire(request)]))
    assert (answer.status, answer.request_id) == (202, "req-2")


def test_an_error_keeps_the_request_id_of_the_reply_that_it_is_about(tell):
    _, sender = tell(reply(200, b"not JSON", "X-Openstack-Request-Id: req-9"))
    with pytest.raises(ProtocolError) as caught:
        sender(v2.get("x"))
    assert caught.value.request_id == "req-9"


def test_an_error_without_a_reply_has_no_request_id(tell):
    _, sender = tell(resetting())
    with pytest.raises(CommunicationError) as caught:
        sender(get())
    assert caught.value.request_id is None


# --- tokens ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "context", "expected"),
    [
        ({"auth_strategy": "keystone"}, RequestContext(auth_token=TOKEN), TOKEN),
        ({"auth_strategy": "keystone"}, RequestContext(), None),
        ({"auth_strategy": "keystone"}, SimpleNamespace(auth_token=None), None),
        ({"auth_strategy": "noauth"}, RequestContext(auth_token=TOKEN), None),
        ({"auth": Tokens("service")}, RequestContext(auth_token=TOKEN), TOKEN),
        ({"auth": Tokens("service")}, RequestContext(auth_token=""), None),
        ({"auth": Tokens("service")}, RequestContext(auth_token=None), None),
        ({"auth": Tokens("service")}, RequestContext(is_admin=True), None),
        ({"auth": Tokens("service")}, SERVICE, "service"),
        ({"auth": Tokens(None)}, SERVICE, None),
    ],
)
def test_a_token_is_sent_under_keystone_only(tell, fields, context, expected):
    server, sender = tell(JSON, **fields)
    sender(get(), context)
    assert headers_of(server.requests[0]).get("x-auth-token") == expected


@pytest.mark.parametrize(
    ("fields", "context", "expected"),
    [
        ({"auth_strategy": "keystone"}, RequestContext(auth_token=TOKEN), (TOKEN, None)),
        ({"service_auth": Tokens("beside")}, RequestContext(auth_token=TOKEN), (TOKEN, "beside")),
        ({"service_auth": Tokens(None)}, RequestContext(auth_token=TOKEN), (TOKEN, None)),
        ({"service_auth": Tokens("beside")}, RequestContext(), (None, None)),
        (
            {"auth": Tokens("service"), "service_auth": Tokens("beside")},
            SERVICE,
            ("service", None),
        ),
    ],
)
def test_a_service_token_is_sent_beside_a_caller_s_only(tell, fields, context, expected):
    server, sender = tell(JSON, **fields)
    sender(get(), context)
    headers = headers_of(server.requests[0])
    assert expected == (headers.get("x-auth-token"), headers.get("x-service-token"))


def test_a_service_token_that_is_refused_is_renewed_once(tell):
    server, sender = tell(reply(401), JSON, service_auth=Tokens("old", "new"))
    sender(get(), RequestContext(auth_token=TOKEN))
    sent = [headers_of(request) for request in server.requests]
    found = [(each["x-auth-token"], each["x-service-token"]) for each in sent]
    assert [(TOKEN, "old"), (TOKEN, "new")] == found


def test_a_service_token_that_a_server_repeats_is_hidden(tell):
    _, sender = tell(
        reply(400, b"beside-5ecret", "X-OpenStack-Request-ID: beside-5ecret"),
        service_auth=Tokens("beside-5ecret"),
    )
    with pytest.raises(Invalid) as caught:
        sender(get(), RequestContext(auth_token=TOKEN))
    assert ("REDACTED", False) == (caught.value.request_id, "5ecret" in str(caught.value))


def test_an_expired_token_is_renewed_once(tell):
    tokens = Tokens("old", "new")
    server, sender = tell(reply(401), JSON, auth=tokens)
    sender(get())
    found = [headers_of(request)["x-auth-token"] for request in server.requests]
    assert (found, tokens.invalidated) == (["old", "new"], 1)


def test_a_renewal_keeps_the_connection(tell):
    server, sender = tell(reply(401, b"no"), JSON, auth=Tokens("old", "new"))
    sender(get())
    assert server.accepted == 1


def test_a_renewed_token_that_is_refused_is_not_renewed(tell):
    server, sender = tell(reply(401), auth=Tokens("old", "new", "newer"))
    with pytest.raises(Unauthorized):
        sender(get())
    assert len(server.requests) == 2


def test_a_token_that_can_t_be_renewed_is_refused(tell):
    server, sender = tell(reply(401), auth=Tokens("only"))
    with pytest.raises(Unauthorized):
        sender(get())
    assert len(server.requests) == 1


def test_the_caller_s_token_is_not_renewed(tell):
    server, sender = tell(reply(401), auth=Tokens("service", "other"))
    with pytest.raises(Unauthorized):
        sender(get(), RequestContext(auth_token=TOKEN))
    assert [headers_of(request)["x-auth-token"] for request in server.requests] == [TOKEN]


def test_without_a_token_there_is_none_to_renew(tell):
    server, sender = tell(reply(401), auth=Tokens(None, "new"))
    with pytest.raises(Unauthorized):
        sender(get())
    assert len(server.requests) == 1


def test_another_status_renews_nothing(tell):
    tokens = Tokens("old", "new")
    _, sender = tell(reply(404), auth=tokens)
    with pytest.raises(NotFound):
        sender(get())
    assert tokens.invalidated == 0


def test_without_a_token_from_keystone_no_server_is_asked(tell):
    server, sender = tell(JSON, auth=Tokens(RuntimeError("password=hunter2")))
    with pytest.raises(
        TokenUnavailable, match=r"Keystone gave no token \(RuntimeError\)"
    ) as caught:
        sender(get())
    assert ("hunter2" in str(caught.value), server.requests) == (False, [])


def test_a_renewal_that_keystone_refuses_leaves_no_socket(tell):
    tokens = Tokens("old", RuntimeError("no"))
    server, sender = tell(reply(401, b"x" * 100), JSON, auth=tokens)
    with pytest.raises(TokenUnavailable):
        sender(get())
    tokens.tokens = ["good"]
    sender(get())
    assert server.accepted == 1


@pytest.mark.parametrize("token", ["two\r\nX-Injected: yes", "späť", "a b", b"bytes", 1234567890])
def test_a_service_token_that_no_header_can_carry_is_not_shown(tell, token):
    server, sender = tell(JSON, auth=Tokens(token))
    with pytest.raises(TokenUnavailable, match="a header can't contain") as caught:
        sender(get())
    text = "".join(traceback.format_exception(caught.value))
    assert (str(token) in text, server.requests) == (False, [])


def file_at(offset):
    file = io.BytesIO(b"0123456789")
    file.seek(offset)
    return file


@pytest.mark.parametrize(
    ("data", "expected"),
    [(b"0123456789", b"0123456789"), (file_at(4), b"456789"), ([b"01", b"23"], b"0123")],
)
def test_a_renewal_sends_the_data_again(tell, data, expected):
    server, sender = tell(reply(401), reply(204), auth=Tokens("old", "new"))
    sender(v2.upload("x", data))
    bodies = [request.partition(b"\r\n\r\n")[2] for request in server.requests]
    assert bodies == [expected, expected]


def test_a_renewal_can_t_send_data_again_that_is_gone(tell):
    server, sender = tell(reply(401), reply(204), auth=Tokens("old", "new"))
    with pytest.raises(Unauthorized):
        sender(v2.upload("x", iter([b"01", b"23"])))
    assert len(server.requests) == 1


def test_threads_whose_token_expires_together_all_get_their_answer(images, image_id, opened):
    class Expiring(Tokens):
        def invalidate(self):
            if super().invalidate():
                accepted.add(self.tokens[0])
                return True
            return False

    accepted = set()
    tokens = Expiring("t0", "t1")
    with lab.GlanceServer(images, tokens=accepted) as server:
        sender = opened.sender(server, auth=tokens)
        statuses = together(8, lambda _: sender(v2.get(image_id)).status)
    assert (statuses, tokens.tokens) == ([200] * 8, ["t1"])


# --- secrets -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "said",
    [
        reply(403, f"<p>token {TOKEN} may not</p>".encode()),
        reply(500, TOKEN.encode() * 50),
        reply(200, b"not JSON: " + TOKEN.encode()),
        reply(302, b"", f"Location: http://elsewhere.example/?token={TOKEN}"),
        closing(reply(200, b"{}", f"Content-Length: {TOKEN}")),
        b"HTTP/1.1 200 OK\r\n" + TOKEN.encode() + b"\r\n\r\n",
        resetting(),
    ],
)
def test_a_token_is_in_no_message_and_no_log(tell, caplog, said):
    caplog.set_level(logging.DEBUG)
    _, sender = tell(said, auth_strategy="keystone")
    with pytest.raises(AttemptError) as caught:
        sender(v2.get("x"), RequestContext(auth_token=TOKEN))
    assert TOKEN not in repr(caught.value) + repr(vars(caught.value)) + caplog.text


def test_a_token_is_in_no_repr():
    call = Call(v2.get("x"), RequestContext(auth_token=TOKEN))
    assert TOKEN not in repr(call)


def test_a_password_of_keystone_is_in_no_repr_of_a_configuration():
    assert TOKEN not in repr(Config(servers="glance-1", auth=Tokens(TOKEN)))


# --- redirects ---------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_what_reads_follows_a_redirect(tell, status, method):
    server, sender = tell(reply(status, b"", "Location: /v2/images/y"), reply(200))
    sender(sent(method))
    assert [path_of(request) for request in server.requests] == ["/v2/images/x", "/v2/images/y"]


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("y", "/image/v2/images/y"),
        ("../images/y?a=b#c", "/image/v2/images/y?a=b"),
        ("/image/v2/y", "/image/v2/y"),
        ("http://127.0.0.1:{port}/image/v2/y?a=b", "/image/v2/y?a=b"),
        ("HTTP://127.0.0.1:{port}/image/v2/y", "/image/v2/y"),
        ("//127.0.0.1:{port}/image/v2/y", "/image/v2/y"),
        ("http://user:pw@127.0.0.1:{port}/image/v2/y", "/image/v2/y"),
        ("?a=ü b", "/image/v2/images/x?a=%C3%83%C2%BC%20b"),
    ],
)
def test_a_redirect_on_the_same_server_is_followed(tell, location, expected):
    def say(sock):
        raw = f"Location: {location.format(port=server.port)}"
        sock.sendall(reply(302, b"", raw.encode().decode("latin-1")))

    server, sender = tell(say, JSON, prefix="/image")
    sender(get())
    assert path_of(server.requests[1]) == expected


def test_a_redirect_keeps_the_token(tell):
    server, sender = tell(reply(302, b"", "Location: /v2/images/y"), JSON, auth_strategy="keystone")
    sender(get(), RequestContext(auth_token=TOKEN))
    assert headers_of(server.requests[1])["x-auth-token"] == TOKEN


@pytest.mark.parametrize(
    "location",
    [
        "http://elsewhere.example/image/v2/images/y",
        "http://127.0.0.1:1/image/v2/images/y",
        "http://127.0.0.1/image/v2/images/y",
        "https://127.0.0.1:{port}/image/v2/images/y",
        "//elsewhere.example/image/v2/images/y",
        "http://127.0.0.1:{port}/other/v2/images/y",
        "http://127.0.0.1:{port}/imagery/v2/images/y",
        "/v2/images/y",
        "../../../../etc/passwd",
        "http://127.0.0.1:{port}@elsewhere.example/image/v2",
        "http://127.0.0.1:99999/image/v2/y",
        "http://127.0.0.1:port/image/v2/y",
        "http://[::1/image/v2/y",
        "ftp://127.0.0.1:{port}/image/v2/y",
        "mailto:nobody",
        "",
    ],
)
def test_a_redirect_elsewhere_is_not_followed(tell, location):
    def say(sock):
        sock.sendall(reply(302, b"", f"Location: {location.format(port=server.port)}"))

    server, sender = tell(say, JSON, prefix="/image")
    with pytest.raises(InvalidEndpoint, match="the redirect can't be followed"):
        sender(get())
    assert len(server.requests) == 1


def test_a_redirect_to_nowhere_is_not_followed(tell):
    _, sender = tell(reply(302))
    with pytest.raises(InvalidEndpoint):
        sender(get())


@pytest.mark.parametrize("method", ["DELETE", "PATCH", "POST", "PUT"])
def test_what_changes_something_follows_no_redirect(tell, method):
    server, sender = tell(reply(307, b"", "Location: /v2/images/y"), JSON)
    with pytest.raises(InvalidEndpoint):
        sender(sent(method, body=b"{}"))
    assert len(server.requests) == 1


def test_a_redirect_s_body_is_not_read(tell):
    def endless(sock):
        sock.sendall(b"HTTP/1.1 302 Go\r\nLocation: /v2/images/y\r\n\r\n")
        with contextlib.suppress(OSError):
            while True:
                sock.sendall(b"x" * 4096)

    _, sender = tell(endless, JSON)
    assert sender(get()).status == 200


def wire_to(url):
    http = HTTPSend(Config(servers=[url]), Clock(), send_prepared)
    attempt = Attempt(Call(v2.get("x"), SERVICE), http.config.servers[0], 1, 1)
    return _ServerWire(http, attempt)


WIRES = [
    wire_to("http://glance-1:9292"),
    wire_to("https://[::1]:443/image"),
    wire_to("http://t:80"),
]


@given(
    st.sampled_from(WIRES),
    st.text(max_size=40)
    | st.from_regex(r"(https?:)?//(t|glance-1|\[::1\])(:\d+)?(/image)?/[\w.%/?#@:;\\-]*"),
)
@example(WIRES[2], "http://t/v2/images/y")
def test_no_redirect_leads_to_another_server(wire, location):
    server = wire._attempt.server
    try:
        path = wire._redirected(Request("GET", "/v2/images/x"), "/v2/images/x", 302, location)
    except InvalidEndpoint:
        return
    target = urlsplit(server.url + path)
    assert (target.hostname, target.port) == (server.host, server.port)
    assert target.path.startswith(f"{server.path}/")


# --- what a reply may be -----------------------------------------------------------------------


@pytest.mark.parametrize("status", [300, 304, 305, 306, 399])
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_status_that_answers_nothing_is_no_success(tell, status, method):
    _, sender = tell(reply(status, b"{}"))
    with pytest.raises(ProtocolError, match=f"HTTP {status} is neither a success nor an error"):
        sender(sent(method))


ADDRESS = "; fix: correct the address if Glance is not under /image"
GLANCES_404 = reply(404, b"No image", "X-OpenStack-Request-ID: req-1")


@pytest.mark.parametrize(
    ("say", "prefix", "end"),
    [
        (reply(300), "/image", f"HTTP 300 is neither a success nor an error{ADDRESS}"),
        (reply(300), "", "HTTP 300 is neither a success nor an error"),
        (reply(304), "/image", "HTTP 304 is neither a success nor an error"),
        (reply(404, b"<p>No page</p>"), "/image", f"HTTP 404 Not Found: No page{ADDRESS}"),
        (reply(404, b"No page"), "", "HTTP 404 Not Found: No page"),
        (GLANCES_404, "/image", "HTTP 404 Not Found: No image"),
        (reply(403, b"No page"), "/image", "HTTP 403 Forbidden: No page"),
    ],
)
def test_a_reply_that_is_not_glances_names_the_prefix_if_there_is_one(tell, say, prefix, end):
    server, sender = tell(say, prefix=prefix)
    with pytest.raises(AttemptError) as failed:
        sender(get())
    assert f"127.0.0.1:{server.port}: {end}" == str(failed.value)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_other_success_is_one(tell, status):
    _, sender = tell(reply(status))
    assert sender(sent("DELETE")).status == status
