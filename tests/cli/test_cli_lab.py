"""The command ``lab``: what it serves and prints, its options, and how it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import ssl
import sys
import threading
import traceback
import urllib.error
import urllib.request
from contextlib import ExitStack
from pathlib import Path

import pytest
from terminals import LIMIT, own_port, until

from traced_image import lab


def get(url, *, cafile=None, body=None, **headers):
    """The status of an answer; None while nothing listens."""
    context = None if cafile is None else ssl.create_default_context(cafile=cafile)
    request = urllib.request.Request(url, body, headers)
    try:
        with urllib.request.urlopen(request, timeout=LIMIT, context=context) as reply:
            return reply.status
    except urllib.error.HTTPError as error:
        with error:
            return error.code
    except OSError:
        return None


@pytest.fixture
def ports():
    """Two ports that nobody else is given: a server's, and that of the control API."""
    with ExitStack() as stack:
        yield [stack.enter_context(own_port()) for _ in range(2)]


@pytest.fixture
def serve(cli, ports):
    """Run one server, ask what it serves, and end it; what was found, and the result.

    It runs in the main thread, because signals need it; the asking code is in another.
    """

    main = threading.get_ident()

    def has_printed():
        """Whether it waits for a signal, which it does once it has printed where all listen."""
        stack = traceback.walk_stack(sys._current_frames()[main])
        return "run_in_loop" in [frame.f_code.co_name for frame, _ in stack]

    def run(*arguments, ask=lambda _server, _control: None, end=signal.SIGTERM):
        server, control = (f"http://127.0.0.1:{port}" for port in ports)
        found = []

        def work():
            try:
                until(lambda: get(control), "it does not listen")
                found.append(ask(server, control))
                until(has_printed, "it does not print")
            except BaseException as error:  # noqa: BLE001 it is compared below
                found.append(error)
            finally:
                os.kill(os.getpid(), end)

        asking = threading.Thread(target=work)
        asking.start()
        places = ("--port", ports[0], "--control-port", ports[1])
        result = cli("lab", "--servers", "1", *places, *arguments)
        asking.join(LIMIT)
        return found[0], result

    return run


def test_it_serves_a_glance_and_the_control_api(serve):
    found, _ = serve(ask=lambda server, control: (get(f"{server}/v2/images"), get(control)))
    assert (200, 200) == found


def test_it_prints_where_all_listen(serve, ports):
    _, result = serve()
    expected = f"glance-1  http://127.0.0.1:{ports[0]}\ncontrol   http://127.0.0.1:{ports[1]}\n"
    assert expected == result.out


def test_it_prints_one_line_of_json(serve, ports):
    _, result = serve("--json")
    (line,) = result.out.splitlines()
    server, control = (f"http://127.0.0.1:{port}" for port in ports)
    assert {"servers": [server], "control": control, "cafile": None} == json.loads(line)


@pytest.mark.parametrize(
    ("end", "status"), [(signal.SIGTERM, 0), (signal.SIGHUP, 0), (signal.SIGINT, 130)]
)
def test_a_signal_ends_it(end, status, serve):
    assert status == serve(end=end)[1].status


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_no_certificates(end, on_terminal):
    running = on_terminal("lab", "--port", "0", "--tls", "--json")
    cafile = until(lambda: re.search('"cafile": "(.+?)"', running.text.replace("\r\n", "")))[1]
    folder = Path(cafile).parent
    there = folder.is_dir()
    running.send(end)
    assert (True, 0, False) == (there, running.ended()[0], folder.is_dir())


