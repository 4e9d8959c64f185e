"""The examples of the page of the API, which the tests run in their order."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_ENTRY = {
    "connect": """
import traced_image

service = traced_image.connect(
    servers=["10.0.0.1:9292", "10.0.0.2:9292", "10.0.0.3:9292"],
    num_retries=2,
    telemetry=False,
)
""",
    "get_default_image_service": """
def show_name(image_id):
    return traced_image.get_default_image_service().show(None, image_id)["name"]
""",
    "get_remote_image_service": """
def show_named(image_href):
    service, image_id = traced_image.get_remote_image_service(None, image_href)
    return service.show(None, image_id)["name"]
""",
    "load_config": """
config = traced_image.load_config(
    servers=["10.0.0.1:9292"], environ={"TRACED_IMAGE_NUM_RETRIES": "1"}
)
assert config.num_retries == 1
assert config.sources["num_retries"] == "TRACED_IMAGE_NUM_RETRIES"
""",
}

_VALUES = {
    "Config": """
from traced_image import Config

config = Config(servers=["10.0.0.1:9292", "10.0.0.2:9292"], read_timeout=10.0)
""",
    "Config.replace": """
patient = config.replace(read_timeout=60.0)
assert (config.read_timeout, patient.read_timeout) == (10.0, 60.0)
""",
    "RetryPolicy": """
from traced_image import RetryPolicy

policy = RetryPolicy(cooldown_cap=30.0)
""",
    "RetryPolicy.nova_2013": """
assert RetryPolicy.nova_2013().fixed_delay == 1.0
""",
    "Server": """
from traced_image import Server

assert Server("http", "glance-1", 9292).url == "http://glance-1:9292"
""",
    "Server.parse": """
assert Server.parse("glance-1").netloc == "glance-1:9292"
assert Server.parse("https://glance.example/image").port == 443
""",
    "RequestContext": """
from traced_image import RequestContext

context = RequestContext(project_id="b2c3", request_id="req-9f0e")
assert context.global_id == "req-9f0e"
""",
    "ServerHealth": """
for health in service.servers():
    print(health.server, health.state, health.last_reason)
""",
}

_IMAGE_SERVICE = {
    "GlanceImageService": """
(image,) = service.detail(None, filters={"name": "cirros"}, limit=1)
""",
    "GlanceImageService.show": """
assert service.show(None, image["id"])["status"] == "active"
""",
    "GlanceImageService.detail": """
for found in service.detail(None, filters={"disk_format": "raw"}, sort_key="name", sort_dir="asc"):
    print(found["id"], found["name"])
""",
    "GlanceImageService.create": """
new = service.create(
    None,
    {"name": "new", "disk_format": "raw", "container_format": "bare"},
    data=b"the image's data",
)
assert new["status"] == "active"
""",
    "GlanceImageService.update": """
changed = service.update(None, new["id"], {"name": "newer"}, purge_props=False)
assert changed["name"] == "newer"
""",
    "GlanceImageService.delete": """
assert service.delete(None, new["id"]) is True
""",
    "GlanceImageService.download": """
import io

whole = io.BytesIO()
service.download(None, image["id"], data=whole)
""",
    "GlanceImageService.download_rest": """
part = io.BytesIO(whole.getvalue()[:1])
for chunk in service.download_rest(None, image["id"], part):
    part.write(chunk)
assert part.getvalue() == whole.getvalue()
""",
    "GlanceImageService.get_location": """
print(service.get_location(None, image["id"]))
""",
    "GlanceImageService.image_import_copy": """
try:
    service.image_import_copy(None, image["id"], ["ceph"])
except traced_image.AttemptError as error:
    print("Glance refused:", error)
""",
    "GlanceImageService.reject": """
try:
    service.reject("images.get", traced_image.ImageNotFound("Image my-image could not be found."))
except traced_image.ImageNotFound as error:
    print(error)
""",
    "GlanceImageService.servers": """
