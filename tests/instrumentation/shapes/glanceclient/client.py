"""The function that builds a client; it imports the version's module when it is called."""

import importlib
import re


def Client(version=None, endpoint=None, session=None, **kwargs):  # noqa: N802
    module = importlib.import_module("glanceclient.v2.client")
    if session:
        if endpoint:
            kwargs.setdefault("endpoint_override", endpoint)
        return module.Client(session=session, **kwargs)
    return module.Client(re.sub(r"/v2$", "", endpoint), session=None, **kwargs)
