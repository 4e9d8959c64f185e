"""The public face: names, their documentation, the contract of calls, and the types."""

from __future__ import annotations

import builtins
import dataclasses
import inspect
import re
from importlib import metadata, resources
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import TracerProvider
from prometheus_client import CollectorRegistry

import traced_image
from traced_image import Config, Telemetry, errors, lab

ROOT = Path(__file__).parent.parent

PROMISED = {
    "Config",
    "GlanceClientWrapper",
    "GlanceConnectionFailed",
    "GlanceImageService",
    "ImageNotAuthorized",
    "ImageNotFound",
    "RequestContext",
    "RetryPolicy",
    "S3ImageService",
    "Server",
    "Telemetry",
    "connect",
    "get_default_image_service",
    "get_remote_image_service",
}
"""What others rely on; most errors are in `traced_image.errors` alone."""

SIGNATURES = {
    "GlanceImageService.show": (
        "self, context, image_id, include_locations=False, show_deleted=True"
    ),
    "GlanceImageService.detail": "self, context, **kwargs",
    "GlanceImageService.create": "self, context, image_meta, data=None",
    "GlanceImageService.update": (
        "self, context, image_id, image_meta, data=None, purge_props=True"
    ),
    "GlanceImageService.delete": "self, context, image_id",
    "GlanceImageService.download": (
        "self, context, image_id, data=None, dst_path=None, trusted_certs=None"
    ),
    "GlanceImageService.image_import_copy": "self, context, image_id, stores",
    "GlanceImageService.get_location": "self, context, image_id",
    "GlanceImageService.servers": "self",
    "GlanceClientWrapper.call": "self, context, version, method, /, *args, **kwargs",
    "S3ImageService.show": "self, context, image_id",
    "get_default_image_service": "",
    "get_remote_image_service": "context, image_href",
}
"""Those of nova 34 (``nova/image/glance.py``); `get_location`, `call` and `S3ImageService` are
the older nova's."""

public = [getattr(traced_image, name) for name in traced_image.__all__]
documented = [thing for thing in public if inspect.isclass(thing) or inspect.isfunction(thing)]
classes = [thing for thing in documented if inspect.isclass(thing)]
functions = [thing for thing in documented if inspect.isfunction(thing)]


def members(kind):
    """The public functions, class methods and properties that a class defines itself."""
    for name, member in vars(kind).items():
        function = getattr(member, "fget", None) or getattr(member, "__func__", member)
        if inspect.isfunction(function) and not name.startswith("_"):
            yield pytest.param(function, id=f"{kind.__name__}.{name}")


methods = [member for kind in classes for member in members(kind)]


def named(things):
    return {"argvalues": things, "ids": [thing.__name__ for thing in things]}


# --- names -------------------------------------------------------------------------------------


def test_the_public_names_are_sorted():
    assert sorted(traced_image.__all__) == traced_image.__all__


def test_the_public_names_stand_once():
    assert len(set(traced_image.__all__)) == len(traced_image.__all__)


def test_the_promised_names_are_public():
    assert set(traced_image.__all__) >= PROMISED


def test_the_public_errors_are_of_the_tree():
    classes = [thing for thing in public if inspect.isclass(thing)]
    found = [kind for kind in classes if issubclass(kind, Exception)]
    assert [] == [kind for kind in found if getattr(errors, kind.__name__, None) is not kind]


def test_nothing_else_looks_public():
    found = {
        name
        for name, thing in vars(traced_image).items()
        if not name.startswith("_") and (inspect.isclass(thing) or inspect.isfunction(thing))
    }
    assert set() == found - set(traced_image.__all__)


def test_a_name_that_is_none_is_refused():
    with pytest.raises(AttributeError, match="'traced_image' has no attribute 'nova'"):
        traced_image.nova  # noqa: B018 the look-up is what is tested


def test_the_version_is_that_of_the_distribution():
    assert metadata.version("traced-image") == traced_image.__version__


def test_the_version_is_looked_up_when_it_is_asked_for():
    assert "__version__" not in vars(traced_image)


# --- documentation -----------------------------------------------------------------------------


def section(thing, title):
    """The entries of a docstring's section by their names."""
    body = re.search(rf"^{title}:\n((?:    .*\n|\n)*)", f"{inspect.getdoc(thing)}\n", re.MULTILINE)
    return (
        {}
        if body is None
        else dict(re.findall(r"^    \*{0,2}(\w+): *(.*)$", body[1], re.MULTILINE))
    )


def test_every_name_is_documented():
    assert [] == [thing for thing in documented if not (thing.__doc__ or "").strip()]
    made = [thing for thing in documented if thing.__doc__.startswith(f"{thing.__name__}(")]
    assert [] == made


