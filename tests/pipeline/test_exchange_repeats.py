"""Which answers to a change say that it was not carried out, so that the next server is asked."""

import pytest
from exchange import DATA, EFFECTS, READS, WRITES, names, upload

import traced_image
from traced_image import lab
from traced_image.lab import faults

BIG = b"x" * (24 << 20)
FAILED = (traced_image.AttemptError, traced_image.GlanceConnectionFailed)
PUT = {"method": "PUT", "path": r"/file$"}
VERSIONS = pytest.mark.parametrize("version", [1, 2], ids=["v1", "v2"])


@pytest.fixture
def pair(images, secrecy):
    with lab.cluster(2, images=images, tls=secrecy) as servers:
        yield servers


# --- A15, A16: refused, not carried out --------------------------------------------------------

NOT_CARRIED_OUT = [300, 301, 302, 307, 308, 421, 425]


def every_change(service, images, operation):
    """Make the change four times, on an image of its own each time; return what came of it."""
    ends = []
    for _ in range(4):
        for image in images.all():
            images.remove(image.id)
        image_id = images.add(name="cirros", data=DATA)
        WRITES[operation](service, image_id)
        ends.append(names(images))
    return ends


@VERSIONS
@pytest.mark.parametrize("operation", WRITES)
@pytest.mark.parametrize("status", NOT_CARRIED_OUT)
def test_a_change_that_was_refused_so_goes_to_the_next_server(
    open_service, pair, images, status, operation, version
):
    fault = faults.redirect(status, "/elsewhere") if status < 400 else faults.status(status)
    pair[0].break_with(fault)
    service = open_service(*pair, api_version=version)
    assert [EFFECTS[operation]] * 4 == every_change(service, images, operation)


@pytest.mark.parametrize("location", [None, "http://127.0.0.1:1/", "/v2/images", "::not a url"])
def test_it_does_not_matter_where_the_redirect_of_a_change_leads(
    open_service, pair, images, location
):
    pair[0].break_with(faults.redirect(307, location))
    assert [EFFECTS["create"]] * 4 == every_change(open_service(*pair), images, "create")


def test_a_token_follows_no_redirect(open_service, pair, images):
    pair[0].break_with(faults.redirect(307, f"{pair[1].url}/v2/images?stolen"))
    service = open_service(pair[0], auth_strategy="keystone", num_retries=0)
    context = traced_image.RequestContext(auth_token="secret")
    with pytest.raises(FAILED):
        service.create(context, {"name": "new"})
    assert [access.path for access in pair[1].access_log if "stolen" in access.path] == []


@pytest.mark.parametrize("status", [303, 429, 503])
def test_a_change_that_may_have_been_carried_out_is_not_repeated(
    open_service, pair, images, status
):
    fault = faults.redirect(303, "/v2/images/x") if status == 303 else faults.status(status)
    for server in pair:
        server.break_with(fault)
    with pytest.raises(FAILED):
        open_service(*pair).create(None, {"name": "new"})
    assert sum(len(server.access_log) for server in pair) == 1


@pytest.mark.parametrize("status", [408, 421, 425])
@pytest.mark.parametrize("operation", READS)
def test_a_read_goes_to_the_next_server(open_service, pair, image_id, status, operation):
    pair[0].break_with(faults.status(status))
    service = open_service(*pair)
    values = {str(READS[operation](service, image_id)) for _ in range(4)}
    assert len(values) == 1


def test_a_408_before_the_body_was_sent_goes_to_the_next_server(open_service, pair, images):
    pair[0].break_with(faults.early_answer(408, "half_close").only(**PUT))
    service = open_service(*pair)
    for _ in range(3):
        assert upload(service, data=BIG)["size"] == len(BIG)


def test_a_408_after_the_whole_body_is_not_repeated(open_service, pair):
    for server in pair:
        server.break_with(faults.status(408))
    with pytest.raises(FAILED):
        open_service(*pair).create(None, {"name": "new"})
    assert sum(len(server.access_log) for server in pair) == 1
