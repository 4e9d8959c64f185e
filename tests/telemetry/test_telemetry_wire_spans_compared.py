"""Spans of requests against those of opentelemetry-instrumentation-requests, one by one."""

import json
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.version import Version

PROGRAM = Path(__file__).with_name("compared_requests.py")
HOSTS = ["127.0.0.1", pytest.param("::1", marks=pytest.mark.ipv6)]

WHY = {
    "scope": "this package makes the spans, as it makes those of calls and attempts",
    "schema": "the names follow the conventions of that version; contrib names an older one",
    "description": "the conventions want none where error.type says it; it could have a secret",
    "events": "the conventions have deprecated exceptions as events; one could have a secret",
    "error.type": "one of the closed set of reasons, the same as on the attempt and in the metrics",
    "network.peer.address": "the address that was connected to; contrib has the name in the URL",
    "network.peer.port": "likewise; none where no connection came about",
    "server.port": "the conventions require it; contrib has none if the URL has none",
    "url.full": "all keys of the conventions are hidden; contrib hides four of the seven",
    "http.response.status_code": "each redirect has a span, as the conventions want",
    "spans": "likewise; contrib has one span with the last status",
    "http.request.resend_count": "the conventions want it; contrib never has it",
    "user_agent.original": "the conventions recommend it; contrib has it since 0.58b0",
}
"""Why something differs from what contrib makes of the same request."""

SAME_OF_ALL = {
    "scope": ("opentelemetry.instrumentation.requests", "traced_image"),
    "schema": (
        "https://opentelemetry.io/schemas/1.21.0",
        "https://opentelemetry.io/schemas/1.44.0",
    ),
}

DIFFERENCES = {
    "200": {},
    "404": {},
    "503": {},
    "refused": {
        "description": ("ConnectionError: …", None),
        "error.type": ("ConnectionError", "connection_refused"),
        "events": (1, 0),
        "network.peer.address": ("{host}", None),
        "network.peer.port": ("CLOSED", None),
    },
    "post": {},
    "upload": {},
    "default port": {
        "network.peer.address": ("glance.example", "{host}"),
        "network.peer.port": (None, "PORT"),
        "server.port": (None, 80),
    },
    "secret": {
        "url.full": (
            "http://{netloc}:PORT/v2/images?X-Amz-Signature=hunter2&limit=1",
            "http://{netloc}:PORT/v2/images?X-Amz-Signature=REDACTED&limit=1",
        )
    },
    "password": {},
    "redirect": {"spans": (1, 2), "http.response.status_code": (200, 302)},
}
"""What differs in each case: contrib's, and ours."""


RELEASE = Version(metadata.version("opentelemetry-instrumentation-requests"))
AGENT = {} if RELEASE >= Version("0.58b0") else {"user_agent.original": (None, "traced-image")}
"""What older releases of contrib do not have, in all cases."""
if RELEASE < Version("0.57b0"):
    DIFFERENCES["password"]["url.full"] = (
        "http://{netloc}:PORT/v2/images",
        "http://REDACTED:REDACTED@{netloc}:PORT/v2/images",
    )


@pytest.fixture(scope="module", params=HOSTS)
def compared(request):
    """What both made of each case, in a process that has chosen the stable conventions."""
    done = subprocess.run(
        [sys.executable, str(PROGRAM), request.param],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "OTEL_SEMCONV_STABILITY_OPT_IN": "http"},
    )
    assert "" == done.stderr
    return request.param, json.loads(done.stdout)


def flatten(found):
    """The first span of a case as one dict, with the number of all."""
    span, status = found["spans"][0], found["spans"][0]["status"]
    return {
        **span["attributes"],
        **{key: span[key] for key in ("name", "kind", "events", "scope", "schema")},
        "status": status[0],
        "description": status[1] and f"{status[1].partition(' ')[0]} …",
        "spans": len(found["spans"]),
    }


def compare(case):
    theirs, ours = flatten(case["contrib"]), flatten(case["ours"])
    return {
        key: (theirs.get(key), ours.get(key))
        for key in {*theirs, *ours}
        if theirs.get(key) != ours.get(key)
    }


def place(value, host):
    netloc = f"[{host}]" if ":" in host else host
    return value.format(host=host, netloc=netloc) if isinstance(value, str) else value


@pytest.mark.parametrize("name", DIFFERENCES)
def test_only_what_is_listed_differs(compared, name):
    host, found = compared
    listed = {
        key: tuple(place(value, host) for value in pair)
        for key, pair in {**SAME_OF_ALL, **AGENT, **DIFFERENCES[name]}.items()
    }
    assert listed == compare(found[name])


def test_every_case_is_listed(compared):
    assert [*DIFFERENCES] == [*compared[1]]


def test_every_difference_is_explained():
    elsewhere = {"http.request.resend_count", "user_agent.original"}
    assert {*WHY} == {*SAME_OF_ALL, *elsewhere}.union(*DIFFERENCES.values())


def test_a_redirected_request_is_described_like_others(compared):
    found = compared[1]
    second = found["redirect"]["ours"]["spans"][1]
    assert {**found["200"]["ours"]["spans"][0]["attributes"], "http.request.resend_count": 1} == (
        second["attributes"]
    )


@pytest.mark.parametrize("name", DIFFERENCES)
def test_each_span_is_below_the_current_one(compared, name):
    assert (True, True) == tuple(way["below"] for way in compared[1][name].values())


@pytest.mark.parametrize("name", DIFFERENCES)
def test_the_server_is_told_the_same(compared, name):
    told = {way: found["told"] for way, found in compared[1][name].items()}
    assert told["contrib"] == told["ours"]


def test_the_server_is_told_the_requests_span_and_the_baggage(compared):
    (told,) = compared[1]["200"]["ours"]["told"]
    assert ("TRACE-GET", "tenant=demo") == (told["traceparent"][3:12], told["baggage"])
