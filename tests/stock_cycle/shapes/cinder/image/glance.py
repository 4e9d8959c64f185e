"""cinder's client of Glance: its loop of attempts over the servers."""

import itertools
import logging
import random
import time
import types
import urllib.parse

import glanceclient
import glanceclient.exc

from cinder import exception

LOG = logging.getLogger(__name__)
CONF = types.SimpleNamespace(glance_api_servers=None, glance_num_retries=3)


def _create_glance_client(context, netloc, use_ssl, privileged_user=False):
    scheme = "https" if use_ssl else "http"
    return glanceclient.Client("2", f"{scheme}://{netloc}")


def get_api_servers(context):
    api_servers_info = []
    for api_server in CONF.glance_api_servers:
        url = urllib.parse.urlparse(api_server if "//" in api_server else f"http://{api_server}")
        api_servers_info.append((url.netloc + url.path, url.scheme == "https"))
    random.shuffle(api_servers_info)
    return itertools.cycle(api_servers_info)


class GlanceClientWrapper:
    def __init__(self, context=None, netloc=None, use_ssl=False, privileged_user=False):
        self.client = None
        if netloc is not None:
            self.client = _create_glance_client(context, netloc, use_ssl, privileged_user)
        self.netloc, self.use_ssl = netloc, use_ssl
        self.api_servers = None

    def _create_onetime_client(self, context, privileged_user=False):
        if self.api_servers is None:
            self.api_servers = get_api_servers(context)
        self.netloc, self.use_ssl = next(self.api_servers)
        return _create_glance_client(context, self.netloc, self.use_ssl, privileged_user)

    def call(self, context, method, *args, **kwargs):  # noqa: RET503 as in cinder
        retry_excs = (
            glanceclient.exc.HTTPServiceUnavailable,
            glanceclient.exc.InvalidEndpoint,
            glanceclient.exc.CommunicationError,
        )
        num_attempts = 1 + CONF.glance_num_retries
        controller = kwargs.pop("controller", "images")
        privileged_user = kwargs.pop("privileged_user", False)
        for attempt in range(1, num_attempts + 1):
            client = self.client or self._create_onetime_client(context, privileged_user)
            try:
                return getattr(getattr(client, controller), method)(*args, **kwargs)
            except retry_excs as e:
                LOG.exception("Error contacting %s for %s", self.netloc, method)
                if attempt == num_attempts:
                    raise exception.GlanceConnectionFailed(reason=e)  # noqa: B904
                time.sleep(1)
            except glanceclient.exc.HTTPException as e:
                if e.code == 413:
                    raise exception.ImageLimitExceeded(e)  # noqa: B904
                raise
