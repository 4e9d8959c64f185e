"""A Prometheus that takes metrics by OTLP, unlike Debian's; built of its Go module."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from . import cache, go
from .collector import TOP
from .prometheus import Programs, Prometheus, prometheus

_PACKAGE = "github.com/prometheus/prometheus/cmd/prometheus"
_VERSION = "v0.316.0"  # of the module: Prometheus 3.16

# As docs/how-to/collect.md has it.
_SETTINGS = """\
rule_files: [rules/*.yaml]
storage: {tsdb: {out_of_order_time_window: 30m}}
"""


def install(say: cache.Say) -> Path:
    """Its program, without the discovery of services that no test needs."""
    return go.install(_PACKAGE, _VERSION, say, tags="remove_all_sd")


@contextmanager
def prometheus3(program: Path, folder: Path) -> Iterator[Prometheus]:
    """Run it on a free port, its data in `folder`, with this repository's rules every second."""
    (folder / "rules").mkdir(parents=True)
    for rules in (TOP / "dashboards/rules").glob("*.yaml"):
        text = re.sub(r"^( *interval:) .*", r"\1 1s", rules.read_text(), flags=re.MULTILINE)
        (folder / "rules" / rules.name).write_text(text)
    options = ["--web.enable-otlp-receiver"]
    with prometheus(Programs(str(program), ""), folder, _SETTINGS, options) as running:
        yield running
