"""The configuration in nova.conf and cinder.conf, read by oslo.config (extra ``oslo``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oslo_config import cfg

from ..errors import InvalidAuth, InvalidOption, MissingExtra
from .layers import Found, Layer, Lookup, read

if TYPE_CHECKING:
    from collections.abc import Sequence

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

_DEFAULT_OPTIONS = ("my_ip", "glance_host", "glance_port", "glance_protocol")
_GLANCE_OPTIONS = ("endpoint_override", "valid_interfaces", "service_name")
_WITHOUT_TOKEN = ("noauth2", "noauth_include_project_id")
"""Strategies of nova and cinder that are ``noauth`` for Glance."""

_SAMPLE = "see oslo.config's documentation for the form of the file"


class _File:
    """The options of configuration files, of which a later one goes before an earlier one."""

    def __init__(self, files: Sequence[str], source: str) -> None:
        self.conf = cfg.ConfigOpts()
        self._parse(files, source)
        registered = {option for options in _OPTIONS.values() for option in options}
        registered.update(("DEFAULT", name) for name in _DEFAULT_OPTIONS)
        registered.update(("glance", name) for name in _GLANCE_OPTIONS)
        for section, name in registered:
            self.conf.register_opt(cfg.StrOpt(name), group=section)

    def _parse(self, files: Sequence[str], source: str) -> None:
        """Read the files.

        What oslo.config says of a line that it can't parse has the line in it, which may be a
        password's: so it is not told on.
        """
        names = ", ".join(files)
        try:
            self.conf(
                [],
                project="traced-image",
                default_config_files=list(files),
                default_config_dirs=[],
                use_env=False,
            )
        except cfg.ConfigFileParseError as error:
            line = getattr(error.__context__, "lineno", None)
            problem = f"{error.config_file}: line {line} is no assignment or section"
            raise InvalidOption("config_file", problem, source=source, mend=_SAMPLE) from None
        except (cfg.ConfigFilesNotFoundError, cfg.ConfigFilesPermissionDeniedError) as error:
            mend = "name a file that exists and that this process may read"
            raise InvalidOption("config_file", str(error), source=source, mend=mend) from error
        except (OSError, ValueError) as error:
            problem = f"{names} can't be read: {type(error).__name__}"
            mend = "name a text file in UTF-8"
            raise InvalidOption("config_file", problem, source=source, mend=mend) from error

    def find(self, section: str, name: str) -> Found | None:
        """Return an option's text and where it is set, or None where it is not or is empty.

        Raises:
            InvalidOption: It refers to another option, with ``$``, that is not known here.
        """
        location = self.conf.get_location(name, section)
        path = location.detail if location else ""
        source = f"{path} [{section}] {name}"
        try:
            text = str(self.conf[section][name] or "") if section != "DEFAULT" else self.conf[name]
        except cfg.Error as error:
            mend = "write its value in place of $"
            problem = "it refers to an option that can't be resolved"
            raise InvalidOption(name, problem, source=source, mend=mend) from error
        return Found(text, source) if text else None
