"""Tokens: whose is sent, when it is renewed, and when it must not be."""

import os
import subprocess
import sys
import time
from contextlib import ExitStack

import pytest
from parts.outage import under_load

import traced_image
from traced_image import RequestContext
from traced_image.errors import (
    Forbidden,
    ImageNotAuthorized,
    ImageNotFound,
    InvalidAuth,
    TokenUnavailable,
)

# openstacksdk warns whoever reads a clouds.yaml with it about parts of itself.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:openstack"),
    pytest.mark.filterwarnings("ignore::PendingDeprecationWarning:openstack"),
]

LIFE = 600.0  # seconds for which an application credential is valid
LIMIT = 30.0  # seconds for a short token to expire


class Counting:
    """A source of tokens that counts what it is asked for."""

    def __init__(self, source):
        self._source = source
        self.invalidated = 0
        self.asked = 0

    def get_token(self):
        self.asked += 1
        return self._source.get_token()

    def invalidate(self):
        self.invalidated += 1
        return self._source.invalidate()


@pytest.fixture
def tokens(keystone):
    """`owner`'s tokens, counted."""
    return Counting(keystone.session(keystone.auth("owner")))


@pytest.fixture
def counted_service(keystone, tokens):
    """A service that has `tokens`."""
    servers = [keystone.glance.url]
    connected = traced_image.connect(servers=servers, auth=tokens, telemetry=False)
    yield connected
    connected.close()


@pytest.fixture(scope="module")
def owned(keystone):
    """The id of an image of `owner`'s project."""
    auth = keystone.session(keystone.auth("owner"))
    service = traced_image.connect(servers=[keystone.glance.url], auth=auth, telemetry=False)
    image = service.create(None, {"name": "owned"})
    service.close()
    return image["id"]


def test_a_token_that_became_invalid_is_renewed(keystone, counted_service, tokens, owned):
    counted_service.show(None, owned)
    keystone.revoke(tokens.get_token())
    assert owned == counted_service.show(None, owned)["id"]


def test_a_token_that_became_invalid_is_renewed_once(keystone, counted_service, tokens, owned):
    counted_service.show(None, owned)
    keystone.revoke(tokens.get_token())
    for _ in range(3):
        counted_service.show(None, owned)
    assert tokens.invalidated == 1


def test_no_call_of_a_running_loop_fails_when_the_token_becomes_invalid(
    keystone, counted_service, tokens, owned
):
    loop = under_load(
        lambda: counted_service.show(None, owned),
        lambda: keystone.revoke(tokens.get_token()),
        calls=6,
    )
    assert loop.errors == []


def test_a_refusal_that_is_not_the_tokens_fault_renews_nothing(keystone, owned):
    tokens = Counting(keystone.session(keystone.auth("stranger")))
    service = traced_image.connect(servers=[keystone.glance.url], auth=tokens, telemetry=False)
    with pytest.raises(ImageNotFound):
        service.show(None, owned)
    service.close()
    assert tokens.invalidated == 0


def test_the_callers_token_is_sent_rather_than_the_services(keystone, counted_service, owned):
    context = RequestContext(auth_token=keystone.token("stranger"))
    with pytest.raises(ImageNotFound):
        counted_service.show(context, owned)


@pytest.fixture(scope="module")
def expired_token(keystone):
    """A token whose time is over."""
    token = keystone.token_for("owner", seconds=3)  # a busy Keystone takes one second to make it
    end = time.monotonic() + LIMIT
    while keystone.takes(token) and time.monotonic() < end:
        time.sleep(0.1)
    return token


@pytest.fixture(params=["made up", "revoked", "expired"])
def bad_token(request, keystone):
    """A token that Keystone does not take, or does no longer."""
    if request.param == "made up":
        return "gAAAAAmade-up"
    if request.param == "revoked":
        token = keystone.token("owner")
        keystone.revoke(token)
        return token
    return request.getfixturevalue("expired_token")


def test_a_callers_bad_token_is_not_authorized(counted_service, owned, bad_token):
    with pytest.raises(ImageNotAuthorized):
        counted_service.show(RequestContext(auth_token=bad_token), owned)


def test_a_callers_bad_token_is_not_replaced_by_the_services(
    counted_service, tokens, owned, bad_token
):
    with pytest.raises(ImageNotAuthorized):
        counted_service.show(RequestContext(auth_token=bad_token), owned)
    assert (tokens.asked, tokens.invalidated) == (0, 0)


def test_a_callers_bad_token_is_in_no_message(counted_service, owned, bad_token):
    with pytest.raises(ImageNotAuthorized) as raised:
        counted_service.show(RequestContext(auth_token=bad_token), owned)
    assert bad_token not in f"{raised.value!r}{raised.value.__cause__!r}"


