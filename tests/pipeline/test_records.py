"""JSON replies: what is refused, what is quoted, and what can't be encoded."""

import contextlib
import json
from datetime import datetime, timedelta, timezone

import iso8601
import pytest
from hypothesis import given
from hypothesis import strategies as st
from loopback import answer

from traced_image.errors import InvalidImageID, InvalidMetadata, ProtocolError
from traced_image.pipeline.api import records
from traced_image.pipeline.api.operation import SkippedRecord

ORIGIN = "glance-1:9292"

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


# --- parsing -----------------------------------------------------------------------------------


def test_an_object_is_parsed():
    assert records.parse_object(answer(b'{"a": [1, null, "\xc3\xbc"]}')) == {"a": [1, None, "ü"]}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"<html>",
        b'{"a": 1} trailing',
        b"\xff\xfe\xfa",
        b'{"a": "\xff"}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"a": ' + b"9" * 5000 + b"x}",
    ],
    ids=lambda body: body[:12],
)
def test_what_is_not_json_is_refused(body):
    with pytest.raises(ProtocolError, match="glance-1:9292: the reply is not JSON"):
        records.parse_object(answer(body))


@pytest.mark.parametrize("body", [b"[]", b"42", b"null", b'"text"', b"true", b"1.5"])
def test_json_that_is_no_object_is_refused(body):
    with pytest.raises(ProtocolError, match="the reply is JSON but not an object"):
        records.parse_object(answer(body))


@given(st.binary() | JSON.map(json.dumps).map(str.encode))
def test_whatever_comes_is_an_object_or_a_protocol_error(body):
    with contextlib.suppress(ProtocolError):
        assert isinstance(records.parse_object(answer(body)), dict)


# --- image records -----------------------------------------------------------------------------


def test_an_image_is_the_one_that_was_asked_for():
    assert records.parse_image(answer(b'{"id": "x"}'), "x") == {"id": "x"}


def test_an_id_in_capitals_is_the_same():
    assert records.parse_image(answer(b'{"id": "ab-1"}'), "AB-1") == {"id": "ab-1"}


def test_another_image_than_asked_for_is_refused():
    with pytest.raises(ProtocolError, match="not about the image that was requested"):
        records.parse_image(answer(b'{"id": "y"}'), "x")


def test_a_new_image_may_have_any_id():
    assert records.parse_image(answer(b'{"id": "y"}')) == {"id": "y"}


@pytest.mark.parametrize("body", [b"{}", b'{"name": "x"}'])
def test_an_object_without_an_id_is_no_image(body):
    with pytest.raises(ProtocolError, match="not an image record"):
        records.parse_image(answer(body))


@pytest.mark.parametrize("record", [None, 5, "x", [], ["id"]])
def test_what_is_no_object_is_no_image(record):
    with pytest.raises(ProtocolError, match="not an image record"):
        records.check_image(record, ORIGIN)


@pytest.mark.parametrize("image_id", [None, 5, "", [], {}, True])
def test_an_id_that_is_no_text_is_none(image_id):
    with pytest.raises(ProtocolError, match="glance-1:9292: the reply is not an image record"):
        records.check_image({"id": image_id}, ORIGIN)


@given(st.dictionaries(st.text(), JSON))
def test_a_field_may_have_any_type(fields):
    record = {**fields, "id": "x"}
    assert records.check_image(record, ORIGIN, "x") is record


@given(st.text())
def test_whatever_a_time_is_it_can_be_parsed_or_is_refused(text):
    with contextlib.suppress(ValueError):
        assert records.parse_time(text).tzinfo is not None


@pytest.mark.parametrize("value", [None, 0, 20261123, 2026.0, True, ["2026"], {"2026": 1}])
def test_what_is_no_text_is_no_time(value):
    with pytest.raises(ValueError, match="it is not text"):
        records.parse_time(value)


