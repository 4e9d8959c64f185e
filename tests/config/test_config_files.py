"""nova.conf and cinder.conf as a source."""

import sys
import traceback

import pytest
import trustme
from oslo_config import cfg

from traced_image.config import load_config
from traced_image.errors import (
    ConfigError,
    InvalidAuth,
    InvalidOption,
    InvalidRetry,
    InvalidServer,
    MissingExtra,
)


@pytest.fixture
def conf(tmp_path):
    """Write a configuration file, and return its path."""

    def write(text, name="nova.conf"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def load(path, **fields):
    return load_config(config_file=path, environ={}, **fields)


NOVA = """
[DEFAULT]
transport_url = rabbit://nova:s3cret@rabbit
[glance]
api_servers = http://glance-1:9292,
    https://glance-2/image
num_retries = 5
timeout = 7
insecure = false
region_name = RegionOne
"""


def test_nova_today(conf):
    config = load(conf(NOVA))
    assert (["http://glance-1:9292", "https://glance-2:443/image"], 5, 7.0, "RegionOne") == (
        [server.url for server in config.servers],
        config.num_retries,
        config.read_timeout,
        config.region_name,
    )


CINDER = """
[DEFAULT]
glance_api_servers = glance-1,glance-2:9293
glance_num_retries = 2
glance_api_insecure = True
glance_request_timeout = 9
auth_strategy = keystone
"""


def test_cinder_and_nova_2013(conf):
    config = load(conf(CINDER))
    assert (["http://glance-1:9292", "http://glance-2:9293"], 2, True, 9.0, "keystone") == (
        [server.url for server in config.servers],
        config.num_retries,
        config.insecure,
        config.read_timeout,
        config.auth_strategy,
    )


@pytest.mark.parametrize(
    ("option", "field"),
    [
        ("[glance]\ncafile", "cafile"),
        ("[DEFAULT]\nglance_ca_certificates_file", "cafile"),
        ("[glance]\ncertfile", "certfile"),
        ("[DEFAULT]\nglance_certfile", "certfile"),
        ("[glance]\ncertfile = {path}\nkeyfile", "keyfile"),
        ("[DEFAULT]\nglance_certfile = {path}\nglance_keyfile", "keyfile"),
    ],
)
def test_the_tls_settings_are_taken(conf, tmp_path, option, field):
    path = str(tmp_path / "both.pem")
    trustme.CA().issue_cert("a.example").private_key_and_cert_chain_pem.write_to_path(path)
    config = load(conf(f"{option.format(path=path)} = {path}\n"), servers="a")
    assert path == getattr(config, field)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("glance_host = glance", "http://glance:9292"),
        ("glance_host = glance\nglance_port = 80", "http://glance:80"),
        ("glance_host = glance\nglance_protocol = https", "https://glance:9292"),
        ("glance_host = fd00::3", "http://[fd00::3]:9292"),
        ("glance_host = [fd00::3]\nglance_port = 1", "http://[fd00::3]:1"),
        ("my_ip = 10.0.0.7\nglance_port = 9293", "http://10.0.0.7:9293"),
        ("my_ip = 10.0.0.7\nglance_protocol = https", "https://10.0.0.7:9292"),
        ("my_ip = fd00::7\nglance_port = 9293", "http://[fd00::7]:9293"),
        ("my_ip = 10.0.0.7\nglance_host = a\nglance_port = 80", "http://a:80"),
        ("my_ip = 10.0.0.7\nglance_port = 80\n[glance]\napi_servers = b", "http://b:9292"),
        ("my_ip = 10.0.0.7\n[glance]\nendpoint_override = http://b", "http://b:80"),
        ("my_ip = 10.0.0.7\nglance_host = $my_ip", "http://10.0.0.7:9292"),
        ("my_ip = 10.0.0.7\nglance_api_servers = ${my_ip}:1", "http://10.0.0.7:1"),
        ("my_ip = 10.0.0.7\n[glance]\napi_servers = $my_ip", "http://10.0.0.7:9292"),
        ("glance_host = a\nglance_api_servers = $glance_host:$glance_port", "http://a:9292"),
        (
            "my_ip = 10.0.0.7\nglance_api_servers = $glance_protocol://$glance_host:$glance_port",
            "http://10.0.0.7:9292",
        ),
        ("glance_host = a\n[glance]\napi_servers = b", "http://b:9292"),
        ("glance_api_servers = a\n[glance]\napi_servers = b", "http://b:9292"),
        ("glance_host = a\n[glance]\nendpoint_override = http://b", "http://a:9292"),
        ("[glance]\nendpoint_override = http://b/image/v2", "http://b:80/image"),
    ],
)
def test_where_the_server_is_taken_from(conf, text, url):
    assert url == load(conf(f"[DEFAULT]\n{text}\n")).servers[0].url


