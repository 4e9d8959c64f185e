"""The command ``exporter``: what it serves, its signals, its files, and how it ends."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import socket
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass

import bcrypt
import pytest
from prometheus_client.parser import text_string_to_metric_families
from terminals import own_port, until

from traced_image import lab
from traced_image.cli import exporter as command

QUICK = ("--interval", "200ms")
TRACE_URL = "https://jaeger.example/trace/{trace_id}"
RELOADED = "traced_image_exporter_config_last_reload_successful"


def place(server):
    return f"{server.host}:{server.port}"


@dataclass
class Asked:
    """What is asked of an exporter while it runs.

    Attributes:
        port: Where it listens.
    """

    port: int

    def get(self, path="/", **headers):
        """A status and a body; None while nothing listens."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=5) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            return None

    def ready(self):
        """Wait until each server has been probed."""
        until(lambda: self.get("/readyz") == (200, "ok\n"), "it is not ready")

    def servers(self):
        """What it tells of each server."""
        found = json.loads(self.get("/servers")[1])["servers"]
        return {f"{each['address']}:{each['port']}": each for each in found}

    def metric(self, name):
        """The values of a metric, by what its labels say."""
        families = text_string_to_metric_families(self.get("/metrics")[1])
        return {
            tuple(sample.labels.values()): sample.value
            for family in families
            for sample in family.samples
            if sample.name == name
        }


@pytest.fixture
def port():
    with own_port() as held:
        yield held


@pytest.fixture
def exporter(cli, port):
    """Run the exporter, ask it by a function, and end it; return the result and what was found.

    It runs in the main thread, because signals need it; the asking code is in another.
    """

    def run(*arguments, ask, end=signal.SIGTERM):
        asked = Asked(port)
        found = []

        def work():
            try:
                until(lambda: asked.get("/healthz"), "it does not listen")
                found.append(ask(asked))
            except BaseException as error:  # noqa: BLE001 it is raised below
                found.append(error)
            finally:
                os.kill(os.getpid(), end)

        thread = threading.Thread(target=work)
        thread.start()
        result = cli("exporter", "--listen", f"127.0.0.1:{asked.port}", *QUICK, *arguments)
        thread.join()
        if isinstance(found[0], BaseException):
            raise found[0]
        return result, found[0]

    return run


# --- what it serves ----------------------------------------------------------------------------


def test_it_tells_which_servers_fail(exporter, three, on):
    three[0].break_with(lab.faults.refuse())

    def ask(asked):
        asked.ready()
        return asked.servers()

    _, found = exporter(*on(*three), ask=ask)
    assert {place(server): {} for server in three[1:]} == {
        name: each["reasons"] for name, each in found.items() if name != place(three[0])
    }
    assert ["connection_refused"] == list(found[place(three[0])]["reasons"])


def test_it_has_metrics_of_probes_of_calls_and_of_its_process(exporter, server, on):
    def ask(asked):
        asked.ready()
        names = (
            "glance_probe_success",
            "glance_client_attempt_duration_seconds_count",
            "process_resident_memory_bytes",
            RELOADED,
        )
        return [bool(asked.metric(name)) for name in names]

    assert [True] * 4 == exporter(*on(server), ask=ask)[1]


def test_it_is_ready_after_the_first_probe_of_each_server(exporter, three, on):
    *others, hanging = three  # which is probed last, as first probes are spread
    hanging.break_with(lab.faults.never_answer())
    places = {(server.host, str(server.port)) for server in others}

    def ask(asked):
        until(lambda: asked.metric("glance_probe_success").keys() == places)
        before = asked.get("/readyz")
        hanging.heal()
        asked.ready()
        return before

    assert (503, "not yet\n") == exporter("--interval", "1500ms", *on(*three), ask=ask)[1]


def test_it_has_the_page(exporter, server, on):
    status, body = exporter(*on(server), ask=lambda asked: asked.get("/"))[1]
    assert (200, "<!doctype html>") == (status, body[:15])


def test_its_report_says_that_a_server_refuses_the_image_of_its_probes(exporter, server, on):
    def ask(asked):
        asked.ready()
        return json.loads(asked.get("/servers")[1])

    image = "84efd1f0-5f0f-4a67-8e4d-2f8a2f7b9c31"
    found = exporter("--image", image, *on(server), ask=ask)[1]
    (told,) = found["servers"]
    assert (True, "healthy", 0) == (found["probes"], told["state"], told["failed"])
    assert f"HTTP 404 for image {image}; fix: " in told["misconfigured"]