def test_a_keystone_that_is_gone_gives_no_token(keystone, owned):
    auth = keystone.session(keystone.auth("owner"))
    service = traced_image.connect(servers=[keystone.glance.url], auth=auth, telemetry=False)
    keystone.keystone.kill()
    try:
        with pytest.raises(TokenUnavailable):
            service.show(None, owned)
    finally:
        keystone.keystone.restart()
        service.close()


def test_a_glance_that_can_not_ask_a_killed_keystone_is_not_accused(keystone, owned):
    """It answers 401 to a token that was valid, which then can't be renewed."""
    auth = keystone.auth("owner")
    service = traced_image.connect(servers=[keystone.glance.url], auth=auth, telemetry=False)
    service.show(None, owned)
    keystone.keystone.kill()
    try:
        with pytest.raises(TokenUnavailable) as caught:
            service.show(None, owned)
        (server,) = service.servers()
    finally:
        keystone.keystone.restart()
        service.close()
    assert ("connection_refused", None) == (caught.value.reason, server.last_failure)


@pytest.fixture
def connect_to(keystone):
    """Connects to a cloud of the clouds.yaml by its name, without naming any server."""
    with ExitStack() as stack:
        environ = {"OS_CLIENT_CONFIG_FILE": str(keystone.clouds_file)}

        def connect(cloud, **fields):
            service = traced_image.connect(cloud=cloud, environ=environ, telemetry=False, **fields)
            stack.callback(service.close)
            return service

        yield connect


def test_a_cloud_gives_the_endpoint_of_the_catalogue(connect_to, keystone):
    servers = [health.server.url for health in connect_to("owner").servers()]
    assert [keystone.glance.url] == servers


def test_a_clouds_endpoint_gives_way_to_servers_that_are_given(connect_to):
    servers = [health.server.port for health in connect_to("owner", servers=["glance"]).servers()]
    assert servers == [9292]


def test_a_cloud_gives_the_token(connect_to, owned):
    assert owned == connect_to("owner").show(None, owned)["id"]


def test_a_clouds_token_is_renewed_when_it_became_invalid(connect_to, keystone, owned):
    service = connect_to("owner")
    service.show(None, owned)
    keystone.revoke(service.config.auth.get_token())
    assert owned == service.show(None, owned)["id"]


def test_a_clouds_reader_may_not_create(connect_to):
    with pytest.raises(Forbidden):
        connect_to("reader").create(None, {"name": "not mine to make"})


def test_a_cloud_with_a_region_that_the_catalogue_has_not(connect_to):
    with pytest.raises(InvalidAuth):
        connect_to("owner", region_name="Nowhere")


@pytest.fixture(params=["password", "application credential", "token"])
def openrc(request, keystone):
    """The variables of an openrc file of `owner`, as Horizon writes it."""
    common = {"OS_AUTH_URL": keystone.auth_url, "OS_REGION_NAME": "RegionOne"}
    common |= {"OS_INTERFACE": "public", "OS_IDENTITY_API_VERSION": "3"}
    if request.param == "application credential":
        credential, secret = keystone.application_credential("owner", LIFE)
        return common | {
            "OS_AUTH_TYPE": "v3applicationcredential",
            "OS_APPLICATION_CREDENTIAL_ID": credential,
            "OS_APPLICATION_CREDENTIAL_SECRET": secret,
        }
    project = {"OS_PROJECT_NAME": "project", "OS_PROJECT_DOMAIN_ID": "default"}
    if request.param == "token":
        return common | project | {"OS_TOKEN": keystone.token("owner")}
    user = {"OS_USERNAME": "owner", "OS_PASSWORD": "owner", "OS_USER_DOMAIN_NAME": "Default"}
    return common | project | user


def run(environ, *arguments):
    """Run a module of the product as an operator does; its exit status and its output."""
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, **environ},
        timeout=60,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("more", [[], ["--os-cloud", "envvars"]], ids=["alone", "named"])
def test_the_program_lists_images_with_an_openrc(openrc, owned, more):
    status, out, err = run(openrc, "traced_image", "list", *more)
    assert (0, True, "") == (status, owned in out, err)


def test_the_program_probes_the_catalogues_server_with_an_openrc(openrc, keystone):
    status, out, err = run(openrc, "traced_image", "servers")
    assert (0, True, "") == (status, str(keystone.glance.port) in out, err)


@pytest.mark.usefixtures("owned")
@pytest.mark.parametrize("openrc", ["password"], indirect=True)
def test_the_demonstration_calls_a_server_with_an_openrc(openrc, keystone):
    status, _, err = run(openrc, "traced_image.demo", "--server", keystone.glance.url)
    assert (0, "") == (status, err)
