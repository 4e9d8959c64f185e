"""The options."""

from types import SimpleNamespace


def _set_override(name, override, group):
    setattr(getattr(CONF, group), name, override)


CONF = SimpleNamespace(
    glance=SimpleNamespace(api_servers=None, num_retries=3, enable_rbd_download=False),
    set_override=_set_override,
)
