"""A lab in a process whose sockets and threads are eventlet's."""

import re
import subprocess
import sys
from importlib.util import find_spec

import pytest

pytestmark = pytest.mark.skipif(find_spec("eventlet") is None, reason="needs eventlet")

PROGRAM = """
import os
import sys

if sys.argv[1] == "before":
    import eventlet
    eventlet.monkey_patch()

from traced_image import lab

if sys.argv[1] == "after":
    import eventlet
    eventlet.monkey_patch()

import requests

session = requests.Session()
session.trust_env = False
tls = lab.TLS.trusted() if sys.argv[2] == "tls" else None
session.verify = tls.cafile if tls else True
found = []
with lab.GlanceServer(tls=tls) as server:
    server.images.add(name="cirros", data=bytes(1000))
    server.break_with(lab.faults.flapping(None, lab.faults.status(503), lab.faults.delay(0.01)))
    for _ in range(3):
        found.append(session.get(server.url + "/v2/images", timeout=5).status_code)
    for fault in (lab.faults.reset(), lab.faults.refuse(), lab.faults.black_hole()):
        server.break_with(fault)
        try:
            requests.get(server.url, timeout=0.2)
        except requests.RequestException as error:
            found.append(type(error).__name__)
    server.heal()
    found.append(session.get(server.url + "/v2/images", timeout=5).status_code)
    server.wait_for(4, method="GET")
print(*found, flush=True)
os._exit(0)  # eventlet complains of logging at the end of Python 3.10
"""

ENDING = re.compile(
    r"Exception ignored in: <function _removeHandlerRef .*\nTraceback .*\n(  .*\n)+"
    r"RuntimeError: greenlet is being finalized\n"
)
"""What logging says at the end of Python 3.10 with greenlet 3.5, after `monkey_patch` alone."""


@pytest.mark.parametrize(
    ("order", "scheme"), [("before", "plain"), ("after", "plain"), ("before", "tls")]
)
def test_a_lab_works_after_monkey_patch(order, scheme):
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, order, scheme],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    expected = "200 503 200 ConnectionError ConnectionError ConnectTimeout 200"
    said = ENDING.sub("", run.stderr)
    assert (0, expected, "") == (run.returncode, run.stdout.strip(), said)
