"""``/probe?target=``: one probe when it is asked for, and what it refuses."""

from __future__ import annotations

import asyncio

import pytest
from probe_parts import HangingLookups, Tokens, config, run, until
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families as parse

from traced_image import Server, lab
from traced_image.errors import InvalidOption
from traced_image.exporter.app import make_app
from traced_image.exporter.journal import Journal
from traced_image.exporter.probing.probe import Probe
from traced_image.exporter.probing.probe_route import Allowed, make_probe_route


@pytest.fixture
def images():
    return lab.Images()


@pytest.fixture
def glance(images):
    with lab.GlanceServer(images) as server:
        yield server


class Answer:
    """What an application answered."""

    def __init__(self, messages):
        start, *bodies = messages
        self.status = start["status"]
        self.headers = {name.decode(): value.decode() for name, value in start["headers"]}
        self.text = b"".join(message["body"] for message in bodies).decode()

    def value(self, name):
        values = [
            sample.value
            for metric in parse(self.text)
            for sample in metric.samples
            if sample.name == name
        ]
        return values[0] if values else None


async def asked(app, query, headers=(), method="GET"):
    """Ask an application for ``/probe``."""
    scope = {
        "type": "http",
        "method": method,
        "path": "/probe",
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in headers],
    }
    messages = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        messages.append(message)

    await app(scope, receive, send)
    return Answer(messages)


def application(probe, **options):
    routes = make_probe_route(lambda: probe, **options)
    return make_app(CollectorRegistry(), Journal(), routes=routes)


def answer_to(query, *urls, headers=(), allowed=None, probing=None, **fields):
    async def once():
        probe = Probe(config(*(urls or ["configured:9292"]), **fields), **(probing or {}))
        return await asked(application(probe, allowed=allowed), query, headers)

    return run(once())


def test_a_configured_server_is_probed(glance):
    answer = answer_to(f"target={glance.url}", glance.url)
    assert (200, 1.0) == (answer.status, answer.value("glance_probe_success"))


def test_a_server_that_fails_is_no_error_of_the_request(glance):
    glance.break_with(lab.faults.refuse())
    answer = answer_to(f"target={glance.url}", glance.url)
    assert (200, 0.0) == (answer.status, answer.value("glance_probe_success"))


def test_a_target_that_refuses_the_probe_is_up(glance):
    answer = answer_to(f"target={glance.url}/image", f"{glance.url}/image")
    assert (1.0, True) == (
        answer.value("glance_probe_success"),
        'setting="prefix"} 1.0' in answer.text,
    )


def test_a_target_is_a_host_and_port_too(glance):
    answer = answer_to(f"target=127.0.0.1:{glance.port}", glance.url)
    assert 1.0 == answer.value("glance_probe_success")


def test_each_probe_has_a_registry_of_its_own(glance, images):
    with lab.GlanceServer(images) as other:

        async def once():
            app = application(Probe(config(glance.url, other.url)))
            await asked(app, f"target={glance.url}")
            return await asked(app, f"target={other.url}")

        assert 1 == run(once()).text.count("glance_probe_success{")


def test_the_answer_is_in_openmetrics_for_whoever_wants_it(glance):
    accept = [("accept", "application/openmetrics-text; version=1.0.0")]
    answer = answer_to(f"target={glance.url}", glance.url, headers=accept)
    assert answer.headers["content-type"].startswith("application/openmetrics-text")


def test_nothing_but_reading_is_allowed(glance):
    async def once():
        app = application(Probe(config(glance.url)))
        return await asked(app, f"target={glance.url}", method="POST")

    assert 405 == run(once()).status


# --- what is refused ---------------------------------------------------------------------------


def test_a_host_that_is_not_configured_is_refused(glance):
    assert 403 == answer_to(f"target={glance.url}").status


def test_another_port_of_a_configured_host_is_refused(glance):
    assert 403 == answer_to("target=127.0.0.1:22", glance.url).status


def test_a_refused_host_is_not_connected_to(glance):
    answer_to(f"target={glance.url}")
    assert 0 == glance.connections


def test_a_refused_name_is_not_looked_up():
    answer = answer_to("target=evil.example", probing={"lookup": pytest.fail})
    assert 403 == answer.status


