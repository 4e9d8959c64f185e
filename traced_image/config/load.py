"""The configuration from all its sources, in one order."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ..errors import InvalidOption, InvalidServer, MissingExtra
from .checks import shown
from .config import Config, check_names
from .environment import CLOUD, CONFIG_FILE, from_environ, name_variable
from .keystone import PluginTokens
from .sources import Found, Layer, Lookup, merged

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
    """Make a configuration of all that is said of it anywhere.

    Each value is taken from the first of these that has it:

    1. the arguments,
    2. the environment: ``TRACED_IMAGE_SERVERS``, ``TRACED_IMAGE_NUM_RETRIES`` and so on for each
       field; ``TRACED_IMAGE_RETRY_BACKOFF_BASE`` and so on for those of the retry policy,
    3. configuration files in nova's or cinder's form,
    4. a cloud of clouds.yaml,
    5. the defaults.

    Where none has servers but one has credentials, the image service is looked up in Keystone's
    catalogue; that is the only request that this makes.

    Args:
        config_file: A file or several, of which a later one goes before an earlier one; default:
            ``TRACED_IMAGE_CONFIG_FILE``, with ``:`` between several. Needs the extra ``oslo``.
        cloud: The name of a cloud; default: ``OS_CLOUD``. Needs the extra ``keystone``.
        environ: The environment; default: ``os.environ``.
        **fields: Any field of `Config`.

    Raises:
        ConfigError: A value can't be used, a source can't be read (`InvalidOption`, or
            `InvalidAuth` for a cloud or its catalogue), or an extra is missing (`MissingExtra`).
    """
    check_names(fields)
    environ = os.environ if environ is None else environ
    layers = [
        Layer({name: Found(value, "argument") for name, value in fields.items()}),
        from_environ(environ),
    ]
    files = _files(config_file, environ)
    if files:
        layers.append(_files_layer(files, "argument" if config_file is not None else CONFIG_FILE))
    if cloud or environ.get(CLOUD):
        layers.append(_cloud_layer(cloud, merged(layers).get("region_name"), environ))
    found = merged(layers)
    if "servers" in found or "auth" not in found:
        return _config(found)
    return _with_catalogue(found, next((each.lookup for each in layers if each.lookup), Lookup()))


def _config(found: Mapping[str, Found]) -> Config:
    if "servers" not in found:
        mend = (
            f'give servers=["glance-1:9292"], set {name_variable("servers")}, or name a file by'
            f" config_file or {CONFIG_FILE}, or a cloud by cloud or {CLOUD}"
        )
        problem = "no server is configured"
        raise InvalidServer("servers", problem, source="any source", mend=mend)
    values = {name: each.value for name, each in found.items()}
    sources = {name: each.source for name, each in found.items()}
    return Config(**{"sources": sources, **values})


def _files(config_file: _Path | Iterable[_Path] | None, environ: Mapping[str, str]) -> list[str]:
    if config_file is None:
        return [each for each in environ.get(CONFIG_FILE, "").split(os.pathsep) if each]
    each_file = (config_file,) if isinstance(config_file, (str, os.PathLike)) else config_file
    try:
        return [os.fspath(each) for each in each_file]
    except TypeError as error:
        problem = f"{shown(config_file)} is no path"
        mend = "give the path of a file, or a list of paths"
        raise InvalidOption("config_file", problem, mend=mend) from error


def _files_layer(files: Sequence[str], source: str) -> Layer:
    try:
        from .oslo import read_files
    except ImportError as error:
        raise _missing("config_file", "oslo", source) from error
    return read_files(files, source)


def _cloud_layer(cloud: str | None, region: Found | None, environ: Mapping[str, str]) -> Layer:
    source = "argument" if cloud else CLOUD
    try:
        from .clouds import read_cloud
    except ImportError as error:
        raise _missing("cloud", "keystone", source) from error
    name = region.value if region else None
    return read_cloud(
        cloud or environ[CLOUD], name if isinstance(name, str) else None, environ, source
    )


def _missing(item: str, extra: str, source: str) -> MissingExtra:
    problem = f"it needs the packages of the extra {extra!r}"
    mend = f"pip install 'traced-image[{extra}]'"
    return MissingExtra(item, problem, source=source, mend=mend)


def _with_catalogue(found: Mapping[str, Found], lookup: Lookup) -> Config:
    """Take the server from the catalogue, once all else has been checked."""
    draft = _config({**found, "servers": Found("catalogue.invalid", "")})
    if not isinstance(draft.auth, PluginTokens):
        return _config(found)
    from .keystone import image_endpoint

    source = f"catalogue of {found['auth'].source}"
    endpoint = image_endpoint(draft.auth, lookup, draft.region_name, found["auth"].source)
    return draft.replace(servers=[endpoint], sources={**draft.sources, "servers": source})
