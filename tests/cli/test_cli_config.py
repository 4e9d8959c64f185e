"""The command ``config``: what is in force and from where, with no secret; and bad settings."""

from __future__ import annotations

import json
from dataclasses import fields

import pytest

from traced_image import Config, RetryPolicy

PASSWORD = "s3cret-pa55word"

NOVA = f"""
[glance]
api_servers = http://glance-1:9292,http://glance-2:9292
num_retries = 5
auth_type = password
auth_url = http://keystone:5000/v3
username = nova
password = {PASSWORD}
project_name = service
user_domain_name = Default
project_domain_name = Default
"""

CLOUDS = f"""
clouds:
  mine:
    image_endpoint_override: http://glance-3:9292
    auth:
      auth_url: http://keystone:5000/v3
      username: me
      password: {PASSWORD}
      project_name: mine
      user_domain_name: Default
      project_domain_name: Default
"""


@pytest.fixture
def nova(tmp_path):
    path = tmp_path / "nova.conf"
    path.write_text(NOVA)
    return path


def in_force(result):
    """Each option's value and source."""
    return {name: (each["value"], each["source"]) for name, each in json.loads(result.out).items()}


def test_every_option_is_shown(cli):
    options = {field.name for field in fields(Config)} - {"sources", "retry"}
    retry = {f"retry.{field.name}" for field in fields(RetryPolicy)}
    assert options | retry == in_force(cli("config", "--json", "--server", "a")).keys()


def test_the_table_has_a_line_for_each(cli):
    result = cli("config", "--server", "a")
    names = in_force(cli("config", "--json", "--server", "a"))
    assert ["option", *names] == [
        line.split()[0] for line in result.out.splitlines() if "─" not in line
    ]


def test_what_is_said_on_the_command_line_goes_first(cli, nova, monkeypatch):
    monkeypatch.setenv("TRACED_IMAGE_NUM_RETRIES", "7")
    monkeypatch.setenv("TRACED_IMAGE_SERVERS", "glance-9")
    found = in_force(cli("config", "--json", "--server", "a", "--server", "b:1", "--config", nova))
    assert (["http://a:9292", "http://b:1"], "argument") == found["servers"]
    assert (7, "TRACED_IMAGE_NUM_RETRIES") == found["num_retries"]
    assert (60.0, "default") == found["read_timeout"]


def test_a_file_is_named_as_the_source(cli, nova):
    servers, source = in_force(cli("config", "--json", "--config", nova))["servers"]
    assert ["http://glance-1:9292", "http://glance-2:9292"] == servers
    assert f"{nova} [glance] api_servers" == source


def test_a_cloud_is_a_source(cli, tmp_path, monkeypatch):
    (tmp_path / "clouds.yaml").write_text(CLOUDS)
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(tmp_path / "clouds.yaml"))
    found = in_force(cli("config", "--json", "--os-cloud", "mine"))
    assert ["http://glance-3:9292"] == found["servers"][0]
    assert found["servers"][1].startswith("cloud mine in ")


def test_a_keystone_that_does_not_answer_is_one_line(process, nova):
    nova.write_text(NOVA.replace("keystone:5000", "127.0.0.1:1"))
    result = process("list", "--config", str(nova))
    assert (2, True) == (result.status, result.line.startswith("traced-image: Keystone gave no"))


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_secrets_are_hidden(cli, nova, options):
    out = cli("config", *options, "--config", nova).out
    assert (True, False) == ("(hidden)" in out, PASSWORD in out)


def test_where_there_is_no_secret_nothing_is_hidden(cli):
    assert (None, "default") == in_force(cli("config", "--json", "--server", "a"))["auth"]


def test_tls_can_be_left_unchecked(cli):
    assert (True, "argument") == in_force(cli("config", "--json", "--server", "a", "--insecure"))[
        "insecure"
    ]