def test_it_has_the_address_of_traces(exporter, server, on):
    _, found = exporter(
        "--trace-url", TRACE_URL, *on(server), ask=lambda asked: asked.get("/servers")[1]
    )
    assert TRACE_URL == json.loads(found)["trace_url"]


def test_it_probes_with_an_image_if_one_is_named(exporter, server, on, images):
    image_id = images.add(name="canary", data=b"0123456789")

    def ask(asked):
        asked.ready()
        return asked.metric("glance_probe_canary_download_bytes")

    found = exporter("--image", image_id, *on(server), ask=ask)[1]
    assert {(server.host, str(server.port)): 10.0} == found


@pytest.mark.parametrize(("allowed", "status"), [([], 403), (["127.0.0.1"], 200)])
def test_another_target_is_probed_only_if_it_is_allowed(exporter, three, on, allowed, status):
    options = [part for each in allowed for part in ("--allow-target", each)]

    def ask(asked):
        return [asked.get(f"/probe?target={place(server)}")[0] for server in three[:2]]

    assert [200, status] == exporter(*options, *on(three[0]), ask=ask)[1]


def test_a_web_configuration_file_protects_it(exporter, server, on, tmp_path):
    hashed = bcrypt.hashpw(b"pass", bcrypt.gensalt(4)).decode()
    (tmp_path / "web.yml").write_text(f"basic_auth_users:\n  user: {hashed}\n")
    right = base64.b64encode(b"user:pass").decode()

    def ask(asked):
        return asked.get()[0], asked.get(Authorization=f"Basic {right}")[0]

    options = "--web.config.file", str(tmp_path / "web.yml")
    assert (401, 200) == exporter(*options, *on(server), ask=ask)[1]


def test_where_it_serves_is_said(exporter, server, on):
    result, port = exporter(*on(server), ask=lambda asked: asked.port)
    assert f"traced-image: serving http://127.0.0.1:{port}/" == result.err.splitlines()[0]


@pytest.mark.parametrize(
    ("host", "shown"),
    [("127.0.0.1", "127.0.0.1:{}"), pytest.param("::1", "[::1]:{}", marks=pytest.mark.ipv6)],
)
def test_an_address_is_shown_as_a_url_has_it(host, shown):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as sock:
        sock.bind((host, 0))
        assert shown.format(sock.getsockname()[1]) == command._format_address(sock)


def test_tls_is_said_to_be_spoken(cli, server, on, tmp_path, signalled, tls, port):
    """And the certificate is the one of the file."""
    import ssl

    import trustme

    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    (tmp_path / "cert.pem").write_bytes(issued.cert_chain_pems[0].bytes())
    (tmp_path / "key.pem").write_bytes(issued.private_key_pem.bytes())
    (tmp_path / "key.pem").chmod(0o600)
    (tmp_path / "web.yml").write_text(
        "tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n"
    )
    context = ssl.create_default_context()
    authority.configure_trust(context)

    def answered():
        try:
            url = f"https://127.0.0.1:{port}/healthz"
            with urllib.request.urlopen(url, timeout=5, context=context) as reply:
                return reply.status == 200
        except OSError:
            return False

    signalled(signal.SIGTERM, answered)
    options = "--web.config.file", tmp_path / "web.yml", "--listen", f"127.0.0.1:{port}"
    result = cli("exporter", *QUICK, *options, *on(server))
    assert (0, f"traced-image: serving https://127.0.0.1:{port}/") == (
        result.status,
        result.err.splitlines()[0],
    )


# --- what it says ------------------------------------------------------------------------------


def test_a_server_that_begins_to_fail_is_said_once(exporter, server, on):
    server.break_with(lab.faults.status(503))

    def ask(asked):
        until(lambda: asked.servers()[place(server)]["failed"] > 2)

    lines = exporter(*on(server), ask=ask)[0].err.splitlines()
    assert 1 == sum("Probes began to fail, 503: " in line for line in lines)


def test_with_v_each_probe_is_a_line(exporter, server, on):
    def ask(asked):
        until(lambda: asked.servers()[place(server)]["attempts"] > 2)

    said = exporter("-v", *on(server), ask=ask)[0].err
    assert 3 <= len(re.findall(rf"traced-image: {place(server)} answers, [\d.]+ ms\n", said))


