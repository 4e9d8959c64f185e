"""The configuration in nova.conf and cinder.conf, read by oslo.config (extra ``oslo``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keystoneauth1 import loading
from keystoneauth1.exceptions import AuthPluginException
from oslo_config import cfg

from ..errors import InvalidAuth, InvalidOption
from .server import GLANCE_PORT
from .sources import Found, Layer, Lookup, read

if TYPE_CHECKING:
    from collections.abc import Sequence

    from keystoneauth1.plugin import BaseAuthPlugin

_OPTIONS = {
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
"""Sections and options for each field: those of today's nova, then nova 2013.1's and cinder's."""

_OLD_OPTIONS = {
    "my_ip": None,
    "glance_host": "$my_ip",
    "glance_port": str(GLANCE_PORT),
    "glance_protocol": "http",
}
"""nova 2013.1's, with the defaults that other options may refer to; its ``my_ip`` was a guess."""
_GLANCE_OPTIONS = ("endpoint_override", "valid_interfaces", "service_name")
_WITHOUT_TOKEN = ("noauth2", "noauth_include_project_id")
"""Strategies of nova and cinder that are ``noauth`` for Glance."""

_INTERFACES = "internal,public"
"""What nova prefers in the catalogue."""


def read_files(files: Sequence[str], source: str) -> Layer:
    """Read what configuration files say of Glance.

    Where ``api_servers`` is not set, ``glance_host`` names the server, or else
    ``endpoint_override``. Where ``auth_type`` is, ``[glance]`` has the options of a keystoneauth1
    plugin. Today's nova has no ``auth_strategy``: its files need
    ``TRACED_IMAGE_AUTH_STRATEGY=keystone`` beside them for the callers' tokens to be sent.

    Args:
        files: Their paths; what a later one sets goes before what an earlier one sets.
        source: Where the paths came from, for the error.

    Raises:
        InvalidOption: A file can't be read or parsed.
        InvalidAuth: The plugin can't be loaded.
    """
    options = _Options(_parse(files, source), ", ".join(files))
    found = {name: each for name, each in options.all().items() if each is not None}
    strategy = found.get("auth_strategy")
    if strategy is None or strategy.value != "noauth":
        plugin = options.plugin()
        if plugin is not None:
            found["auth"] = Found(plugin, f"{', '.join(files)} [glance] auth_type")
    return Layer(found, options.lookup())


def _parse(files: Sequence[str], source: str) -> cfg.ConfigOpts:
    """Parse the files.

    What oslo.config says of a line that it can't parse has the line in it, which may be that of
    a password. So it is neither shown nor chained.
    """
    conf = cfg.ConfigOpts()
    try:
        conf(
            [],
            project="traced-image",
            default_config_files=list(files),
            default_config_dirs=[],
            use_env=False,
        )
    except cfg.ConfigFileParseError as error:
        line = getattr(error.__context__, "lineno", "?")
        problem = f"line {line} of {error.config_file} is neither a section nor an option"
        mend = "write it as name = value"
        raise InvalidOption("config_file", problem, source=source, mend=mend) from None
    except (cfg.Error, OSError, ValueError) as error:
        problem = f"{', '.join(files)} can't be read ({type(error).__name__})"
        mend = "name text files in UTF-8 that exist and that this process may read"
        raise InvalidOption("config_file", problem, source=source, mend=mend) from error
    return conf


class _Options:
    """The options of parsed files that bear on Glance."""

    def __init__(self, conf: cfg.ConfigOpts, files: str) -> None:
        self._conf = conf
        self._files = files
        options = {option for each in _OPTIONS.values() for option in each}
        options.update(("glance", name) for name in _GLANCE_OPTIONS)
        for section, name in options:
            conf.register_opt(cfg.StrOpt(name), group=_group(section))
        for name, default in _OLD_OPTIONS.items():
            conf.register_opt(cfg.StrOpt(name, default=default))

    def all(self) -> dict[str, Found | None]:
        """The fields of `Config`, None for those that are not set."""
        found = {field: self._field(field, *options) for field, options in _OPTIONS.items()}
        found["servers"] = (
            found["servers"] or self._old_server() or self._get("glance", "endpoint_override")
        )
        return found

    def lookup(self) -> Lookup:
        """How the endpoint is to be found in the catalogue."""
        interfaces = self._get("glance", "valid_interfaces") or Found(_INTERFACES, "")
        name = self._get("glance", "service_name")
        return Lookup(
            tuple(each.strip() for each in str(interfaces.value).split(",")),
            str(name.value) if name else None,
        )

    def plugin(self) -> BaseAuthPlugin | None:
        """The keystoneauth1 plugin, if one is configured.

        A password with ``$`` in it makes oslo.config complain of an option with a part of the
        password as its name; so that is neither shown nor chained.
        """
        item = "[glance] auth_type"
        try:
            loading.register_auth_conf_options(self._conf, "glance")
            return loading.load_auth_from_conf_options(self._conf, "glance")
        except AuthPluginException as error:
            mend = "set the options of the plugin in the same section"
            raise InvalidAuth(item, str(error), source=self._files, mend=mend) from error
        except (cfg.Error, ValueError, RecursionError):
            mend = "write $$ for a $"
            problem = "an option of the plugin can't be used"
            raise InvalidAuth(item, problem, source=self._files, mend=mend) from None

    def _field(self, field: str, *options: tuple[str, str]) -> Found | None:
        for section, name in options:
            found = self._get(section, name)
            if found is not None:
                text = str(found.value)
                if field == "auth_strategy" and text in _WITHOUT_TOKEN:
                    text = "noauth"
                return Found(read(field, text), found.source)
        return None

    def _old_server(self) -> Found | None:
        host = self._get("DEFAULT", "glance_host")
        if host is None:
            return None
        protocol = self._get("DEFAULT", "glance_protocol") or Found("http", "")
        port = self._get("DEFAULT", "glance_port") or Found(GLANCE_PORT, "")
        name = str(host.value)
        bracketed = f"[{name}]" if ":" in name and not name.startswith("[") else name
        return Found(f"{protocol.value}://{bracketed}:{port.value}", host.source)

    def _get(self, section: str, name: str) -> Found | None:
        """An option's text, or None where no file sets it or it is empty."""
        try:
            location = self._conf.get_location(name, _group(section))
            text = self._conf[name] if section == "DEFAULT" else self._conf[section][name]
        except (cfg.Error, RecursionError):
            mend = "write the value itself, and $$ for a $"
            problem = "it refers to an option that is not known here"
            raise InvalidOption(
                f"[{section}] {name}", problem, source=self._files, mend=mend
            ) from None
        if location is None or not location.location.is_user_controlled or not text:
            return None
        return Found(text, f"{location.detail} [{section}] {name}")


def _group(section: str) -> str | None:
    """oslo.config's name for a section; others may refer to an option of the one without."""
    return None if section == "DEFAULT" else section
