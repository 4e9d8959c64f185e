"""Faults as values: what can be built, and what can't."""

import pytest

from traced_image.errors import InvalidArgument
from traced_image.lab import faults
from traced_image.lab.http1 import ReceivedRequest

CONNECTION_ONLY = [
    faults.refuse(),
    faults.untrusted_tls(),
    faults.broken_tls(),
    faults.plain_http(),
    faults.silent_tls(),
    faults.demand_certificate(),
    faults.never_read(),
    faults.black_hole(),
    faults.expiring_tls(),
]
EVERY = [
    *CONNECTION_ONLY,
    faults.reset(),
    faults.never_answer(),
    faults.lost_reply(),
    faults.slow_headers(0.1),
    faults.slow_body(0.1),
    faults.cut_body(),
    faults.wrong_length(),
    faults.garbage_headers(),
    faults.not_json(),
    faults.wrong_type(),
    faults.status(500),
    faults.redirect_loop(),
    faults.corrupt_data(),
    faults.flapping(None),
    faults.bad_chunk(),
    faults.chunked(),
    faults.delay(1),
    faults.early_answer(413),
    faults.endless_body(),
    faults.endless_headers(),
    faults.endless_pages(),
    faults.extra_reply(),
    faults.framing(),
    faults.huge_json(),
    faults.interim_replies(),
    faults.many_headers(),
    faults.new_cookies(),
    faults.raw_reply(b""),
    faults.redirect(301, "/"),
    faults.slow_error(),
    faults.unexpected_body(),
    faults.cut_upload(),
    faults.haproxy_error(),
    faults.limit_rate(send=1),
    faults.nginx_error(),
]


def names(fault):
    return fault.name


def test_every_kind_has_a_name_of_its_own():
    assert len(EVERY) == len({fault.name for fault in EVERY})


@pytest.mark.parametrize("fault", EVERY, ids=names)
def test_a_fault_is_equal_to_another_of_its_kind_and_can_be_hashed(fault):
    assert {fault} == {EVERY[EVERY.index(fault)]}


def test_only_leaves_the_fault_that_it_narrows_as_it_was():
    fault = faults.status(500)
    fault.only(method="PUT")
    assert fault == faults.status(500)


def test_only_keeps_what_an_earlier_only_said():
    fault = faults.status(500).only(method="put").only(path="/file$")
    assert (fault.method, fault.path) == ("PUT", "/file$")


@pytest.mark.parametrize(
    ("method", "target", "met"),
    [
        ("PUT", "/v2/images/x/file", True),
        ("PUT", "/v2/images/x/file?a=b", True),
        ("GET", "/v2/images/x/file", False),
        ("PUT", "/v2/images/x", False),
    ],
)
def test_a_narrowed_fault_meets_its_requests_only(method, target, met):
    fault = faults.status(500).only(method="PUT", path=r"/file$")
    assert met == fault.meets(ReceivedRequest(method, target))


@pytest.mark.parametrize("fault", CONNECTION_ONLY, ids=names)
def test_what_affects_connections_can_not_be_narrowed(fault):
    with pytest.raises(InvalidArgument, match="don't narrow it"):
        fault.only(method="GET")


@pytest.mark.parametrize("fault", CONNECTION_ONLY, ids=names)
def test_what_affects_connections_can_not_come_after_its_effect(fault):
    with pytest.raises(InvalidArgument, match="no request is carried out"):
        fault.after_effect()


def test_an_early_answer_can_not_come_after_its_effect():
    with pytest.raises(InvalidArgument, match="reads no body"):
        faults.early_answer(503).after_effect()


def test_every_function_that_makes_a_fault_is_tried_here():
    made = {name for name in faults.__all__ if name != "Fault"}
    assert made == {fault.name for fault in EVERY}


def test_chunks_without_bytes_are_refused():
    with pytest.raises(InvalidArgument, match="give a number from 1"):
        faults.chunked(0)


def test_after_effect_carries_the_request_out():
    assert (
        faults.status(503).carried_out,
        faults.status(503).after_effect().carried_out,
    ) == (False, True)


def test_times_below_one_is_refused():
    with pytest.raises(InvalidArgument, match="give a number from 1"):
        faults.reset().times(0)


def test_refused_connections_can_not_be_counted():
    with pytest.raises(InvalidArgument, match=r"use during\(\) or heal"):
        faults.refuse().times(1)


@pytest.mark.parametrize(
    "fault",
    [*CONNECTION_ONLY, faults.reset().times(1), faults.flapping(None)],
    ids=names,
)
def test_flapping_takes_no_fault_that_can_not_strike_per_request(fault):
    with pytest.raises(InvalidArgument, match="can't be one of flapping's faults"):
        faults.flapping(None, fault)


def test_flapping_needs_something_to_alternate():
    with pytest.raises(InvalidArgument, match="at least one"):
        faults.flapping()
