"""What was found of a machine, and the versions of what is run on it."""

from __future__ import annotations

import pytest
from chaos.machine import Machine, find_parts
from chaos.namespace import Packets
from chaos.schedule import ALL, DISK, PACKETS

DELAYED = {"packets_delayed"}


@pytest.fixture
def place(tmp_path):
    for name, version in (("glance", "33.0.0"), ("python_glanceclient", "4.13.0")):
        folder = tmp_path / "lib/python3.11/site-packages" / f"{name}-{version}.dist-info"
        folder.mkdir(parents=True)
        (folder / "METADATA").write_text(f"Name: {name}\nVersion: {version}\n")
    return tmp_path


def test_what_a_machine_lacks_does_not_happen(tmp_path):
    bare = Machine(tmp_path, tmp_path, tmp_path)
    assert {"clock_jump", *PACKETS, *DISK} == bare.find_impossible() <= set(ALL)


@pytest.mark.parametrize(("has_netem", "impossible"), [(True, set()), (False, DELAYED)])
def test_packets_are_delayed_if_the_kernel_has_netem(has_netem, impossible, tmp_path):
    packets = Packets(has_netem=has_netem)
    found = Machine(tmp_path, tmp_path, tmp_path, faketime="/x", packets=packets)
    assert impossible == found.find_impossible()


def test_the_parts_are_named_with_their_versions(place):
    found = find_parts(Machine(place, place, place, {"glanceclient": place}))
    expected = {"glance": "33.0.0", "keystone": "unknown", "python-glanceclient": "4.13.0"}
    assert expected == found
