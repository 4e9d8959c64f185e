"""clouds.yaml as a source, with Keystone's catalogue."""

import sys
import traceback

import pytest
import trustme
import yaml

from traced_image.config import load_config
from traced_image.errors import ConfigError, InvalidAuth, InvalidServer, MissingExtra

# openstacksdk 4.13, the last for Python 3.10, warns of a module that it imports itself.
pytestmark = pytest.mark.filterwarnings("ignore:The openstack.version module:DeprecationWarning")


@pytest.fixture
def clouds(tmp_path, credentials):
    """Write a clouds.yaml with one cloud, and return the environment that names it."""

    def write(_auth=None, **cloud):
        auth = {**credentials, **(_auth or {})}
        described = {"auth_type": "v3password", "auth": auth, **cloud}
        return raw(yaml.safe_dump({"clouds": {"devstack": described}}))

    def raw(text):
        path = tmp_path / "clouds.yaml"
        path.write_text(text)
        return {"OS_CLIENT_CONFIG_FILE": str(path), "OS_CLOUD": "devstack"}

    write.raw = raw
    return write


def test_the_server_is_looked_up_in_the_catalogue(clouds):
    assert "http://glance.example:9292" == load_config(environ=clouds()).servers[0].url


def test_the_cloud_authenticates(clouds):
    config = load_config(environ=clouds())
    assert ("keystone", "token-1") == (config.auth_strategy, config.auth.get_token())


def test_listed_servers_spare_the_catalogue(clouds, keystone):
    config = load_config(environ=clouds(), servers="a")
    assert ("a", 0) == (config.servers[0].host, keystone.issued)


def test_an_override_spares_the_catalogue(clouds, keystone):
    config = load_config(environ=clouds(image_endpoint_override="http://b/v2"))
    assert ("http://b:80", 0) == (config.servers[0].url, keystone.issued)


def test_the_name_of_the_cloud_may_be_an_argument(clouds):
    environ = {**clouds(), "OS_CLOUD": "other"}
    assert load_config(cloud="devstack", environ=environ).auth is not None


def test_the_interface_is_chosen_by_the_cloud(clouds, keystone):
    keystone.endpoints = [
        ("public", "RegionOne", "http://public"),
        ("internal", "RegionOne", "http://internal"),
    ]
    config = load_config(environ=clouds(interface="internal"))
    assert "internal" == config.servers[0].host


def test_several_interfaces_are_tried_in_order(clouds, keystone):
    config = load_config(environ=clouds(interface=["internal", "public"]))
    assert "glance.example" == config.servers[0].host


@pytest.mark.parametrize(("fields", "host"), [({}, "one"), ({"region_name": "Two"}, "two")])
def test_the_region_may_be_an_argument(clouds, keystone, fields, host):
    keystone.endpoints = [("public", "One", "http://one"), ("public", "Two", "http://two")]
    config = load_config(environ=clouds(regions=["One", "Two"]), **fields)
    assert host == config.servers[0].host


def test_a_region_that_the_cloud_does_not_have_is_refused(clouds):
    with pytest.raises(InvalidAuth, match="Three is not a valid region name"):
        load_config(environ=clouds(regions=["One", "Two"]), region_name="Three")


def test_the_region_is_taken_from_the_cloud(clouds):
    assert "RegionOne" == load_config(environ=clouds(region_name="RegionOne")).region_name


def test_a_region_of_another_type_is_refused(clouds):
    with pytest.raises(ConfigError, match="7 is not a name"):
        load_config(environ=clouds(), region_name=7)


def test_the_tls_settings_of_the_cloud_are_taken(clouds, tmp_path):
    ca, cert, key = (str(tmp_path / name) for name in ("ca", "cert", "key"))
    authority = trustme.CA()
    leaf = authority.issue_cert("a.example")
    authority.cert_pem.write_to_path(ca)
    leaf.cert_chain_pems[0].write_to_path(cert)
    leaf.private_key_pem.write_to_path(key)
    config = load_config(environ=clouds(cacert=ca, cert=cert, key=key), servers="a")
    assert (ca, cert, key) == (config.cafile, config.certfile, config.keyfile)