def test_every_method_is_documented():
    assert [] == [each.id for each in methods if not (each.values[0].__doc__ or "").strip()]


@pytest.mark.parametrize("kind", **named([one for one in classes if dataclasses.is_dataclass(one)]))
def test_every_field_is_documented(kind):
    fields = {field.name for field in dataclasses.fields(kind)}
    assert set() == fields - section(kind, "Attributes").keys()


@pytest.mark.parametrize("function", **named(functions))
def test_every_argument_of_a_function_is_documented(function):
    arguments = set(inspect.signature(function).parameters)
    assert set() == arguments - section(function, "Args").keys()


@pytest.mark.parametrize("function", **named(functions))
def test_every_function_says_what_it_raises(function):
    assert section(function, "Raises")


@pytest.mark.parametrize(
    "name", ["show", "detail", "create", "update", "delete", "download", "get_location"]
)
def test_every_call_says_what_it_raises(name):
    assert section(getattr(traced_image.GlanceImageService, name), "Raises")


def test_what_is_raised_can_be_caught_by_a_name_of_the_tree():
    things = [*documented, *(thing for each in methods for thing in each.values)]
    raised = {name for thing in things for name in section(thing, "Raises")}
    found = {name for name in raised if not hasattr(builtins, name)}
    assert set() == {name for name in found if not hasattr(errors, name)}


# --- the contract ------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "signature"), SIGNATURES.items())
def test_signatures_are_novas(name, signature):
    function = traced_image
    for part in name.split("."):
        function = getattr(function, part)
    bare = inspect.signature(function)
    unannotated = [
        parameter.replace(annotation=inspect.Parameter.empty)
        for parameter in bare.parameters.values()
    ]
    assert f"({signature})" == str(inspect.Signature(unannotated))


def test_servers_are_connected_to_in_every_form():
    service = traced_image.connect(
        servers=["10.0.0.1:9292", "https://glance.example/image", "[fd00::3]:9292"],
        num_retries=3,
        telemetry=Telemetry(
            tracer_provider=TracerProvider(), registry=CollectorRegistry(), wire_spans=True
        ),
    )
    assert {
        "http://10.0.0.1:9292",
        "https://glance.example:443/image",
        "http://[fd00::3]:9292",
    } == {one.server.url for one in service.servers()}
    service.close()


def test_a_configuration_is_connected_to():
    config = Config(servers=("glance-1", "glance-2"), num_retries=2)
    service = traced_image.connect(config=config, telemetry=False)
    assert config == service.config
    service.close()


def test_fields_beside_a_configuration_win():
    config = Config(servers=("glance-1",), num_retries=2)
    service = traced_image.connect(config=config, num_retries=5, telemetry=False)
    assert config.replace(num_retries=5) == service.config
    service.close()


@pytest.fixture(params=[1, 2])
def service(request):
    with lab.cluster(3) as servers:
        service = traced_image.connect(
            servers=[server.url for server in servers],
            api_version=request.param,
            telemetry=False,
        )
        yield service
        service.close()


def test_the_calls_of_the_contract_are_understood(service, tmp_path):
    meta = {"name": "new", "disk_format": "raw", "container_format": "bare", "is_public": True}
    image_id = service.create(None, meta, data=b"data")["id"]
    assert "new" == service.show(None, image_id)["name"]
    assert [image_id] == [
        one["id"] for one in service.detail(None, filters={}, marker=None, limit=None)
    ]
    changed = service.update(None, image_id, {"name": "newer"}, data=None, purge_props=True)
    assert "newer" == changed["name"]
    assert b"data" == b"".join(service.download(None, image_id, data=None, dst_path=None))
    service.download(None, image_id, dst_path=tmp_path / "image")
    assert b"data" == (tmp_path / "image").read_bytes()
    assert service.delete(None, image_id) is True
    assert ["healthy"] * 3 == [one.state for one in service.servers()]


# --- types -------------------------------------------------------------------------------------


def test_the_package_has_types():
    assert (resources.files("traced_image") / "py.typed").is_file()


# --- context managers --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind",
    [
        traced_image.GlanceImageService,
        traced_image.GlanceClientWrapper,
        traced_image.S3ImageService,
    ],
)
def test_the_end_of_a_block_closes_it(kind):
    closed = []

    class Closing(kind):
        def __init__(self):
            """Leave out what a call would need."""

        def close(self):
            closed.append(self)

    with Closing() as thing:
        before = list(closed)
    assert ([], [thing]) == (before, closed)