print([(health.server.url, health.state) for health in service.servers()])
""",
    "GlanceImageService.close": """
other = traced_image.connect(config=service.config, telemetry=False)
other.close()
try:
    other.show(None, image["id"])
except traced_image.ServiceClosed as error:
    print(error)
""",
    "Download": """
download = service.download(None, image["id"])
size = sum(len(chunk) for chunk in download)
assert size == image["size"]
""",
    "Download.close": """
download = service.download(None, image["id"])
download.close()
""",
}

_OTHER_SERVICES = {
    "GlanceClientWrapper": """
from traced_image import GlanceClientWrapper

client = GlanceClientWrapper(Config(servers=["10.0.0.1:9292", "10.0.0.2:9292"]))
""",
    "GlanceClientWrapper.call": """
record = client.call(None, 2, "get", image["id"])
assert record["name"] == image["name"]
""",
    "GlanceClientWrapper.perform": """
from traced_image.pipeline.api import v2

record = client.perform(None, v2.get(image["id"]))
assert record["name"] == image["name"]
""",
    "GlanceClientWrapper.begin": """
method = client.begin()
record = method.perform(None, v2.get(image["id"]))
assert method.perform(None, v2.get(image["id"])) == record
""",
    "GlanceClientWrapper.servers": """
assert len(client.servers()) == 2
""",
    "GlanceClientWrapper.close": """
client.close()
""",
    "S3ImageService": """
from traced_image import S3ImageService

ec2 = S3ImageService(service, "sqlite:///:memory:")
""",
    "S3ImageService.show": """
number = ec2.glance_id_to_id(image["id"])
assert ec2.show(None, number)["id"] == number
""",
    "S3ImageService.detail": """
for found in ec2.detail(None):
    print(found["id"], found["name"])
""",
    "S3ImageService.create": """
kernel = ec2.create(None, {"name": "kernel", "disk_format": "aki", "container_format": "aki"})
""",
    "S3ImageService.update": """
assert ec2.update(None, kernel["id"], {"name": "linux"})["name"] == "linux"
""",
    "S3ImageService.delete": """
assert ec2.delete(None, kernel["id"]) is True
""",
    "S3ImageService.download": """
assert len(b"".join(ec2.download(None, number))) == image["size"]
""",
    "S3ImageService.id_to_glance_id": """
assert ec2.id_to_glance_id(number) == image["id"]
assert ec2.id_to_glance_id(f"ami-{number:08x}") == image["id"]
""",
    "S3ImageService.glance_id_to_id": """
assert ec2.glance_id_to_id(image["id"]) == number
""",
    "S3ImageService.glance_id_to_ec2_id": """
assert ec2.glance_id_to_ec2_id(image["id"]) == f"ami-{number:08x}"
""",
    "S3ImageService.image_ec2_id": """
assert S3ImageService.image_ec2_id(10) == "ami-0000000a"
assert S3ImageService.image_ec2_id(10, "aki") == "aki-0000000a"
""",
    "S3ImageService.image_type": """
assert S3ImageService.image_type("kernel") == "aki"
assert S3ImageService.image_type("bare") == "ami"
""",
    "S3ImageService.close": """
ec2.close()
""",
}

_TELEMETRY = {
    "Telemetry": """
from opentelemetry.sdk.trace import TracerProvider
from prometheus_client import CollectorRegistry

registry = CollectorRegistry()
observed = traced_image.connect(
    servers=["10.0.0.1:9292"],
    telemetry=traced_image.Telemetry(
        tracer_provider=TracerProvider(), registry=registry, meter_provider=False
    ),
)
observed.detail(None, limit=1)
assert registry.get_sample_value(
    "glance_client_call_duration_seconds_count",
    {"operation": "images.list", "outcome": "success_first_try", "error_type": ""},
)
""",
    "setup": """
from traced_image import telemetry


def main():
    providers = telemetry.setup()
    ...
    providers.shutdown()
""",
    "Providers.shutdown": """
def stop(providers):
    providers.shutdown()
