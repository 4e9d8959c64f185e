"""The words of the project: what the pages must not say, and what they say instead."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

PAGES = sorted(
    [
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("dashboards/*.md"),
        ROOT / "bench/README.md",
    ]
)
"""The files whose prose is searched."""

HEALTH = "say healthy, cooling or trial; of a probe, say that the server answers or fails"

INSTEAD = {
    r"\b(is|are|was|were|be|being|all|three|not) well(?![- ](kept|known))\b": HEALTH,
    r"\bunwell\b|\bsick\b": HEALTH,
    r"\bout of use\b|\btake (it|one|that one) out\b|\bservers? (in|out of) use\b": "say remove",
    r"(?<![-:`.])\bhosts?\b(?!(name)?[-:`]| states?\b| name)": "say server",
    r"\bwho(m)?ever\b": "name who or what",
    r"\bof (which|whom)\b|\bwhose\b[^.]*\bof which\b": "write two sentences",
    r"\bmend(s|ed|ing)?\b": "say fix",
    r"\b(is|are|was|were|be|been) told of\b|\btells? of\b|\btold of\b": "say reports, shows, names",
    r"\bto the letter\b": "list what is the same, and what is not",
    r"\bto be had\b": "say what is missing",
    r"\bthe seed(?!\.md)('s)?\b": "say nova 2013.1's GlanceClientWrapper, or the article",
    r"\blest\b": "say so that ... not",
    r"\bfor want of\b": "say because … is missing",
    r"\bpass(es|ed|ing)? over\b": "say skip",
    r"\bg(ives?|iven|ave|iving) (\w+ )?back\b": "say return",
    r"\b(and|but|might|may|can|could) yet\b|\byet (again|has|have|had|find|be)\b": "say still",
    r"\bnobody else was accused\b|\bspeaks? against\b": "say whose failure it is",
    r"\bGlances\b": "say Glance servers",
}
"""Regular expressions, and what to say instead. The case of letters does not count."""

NOT_PROSE = re.compile(
    r"""
      <!--\ table:.*?<!--\ end\ -->   # made of the code
    | ^\ *```.*?^\ *```$              # code, and what programs print
    | ``.*?`` | `[^`\n]*`             # code in a line
    | <!--.*?-->
    | \]\([^)]*\)                     # where a link leads
    | ^>.*?$                          # a quotation
    """,
    re.DOTALL | re.MULTILINE | re.VERBOSE,
)


def prose(text):
    """A page's text as one line for each of its lines, without code."""
    return NOT_PROSE.sub(lambda found: "\n" * found[0].count("\n") or "`", text)


def find_banned(text):
    """Each word that is banned: its line, the word, and what to say instead."""
    text = prose(text)
    return sorted(
        (text.count("\n", 0, found.start()) + 1, " ".join(found[0].split()), instead)
        for banned, instead in INSTEAD.items()
        for found in re.finditer(banned.replace(" ", r"\s+"), text, re.IGNORECASE)
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_page_has_no_banned_word(page):
    assert [] == find_banned(page.read_text("utf-8"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Two servers are well.", ["are well"]),
        ("It works as well as before.", []),
        ("A well-known name", []),
        ("Each host fails.", ["host"]),
        ("The host state of `host:port`, and its host name", []),
        ("Whoever asks\nis told of it.", ["Whoever", "is told of"]),
        ("`mend=` is a keyword; mend the server.", ["mend"]),
        ("```text\nwhoever\n```\n", []),
        ("<!-- table: x -->\nwhoever\n<!-- end -->", []),
        ("[a page](seed.md) of the seed", ["the seed"]),
        ("It is not known yet.", []),
        ("It may yet be found.", ["may yet"]),
    ],
)
def test_the_search_finds_what_is_banned(text, words):
    assert sorted(words) == sorted(word for _, word, _ in find_banned(text))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_has_no_mark_of_a_merge(page):
    marks = ("<<<<<<< ", "=======", ">>>>>>> ")
    assert [] == [line for line in page.read_text("utf-8").splitlines() if line.startswith(marks)]
