"""What a server refuses and another one answers."""

from __future__ import annotations

import pytest

from traced_image.diagnosis.observations import Tally
from traced_image.diagnosis.refusals import find_unlike, sum_up


def answered(refused, fine, job="api", operation="images.get", reason="401"):
    return (Tally(job, operation, reason, refused), Tally(job, operation, "", fine))


@pytest.mark.parametrize(
    ("servers", "unlike"),
    [
        ({"a": answered(20, 0), "b": answered(0, 20)}, ["a"]),
        # For an hour it answered.
        ({"a": answered(20, 180), "b": answered(0, 200)}, ["a"]),
        ({"a": answered(20, 0), "b": answered(20, 0), "c": answered(0, 20)}, ["a", "b"]),
        # It has few refusals, as all have by chance.
        ({"a": answered(9, 0), "b": answered(0, 20)}, []),
        # The other one was asked too seldom.
        ({"a": answered(20, 0), "b": answered(0, 19)}, []),
        # All refuse it: the request is wrong.
        ({"a": answered(20, 0), "b": answered(20, 0)}, []),
        ({"a": answered(20, 80), "b": answered(3, 97)}, []),
        # Somebody else asks the other one, or for something else.
        ({"a": answered(20, 0), "b": answered(0, 20, job="cache")}, []),
        ({"a": answered(20, 0), "b": answered(0, 20, operation="images.list")}, []),
    ],
)
def test_a_server_refuses_alone_what_another_one_answers(servers, unlike):
    assert unlike == [*find_unlike(servers)]


def test_what_a_server_refuses_as_others_do_is_left_out():
    upload = answered(20, 0, operation="images.upload", reason="403")
    unlike = find_unlike({"a": (*upload, *answered(1, 9)), "b": answered(0, 20)})
    assert {} == unlike
    fine = answered(0, 20, operation="images.upload")
    unlike = find_unlike({"a": (*upload, *answered(1, 9)), "b": (*fine, *answered(0, 20))})
    assert {"a": upload} == unlike


def test_refusals_are_added_by_reason():
    assert {"401": 25.0, "404": 2.0} == sum_up(
        [answered(20, 9), (*answered(5, 0), *answered(2, 1, reason="404"))]
    )


def test_no_refusals_are_no_reasons():
    assert {} == sum_up([answered(0, 9)])