@pytest.mark.parametrize("option", ["[glance]\napi_servers", "[DEFAULT]\nglance_api_servers"])
@pytest.mark.parametrize(
    "text",
    [
        "http://a:9292,http://b:9292,",
        " http://a:9292 , ,http://b:9292",
        "http://a:9292,\n  http://b:9292,\n",
    ],
)
def test_a_list_may_have_empty_members(conf, option, text):
    config = load(conf(f"{option} = {text}"))
    assert ["http://a:9292", "http://b:9292"] == [server.url for server in config.servers]


@pytest.mark.parametrize(
    ("text", "strategy"),
    [
        ("[DEFAULT]\nauth_strategy = keystone", "keystone"),
        ("[DEFAULT]\nauth_strategy = noauth", "noauth"),
        ("[api]\nauth_strategy = keystone", "keystone"),
        ("[api]\nauth_strategy = noauth2", "noauth"),
        ("[DEFAULT]\nauth_strategy = noauth_include_project_id", "noauth"),
    ],
)
def test_strategies_of_nova_and_cinder(conf, text, strategy):
    assert strategy == load(conf(text), servers="a").auth_strategy


def test_an_empty_option_is_not_set(conf):
    assert 3 == load(conf("[glance]\nnum_retries =\n"), servers="a").num_retries


def test_a_later_file_goes_before_an_earlier_one(conf):
    first = conf("[glance]\napi_servers = a\nnum_retries = 1\n", "1.conf")
    second = conf("[glance]\napi_servers = b\n", "2.conf")
    config = load([first, str(second)])
    assert ("b", 1) == (config.servers[0].host, config.num_retries)


def test_a_variable_names_the_files(conf):
    first = conf("[glance]\napi_servers = a\n", "1.conf")
    second = conf("[glance]\napi_servers = b\n", "2.conf")
    config = load_config(environ={"TRACED_IMAGE_CONFIG_FILE": f"{first}:{second}"})
    assert "b" == config.servers[0].host


def test_a_variable_goes_before_a_file(conf):
    path = conf("[glance]\nnum_retries = 1\n")
    environ = {"TRACED_IMAGE_NUM_RETRIES": "2", "TRACED_IMAGE_SERVERS": "a"}
    assert 2 == load_config(config_file=path, environ=environ).num_retries


def test_the_source_names_file_section_and_option(conf):
    path = conf("[glance]\nnum_retries = 1\n")
    assert f"{path} [glance] num_retries" == load(path, servers="a").sources["num_retries"]


def test_the_global_options_are_left_alone(conf):
    load(conf(NOVA))
    assert "glance" not in cfg.CONF


def test_the_process_environment_is_not_read_behind_its_back(conf, monkeypatch):
    monkeypatch.setenv("OS_GLANCE__NUM_RETRIES", "9")
    assert 1 == load(conf("[glance]\nnum_retries = 1\n"), servers="a").num_retries


