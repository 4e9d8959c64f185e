"""The keywords of `connect`, `load_config` and `Config`, as type checkers know them.

No type checker can derive them from the fields of `Config`: the constructor takes text for servers
and a plugin for ``auth``, where the fields have what these became. A test holds both together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypedDict

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping

    from keystoneauth1.plugin import BaseAuthPlugin

    from .keystone import TokenSource
    from .retry import RetryPolicy
    from .server import Server


class ConfigKeywords(TypedDict, total=False):
    """What `Config` and `Config.replace` take; see the fields of `Config`."""

    servers: str | Iterable[str | Server]
    num_retries: int
    retry: RetryPolicy
    connect_timeout: float
    read_timeout: float
    deadline: float | None
    insecure: bool
    cafile: str | None
    certfile: str | None
    keyfile: str | None
    auth_strategy: Literal["noauth", "keystone"]
    auth: TokenSource | BaseAuthPlugin | None
    api_version: Literal[1, 2]
    pool_size: int
    max_metadata_size: int
    region_name: str | None
    sources: Mapping[str, str]


class LoadKeywords(ConfigKeywords, total=False):
    """What `load_config` and `connect` take beside these; see `load_config`."""

    config_file: str | os.PathLike[str] | Iterable[str | os.PathLike[str]] | None
    cloud: str | None
    environ: Mapping[str, str] | None
