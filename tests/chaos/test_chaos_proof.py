"""What is published of half an hour of chaos has all that a page needs, and says what it must."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from chaos.checks import CHECKS
from chaos.schedule import ALL
from chaos.state import Order, State
from chaos.stock import NUMBERS

FILE = Path(__file__).parents[2] / "docs/reference/proof/chaos.json"


@pytest.fixture(scope="module")
def told():
    return json.loads(FILE.read_text())


def test_its_keys_are_those_of_a_summary(told):
    assert set(State(Order(1, 1.0, (), ()), {}, {}).summarize()) == set(told)


def test_it_took_half_an_hour_with_all_clients(told):
    assert told["seconds"] >= 1800
    assert set(NUMBERS) == set(told["calls"])


def test_no_check_found_anything(told):
    assert dict.fromkeys(CHECKS, dict.fromkeys(NUMBERS, 0)) == told["checks"]


def test_each_fault_happened_but_for_those_that_the_machine_lacked(told):
    lacking = {"packets_delayed"} if "netem" in told["lacking"] else set()
    assert set(ALL) - lacking == set(told["faults"])
