"""The configuration in an openrc's ``OS_`` variables, read by openstacksdk (extra ``keystone``)."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from keystoneauth1 import loading
from keystoneauth1.exceptions import ClientException
from openstack.config.loader import OpenStackConfig
from openstack.exceptions import SDKException

from ..errors import InvalidAuth
from .checks import describe_cause
from .clouds import load_cloud, make_source
from .environment import AUTH_URL, OPENSTACK

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .sources import Source

_SETTINGS = frozenset(
    {
        *("interface", "endpoint_type", "image_interface", "image_endpoint_type"),
        *("image_endpoint_override", "image_service_name", "region_name", "identity_api_version"),
        *("cacert", "cert", "key", "insecure"),
    }
)
"""Variables, without prefix and in lower case, that are read beside those of a plugin."""

_URL = ("auth_url",)
_USER = ("username", "user_id")
_SCOPES = (*("project_name", "project_id", "domain_name", "domain_id", "system_scope", "trust_id"),)
_NEEDED: Mapping[str, Sequence[Sequence[str]]] = {
    "password": (_URL, _USER, ("password",), _SCOPES),
    "token": (_URL, ("token",)),
    "applicationcredential": (
        _URL,
        ("application_credential_id", "application_credential_name"),
        ("application_credential_secret",),
    ),
}
"""For each kind of authentication, the values that it needs; of each group, one is enough."""

_OLD_NAMES = {"tenant_name": "project_name", "tenant_id": "project_id", "auth_token": "token"}

_DEFAULT_DOMAIN = "default"
"""The id of the domain of a user and of a project if none is set, as ``openstack`` has it."""


def read_openrc(environ: Mapping[str, str], source: str) -> Source:
    """Read the environment's cloud, as ``openstack`` does; send no request.

    Args:
        environ: The environment; all its ``OS_`` variables count.
        source: The reason why the variables are read, for the error.

    Raises:
        InvalidAuth: A variable is missing, or openstacksdk can't use one.
    """
    values = _read_values(environ)
    auth_type = values.get("auth_type") or values.get("auth_plugin") or _choose_auth_type(values)
    _check_complete(values, auth_type, source)
    try:
        chosen = {**_choose_values(values, auth_type), "auth_type": auth_type}
        # No file and nothing of os.environ: only the variables of `environ` count.
        loader = OpenStackConfig(load_yaml_config=False, load_envvars=False)
        cloud = load_cloud(lambda: loader.get_one(argparse=Namespace(**chosen)))
        return make_source(cloud, _name_variable)
    except (SDKException, ClientException) as error:
        problem, cause = describe_cause(error), error
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        # openstacksdk replaces {name} in a value by the value of another variable.
        problem = f"openstacksdk can't read the OS_ variables ({type(error).__name__})"
        cause = None
    fix = "correct the OS_ variables, or unset them"
    raise InvalidAuth("auth", problem, source=source, fix=fix) from cause


def _read_values(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that are set and not empty, without the prefix and in lower case."""
    values = {
        name.removeprefix(OPENSTACK).lower(): value
        for name, value in environ.items()
        if name.startswith(OPENSTACK) and value
    }
    for old, new in _OLD_NAMES.items():
        if old in values:
            values.setdefault(new, values.pop(old))
    return values


def _choose_values(values: Mapping[str, str], auth_type: str) -> dict[str, str]:
    """Return the values that the plugin takes, and those of `_SETTINGS`.

    Others may be left from another openrc file, and the plugin would refuse them.
    """
    options = {each.dest for each in loading.get_plugin_loader(auth_type).get_options()}
    domain = values.get("default_domain", _DEFAULT_DOMAIN)
    added = {}
    for item, name in (("user", "username"), ("project", "project_name")):
        given = ("domain_id", "domain_name", f"{item}_domain_id", f"{item}_domain_name")
        if name in values and not any(each in values for each in given):
            added[f"{item}_domain_id"] = domain
    return {
        name: value
        for name, value in {**added, **values}.items()
        if name in options or name in _SETTINGS
    }


def _choose_auth_type(values: Mapping[str, str]) -> str:
    """Return the kind of authentication that the variables are for if none says so."""
    if "password" not in values:
        if "application_credential_secret" in values:
            return "v3applicationcredential"
        if "token" in values:
            return "token"
    return "password"


def _check_complete(values: Mapping[str, str], auth_type: str, source: str) -> None:
    groups = _NEEDED.get(auth_type.removeprefix("v3"), ())
    missing = [group for group in groups if not any(name in values for name in group)]
    if not missing:
        url = values.get("auth_url")
        if url is not None and not url.lower().startswith(("http://", "https://")):
            # keystoneauth1 would only say that Keystone has no catalogue.
            fix = "write the address of Keystone as in https://keystone-1:5000/v3"
            problem = f"{AUTH_URL} is not a URL of http or https"
            raise InvalidAuth("auth", problem, source=source, fix=fix)
        return
    # The first member of a group is the usual one; the second one is its other form.
    names = [" or ".join(_name_variable(each) for each in group[:2]) for group in missing]
    problem = f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} not set"
    fix = (
        "set what is missing, as your project's openrc file does; or name a cloud of clouds.yaml"
        " by OS_CLOUD; or unset OS_AUTH_URL and OS_CLOUD"
    )
    raise InvalidAuth("auth", problem, source=source, fix=fix)


def _name_variable(key: str) -> str:
    """Return the variable of a value, and the one that stands for several."""
    return {"auth": AUTH_URL, "verify": "OS_INSECURE"}.get(key, f"{OPENSTACK}{key.upper()}")
