"""The image service: it calls openstacksdk's image proxy, and retries."""

import functools
import time
import types

from keystoneauth1 import exceptions as ks_exception
from openstack.connection import exceptions as openstack_exc

from ironic.common import exception


def retry(function):
    settings = types.SimpleNamespace(num_retries=0, sleep=time.sleep)

    @functools.wraps(function)
    def wrapped(*args, **kwargs):
        left = settings.num_retries
        while True:
            try:
                return function(*args, **kwargs)
            except exception.GlanceConnectionFailed:
                if not left:
                    raise
                left -= 1
                settings.sleep(1)

    wrapped.retry = settings
    return wrapped


def _translate_image_exception(image_id, exc_value):
    if isinstance(exc_value, openstack_exc.ForbiddenException):
        return exception.ImageNotAuthorized(image_id=image_id)
    if isinstance(exc_value, openstack_exc.NotFoundException):
        return exception.ImageNotFound(image_id=image_id)
    if isinstance(exc_value, openstack_exc.BadRequestException):
        return exception.Invalid(exc_value)
    return exc_value


class GlanceImageService:
    def __init__(self, client=None, context=None):
        self.client = client
        self.context = context
        self.endpoint = None

    @retry
    def call(self, method, *args, **kwargs):
        try:
            return getattr(self.client, method)(*args, **kwargs)
        except openstack_exc.SDKException as error:
            new = _translate_image_exception(args[0], error)
            if isinstance(new, exception.IronicException):
                raise type(new)(new) from None
        except ks_exception.ClientException as error:
            raise exception.GlanceConnectionFailed(endpoint=self.endpoint, reason=error)  # noqa: B904