def test_the_retry_policy_is_shown_by_its_fields(cli, monkeypatch):
    monkeypatch.setenv("TRACED_IMAGE_RETRY_STATUSES", "503,502")
    found = in_force(cli("config", "--json", "--server", "a"))
    assert ([502, 503], "TRACED_IMAGE_RETRY_STATUSES") == found["retry.statuses"]


def test_a_warning_of_the_configuration_is_a_line(cli):
    result = cli("config", *[part for number in range(5) for part in ("--server", f"a{number}")])
    assert (0, True) == (
        result.status,
        result.line.startswith("traced-image: num_retries=3 allows 4 attempts, but there are 5"),
    )


# --- bad settings ------------------------------------------------------------------------------


@pytest.fixture
def bad(tmp_path):
    """Files that can't be used, by their names."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "binary.conf").write_bytes(b"[glance]\n\xff\xfe = \x00\n")
    (tmp_path / "empty.conf").write_text("[glance]\nnum_retries = 1\n")
    (tmp_path / "nonsense.conf").write_text("nonsense without a sign\n")
    return tmp_path


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ["--config", "folder"],
            "folder can't be read (IsADirectoryError); name text files in UTF-8",
        ),
        (["--config", "binary.conf"], "binary.conf can't be read (UnicodeDecodeError)"),
        (["--config", "missing.conf"], "missing.conf can't be read"),
        (
            ["--config", "nonsense.conf"],
            "nonsense.conf is neither a section nor an option",
        ),
        (
            ["--config", "empty.conf"],
            "servers (from empty.conf): the configuration was read and names no server; set api_",
        ),
        (["--server", "a", "--cafile", "missing.pem"], "'missing.pem' can't be read: No such file"),
        (["--server", "a", "--cafile", "folder"], "'folder' can't be read: Is a directory"),
        (["--server", "a", "--cafile", "binary.conf"], "cafile (from argument): "),
        (["--server", "a", "--cafile", ""], "cafile (from argument): "),
        (["--server", "http://"], "servers[0] (from argument): "),
        (["--server", "ftp://a"], "servers[0] (from argument): "),
        (["--server", "a:99999"], "servers[0] (from argument): "),
        (["--server", "a b"], "servers[0] (from argument): "),
        (["--server", ""], "servers[0] (from argument): "),
        (["--server", "\udcff"], "servers[0] (from argument): "),
        (
            ["--server", f"http://me:{PASSWORD}@a"],
            "servers[0] (from argument): it carries credentials",
        ),
        (["--os-cloud", "nope"], "cloud (from argument): Cloud nope was not found"),
        ([], "no server is configured: name one by --server, or name a configuration"),
    ],
)
@pytest.mark.parametrize(
    "command", [["config"], ["servers"], ["exporter", "--listen", "127.0.0.1:0"]]
)
def test_a_bad_setting_is_one_line(cli, bad, monkeypatch, command, options, said):
    monkeypatch.chdir(bad)
    monkeypatch.setenv("HOME", str(bad))
    result = cli(*command, *options)
    assert (3, "") == (result.status, result.out)
    assert (True, False) == (said in result.line, PASSWORD in result.line)


def test_a_bad_variable_is_one_line(cli, monkeypatch):
    monkeypatch.setenv("TRACED_IMAGE_NUM_RETRIES", "many")
    result = cli("config", "--server", "a")
    assert (3, True) == (
        result.status,
        "num_retries (from TRACED_IMAGE_NUM_RETRIES)" in result.line,
    )


def test_what_an_openrc_lacks_is_told(cli, monkeypatch):
    monkeypatch.setenv("OS_AUTH_URL", "http://127.0.0.1:1/v3")
    monkeypatch.setenv("OS_USERNAME", "nova")
    monkeypatch.setenv("OS_PROJECT_NAME", "service")
    result = cli("show", "an-image", "--server", "http://127.0.0.1:1")
    assert (3, True) == (result.status, "OS_PASSWORD is not set; set what is" in result.line)
