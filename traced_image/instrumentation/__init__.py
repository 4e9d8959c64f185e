"""Stock OpenStack clients recorded as this package's own calls, without a change to their code.

`GlanceInstrumentor` needs the extra ``instrument``. It observes python-glanceclient from 4.8 on,
nova from 31 on, cinder from 26 on, openstacksdk from 4.4 on and ironic from 29 on, with what
sessions of keystoneauth1 send again.
"""

from __future__ import annotations

from ..errors import MissingExtra

try:
    from .instrumentor import GlanceInstrumentor
except ImportError as error:
    if (error.name or "").partition(".")[0] not in ("opentelemetry", "wrapt"):
        raise
    raise MissingExtra(
        "traced_image.instrumentation",
        f"{error.name} is not installed",
        fix="pip install 'traced-image[instrument]'",
    ) from error

__all__ = ["GlanceInstrumentor"]
