"""Stores, tasks, limits and health. What is expected was seen of Glance 33."""

import html
import json

import pytest

from traced_image import lab
from traced_image.lab.app import App

PATCH = {"content-type": "application/openstack-images-v2.1-json-patch"}
ZERO = "00000000-0000-0000-0000-000000000000"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v2/info/stores", {"stores": [{"id": "fs", "default": "true"}]}),
        ("/v2/info/usage", {"usage": {}}),
    ],
)
def test_what_is_said_of_the_server(glance, path, body):
    assert body == json.loads(glance("GET", path).body)


def test_the_store_has_details(glance):
    assert ["memory"] == [
        one["type"] for one in json.loads(glance("GET", "/v2/info/stores/detail").body)["stores"]
    ]


@pytest.mark.parametrize(
    ("store", "data", "status"), [("x", b"1", 409), ("fs", None, 409), ("fs", b"1", 403)]
)
def test_data_stays_in_its_only_store(glance, images, store, data, status):
    image_id = images.add(data=data)
    assert status == glance("DELETE", f"/v2/stores/{store}/{image_id}").status


def test_data_is_not_uploaded_to_another_store(glance, images, text):
    image_id = images.add(disk_format="raw", container_format="bare")
    headers = {"content-type": "application/octet-stream", "x-image-meta-store": "other"}
    response = glance("PUT", f"/v2/images/{image_id}/file", b"x", headers)
    assert (400, True) == (response.status, "Store for identifier other" in text(response))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ([], "'type' is required"),
        ({"type": "import"}, "'input' is required"),
        ({"type": 5, "input": {}}, "5 is not one of"),
        ({"type": "import", "input": {}}, "Invalid location: None"),
    ],
)
def test_a_task_is_started_by_an_import_only(glance, text, body, words):
    response = glance("POST", "/v2/tasks", body, {"accept": "text/plain"})
    assert (400, True) == (response.status, words in text(response))


@pytest.fixture
def imported(glance, images):
    """The ids of two tasks: one that failed, and then one that succeeded."""
    for error in ("broken", None):
        images.import_error = error
        image_id = images.add(
            status="uploading", disk_format="raw", container_format="bare", size=0
        )
        body = {"method": {"name": "glance-direct"}}
        glance("POST", f"/v2/images/{image_id}/import", body)
    return list(images.tasks)


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("", [1, 0]),
        ("?limit=1", [1]),
        ("?status=failure", [0]),
        ("?status=failure;limit=1", [0]),
        ("?status=success", [1]),
        ("?type=import", []),
        (f"?marker={ZERO}&sort_key=id&sort_dir=asc", [1, 0]),
    ],
)
def test_tasks_are_listed(glance, imported, query, numbers):
    tasks = json.loads(glance("GET", f"/v2/tasks{query}").body)["tasks"]
    assert [imported[number] for number in numbers] == [one["id"] for one in tasks]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("limit=x", "limit param must be an integer"),
        ("limit=-1", "limit param must be positive"),
        ("marker=x", "Invalid marker format"),
        ("sort_dir=x", "Invalid sort direction: x"),
        ("sort_key=x", "Sort key supplied was not valid."),
        ("type=x", "Invalid type value: x"),
        ("type=api_image_import", "Invalid type value: api_image_import"),
        ("status=x", "Invalid status value: x"),
    ],
)
def test_a_wrong_list_of_tasks_is_refused(glance, text, query, words):
    assert words in text(glance("GET", f"/v2/tasks?{query}"))


def test_a_task_is_shown(glance, imported):
    task = json.loads(glance("GET", f"/v2/tasks/{imported[0]}").body)
    assert ("failure", "broken", "/v2/schemas/task") == (
        task["status"],
        task["message"],
        task["schema"],
    )


def test_an_unknown_task_is_404(glance):
    assert glance("GET", "/v2/tasks/x").status == 404


def test_a_task_is_not_deleted(glance, text):
    assert "currently not permitted" in text(glance("DELETE", "/v2/tasks/x"))


@pytest.mark.parametrize(("method", "status"), [("POST", 404), ("BREW", 501)])
def test_an_images_tasks_are_only_read(glance, method, status):
    assert status == glance(method, "/v2/images/x/tasks").status


def test_tasks_of_an_unknown_image_are_404(glance):
    assert glance("GET", "/v2/images/x/tasks").status == 404


