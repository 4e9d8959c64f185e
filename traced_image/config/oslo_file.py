"""Files in oslo.config's form: how they are parsed, and how their options are named."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oslo_config import cfg

from ..errors import InvalidOption

if TYPE_CHECKING:
    from collections.abc import Sequence


def parse_files(files: Sequence[str], source: str) -> cfg.ConfigOpts:
    """Parse the files; no option is registered yet.

    oslo.config's error for a line that it can't parse contains the line, which may contain a
    password. So the error raised here neither shows it nor chains it.
    """
    # An object of its own: oslo.config's global CONF belongs to the application.
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
        fix = "write it as name = value"
        raise InvalidOption("config_file", problem, source=source, fix=fix) from None
    except (cfg.Error, OSError, ValueError) as error:
        problem = f"{', '.join(files)} can't be read ({type(error).__name__})"
        fix = "name text files in UTF-8 that exist and that this process may read"
        raise InvalidOption("config_file", problem, source=source, fix=fix) from error
    return conf


def split_option(option: str) -> tuple[str, str]:
    """Return the section and the name of ``[section] name``."""
    section, _, name = option.removeprefix("[").partition("] ")
    return section, name


def name_group(section: str) -> str | None:
    """Return oslo.config's name for a section: None for ``DEFAULT``."""
    # An option of any section may refer by "$name" to options that are registered without a group.
    return None if section == "DEFAULT" else section
