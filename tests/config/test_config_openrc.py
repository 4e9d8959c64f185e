"""The `OS_` variables that an openrc file sets, as a source."""

import sys
import traceback

import pytest
import trustme
from keystoneauth1.identity import v3

from traced_image.config import load_config
from traced_image.errors import ConfigError, InvalidAuth, InvalidServer, MissingExtra

# openstacksdk 4.13, the last for Python 3.10, warns of a module that it imports itself.
pytestmark = pytest.mark.filterwarnings("ignore:The openstack.version module:DeprecationWarning")


@pytest.fixture
def openrc(credentials):
    """Return the variables of an openrc file for the stub; None leaves one out."""

    def write(**changes):
        variables = {f"OS_{name.upper()}": value for name, value in credentials.items()}
        variables |= {"OS_REGION_NAME": "RegionOne", "OS_INTERFACE": "public"}
        variables |= {"OS_IDENTITY_API_VERSION": "3", **changes}
        return {name: value for name, value in variables.items() if value is not None}

    return write


@pytest.mark.parametrize("cloud", [None, "envvars"])
def test_the_server_is_looked_up_in_the_catalogue(openrc, cloud):
    config = load_config(environ=openrc(), cloud=cloud)
    assert "http://glance.example:9292" == config.servers[0].url


@pytest.mark.parametrize("fields", [{}, {"servers": "a"}])
def test_the_variables_authenticate(openrc, fields):
    config = load_config(environ=openrc(), **fields)
    assert ("keystone", "token-1") == (config.auth_strategy, config.auth.get_token())


@pytest.mark.parametrize(
    "environ",
    [{"OS_CLOUD": "envvars"}, {"OS_CLOUD": "shell", "OS_CLOUD_NAME": "shell"}],
)
def test_a_variable_may_name_the_environment_s_cloud(openrc, environ):
    assert "token-1" == load_config(environ={**openrc(), **environ}).auth.get_token()


def test_only_the_environment_that_is_given_is_read(openrc, monkeypatch):
    monkeypatch.setenv("OS_PASSWORD", "not this")
    assert "token-1" == load_config(environ=openrc()).auth.get_token()


@pytest.mark.parametrize("odd", ["\x1b[31m", "\r\n"])
def test_a_refusal_has_no_control_character(openrc, odd):
    with pytest.raises(InvalidAuth, match="could not be found") as caught:
        load_config(environ=openrc(OS_AUTH_TYPE=f"v3{odd}password"))
    assert str(caught.value).isprintable()


def test_no_clouds_yaml_is_read(openrc, tmp_path):
    path = tmp_path / "clouds.yaml"
    path.write_text("[1, 2]")
    environ = openrc(OS_CLIENT_CONFIG_FILE=str(path))
    assert "token-1" == load_config(environ=environ).auth.get_token()


@pytest.mark.parametrize(
    ("changes", "host"),
    [
        ({}, "public"),
        ({"OS_INTERFACE": "internal"}, "internal"),
        ({"OS_INTERFACE": None, "OS_ENDPOINT_TYPE": "internalURL"}, "internal"),
        ({"OS_INTERFACE": None}, "public"),
        ({"OS_REGION_NAME": "Two"}, "two"),
        ({"OS_IMAGE_ENDPOINT_OVERRIDE": "http://override"}, "override"),
        ({"TRACED_IMAGE_REGION_NAME": "Two"}, "two"),
        ({"TRACED_IMAGE_SERVERS": "listed"}, "listed"),
    ],
)
def test_where_the_server_is_taken_from(openrc, keystone, changes, host):
    keystone.endpoints = [
        ("public", "RegionOne", "http://public"),
        ("internal", "RegionOne", "http://internal"),
        ("public", "Two", "http://two"),
    ]
    assert host == load_config(environ=openrc(**changes)).servers[0].host


@pytest.mark.parametrize(
    ("changes", "domains"),
    [
        ({}, ("default", "default")),
        ({"OS_DEFAULT_DOMAIN": "d"}, ("d", "d")),
        ({"OS_DOMAIN_ID": "d"}, ("d", "d")),
        ({"OS_USER_DOMAIN_ID": "u", "OS_PROJECT_DOMAIN_ID": "p"}, ("u", "p")),
        ({"OS_USER_DOMAIN_ID": "u"}, ("u", "default")),
    ],
)
def test_a_name_without_a_domain_is_in_the_default_one(openrc, changes, domains):
    without = {"OS_USER_DOMAIN_ID": None, "OS_PROJECT_DOMAIN_ID": None}
    environ = openrc(OS_AUTH_TYPE="v3password", **{**without, **changes})
    plugin = load_config(environ=environ, servers="a").auth.plugin
    assert domains == (plugin.auth_methods[0].user_domain_id, plugin.project_domain_id)


