"""The configuration in the environment: ``TRACED_IMAGE_`` variables."""

from __future__ import annotations

import dataclasses
import difflib
import logging
from typing import TYPE_CHECKING

from . import retry
from .config import FIELDS
from .sources import Found, Layer, read

if TYPE_CHECKING:
    from collections.abc import Mapping

logger = logging.getLogger("traced_image.config")

PREFIX = "TRACED_IMAGE_"
CONFIG_FILE = f"{PREFIX}CONFIG_FILE"
"""Names the configuration files, with ``os.pathsep`` between them."""
CLOUD = "OS_CLOUD"
"""Names a cloud of clouds.yaml."""

_PLAIN = {f"{PREFIX}{name.upper()}": name for name in FIELDS - {"auth", "retry", "sources"}}
_RETRY = {
    f"{PREFIX}RETRY_{each.name.upper()}": each.name
    for each in dataclasses.fields(retry.RetryPolicy)
}
VARIABLES = frozenset({*_PLAIN, *_RETRY, CONFIG_FILE})
"""All variables that are read, besides `CLOUD`."""


def from_environ(environ: Mapping[str, str]) -> Layer:
    """Read the variables that are set and not empty.

    Other variables with the prefix are logged as a warning, since one may be misspelt. They are
    no error: Kubernetes sets ``TRACED_IMAGE_PORT`` and more like it where a service is called
    ``traced-image``.

    Raises:
        InvalidRetry: A ``TRACED_IMAGE_RETRY_`` variable can't be used.
    """
    _warn_of_unknown(environ)
    found = {
        name: Found(read(name, environ[variable]), variable)
        for variable, name in _PLAIN.items()
        if environ.get(variable)
    }
    policy = {
        name: retry.checked(name, read(name, environ[variable]), variable)
        for variable, name in _RETRY.items()
        if environ.get(variable)
    }
    if policy:
        source = ", ".join(variable for variable in _RETRY if environ.get(variable))
        found["retry"] = Found(retry.RetryPolicy(**policy), source)  # type: ignore[arg-type]
    return Layer(found)


def _warn_of_unknown(environ: Mapping[str, str]) -> None:
    unknown = sorted(name for name in environ if name.startswith(PREFIX) and name not in VARIABLES)
    for name in unknown:
        near = difflib.get_close_matches(name, VARIABLES, n=1, cutoff=0.85)
        hint = f"did you mean {near[0]}?" if near else "is it misspelt?"
        logger.warning("the variable %s is not read: %s", name, hint)
