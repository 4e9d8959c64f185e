"""What is answered around the APIs: versions, health, tokens, request ids, errors."""

import json
import re

import pytest

from traced_image import lab
from traced_image.lab.accept import choose_media_type
from traced_image.lab.app import App
from traced_image.lab.error_responses import Refused
from traced_image.lab.http1 import ReceivedRequest

UUID_ID = re.compile(r"req-[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")


def versions(response):
    return {one["id"]: one["status"] for one in json.loads(response.body)["versions"]}


def test_versions_are_glance_33s_and_v1(glance):
    response = glance("GET", "/versions")
    expected = {
        **{f"v2.{minor}": "SUPPORTED" for minor in [*range(14), 15]},
        "v2.17": "CURRENT",
        "v1.0": "DEPRECATED",
        "v1.1": "DEPRECATED",
    }
    assert (200, expected) == (response.status, versions(response))


@pytest.mark.parametrize("path", ["/", "/foo", "/v3/images", "/v2.99/images"])
def test_a_path_without_a_version_gets_the_choice_of_them(glance, path):
    response = glance("GET", path)
    assert (response.status, versions(response)["v2.17"]) == (300, "CURRENT")


def test_a_version_links_to_its_root(glance):
    first = json.loads(glance("GET", "/").body)["versions"][0]
    assert first["links"] == [{"rel": "self", "href": "http://glance/v2/"}]


def test_the_health_check_says_ok(glance):
    response = glance("GET", "/healthcheck")
    assert (
        response.status,
        response.body,
        response.content_type,
    ) == (200, b"OK", "text/plain; charset=UTF-8")


@pytest.mark.parametrize("version", ["v2", "v2.0", "v2.17", "/v2"])
def test_every_minor_version_is_the_same_api(glance, version):
    assert glance("GET", f"/{version}/images").status == 200


@pytest.mark.parametrize(
    "path", ["/v2/nope", "/v2/", "/v2/images/x/y", "/v2/images/x/", "/v1/nope"]
)
def test_an_unknown_path_is_404(glance, path):
    assert glance("GET", path).status == 404


def test_an_unknown_method_on_an_unknown_path_is_501(glance, text):
    response = glance("BREW", "/v2/nope")
    assert response.status == 501
    assert "The request method BREW is not implemented" in text(response)


def test_an_unknown_method_on_a_known_path_is_405(glance):
    response = glance("BREW", "/v2/images")
    assert (response.status, response.header("Allow")) == (405, "GET, POST")


def test_a_body_where_none_belongs_is_400(glance, text):
    assert "A body is not expected" in text(glance("GET", "/v2/images/x", b"body"))


@pytest.mark.parametrize("headers", [{}, {"x-auth-token": "other"}])
def test_without_a_good_token_there_is_401_and_no_request_id(glance, images, headers):
    response = glance("GET", "/v2/images", headers=headers, app=App(images, {"good"}))
    assert (response.status, response.header("X-Openstack-Request-Id")) == (401, None)
    assert response.header("WWW-Authenticate").startswith("Keystone uri=")


@pytest.mark.parametrize("path", ["/", "/versions", "/healthcheck"])
def test_versions_and_health_need_no_token(glance, images, path):
    assert glance("GET", path, app=App(images, {"good"})).status in (200, 300)


def test_without_keystone_a_request_id_is_glances_own(glance):
    response = glance("GET", "/v2/images", headers={"x-openstack-request-id": "req-mine"})
    assert UUID_ID.fullmatch(response.header("X-Openstack-Request-Id"))


@pytest.mark.parametrize(("sent", "answered"), [("req-mine", "req-mine"), ("mine", "req-mine")])
def test_with_keystone_a_request_id_is_the_clients(glance, images, sent, answered):
    headers = {"x-auth-token": "good", "x-openstack-request-id": sent}
    response = glance("GET", "/v2/images", headers=headers, app=App(images, {"good"}))
    assert answered == response.header("X-Openstack-Request-Id")


def test_with_keystone_a_request_without_an_id_gets_one(glance, images):
    headers = {"x-auth-token": "good"}
    response = glance("GET", "/v2/images", headers=headers, app=App(images, {"good"}))
    assert UUID_ID.fullmatch(response.header("X-Openstack-Request-Id"))


HTML = """<html>
 <head>
  <title>404 Not Found</title>
 </head>
 <body>
  <h1>404 Not Found</h1>
  No image found with ID &lt;x&gt;<br /><br />



 </body>
</html>"""


@pytest.mark.parametrize(
    ("accept", "kind", "body"),
    [
        ("*/*", "text/html; charset=UTF-8", HTML),
        ("text/html", "text/html; charset=UTF-8", HTML),
        (
            "application/json",
            "application/json",
            json.dumps(
                {
                    "message": "No image found with ID <x><br /><br />\n\n\n",
                    "code": "404 Not Found",
                    "title": "Not Found",
                }
            ),
        ),
        (
            "text/plain",
            "text/plain; charset=UTF-8",
            "404 Not Found\n\nNo image found with ID \n\n   ",
        ),
    ],
)
def test_an_error_comes_in_the_form_that_the_client_accepts(glance, accept, kind, body):
    response = glance("GET", "/v2/images/%3Cx%3E", headers={"accept": accept})
    assert (kind, body) == (response.content_type, response.body.decode())


@pytest.mark.parametrize(
    ("accept", "kind"),
    [("text/*", "text/html; charset=UTF-8"), ("application/*", "application/json")],
)
def test_a_client_may_accept_all_kinds_of_a_form(glance, accept, kind):
    response = glance("GET", "/v2/images/x", headers={"accept": accept})
    assert kind == response.content_type


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", None),
        (",", None),
        ("bogus", "a/x"),
        ("a/y;q=2", "a/x"),
        ("A/Y", "a/y"),
        ("a/y, b/z", "a/y"),
        ("b/z;q=0.5, a/y;q=0.4", "b/z"),
        ("*/*", "a/x"),
        ("a/*;q=0, */*;q=0.1", "b/z"),
        ("a/x;q=0, a/*", "a/y"),
        ("a/x;q=0", None),
        ("a/x;level=1", None),
        ('a/x;q=0.9;ext, a/y;p="1,\\"2"', "a/x"),
        ("a/*;level=1", "a/x"),
        ("a/y;q=0.5, a/y", "a/y"),
        ("c/c", None),
    ],
)
def test_the_offer_that_a_client_likes_best_is_chosen(accept, expected):
    assert expected == choose_media_type(accept, ("a/x", "a/y", "b/z"))


def test_a_wrong_media_type_is_named():
    request = ReceivedRequest("PUT", "/", {"content-type": "a/b", "accept": "*/*"})
    body = Refused(415, detail="more").response(request).body
    assert (
        b"The request media type a/b is not supported by this server.\n<br /><br />\nmore" in body
    )


def test_the_package_offers_what_a_test_needs():
    assert {
        "TLS",
        "Access",
        "Control",
        "Fault",
        "GlanceServer",
        "Identity",
        "Image",
        "Images",
        "Limits",
        "Proxy",
        "cluster",
        "faults",
        "parse_fault",
    } == set(lab.__all__)
