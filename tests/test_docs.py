"""The documentation is run, and compared with what it describes."""

import importlib
import inspect
import os
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
from traced_image_docs.__main__ import PAGES as MADE
from traced_image_docs.pages import fill

from traced_image import Config, RetryPolicy, errors, lab
from traced_image.config.environment import VARIABLES
from traced_image.instrumentation import GlanceInstrumentor
from traced_image.telemetry import catalogue

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md")])
OTHERS = [
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    ROOT / "SECURITY.md",
    ROOT / "bench/README.md",
]
OTHERS += [ROOT / "dashboards/README.md", ROOT / "dashboards/runbooks.md"]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\((?!https?:)([^)#]+)[^)]*\)")


@pytest.fixture
def glances():
    with lab.cluster(3) as servers:
        servers[0].images.add(name="fedora", data=b"....", visibility="public")
        servers[0].images.add(name="cirros", data=b"...", visibility="public")
        yield servers


@pytest.fixture(autouse=True)
def not_instrumented():
    """Undo what a page instruments: it is of the whole process."""
    yield
    if GlanceInstrumentor().is_instrumented_by_opentelemetry:
        GlanceInstrumentor().uninstrument()


def _on(servers, code):
    """The page's code, with the addresses that it invents replaced by servers that are there."""
    for address, server in zip(
        ("10.0.0.1:9292", "10.0.0.2:9292", "10.0.0.3:9292"), servers, strict=True
    ):
        code = code.replace(address, f"{server.host}:{server.port}")
    return code


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_python_of_a_page_runs(page, glances, capsys):
    code = "".join(BLOCK.findall(page.read_text()))

    exec(compile(_on(glances, code), str(page), "exec"), {"__name__": "page"})


def test_the_readme_prints_the_images_and_the_servers(glances, capsys):
    first = BLOCK.findall((ROOT / "README.md").read_text())[0]

    exec(compile(_on(glances, first), "README.md", "exec"), {"__name__": "page"})

    printed = capsys.readouterr().out.splitlines()
    images = [line.split()[1:] for line in printed[:2]]
    assert images == [["cirros", "active"], ["fedora", "active"]]
    assert {f"{server.url} healthy None" for server in glances} == set(printed[2:])


def test_the_links_of_the_pages_lead_somewhere():
    dead = [
        (page.name, link)
        for page in [*PAGES, *OTHERS]
        for link in LINK.findall(page.read_text())
        if not (page.parent / link).exists()
    ]

    assert dead == []


def _linked_from(page):
    return {(page.parent / link).resolve() for link in LINK.findall(page.read_text())}


def test_the_index_links_every_page():
    index = ROOT / "docs/index.md"
    others = {page.resolve() for page in ROOT.glob("docs/**/*.md")} - {index.resolve()}

    assert set() == others - _linked_from(index)


def test_the_readme_links_the_index():
    assert (ROOT / "docs/index.md").resolve() in _linked_from(ROOT / "README.md")


def test_the_page_of_errors_has_their_tree():
    tree = inspect.getdoc(errors).partition("::\n")[2].partition("\n\nThe names")[0]
    lines = [line.removeprefix("    ") for line in tree.strip("\n").splitlines()]

    assert "\n".join(lines) in (ROOT / "docs/reference/errors.md").read_text()


def test_the_tree_of_errors_has_every_error():
    raised = {
        name
        for name, kind in vars(errors).items()
        if inspect.isclass(kind) and issubclass(kind, Exception)
    }

    assert raised == set(re.findall(r"\b[A-Z]\w+", inspect.getdoc(errors))) & raised


def _names():
    for name, value in vars(catalogue).items():
        if name.isupper() and isinstance(value, str) and name not in ("SCOPE", "SCHEMA_URL"):
            yield value
    yield from (metric.name for metric in catalogue.METRICS)
    yield from catalogue.REASONS


def test_the_page_of_telemetry_has_every_name():
    page = (ROOT / "docs/reference/telemetry.md").read_text()

    assert [] == [name for name in _names() if f"`{name}`" not in page]


@pytest.mark.parametrize("name", MADE)
def test_the_tables_of_a_page_are_made_of_the_code(name):
    text = (ROOT / "docs" / name).read_text("utf-8")

    assert text == fill(text, MADE[name])


@pytest.mark.parametrize("name", MADE)
def test_every_table_is_on_its_page(name):
    text = (ROOT / "docs" / name).read_text("utf-8")

    assert set(MADE[name]) == set(re.findall(r"<!-- table: (\w+) -->", text))


def test_the_tables_of_all_pages_are_written_anew(tmp_path):
    expected = {name: (ROOT / "docs" / name).read_text("utf-8") for name in MADE}
    for name, text in expected.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(
            re.sub(r"(<!-- table: \w+ -->\n).*?(<!-- end -->)", r"\1\2", text, flags=re.DOTALL)
        )
    program = [sys.executable, "-m", "traced_image_docs", str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "docs/src")}
    subprocess.run(program, env=environment, check=True, timeout=60)

    assert expected == {name: (tmp_path / name).read_text("utf-8") for name in MADE}


def test_the_page_of_configuration_has_every_field():
    page = (ROOT / "docs/reference/configuration.md").read_text()
    names = {field.name for kind in (Config, RetryPolicy) for field in fields(kind)}

    assert {"sources"} == {name for name in names if f"| `{name}` |" not in page}


def test_the_page_of_configuration_has_every_variable():
    page = (ROOT / "docs/reference/configuration.md").read_text()

    assert [] == [name for name in VARIABLES if f"`{name}`" not in page]


SEED = ROOT / "docs/explanation/seed.md"
PLACE = re.compile(r"^\| [^|]+ \| `([\w/]+\.py)`: `([\w.]+)` \|", re.MULTILINE)


@pytest.mark.parametrize(("path", "name"), PLACE.findall(SEED.read_text("utf-8")))
def test_what_nova_2013_had_is_where_the_page_says(path, name):
    found = importlib.import_module(f"traced_image.{path.removesuffix('.py').replace('/', '.')}")
    for part in name.split("."):
        found = getattr(found, part)

    assert callable(found) or name == "OPERATIONS"


def test_every_row_of_what_nova_2013_had_names_a_place():
    table = SEED.read_text("utf-8").partition("## The functions")[2].partition("## The rules")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ")][2:]

    assert [] == [row for row in rows if not PLACE.match(row)]


def test_the_readme_quotes_the_demo_in_its_own_words():
    program = (ROOT / "traced_image/demo/report.py").read_text("utf-8")
    readme = (ROOT / "README.md").read_text("utf-8")
    quoted = re.findall(r"^ *✓ (right, .+)$|^(Retries hid .+)$", readme, re.MULTILINE)
    words = [right or hidden for right, hidden in quoted]

    assert (2, []) == (len(words), [each for each in words if each not in program])
