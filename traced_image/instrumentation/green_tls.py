"""TLS of services that replace Python's sockets by those of eventlet or gevent at their start.

``opentelemetry-instrument`` loads urllib3 before the service starts. urllib3 then keeps Python's
own ``ssl.SSLContext``. If eventlet or gevent replaces that class later, each TLS connection of
requests ends in a RecursionError, because the setters of the old class look for the new one
(open-telemetry/opentelemetry-python-contrib#2758, eventlet/eventlet#371). What is here gives
urllib3 the new class, as if it had been loaded afterwards.
"""

from __future__ import annotations

import logging
import ssl
import sys
from typing import TYPE_CHECKING

import wrapt

from .patching import when_imported

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from .patching import Foreign

LOG = logging.getLogger(__name__)

_REPLACING = {"eventlet.patcher": "monkey_patch", "gevent.monkey": "patch_all"}
"""The functions that replace the sockets, by their modules."""

_KEEPING = ("urllib3.util", "urllib3.util.ssl_")
"""The modules of urllib3 that keep the class."""


def watch_green_libraries() -> None:
    """Repair urllib3 as soon as eventlet or gevent has replaced the sockets; never raise.

    ``opentelemetry-instrument`` calls it in each process that it instruments.
    """
    when_imported({module: _watch(function) for module, function in _REPLACING.items()})


def _watch(function: str) -> Callable[[ModuleType], None]:
    def hook(module: ModuleType) -> None:
        replacing = getattr(module, function, None)
        if replacing is not None:
            setattr(module, function, wrapt.FunctionWrapper(replacing, _replace_and_repair))

    return hook


def _replace_and_repair(wrapped: Foreign, _: Foreign, args: Foreign, kwargs: Foreign) -> Foreign:
    result = wrapped(*args, **kwargs)
    try:
        repair_urllib3()
    except Exception as error:  # noqa: BLE001 a service must start, whatever its libraries
        LOG.warning("TLS may fail, because urllib3 is not as expected: %r", error)
    return result


def repair_urllib3() -> None:
    """Give urllib3 the class that ``ssl.SSLContext`` is now, if it keeps the one that was there."""
    for name in _KEEPING:
        module = sys.modules.get(name)
        kept = getattr(module, "SSLContext", None)
        # With pyOpenSSL it is another class.
        if isinstance(kept, type) and issubclass(ssl.SSLContext, kept):
            module.SSLContext = ssl.SSLContext  # type: ignore[union-attr]
    adapters = sys.modules.get("requests.adapters")
    if getattr(adapters, "_preloaded_ssl_context", None) is not None:
        # requests 2.32.0 to 2.32.3 keep a context for all connections.
        adapters._preloaded_ssl_context = None  # type: ignore[union-attr]  # noqa: SLF001
