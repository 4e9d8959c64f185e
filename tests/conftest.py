"""The environment of all tests: no setting of the caller's reaches them or their child processes.

What is removed is gone before any other module of the tests is imported, since some settings are
read then. pytest's own report keeps its colours and its width.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import os
import re
import socket

import pytest

_KEPT = re.compile(
    r"TRACED_IMAGE_CACHE|PIP_.*"
    r"|PYTHON(HOME|PATH|PLATLIBDIR|EXECUTABLE|USERBASE|NOUSERSITE)"
    r"|PYTHON(HASHSEED|DONTWRITEBYTECODE|PYCACHEPREFIX|_GIL)"
)
"""Where `tests/real` keeps what it installs, how it is installed, and by what Python."""

_SETTINGS = re.compile(
    r"""
    .*_PROXY | REQUEST_METHOD                                          # urllib, requests, grpc
    | (REQUESTS|CURL)_CA_BUNDLE | SSL_CERT_(FILE|DIR) | SSLKEYLOGFILE | NETRC
    | (TRACED_IMAGE|OS|STATSD|OTEL|GRPC|PROMETHEUS)_.*
    | (GUNICORN|GEVENT|GEVENTARES|EVENTLET|SQLALCHEMY|PSYCOPG)_.* | PG[A-Z]+
    | WEB_CONCURRENCY | FORWARDED_ALLOW_IPS | SENDFILE | PORT          # gunicorn
    | PYTHON.*                                                         # PYTHONUNBUFFERED, …
    """,
    re.VERBOSE,
)

_LOOKS = re.compile(
    r"(NO|FORCE)_COLOR|PYTHON_COLORS|CLICOLOR(_FORCE)?|COLORTERM|COLUMNS|LINES"
    r"|TTY_(COMPATIBLE|INTERACTIVE)|JUPYTER_(COLUMNS|LINES)|UNICODE_VERSION"
)


def _remove(names: re.Pattern[str]) -> None:
    for name in list(os.environ):
        if names.fullmatch(name.upper()) and not _KEPT.fullmatch(name):
            del os.environ[name]


def _keep_the_way_to_packages() -> None:
    """Tell pip what the proxy and the authorities are, for it will not see the usual variables."""
    ways = {"PIP_PROXY": ("https_proxy", "HTTPS_PROXY"), "PIP_CERT": ("REQUESTS_CA_BUNDLE",)}
    for name, settings in ways.items():
        found = next(filter(None, map(os.environ.get, settings)), None)
        if found:
            os.environ.setdefault(name, found)


_keep_the_way_to_packages()
_remove(_SETTINGS)


def pytest_sessionstart() -> None:
    """Remove what pytest has read by now for its own report."""
    _remove(_LOOKS)


def pytest_configure(config):
    """Have Hypothesis try the same few examples in each quick run, and many others in a full one.

    No time limit is set for an example: on a busy machine any may take long.
    """
    from hypothesis import HealthCheck, settings

    always = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
    settings.register_profile("quick", max_examples=10, derandomize=True, **always)
    settings.register_profile("all", max_examples=100, print_blob=True, **always)
    if not config.getoption("--hypothesis-profile", None):
        settings.load_profile("quick" if config.getoption("markexpr") == "not slow" else "all")


@pytest.hookimpl(wrapper=True)
def pytest_collection(session):
    """Collect quickly: without the search for garbage, for the tests stay until the end.

    Every worker imports the same modules, and all but the first need not measure their coverage.
    """
    gc.disable()
    try:
        with _unmeasured(session.config):
            return (yield)
    finally:
        gc.enable()


@contextlib.contextmanager
def _unmeasured(config):
    coverage = config.pluginmanager.get_plugin("_cov")
    measuring = coverage and coverage.cov_controller
    if not measuring or getattr(config, "workerinput", {}).get("workerid", "gw0") == "gw0":
        yield
        return
    measuring.pause()
    try:
        yield
    finally:
        measuring.resume()


@functools.cache
def _has_ipv6():
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6) as sock:
        sock.bind(("::1", 0))
        return True
    return False


def pytest_runtest_setup(item):
    """Skip what a machine without IPv6, as a container may be, has no way to do."""
    if item.get_closest_marker("ipv6") and not _has_ipv6():
        pytest.skip("this machine has no IPv6")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Run all tests of a file in one worker, for they share servers, programs and certificates."""
    from xdist.scheduler import LoadFileScheduling

    return LoadFileScheduling(config, log) if config.getoption("dist") == "load" else None
