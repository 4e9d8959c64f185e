"""Every place that shows what somebody else wrote shows it without its secrets."""

import ast
import importlib
import logging
from pathlib import Path

import click
import pytest
from traced_image_docs.architecture import MODULES, PACKAGE

from traced_image.cli import exit_status
from traced_image.config import Config
from traced_image.config.checks import format_value
from traced_image.errors import ConfigError, ImageBadRequest, InvalidArgument, InvalidOption
from traced_image.exporter.report import check_trace_url
from traced_image.exporter.web.config_yaml import Section
from traced_image.pipeline.api import nova_image_dict
from traced_image.pipeline.client import build_operation
from traced_image.pipeline.http.reply import request_id_of
from traced_image.pipeline.image_errors import format_id
from traced_image.pipeline.images_v2 import _activate_empty
from traced_image.redact import hide_in_record

HUNTER = "hunter2"
TOKEN = f"gAAAAAB{HUNTER}"
URL = f"https://glance:{HUNTER * 20}@store.example/images?sig={HUNTER}"
"""It is longer than what a message shows of a value."""

# --- arguments ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value", [URL, [URL], {"password": HUNTER}, TOKEN, {URL: 1}, f"X-Auth-Token: {HUNTER}"]
)
def test_a_refused_value_is_shown_without_secrets(value):
    assert HUNTER not in format_value(value)


def test_a_refused_url_is_shown_with_what_is_no_secret():
    assert "'https://REDACTED:REDACTED@a/b?sig=REDACTED'" == format_value(
        f"https://u:p@a/b?sig={HUNTER}"
    )


@pytest.mark.parametrize(
    ("version", "method", "arguments", "named_arguments"),
    [
        (URL, "get", (), {}),
        (2, URL, (), {}),
        (2, "get", ("x",), {TOKEN: 1}),
        (2, "get", ([URL],), {}),
        (2, "list", (), {"limit": URL}),
        (2, "list", (), {"filters": {"name": [[URL]]}}),
        (2, "patch", ("x", [{"op": URL, "path": "/a"}]), {}),
        (2, "patch", ("x", [{"op": "add", "path": URL}]), {}),
        (2, "patch", ("x", [{"op": "add", "path": f"/{TOKEN}"}]), {}),
        (2, "image_members.update", ("x", "project", URL), {}),
        (2, "image_tags.update", ("x", [URL]), {}),
        (2, "image_import", ("x", "copy-image"), {"stores": [URL, 1]}),
        (2, "delete_locations", ("x", [URL, 1]), {}),
        (1, "create", (), {URL: "a"}),
    ],
)
def test_a_refused_argument_of_a_call_is_shown_without_secrets(
    version, method, arguments, named_arguments
):
    with pytest.raises(InvalidArgument) as caught:
        build_operation(version, method, arguments, named_arguments)
    assert HUNTER not in str(caught.value)


@pytest.mark.parametrize(
    "refuse",
    [
        lambda: nova_image_dict.to_v2({(URL,): 1}),
        lambda: nova_image_dict.to_v2({"min_ram": URL}),
        lambda: nova_image_dict.make_query_v2({URL: 1}),
        lambda: _activate_empty({"disk_format": URL}),
    ],
)
def test_a_refused_field_is_shown_without_secrets(refuse):
    with pytest.raises((InvalidArgument, ImageBadRequest)) as caught:
        refuse()
    assert HUNTER not in str(caught.value)


@pytest.mark.parametrize("image_id", [TOKEN, URL])
def test_an_image_is_named_without_secrets(image_id):
    assert HUNTER not in format_id(image_id)


# --- configuration -----------------------------------------------------------------------------


@pytest.mark.parametrize("fields", [{"num_retries": URL}, {"auth_strategy": URL}, {"cafile": URL}])
def test_a_refused_option_is_shown_without_secrets(fields):
    with pytest.raises(ConfigError) as caught:
        Config(servers="a", **fields)
    assert HUNTER not in str(caught.value)


def test_an_unknown_option_is_named_without_secrets():
    with pytest.raises(InvalidOption) as caught:
        Config(servers="a").replace(**{URL: 1})
    assert HUNTER not in str(caught.value)


def test_an_unknown_key_of_a_web_configuration_is_named_without_secrets():
    with pytest.raises(InvalidOption) as caught:
        Section({URL: 1}, "", Path("web.yml"), ("tls_server_config",))
    assert HUNTER not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["https://u:hunter2@jaeger/{trace_id}", "https://jaeger/{trace_id}?sig=hunter2"]
)
def test_an_address_of_traces_with_a_secret_is_refused_without_it(url):
    with pytest.raises(InvalidOption, match="a password or another secret in it") as caught:
        check_trace_url(url)
    assert HUNTER not in str(caught.value)


# --- replies -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        (None, None),
        ("req-5d3c0b9e", "req-5d3c0b9e"),
        (f"req-{HUNTER}", "req-REDACTED"),
        (f"req-{TOKEN}", "req-REDACTED"),
    ],
)
def test_an_id_of_a_request_is_kept_without_secrets(told, kept):
    headers = {} if told is None else {"x-openstack-request-id": told}
    assert kept == request_id_of(headers, (HUNTER,))


# --- the command line --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [InvalidArgument(URL), click.UsageError(URL), click.ClickException(URL), OSError(2, "no", URL)],
)
def test_a_command_ends_with_a_line_without_secrets(capsys, error):
    @click.command()
    def command():
        raise error

    exit_status.run(command, [])
    said = capsys.readouterr().err
    assert (True, False) == ("https://REDACTED:REDACTED@store" in said, HUNTER in said)


# --- the log -----------------------------------------------------------------------------------


def logs_tracebacks(source):
    calls = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    return any(
        (isinstance(call.func, ast.Attribute) and call.func.attr == "exception" and call.args)
        or any(each.arg == "exc_info" for each in call.keywords)
        for call in calls
    )


TRACEBACKS = [name for name, path in MODULES.items() if logs_tracebacks(path.read_text("utf-8"))]


def test_modules_that_log_tracebacks_are_found():
    assert {"telemetry.telemetry_errors", "exporter.probing.reload"} <= set(TRACEBACKS)


@pytest.mark.parametrize("name", [*TRACEBACKS, "exporter.web.client_connection"])
def test_tracebacks_are_logged_without_secrets(name):
    module = importlib.import_module(f"{PACKAGE}.{name}")
    assert hide_in_record in logging.getLogger(module.__name__).filters