""",
    "child_exit": """
from traced_image.telemetry import child_exit  # in gunicorn.conf.py
""",
    "make_recorder": """
recorder = telemetry.make_recorder(
    traced_image.Telemetry(registry=CollectorRegistry(), meter_provider=False)
)
""",
    "current_call": """
assert telemetry.current_call() is None
""",
    "Recorder.call": """
with recorder.call("images.get") as call:
    assert telemetry.current_call() is call
""",
    "Recorder.find_server": """
assert recorder.find_server("http://glance-1:9292/v2").netloc == "glance-1:9292"
""",
    "Recorder.hazard": """
with recorder.call("images.upload") as call:
    recorder.hazard("upload_truncated", call.span, recorder.find_server("glance-1:9292"))
""",
    "Recorder.skipped_records": """
recorder.skipped_records("image", 2)
""",
    "Recorder.stream": """
stream = recorder.stream("images.data", recorder.find_server("glance-1:9292"), "download")
""",
    "CallRecord.attempt": """
with recorder.call("images.get") as call:
    with call.attempt("http://glance-1:9292") as attempt:
        attempt.status = 200
""",
    "CallRecord.retry": """
with recorder.call("images.get") as call:
    call.attempt("http://glance-1:9292").end("connection_refused")
    call.retry("connection_refused", 0.5)
    call.attempt("http://glance-2:9292").end(status=200)
""",
    "CallRecord.stream": """
server = recorder.find_server("http://glance-1:9292")
with recorder.call("images.data") as call:
    call.attempt(server).end(status=200)
    stream = call.stream(server, "download")
""",
    "CallRecord.idle": """
with recorder.call("images.list") as call:
    call.idle(2.5)  # the caller worked on the first page
""",
    "CallRecord.abandon": """
call = recorder.call("images.get")
try:
    call.end()
except TimeoutError:  # of a signal handler
    call.abandon()  # no call stays current
    raise
""",
    "CallRecord.end": """
call = recorder.call("images.get")
call.end("refused", "404")
""",
    "AttemptRecord.end": """
call = recorder.call("images.get")
call.attempt("http://glance-1:9292").end("read_timeout")
call.end("exhausted", "read_timeout")
""",
    "AttemptRecord.idle": """
with recorder.call("images.list") as call:
    with call.attempt("http://glance-1:9292") as attempt:
        attempt.idle(2.5)  # the caller worked on the first page
""",
    "AttemptRecord.leave": """
call = recorder.call("images.get")
attempt = call.attempt("http://glance-1:9292")
attempt.leave()
call.end("cancelled", "_OTHER")
""",
    "AttemptRecord.cancel": """
call = recorder.call("images.upload")
call.attempt("http://glance-1:9292").cancel()
call.end("cancelled", "_OTHER")
""",
    "StreamRecord.add": """
stream.add(65536)
""",
    "StreamRecord.end": """
stream.end(complete=True)
""",
}

_EXPORTER = {
    "exporter.start": """
from traced_image import exporter

with exporter.start(registry=registry, port=0) as page:
    print(page.url)
""",
    "exporter.asgi_app": """
from starlette.applications import Starlette
from starlette.routing import Mount

application = Starlette(routes=[Mount("/glance", exporter.asgi_app(registry=registry))])
""",
    "exporter.wsgi_app": """
from wsgiref.simple_server import make_server

with make_server("127.0.0.1", 0, exporter.wsgi_app(registry=registry)) as server:
    print(server.server_port)
""",
    "exporter.start_from_environment": """
exporter.start_from_environment()
""",
    "ExporterHandle.stop": """
page = exporter.start(registry=registry, port=0)
page.stop()
""",
}

EXAMPLES: Mapping[str, str] = {
    **_ENTRY,
    **_VALUES,
    **_IMAGE_SERVICE,
    **_OTHER_SERVICES,
    **_TELEMETRY,
    **_EXPORTER,
}
"""Each example by the name of what it shows. It may use names that one before it has bound."""
