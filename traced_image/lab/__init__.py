"""The lab: an embedded Glance, v1 and v2, with scripted faults, for tests and demonstrations.

::

    with lab.cluster(3) as (first, second, third):
        image_id = first.images.add(name="cirros", data=b"...")
        first.break_with(lab.faults.refuse())
        ...
        assert second.access_log[-1].status == 200
"""

from __future__ import annotations

from . import faults
from .access_log import Access
from .control import Control
from .fault import Fault
from .fault_text import parse_fault
from .identity import Identity
from .image import Image
from .images import Images
from .limits import Limits
from .proxy import Proxy
from .server import GlanceServer, cluster
from .tls import TLS

__all__ = [
    "TLS",
    "Access",
    "Control",
    "Fault",
    "GlanceServer",
    "Identity",
    "Image",
    "Images",
    "Limits",
    "Proxy",
    "cluster",
    "faults",
    "parse_fault",
]