def test_locations_say_that_they_are_only_posted(glance):
    assert "POST" == glance("DELETE", "/v2/images/x/locations").header("Allow")


@pytest.fixture
def limited(glance):
    """Ask a server with limits of 2."""
    few = lab.Images(limits=lab.Limits(properties=2, tags=2, members=1, size=2))
    app = App(few)

    def send(method, path, body=b"", headers=None):
        return glance(method, path, body, headers, app=app)

    send.images = few
    return send


@pytest.mark.parametrize("body", [{"tags": ["a", "b", "c"]}, {"a": "1", "b": "2", "c": "3"}])
def test_a_new_image_beyond_a_limit_is_413(limited, body):
    assert limited("POST", "/v2/images", body).status == 413


def test_a_change_beyond_a_limit_is_413(limited):
    image_id = limited.images.add(a="1", b="2")
    change = [{"op": "add", "path": "/c", "value": "3"}]
    assert limited("PATCH", f"/v2/images/{image_id}", change, PATCH).status == 413


def test_a_tag_beyond_the_limit_is_413(limited):
    image_id = limited.images.add(tags=["a", "b"])
    assert limited("PUT", f"/v2/images/{image_id}/tags/c").status == 413


def test_a_member_beyond_the_limit_is_413(limited):
    path = f"/v2/images/{limited.images.add(visibility='shared')}/members"
    statuses = [limited("POST", path, {"member": name}).status for name in ("p", "q")]
    assert [200, 413] == statuses


def test_data_beyond_the_limit_is_413(limited):
    image_id = limited.images.add(disk_format="raw", container_format="bare")
    headers = {"content-type": "application/octet-stream"}
    assert limited("PUT", f"/v2/images/{image_id}/file", b"123", headers).status == 413


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"name": "a𝄞b"}, "Name can't contain 4 byte unicode characters."),
        ({"os_distro": "𝄞"}, "Os_Distro can't contain 4 byte unicode characters."),
        ({"𝄞": "x"}, "Property names can't contain 4 byte unicode."),
        ({"tags": ["𝄞"]}, "Param values can't contain 4 byte unicode."),
        ({"min_disk": 1 << 31}, "'min_disk' value out of range, must not exceed 2147483647."),
        ({"kernel_id": "x"}, "'x' does not match"),
    ],
)
def test_a_value_that_glances_database_does_not_take_is_400(glance, text, body, words):
    response = glance("POST", "/v2/images", body, {"accept": "text/plain"})
    assert (400, True) == (response.status, words in text(response))


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("name", "a𝄞b", "Name can't contain 4 byte unicode characters."),
        ("𝄞", "x", "Property names can't contain 4 byte unicode."),
        ("tags", ["𝄞"], "Param values can't contain 4 byte unicode."),
    ],
)
def test_a_change_to_a_value_that_glances_database_does_not_take_is_400(
    patch, images, text, name, value, words
):
    image_id = images.add()
    response = patch(image_id, {"op": "add", "path": f"/{name}", "value": value})
    assert (400, True) == (response.status, html.escape(words) in text(response))
    assert (None, {}, ()) == (
        images.get(image_id).base["name"],
        images.get(image_id).properties,
        images.get(image_id).tags,
    )


def test_a_member_with_a_long_character_is_400(glance, images):
    path = f"/v2/images/{images.add(visibility='shared')}/members"
    assert glance("POST", path, {"member": "𝄞"}).status == 400


@pytest.mark.parametrize("code", ["utf-8-sig", "utf-16"])
def test_a_body_in_another_code_than_utf_8_is_400(glance, code):
    assert 400 == glance("POST", "/v2/images", '{"name": "x"}'.encode(code)).status


@pytest.mark.parametrize("body", [b'{"name": "\\ud800"}', b"[" * 100_000])
def test_a_body_that_glance_fails_on_is_500(glance, body):
    assert glance("POST", "/v2/images", body).status == 500


def test_half_a_pair_that_is_whole_is_taken(glance):
    assert glance("POST", "/v2/images", b'{"tags": [], "name": "\\ud7ff"}').status == 201


def test_a_kernel_may_be_null(glance):
    assert json.loads(glance("POST", "/v2/images", {"kernel_id": None}).body)["kernel_id"] is None


