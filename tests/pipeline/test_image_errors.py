"""What each status becomes, about one image, its deletion and its import."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from traced_image import errors
from traced_image.pipeline import image_errors

IMAGE_ID = "8f3c1a52-0000-4000-8000-000000000001"
HISTORY = (
    errors.FailedAttempt("http://glance-1:9292", errors.Reason("503"), 0.25, "req-1"),
    errors.FailedAttempt("http://glance-2:9292", errors.Reason("404"), 0.5, "req-2"),
)

ABOUT_IMAGE = {
    400: errors.ImageBadRequest,
    401: errors.ImageNotAuthorized,
    403: errors.ImageNotAuthorized,
    404: errors.ImageNotFound,
    413: errors.ImageQuotaExceeded,
}
"""nova 34's ``_translate_image_exception``."""

TABLES = [
    (image_errors.reraise_about_image, ABOUT_IMAGE),
    (image_errors.reraise_about_deletion, {**ABOUT_IMAGE, 409: errors.ImageDeleteConflict}),
    (image_errors.reraise_about_import, {**ABOUT_IMAGE, 409: errors.ImageImportImpossible}),
]
NAMED = [
    (reraise, status, kind) for reraise, table in TABLES for status, kind in sorted(table.items())
]


def refusal(status):
    error = errors.status_error(status, "no, indeed", retry_after=7.0, request_id="req-2")
    error.attempts = HISTORY
    return error


def raised(reraise, error):
    with pytest.raises(errors.HTTPStatusError) as caught:
        reraise(error, IMAGE_ID)
    return caught.value


@pytest.mark.parametrize(("reraise", "status", "kind"), NAMED)
def test_a_refusal_gets_novas_name(reraise, status, kind):
    assert kind is type(raised(reraise, refusal(status)))


@pytest.mark.parametrize(("reraise", "table"), TABLES)
@given(data=st.data())
def test_any_other_status_stays_as_it_is(reraise, table, data):
    status = data.draw(st.integers(400, 599).filter(lambda status: status not in table))
    error = refusal(status)
    assert error is raised(reraise, error)


@pytest.mark.parametrize(("reraise", "status", "kind"), NAMED)
def test_a_named_refusal_is_still_what_it_was(reraise, status, kind):
    plain = {401: errors.Forbidden}.get(status, type(refusal(status)))
    assert issubclass(kind, plain)


@pytest.mark.parametrize(("reraise", "status", "kind"), NAMED)
def test_a_named_refusal_keeps_what_came_with_it(reraise, status, kind):
    found = raised(reraise, refusal(status))
    told = (found.status, found.reason, found.request_id, found.retry_after, found.reached)
    assert (status, str(status), "req-2", 7.0, True) == told


@pytest.mark.parametrize(("reraise", "status", "kind"), NAMED)
def test_a_named_refusal_keeps_the_history(reraise, status, kind):
    assert HISTORY == raised(reraise, refusal(status)).attempts


@pytest.mark.parametrize(("reraise", "status", "kind"), NAMED)
def test_a_named_refusal_has_the_plain_one_as_its_cause(reraise, status, kind):
    error = refusal(status)
    assert error is raised(reraise, error).__cause__


ODD = [("a\0\r\nb", "'a\\x00\\r\\nb'"), ("\u202eb", "'\\u202eb'"), ("x" * 100, "'" + "x" * 59)]


@pytest.mark.parametrize(("image_id", "shown"), ODD, ids=["control", "format", "long"])
@pytest.mark.parametrize("status", [400, 403, 404, 413])
def test_an_id_that_is_none_is_not_shown_as_it_is(status, image_id, shown):
    with pytest.raises(errors.HTTPStatusError) as caught:
        image_errors.reraise_about_image(refusal(status), image_id)
    assert (True, False) == (shown in str(caught.value), image_id in str(caught.value))


def test_an_id_that_is_none_is_not_shown_as_it_is_where_it_is_imported():
    with pytest.raises(errors.ImageImportImpossible, match=r"^Import of image 'a\\x00' refused"):
        image_errors.reraise_about_import(refusal(409), "a\0")


@pytest.mark.parametrize(
    ("reraise", "status", "message"),
    [
        (
            image_errors.reraise_about_image,
            400,
            f"Request of image {IMAGE_ID} got BadRequest response: no, indeed",
        ),
        (image_errors.reraise_about_image, 401, f"Not authorized for image {IMAGE_ID}."),
        (image_errors.reraise_about_image, 403, f"Not authorized for image {IMAGE_ID}."),
        (image_errors.reraise_about_image, 404, f"Image {IMAGE_ID} could not be found."),
        (
            image_errors.reraise_about_image,
            413,
            f"Quota exceeded or out of space for image {IMAGE_ID} in the image service.",
        ),
        (
            image_errors.reraise_about_deletion,
            409,
            "Conflict deleting image. Reason: no, indeed.",
        ),
        (
            image_errors.reraise_about_import,
            409,
            f"Import of image {IMAGE_ID} refused: no, indeed",
        ),
    ],
)
def test_a_named_refusal_says_which_image(reraise, status, message):
    assert message == str(raised(reraise, refusal(status)))


@pytest.mark.parametrize(("reraise", "status", "kind"), NAMED)
def test_what_became_of_the_attempt_is_kept(reraise, status, kind):
    error = refusal(status)
    error.verdict, error.token_seconds = "refused", 0.25
    error.trace_id, error.span_id = "1" * 32, "2" * 16

    about = raised(reraise, error)

    assert ("refused", 0.25, "1" * 32, "2" * 16) == (
        about.verdict,
        about.token_seconds,
        about.trace_id,
        about.span_id,
    )
