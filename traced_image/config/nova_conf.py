"""The configuration in nova.conf and cinder.conf, read by oslo.config (extra ``oslo``)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from keystoneauth1 import loading
from keystoneauth1.exceptions import AuthPluginException
from oslo_config import cfg

from ..errors import InvalidAuth, InvalidOption
from .checks import describe_cause, format_value
from .options import OPTIONS
from .oslo_file import name_group, parse_files, split_option
from .parse import parse_boolean
from .server import GLANCE_PORT
from .sources import EndpointFilter, Found, Source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from keystoneauth1.plugin import BaseAuthPlugin

LOG = logging.getLogger("traced_image.config")

_READ = {
    name: tuple(filter(None, (each.nova, each.cinder)))
    for name, each in OPTIONS.items()
    if each.read
}
"""For each field, the options to read in order: today's nova's, then nova 2013.1's and cinder's."""

_AUTH = str(OPTIONS["auth"].nova)
"""The option that names the keystoneauth1 plugin; the plugin's options are in the same section."""

_SERVICE_AUTH = str(OPTIONS["service_auth"].nova)
"""The option that names the plugin of the token beside a caller's, as `_AUTH` does."""

_SPARE = "keystone_authtoken"
"""The section with the credentials by which a service checks tokens. It names the plugin, too."""

_SPARE_FIELDS = ("region_name", "cafile", "insecure")
"""Options of `_SPARE` that go with its credentials, named like the fields that they set."""

_SENDS_BESIDE = "[service_user] send_service_user_token"

_OLD_OPTIONS = {
    "my_ip": None,
    "glance_host": "$my_ip",
    "glance_port": str(GLANCE_PORT),
    "glance_protocol": "http",
}
"""Options of nova 2013.1 with their defaults; other options may refer to them with a ``$``.

``my_ip`` has no default here, because nova 2013.1 guessed it from the machine's routes.
"""
_OVERRIDE = "[glance] endpoint_override"
_LOOKUP_INTERFACES = "[glance] valid_interfaces"
_LOOKUP_TYPE = "[glance] service_type"
_LOOKUP_NAME = "[glance] service_name"
_LOOKUP_CINDER = "[DEFAULT] glance_catalog_info"
"""cinder's form: the service's type, its name and the interface, with colons between them."""
_OTHERS = {
    *(_OVERRIDE, _LOOKUP_INTERFACES, _LOOKUP_TYPE, _LOOKUP_NAME, _LOOKUP_CINDER, _SENDS_BESIDE),
    *(f"[{_SPARE}] {each}" for each in _SPARE_FIELDS),
}
"""Options that set no field of `Config` by themselves."""
_WITHOUT_TOKEN = ("noauth2", "noauth_include_project_id")
"""Strategies of nova and cinder that mean ``noauth`` for Glance."""

_INTERFACES = "internal,public"
"""The interfaces of the catalogue in nova's order of preference."""


def read_files(files: Sequence[str], source: str) -> Source:
    """Read the settings for Glance from configuration files.

    If ``api_servers`` is not set, ``glance_host`` names the server, or ``my_ip`` if only
    ``glance_port`` or ``glance_protocol`` is set, or else ``endpoint_override``. If ``auth_type``
    is set, ``[glance]`` has the options of a keystoneauth1 plugin. If ``send_service_user_token``
    is true, ``[service_user]`` has those of another one, for the token beside a caller's. Today's
    nova has no ``auth_strategy``. With its files, set ``TRACED_IMAGE_AUTH_STRATEGY=keystone`` so
    that the service sends the callers' tokens. If ``[glance]`` has no plugin, the one of
    ``[keystone_authtoken]`` is spare: it asks Keystone's catalogue for a server if nothing names
    one.

    Args:
        files: The paths of the files; a later file overrides an earlier one.
        source: Where the paths came from, for the error.

    Raises:
        InvalidOption: A file can't be read or parsed.
        InvalidAuth: The plugin can't be loaded.
    """
    options = _Options(parse_files(files, source), ", ".join(files))
    found = {name: each for name, each in options.all().items() if each is not None}
    strategy = found.get("auth_strategy")
    if strategy is None or strategy.value != "noauth":
        plugins = {"auth": options.plugin(_AUTH), "service_auth": options.service_plugin()}
        for name, plugin in plugins.items():
            if plugin is not None:
                found[name] = Found(plugin, f"{', '.join(files)} {OPTIONS[name].nova}")
    has_plugin = "auth" in found
    return Source(
        found,
        options.lookup() if has_plugin else options.find_lookup(),
        None if has_plugin else options.find_spare(),
    )


