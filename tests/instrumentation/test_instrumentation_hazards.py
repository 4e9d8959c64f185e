"""What the attempts of a stock client's call did together, and its caller does not see."""

import pytest

from traced_image.config import Server
from traced_image.instrumentation.hazards import PastAttempt, find_hazards, names_server

SERVER = Server.parse("http://glance-1:9292")


def attempt(reason="", *, replies=0, sent=None):
    return PastAttempt(SERVER, reason, replies, sent, 0.0)


def find(operation, *attempts):
    return list(find_hazards(operation, attempts))


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        pytest.param(3, 0, ["upload_truncated"], id="nothing"),
        pytest.param(3, 2, ["upload_truncated"], id="less"),
        pytest.param(3, 3, [], id="as_much"),
        pytest.param(3, 4, [], id="more"),
        pytest.param(0, 0, [], id="never_any"),
        pytest.param(None, 0, [], id="first_not_counted"),
        pytest.param(3, None, [], id="second_not_counted"),
    ],
)
@pytest.mark.parametrize("operation", ["images.upload", "images.stage"])
def test_a_retry_of_an_upload_that_sends_less_truncates_it(operation, first, second, expected):
    assert expected == find(operation, attempt("503", sent=first), attempt(sent=second))


def test_an_upload_that_fails_in_the_end_is_not_truncated():
    assert [] == find("images.upload", attempt("503", sent=3), attempt("503", sent=0))


def test_another_operation_truncates_nothing():
    assert [] == find("images.get", attempt("503", sent=3), attempt(sent=0))


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        pytest.param("503", "", ["create_repeated"], id="answered"),
        pytest.param("read_timeout", "409", ["create_repeated"], id="no_reply"),
        pytest.param("connection_refused", "", [], id="never_sent"),
        pytest.param("503", "connection_refused", [], id="not_sent_again"),
    ],
)
def test_a_creation_that_may_have_worked_is_repeated(first, second, expected):
    assert expected == find("images.create", attempt(first), attempt(second))


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        pytest.param("503", "404", ["delete_not_found"], id="answered"),
        pytest.param("connection_refused", "404", [], id="never_sent"),
        pytest.param("503", "", [], id="deleted"),
        pytest.param("503", "503", [], id="not_deleted"),
    ],
)
def test_a_deletion_that_may_have_worked_reports_that_there_is_no_image(first, second, expected):
    assert expected == find("images.delete", attempt(first), attempt(second))


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        pytest.param(attempt("503", replies=1), ["list_restarted"], id="second_page"),
        pytest.param(attempt("503"), [], id="first_page"),
        pytest.param(attempt(replies=2), [], id="no_failure"),
    ],
)
def test_a_list_that_broke_after_its_first_page_restarts(first, expected):
    assert expected == find("images.list", first, attempt(replies=3))


@pytest.mark.parametrize("operation", ["images.upload", "images.create", "images.delete"])
def test_one_attempt_alone_is_no_hazard(operation):
    assert [] == find(operation, attempt("404", sent=1))


@pytest.mark.parametrize(
    ("text", "expected"), [("glance-1:9292 is down", True), ("HTTP 503", False)]
)
def test_an_exception_names_its_server_or_does_not(text, expected):
    assert expected == names_server(Exception(text), SERVER)
