"""nova's client of Glance: its loop of attempts over the servers."""

import inspect
import itertools
import logging
import random
import time

import glanceclient
import glanceclient.exc
from keystoneauth1 import session

import nova.conf
from nova import exception

LOG = logging.getLogger(__name__)
CONF = nova.conf.CONF


def _glanceclient_from_endpoint(context, endpoint, version):
    sess = session.Session(auth=context)
    return glanceclient.Client(version, session=sess, endpoint_override=endpoint)


def generate_glance_url(context):
    return next(get_api_servers(context))


def get_api_servers(context):
    if CONF.glance.api_servers:
        api_servers = CONF.glance.api_servers
        random.shuffle(api_servers)
    else:
        api_servers = [CONF.glance.catalogue_endpoint]
    return itertools.cycle(api_servers)


class GlanceClientWrapper:
    def __init__(self, context=None, endpoint=None):
        self.client = None
        if endpoint is not None:
            self.client = self._create_static_client(context, endpoint, 2)
        self.api_servers = None

    def _create_static_client(self, context, endpoint, version):
        self.api_server = str(endpoint)
        return _glanceclient_from_endpoint(context, endpoint, version)

    def _create_onetime_client(self, context, version):
        if self.api_servers is None:
            self.api_servers = get_api_servers(context)
        self.api_server = next(self.api_servers)
        return _glanceclient_from_endpoint(context, self.api_server, version)

    def call(  # noqa: RET503 as in nova
        self, context, version, method, controller=None, args=None, kwargs=None
    ):
        retry_excs = (
            glanceclient.exc.HTTPServiceUnavailable,
            glanceclient.exc.InvalidEndpoint,
            glanceclient.exc.CommunicationError,
            IOError,
        )
        num_attempts = 1 + CONF.glance.num_retries
        for attempt in range(1, num_attempts + 1):
            client = self.client or self._create_onetime_client(context, version)
            try:
                result = getattr(getattr(client, controller or "images"), method)(
                    *(args or []), **(kwargs or {})
                )
                if inspect.isgenerator(result):
                    return list(result)
                return result  # noqa: TRY300
            except retry_excs as e:
                LOG.exception("Error contacting %s for %s", self.api_server, method)
                if attempt == num_attempts:
                    raise exception.GlanceConnectionFailed(  # noqa: B904
                        server=str(self.api_server), reason=str(e)
                    )
                time.sleep(1)