APPLICATION = {
    "OS_USERNAME": None,
    "OS_PASSWORD": None,
    "OS_PROJECT_NAME": None,
    "OS_APPLICATION_CREDENTIAL_ID": "id",
    "OS_APPLICATION_CREDENTIAL_SECRET": "s3cret",
}
TOKEN = {"OS_USERNAME": None, "OS_PASSWORD": None, "OS_TOKEN": "t"}


@pytest.mark.parametrize(
    ("changes", "method"),
    [
        (APPLICATION, v3.ApplicationCredentialMethod),
        (
            {**APPLICATION, "OS_AUTH_TYPE": "v3applicationcredential"},
            v3.ApplicationCredentialMethod,
        ),
        ({**TOKEN, "OS_AUTH_TYPE": "v3token"}, v3.TokenMethod),
        ({"OS_AUTH_TYPE": "v3password", "OS_TOKEN": "t"}, v3.PasswordMethod),
        ({"OS_AUTH_TYPE": None, "OS_AUTH_PLUGIN": "v3password"}, v3.PasswordMethod),
    ],
)
def test_the_kind_of_authentication_is_that_of_the_variables(openrc, changes, method):
    plugin = load_config(environ=openrc(**changes), servers="a").auth.plugin
    assert method is type(plugin.auth_methods[0])


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({}, "Password"),
        (TOKEN, "Token"),
        ({**TOKEN, "OS_TOKEN": None, "OS_AUTH_TOKEN": "t"}, "Token"),
    ],
)
def test_a_kind_that_is_not_named_is_a_generic_one(openrc, changes, kind):
    plugin = load_config(environ=openrc(**changes), servers="a").auth.plugin
    assert kind == type(plugin).__name__


def test_old_names_are_read(openrc):
    environ = openrc(OS_PROJECT_NAME=None, OS_TENANT_NAME="p", OS_AUTH_TYPE="v3password")
    assert "p" == load_config(environ=environ, servers="a").auth.plugin.project_name


@pytest.mark.parametrize("name", ["OS_TOKEN", "OS_FOO", "OS_VALIDATE", "OS_CLOUD_NAME"])
def test_variables_of_something_else_are_ignored(openrc, name):
    assert "token-1" == load_config(environ=openrc(**{name: "{x}"})).auth.get_token()


def test_the_tls_settings_are_taken(openrc, tmp_path, make_pem):
    ca, both = make_pem()
    environ = openrc(OS_CACERT=ca, OS_CERT=both, OS_KEY=both)
    config = load_config(environ=environ, servers="a")
    assert (ca, both, both) == (config.cafile, config.certfile, config.keyfile)


@pytest.fixture
def make_pem(tmp_path):
    """Write the files of an authority and of a client: its certificate with its key."""

    def write():
        authority = trustme.CA()
        ca, both = str(tmp_path / "ca.pem"), str(tmp_path / "both.pem")
        authority.cert_pem.write_to_path(ca)
        authority.issue_cert("a.example").private_key_and_cert_chain_pem.write_to_path(both)
        return ca, both

    return write


@pytest.mark.parametrize(("text", "insecure"), [("true", True), ("false", False), ("", False)])
def test_certificates_may_stay_unchecked(openrc, text, insecure):
    assert insecure is load_config(environ=openrc(OS_INSECURE=text), servers="a").insecure


def test_a_cloud_without_authentication_sends_no_token():
    environ = {"OS_CLOUD": "envvars", "OS_AUTH_TYPE": "none", "OS_ENDPOINT": "http://a:9292"}
    config = load_config(environ=environ)
    assert ("http://a:9292", None) == (config.servers[0].url, config.auth)


@pytest.mark.parametrize(
    ("field", "source"),
    [
        ("servers", "catalogue of OS_AUTH_URL"),
        ("auth", "OS_AUTH_URL"),
        ("region_name", "OS_REGION_NAME"),
        ("insecure", "OS_INSECURE"),
    ],
)
def test_each_value_has_its_variable_as_its_source(openrc, field, source):
    assert source == load_config(environ=openrc(OS_INSECURE="true")).sources[field]


def test_credentials_of_an_argument_go_before_the_variables(openrc, credentials):
    given = v3.Password(**credentials)
    assert given is load_config(environ=openrc(), auth=given).auth.plugin


def test_credentials_of_a_file_go_before_the_variables(openrc, credentials, tmp_path):
    conf = tmp_path / "nova.conf"
    lines = [f"{name} = {value}" for name, value in credentials.items()]
    conf.write_text("\n".join(["[glance]", "auth_type = v3password", *lines]))
    config = load_config(environ=openrc(OS_PASSWORD="not this"), config_file=conf)
    assert "token-1" == config.auth.get_token()