def test_a_key_goes_with_its_certificate(clouds, tmp_path):
    both, key = str(tmp_path / "both"), str(tmp_path / "key")
    authority = trustme.CA()
    authority.issue_cert("a.example").private_key_and_cert_chain_pem.write_to_path(both)
    authority.issue_cert("b.example").private_key_pem.write_to_path(key)
    environ = clouds(cert=both, key=key)
    assert load_config(environ=environ, servers="a", certfile=both).keyfile is None


def test_a_certificate_may_have_its_key(clouds, tmp_path):
    both = str(tmp_path / "both")
    trustme.CA().issue_cert("a.example").private_key_and_cert_chain_pem.write_to_path(both)
    config = load_config(environ=clouds(cert=both), servers="a")
    assert (both, None) == (config.certfile, config.keyfile)


def test_verify_false_is_insecure(clouds):
    assert load_config(environ=clouds(verify=False), servers="a").insecure


def test_a_cloud_without_authentication_sends_no_token(clouds):
    environ = clouds.raw(
        "clouds: {devstack: {auth_type: none, auth: {endpoint: 'http://glance:9292'}}}"
    )
    config = load_config(environ=environ)
    assert ("http://glance:9292", None) == (config.servers[0].url, config.auth)


def test_the_password_may_be_in_secure_yaml(clouds, credentials, tmp_path):
    environ = clouds({"password": "not this"})
    secure = tmp_path / "secure.yaml"
    secure.write_text(f"clouds: {{devstack: {{auth: {{password: {credentials['password']}}}}}}}")
    environ["OS_CLIENT_SECURE_FILE"] = str(secure)
    assert "token-1" == load_config(environ=environ).auth.get_token()


def test_other_variables_are_not_read(clouds, monkeypatch):
    monkeypatch.setenv("OS_PASSWORD", "not this")
    assert "token-1" == load_config(environ=clouds()).auth.get_token()


def test_noauth_above_a_cloud_drops_its_credentials(clouds):
    environ = {**clouds(), "TRACED_IMAGE_AUTH_STRATEGY": "noauth"}
    assert load_config(environ=environ, servers="a").auth is None


def test_a_cloud_lies_under_a_file(clouds, tmp_path):
    conf = tmp_path / "nova.conf"
    conf.write_text("[glance]\napi_servers = a\nregion_name = RegionOne\n")
    config = load_config(environ=clouds(regions=["RegionTwo", "RegionOne"]), config_file=conf)
    assert ("a", "RegionOne") == (config.servers[0].host, config.region_name)


def test_the_server_has_the_cloud_as_its_source(clouds):
    environ = clouds()
    expected = f"catalogue of cloud devstack in {environ['OS_CLIENT_CONFIG_FILE']}"
    assert expected == load_config(environ=environ).sources["servers"]


def test_a_plugin_as_an_argument_is_asked_for_the_catalogue(credentials):
    from keystoneauth1.identity import v3

    config = load_config(environ={}, auth=v3.Password(**credentials))
    assert "glance.example" == config.servers[0].host


def test_a_token_source_without_a_catalogue_needs_servers(credentials):
    from keystoneauth1.identity import v3
    from keystoneauth1.session import Session

    with pytest.raises(InvalidServer, match="no server is configured"):
        load_config(environ={}, auth=Session(auth=v3.Password(**credentials)))


def test_an_unknown_cloud_is_refused(clouds):
    with pytest.raises(InvalidAuth, match="Cloud nonesuch was not found"):
        load_config(environ=clouds(), cloud="nonesuch")