def test_it_goes_on_after_a_hangup_that_is_ignored(serve):
    """As nohup has it."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def ask(server, _control):
        os.kill(os.getpid(), signal.SIGHUP)
        return get(f"{server}/v2/images")

    assert 200 == serve(ask=ask)[0]


def test_it_ends_when_standard_input_closes(process):
    result = process("lab", "--port", "0", "--json", "--until-stdin-closes", input="x")
    printed = json.loads(result.out)
    ports = {url.rpartition(":")[2] for url in [*printed["servers"], printed["control"]]}
    assert (0, "", 4) == (result.status, result.err, len(ports))


def test_it_serves_https(serve, ports):
    found, result = serve("--tls", "--json", ask=lambda _server, control: read_root(control))
    url = f"https://127.0.0.1:{ports[0]}"
    assert (found["cafile"], [url]) == tuple(
        json.loads(result.out)[name] for name in ("cafile", "servers")
    )


def read_root(control):
    with urllib.request.urlopen(control, timeout=LIMIT) as reply:
        return json.load(reply)


def test_a_client_that_trusts_the_ca_is_answered(serve, ports):
    def ask(_server, control):
        cafile = read_root(control)["cafile"]
        return get(f"https://127.0.0.1:{ports[0]}/healthcheck", cafile=cafile)

    assert 200 == serve("--tls", ask=ask)[0]


# --- tokens ------------------------------------------------------------------------------------


def test_it_accepts_the_tokens_of_a_file(serve, tmp_path):
    file = tmp_path / "tokens.json"
    file.write_text('["secret"]')

    def ask(server, _control):
        url = f"{server}/v2/images"
        return get(url), get(url, **{"X-Auth-Token": "secret"})

    assert (401, 200) == serve("--tokens", file, ask=ask)[0]


def test_a_file_of_tokens_that_is_missing_is_told(cli, tmp_path):
    result = cli("lab", "--tokens", tmp_path / "none")
    assert (4, True) == (result.status, result.line.endswith("none: No such file or directory"))


def test_a_token_has_a_project_and_roles(serve, tmp_path):
    """A public image needs an administrator."""
    file = tmp_path / "tokens.json"
    file.write_text(
        '{"one": {"project_id": "p1", "user_id": "u1", "roles": ["admin"]},'
        ' "two": {"project_id": "p2"}}'
    )

    def ask(server, _control):
        return [make_public(server, token) for token in ("one", "two", "three")]

    assert [201, 403, 401] == serve("--tokens", file, ask=ask)[0]


def make_public(server, token):
    headers = {"X-Auth-Token": token, "Content-Type": "application/json"}
    body = json.dumps({"visibility": "public"}).encode()
    return get(f"{server}/v2/images", body=body, **headers)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("secret", "is not JSON: write"),
        pytest.param("[" * 100_000, "is not JSON: write", id="deep"),
        ('"secret"', "has no tokens that can be used: write"),
        ("[1]", "has no tokens"),
        ('{"secret": 1}', "has no tokens"),
        ('{"secret": {}}', "has no tokens"),
        ('{"secret": {"project": "p"}}', "has no tokens"),
        ('{"secret": {"project_id": "p", "user_id": 1}}', "has no tokens"),
        ('{"secret": {"project_id": "p", "roles": "admin"}}', "has no tokens"),
        ('{"secret": {"project_id": "p", "roles": [1]}}', "has no tokens"),
    ],
)
def test_a_file_of_no_tokens_is_told_without_what_is_in_it(text, words, cli, tmp_path):
    file = tmp_path / "tokens.json"
    file.write_text(text)
    result = cli("lab", "--tokens", file)
    assert (3, True, False) == (result.status, words in result.line, "secret" in result.line)


# --- faults ------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["status(503)", "glance-1=status(503)"])
def test_it_begins_with_a_fault(fault, serve):
    assert 503 == serve("--fault", fault, ask=lambda server, _: get(f"{server}/v2/images"))[0]


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("glance-9=refuse()", "glance-9=refuse(): there is no server glance-9, but glance-1"),
        ("refus()", "refus is none of"),
        ("untrusted_tls()", "untrusted_tls needs a server with tls"),
    ],
)
def test_a_fault_that_it_can_not_have_is_told(fault, words, cli):
    result = cli("lab", "--port", "0", "--fault", fault)
    assert (3, True) == (result.status, words in result.line), result.err


# --- ports -------------------------------------------------------------------------------------


@pytest.mark.parametrize("option", ["--port", "--control-port"])
def test_a_port_in_use_is_told(option, cli, ports):
    places = {"--port": ports[0], "--control-port": ports[1]}
    with lab.GlanceServer() as other:
        places[option] = other.port
        result = cli("lab", "--servers", "1", *(part for pair in places.items() for part in pair))
    words = f"can't listen: 127.0.0.1:{places[option]}: Address already in use"
    assert (3, True) == (result.status, words in result.line), result.err


def test_ports_beyond_the_last_one_are_told(cli):
    result = cli("lab", "--servers", "2", "--port", "65535", "--control-port", "0")
    assert (3, True) == (result.status, "port=65536: give a port" in result.line)