def test_a_named_cloud_goes_before_the_variables(openrc, credentials, tmp_path):
    path = tmp_path / "clouds.yaml"
    path.write_text(f"clouds: {{a: {{auth_type: v3password, auth: {credentials}}}}}")
    environ = openrc(OS_PASSWORD="not this", OS_CLIENT_CONFIG_FILE=str(path), OS_CLOUD="a")
    assert "token-1" == load_config(environ=environ).auth.get_token()


@pytest.mark.parametrize(
    ("fields", "more"),
    [({"auth_strategy": "noauth"}, {}), ({}, {"TRACED_IMAGE_AUTH_STRATEGY": "noauth"})],
)
def test_noauth_reads_no_variable(openrc, fields, more):
    environ = {**openrc(OS_PASSWORD=None), **more}
    assert load_config(environ=environ, servers="a", **fields).auth is None


def test_variables_without_an_address_leave_servers_alone(openrc):
    assert load_config(environ=openrc(OS_AUTH_URL=None), servers="a").auth is None


def test_variables_without_credentials_are_no_source():
    with pytest.raises(InvalidServer, match=r"no server is configured.*OS_AUTH_URL"):
        load_config(environ={"OS_REGION_NAME": "RegionOne"})


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"OS_PASSWORD": None}, "OS_PASSWORD is not set; set what is missing"),
        ({"OS_PASSWORD": ""}, "OS_PASSWORD is not set"),
        ({"OS_USERNAME": None}, "OS_USERNAME or OS_USER_ID is not set"),
        ({"OS_AUTH_URL": None}, "OS_AUTH_URL is not set"),
        ({"OS_AUTH_URL": "keystone-1:5000/v3"}, "OS_AUTH_URL is not a URL of http or https"),
        ({"OS_PROJECT_NAME": None}, "OS_PROJECT_NAME or OS_PROJECT_ID is not set"),
        (
            {"OS_USERNAME": None, "OS_PASSWORD": None},
            "OS_USERNAME or OS_USER_ID, OS_PASSWORD are not set",
        ),
        (
            {**APPLICATION, "OS_APPLICATION_CREDENTIAL_ID": None},
            "OS_APPLICATION_CREDENTIAL_ID or OS_APPLICATION_CREDENTIAL_NAME is not set",
        ),
        (
            {
                **APPLICATION,
                "OS_AUTH_TYPE": "v3applicationcredential",
                "OS_APPLICATION_CREDENTIAL_SECRET": None,
            },
            "OS_APPLICATION_CREDENTIAL_SECRET is not set",
        ),
        ({**TOKEN, "OS_TOKEN": None, "OS_AUTH_TYPE": "token"}, "OS_TOKEN is not set"),
        ({"OS_AUTH_TYPE": "nonesuch"}, "nonesuch could not be found"),
        ({"OS_REGION_NAME": "{nonesuch}"}, r"can't read the OS_ variables \(KeyError\)"),
    ],
)
def test_what_is_missing_or_wrong_is_told(openrc, changes, told):
    with pytest.raises(InvalidAuth, match=told) as caught:
        load_config(environ=openrc(**changes))
    assert "OS_ variables" == caught.value.source


def test_the_source_of_the_name_is_told(openrc):
    with pytest.raises(InvalidAuth) as caught:
        load_config(environ=openrc(OS_PASSWORD=None, OS_CLOUD="envvars"))
    assert "OS_CLOUD" == caught.value.source


@pytest.mark.parametrize(
    "changes",
    [
        {"OS_USERNAME": None},
        {"OS_AUTH_TYPE": "nonesuch"},
        {"OS_AUTH_URL": "http://nova:s3cret@k"},
        {"OS_REGION_NAME": "{s3cret}"},
        {"OS_PASSWORD": "wr0ng-s3cret"},
    ],
)
def test_no_error_nor_its_cause_shows_a_secret(openrc, changes):
    with pytest.raises(ConfigError) as caught:
        load_config(environ=openrc(**changes))
    assert "s3cret" not in "".join(traceback.format_exception(caught.value))


def test_what_openstacksdk_says_is_told_without_its_secrets(openrc):
    with pytest.raises(InvalidAuth, match="https://REDACTED:REDACTED@keystone"):
        load_config(environ=openrc(OS_AUTH_TYPE="https://nova:s3cret@keystone"))


def test_a_missing_extra_is_named(openrc, monkeypatch):
    monkeypatch.setitem(sys.modules, "openstack.config.loader", None)
    monkeypatch.delitem(sys.modules, "traced_image.config.openrc", raising=False)
    with pytest.raises(MissingExtra, match=r"pip install 'traced-image\[keystone\]'"):
        load_config(environ=openrc())
