"""An exchange over a connection that fails as it is told to."""

import math

import pytest
import requests

from traced_image.pipeline.http.connection import StaleConnectionError
from traced_image.pipeline.http.exchange import HTTPExchange
from traced_image.pipeline.http.time_limits import TimeLimits


class Broken:
    """A connection whose other end has gone before the request was sent."""

    peer = ("127.0.0.1", 9292)

    def __init__(self, *, used):
        self.used = used
        self.closed = False

    def send(self, _data, _limits):
        raise BrokenPipeError("the other end has gone")

    def receive(self, _size, _limits):
        raise ConnectionResetError("the other end has gone")

    def close(self):
        self.closed = True


def exchange_over(connection, limits):
    return HTTPExchange(lambda *_: connection, lambda _: None, limits, "http://glance", "Host: x")


def request(**headers):
    prepared = requests.PreparedRequest()
    prepared.method, prepared.url, prepared.headers = "GET", "http://glance/v2/images", headers
    return prepared


@pytest.mark.parametrize(
    ("used", "error"), [(True, StaleConnectionError), (False, BrokenPipeError)]
)
def test_only_a_connection_that_was_used_before_is_stale(used, error):
    connection = Broken(used=used)
    with pytest.raises(error):
        exchange_over(connection, TimeLimits(1.0, 1.0)).send(request())
    assert connection.closed


def test_a_request_that_is_sent_again_has_all_its_time():
    limits = TimeLimits(1.0, 1.0)
    with pytest.raises(StaleConnectionError):
        exchange_over(Broken(used=True), limits).send(request())
    assert math.inf == limits.until


@pytest.mark.parametrize("value", ["a\r\nX: y", "a\nb", "a\rb", "a\0b", "\u0141"])
def test_a_header_that_http_can_not_carry_is_not_sent(value):
    with pytest.raises(ValueError, match=r"line break|latin-1"):
        exchange_over(Broken(used=False), TimeLimits(1.0, 1.0)).send(request(Name=value))
