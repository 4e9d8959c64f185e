"""Tests of a client's failover, with python-glanceclient and Glance servers of the lab.

``pip install pytest python-glanceclient traced-image``, and then
``pytest test_glanceclient_failover.py``: the fixture ``glance_cluster`` is traced-image's.
"""

from __future__ import annotations

import pytest
from glanceclient import Client, exc

from traced_image.lab import faults

TIMEOUT = 0.3  # seconds
# python-glanceclient's name for a timeout is InvalidEndpoint.
ELSEWHERE = (exc.CommunicationError, exc.InvalidEndpoint, exc.HTTPServiceUnavailable)
FAULTS = {
    "dead": faults.refuse(),
    "reset": faults.reset(),
    "silent": faults.never_answer(),
    "overloaded": faults.status(503, retry_after=2),
    "dies amid the reply": faults.lost_reply(),
}


def show(urls: list[str], image_id: str) -> dict[str, object]:
    """Ask one server after the other, until one answers: the code that is tested here."""
    for url in urls:
        try:
            return dict(Client(endpoint=f"{url}/v2", timeout=TIMEOUT).images.get(image_id))
        except ELSEWHERE as error:
            failure = error
    raise failure


@pytest.fixture
def image_id(glance_cluster):
    return glance_cluster[0].images.add(name="cirros", data=b"...")


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_the_next_server_answers(glance_cluster, image_id, fault):
    glance_cluster[0].break_with(fault)
    image = show([server.url for server in glance_cluster], image_id)
    assert ("cirros", ()) == (image["name"], glance_cluster[2].access_log)


def test_a_missing_image_is_asked_for_once(glance_cluster):
    with pytest.raises(exc.HTTPNotFound):
        show([server.url for server in glance_cluster], "no-such-image")
    assert [1, 0, 0] == [len(server.access_log) for server in glance_cluster]


def test_the_last_failure_is_raised(glance_cluster, image_id):
    for server in glance_cluster:
        server.break_with(faults.refuse())
    with pytest.raises(exc.CommunicationError, match=str(glance_cluster[2].port)):
        show([server.url for server in glance_cluster], image_id)
