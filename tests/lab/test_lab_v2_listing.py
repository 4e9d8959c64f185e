"""v2: lists, their filters, order and pages. What is expected was seen of Glance 33."""

import json
from urllib.parse import urlsplit

import pytest

from traced_image import lab
from traced_image.lab.app import App


@pytest.fixture
def stocked(images):
    """Five images, the oldest first."""
    images.add(name="one", data=b"1", disk_format="raw", owner="me", p="q")
    images.add(name="two", data=b"22", tags=["t1"], protected=True)
    images.add(name="three", tags=["t1", "t2"], visibility="private", min_disk=4)
    images.add(name="four", visibility="community")
    images.add(name="five", os_hidden=True)
    return images


@pytest.fixture
def names(glance, stocked):
    def listed(query):
        body = json.loads(glance("GET", f"/v2/images{query}").body)
        return " ".join(image["name"] for image in body["images"])

    return listed


def marker(images, name):
    return next(image.id for image in images.all() if image.base["name"] == name)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", "three two one"),
        ("?limit=2", "three two"),
        ("?limit=0", ""),
        ("?sort_key=name", "two three one"),
        ("?sort_key=name&sort_dir=asc", "one three two"),
        ("?sort=name", "two three one"),
        ("?sort=name:asc,id:desc", "one three two"),
        ("?sort_key=size", "two one three"),
        ("?sort_key=size&sort_dir=asc", "three one two"),
        ("?sort_key=status&sort_key=name&sort_dir=asc&sort_dir=desc", "two one three"),
        ("?sort_dir=asc", "one two three"),
        ("?visibility=all", "four three two one"),
        ("?visibility=community", "four"),
        ("?visibility=private", "three"),
        ("?visibility=", ""),
        ("?os_hidden=TRUE", "five"),
        ("?protected=true", "two"),
        ("?protected=false", "three one"),
        ("?member_status=all", "three two one"),
        ("?tag=t1", "three two"),
        ("?tag=t1&tag=t2", "three"),
        ("?p=q", "one"),
        ("?p=Q", ""),
        ("?owner=me", "one"),
        ("?name=two", "two"),
        ("?name=eq:two", "two"),
        ("?name=in:two,%22three%22,nope", "three two"),
        ("?status=in:active,queued", "three two one"),
        ("?disk_format=raw", "one"),
        ("?size_min=2", "two"),
        ("?size_max=1", "one"),
        ("?min_disk=4", "three"),
        ("?created_at=gt:2027-01-15T08:00:01Z", "three"),
        ("?created_at=lte:2027-01-15T09:00:00%2B01:00", "one"),
        ("?created_at=2027-01-15T08:00:00", "one"),
        ("?updated_at=neq:2000-01-01T00:00:00Z", "three two one"),
    ],
)
def test_a_query_finds_its_images(names, query, expected):
    assert expected == names(query)


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        ("?limit=x", 400, "limit param must be an integer"),
        ("?limit=-1", 400, "limit param must be positive"),
        ("?marker=nope", 400, "No image found with ID nope"),
        ("?sort_key=foo", 400, "Invalid sort key: foo."),
        ("?sort=name:up", 400, "Invalid sort direction: up"),
        ("?sort=name&sort_dir=asc", 400, "Old and new sorting syntax cannot be combined"),
        (
            "?sort_key=name&sort_dir=asc&sort_dir=desc",
            400,
            "Number of sort dirs does not match the number of sort keys",
        ),
        ("?visibility=foo", 400, "Invalid visibility value: foo"),
        ("?os_hidden=x", 400, "Invalid value 'x' for 'os_hidden' filter."),
        ("?protected=True", 400, "Invalid value 'True' for 'protected' filter."),
        ("?member_status=x", 400, "Invalid status: x"),
        ("?changes-since=2020", 400, 'The "changes-since" filter is no longer available on v2.'),
        ("?name=foo:two", 400, "Unable to filter by unknown operator 'foo'."),
        ("?created_at=foo:2027-01-15T08:00:00Z", 400, "Unable to filter on a unknown operator."),
        ("?created_at=foo:bar", 400, 'Bad "created_at" query filter format.'),
        ("?name=in:a%22b%22", 400, "There is no comma before opening quotation mark."),
        ("?name=in:%22a%22b", 400, "There is no comma after closing quotation mark."),
        ("?name=in:%22a%22,%22b", 400, "The quote is not closed."),
        ("?created_at=gt:x", 400, 'Bad "created_at" query filter format.'),
        ("?size_min=x", 400, "Unable to filter on a range with a non-numeric value."),
        ("?foo_max=3", 500, "The server has either erred"),
    ],
)
def test_a_query_that_glance_refuses_is_refused(glance, query, status, words):
    response = glance("GET", f"/v2/images{query}", headers={"accept": "text/plain"})
    assert (status, True) == (response.status, words in response.body.decode())


