"""The options of nova that its client of Glance reads."""

import types

CONF = types.SimpleNamespace(
    glance=types.SimpleNamespace(api_servers=None, num_retries=3, catalogue_endpoint=None)
)