class _Options:
    """The options of parsed files that concern Glance."""

    def __init__(self, conf: cfg.ConfigOpts, files: str) -> None:
        self._conf = conf
        self._files = files
        options = {option for each in _READ.values() for option in each}
        for option in options | _OTHERS:
            section, name = split_option(option)
            conf.register_opt(cfg.StrOpt(name), group=name_group(section))
        for name, default in _OLD_OPTIONS.items():
            conf.register_opt(cfg.StrOpt(name, default=default))

    def all(self) -> dict[str, Found | None]:
        """Return the values for the fields of `Config`; None for each field that is not set."""
        found = {field: self._field(field, options) for field, options in _READ.items()}
        found["servers"] = found["servers"] or self._old_server() or self._get(_OVERRIDE)
        return found

    def lookup(self) -> EndpointFilter:
        """Return the filter for the endpoint in the catalogue."""
        cinder = self._get(_LOOKUP_CINDER)
        kind, name, interface, *_ = (*(str(cinder.value) if cinder else "").split(":"), "", "")
        interfaces = self._get_text(_LOOKUP_INTERFACES, interface) or _INTERFACES
        return EndpointFilter(
            tuple(each.strip() for each in interfaces.split(",")),
            self._get_text(_LOOKUP_TYPE, kind) or "image",
            self._get_text(_LOOKUP_NAME, name) or None,
        )

    def _get_text(self, option: str, otherwise: str) -> str:
        found = self._get(option)
        return str(found.value) if found else otherwise

    def find_lookup(self) -> EndpointFilter | None:
        """Return the filter for the endpoint, or None if no option sets a part of it."""
        parts = (_LOOKUP_INTERFACES, _LOOKUP_TYPE, _LOOKUP_NAME, _LOOKUP_CINDER)
        return self.lookup() if any(self._get(each) for each in parts) else None

    def find_spare(self) -> Callable[[], Source] | None:
        """Return a function that reads `_SPARE`, or None if no plugin is configured there."""
        loading.register_auth_conf_options(self._conf, _SPARE)
        section = self._conf[_SPARE]
        return self._read_spare if section.auth_type or section.auth_section else None

    def _read_spare(self) -> Source:
        option = f"[{_SPARE}] auth_type"
        found = {name: self._field(name, [f"[{_SPARE}] {name}"]) for name in _SPARE_FIELDS}
        found["auth"] = Found(self.plugin(option), f"{self._files} {option}")
        return Source({name: each for name, each in found.items() if each}, self.lookup())

    def service_plugin(self) -> BaseAuthPlugin | None:
        """Load the plugin of the token beside a caller's; return None if none is to be sent.

        As in nova, a plugin that is missing is no error: the callers' tokens go alone.
        """
        sends = self._get(_SENDS_BESIDE)
        if sends is None or not self._parse_boolean(sends):
            return None
        plugin = self.plugin(_SERVICE_AUTH)
        if plugin is None:
            LOG.warning(
                "%s is true, but no plugin is configured: set auth_type in the same section, or no"
                " service token is sent beside a caller's",
                sends.source,
            )
        return plugin

    def _parse_boolean(self, found: Found) -> bool:
        try:
            return parse_boolean(str(found.value))
        except ValueError as error:
            problem = f"{format_value(found.value)} can't be used"
            raise InvalidOption(
                _SENDS_BESIDE, problem, source=found.source, fix="set true or false"
            ) from error

    def plugin(self, option: str) -> BaseAuthPlugin | None:
        """Load a keystoneauth1 plugin; return None if no plugin is configured.

        Args:
            option: Names the plugin; the plugin's options are in the same section.

        If a password contains ``$``, oslo.config reports an unknown option and names a part of
        the password. So the error raised here neither shows its text nor chains it.
        """
        section, _ = split_option(option)
        try:
            loading.register_auth_conf_options(self._conf, section)
            return loading.load_auth_from_conf_options(self._conf, section)
        except AuthPluginException as error:
            fix = "set the options of the plugin in the same section"
            problem = describe_cause(error)
            raise InvalidAuth(option, problem, source=self._files, fix=fix) from error
        except (cfg.Error, ValueError, RecursionError):
            fix = "write $$ for a $"
            problem = "an option of the plugin can't be used"
            raise InvalidAuth(option, problem, source=self._files, fix=fix) from None

    def _field(self, field: str, options: Iterable[str]) -> Found | None:
        for option in options:
            found = self._get(option)
            if found is not None:
                text = str(found.value)
                if field == "auth_strategy" and text in _WITHOUT_TOKEN:
                    text = "noauth"
                return Found(OPTIONS[field].parse_text(text), found.source)
        return None

    def _old_server(self) -> Found | None:
        host = self._get("[DEFAULT] glance_host")
        protocol = self._get("[DEFAULT] glance_protocol")
        port = self._get("[DEFAULT] glance_port")
        if host is None and (protocol or port):
            # The default of glance_host was $my_ip. Files of today's nova have my_ip too, but no
            # option of nova 2013.1 for Glance.
            host = self._get("[DEFAULT] my_ip")
        if host is None:
            return None
        protocol = protocol or Found("http", "")
        port = port or Found(GLANCE_PORT, "")
        name = str(host.value)
        bracketed = f"[{name}]" if ":" in name and not name.startswith("[") else name
        return Found(f"{protocol.value}://{bracketed}:{port.value}", host.source)

    def _get(self, option: str) -> Found | None:
        """Return an option's text, or None if it is empty or no file sets it."""
        section, name = split_option(option)
        try:
            location = self._conf.get_location(name, name_group(section))
            text = self._conf[name] if section == "DEFAULT" else self._conf[section][name]
        except (cfg.Error, RecursionError):
            fix = "write the value itself, and $$ for a $"
            problem = "it refers to an option that is not known here"
            raise InvalidOption(option, problem, source=self._files, fix=fix) from None
        # A default is not the user's choice: it must not hide a value of a weaker source.
        if location is None or not location.location.is_user_controlled or not text:
            return None
        return Found(text, f"{location.detail} {option}")
