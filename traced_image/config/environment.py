"""The configuration in the environment: ``TRACED_IMAGE_`` variables."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from . import options, retry_policy
from .checks import suggest
from .sources import Found, Source

if TYPE_CHECKING:
    from collections.abc import Mapping

logger = logging.getLogger("traced_image.config")

PREFIX = "TRACED_IMAGE_"
CONFIG_FILE = f"{PREFIX}CONFIG_FILE"
"""The variable with the paths of the configuration files, ``os.pathsep`` between them."""
EXPORTER = f"{PREFIX}EXPORTER"
"""The variable with the address of the exporter that `exporter.environment` starts."""
CLOUD = "OS_CLOUD"
"""The variable with the name of a cloud of clouds.yaml."""
OPENSTACK = "OS_"
"""The prefix of the variables that an openrc file sets."""
AUTH_URL = f"{OPENSTACK}AUTH_URL"
"""The variable with the address of Keystone."""
_ENVIRONMENT_NAME = f"{OPENSTACK}CLOUD_NAME"
_CREDENTIALS = tuple(
    f"{OPENSTACK}{name}"
    for name in ("USERNAME", "USER_ID", "PASSWORD", "TOKEN", "APPLICATION_CREDENTIAL_SECRET")
)


def name_variable(item: str) -> str:
    """Return an option's variable, for a name such as ``num_retries`` or ``retry.backoff_base``."""
    return f"{PREFIX}{item.replace('.', '_').upper()}"


def name_environment(environ: Mapping[str, str]) -> str:
    """Return the name under which openstacksdk knows the cloud of the ``OS_`` variables."""
    return environ.get(_ENVIRONMENT_NAME) or "envvars"


def has_credentials(environ: Mapping[str, str]) -> bool:
    """Return whether an ``OS_`` variable has a part of somebody's credentials."""
    return any(environ.get(name) for name in _CREDENTIALS)


_PLAIN = {name_variable(name): name for name, each in options.OPTIONS.items() if each.read}
_RETRY = {
    name_variable(f"retry.{name}"): name for name, each in retry_policy.OPTIONS.items() if each.read
}
VARIABLES = frozenset({*_PLAIN, *_RETRY, CONFIG_FILE})
"""All variables that `from_environ` knows, without `CLOUD`."""
STOCK_CYCLE = f"{PREFIX}STOCK_CYCLE"
"""The variable that gives nova's and cinder's own code this package's cycle of servers."""
_READ_ELSEWHERE = frozenset({EXPORTER, STOCK_CYCLE})


def from_environ(environ: Mapping[str, str]) -> Source:
    """Read the variables that are set and not empty.

    Log a warning for each other variable with the prefix, because its name may be misspelt. This
    is not an error: Kubernetes sets ``TRACED_IMAGE_PORT`` and similar variables if a service is
    called ``traced-image``.

    Raises:
        InvalidRetry: A ``TRACED_IMAGE_RETRY_`` variable can't be used.
    """
    _warn_of_unknown(environ)
    found = {
        name: Found(options.OPTIONS[name].parse_text(environ[variable]), variable)
        for variable, name in _PLAIN.items()
        if environ.get(variable)
    }
    policy = {
        name: retry_policy.check_field(
            name, retry_policy.OPTIONS[name].parse_text(environ[variable]), variable
        )
        for variable, name in _RETRY.items()
        if environ.get(variable)
    }
    if policy:
        source = ", ".join(variable for variable in _RETRY if environ.get(variable))
        found["retry"] = Found(retry_policy.RetryPolicy(**policy), source)  # type: ignore[arg-type]
    return Source(found)


def _warn_of_unknown(environ: Mapping[str, str]) -> None:
    known = VARIABLES | _READ_ELSEWHERE
    unknown = sorted(name for name in environ if name.startswith(PREFIX) and name not in known)
    for name in unknown:
        # A high cutoff: all names share the prefix, so that most of them look alike.
        hint = suggest(name, VARIABLES, "is it misspelt?", cutoff=0.85)
        logger.warning("the variable %s is unknown and ignored: %s", name, hint)
