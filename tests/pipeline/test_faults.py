"""Every fault that a server can have, met by a call that another server saves, or must not."""

import pytest
from support import LIMIT

from traced_image import lab
from traced_image.errors import ImageNotAuthorized, ServerError, UnsafeToRepeat
from traced_image.lab import faults

BEFORE = {
    "refuse": (faults.refuse(), "connection_refused"),
    "untrusted_tls": (faults.untrusted_tls(), "tls_error"),
    "broken_tls": (faults.broken_tls(), "tls_error"),
}
"""Faults that no request gets past, and their reasons."""

AMBIGUOUS = {
    "reset": (faults.reset().only(path="/v2/"), "connection_reset"),
    "never_answer": (faults.never_answer(), "read_timeout"),
    "lost_reply": (faults.lost_reply(), "connection_reset"),
    "slow_headers": (faults.slow_headers(0.4), "read_timeout"),
    "cut_body": (faults.cut_body(), "protocol_error"),
    "wrong_length": (faults.wrong_length(5), "protocol_error"),
    "garbage_headers": (faults.garbage_headers(), "protocol_error"),
    "not_json": (faults.not_json(), "protocol_error"),
    "wrong_type": (faults.wrong_type(), "protocol_error"),
    "an empty object": (faults.wrong_type({}), "protocol_error"),
    "429": (faults.status(429), "429"),
    "502": (faults.status(502), "502"),
    "503": (faults.status(503, retry_after=1), "503"),
    "504": (faults.status(504), "504"),
}
"""Faults after which nobody knows whether a request was carried out, and their reasons."""

READ_ONLY = {
    "another image": (faults.wrong_type({"id": "another"}), "protocol_error"),
    "too few bytes are announced": (faults.wrong_length(-1), "protocol_error"),
    "slow_body": (faults.slow_body(0.4), "read_timeout"),
    "redirect_loop": (faults.redirect_loop(), "too_many_redirects"),
}
"""Faults that only the reply to a read shows."""


@pytest.fixture
def secure_three(images, tls):
    with lab.cluster(3, images=images, tls=tls) as servers:
        yield servers


@pytest.fixture
def service(secure_three, tls, opened, request):
    """A service that loses patience soon where a test is about that, and else never."""
    params = request.node.callspec.params if hasattr(request.node, "callspec") else {}
    seconds = 0.3 if params.get("reason") == "read_timeout" else LIMIT
    return opened.service(*secure_three, cafile=tls.cafile, read_timeout=seconds)


def told(service):
    """For each server, why it failed last."""
    return [health.last_reason for health in service.servers()]


@pytest.mark.parametrize("warm", [False, True], ids=["first call", "kept connection"])
@pytest.mark.parametrize(
    ("fault", "reason"),
    [*BEFORE.values(), *AMBIGUOUS.values(), *READ_ONLY.values()],
    ids=[*BEFORE, *AMBIGUOUS, *READ_ONLY],
)
def test_a_read_is_saved_by_another_server_and_the_right_one_is_named(
    service, secure_three, image_id, fault, reason, warm
):
    if warm:
        for _ in secure_three:
            service.show(None, image_id)
    secure_three[0].break_with(fault)
    assert service.show(None, image_id)["name"] == "cirros"
    assert told(service) == [reason, None, None]


@pytest.mark.parametrize(("fault", "reason"), BEFORE.values(), ids=BEFORE)
def test_a_change_that_reached_no_server_is_saved_by_another(
    service, secure_three, images, image_id, fault, reason
):
    secure_three[0].break_with(fault)
    service.delete(None, image_id)
    assert (images.get(image_id), told(service)) == (None, [reason, None, None])


@pytest.mark.parametrize(("fault", "reason"), AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_a_change_that_may_have_been_made_is_not_repeated(service, secure_three, fault, reason):
    secure_three[0].break_with(fault)
    with pytest.raises(UnsafeToRepeat, match="check before you try again") as caught:
        service.create(None, {"name": "new"})
    assert (caught.value.reason, secure_three[1].access_log) == (reason, ())


@pytest.mark.parametrize("status", [500, 501, 505, 599])
def test_a_server_s_own_error_is_told_at_once(service, secure_three, image_id, status):
    secure_three[0].break_with(faults.status(status))
    with pytest.raises(ServerError):
        service.show(None, image_id)
    assert (told(service), secure_three[1].access_log) == ([str(status), None, None], ())


def test_a_refusal_speaks_not_against_the_server(service, secure_three, image_id):
    secure_three[0].break_with(faults.status(403))
    with pytest.raises(ImageNotAuthorized):
        service.show(None, image_id)
    assert told(service) == [None, None, None]


def test_a_server_that_flaps_fails_no_call(service, secure_three, image_id):
    secure_three[0].break_with(faults.flapping(None, faults.status(503), faults.lost_reply()))
    names = {service.show(None, image_id)["name"] for _ in range(30)}
    assert names == {"cirros"}


def test_a_kept_connection_that_was_closed_accuses_nobody(service, secure_three, image_id):
    for _ in range(3):
        for _ in secure_three:
            service.show(None, image_id)
        for server in secure_three:
            server.break_with(faults.refuse())
            server.heal()
    assert told(service) == [None, None, None]