@pytest.mark.parametrize(
    ("text", "kind", "told"),
    [
        ("[glance]\nnum_retries = many\n", InvalidRetry, "[glance] num_retries): 'many'"),
        ("[glance]\nnum_retries = -1\n", InvalidRetry, "[glance] num_retries): -1"),
        ("[glance]\napi_servers = ftp://a\n", InvalidServer, "[glance] api_servers): 'ftp'"),
        ("[glance]\napi_servers = $my_ip:1\n", InvalidServer, "names no host"),
        ("[DEFAULT]\nglance_host = a\nglance_port = x\n", InvalidServer, "is not a port"),
        ("[DEFAULT]\nglance_port = 80\n", InvalidServer, "names no server"),
        ("[DEFAULT]\nmy_ip = 10.0.0.7\nx = glance_\n", InvalidServer, "names no server"),
        ("[glance]\nnum_retries = 1\n# api_servers\n", InvalidServer, "names no server; set api_s"),
        ("[glance]\napi_servers = $nope:1\n", InvalidOption, "[glance] api_servers"),
        ("[DEFAULT]\nglance_host = $glance_host\n", InvalidOption, "[DEFAULT] glance_host"),
        ("[api]\nauth_strategy = none\n", InvalidAuth, "[api] auth_strategy): 'none'"),
        ("[glance]\n\nnonsense\n", InvalidOption, "line 3 of "),
        ("[glance\n", InvalidOption, "line 1 of "),
        ("x = 1\n", InvalidOption, "line 1 of "),
    ],
)
def test_a_bad_option_is_named(conf, text, kind, told):
    given = {} if "api_servers" in text or "glance_" in text else {"servers": "a"}
    with pytest.raises(ConfigError) as caught:
        load(conf(text), **given)
    assert (kind, True) == (type(caught.value), told in str(caught.value))


def test_a_file_that_names_no_server_is_told_with_all_files(conf):
    paths = [conf("[glance]\n", "1.conf"), conf("[glance]\nregion_name = a\n", "2.conf")]
    with pytest.raises(InvalidServer, match=r"the configuration was read .*auth_type") as caught:
        load(paths)
    assert f"{paths[0]}, {paths[1]}" == caught.value.source


def test_a_file_that_names_no_server_leaves_it_to_a_variable(conf):
    config = load_config(
        config_file=conf("[glance]\nnum_retries = 1\n"), environ={"TRACED_IMAGE_SERVERS": "a"}
    )
    assert ("a", 1) == (config.servers[0].host, config.num_retries)


def test_a_file_of_nova_2013_without_retries_has_the_default_of_today(conf):
    assert 3 == load(conf("[DEFAULT]\nmy_ip = 10.0.0.7\nglance_port = 9292\n")).num_retries


@pytest.mark.parametrize("name", ["", "none.conf", "nova.conf/below", "a\0b"])
def test_a_file_that_can_not_be_read_is_refused(conf, name):
    path = conf("")
    with pytest.raises(InvalidOption, match="can't be read"):
        load(str(path.parent / name))


def test_a_file_in_another_encoding_is_refused(tmp_path):
    path = tmp_path / "nova.conf"
    path.write_bytes(b"[glance]\nregion_name = \xff\n")
    with pytest.raises(InvalidOption, match="UnicodeDecodeError"):
        load(path)


@pytest.mark.parametrize("value", [7, [None], object()])
def test_what_is_no_path_is_refused(value):
    with pytest.raises(InvalidOption, match="is not a path"):
        load(value)


@pytest.mark.parametrize(
    "text",
    [
        "[glance]\ns3cret\n",
        "[glance]\napi_servers = http://admin:s3cret@a\n",
        "[glance]\napi_servers = http://admin:pa$s3cret@a\n",
        "[glance]\nauth_type = v3password\nauth_url = http://k\npassword = pa$s3cret\n",
        "[glance]\nauth_type = v3password\nauth_url = http://nova:s3cret@k\npassword = s3cret\n",
        "[glance]\nauth_type = v3password\npassword = s3cret\n",
        "[glance]\nauth_type = nonesuch\npassword = s3cret\n",
    ],
)
def test_no_error_nor_its_cause_shows_a_secret(conf, text):
    with pytest.raises(ConfigError) as caught:
        load(conf(text), **({"servers": "a"} if "auth_type" in text else {}))
    assert "s3cret" not in "".join(traceback.format_exception(caught.value))


