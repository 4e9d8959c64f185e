"""Targets: addresses, the environment, and the files and options of a configuration."""

from __future__ import annotations

import logging
import unicodedata
from contextlib import suppress
from typing import TYPE_CHECKING

import click
from hypothesis import strategies as st

from traced_image import errors
from traced_image.cli.options import read_address, read_duration, read_seconds
from traced_image.config import Server, load_config, parse_servers
from traced_image.config.clouds import read_cloud
from traced_image.config.nova_conf import read_files
from traced_image.config.openrc import read_openrc
from traced_image.config.options import OPTIONS
from traced_image.exporter.probing.probe_route import Allowed
from traced_image.exporter.web.config_file import WebConfigFile, read_config
from traced_image.pipeline.image_ref import parse_image_ref

from .engine import Target
from .strategies import change_bytes, change_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SECRET = "<hunter2>"
"""A part of each password, and of nothing else."""

ADDRESSES = (
    *("glance-1:9292", "https://glance.example/image", "http://[fd00::1]:9292", "::1"),
    *("http://10.0.0.1", "[2001:db8::1]:443", "bücher.example", "xn--bcher-kva.example.:80"),
)

NOVA = """
[DEFAULT]
my_ip = 10.0.0.1
glance_host = glance-1
glance_port = 9292
glance_api_servers = glance-1,https://glance-2:9293
transport_url = rabbit://nova:<hunter2>@rabbit
[glance]
api_servers = http://glance-1:9292,
    https://glance-2/image
num_retries = 5
timeout = 7
insecure = false
cafile = /etc/ssl/ca.pem
valid_interfaces = internal,public
region_name = RegionOne
"""

KOLLA = """
[glance]
auth_type = password
auth_url = http://10.0.0.5:5000
username = nova
password = <hunter2>
project_name = service
project_domain_name = Default
user_domain_name = Default
cafile =
debug = False
[service_user]
send_service_user_token = True
auth_type = v3password
auth_url = http://10.0.0.5:5000
username = nova
password = <hunter2>
[keystone_authtoken]
auth_type = password
auth_url = http://10.0.0.5:5000
password = <hunter2>
"""

OPENRC = {
    "OS_AUTH_URL": "http://keystone:5000/v3", "OS_USERNAME": "admin", "OS_PASSWORD": "hunter2",
    "OS_PROJECT_NAME": "demo", "OS_USER_DOMAIN_NAME": "Default", "OS_PROJECT_DOMAIN_ID": "default",
    "OS_REGION_NAME": "RegionOne", "OS_INTERFACE": "public", "OS_IDENTITY_API_VERSION": "3",
}  # fmt: skip

CLOUDS = """
clouds:
  devstack:
    auth_type: v3password
    auth: {auth_url: "http://keystone:5000/v3", username: nova, password: hunter2}
    region_name: RegionOne
    regions: [RegionOne, {name: RegionTwo, values: {image_endpoint_override: "http://b/v2"}}]
    image_endpoint_override: http://glance-1:9292/v2
    verify: false
    cacert: ca.pem
"""

WEB = """
tls_server_config:
  cert_file: cert.pem
  key_file: key.pem
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: ca.pem
  min_version: TLS12
  cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]
  curve_preferences: [CurveP256]
http_server_config:
  http2: true
  headers: {X-Frame-Options: deny, Strict-Transport-Security: max-age=31536000}
basic_auth_users:
  alice: $2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG
rate_limit: {interval: 1s, burst: 20}
"""


def make_targets(folder: Path) -> list[Target]:
    """Return the targets.

    Args:
        folder: An empty folder for their files.
    """
    logging.getLogger("traced_image").addHandler(logging.NullHandler())
    config = folder / "nova.conf"
    clouds = folder / "clouds.yaml"
    web = folder / "web.yml"

    def read_conf(data: bytes) -> None:
        config.write_bytes(data)
        with refused_as(errors.ConfigError):
            read_files([str(config)], "argument")

    def read_clouds(data: bytes) -> None:
        clouds.write_bytes(data)
        environ = {"OS_CLIENT_CONFIG_FILE": str(clouds), "OS_CLIENT_SECURE_FILE": str(folder / "x")}
        with refused_as(errors.ConfigError):
            read_cloud("devstack", None, environ, "argument")

    def read_web(data: bytes) -> None:
        web.write_bytes(data)
        with refused_as(errors.ConfigError):
            read_config(web)
            WebConfigFile(web)

    words = (
        *ADDRESSES,
        "%25eth0",
        "fe80::",
        "s3,cret",
        "http://",
        "ftp://",
        "user@",
        ":0",
        "xn--\u0628",
        "[::1",
    )
    return [
        Target("addresses", change_text(*ADDRESSES, words=words), check_address, 400),
        Target("passwords", _passwords(), check_password),
        Target("variables", _variables(), check_variables),
        Target("nova-conf", _files(NOVA, KOLLA), read_conf, 50),
        Target("openrc", _openrcs(), check_openrc, 50),
        Target("clouds-yaml", _files(CLOUDS), read_clouds, 25),
        Target("web-configuration", _files(WEB), read_web, 50),
        Target("probe-targets", _allowed(), check_allowed, 400),
        Target("options", _options(), check_option, 400),
        Target("image-references", _references(), check_reference, 400),
    ]


