"""Packets of a port that are lost, refused and slowed, in a namespace of a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from parts import tools

_PROGRAM = """
import json, socket, sys, threading
from chaos import disk, namespace
from pathlib import Path

try:
    packets = namespace.enter()
except namespace.NamespaceUnavailableError as error:
    print(json.dumps({"unavailable": str(error)}))
    raise SystemExit

listener = socket.create_server(("127.0.0.1", 0))
port = listener.getsockname()[1]

def echo(taken):
    while data := taken.recv(4096):
        taken.sendall(data)

def accept():
    while True:
        threading.Thread(target=echo, args=(listener.accept()[0],), daemon=True).start()

threading.Thread(target=accept, daemon=True).start()

def ask(size=100):
    with socket.create_connection(("127.0.0.1", port), 0.4) as client:
        client.sendall(b"x" * size)
        while size:
            size -= len(client.recv(4096))
    return "answered"

def look(size=100):
    try:
        return ask(size)
    except OSError as error:
        return type(error).__name__

told = {"before": look()}
packets.lose(port, 1.0)
told["dropped"] = look()
packets.reject(port)
told["rejected"] = look()
packets.hide(port)
told["unreachable"] = look()
packets.slow(port, 2000.0)
told["slow"] = look(20000)
packets.repair(port)
told["after"] = look(20000)
place = Path(sys.argv[1])
with disk.disk(place):
    disk.fill(place)
    try:
        (place / "more").write_bytes(b"x" * 8192)
    except OSError as error:
        told["full"] = error.strerror
    disk.empty(place)
    told["emptied"] = (place / "more").write_bytes(b"x" * 8192)
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def told(tool, tmp_path_factory):
    """What a process saw in a namespace of its own."""
    tool(tools.system, "nft", "nftables")
    place = tmp_path_factory.mktemp("disk")
    environment = {"PYTHONPATH": ":".join(sys.path)}
    command = [sys.executable, "-c", _PROGRAM, str(place)]
    found = json.loads(subprocess.check_output(command, env=environment, timeout=60))
    if "unavailable" in found:
        pytest.skip(found["unavailable"])
    # What it mounted was its own.
    assert [] == list(place.iterdir())
    return found


SEEN = {
    "before": "answered",
    "dropped": "TimeoutError",
    "rejected": "ConnectionRefusedError",
    "unreachable": "OSError",
    "slow": "TimeoutError",
    "after": "answered",
    "full": "No space left on device",
    "emptied": 8192,
}


@pytest.mark.parametrize("what", SEEN)
def test_a_process_in_a_namespace_sees(what, told):
    assert SEEN[what] == told[what]