def test_what_keystoneauth1_says_is_told_without_its_secrets(conf):
    text = "[glance]\nauth_type = https://nova:s3cret@keystone\n"
    with pytest.raises(ConfigError, match="https://REDACTED:REDACTED@keystone"):
        load(conf(text), servers="a")


@pytest.fixture
def with_plugin(conf, credentials):
    """Write a file with a plugin's options."""

    def write(text=""):
        options = "".join(f"{name} = {value}\n" for name, value in credentials.items())
        return conf(f"[glance]\nauth_type = v3password\n{options}{text}")

    return write


def test_a_plugin_is_loaded(with_plugin):
    assert "token-1" == load(with_plugin(), servers="a").auth.get_token()


def test_a_plugin_may_be_in_another_section(with_plugin, conf):
    text = with_plugin().read_text().replace("[glance]", "[keystone]")
    path = conf(f"[glance]\nauth_section = keystone\n{text}")
    assert "token-1" == load(path, servers="a").auth.get_token()


def test_a_plugin_implies_keystone(with_plugin):
    assert "keystone" == load(with_plugin(), servers="a").auth_strategy


def test_noauth_needs_no_plugin(with_plugin):
    path = with_plugin("[DEFAULT]\nauth_strategy = noauth\n")
    assert load(path, servers="a").auth is None


def test_noauth_above_a_file_drops_its_plugin(with_plugin):
    assert load(with_plugin(), servers="a", auth_strategy="noauth").auth is None


def test_the_server_is_looked_up_in_the_catalogue(with_plugin, keystone):
    keystone.endpoints = [
        ("public", "RegionOne", "http://public/v2"),
        ("internal", "RegionOne", "http://internal/v2"),
    ]
    assert "http://internal:80" == load(with_plugin()).servers[0].url


def test_the_interface_is_chosen_by_the_file(with_plugin, keystone):
    keystone.endpoints = [
        ("public", "RegionOne", "http://public"),
        ("internal", "RegionOne", "http://internal"),
    ]
    path = with_plugin("valid_interfaces = public\nservice_name = glance\n")
    assert "http://public:80" == load(path).servers[0].url


def test_a_server_of_the_catalogue_has_it_as_its_source(with_plugin):
    path = with_plugin()
    assert f"catalogue of {path} [glance] auth_type" == load(path).sources["servers"]


def test_a_plugin_that_is_incomplete_is_refused(conf):
    with pytest.raises(InvalidAuth, match="auth_url"):
        load(conf("[glance]\nauth_type = v3password\n"), servers="a")


@pytest.mark.parametrize(
    "text",
    [
        "[glance]\nauth_type = v3password\n",
        "[glance]\nauth_type = v3password\nauth_url = http://k\npassword = pa$word\n",
        "[glance]\napi_servers = $nope\n",
    ],
)
def test_an_option_that_can_not_be_used_is_told_with_its_file(conf, text):
    path = conf(text)
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert str(path) == caught.value.source


def test_an_option_that_can_not_be_used_is_told_with_all_files_that_it_may_be_in(conf):
    first, second = conf("", "1.conf"), conf("[glance]\nauth_type = nonesuch\n", "2.conf")
    with pytest.raises(InvalidAuth) as caught:
        load([first, second])
    assert f"{first}, {second}" == caught.value.source


@pytest.fixture
def with_service_user(conf, credentials):
    """Write a file with the options of nova's section for the token beside a caller's."""

    def write(text, plugin="v3password"):
        options = "".join(f"{name} = {value}\n" for name, value in credentials.items())
        return conf(f"[service_user]\nauth_type = {plugin}\n{options}{text}")

    return write


def test_the_token_beside_a_caller_s_is_taken_from_the_service_user(with_service_user):
    config = load(with_service_user("send_service_user_token = true\n"), servers="a")
    assert ("token-1", None) == (config.service_auth.get_token(), config.auth)


