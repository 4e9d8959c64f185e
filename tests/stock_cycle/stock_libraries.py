"""nova's and cinder's client of Glance, real or of the same shape, told to call some servers."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

REAL = os.environ.get("REAL_LIBRARY")
"""The one library of this environment that is the real one; None for the shapes of both."""

_HERE = Path(__file__).parent
SHAPES = (_HERE.parent / "instrumentation/shapes", _HERE / "shapes")  # the last one comes first


def forget_libraries():
    for name in list(sys.modules):
        if not REAL and name.partition(".")[0] in ("glanceclient", "nova", "cinder"):
            del sys.modules[name]


class Nova:
    """nova's client.

    Attributes:
        module: Its module.
    """

    name = "nova"

    def __init__(self):
        os.environ["OS_NOVA_DISABLE_EVENTLET_PATCHING"] = "1"
        self.module = importlib.import_module("nova.image.glance")
        self._conf = self.module.CONF
        self._context = self._authorize = None
        if REAL:
            self._conf([], project="nova", default_config_files=[])
            self._context = self._real_context

    def _real_context(self, auth):
        from nova import context

        return context.RequestContext(is_admin=True, user_auth_plugin=auth)

    def _set(self, name, value):
        if REAL:
            self._conf.set_override(name, value, group="glance")
        else:
            setattr(self._conf.glance, name, value)

    def set_servers(self, urls, retries=3):
        self._set("api_servers", urls and list(urls))
        self._set("num_retries", retries)

    def make(self, url=None):
        return self.module.GlanceClientWrapper(self.context(), url)

    def context(self, auth=None):
        from keystoneauth1 import noauth

        auth = auth or noauth.NoAuth()
        return self._context(auth) if self._context else auth

    def call(self, method, *args, client=None, auth=None, controller=None):
        client = client or self.make()
        return client.call(self.context(auth), 2, method, controller=controller, args=args)


class Cinder:
    """cinder's client.

    Attributes:
        module: Its module.
    """

    name = "cinder"

    def __init__(self):
        if REAL:  # it is in a circle of imports, which has one way in
            importlib.import_module("cinder.image.image_utils")
        self.module = importlib.import_module("cinder.image.glance")
        self._conf = self.module.CONF
        if REAL:
            self._conf([], project="cinder", default_config_files=[])
            self._conf.set_override("auth_strategy", "noauth")

    def _set(self, name, value):
        if REAL:
            self._conf.set_override(name, value)
        else:
            setattr(self._conf, name, value)

    def set_servers(self, urls, retries=3):
        self._set("glance_api_servers", urls and list(urls))
        self._set("glance_num_retries", retries)

    def make(self, url=None):
        netloc = url and url.partition("//")[2]
        return self.module.GlanceClientWrapper(self.context(), netloc)

    def context(self):
        if not REAL:
            return None
        from cinder import context

        return context.get_admin_context()

    def call(self, method, *args, client=None, auth=None, controller="images"):
        client = client or self.make()
        return client.call(self.context(), method, *args, controller=controller)


KINDS = [kind for kind in (Nova, Cinder) if REAL in (None, kind.name)]