def test_a_semicolon_ends_a_parameter(glance, stocked):
    body = json.loads(glance("GET", "/v2/images?limit=1;sort=name:asc&x").body)
    assert "/v2/images?limit=1&sort=name%3Aasc&x=" == body["first"]


def test_a_page_links_to_the_next_and_to_the_first(glance, stocked):
    body = json.loads(glance("GET", "/v2/images?limit=2&sort_key=id").body)
    last = body["images"][-1]["id"]
    assert (
        "/v2/schemas/images",
        "/v2/images?limit=2&sort_key=id",
        f"/v2/images?limit=2&sort_key=id&marker={last}",
    ) == (body["schema"], body["first"], body["next"])


def test_a_page_that_is_not_full_is_the_last(glance, stocked):
    assert "next" not in json.loads(glance("GET", "/v2/images").body)


def test_the_pages_make_the_list(glance, stocked):
    target, names = "/v2/images?limit=1", []
    while target is not None:
        body = json.loads(glance("GET", target).body)
        names += [image["name"] for image in body["images"]]
        target = body.get("next")
    assert names == ["three", "two", "one"]


def test_the_first_page_of_the_default_size_is_25(glance, images):
    for _ in range(26):
        images.add()
    body = json.loads(glance("GET", "/v2/images").body)
    assert (len(body["images"]), "marker=" in urlsplit(body["next"]).query) == (25, True)


def test_a_marker_need_not_match_the_filters(names, stocked):
    assert names(f"?marker={marker(stocked, 'three')}&visibility=public") == "two one"


def test_an_administrators_list_goes_on_after_an_image_that_was_removed(names, stocked):
    three = marker(stocked, "three")
    stocked.remove(three)
    assert names(f"?marker={three}") == "two one"


def test_another_users_list_does_not(glance, stocked):
    three = marker(stocked, "three")
    stocked.remove(three)
    tokens = {"t": lab.Identity(project_id="p", user_id="u")}
    headers = {"x-auth-token": "t"}
    response = glance(
        "GET", f"/v2/images?marker={three}", headers=headers, app=App(stocked, tokens)
    )
    assert 400 == response.status


def test_only_the_latest_images_that_were_removed_are_remembered(images):
    ids = [images.add() for _ in range(1001)]
    for image_id in ids:
        images.remove(image_id)
    assert [False, True] == [images.get_removed(each) is not None for each in ids[:2]]


def test_an_image_that_is_there_again_is_no_removed_one(images):
    images.add(id="again")
    images.remove("again")
    images.add(id="again")
    assert images.get_removed("again") is None


def test_images_of_the_same_second_are_in_the_order_of_their_changes(glance):
    images = lab.Images(now=lambda: 1_800_000_000.0)
    app = App(images)
    ids = [images.add(name=name, data=b"x") for name in ("one", "two", "three")]
    for image_id in (ids[1], ids[0]):
        glance("POST", f"/v2/images/{image_id}/actions/deactivate", app=app)
    body = json.loads(glance("GET", "/v2/images?sort=updated_at:asc", app=app).body)
    assert ["three", "two", "one"] == [image["name"] for image in body["images"]]


def test_images_are_in_the_order_of_the_times_that_a_test_has_given(names, images):
    images.add(name="old", created_at="2001-01-01T00:00:00Z", updated_at="2040-01-01T00:00:00Z")
    assert ("three two one old", "old three two one") == (
        names(""),
        names("?sort=updated_at"),
    )
