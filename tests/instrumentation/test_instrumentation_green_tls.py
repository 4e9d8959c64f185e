"""TLS of a service that replaces Python's sockets after urllib3 was loaded."""

from __future__ import annotations

import logging
import ssl
import subprocess
import sys
from types import SimpleNamespace

import pytest

from traced_image import lab
from traced_image.instrumentation import green_tls

PROGRAM = """
import sys
import requests
from traced_image.instrumentation import green_tls

if {watched}:
    green_tls.watch_green_libraries()
{patch}
print(requests.get(sys.argv[1], verify=sys.argv[2], timeout=10).status_code)
"""
PATCH = {
    "eventlet": "import eventlet; eventlet.monkey_patch()",
    "gevent": "import gevent.monkey; gevent.monkey.patch_all()",
}


@pytest.fixture
def connect():
    """Connect by TLS in a program that replaces its sockets; what it prints, and its errors."""

    def run(library, *, watched):
        pytest.importorskip(library)
        pytest.importorskip("trustme")
        tls = lab.TLS.trusted()
        with lab.GlanceServer(tls=tls) as server:
            program = PROGRAM.format(watched=watched, patch=PATCH[library])
            done = subprocess.run(
                [sys.executable, "-W", "ignore", "-c", program, f"{server.url}/", tls.cafile],
                capture_output=True,
                text=True,
                check=False,
                timeout=60,
            )
        return done.stdout, done.stderr

    return run


@pytest.mark.parametrize("library", PATCH)
def test_tls_works_though_urllib3_was_loaded_before(connect, library):
    assert "300\n" == connect(library, watched=True)[0]


@pytest.mark.parametrize("library", PATCH)
def test_without_it_tls_would_fail(connect, library):
    assert "RecursionError" in connect(library, watched=False)[1]


# --- what is repaired --------------------------------------------------------------------------


@pytest.fixture
def modules(monkeypatch):
    """Put modules in the place of urllib3's and requests'."""

    def put(**named):
        for name in (*green_tls._KEEPING, "requests.adapters"):
            monkeypatch.delitem(sys.modules, name, raising=False)
        for name, module in named.items():
            monkeypatch.setitem(sys.modules, name.replace("__", "."), module)

    return put


class Green(ssl.SSLContext):
    """What a library puts in the place of Python's class."""


def test_urllib3_gets_the_new_class(modules, monkeypatch):
    kept = SimpleNamespace(SSLContext=ssl.SSLContext)
    modules(urllib3__util=kept)
    monkeypatch.setattr(ssl, "SSLContext", Green)
    green_tls.repair_urllib3()
    assert Green is kept.SSLContext


@pytest.mark.parametrize("other", [dict, None])
def test_another_class_stays(modules, other):
    kept = SimpleNamespace(SSLContext=other)
    modules(urllib3__util=kept)
    green_tls.repair_urllib3()
    assert other is kept.SSLContext


def test_a_context_that_requests_keeps_is_used_no_more(modules):
    adapters = SimpleNamespace(_preloaded_ssl_context="a context of before")
    modules(requests__adapters=adapters)
    green_tls.repair_urllib3()
    assert adapters._preloaded_ssl_context is None


# --- it disturbs nobody ------------------------------------------------------------------------


def test_a_library_without_the_function_is_left_alone():
    module = SimpleNamespace()
    green_tls._watch("monkey_patch")(module)
    assert {} == vars(module)


def test_what_the_repair_raises_is_one_warning(monkeypatch, caplog):
    def fail():
        raise LookupError("urllib3 is quite another")

    monkeypatch.setattr(green_tls, "repair_urllib3", fail)
    module = SimpleNamespace(monkey_patch=lambda **given: given)
    green_tls._watch("monkey_patch")(module)
    with caplog.at_level(logging.WARNING):
        assert {"socket": True} == module.monkey_patch(socket=True)
    (record,) = caplog.records
    assert "TLS may fail" in record.getMessage()
    assert "urllib3 is quite another" in record.getMessage()
