"""The control API: what a test in any language sees, breaks and waits for."""

import base64
import http.client
import json
import threading
import time

import pytest

from traced_image import lab
from traced_image.errors import InvalidArgument
from traced_image.lab.control_routes import ROUTES
from traced_image.lab.http1 import ReceivedRequest, Response

LIMIT = 10.0
"""Seconds after which a stop has waited for somebody."""


@pytest.fixture
def servers(images):
    with lab.cluster(2, images=images) as running:
        yield running


@pytest.fixture
def control(servers):
    with lab.Control(servers) as running:
        yield running


@pytest.fixture
def call(control, connect):
    """Send a request to the control API: ``call("GET", "/servers")``; the status and the JSON."""

    def send(method, path, body=None, **headers):
        connection = connect(control)
        sent = body if body is None or isinstance(body, bytes) else json.dumps(body)
        connection.request(method, path, sent, headers)
        reply = connection.getresponse()
        text = reply.read()
        return reply.status, json.loads(text) if text else None

    return send


@pytest.fixture
def ask(connect):
    """Send a request to a server; its status, None if there is no answer."""

    def send(server, path="/v2/images"):
        connection = connect(server)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return None

    return send


def test_it_lists_its_paths(call):
    expected = {f"{each.method} {each.path}": each.help for each in ROUTES}
    assert (200, {"cafile": None, "paths": expected}) == call("GET", "/")


def test_it_names_the_file_of_the_ca():
    tls = lab.TLS.trusted()
    with lab.cluster(1, tls=tls) as servers, lab.Control(servers, tls=tls) as control:
        connection = http.client.HTTPConnection(control.host, control.port)
        connection.request("GET", "/")
        cafile = json.load(connection.getresponse())["cafile"]
        connection.close()
    assert tls.cafile == cafile


def test_it_lists_the_servers(call, servers, ask):
    ask(servers[0])
    first, second = ({"name": each.name, "url": each.url, "fault": None} for each in servers)
    first |= {"connections": 1, "requests": 1}
    second |= {"connections": 0, "requests": 0}
    assert (200, {"servers": [first, second]}) == call("GET", "/servers")


def test_it_shows_a_server_with_its_fault(call, servers):
    servers[1].break_with(lab.faults.status(503))
    status, shown = call("GET", "/servers/glance-2")
    assert (200, "status") == (status, shown["fault"])


def test_it_breaks_a_server(call, servers, ask):
    fault = {"fault": "status(418, retry_after=2).only(method='GET')"}
    status, shown = call("PUT", "/servers/glance-2/fault", fault)
    assert (200, "status", 200, 418) == (status, shown["fault"], *map(ask, servers))


def test_it_heals_a_server(call, servers, ask):
    servers[0].break_with(lab.faults.status(503))
    status, shown = call("DELETE", "/servers/glance-1/fault")
    assert (200, None, 200) == (status, shown["fault"], ask(servers[0]))


def test_it_shows_the_access_log(call, servers, ask):
    ask(servers[0], "/v2/schemas/image?a=b")
    status, answer = call("GET", "/servers/glance-1/requests")
    (request,) = answer["requests"]
    assert (200, "GET", "/v2/schemas/image?a=b", 200) == (
        status,
        *(request[name] for name in ("method", "path", "status")),
    )


@pytest.mark.parametrize(
    ("query", "paths"),
    [
        ("method=GET", ["/v2/images", "/v2/schemas/image"]),
        ("method=PUT", []),
        ("path=schemas", ["/v2/schemas/image"]),
        ("path=/images$", ["/v2/images"]),
        ("status=200", ["/v2/images", "/v2/schemas/image"]),
        ("status=503", []),
        ("fault=delay", []),
    ],
)
def test_it_shows_the_requests_that_are_asked_for(query, paths, call, servers, ask):
    ask(servers[0], "/v2/images")
    ask(servers[0], "/v2/schemas/image")
    answer = call("GET", f"/servers/glance-1/requests?{query}")[1]
    assert paths == [each["path"] for each in answer["requests"]]


def test_it_waits_for_requests(call, servers, ask):
    ask(servers[0])
    later = threading.Timer(0.05, ask, [servers[0]])
    later.start()
    answer = call("GET", "/servers/glance-1/requests?count=2&timeout=10")[1]
    later.join()
    assert ["/v2/images"] * 2 == [each["path"] for each in answer["requests"]]


def test_it_says_that_requests_did_not_come(call):
    status, answer = call("GET", "/servers/glance-1/requests?count=1&timeout=0.01")
    assert (409, True) == (status, "1 of any method any path within 0.01 s" in answer["error"])


def test_it_stops_although_somebody_waits_for_requests(control, dial, until):
    sock = dial(control)
    path = "/servers/glance-1/requests?count=1&timeout=200"
    sock.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    until(lambda: control.connections == 1)
    began = time.monotonic()
    control.stop()
    assert time.monotonic() - began < LIMIT


def test_it_waits_for_requests_again_after_a_new_start(control, call):
    control.stop()
    control.start()
    began = time.monotonic()
    assert 409 == call("GET", "/servers/glance-1/requests?count=1&timeout=0.1")[0]
    assert time.monotonic() - began >= 0.1


def test_it_empties_the_access_log(call, servers, ask):
    ask(servers[0])
    assert (204, None, ()) == (
        *call("DELETE", "/servers/glance-1/requests"),
        servers[0].access_log,
    )


