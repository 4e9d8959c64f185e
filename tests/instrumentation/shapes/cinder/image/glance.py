"""The image service: each call is tried on one server after the other."""

import itertools
import random
import time
import urllib.parse
from types import SimpleNamespace

import glanceclient
import glanceclient.exc
from keystoneauth1 import session as ksa_session

from cinder import exception


def _set_override(name, override):
    setattr(CONF, name, override)


CONF = SimpleNamespace(glance_api_servers=None, glance_num_retries=3, set_override=_set_override)
_SESSION = ksa_session.Session()


def _create_glance_client(context, netloc, use_ssl):
    scheme = "https" if use_ssl else "http"
    auth = context.get_auth_plugin()
    return glanceclient.Client("2", f"{scheme}://{netloc}", session=_SESSION, auth=auth)


def get_api_servers(context):
    urls = CONF.glance_api_servers
    if urls is None:
        endpoints = [each["endpoints"] for each in context.service_catalog]
        urls = [each[0]["publicURL"] for each in endpoints]
    parts = map(urllib.parse.urlparse, urls)
    servers = [(url.netloc + url.path, url.scheme == "https") for url in parts]
    random.shuffle(servers)
    return itertools.cycle(servers)


class GlanceClientWrapper:
    def __init__(self, context=None, netloc=None, use_ssl=False):
        self.client = self._create_static_client(context, netloc, use_ssl) if netloc else None
        self.api_servers = None

    def _create_static_client(self, context, netloc, use_ssl):
        return _create_glance_client(context, netloc, use_ssl)

    def _create_onetime_client(self, context):
        self.api_servers = self.api_servers or get_api_servers(context)
        self.netloc, self.use_ssl = next(self.api_servers)
        return _create_glance_client(context, self.netloc, self.use_ssl)

    def call(self, context, method, *args, **kwargs):
        excs = glanceclient.exc
        retried = (excs.HTTPServiceUnavailable, excs.InvalidEndpoint, excs.CommunicationError)
        controller = kwargs.pop("controller", "images")
        for left in range(CONF.glance_num_retries, -1, -1):
            client = self.client or self._create_onetime_client(context)
            try:
                return getattr(getattr(client, controller), method)(*args, **kwargs)
            except retried as e:
                if not left:
                    raise exception.GlanceConnectionFailed(reason=e)  # noqa: B904
                time.sleep(1)
        return None