def test_the_refusal_says_what_to_do(glance):
    answer = answer_to("target=evil.example")
    assert "evil.example:9292 is not an allowed target: allow it first.\n" == answer.text


def test_a_refusal_is_plain_text(glance):
    assert answer_to("target=evil.example").headers["content-type"].startswith("text/plain")


TARGETS = [
    "",
    "target=",
    "target=a&target=b",
    "target=ftp://glance",
    "target=glance:99999",
    "target=http://user:secret@glance",
    "target=%00",
    "target=<script>",
    "target=glance?x",
    "target=127.1",
    "target=0x7f000001",
    "target=2130706433",
    "target=[fe80::1%25eth0]",
    "target=" + "a" * 5000,
]


@pytest.mark.parametrize("query", TARGETS)
def test_a_target_that_is_none_is_a_bad_request(query):
    assert 400 == answer_to(query).status


def test_a_bad_targets_secret_is_not_repeated():
    assert "secret" not in answer_to("target=http://user:secret@glance").text


def test_a_bad_target_is_said_to_be_one():
    assert "target (from the query)" in answer_to("target=glance:99999").text


# --- what is allowed ---------------------------------------------------------------------------

ALLOWED = [
    ("127.0.0.0/8", True),
    ("127.0.0.1", True),
    ("::1/128", False),
    ("10.0.0.0/8", False),
    ("127.0.0.1/32", True),
    ("glance-1", False),
]


@pytest.mark.parametrize(("member", "expected"), ALLOWED)
def test_a_network_allows_the_addresses_in_it(member, expected):
    assert expected == Allowed.parse([member]).allows(Server.parse("127.0.0.1:9292"))


NAMES = [
    ("glance-1", "glance-1:80", True),
    ("glance-1", "glance-2:80", False),
    ("glance-1", "glance-1.example:80", False),
    ("GLANCE-1", "glance-1:80", True),
    ("glance-1:9292", "glance-1", True),
    ("glance-1:9292", "glance-1:9293", False),
    ("[2001:db8::1]:9292", "[2001:db8::1]:9292", True),
    ("[2001:db8::1]:9292", "[2001:db8::1]:9293", False),
    ("[2001:db8::1]", "[2001:db8::1]:9293", True),
    ("2001:db8::1", "[2001:db8::1]:9293", True),
    ("2001:db8::/32", "[2001:db8::ffff]:1", True),
    ("0.0.0.0/0", "glance-1:80", False),
    ("0.0.0.0/0", "[::ffff:127.0.0.1]:80", False),
    ("127.0.0.1:9292", "127.0.0.1:9292", True),
    ("127.0.0.1:9292", "127.0.0.1:22", False),
]


@pytest.mark.parametrize(("member", "target", "expected"), NAMES)
def test_a_name_or_place_allows_itself(member, target, expected):
    assert expected == Allowed.parse([member]).allows(Server.parse(target))


def test_all_members_of_a_list_count():
    allowed = Allowed.parse(["glance-1", "10.0.0.0/8"])
    targets = map(Server.parse, ("glance-1", "10.1.2.3", "glance-2"))
    assert [True, True, False] == [allowed.allows(target) for target in targets]


MEMBERS = ["", "10.0.0.1/8", "http://glance", "glance/image", "glance:x", "a b", "user:x@glance"]


@pytest.mark.parametrize("member", MEMBERS)
def test_a_member_that_is_none_is_refused(member):
    with pytest.raises(InvalidOption, match=r"^allow \(from argument\)"):
        Allowed.parse([member])


def test_where_a_bad_member_came_from_is_told():
    with pytest.raises(InvalidOption, match="--allow"):
        Allowed.parse(["a b"], "--allow")


def test_an_allowed_server_is_probed(glance):
    allowed = Allowed.parse(["127.0.0.0/8"])
    answer = answer_to(f"target={glance.url}", allowed=allowed)
    assert 1.0 == answer.value("glance_probe_success")


def test_the_name_of_an_allowed_target_is_looked_up_once(glance):
    """What a name server says the second time can't lead elsewhere."""
    lookups = HangingLookups()
    allowed = Allowed.parse(["glance-1"])
    target = f"target=http://glance-1:{glance.port}"
    answer = answer_to(target, allowed=allowed, probing={"lookup": lookups})
    assert (1.0, ["glance-1"]) == (answer.value("glance_probe_success"), lookups.asked)


