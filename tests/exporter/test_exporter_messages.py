"""Requests and responses as values: where a path leads, and what is compressed."""

from __future__ import annotations

import gzip

import pytest

from traced_image.exporter.messages import (
    ExporterRequest,
    ExporterResponse,
    complete,
    find_path,
    say,
)

LONG = ExporterResponse(200, (("content-type", "text/plain"),), b"x" * 1000)


@pytest.mark.parametrize(
    ("path", "mount", "expected"),
    [
        ("/metrics", "", "/metrics"),
        ("", "", ""),
        ("/glance/metrics", "/glance", "/metrics"),
        ("/glance", "/glance", ""),
        ("/glance/", "/glance", "/"),
        ("/metrics", "/glance", "/metrics"),
        ("/glances", "/glance", "/glances"),
        ("http://exporter:9293/metrics", "", "/metrics"),
        ("https://exporter", "", "/"),
        ("http://exporter/glance/servers", "/glance", "/servers"),
        ("/http://exporter/metrics", "", "/http://exporter/metrics"),
        ("ftp://exporter/metrics", "", "ftp://exporter/metrics"),
    ],
)
def test_a_path_is_that_below_the_mount(path, mount, expected):
    assert expected == find_path(path, mount)


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [
        ("gzip", True),
        ("br, GZIP;q=0.5", True),
        ("gzip;q=1.0", True),
        ("", False),
        ("br", False),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("xgzip", False),
    ],
)
def test_a_body_is_compressed_if_the_client_accepts_that(accepted, expected):
    made = complete(LONG, ExporterRequest("GET", "/", accept_encoding=accepted))
    assert expected == (("content-encoding", "gzip") in made.headers)


def test_the_length_is_that_of_the_compressed_body():
    made = complete(LONG, ExporterRequest("GET", "/", accept_encoding="gzip"))
    assert (LONG.body, str(len(made.body))) == (
        gzip.decompress(made.body),
        dict(made.headers)["content-length"],
    )


def test_caches_are_told_what_a_body_depends_on():
    made = complete(LONG, ExporterRequest("GET", "/"))
    assert "accept, accept-encoding" == dict(made.headers)["vary"]


def test_a_short_body_is_not_compressed():
    made = complete(say("ok"), ExporterRequest("GET", "/", accept_encoding="gzip"))
    assert b"ok\n" == made.body


def test_to_head_goes_the_length_without_the_body():
    made = complete(LONG, ExporterRequest("HEAD", "/"))
    assert (b"", "1000") == (made.body, dict(made.headers)["content-length"])


def test_headers_of_every_response_are_added():
    made = complete(
        say("ok", 200, ("x-own", "1")), ExporterRequest("GET", "/"), (("x-added", "2"),)
    )
    assert {("x-own", "1"), ("x-added", "2")} <= set(made.headers)
