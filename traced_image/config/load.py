"""`load_config`, which merges the configuration from all its sources in a fixed order."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ..errors import InvalidOption, InvalidServer, MissingExtra
from .checks import format_value
from .environment import (
    AUTH_URL,
    CLOUD,
    CONFIG_FILE,
    OPENSTACK,
    from_environ,
    has_credentials,
    name_environment,
    name_variable,
)
from .keystone import PluginTokens
from .options import Config, check_names
from .sources import EndpointFilter, Found, Source, merge_sources

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from typing_extensions import Unpack

    from .keywords import ConfigKeywords

_Path = str | os.PathLike[str]


def load_config(
    *,
    config_file: _Path | Iterable[_Path] | None = None,
    cloud: str | None = None,
    environ: Mapping[str, str] | None = None,
    **fields: Unpack[ConfigKeywords],
) -> Config:
    """Build a configuration from the arguments, the environment, files and clouds.yaml.

    Each value comes from the first of these sources that has it:

    1. the arguments,
    2. the environment: ``TRACED_IMAGE_SERVERS``, ``TRACED_IMAGE_NUM_RETRIES`` and so on for each
       field; ``TRACED_IMAGE_RETRY_BACKOFF_BASE`` and so on for each field of the retry policy,
    3. configuration files of nova, cinder or another service with such options,
    4. a cloud: one of clouds.yaml, or ``envvars``, which is the cloud of the ``OS_`` variables that
       an openrc file sets,
    5. the defaults.

    If no cloud is named and no source has credentials, there are two more places for them: a file's
    ``[keystone_authtoken]`` if no source has servers; else the ``OS_`` variables if ``OS_AUTH_URL``
    is set or no source has servers. ``auth_strategy`` set to ``noauth`` prevents both.

    If no source has servers but one has credentials, Keystone's catalogue gives the image
    service's endpoint. That is the only request that this function makes. It takes at most
    ``deadline``.

    Args:
        config_file: The path of a file, or several paths; a later file overrides an earlier one.
            Default: ``TRACED_IMAGE_CONFIG_FILE``, with ``:`` between paths. Needs the extra
            ``oslo``.
        cloud: The name of a cloud; default: ``OS_CLOUD``. Needs the extra ``keystone``, as the
            ``OS_`` variables do.
        environ: The environment; default: ``os.environ``.
        **fields: Any field of `Config`.

    Raises:
        ConfigError: A value can't be used; a source can't be read (`InvalidOption`, or
            `InvalidAuth` for a cloud or its catalogue); or an extra is not installed
            (`MissingExtra`).
    """
    check_names(fields)
    environ = os.environ if environ is None else environ
    layers = [
        Source({name: Found(value, "argument") for name, value in fields.items()}),
        from_environ(environ),
    ]
    files = _list_files(config_file, environ)
    if files:
        layers.append(_read_files(files, "argument" if config_file is not None else CONFIG_FILE))
    found = merge_sources(layers)
    if cloud or environ.get(CLOUD):
        layers.append(_read_cloud(cloud, found.get("region_name"), environ))
    elif _lacks_credentials(found):
        layers.append(_find_credentials(layers, found, environ))
    found = merge_sources(layers)
    # Credentials without servers: only Keystone's catalogue can name the servers.
    if "servers" in found or "auth" not in found:
        return _make_config(found, files)
    return _find_servers(
        found, next((each.lookup for each in layers if each.lookup), EndpointFilter()), files
    )


def _make_config(found: Mapping[str, Found], files: Sequence[str]) -> Config:
    if "servers" not in found:
        if files:
            fix = (
                "set api_servers in its section [glance], or there or in [keystone_authtoken]"
                " auth_type and the other options of a keystoneauth1 plugin, so that Keystone's"
                " catalogue names a server"
            )
            problem = "the configuration was read and names no server"
            raise InvalidServer("servers", problem, source=", ".join(files), fix=fix)
        fix = (
            f'give servers=["glance-1:9292"], set {name_variable("servers")}, or name a file by'
            f" config_file or {CONFIG_FILE}, or a cloud by cloud, {CLOUD} or {AUTH_URL}"
        )
        problem = "no server is configured"
        raise InvalidServer("servers", problem, source="any source", fix=fix)
    values = {name: each.value for name, each in found.items()}
    sources = {name: each.source for name, each in found.items()}
    return Config(**{"sources": sources, **values})


def _list_files(
    config_file: _Path | Iterable[_Path] | None, environ: Mapping[str, str]
) -> list[str]:
    if config_file is None:
        return [each for each in environ.get(CONFIG_FILE, "").split(os.pathsep) if each]
    each_file = (config_file,) if isinstance(config_file, (str, os.PathLike)) else config_file
    try:
        return [os.fspath(each) for each in each_file]
    except TypeError as error:
        problem = f"{format_value(config_file)} is not a path"
        fix = "give the path of a file, or a list of paths"
        raise InvalidOption("config_file", problem, fix=fix) from error


def _read_files(files: Sequence[str], source: str) -> Source:
    try:
        from .nova_conf import read_files
    except ImportError as error:
        raise _build_missing_error("config_file", "oslo", source) from error
    return read_files(files, source)


def _lacks_credentials(found: Mapping[str, Found]) -> bool:
    strategy = found.get("auth_strategy")
    return "auth" not in found and (strategy is None or strategy.value != "noauth")


def _find_credentials(
    layers: Sequence[Source], found: Mapping[str, Found], environ: Mapping[str, str]
) -> Source:
    """Read credentials from where nobody asked for them: a file's spare ones, or an openrc's."""
    spare = next((each.find_spare for each in layers if each.find_spare), None)
    if spare is not None and "servers" not in found:
        return spare()
    if environ.get(AUTH_URL) or ("servers" not in found and has_credentials(environ)):
        return _read_openrc(environ, f"{OPENSTACK} variables")
    return Source()


def _read_openrc(environ: Mapping[str, str], source: str) -> Source:
    try:
        from .openrc import read_openrc
    except ImportError as error:
        raise _build_missing_error("auth", "keystone", source) from error
    return read_openrc(environ, source)


def _read_cloud(cloud: str | None, region: Found | None, environ: Mapping[str, str]) -> Source:
    source = "argument" if cloud else CLOUD
    if (cloud or environ[CLOUD]) == name_environment(environ):
        return _read_openrc(environ, source)
    try:
        from .clouds import read_cloud
    except ImportError as error:
        raise _build_missing_error("cloud", "keystone", source) from error
    name = region.value if region else None
    return read_cloud(
        cloud or environ[CLOUD], name if isinstance(name, str) else None, environ, source
    )


def _build_missing_error(item: str, extra: str, source: str) -> MissingExtra:
    problem = f"it needs the packages of the extra {extra!r}"
    fix = f"pip install 'traced-image[{extra}]'"
    return MissingExtra(item, problem, source=source, fix=fix)


def _find_servers(
    found: Mapping[str, Found], lookup: EndpointFilter, files: Sequence[str]
) -> Config:
    """Check all other values, then take the server from the catalogue."""
    # The draft has a name that never resolves (RFC 6761, 6.4). A wrong value thus fails before
    # the request to Keystone.
    draft = _make_config({**found, "servers": Found("catalogue.invalid", "")}, files)
    if not isinstance(draft.auth, PluginTokens):
        # A token source that is not a plugin has no catalogue: report that servers are missing.
        return _make_config(found, files)
    from .keystone import find_image_endpoint

    source = f"catalogue of {found['auth'].source}"
    endpoint = find_image_endpoint(
        draft.auth, lookup, draft.region_name, found["auth"].source, left=draft.deadline
    )
    return draft.replace(servers=[endpoint], sources={**draft.sources, "servers": source})
