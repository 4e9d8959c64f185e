"""The page as a file: it is whole in itself, and it agrees with the JSON that it shows."""

import re
from collections import Counter
from importlib import resources

import pytest

from traced_image.exporter import hour, schema
from traced_image.telemetry import catalogue

PAGE = resources.files("traced_image.exporter").joinpath("page.html").read_text("utf-8")
SCRIPT = re.search(r"<script>(.*?)</script>", PAGE, re.DOTALL)[1]
STYLE = re.search(r"<style>(.*?)</style>", PAGE, re.DOTALL)[1]
MARKUP = PAGE.replace(SCRIPT, "").replace(STYLE, "")

ELSEWHERE = re.compile(
    r"\b(?:src|srcset|href|action|poster|content)\s*=\s*(?!\"(?:data:|#|servers\"))[^\s>]*[/:]"
)
INTERPRETED = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|setHTML|document\.write|srcdoc|DOMParser"
    r"|createContextualFragment|\beval\b|\bFunction\(|javascript:"
)


@pytest.mark.parametrize("kind", ["script", "style"])
def test_there_is_one_of_each_kind_that_the_policy_lets_through(kind):
    assert [f"<{kind}>"] == re.findall(rf"<{kind}\b[^>]*>", PAGE)


def test_nothing_is_fetched_from_elsewhere():
    assert [] == ELSEWHERE.findall(MARKUP)


def test_the_style_fetches_nothing():
    assert [] == re.findall(r"url\(|@import|@font-face", STYLE)


def test_the_script_asks_for_the_servers_alone_and_relative_to_the_page():
    asks = re.findall(
        r"\b(?:fetch|import|importScripts|Worker|XMLHttpRequest)\b\(?(.*?)[,)]", SCRIPT
    )
    assert ['"servers"'] == asks


def test_the_script_declares_each_name_once():
    """A browser runs nothing of a script that declares a name twice."""
    names = re.findall(r"^(?:async )?(?:function|const|let) (\w+)", SCRIPT, re.MULTILINE)
    assert [] == [name for name, count in Counter(names).items() if count > 1]


def test_the_script_makes_no_markup_of_text():
    assert [] == INTERPRETED.findall(SCRIPT)


def test_nothing_inline_would_need_a_laxer_policy():
    assert [] == re.findall(r"<[^>]*\s(?:on\w+|style)\s*=", MARKUP)


def test_the_page_is_small():
    assert len(PAGE.encode()) < 64 * 1024


def _read(name):
    """What the script reads of something, such as of ``report``."""
    found = set(re.findall(rf"\b{name}\.([a-z0-9_]+)\b(?!\()", SCRIPT))
    for taken in re.findall(rf"\{{ ([a-z0-9_, ]+) \}} = {name}\b", SCRIPT):
        found |= set(taken.split(", "))
    return found


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("report", schema.Report),
        ("server", schema.ServerReport),
        ("minute", schema.Minute),
        ("call", schema.CallReport),
    ],
)
def test_the_script_reads_all_of_the_report_and_nothing_that_is_not_there(name, part):
    assert set(part.__annotations__) == _read(name)


def test_the_page_knows_every_state():
    assert set(catalogue.STATES) == set(re.findall(r"^\.state\.(\w+)::before", STYLE, re.MULTILINE))


@pytest.mark.parametrize("outcome", ["exhausted", "success_after_retry"])
def test_the_outcomes_that_the_verdict_rests_on_are_of_the_catalogue(outcome):
    assert (True, True) == (outcome in SCRIPT, outcome in catalogue.OUTCOMES)


def test_the_page_knows_which_outcomes_are_no_failures():
    (listed,) = re.findall(r"NO_FAILURES = \{(.*?)\}", SCRIPT)
    others = {name for name in catalogue.OUTCOMES if not name.startswith("success")}
    assert others - {*catalogue.FAILED_OUTCOMES} == set(re.findall(r"(\w+):", listed))


def test_the_page_knows_how_many_failed_calls_are_kept():
    assert [str(hour.LATEST)] == re.findall(r"\bKEPT = (\d+);", SCRIPT)