@pytest.mark.parametrize(
    ("text", "time", "offset"),
    [
        ("2015-06-19T15:06:58Z", (2015, 6, 19, 15, 6, 58), 0),
        ("2015-06-19T15:06:58", (2015, 6, 19, 15, 6, 58), 0),
        ("2015-06-19 15:06:58", (2015, 6, 19, 15, 6, 58), 0),
        ("2015-06-19T15:06:58.000+0000", (2015, 6, 19, 15, 6, 58), 0),
        ("2015-06-19T15:06:58.1Z", (2015, 6, 19, 15, 6, 58, 100_000), 0),
        ("2015-06-19T15:06:58,12Z", (2015, 6, 19, 15, 6, 58, 120_000), 0),
        ("2015-06-19T15:06:58.123456789Z", (2015, 6, 19, 15, 6, 58, 123_456), 0),
        ("2015-06-19T15:06:58." + "9" * 50, (2015, 6, 19, 15, 6, 58, 999_999), 0),
        ("2015-06-19T15:06:58-0330", (2015, 6, 19, 15, 6, 58), -210),
        ("2015-06-19T15:06:58-03:30", (2015, 6, 19, 15, 6, 58), -210),
        ("2015-06-19T15:06:58+05", (2015, 6, 19, 15, 6, 58), 300),
        ("20150619T150658Z", (2015, 6, 19, 15, 6, 58), 0),
        ("2015-06-19T15:06Z", (2015, 6, 19, 15, 6), 0),
        ("2015-06-19T15", (2015, 6, 19, 15), 0),
        ("2015-06-19T15:06:5", (2015, 6, 19, 15, 6, 5), 0),
        ("2015-6-9", (2015, 6, 9), 0),
        ("2015-06", (2015, 6, 1), 0),
        ("2015", (2015, 1, 1), 0),
        ("2015-06-19T15:06:58Z\n", (2015, 6, 19, 15, 6, 58), 0),
    ],
)
def test_a_time_is_read_in_each_form_that_nova_reads(text, time, offset):
    found = records.parse_time(text)
    expected = datetime(*time, tzinfo=timezone(timedelta(minutes=offset)))
    assert (expected, expected.utcoffset()) == (found, found.utcoffset())


@pytest.mark.parametrize(
    "text",
    [
        "201506",
        "2015-W25-5",
        "2015-06-19t15:06:58Z",
        "2015-06-19T15:06:58z",
        "2015-06-19T15:06:58+24:00",
        "2015-06-19T15:06:60Z",
        "2015-06-31",
        "0000-01-01",
        "2015-06-19T15:06:58Z\n\n",
        "2015-06-19T15:06:58Z\r\n",
        "\u0662015-06-19",
    ],
)
def test_a_time_in_another_form_is_refused(text):
    assert read(text) is None


def read(text):
    try:
        return records.parse_time(text)
    except ValueError:
        return None


def read_as_nova(text):
    try:
        return iso8601.parse_date(text)
    except iso8601.ParseError:
        return None


@given(
    st.from_regex(
        r"[0-9]{4}(-?[0-9]{1,2}(-?[0-9]{1,2}([ T][0-9]{2}(:?[0-9]{2}(:?[0-9]{1,2}"
        r"([.,][0-9]{1,9})?)?)?(Z|[-+][0-9]{2}(:?[0-9]{2})?)?)?)?)?",
        fullmatch=True,
    )
    | st.datetimes(timezones=st.just(timezone.utc)).map(datetime.isoformat)
)
def test_a_time_is_read_or_refused_as_nova_does(text):
    assert read_as_nova(text) == read(text)


def test_a_custom_property_may_be_anything():
    record = {"id": "x", "odd": {"deep": [1]}, "": None}
    assert records.check_image(record, ORIGIN) == record


@given(st.dictionaries(st.sampled_from(["id", "size", "name", "tags", "odd"]), JSON), st.text())
def test_whatever_a_record_has_it_is_an_image_or_a_protocol_error(record, image_id):
    with contextlib.suppress(ProtocolError):
        assert records.check_image(record, ORIGIN, image_id) is record


# --- lists -------------------------------------------------------------------------------------


