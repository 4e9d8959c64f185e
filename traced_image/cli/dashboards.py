"""The command ``dashboards``: writes out the dashboards, rules and collector configurations."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from .output import open_messages

if TYPE_CHECKING:
    from collections.abc import Iterator

# In a checkout, this folder has symbolic links to the places where the files are generated.
PACKAGED = Path(__file__).parents[1] / "content"

RUNBOOKS = "https://github.com/traced-image/traced-image/blob/main/dashboards/runbooks.md"
"""The page that alerts and panels link to, unless --runbooks names another."""

_REPOSITORY = RUNBOOKS.removesuffix("dashboards/runbooks.md")

_OBJECTIVES = ("rules/objective.yaml", "prometheusrule/objective.yaml")
_FLEET = "fleet/"
# No character that JSON, YAML or Prometheus's templates read, nor one that no path may follow.
_RUNBOOKS = re.compile(r"https?://[!$-&(-\[\]-z|~]+")
_GRAFANA = re.compile(r"https?://[!$-&(->@-\[\]-z|~]+")
_VALUE = re.compile(r"(?<=vector\()[\d.]+(?=\))")
_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BOARD = re.compile(rb"(?<=\bdashboard_url: )(?=/d/)")  # where an address is put before a path
_PROCESSES = re.compile(rb"\binstance,\s+node,\s+pod\b")  # lines of YAML are folded
_COLLECTORS = b'job=~".*"'  # only alerts on collectors have it
_JOBS = re.compile(r"[\w.*+?|()/:-]+", re.ASCII)  # no character that YAML or PromQL would quote
_NOT_RE2 = re.compile(
    r"[*+?]\+|\(\?(?![ims]*(?:-[ims]+)?[:)])"
)  # what Python reads and Prometheus does not
# Without one of these labels the rules could not tell jobs, servers and results apart.
_NEEDED = frozenset(
    "job server_address server_port operation outcome verdict error_type le".split()
)
# Links of the pages to files that this command does not write.
_UP, _SOURCE = re.compile(rb"\]\(\.\./"), re.compile(rb"\]\((?=src/)")


def _check_objective(_: click.Context, __: click.Parameter, percent: float | None) -> float | None:
    if percent is not None and not float(_write_share(percent)) < 1:  # also what is not a number
        raise click.BadParameter("write a number from 95 to below 100, such as 99.95")
    return percent


@click.command(short_help="Write out dashboards, rules and collector configurations.")
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="The folder to write to; created if it is missing.",
)
@click.option(
    "--objective",
    type=click.FloatRange(95, 100, max_open=True),
    callback=_check_objective,
    metavar="PERCENT",
    help="The share of calls that must not fail; alerts compare with it. Default: the value in the "
    "existing file, else 99.9.",
)
@click.option(
    "--runbooks",
    default=RUNBOOKS,
    metavar="URL",
    help="The address where you publish runbooks.md; alerts and panels link to it.",
)
@click.option(
    "--grafana",
    default="",
    metavar="URL",
    help="The address of your Grafana; alerts link to its dashboards. Without it, they have the "
    "path of a dashboard only.",
)
@click.option(
    "--process-label",
    "process_labels",
    multiple=True,
    metavar="LABEL",
    help="A label in which processes of one job differ, beside instance, node and pod; the rules"
    " add up over it. Repeat it for several.",
)
@click.option(
    "--collector-job",
    default=".*",
    metavar="REGEX",
    help="The jobs of the collectors that alerts are about, as a regular expression. Default: all "
    "collectors that Prometheus knows.",
)
@click.option(
    "--fleet",
    is_flag=True,
    help="Also write the files of vmagent, which adds up the callers of a zone: for 5,000 callers "
    "and more.",
)
@click.option("--force", is_flag=True, help="Replace existing files that differ.")
def dashboards(
    out: Path,
    *,
    objective: float | None,
    runbooks: str,
    grafana: str,
    process_labels: tuple[str, ...],
    collector_job: str,
    fleet: bool,
    force: bool,
) -> None:
    """Write out Grafana dashboards, Prometheus rules and alerts, and collector configurations.

    README.md among them says where each file belongs.
    """
    if not _RUNBOOKS.fullmatch(runbooks):
        _refuse_address("--runbooks", "#, { and }, such as https://wiki.example/glance")
    if grafana and not _GRAFANA.fullmatch(grafana):
        _refuse_address("--grafana", "?, #, { and }, such as https://grafana.example")
    _check_names(process_labels, collector_job)
    processes = ", ".join(["instance", "node", "pod", *process_labels]).encode()

    def finish(name: str, data: bytes) -> bytes:
        data = _PROCESSES.sub(processes, _replace_values(objective, name, data))
        data = data.replace(RUNBOOKS.encode(), runbooks.encode())
        data = data.replace(_COLLECTORS, f'job=~"{collector_job}"'.encode())
        return _BOARD.sub(grafana.rstrip("/").encode(), data)

    files = {
        out / name: finish(name, data)
        for name, data in _list_files(fleet=fleet)
        if not (name in _OBJECTIVES and objective is None and (out / name).is_file())
    }
    there = [path for path, data in files.items() if path.exists() and _differs(path, data)]
    if there and not force:
        raise click.UsageError(f"{there[0]} exists and differs: add --force to replace it")
    for path, data in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, data)
    open_messages().print(f"{len(files)} files are in {out}", markup=False, highlight=False)


def _refuse_address(option: str, without: str) -> NoReturn:
    raise click.BadParameter(f"write a web address without {without}", param_hint=f"'{option}'")


def _check_names(process_labels: tuple[str, ...], collector_job: str) -> None:
    for label in process_labels:
        if not _LABEL.fullmatch(label):
            raise click.BadParameter("write a label's name", param_hint="'--process-label'")
        if label in _NEEDED:
            raise click.BadParameter(f"the rules need {label}", param_hint="'--process-label'")
    if not _JOBS.fullmatch(collector_job) or not _compiles(collector_job):
        raise click.BadParameter(
            "write a regular expression of letters, digits and _.*+?|()/:-, such as"
            " 'glance/otelcol.*'",
            param_hint="'--collector-job'",
        )


def _compiles(pattern: str) -> bool:
    if _NOT_RE2.search(pattern):
        return False
    try:
        re.compile(pattern)
    except re.error:
        return False
    return True


def _list_files(*, fleet: bool) -> Iterator[tuple[str, bytes]]:
    """Yield the name of each file, relative to the target folder, and its content."""
    # Path.rglob follows no symbolic links before Python 3.13.
    for folder, _, names in os.walk(PACKAGED, followlinks=True):
        for path in sorted(Path(folder, name) for name in names):
            name = path.relative_to(PACKAGED).as_posix()
            if fleet or not name.startswith(_FLEET):
                yield name, path.read_bytes()


def _replace_values(objective: float | None, name: str, data: bytes) -> bytes:
    if name.endswith(".md"):
        data = _UP.sub(f"]({_REPOSITORY}".encode(), data)
        return _SOURCE.sub(f"]({_REPOSITORY}dashboards/".encode(), data)
    if objective is None or name not in _OBJECTIVES:
        return data
    return _VALUE.sub(_write_share(objective), data.decode()).encode()


def _write_share(percent: float) -> str:
    return f"{percent / 100:.10g}"


def _differs(path: Path, data: bytes) -> bool:
    return not path.is_file() or path.read_bytes() != data


def _write(path: Path, data: bytes) -> None:
    """Write a file completely or not at all."""
    new = path.with_name(f"{path.name}.new")
    try:
        new.write_bytes(data)
        new.replace(path)
    except OSError:
        new.unlink(missing_ok=True)
        raise
