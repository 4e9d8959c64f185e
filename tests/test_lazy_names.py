"""The package's names are imported when they are first used; the lab needs nothing else."""

import subprocess
import sys

import pytest

import traced_image

LIMIT = 60

WITHOUT = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
"""

LAB = """
import urllib.request
from traced_image import lab

with lab.cluster(2) as (first, second):
    image_id = first.images.add(name="cirros", data=b"...")
    first.break_with(lab.faults.refuse())
    with urllib.request.urlopen(f"{second.url}/v2/images/{image_id}/file") as reply:
        print(reply.status, reply.read(), second.access_log[0].status)
"""


def run(program):
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=LIMIT, check=False
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    "blocked",
    [("opentelemetry", "prometheus_client"), ("requests", "urllib3", "idna", "click", "trustme")],
    ids=", ".join,
)
def test_the_lab_works_where_packages_are_missing(blocked):
    assert (0, "200 b'...' 200\n", "") == run(WITHOUT.format(blocked=blocked) + LAB)


def test_what_is_blocked_is_missing():
    status, _, told = run(WITHOUT.format(blocked=("opentelemetry",)) + "import opentelemetry")
    assert (1, True) == (status, "No module named 'opentelemetry'" in told)


def test_a_name_is_imported_when_it_is_used():
    program = (
        "import sys, traced_image; before = 'traced_image._connect' in sys.modules;"
        "print(before, traced_image.connect is sys.modules['traced_image._connect'].connect)"
    )
    assert (0, "False True\n", "") == run(program)


@pytest.mark.parametrize("name", traced_image.__all__)
def test_every_public_name_is_there_and_listed(name):
    assert (True, True) == (hasattr(traced_image, name), name in dir(traced_image))


def test_a_name_that_is_not_there_is_told():
    with pytest.raises(AttributeError, match=r"^module 'traced_image' has no attribute 'conect'$"):
        traced_image.conect  # noqa: B018 - to read it raises
