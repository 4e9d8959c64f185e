"""Names that this process resolves by itself."""

from __future__ import annotations

import random
import socket

import pytest
from chaos.names import DEAD, HERE, Names

NAME = "glance-1.test"


@pytest.fixture
def names():
    made = Names((NAME,), random.Random(1))
    with made.installed():
        yield made


def resolve(name):
    return socket.getaddrinfo(name, 9292, type=socket.SOCK_STREAM)[0][4]


def test_a_name_is_right_at_first(names):
    assert (HERE, 9292) == resolve(NAME)


def test_a_name_that_is_gone_does_not_resolve(names):
    names.put(NAME, "")
    with pytest.raises(socket.gaierror):
        resolve(NAME)


def test_a_name_can_lead_to_the_dead(names):
    names.put(NAME, DEAD)
    assert (DEAD, 9292) == resolve(NAME)


def test_a_name_that_flaps_has_each_answer(names):
    names.put(NAME, HERE, DEAD)
    assert {HERE, DEAD} == {resolve(NAME)[0] for _ in range(50)}


def test_a_name_that_is_repaired_is_right(names):
    names.put(NAME, "")
    names.repair(NAME)
    assert (HERE, 9292) == resolve(NAME)


def test_other_names_are_left_to_the_system(names):
    names.put(NAME, "")
    assert ("127.0.0.3", 9292) == resolve("127.0.0.3")


def test_the_resolver_of_the_system_is_back_afterwards():
    before = socket.getaddrinfo
    with Names((NAME,), random.Random(1)).installed():
        assert before is not socket.getaddrinfo
    assert before is socket.getaddrinfo
