"""The keywords of `connect`, `load_config` and `Config`, for type checkers.

Type checkers can't derive them from the fields of `Config`. The constructor also accepts text for
servers and a plugin for ``auth``, and stores a `Server` and a `TokenSource`. A test compares the
two lists.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypedDict

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping

    from keystoneauth1.plugin import BaseAuthPlugin

    from .keystone import TokenSource
    from .retry_policy import RetryPolicy
    from .server import Server


class ConfigKeywords(TypedDict, total=False):
    """The keywords of `Config` and `Config.replace`; see the fields of `Config`."""

    servers: str | Iterable[str | Server]
    num_retries: int
    retry: RetryPolicy
    connect_timeout: float
    read_timeout: float
    request_timeout: float | None
    upload_timeout: float
    trial_timeout: float
    deadline: float | None
    insecure: bool
    cafile: str | None
    certfile: str | None
    keyfile: str | None
    auth_strategy: Literal["noauth", "keystone"]
    auth: TokenSource | BaseAuthPlugin | None
    service_auth: TokenSource | BaseAuthPlugin | None
    api_version: Literal[1, 2]
    pool_size: int
    max_metadata_size: int
    max_list_size: int
    region_name: str | None
    sources: Mapping[str, str]


class LoadKeywords(ConfigKeywords, total=False):
    """The keywords of `load_config` and `connect`; see `load_config`."""

    config_file: str | os.PathLike[str] | Iterable[str | os.PathLike[str]] | None
    cloud: str | None
    environ: Mapping[str, str] | None
