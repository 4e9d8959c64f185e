"""The pytest plugin: Glance servers of the lab as fixtures, and their access logs in reports.

pytest loads it where traced-image is installed. It imports the lab when a test asks for a server.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from pluggy import Result

    from .lab import GlanceServer

_COUNT = 3
_MARKER = (
    "glance(count=3, **arguments): how `glance` and `glance_cluster` start their servers;"
    " the arguments are those of traced_image.lab.cluster"
)
_SERVERS = pytest.StashKey[list["GlanceServer"]]()


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker ``glance``."""
    config.addinivalue_line("markers", _MARKER)


@pytest.fixture
def glance(request: pytest.FixtureRequest) -> Iterator[GlanceServer]:
    """A Glance server of the lab; ``@pytest.mark.glance(tokens=["secret"])`` says how it starts."""
    with _serve(request, count=1) as (server,):
        yield server


@pytest.fixture
def glance_cluster(request: pytest.FixtureRequest) -> Iterator[tuple[GlanceServer, ...]]:
    """Three Glance servers that share their images; ``@pytest.mark.glance(5)`` has five."""
    with _serve(request) as servers:
        yield servers


@contextmanager
def _serve(
    request: pytest.FixtureRequest, *, count: int | None = None
) -> Iterator[tuple[GlanceServer, ...]]:
    """Start servers as the marker says, but for `count`, and keep them for the report."""
    from . import lab
    from .errors import InvalidArgument

    arguments: dict[str, Any] = {"count": _COUNT}
    # The closest marker comes first: a test's, then its class's, then its module's.
    for marker in reversed([*request.node.iter_markers("glance")]):
        if len(marker.args) > 1:
            raise InvalidArgument(
                f"@pytest.mark.glance of {request.node.nodeid} has {len(marker.args)} arguments"
                " without a name: write the count first, and all others by name, such as"
                " glance(2, tokens=['secret'])."
            )
        arguments.update(zip(("count",), marker.args, strict=False))
        arguments.update(marker.kwargs)
    if count is not None:
        arguments["count"] = count
    with lab.cluster(**arguments) as servers:
        request.node.stash.setdefault(_SERVERS, []).extend(servers)
        yield servers


# Not `wrapper=True`: pytest loads this everywhere, and the pluggy of Debian 12 does not know it.
@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, Result[pytest.TestReport], None]:
    """Add the access logs of the servers to the report of a test that failed."""
    report = (yield).get_result()
    if report.failed:
        for server in item.stash.get(_SERVERS, []):
            log = "\n".join(map(str, server.access_log)) or "no request"
            report.sections.append((f"access log of {server.name}", log))
