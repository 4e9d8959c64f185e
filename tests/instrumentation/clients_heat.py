"""Heat, whose client of Glance is python-glanceclient over a session that sends requests again.

Run by ``make test-clients``, in one environment for each release; as a program, this prints a row
of docs/reference/stock-clients.md.
"""

from __future__ import annotations

import contextlib
import re
import sys
from importlib import metadata
from pathlib import Path

import identity
import pytest
from prometheus_client import CollectorRegistry

from traced_image import lab
from traced_image.instrumentation import GlanceInstrumentor
from traced_image.lab import faults

sys.path.append(str(Path(__file__).parents[1] / "telemetry"))

from watching import Counts, Trace

PAGE = Path(__file__).parents[2] / "docs/reference/stock-clients.md"
RETRIES = 1
REFUSED, BROKEN = "refused", "broken"
USES = (
    lambda plugin, image: plugin.get_image(image).id,
    lambda plugin, image: plugin.get_image("cirros").id,
    lambda plugin, image: plugin.find_image_by_name_or_id("cirros"),
    lambda plugin, image: plugin.get_image("none"),
    lambda plugin, image: plugin.get_image("f0b7a3f6-8a5e-4d0c-a2b5-000000000000"),
)


@contextlib.contextmanager
def clouds():
    """Three servers with one image: one works, one is killed, and one answers 503.

    Yields:
        The servers by what ails them, the image, and what builds Heat's plugin for one of them.
    """
    from heat.common import context
    from heat.engine.clients.os import glance
    from oslo_config import cfg

    cfg.CONF([], project="heat", default_config_files=[], default_config_dirs=[])
    cfg.CONF.set_override("client_retry_limit", RETRIES)
    with lab.cluster(3) as servers, identity.running(servers[0].url) as keystone:
        image = servers[0].images.add(name="cirros", data=b"0123456789")
        servers[1].break_with(faults.refuse())
        servers[2].break_with(faults.status(503))
        named = dict(zip(("", REFUSED, BROKEN), servers, strict=True))
        contexts = []

        def build(server):
            keystone.endpoint = server.url
            auth = keystone.session().auth
            made = context.RequestContext(project_id="p", region_name="R", auth_plugin=auth)
            contexts.append(made)  # the plugin has only a weak reference
            plugin = glance.GlanceClientPlugin(made)
            plugin.context.keystone_session.get_token()
            return plugin

        yield named, image, build


def describe(use, plugin, image):
    """What Heat gives or raises, and where that was raised, without this package's own code."""
    try:
        return use(plugin, image)
    except Exception as error:  # noqa: BLE001
        frames, trace = [], error.__traceback__
        while trace is not None:
            code = trace.tb_frame.f_code
            if "/traced_image/" not in code.co_filename:
                frames.append((code.co_filename, trace.tb_lineno))
            trace = trace.tb_next
        return type(error), re.sub(r"0x[0-9a-f]+|req-[0-9a-f-]+", "", str(error)), frames


def use(ailment, uses=USES):
    """Use Heat's plugin on one server, with the instrumentor on and without."""
    trace, registry = Trace(), CollectorRegistry()
    with clouds() as (servers, image, build):
        stock = [describe(each, build(servers[ailment]), image) for each in uses]
        GlanceInstrumentor().instrument(
            tracer_provider=trace.provider, registry=registry, meter_provider=False
        )
        try:
            observed = [describe(each, build(servers[ailment]), image) for each in uses]
        finally:
            GlanceInstrumentor().uninstrument()
        return stock, observed, trace, Counts(registry), str(servers[ailment].port)


def attempts(counts):
    return counts.of(
        "glance_client_attempt_duration_seconds_count", "operation", "server_port", "error_type"
    )


@pytest.mark.parametrize("ailment", ["", REFUSED, BROKEN])
def test_results_and_errors_are_the_same(ailment):
    stock, observed, *_ = use(ailment)
    assert stock == observed


def test_an_image_of_an_id_is_one_call():
    *_, trace, _, _ = use("", USES[:1])
    name = "glance.images.get"
    assert [(name, [(f"{name} attempt", [])])] == trace.tree()


def test_what_the_session_sends_again_to_a_dead_server_is_an_attempt():
    *_, trace, counts, port = use(REFUSED, USES[:1])
    assert {("images.get", port, "connection_refused"): 1.0 + RETRIES} == attempts(counts)
    name = "glance.images.get"
    assert [(name, [(f"{name} attempt", [])] * (1 + RETRIES))] == trace.tree()


def test_the_dead_server_is_failing():
    *_, counts, port = use(REFUSED, USES[:1])
    assert {(port, "failing")} == set(
        counts.of("glance_client_server_state", "server_port", "state")
    )


def test_a_name_that_has_no_image_is_no_failure():
    *_, counts, port = use("", USES[-1:])
    assert {("images.get", port, "404"): 1.0, ("images.list", port, ""): 1.0} == attempts(counts)


def row():
    """The row of the release that is installed."""
    seen = {ailment: use(ailment) for ailment in ("", REFUSED, BROKEN)}
    per_call, reasons, named, operations, hazards = set(), set(), True, set(), set()
    for *_, trace, counts, port in seen.values():
        roots = trace.below(None)
        per_call |= {len(trace.below(call)) for call in roots}
        operations |= {call.name.removeprefix("glance.") for call in roots}
        reasons |= {reason for _, _, reason in attempts(counts)} - {""}
        hazards |= {kind for (kind,) in counts.of("glance_client_hazards_total", "kind")}
        named &= {port} == {each for _, each, _ in attempts(counts)}
    cells = (
        "openstack-heat",
        metadata.version("openstack-heat"),
        ", ".join(f"`{name}`" for name in sorted(operations)),
        f"{min(per_call)} to {max(per_call)} for a call (`client_retry_limit` {RETRIES})",
        "always" if named else "not always",
        ", ".join(f"`{reason}`" for reason in sorted(reasons)),
        "none",
        ", ".join(f"`{kind}`" for kind in sorted(hazards)),
    )
    return f"| {' | '.join(cells)} |"


def test_the_page_says_what_is_seen():
    assert row() in PAGE.read_text("utf-8").splitlines()


if __name__ == "__main__":
    sys.stdout.write(f"{row()}\n")
