"""The fuzzer finds what it looks for: its judges, its markers, its mutations."""

import random
from types import SimpleNamespace

import pytest
from fuzz_judges import Run, is_data, is_stored
from fuzz_operations import OPERATIONS
from fuzz_telemetry import Counted
from fuzzing import judge_error
from mutations import Plan, Sources, mutate
from replying_server import Scene, find_others, make_marker

from traced_image import GlanceConnectionFailed, RetryPolicy, connect, errors, lab

BY_NAME = {operation.name: operation for operation in OPERATIONS}


@pytest.fixture
def run():
    return Run(SimpleNamespace(), SimpleNamespace(), Scene(1, 1))


def test_every_method_of_the_api_is_performed():
    from traced_image.pipeline.client import OPERATIONS as METHODS

    names = {f"v1 {name}" for name in METHODS[1]} | set(METHODS[2])
    assert set() == names - set(BY_NAME)


def test_every_method_of_the_service_is_performed():
    from traced_image import GlanceImageService

    methods = {name for name in vars(GlanceImageService) if not name.startswith("_")}
    performed = {name.removeprefix("service.").partition(" ")[0] for name in BY_NAME}
    assert {"config", "servers", "close", "closed", "reject"} == methods - performed


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("service.show", AttributeError("x")),
        ("service.show", errors.InvalidArgument("x")),
        ("service.show", errors.ImageDeleteConflict("x")),
        ("get", errors.ImageNotFound("x")),
        ("service.show", errors.UnsafeToRepeat("u", errors.Reason("500"), "x")),
        ("get", errors.NotFound(f"left over: {make_marker(2)}")),
        ("get", errors.NotFound("x", request_id=f"req-{make_marker(2)}")),
    ],
    ids=repr,
)
def test_an_error_that_an_operation_must_not_end_with_is_found(run, name, error):
    assert judge_error(BY_NAME[name], run, error) is not None


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("service.show", errors.ImageNotFound("x")),
        ("service.delete", errors.ImageDeleteConflict("x")),
        ("upload", errors.UnsafeToRepeat("u", errors.Reason("500"), "x")),
        ("get", errors.NotFound(make_marker(1))),
    ],
    ids=repr,
)
def test_an_error_that_an_operation_may_end_with_is_none(run, name, error):
    assert judge_error(BY_NAME[name], run, error) is None


def test_other_data_is_found(run):
    assert is_data(run, run.scene.data[:-1]) is not None


def test_an_image_without_its_data_is_found(run):
    assert is_stored(run, {"status": "queued", "size": None}) is not None


def test_a_marker_with_a_flipped_byte_is_none():
    assert [] == find_others(make_marker(2).replace("2x", "3x"), make_marker(1))


def test_the_same_seed_makes_the_same_mutations():
    def make():
        plan = Plan(b"HTTP/1.1 200 OK", [b"Content-Length: 2"], b"{}")
        return mutate(plan, random.Random(5), Sources(b"other", b"{}", [b"/x"])).wire()

    assert make() == make()


def test_an_attempt_that_had_too_little_time_adds_up():
    counted = Counted()
    with lab.cluster(2) as servers:
        for server in servers:
            server.break_with(lab.faults.never_answer())
        with (
            connect(
                servers=[server.url for server in servers],
                num_retries=1,
                retry=RetryPolicy(backoff_base=0.001, budget_share=None),
                read_timeout=0.4,
                deadline=0.6,
                telemetry=counted.telemetry,
            ) as service,
            pytest.raises(GlanceConnectionFailed) as raised,
        ):
            service.detail(None, limit=1)
    assert ["cancelled"] == [raised.value.__cause__.verdict]
    assert [] == counted.unbalanced()