@pytest.mark.parametrize(
    ("method", "accept", "status", "kind"),
    [
        ("HEAD", "*/*", 204, ""),
        ("GET", "application/json", 200, "application/json"),
        ("GET", "text/html", 200, "text/html; charset=UTF-8"),
        ("GET", "application/*", 200, "application/json"),
        ("GET", "application/json, text/html;q=0.5", 200, "application/json"),
        ("GET", "image/png", 200, "text/plain; charset=UTF-8"),
        ("GET", "bogus", 200, "text/plain; charset=UTF-8"),
    ],
)
def test_the_health_check_answers_as_it_is_asked(glance, method, accept, status, kind):
    response = glance(method, "/healthcheck/x", headers={"accept": accept})
    assert (status, kind) == (response.status, response.content_type)


@pytest.mark.parametrize("query", ["", "?limit=2&type=import"])
def test_a_list_of_tasks_links_to_its_first_page(glance, query):
    body = json.loads(glance("GET", f"/v2/tasks{query}").body)
    assert f"/v2/tasks{query}" == body["first"]


def test_the_link_to_the_first_page_of_tasks_has_no_marker(glance):
    body = json.loads(glance("GET", f"/v2/tasks?marker={ZERO}").body)
    assert "/v2/tasks" == body["first"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "images/x/file", b"data", 400),
        ("POST", "images/x/file", b"1", 400),
        ("POST", "images/x/file", b"{}", 405),
        ("POST", "images/x/file", b"", 405),
        ("DELETE", "tasks/x", b"data", 400),
        ("DELETE", "tasks/x", b"{}", 405),
        ("PUT", "schemas/image", b"data", 400),
        ("GET", "schemas/image", b"{}", 400),
        ("GET", "schemas/nope", b"", 404),
        ("PUT", "schemas/nope", b"data", 404),
        ("BREW", "schemas/nope", b"", 501),
    ],
)
def test_a_method_that_a_path_has_not_is_refused_as_glance_does(glance, method, path, body, status):
    assert status == glance(method, f"/v2/{path}", body).status


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"input": 5}, "5 is not of type 'null', 'object'"),
        ({"status": "x"}, "'x' is not one of ['pending', 'processing', 'success', 'failure']"),
        ({"x": 1}, "Additional properties are not allowed ('x' was unexpected)"),
        ({"input": None}, "Invalid location: None"),
        ({"input": {"import_from": 5}}, "Invalid location: 5"),
        ({"input": {"import_from": "http://a/b"}}, "Invalid location: http://a/b"),
        ({"input": {"import_from": "file:///etc"}}, "File based imports are not allowed."),
        ({"input": {"import_from": "ftp://a"}}, "The given uri is not valid."),
    ],
)
def test_a_new_task_is_refused_with_glances_words(glance, text, given, words):
    body = {"type": "import", "input": {}, **given}
    assert words in text(glance("POST", "/v2/tasks", body, {"accept": "text/plain"}))


def test_the_root_of_a_version_is_found(glance):
    response = glance("GET", "/v2.17")
    assert (302, "http://glance/v2/") == (response.status, response.header("Location"))


def test_a_version_can_stand_in_the_accept_header(glance, image_id):
    kind = "application/vnd.openstack.images-v2.5"
    assert glance("GET", f"/images/{image_id}", headers={"accept": kind}).status == 200


@pytest.mark.parametrize("path", ["/v2/images", "/", "/v2/nope"])
def test_options_are_answered(glance, path):
    assert (200, b"") == (glance("OPTIONS", path).status, glance("OPTIONS", path).body)


@pytest.mark.parametrize(
    ("wanted", "status", "said"),
    [
        ("bytes 2-4/10", 206, "bytes 2-4/10"),
        ("bytes 4-2/10", 416, None),
        ("x", 416, None),
        ("bytes 0-99/*", 416, None),
        (f"bytes 0-{'9' * 5000}/*", 416, None),
    ],
)
def test_an_old_client_asks_for_a_part_by_content_range(glance, image_id, wanted, status, said):
    response = glance("GET", f"/v2/images/{image_id}/file", headers={"content-range": wanted})
    assert (status, said) == (response.status, response.header("Content-Range"))


def test_a_range_of_a_huge_number_is_416(glance, image_id):
    headers = {"range": f"bytes=0-{'9' * 5000}"}
    assert glance("GET", f"/v2/images/{image_id}/file", headers=headers).status == 416


def test_a_quote_that_is_not_closed_is_400(glance, text):
    assert "quote is not closed" in text(glance("GET", "/v2/images?name=in:%22x"))