def test_the_service_user_is_named_as_the_source(with_service_user):
    path = with_service_user("send_service_user_token = true\n")
    expected = f"{path} [service_user] auth_type"
    assert expected == load(path, servers="a").sources["service_auth"]


@pytest.mark.parametrize("text", ["", "send_service_user_token = false\n"])
def test_a_service_user_alone_sends_no_token(with_service_user, text):
    assert load(with_service_user(text), servers="a").service_auth is None


def test_a_service_user_without_a_plugin_is_only_warned_of(conf, caplog):
    path = conf("[service_user]\nsend_service_user_token = true\n")
    config = load(path, servers="a")
    assert (None, 1) == (
        config.service_auth,
        caplog.text.count("set auth_type in the same section"),
    )


def test_an_unusable_choice_to_send_a_service_token_is_named(conf):
    path = conf("[service_user]\nsend_service_user_token = perhaps\n")
    with pytest.raises(ConfigError, match=r"\[service_user\] send_service_user_token.*perhaps"):
        load(path, servers="a")


@pytest.mark.parametrize(
    ("text", "fields"),
    [("[DEFAULT]\nauth_strategy = noauth\n", {}), ("", {"auth_strategy": "noauth"})],
)
def test_noauth_needs_no_service_user(with_service_user, text, fields):
    path = with_service_user(f"send_service_user_token = true\n{text}")
    assert load(path, servers="a", **fields).service_auth is None


def test_no_error_about_the_service_user_shows_a_secret(with_service_user):
    text = "send_service_user_token = true\npassword = pa$s3cret\n"
    with pytest.raises(InvalidAuth, match=r"\[service_user\] auth_type") as caught:
        load(with_service_user(text), servers="a")
    assert "s3cret" not in "".join(traceback.format_exception(caught.value))


def test_a_missing_extra_is_named(conf, monkeypatch):
    monkeypatch.setitem(sys.modules, "oslo_config", None)
    monkeypatch.delitem(sys.modules, "traced_image.config.nova_conf", raising=False)
    with pytest.raises(MissingExtra, match=r"pip install 'traced-image\[oslo\]'"):
        load(conf(NOVA))


KOLLA = """
[DEFAULT]
my_ip = 10.0.0.7
transport_url = rabbit://openstack:s3cret@10.0.0.7:5672//
[api]
use_forwarded_for = true
[glance]
num_retries = 3
valid_interfaces = internal
[service_user]
send_service_user_token = true
{plugin}
[keystone_authtoken]
www_authenticate_uri = http://10.0.0.7:5000
memcached_servers = 10.0.0.7:11211
region_name = RegionOne
{plugin}
"""
ANSIBLE = """
[DEFAULT]
my_ip = 10.0.0.7
[glance]
region_name = RegionOne
service_type = image
valid_interfaces = internal
[keystone_authtoken]
insecure = False
service_token_roles_required = True
{plugin}
"""
DEVSTACK = """
[DEFAULT]
my_ip = 10.0.0.7
[glance]
valid_interfaces = internal
[keystone_authtoken]
memcached_servers = localhost:11211
interface = public
{plugin}
"""
CINDER_TODAY = """
[DEFAULT]
my_ip = 10.0.0.7
glance_catalog_info = image:glance:internalURL
[keystone_authtoken]
{plugin}
"""
GLANCE = """
[DEFAULT]
bind_host = 10.0.0.7
bind_port = 9292
enabled_backends = rbd:rbd
[glance_store]
default_backend = rbd
[keystone_authtoken]
{plugin}
[paste_deploy]
flavor = keystone
"""


@pytest.fixture
def deployed(conf, credentials):
    """Write a file of a deployment, with the options of a plugin in some of its sections."""

    def write(text):
        options = "".join(f"{name} = {value}\n" for name, value in credentials.items())
        return conf(text.replace("{plugin}", f"auth_type = password\n{options}"))

    return write