def test_a_missing_file_is_refused(tmp_path):
    environ = {"OS_CLIENT_CONFIG_FILE": str(tmp_path / "none.yaml"), "OS_CLOUD": "devstack"}
    with pytest.raises(InvalidAuth, match="devstack was not found"):
        load_config(environ=environ)


@pytest.mark.parametrize(
    "text",
    [
        "[1, 2]",
        "clouds: [devstack]",
        "clouds: {devstack: [1]}",
        "clouds: {devstack: {auth: s3cret}}",
        "clouds: {devstack: {auth_type: nonesuch, auth: {password: s3cret}}}",
        "clouds: {devstack: {auth_type: v3password, auth: {password: s3cret}}}",
        "clouds: {devstack: {password: s3cret\n",
    ],
)
def test_a_file_of_another_form_is_refused_without_its_secrets(clouds, text):
    with pytest.raises(ConfigError) as caught:
        load_config(environ=clouds.raw(text))
    told = "".join(traceback.format_exception(caught.value))
    assert (InvalidAuth, False) == (type(caught.value), "s3cret" in told)


def test_a_wrong_password_is_told_without_it(clouds):
    environ = clouds({"password": "wr0ng"})
    with pytest.raises(InvalidAuth) as caught:
        load_config(environ=environ)
    told = "".join(traceback.format_exception(caught.value))
    assert (True, False) == ("gave no catalogue" in told, "wr0ng" in told)


def test_what_keystone_says_is_told_without_its_secrets(clouds, keystone):
    keystone.refusal = "the token gAAAAABs3cret of https://nova:s3cret@keystone is not valid"
    with pytest.raises(InvalidAuth, match="the token REDACTED of https://REDACTED:REDACTED@key"):
        load_config(environ=clouds({"password": "wr0ng"}))


@pytest.mark.parametrize("token", ["s3cret\n", "s3cret\nx", "s3cret\u65e5"])
def test_a_token_that_no_header_can_contain_is_not_shown(keystone, token):
    environ = {"OS_AUTH_TYPE": "v3token", "OS_AUTH_URL": keystone.url, "OS_TOKEN": token}
    with pytest.raises(InvalidAuth) as caught:
        load_config(environ=environ)
    told = "".join(traceback.format_exception(caught.value))
    said = "in header value: 'REDACTED'" in told or "(not shown here)" in told
    assert (True, False) == (said, "s3cret" in told)


def test_what_openstacksdk_says_is_told_without_its_secrets(clouds):
    with pytest.raises(InvalidAuth, match="https://REDACTED:REDACTED@keystone"):
        load_config(environ=clouds(auth_type="https://nova:s3cret@keystone"))


def test_a_keystone_that_is_down_is_told(clouds):
    with pytest.raises(InvalidAuth, match="gave no catalogue"):
        load_config(environ=clouds({"auth_url": "http://127.0.0.1:1/v3"}))


def test_a_catalogue_without_the_region_is_told(clouds):
    with pytest.raises(InvalidAuth, match="no public image endpoint in region Nowhere"):
        load_config(environ=clouds(region_name="Nowhere"))


def test_a_catalogue_without_images_is_told(clouds, keystone):
    keystone.endpoints = []
    with pytest.raises(InvalidAuth, match="no public image endpoint in any region"):
        load_config(environ=clouds())


def test_a_bad_endpoint_is_told_with_its_source(clouds, keystone):
    keystone.endpoints = [("public", "RegionOne", "ftp://glance")]
    with pytest.raises(InvalidServer, match=r"from catalogue of cloud devstack.*'ftp'"):
        load_config(environ=clouds())


def test_a_missing_extra_is_named(clouds, monkeypatch):
    monkeypatch.setitem(sys.modules, "openstack.config.loader", None)
    monkeypatch.delitem(sys.modules, "traced_image.config.clouds", raising=False)
    with pytest.raises(MissingExtra, match=r"pip install 'traced-image\[keystone\]'"):
        load_config(environ=clouds())