class refused_as(suppress):  # noqa: N801 - a context manager, named as `suppress`
    """As `suppress`, and the message of the refusal must be fit for a log."""

    def __exit__(self, kind, error, trace):  # type: ignore[no-untyped-def]
        """Check the message."""
        if isinstance(error, errors.TracedImageError):
            check_message(str(error))
        return super().__exit__(kind, error, trace)


def check_message(message: str) -> None:
    """A message has no control character, which would forge lines of a log or move a cursor.

    Raises:
        AssertionError: It has one.
    """
    bad = {each for each in message if unicodedata.category(each) in ("Cc", "Cf", "Zl", "Zp")}
    assert not bad, f"the message has {bad!r}: {message!r}"


def _files(*samples: str) -> st.SearchStrategy[bytes]:
    lines = [line.strip() for sample in samples for line in sample.splitlines() if line]
    words = [*(line.encode() for line in lines), b"\n", b"\n[", b" = ", b": ", b"{", b"&a ", b"*a"]
    return change_bytes(*(sample.encode() for sample in samples), words=words, most=5)


def check_address(text: str) -> None:
    """A text is one server's address, which can be written and read again, or is refused."""
    with refused_as(errors.InvalidServer):
        server = Server.parse(text)
        assert server == Server.parse(str(server)) == Server.parse(server.url)
    with refused_as(errors.InvalidServer):
        found = parse_servers(text)
        assert found == parse_servers([str(each) for each in found])


def _passwords() -> st.SearchStrategy[str]:
    password = st.text(st.sampled_from("aZ9!:/?#,@%$ é\n\\"), max_size=12)
    scheme = st.sampled_from(["", "http://", "https://", "ftp://", "//"])
    host = st.sampled_from(["glance", "[::1]", "", "glance:9292/image", "a,b"])
    return st.builds("{}user:{}<hunter2>@{}".format, scheme, password, host)


def check_password(text: str) -> None:
    """An address with a password is refused, and the password is not shown."""
    for servers in (text, [text], text.split(",")):
        message = _find_refusal(servers)
        assert SECRET not in message, message


def _find_refusal(servers: str | list[str]) -> str:
    try:
        parse_servers(servers)
    except errors.InvalidServer as error:
        return str(error)
    raise AssertionError(f"it is taken: {servers!r}")


def _variables() -> st.SearchStrategy[dict[str, str]]:
    """Variables of all fields, but for those that lead to files or to Keystone."""
    names = [f"TRACED_IMAGE_{name.upper().replace('.', '_')}" for name in OPTIONS]
    texts = change_text(*ADDRESSES, "3", "0.5", "true", "keystone", "503,429", "1s", "2")
    return st.dictionaries(st.sampled_from(names), texts, max_size=4)


def check_variables(variables: Mapping[str, str]) -> None:
    """Variables are a configuration or are refused."""
    with refused_as(errors.ConfigError):
        load_config(environ={"TRACED_IMAGE_SERVERS": "a:1,b:2", **variables})


def _openrcs() -> st.SearchStrategy[dict[str, str]]:
    names = [*OPENRC, "OS_TOKEN", "OS_AUTH_TYPE", "OS_CACERT", "OS_TENANT_NAME", "OS_INSECURE"]
    names += ["OS_IMAGE_ENDPOINT_OVERRIDE", "OS_APPLICATION_CREDENTIAL_ID", "OS_ENDPOINT_TYPE"]
    texts = change_text(*OPENRC.values(), "v3token", "v3applicationcredential", "{auth_url}")
    odd = st.dictionaries(st.sampled_from(names), texts, max_size=4)
    missing = st.sets(st.sampled_from(list(OPENRC)), max_size=3)
    return st.builds(_change_openrc, odd, missing)


def _change_openrc(odd: Mapping[str, str], missing: set[str]) -> dict[str, str]:
    return {key: each for key, each in {**OPENRC, **odd}.items() if key not in missing}


def check_openrc(environ: Mapping[str, str]) -> None:
    """The variables of an openrc file are a source or are refused."""
    with refused_as(errors.ConfigError):
        read_openrc(environ, "argument")


def _allowed() -> st.SearchStrategy[list[str]]:
    text = change_text(*ADDRESSES, "10.0.0.0/24", "2001:db8::/32", "glance-1", words=("/33", "/-1"))
    return st.lists(text, max_size=3)


def check_allowed(members: list[str]) -> None:
    """Members of ``--allow-target`` are understood or refused, and any address may be compared."""
    with refused_as(errors.InvalidOption):
        allowed = Allowed.parse(members)
        for address in ADDRESSES:
            allowed.allows(Server.parse(address))


def _options() -> st.SearchStrategy[str]:
    return change_text("15s", "1m30s", "500ms", "1h", "127.0.0.1:9293", "[::1]:9293", ":9293")


def check_option(text: str) -> None:
    """A duration, and an address to listen on, is understood or refused."""
    for read in (read_duration, read_seconds, read_address):
        with suppress(click.BadParameter):
            read(text)


def _references() -> st.SearchStrategy[str]:
    samples = ("http://glance-1:9292/v2/images/8f3c1a52", "https://[::1]/image/v1/images/x%20y")
    return change_text(*samples, words=("/images/", "v2/", "user:pw@", "%2F", "%3F"))


def check_reference(text: str) -> None:
    """The URL of an image names an image, or is refused without being shown."""
    with refused_as(errors.InvalidImageRef):
        image_id, _ = parse_image_ref(text)
        assert image_id
