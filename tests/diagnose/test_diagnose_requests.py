"""Requests to a source: basic auth, a bearer token, authorities, and what can't be read."""

from __future__ import annotations

import base64
import socket

import pytest
from replayed import serving

from traced_image import lab
from traced_image.diagnosis import requests_of_sources
from traced_image.diagnosis.requests_of_sources import SourceAccess, SourceReader
from traced_image.errors import DiagnosisError, InvalidTLS


def headers_of(access, user=""):
    seen = []

    def answer(_, headers):
        seen.append(headers.get("Authorization"))
        return 200, {}

    with (
        serving(answer) as url,
        SourceReader(url.replace("//", f"//{user}"), access, "Prometheus") as reader,
    ):
        reader.read("/")
    return seen


BASIC = f"Basic {base64.b64encode(b'me:secret').decode()}"


@pytest.mark.parametrize(
    ("access", "user", "sent"),
    [
        (SourceAccess(), "", None),
        (SourceAccess(user="me", password="secret"), "", BASIC),
        (SourceAccess(), "me:secret@", BASIC),
        (SourceAccess(token="abc"), "", "Bearer abc"),
    ],
)
def test_it_lets_itself_in(access, user, sent):
    assert [sent] == headers_of(access, user)


def test_a_password_in_the_url_is_not_shown():
    reader = SourceReader("http://me:secret@10.0.0.9:9090/", SourceAccess(), "Prometheus")
    assert "http://REDACTED:REDACTED@10.0.0.9:9090" == reader.shown


def test_secrets_are_not_in_its_representation():
    assert "secret" not in repr(SourceAccess(user="me", password="secret", token="secret"))


def read(url, access=None):
    with SourceReader(url, access or SourceAccess(), "Prometheus") as reader:
        return reader.read("/x", {"query": "up"})


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (401, "", r"HTTP 401; give --user and --password-file, or --token-file"),
        (403, {}, r"HTTP 403; give --user"),
        (404, "<html>", r"HTTP 404; check that the URL is right, with its prefix"),
        (422, {"error": "too many samples"}, r"HTTP 422, too many samples; "),
        (200, "<html>", r"HTTP 200; check"),
        (500, {"error": "password=secret"}, r"HTTP 500, password=REDACTED; "),
        (500, {"error": "x" * 9999}, r"HTTP 500, x{300}; "),
    ],
)
def test_what_is_no_answer_is_told(status, body, words):
    with (
        serving(lambda *_: (status, body)) as url,
        pytest.raises(DiagnosisError, match=f"^Prometheus {url}: {words}"),
    ):
        read(url)


def test_an_answer_without_an_end_is_given_up(monkeypatch):
    monkeypatch.setattr(requests_of_sources, "MOST", 100)
    with serving(lambda *_: (200, f'"{"x" * 1000}"')) as url:
        with pytest.raises(DiagnosisError, match="longer than 100 bytes; check"):
            read(url)
        monkeypatch.setattr(requests_of_sources, "MOST", 2000)
        assert "x" * 1000 == read(url)


def test_secrets_in_the_query_of_a_url_are_not_shown():
    reader = SourceReader("http://10.0.0.9/?token=secret", SourceAccess(), "exporter")
    assert "secret" not in reader.shown


def test_a_source_that_is_down_is_told():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    with pytest.raises(DiagnosisError, match=r"connection refused; check its URL and --cafile$"):
        read(f"http://127.0.0.1:{port}")


@pytest.mark.parametrize("url", ["10.0.0.9:9090", "ftp://10.0.0.9", ""])
def test_a_url_is_of_the_web(url):
    with pytest.raises(DiagnosisError, match="write it like http://"):
        read(url)


def test_authorities_are_trusted_that_are_named():
    tls = lab.TLS.trusted()
    with lab.GlanceServer(tls=tls) as server:
        with SourceReader(server.url, SourceAccess(cafile=tls.cafile), "exporter") as reader:
            assert "versions" in reader.read("/versions")
        with pytest.raises(DiagnosisError, match="TLS failed"):
            read(server.url)


def test_authorities_that_can_not_be_read_are_told(tmp_path):
    with pytest.raises(InvalidTLS, match="--cafile"):
        read("https://10.0.0.9", SourceAccess(cafile=str(tmp_path / "absent")))
