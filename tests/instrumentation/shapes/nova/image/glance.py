"""The image service: each call is tried on one server after the other."""

import inspect
import itertools
import random
import time

import glanceclient
import glanceclient.exc
from keystoneauth1 import adapter
from keystoneauth1 import session as ksa_session

from nova import exception
from nova.conf import CONF

_SESSION = ksa_session.Session()


def _glanceclient_from_endpoint(context, endpoint, version):
    return glanceclient.Client(
        version,
        session=_SESSION,
        auth=context.get_auth_plugin(),
        endpoint_override=endpoint,
        global_request_id=context.global_id,
    )


def get_api_servers(context):
    servers = CONF.glance.api_servers
    if servers:
        random.shuffle(servers)
        return itertools.cycle(servers)
    auth = context.get_auth_plugin()
    return itertools.cycle([adapter.Adapter(_SESSION, "image", auth=auth).get_endpoint()])


class GlanceClientWrapper:
    def __init__(self, context=None, endpoint=None):
        self.client = self._create_static_client(context, endpoint, 2) if endpoint else None
        self.api_servers = None

    def _create_static_client(self, context, endpoint, version):
        self.api_server = endpoint
        return _glanceclient_from_endpoint(context, endpoint, version)

    def _create_onetime_client(self, context, version):
        self.api_servers = self.api_servers or get_api_servers(context)
        self.api_server = next(self.api_servers)
        return _glanceclient_from_endpoint(context, self.api_server, version)

    def call(self, context, version, method, controller=None, args=None, kwargs=None):
        excs = glanceclient.exc
        retried = (
            excs.HTTPServiceUnavailable,
            excs.InvalidEndpoint,
            excs.CommunicationError,
            OSError,
        )
        for left in range(CONF.glance.num_retries, -1, -1):
            client = self.client or self._create_onetime_client(context, version)
            try:
                function = getattr(getattr(client, controller or "images"), method)
                result = function(*(args or []), **(kwargs or {}))
                return list(result) if inspect.isgenerator(result) else result
            except retried as e:
                if not left:
                    raise exception.GlanceConnectionFailed(  # noqa: B904
                        server=self.api_server, reason=str(e)
                    )
                time.sleep(1)
        return None


class GlanceImageServiceV2:
    def __init__(self, client=None):
        self._client = client or GlanceClientWrapper()

    def rbd_download(self, context, url_parts, dst_path, metadata=None):
        from nova.storage import rbd_utils

        _, pool, image_id, snapshot = url_parts.path.split("/")
        driver = rbd_utils.RBDDriver(user=None, pool=pool)
        try:
            driver.export_image(dst_path, image_id, snapshot, pool)
        except Exception:  # noqa: BLE001
            raise exception.CouldNotFetchImage(image_id=image_id)  # noqa: B904
