"""Services that call Glance by python-glanceclient and retry: the real ones, or their shapes."""

from __future__ import annotations

from types import SimpleNamespace


class Nova:
    """Nova's client of Glance; it asks the servers in their order.

    Args:
        library: Imports a module.
        urls: The servers; None for those of Keystone's catalogue.
        retries: How often a call is tried again.
        context: Arguments of the request's context.
    """

    name = "nova"
    reads_lists = True

    def __init__(self, library, urls, *, retries=2, **context):
        self.glance = self.load(library)
        conf = library("nova.conf").CONF
        conf.set_override("api_servers", urls, "glance")
        conf.set_override("num_retries", retries, "glance")
        given = {"auth_token": "t", **context}
        self.context = library("nova.context").RequestContext("user", "project", **given)
        self.client = self.glance.GlanceClientWrapper()
        self.gave_up = library("nova.exception").GlanceConnectionFailed

    @staticmethod
    def load(library):
        """Import the module that calls Glance."""
        glance = library("nova.image.glance")
        glance.time = SimpleNamespace(sleep=lambda _: None)
        glance.random = SimpleNamespace(shuffle=lambda _: None)
        conf = library("nova.conf").CONF
        if callable(conf):  # it must be told that there are no files
            conf([], project="nova", default_config_files=[])
        return glance

    def call(self, method, *args, controller=None, **kwargs):
        """Call a method of a controller."""
        return self.client.call(
            self.context, 2, method, controller=controller, args=args, kwargs=kwargs
        )

    def use_static_client(self, url):
        """Use one server from now on, as for an image's URL."""
        self.client = self.glance.GlanceClientWrapper(self.context, url)


class Cinder:
    """Cinder's client of Glance; as `Nova`."""

    name = "cinder"
    reads_lists = False

    def __init__(self, library, urls, *, retries=2, **context):
        self.glance = self.load(library)
        self.glance.CONF.set_override("glance_api_servers", urls)
        self.glance.CONF.set_override("glance_num_retries", retries)
        given = {"auth_token": "t", **context}
        self.context = library("cinder.context").RequestContext("user", "project", **given)
        self.client = self.glance.GlanceClientWrapper()
        self.gave_up = library("cinder.exception").GlanceConnectionFailed

    @staticmethod
    def load(library):
        """Import the module that calls Glance."""
        library("cinder.image.image_utils")
        glance = library("cinder.image.glance")
        glance.time = SimpleNamespace(sleep=lambda _: None)
        glance.random = SimpleNamespace(shuffle=lambda _: None)
        if callable(glance.CONF):  # it must be told that there are no files
            glance.CONF([], project="cinder", default_config_files=[])
        return glance

    def call(self, method, *args, **kwargs):
        """Call a method of a controller."""
        return self.client.call(self.context, method, *args, **kwargs)

    def use_static_client(self, url):
        """Use one server from now on, as for an image's URL."""
        netloc = url.partition("//")[2]
        self.client = self.glance.GlanceClientWrapper(self.context, netloc)


SERVICES = (Nova, Cinder)