def test_it_adds_an_image(call, images):
    given = {"name": "cirros", "data": "größe", "visibility": "private", "os_distro": "c"}
    status, shown = call("POST", "/images", given)
    image = images.get(shown["id"])
    assert (201, "größe".encode(), "cirros", "private", "c") == (
        status,
        image.data,
        *(shown[name] for name in ("name", "visibility", "os_distro")),
    )


def test_it_adds_an_image_of_bytes(call, images):
    data = bytes(range(256))
    shown = call("POST", "/images", {"data_base64": base64.b64encode(data).decode()})[1]
    assert data == images.get(shown["id"]).data


def test_it_adds_an_image_without_data(call):
    assert "queued" == call("POST", "/images", {"name": "empty"})[1]["status"]


def test_it_lists_the_images(call, images):
    ids = [images.add(name=name) for name in ("one", "two")]
    answer = call("GET", "/images")[1]
    assert ids[::-1] == [each["id"] for each in answer["images"]]


def test_it_removes_an_image(call, images):
    image_id = images.add(name="cirros")
    assert (204, None, None) == (*call("DELETE", f"/images/{image_id}"), images.get(image_id))


def test_it_resets_all(call, servers, images, ask):
    images.add(name="cirros")
    ask(servers[0])
    servers[1].break_with(lab.faults.refuse())
    assert (204, None) == call("POST", "/reset")
    logs = [len(each.access_log) for each in servers]
    assert ([], [0, 0], [200, 200]) == (images.all(), logs, [*map(ask, servers)])


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "words"),
    [
        ("GET", "/server", None, 404, "no path /server: GET / lists the paths"),
        ("POST", "/servers", None, 405, "POST /servers is not possible: use GET"),
        ("PATCH", "/images", None, 405, "PATCH /images is not possible: use GET or POST"),
        ("GET", "/servers/glance-3", None, 404, "no server glance-3: there are glance-1, glance-2"),
        ("DELETE", "/servers/x/fault", None, 404, "no server x"),
        ("PUT", "/servers/glance-1/fault", b"refuse()", 400, "the body is not JSON"),
        ("PUT", "/servers/glance-1/fault", b"[" * 100_000, 400, "the body is not JSON"),
        ("PUT", "/servers/glance-1/fault", ["refuse()"], 400, "the body is not a JSON object"),
        ("PUT", "/servers/glance-1/fault", {"faults": 1}, 400, "write the fault as"),
        ("PUT", "/servers/glance-1/fault", {"fault": "refus()"}, 400, "refus is none of"),
        ("PUT", "/servers/glance-1/fault", {"fault": "broken_tls()"}, 400, "needs a server with"),
        ("GET", "/servers/glance-1/requests?methd=GET", None, 400, "no parameter methd: use"),
        ("GET", "/servers/glance-1/requests?method=GTE", None, 400, "GTE"),
        ("GET", "/servers/glance-1/requests?count=x", None, 400, "count='x': give a number"),
        ("GET", "/servers/glance-1/requests?timeout=-1", None, 400, "give a number from 0"),
        ("GET", "/servers/glance-1/requests?timeout=nan", None, 400, "give a number from 0"),
        ("GET", "/servers/glance-1/requests?path=(", None, 400, "give a regular expression"),
        ("POST", "/images", {"data": "a", "data_base64": "YQ=="}, 400, "not both"),
        ("POST", "/images", {"data": 1}, 400, "write data as text"),
        ("POST", "/images", {"data": "\ud800"}, 400, "data can't be written as UTF-8"),
        ("POST", "/images", {"name": "\ud800"}, 400, "No reply can have this image"),
        ("POST", "/images", {"data_base64": "Y"}, 400, "data_base64 is not Base64"),
        ("POST", "/images", {"tags": 1}, 400, "the image can't be added"),
        ("DELETE", "/images/x", None, 404, "no image x"),
    ],
    ids=str,
)
def test_what_can_not_be_done_is_told(method, path, body, status, words, call):
    answered, answer = call(method, path, body)
    assert (status, True) == (answered, words in answer["error"]), answer


def test_an_answer_says_which_methods_are_allowed(control, connect):
    connection = connect(control)
    connection.request("DELETE", "/images")
    assert "GET, POST" == connection.getresponse().headers["Allow"]


@pytest.mark.parametrize(
    "header", [{"Host": "glance.example"}, {"Host": "[::1"}, {"Origin": "http://a.example"}]
)
def test_a_page_in_a_browser_can_not_use_it(header, call):
    assert 403 == call("POST", "/reset", **header)[0]


def test_the_host_of_a_url_counts_before_the_header(control, connect):
    connection = connect(control)
    connection.request("GET", "http://glance.example/servers", headers={"Host": "127.0.0.1"})
    assert 403 == connection.getresponse().status


def test_it_has_no_faults(control):
    with pytest.raises(InvalidArgument, match="can't have the fault refuse"):
        control.break_with(lab.faults.refuse())


def test_it_controls_at_least_one_server():
    with pytest.raises(InvalidArgument, match="at least one server"):
        lab.Control([])


def test_it_controls_servers_of_different_names():
    with pytest.raises(InvalidArgument, match="different names"):
        lab.Control([lab.GlanceServer(), lab.GlanceServer()])


def test_its_replies_have_no_request_id(control):
    response = Response(200)
    assert response is control.app.add_request_id(ReceivedRequest("GET", "/"), response)


def test_it_has_an_address(control):
    assert f"http://127.0.0.1:{control.port}" == control.url
