"""The configuration in nova.conf and cinder.conf, read by oslo.config (extra ``oslo``)."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from oslo_config import cfg

from ..errors import ConfigError, InvalidAuth, InvalidOption, MissingExtra
from .layers import Found, Layer, Lookup, read

if TYPE_CHECKING:
    from collections.abc import Sequence

    from keystoneauth1.plugin import BaseAuthPlugin

Option = tuple[str, str]
"""A section and a name in it."""

_OPTIONS: dict[str, tuple[Option, ...]] = {
    "servers": (("glance", "api_servers"), ("DEFAULT", "glance_api_servers")),
    "num_retries": (("glance", "num_retries"), ("DEFAULT", "glance_num_retries")),
    "read_timeout": (("glance", "timeout"), ("DEFAULT", "glance_request_timeout")),
    "insecure": (("glance", "insecure"), ("DEFAULT", "glance_api_insecure")),
    "cafile": (("glance", "cafile"), ("DEFAULT", "glance_ca_certificates_file")),
    "certfile": (("glance", "certfile"), ("DEFAULT", "glance_certfile")),
    "keyfile": (("glance", "keyfile"), ("DEFAULT", "glance_keyfile")),
    "region_name": (("glance", "region_name"),),
    "auth_strategy": (("api", "auth_strategy"), ("DEFAULT", "auth_strategy")),
}
"""The options for each field: today's of nova first, then the older ones and cinder's."""

_OTHERS: tuple[Option, ...] = (
    ("DEFAULT", "my_ip"),
    ("DEFAULT", "glance_host"),
    ("DEFAULT", "glance_port"),
    ("DEFAULT", "glance_protocol"),
    ("glance", "endpoint_override"),
    ("glance", "valid_interfaces"),
    ("glance", "service_name"),
)
_STRATEGIES = {"noauth2": "noauth", "noauth_include_project_id": "noauth"}
"""What nova and cinder call a strategy that sends no token."""
