"""The lab answers as a real Glance 33 does, but for the list of differences."""

from contextlib import closing

import pytest
from lab_comparison import ask, ask_again, ask_lab, describe, listed, web
from lab_comparison import glances as real_glances
from lab_requests import FAMILIES, requests_of
from parts import cache
from parts.keystone import glance_behind


@pytest.fixture(scope="module")
def replies(glances, keystone, tool, tmp_path_factory):
    """The replies of Glance and of the lab to every request, by its label."""
    environment = tool(lambda say: cache.install(cache.GLANCE, say))
    folder = tmp_path_factory.mktemp("lab") / "glance"
    # It remembers tokens, since to ask Keystone takes longer than all else.
    behind = glance_behind(environment, folder, keystone.keystone.url, remembered=300)
    with closing(behind), web() as web_url:
        behind.launch()
        behind.wait()
        players = real_glances(glances[0].url, behind.url, keystone, web_url)
        real, mine = ask(players), ask_lab(keystone, web_url)
        return ask_again(players, real, mine), mine


@pytest.fixture(scope="module")
def differing(replies):
    real, mine = replies
    return {label: (reply, mine[label]) for label, reply in real.items() if reply != mine[label]}


def test_the_lab_differs_from_glance_only_where_the_list_says(differing):
    known = listed()
    unlisted = [
        f"{label}: {describe(*pair)}" for label, pair in differing.items() if label not in known
    ]
    assert [] == unlisted, "\n".join(unlisted)


def test_all_that_is_on_the_list_differs(differing):
    assert [] == [label for label in listed() if label not in differing]


def test_at_least_700_requests_are_compared(replies):
    assert len(replies[0]) >= 700


def test_the_list_names_each_request_once():
    assert sorted(set(listed())) == sorted(listed())


def test_the_list_names_requests_that_there_are():
    labels = {label for family in FAMILIES for label, _ in requests_of(family)}
    assert set() == set(listed()) - labels