def test_a_redirect_is_not_followed(glance, images):
    with lab.GlanceServer(images) as other:
        glance.break_with(lab.faults.redirect_loop())
        answer_to(f"target={glance.url}", glance.url)
        assert (0, 2) == (other.connections, len(glance.access_log))


# --- what a target is asked --------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/admin", "/image/admin", "/images", "/v3", "//image", "/Image"])
def test_a_path_that_is_not_glances_is_refused(glance, path):
    answer = answer_to(f"target={glance.url}{path}", f"{glance.url}/image")
    assert (400, 0) == (answer.status, glance.connections)


def test_the_refusal_of_a_path_names_those_that_are_glances(glance):
    answer = answer_to(f"target={glance.url}/admin", f"{glance.url}/image")
    said = "'/admin' is no path of a configured server: use none or /image.\n"
    assert said == answer.text


@pytest.mark.parametrize("path", ["", "/", "/v2", "/image", "/image/", "/image/v2/"])
def test_a_configured_prefix_or_none_is_asked(glance, path):
    answer = answer_to(f"target={glance.url}{path}", f"{glance.url}/image")
    assert (200, True) == (answer.status, glance.connections > 0)


@pytest.mark.parametrize(("path", "status"), [("/image", 200), ("", 200), ("/admin", 400)])
def test_an_allowed_target_is_asked_what_the_configured_servers_are(glance, path, status):
    allowed = Allowed.parse(["127.0.0.0/8"])
    target = f"target={glance.url}{path}"
    assert status == answer_to(target, "http://glance-1/image", allowed=allowed).status


def test_the_prefix_of_one_server_is_none_of_another_one(glance):
    target = f"target={glance.url}/other"
    assert 400 == answer_to(target, f"{glance.url}/image", "http://glance-1/other").status


# --- tokens ------------------------------------------------------------------------------------


def test_a_configured_server_is_asked_for_the_image(glance, images):
    image_id = images.add(name="cirros", data=b"0123456789")
    answer = answer_to(f"target={glance.url}", glance.url, probing={"image": image_id})
    assert 10.0 == answer.value("glance_probe_canary_download_bytes")


def test_a_token_is_shown_to_nobody_but_a_configured_server(glance):
    answer_to(
        f"target={glance.url}",
        f"{glance.url}/image",
        auth=Tokens("secret"),
        probing={"image": "1"},
    )
    assert [False] * 2 == [access.token_present for access in glance.access_log]


def test_a_token_is_not_shown_without_the_tls_that_is_configured(glance, monkeypatch):
    answer_to(
        f"target={glance.url}",
        glance.url.replace("http:", "https:"),
        auth=Tokens("secret"),
        probing={"image": "1"},
    )
    assert [False] * 2 == [access.token_present for access in glance.access_log]


# --- bounds ------------------------------------------------------------------------------------


def test_probes_beyond_those_that_may_be_under_way_are_refused(glance):
    async def once():
        glance.break_with(lab.faults.never_answer())
        app = application(Probe(config(glance.url)), most=2)
        query = f"target={glance.url}"
        waiting = [asyncio.create_task(asked(app, query)) for _ in range(2)]
        await until(lambda: glance.connections == 2)
        refused = await asked(app, query)
        glance.heal()
        answers = await asyncio.gather(*waiting)
        return refused.status, [each.status for each in answers], (await asked(app, query)).status

    assert (503, [200, 200], 200) == run(once())


SECONDS = [
    ("1.0", 0.5),
    ("30", 29.5),
    ("0.1", 0.5),
    ("-5", 0.5),
    ("60", 29.5),
    ("nan", 29.5),
    ("inf", 29.5),
    ("ten", 29.5),
    (None, 29.5),
]


class Noting(Probe):
    """Notes how much time its probes are given."""

    async def __call__(self, server, canary=None, *, within=None):
        self.within = within
        return await super().__call__(server, canary, within=within)


@pytest.mark.parametrize(("header", "expected"), SECONDS)
def test_a_probe_ends_before_prometheus_gives_it_up(glance, header, expected):
    async def once():
        probe = Noting(config(glance.url))
        headers = [] if header is None else [("x-prometheus-scrape-timeout-seconds", header)]
        await asked(application(probe), f"target={glance.url}", headers)
        return probe.within

    assert expected == run(once())