def test_that_nobody_reads_what_it_says_ends_nothing(server, on, port):
    import subprocess
    import sys

    from terminals import LIMIT, PROGRAM

    asked = Asked(port)
    options = "-v", *QUICK, "--listen", f"127.0.0.1:{asked.port}", *on(server)
    command = [sys.executable, "-c", PROGRAM, "exporter", *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as running:
        running.stderr.readline()
        running.stderr.close()
        try:
            until(lambda: asked.get("/healthz"))
            until(lambda: asked.servers()[place(server)]["attempts"] > 2)
        finally:
            running.terminate()
        assert 0 == running.wait(LIMIT)


# --- files that change -------------------------------------------------------------------------


def nova(path, *servers, more=""):
    """Write a configuration file that names servers."""
    path.write_text(f"[glance]\napi_servers = {','.join(server.url for server in servers)}\n{more}")


def test_sighup_has_all_that_is_configured_read_again(exporter, three, monkeypatch):
    """The environment, too, whose change no watched file shows."""
    monkeypatch.setenv("TRACED_IMAGE_SERVERS", ",".join(server.url for server in three[:2]))

    def ask(asked):
        asked.ready()
        before = asked.servers().keys()
        monkeypatch.setenv("TRACED_IMAGE_SERVERS", ",".join(server.url for server in three[1:]))
        os.kill(os.getpid(), signal.SIGHUP)
        until(lambda: asked.servers().keys() != before, "it was not read again")
        until(lambda: len(asked.servers()) == 2, "the old one is still there")
        return before, asked.servers().keys()

    before, after = exporter(ask=ask)[1]
    assert ({place(server) for server in three[:2]}, {place(server) for server in three[1:]}) == (
        before,
        after,
    )


def test_nothing_is_told_of_a_server_that_is_configured_no_longer(exporter, three, tmp_path):
    path = tmp_path / "nova.conf"
    nova(path, *three)

    def ask(asked):
        asked.ready()
        nova(path, *three[1:])
        # A probe that is under way still ends, and is counted.
        until(lambda: str(three[0].port) not in asked.get("/metrics")[1], "it has series")
        return asked.servers().keys()

    assert {place(server) for server in three[1:]} == exporter("--config", str(path), ask=ask)[1]


def test_a_changed_file_is_read_again_by_itself(exporter, three, tmp_path):
    path = tmp_path / "nova.conf"
    nova(path, three[0])

    def ask(asked):
        asked.ready()
        nova(path, three[0], three[1])
        until(lambda: place(three[1]) in asked.servers(), "it was not read again")

    assert 0 == exporter("--config", str(path), ask=ask)[0].status


def test_a_bad_file_leaves_what_was_in_force_and_is_said(exporter, server, tmp_path):
    path = tmp_path / "nova.conf"
    nova(path, server)

    def ask(asked):
        asked.ready()
        path.write_bytes(b"\xff")
        os.kill(os.getpid(), signal.SIGHUP)
        until(lambda: asked.metric(RELOADED) == {(): 0.0}, "nothing tells of it")
        attempts = asked.servers()[place(server)]["attempts"]
        until(lambda: asked.servers()[place(server)]["attempts"] > attempts, "it probes no more")
        nova(path, server)
        os.kill(os.getpid(), signal.SIGHUP)
        until(lambda: asked.metric(RELOADED) == {(): 1.0}, "it does not recover")

    said = exporter("--config", str(path), ask=ask)[0].err
    assert "The configuration was not reloaded; the old one stays: config_file (from" in said


def test_a_bad_web_configuration_file_is_told_by_the_same_metric(
    exporter, server, on, tmp_path, caplog
):
    """However often the servers' configuration is read again and is right."""
    path = tmp_path / "web.yml"
    path.write_text("")

    def ask(asked):
        path.write_text("nonsense: 1\n")
        until(lambda: asked.metric(RELOADED) == {(): 0.0}, "nothing tells of it")
        os.kill(os.getpid(), signal.SIGHUP)
        until(lambda: "was reloaded" in caplog.text, "it was not read again")
        return asked.metric(RELOADED)

    assert {(): 0.0} == exporter("--web.config.file", str(path), *on(server), ask=ask)[1]


@pytest.mark.parametrize(
    ("choice", "environment", "expected"),
    [
        ({"config_file": "a"}, {"TRACED_IMAGE_CONFIG_FILE": "b"}, ["a"]),
        ({}, {"TRACED_IMAGE_CONFIG_FILE": "a:b"}, ["a", "b"]),
        ({}, {}, []),
        (
            {"cloud": "mine"},
            {"OS_CLIENT_CONFIG_FILE": "c", "OS_CLIENT_SECURE_FILE": "s"},
            ["c", "s"],
        ),
        (
            {"config_file": "a"},
            {"OS_CLOUD": "mine", "OS_CLIENT_CONFIG_FILE": "c", "OS_CLIENT_SECURE_FILE": "s"},
            ["a", "c", "s"],
        ),
    ],
)
def test_the_files_that_are_looked_at_are_those_that_are_read(
    monkeypatch, choice, environment, expected
):
    from traced_image.cli.options import Choice

    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert expected == command._list_watched_files(Choice(**choice))


def test_the_usual_places_of_clouds_are_looked_at():
    from traced_image.cli.options import Choice

    files = command._list_watched_files(Choice(cloud="mine"))
    assert {"/etc/openstack/clouds.yaml", "/etc/openstack/secure.yaml"} <= set(files)


# --- how it ends -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hanging", "number", "status", "word"),
    [
        (False, signal.SIGTERM, 0, "ended"),
        (False, signal.SIGINT, 130, "interrupted"),
        (True, signal.SIGTERM, 0, "ended"),
        pytest.param(True, signal.SIGINT, 130, "interrupted", marks=pytest.mark.slow),
    ],
)
def test_a_signal_ends_it_soon_and_in_one_line(exporter, server, on, hanging, number, status, word):
    if hanging:
        server.break_with(lab.faults.never_answer())

    def ask(_asked):
        until(lambda: server.connections)
        return time.monotonic()

    result, since = exporter("--interval", "1s", *on(server), ask=ask, end=number)
    assert (status, f"traced-image: {word}") == (result.status, result.err.splitlines()[-1])
    assert 2 > time.monotonic() - since