def test_a_list_of_objects_is_taken():
    assert records.read_items({"images": [{"id": "x"}]}, "images", ORIGIN) == [{"id": "x"}]


@pytest.mark.parametrize("record", [{}, {"images": None}, {"images": {}}, {"images": "x"}])
def test_what_is_no_list_of_objects_is_refused(record):
    with pytest.raises(ProtocolError, match="glance-1:9292: the reply has no list of images"):
        records.read_items(record, "images", ORIGIN)


def test_a_page_leaves_out_what_is_no_record():
    page = records.read_page(answer(b'{"images": [{"id": 5}, {"id": "x"}, {}, null], "next": "n"}'))
    skipped = [SkippedRecord(5, "id"), SkippedRecord(None, "id"), SkippedRecord(None, "record")]
    assert ([{"id": "x"}], skipped, "n") == page


def test_a_page_may_be_empty():
    assert ([], [], None) == records.read_page(answer(b'{"images": []}'))


@pytest.mark.parametrize("images", ["[5]", "[{}, null]", '[{"id": ""}]'])
def test_a_page_without_a_record_is_refused(images):
    with pytest.raises(ProtocolError, match="glance-1:9292: the reply has no list of images"):
        records.read_page(answer(f'{{"images": {images}}}'.encode()))


# --- encoding ----------------------------------------------------------------------------------


def test_plain_values_are_encoded():
    assert records.encode_json({"a": "ü"}, "image_meta") == '{"a": "ü"}'.encode()


def test_text_that_has_no_form_in_utf_8_is_refused():
    with pytest.raises(InvalidMetadata):
        records.encode_json({"name": "\ud800"}, "image_meta")


def deep():
    value = []
    for _ in range(100_000):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value", [object(), {"a": {1, 2}}, float("nan"), float("inf"), b"bytes", {(1, 2): 3}, deep()]
)
def test_what_has_no_form_in_json_is_refused(value):
    with pytest.raises(InvalidMetadata, match="image_meta can't be sent as JSON"):
        records.encode_json(value, "image_meta")


# --- quoting -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("8f3c1a52-0000", "8f3c1a52-0000"),
        ("../admin", "..%2Fadmin"),
        ("a?b#c&d", "a%3Fb%23c%26d"),
        ("%2e%2e", "%252e%252e"),
        ("a b", "a%20b"),
        ("ü", "%C3%BC"),
        ("a\r\nHost: b", "a%0D%0AHost%3A%20b"),
        ("\0", "%00"),
        ("...", "..."),
        ("a;b", "a%3Bb"),
    ],
)
def test_an_id_is_quoted(text, expected):
    assert records.quote_id(text) == expected


@pytest.mark.parametrize("image_id", ["", ".", "..", None, 5, b"x", "\ud800", ["x"], {}])
def test_what_is_no_id_is_refused(image_id):
    with pytest.raises(
        InvalidImageID, match="is not a valid image id: pass valid text, the image's UUID"
    ):
        records.quote_id(image_id)


def test_a_url_is_no_id_and_is_not_shown():
    with pytest.raises(InvalidImageID, match=r"is a URL .*get_remote_image_service") as caught:
        records.quote_id("http://admin:s3cret@glance/v2/images/x")
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("tag", ["", ".", "..", None, 5, "\udfff"])
def test_what_is_no_tag_is_refused(tag):
    with pytest.raises(InvalidMetadata, match="is not a valid tag: pass valid text"):
        records.quote_segment(tag, "tag")


def test_a_long_value_is_cut_in_the_message():
    with pytest.raises(InvalidImageID) as caught:
        records.quote_id(["x" * 10_000])
    assert len(str(caught.value)) < 200


@given(st.text())
def test_a_quoted_id_is_one_segment_of_a_path(text):
    try:
        quoted = records.quote_id(text)
    except InvalidImageID:
        return
    assert quoted.isascii()
    assert not set(quoted) & set("/?# \r\n\0\\")
    assert quoted not in ("", ".", "..")
