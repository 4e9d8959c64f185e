"""The configuration in clouds.yaml, read by openstacksdk (extra ``keystone``)."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from keystoneauth1.exceptions import ClientException
from openstack.config.loader import OpenStackConfig
from openstack.exceptions import SDKException
from yaml import YAMLError  # type: ignore[import-untyped]

from ..errors import InvalidAuth
from .checks import describe_cause
from .options import OPTIONS
from .sources import EndpointFilter, Found, Source

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from openstack.config.cloud_region import CloudRegion

CONFIG_FILE = "OS_CLIENT_CONFIG_FILE"
"""The variable with the path of a clouds.yaml that replaces those in the usual folders."""
SECURE_FILE = "OS_CLIENT_SECURE_FILE"
"""The variable with the path of a secure.yaml, which contains the secrets."""

_KEYS = {name: each.cloud for name, each in OPTIONS.items() if each.cloud}
"""For each field of `Config`, the key of a cloud that sets it."""


def read_cloud(name: str, region: str | None, environ: Mapping[str, str], source: str) -> Source:
    """Read the settings of one cloud from clouds.yaml; send no request.

    Args:
        name: The cloud's name.
        region: The region, if the cloud has several; None for its first.
        environ: The environment. Only `CONFIG_FILE` and `SECURE_FILE` are read from it.
        source: Where the name came from, for the error.

    Raises:
        InvalidAuth: There is no such cloud or region, or it can't be used.
    """
    try:
        loader = OpenStackConfig(
            config_files=_list_files(environ, CONFIG_FILE),
            secure_files=_list_files(environ, SECURE_FILE),
            # openstacksdk would read os.environ; here only the two variables of `environ` count.
            load_envvars=False,
        )
        cloud = load_cloud(lambda: loader.get_one(cloud=name, region_name=region))
        source_of_all = f"cloud {name} in {loader.config_filename}"
        return make_source(cloud, lambda _key: source_of_all)
    except (SDKException, ClientException) as error:
        problem, cause = describe_cause(error), error
    except (AttributeError, KeyError, TypeError, ValueError, YAMLError) as error:
        # openstacksdk checks only the first level of the file, so that a wrong type below it
        # raises any of these.
        problem = f"clouds.yaml is not of the form that openstacksdk reads ({type(error).__name__})"
        # Not chained: YAMLError's text quotes the file, which may contain a password.
        cause = None
    fix = f"correct the cloud in clouds.yaml, which {CONFIG_FILE} may name"
    raise InvalidAuth("cloud", problem, source=source, fix=fix) from cause


def _list_files(environ: Mapping[str, str], variable: str) -> list[str] | None:
    return [environ[variable]] if environ.get(variable) else None


def load_cloud(load: Callable[[], CloudRegion]) -> CloudRegion:
    """Let openstacksdk load a cloud, without its warning about itself."""
    with warnings.catch_warnings():
        # openstacksdk 4.22 warns for every cloud that its InfluxDB support is deprecated.
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        return load()


def make_source(cloud: CloudRegion, name_source: Callable[[str], str]) -> Source:
    """Take the settings of a cloud that openstacksdk has read.

    Args:
        cloud: The cloud.
        name_source: Returns where the value of one of the cloud's keys came from.
    """
    verify, cert = cloud.get_requests_verify_args()
    certfile, keyfile = cert if isinstance(cert, tuple) else (cert, None)
    plain = cloud.config.get("auth_type") == "none"
    values = {
        "image_endpoint_override": cloud.get_endpoint("image"),
        "verify": True if verify is False else None,
        "cacert": verify if isinstance(verify, str) else None,
        "cert": certfile,
        "key": keyfile,
        "auth": None if plain else cloud.get_auth(),
        "region_name": cloud.get_region_name("image") or None,
    }
    found = {
        name: Found(values[key], name_source(key))
        for name, key in _KEYS.items()
        if values[key] is not None
    }
    interface = cloud.get_interface("image") or "public"
    interfaces = (interface,) if isinstance(interface, str) else tuple(interface)
    service_name = cloud.get_service_name("image")
    return Source(found, EndpointFilter(interfaces, service_name=service_name))
