"""The proxies of results, and the checks of image data."""

import errno
import hashlib

import wrapt


class RequestIdProxy(wrapt.ObjectProxy):
    def __init__(self, wrapped):
        super().__init__(wrapped[0])
        self._self_wrapped = wrapped[0]
        self._self_request_ids = [_extract_request_id(wrapped[1])]

    @property
    def request_ids(self):
        return self._self_request_ids

    @property
    def wrapped(self):
        return self._self_wrapped

    def __next__(self):
        return next(self._self_wrapped)


class GeneratorProxy(wrapt.ObjectProxy):
    def __init__(self, wrapped):
        super().__init__(wrapped)
        self._self_wrapped = wrapped
        self._self_request_ids = []

    def __next__(self):
        thing, response = next(self._self_wrapped)
        self._self_request_ids = self._self_request_ids or [_extract_request_id(response)]
        return thing

    def __iter__(self):
        return self

    @property
    def request_ids(self):
        return self._self_request_ids

    @property
    def wrapped(self):
        return self._self_wrapped


def add_req_id_to_object():
    @wrapt.decorator
    def inner(wrapped, instance, args, kwargs):
        return RequestIdProxy(wrapped(*args, **kwargs))

    return inner


def add_req_id_to_generator():
    @wrapt.decorator
    def inner(wrapped, instance, args, kwargs):
        return GeneratorProxy(wrapped(*args, **kwargs))

    return inner


def _extract_request_id(response):
    return response.headers.get("x-openstack-request-id")


def serious_integrity_iter(iter, hasher, hash_value):  # noqa: A002
    for chunk in iter:
        yield chunk
        hasher.update(chunk)
    computed = hasher.hexdigest()
    if computed != hash_value:
        raise OSError(errno.EPIPE, f"Corrupt image download. Hash was {computed}")


def integrity_iter(iter, checksum):  # noqa: A002
    return serious_integrity_iter(iter, hashlib.md5(), checksum)


class IterableWithLength:
    def __init__(self, iterable, length):
        self.iterable = iterable
        self.length = length

    def __iter__(self):
        try:
            yield from self.iterable
        finally:
            self.iterable.close()

    def __next__(self):
        return next(self.iterable)

    def __len__(self):
        return self.length