@pytest.mark.parametrize("text", [KOLLA, ANSIBLE, DEVSTACK, CINDER_TODAY, GLANCE])
def test_the_file_of_a_deployment_leads_to_the_catalogue(deployed, keystone, text):
    keystone.endpoints = [
        ("public", "RegionOne", "http://public"),
        ("internal", "RegionOne", "http://internal"),
    ]
    config = load(deployed(text))
    assert ("internal", "token-1") == (config.servers[0].host, config.auth.get_token())


@pytest.mark.parametrize("servers", ["argument", "variable", "file"])
def test_listed_servers_leave_the_credentials_that_check_tokens_alone(deployed, servers):
    path = deployed(
        KOLLA.replace("[glance]", "[glance]\napi_servers = a") if servers == "file" else KOLLA
    )
    fields = {"servers": "a"} if servers == "argument" else {}
    environ = {"TRACED_IMAGE_SERVERS": "a"} if servers == "variable" else {}
    assert load_config(config_file=path, environ=environ, **fields).auth is None


def test_credentials_for_glance_go_before_those_that_check_tokens(with_plugin):
    path = with_plugin("[keystone_authtoken]\nauth_type = nonesuch\n")
    assert f"{path} [glance] auth_type" == load(path).sources["auth"]


def test_the_credentials_that_check_tokens_are_named_as_the_source(deployed):
    path = deployed(DEVSTACK.replace("internal", "public"))
    expected = f"catalogue of {path} [keystone_authtoken] auth_type"
    assert expected == load(path).sources["servers"]


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ("region_name = RegionOne", "region_name", "RegionOne"),
        ("insecure = true", "insecure", True),
    ],
)
def test_the_credentials_that_check_tokens_bring_what_goes_with_them(deployed, text, field, value):
    path = deployed("[keystone_authtoken]\n" + text + "\n{plugin}")
    config = load(path)
    expected = (value, f"{path} [keystone_authtoken] {field}")
    assert expected == (getattr(config, field), config.sources[field])


@pytest.mark.parametrize("text", [GLANCE, "[glance]\nservice_type = other\n" + GLANCE])
def test_a_service_of_another_type_is_looked_for_if_a_file_says_so(deployed, text):
    if text == GLANCE:
        assert "glance.example" == load(deployed(text)).servers[0].host
        return
    with pytest.raises(InvalidAuth, match="no internal or public other endpoint"):
        load(deployed(text))


@pytest.mark.parametrize("info", ["image", "image:glance", "image:glance:publicURL", "::"])
def test_a_part_of_cinders_catalogue_settings_is_enough(deployed, info):
    path = deployed(CINDER_TODAY.replace("image:glance:internalURL", info))
    assert "glance.example" == load(path).servers[0].host


def test_noauth_leaves_the_credentials_that_check_tokens_alone(deployed):
    path = deployed("[api]\nauth_strategy = noauth2\n" + GLANCE)
    with pytest.raises(InvalidServer, match="names no server"):
        load(path)


def test_credentials_that_check_tokens_and_can_not_be_used_are_told(conf):
    path = conf("[keystone_authtoken]\nauth_type = v3password\npassword = s3cret\n")
    with pytest.raises(InvalidAuth, match=r"\[keystone_authtoken\] auth_type"):
        load(path)


def test_a_file_goes_before_an_openrc(deployed, credentials):
    environ = {f"OS_{name.upper()}": value for name, value in credentials.items()}
    path = deployed(GLANCE)
    config = load_config(config_file=path, environ={**environ, "OS_PASSWORD": "not this"})
    assert f"{path} [keystone_authtoken] auth_type" == config.sources["auth"]


def test_an_openrc_serves_a_file_that_names_no_server(conf, keystone, credentials):
    keystone.endpoints = [
        ("public", "RegionOne", "http://public"),
        ("internal", "RegionOne", "http://internal"),
    ]
    environ = {f"OS_{name.upper()}": value for name, value in credentials.items()}
    config = load_config(config_file=conf("[glance]\nnum_retries = 1\n"), environ=environ)
    assert ("public", 1) == (config.servers[0].host, config.num_retries)
