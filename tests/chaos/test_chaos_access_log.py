"""A server's access log, as the checks read it."""

from __future__ import annotations

import json

import pytest
from chaos.access_log import read_access_log
from chaos.records import Served, Stored
from chaos.run import sort_stored
from parts.inside.logged import Logged

TRACE, SPAN = "1" * 32, "2" * 16


def began(request, **told):
    line = {"request": request, "what": "began", "at": 5.0, "method": "GET", "path": "/v2/images"}
    return {**line, "traceparent": f"00-{TRACE}-{SPAN}-01", **told}


def written(*lines):
    return "".join(f"{json.dumps(line)}\n" for line in lines)


def test_a_request_that_was_answered_has_a_status_and_a_size():
    text = written(
        began("7-0"),
        {"request": "7-0", "what": "answered", "at": 5.1, "status": 200},
        {"request": "7-0", "what": "ended", "at": 5.2, "size": 12},
    )
    expected = Served(TRACE, SPAN, 9292, "GET", "/v2/images", 5.0, 200, 12, answered=5.1)
    assert [expected] == read_access_log(text, 9292)


def test_a_request_of_a_server_that_was_killed_has_neither():
    expected = Served(TRACE, SPAN, 9292, "GET", "/v2/images", 5.0)
    assert [expected] == read_access_log(written(began("7-0")), 9292)


def test_requests_that_were_served_at_once_are_told_apart():
    text = written(
        began("7-0", path="/a"),
        began("7-1", path="/b"),
        {"request": "7-0", "what": "answered", "at": 5.1, "status": 404},
    )
    found = {line.path: line.status for line in read_access_log(text, 9292)}
    assert {"/a": 404, "/b": 0} == found


def test_a_request_of_no_trace_has_none():
    (line,) = read_access_log(written(began("7-0", traceparent="")), 9292)
    assert ("", "") == (line.trace, line.span)


def test_what_is_stored_is_of_the_client_that_uploaded_it():
    served = [
        Served("2" + "0" * 31, "s1", 9292, "PUT", "/v2/images/i1/file", 1.0),
        Served("3" + "0" * 31, "s2", 9292, "GET", "/v2/images/i2/file", 1.0),
    ]
    mine, others = Stored("i1", "d1", "d1"), Stored("i2", "d2", "d2")
    assert {2: [mine], 1: [others]} == sort_stored([mine, others], served)


def test_a_server_answers_500_for_an_application_that_fails(tmp_path, monkeypatch):
    def fail(environ, start_response):
        raise ValueError("odd")

    monkeypatch.setenv("FOLDER", str(tmp_path))
    asked = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "HTTP_TRACEPARENT": f"00-{TRACE}-{SPAN}-01"}
    with pytest.raises(ValueError, match="odd"):
        Logged(fail, "FOLDER")(asked, lambda *_: None)
    (served,) = read_access_log((tmp_path / "access.log").read_text(), 9292)
    assert 500 == served.status