def test_its_port_is_free_afterwards(exporter, server, on):
    _, port = exporter(*on(server), ask=lambda asked: asked.port)
    with socket.socket() as sock:
        assert 0 != sock.connect_ex(("127.0.0.1", port))


def test_a_server_that_fails_ends_it(cli, server, on, monkeypatch):
    async def failing(*_):
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(command._CommandServer, "main_loop", failing)
    result = cli("exporter", "--listen", "127.0.0.1:0", *on(server))
    assert (4, "traced-image: a file or the output: Too many open files") == (
        result.status,
        result.err.splitlines()[-1],
    )


def test_a_port_in_use_is_one_line(cli, server, on):
    result = cli("exporter", "--listen", place(server), *on(server))
    said = f"traced-image: can't listen on {place(server)}: Address already in use"
    assert (3, True) == (result.status, result.line.startswith(said))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--listen", "here"], "Invalid value for '--listen': 'here' is not an address and a port"),
        (["--listen", "nonesuch.invalid:80"], "can't listen on nonesuch.invalid:80: "),
        (["--listen", "127.0.0.1:70000"], "can't listen on 127.0.0.1:70000: use a port"),
        (["--interval", "0s"], "interval (from argument): 0.0 can't be used"),
        (["--interval", "often"], "Invalid value for '--interval': 'often' is not a duration"),
        (["--timeout", "0s"], "timeout (from argument): 0.0 can't be used"),
        (["--image", ""], "'' is not a valid image id"),
        (["--trace-url", "jaeger"], "trace_url (from --trace-url): 'jaeger' is not an http"),
        (["--allow-target", "a/b"], "allow (from --allow-target): 'a/b' is not a name"),
        (["--web.config.file", "/"], "web configuration (from /): the file can't be read"),
        (["--web.config.file", "/nope"], "web configuration (from /nope): the file can't be read"),
        (["--nope"], "No such option '--nope'"),
    ],
)
def test_what_can_not_be_served_is_one_line(cli, server, on, options, said):
    result = cli("exporter", "--listen", "127.0.0.1:0", *options, *on(server))
    assert 3 == result.status
    assert result.line.startswith(f"traced-image: {said}")


def test_a_server_that_breaks_down_is_told_of(cli, server, on, monkeypatch):
    async def break_down(_self, sockets):
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("traced_image.cli.exporter._CommandServer.serve", break_down)
    result = cli("exporter", "--listen", "127.0.0.1:0", *on(server))
    assert (4, True) == (result.status, "Too many open files" in result.err)
