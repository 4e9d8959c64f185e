"""The values of the pipeline, and its seam."""

import dataclasses
import time

import pytest
from support import operation_of, servers

from traced_image import RequestContext
from traced_image.pipeline.api.operation import Reply
from traced_image.pipeline.attempts.seams import Layers, layered
from traced_image.pipeline.clock import Clock, double
from traced_image.pipeline.context import SERVICE


def _inner(value):
    return [value]


def _adding(word):
    def layer(inner):
        return lambda value: [f"<{word}", *inner(value), f"{word}>"]

    return layer


def test_without_layers_a_callable_is_itself():
    assert layered(_inner, ()) is _inner


def test_the_first_layer_is_the_outermost():
    wrapped = layered(_inner, (_adding("a"), _adding("b")))

    assert ["<a", "<b", "x", "b>", "a>"] == wrapped("x")


def test_layers_may_come_from_anything_that_can_be_gone_through():
    wrapped = layered(_inner, iter([_adding("a"), _adding("b")]))

    assert ["<a", "<b", "x", "b>", "a>"] == wrapped("x")


def test_a_pipeline_is_observed_by_nothing_unless_it_is_told():
    assert ((), (), (), (), (), ()) == dataclasses.astuple(Layers())


@pytest.mark.parametrize(
    ("name", "action"), [("images.get", "get"), ("image_members.create", "create"), ("get", "get")]
)
def test_the_action_of_an_operation_is_the_method_that_the_seed_logs(name, action):
    assert action == operation_of(name).action


def test_a_reply_tells_where_it_comes_from():
    assert "glance-1:9292" == Reply(200, {}, b"", servers(1)[0]).origin


def test_the_clock_is_that_of_the_system():
    clock = Clock()

    assert (time.monotonic, time.time, time.sleep) == (clock.monotonic, clock.time, clock.sleep)


@pytest.mark.parametrize(
    ("base", "times", "cap", "seconds"),
    [
        (0.5, 0, 8.0, 0.5),
        (0.5, 1, 8.0, 1.0),
        (0.5, 4, 8.0, 8.0),
        (0.5, 5, 8.0, 8.0),
        (0.0, 100_000, 8.0, 0.0),
        (1.0, 100_000, 8.0, 8.0),
        (1e308, 100_000, 1e308, 1e308),
        (5.0, 0, 1.0, 1.0),
        (1e-300, 1_000, 8.0, 8.0),
    ],
)
def test_a_wait_doubles_up_to_its_cap(base, times, cap, seconds):
    assert seconds == double(base, times, cap)


def test_a_context_does_not_show_its_token():
    assert "secret" not in repr(RequestContext(auth_token="secret", user_id="u"))


@pytest.mark.parametrize(
    ("own", "of_another", "sent"),
    [
        ("req-1", "req-2", "req-2"),
        ("req-1", None, "req-1"),
        (None, None, None),
    ],
)
def test_the_request_that_others_belong_to_is_the_one_to_send(own, of_another, sent):
    context = RequestContext(request_id=own, global_request_id=of_another)

    assert sent == context.global_id


def test_the_service_itself_may_see_every_image():
    assert (True, None) == (SERVICE.is_admin, SERVICE.auth_token)
