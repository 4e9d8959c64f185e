"""What a user writes: type checkers accept it, and it runs (see `tests/test_typing.py`)."""

from __future__ import annotations

from typing import Any

from opentelemetry.sdk.trace import TracerProvider
from prometheus_client import CollectorRegistry

import traced_image
from traced_image import (
    Config,
    GlanceClientWrapper,
    GlanceConnectionFailed,
    GlanceImageService,
    ImageNotFound,
    RequestContext,
    RetryPolicy,
    S3ImageService,
    Server,
    ServerHealth,
    Telemetry,
    load_config,
)
from traced_image.telemetry import current_call, make_recorder


def connect_to(servers: list[str]) -> GlanceImageService:
    """Connect with all that can be said of a service."""
    telemetry = Telemetry(
        tracer_provider=TracerProvider(), registry=CollectorRegistry(), wire_spans=True
    )
    return traced_image.connect(servers=servers, num_retries=3, telemetry=telemetry)


def configure(server: Server) -> GlanceImageService:
    """Connect with a configuration, and change it."""
    config = Config(servers=(server,), retry=RetryPolicy(backoff_base=0.1), deadline=None)
    text = Config(servers="10.0.0.1,10.0.0.2", auth_strategy="noauth", api_version=1)
    mixed = text.replace(servers=["10.0.0.3", server], deadline=30.0)
    loaded = load_config(environ={}, servers=mixed.servers, connect_timeout=1)
    number: int = loaded.num_retries
    return traced_image.connect(config=config, telemetry=False, num_retries=number)


class Caller:
    """A context of another library's, with the attributes that matter."""

    def __init__(self) -> None:
        self.auth_token: str | None = None
        self.user_id: str | None = "user"
        self.project_id: str | None = "project"
        self.is_admin = False


def use(service: GlanceImageService) -> list[object]:
    """Make every call, and return what each gives."""
    context = RequestContext(project_id="project")
    fields: dict[str, object] = {
        "name": "new",
        "disk_format": "raw",
        "container_format": "bare",
        "is_public": True,
    }
    image: dict[str, Any] = service.create(context, fields, data=b"data")
    image_id: str = image["id"]
    longer: int = service.show(context, image_id)["size"] + 1
    shown = service.show(Caller(), image_id)["name"]
    listed: list[dict[str, Any]] = service.detail(None, filters={"name": "new"}, limit=1)
    changed = service.update(context, image_id, {"name": "newer"}, purge_props=False)["name"]
    download = service.download(context, image_id)
    data = None if download is None else b"".join(download)
    location: str | None = service.get_location(context, image_id)
    deleted: bool = service.delete(context, image_id)
    found: list[object] = [longer, shown, len(listed), changed, data, location, deleted]
    return [*found, *fail(service, image_id)]


def fail(service: GlanceImageService, image_id: str) -> list[object]:
    """Ask for an image that is gone, and return what the error and the servers tell."""
    status, attempts = 0, 0
    try:
        service.show(None, image_id)
    except ImageNotFound as error:
        status = error.status
    except GlanceConnectionFailed as error:
        attempts = len([(attempt.server, attempt.reason) for attempt in error.attempts])
    except traced_image.errors.TooManyRequests as error:
        status = int(error.retry_after or 0)
    health: tuple[ServerHealth, ...] = service.servers()
    return [status, attempts, [(one.state, one.last_reason) for one in health]]


def read_name(servers: list[str], image_id: str) -> str:
    """Use a service as a context manager, and an image as a dict of any values."""
    with traced_image.connect(servers=servers, telemetry=False) as service:
        name: str = service.show(None, image_id)["name"]
        return name


def read_by_integer(service: GlanceImageService, number: int) -> dict[str, Any]:
    """Use EC2's integers."""
    with S3ImageService(service, "sqlite://") as images:
        return images.show(None, number)


def call_by_name(config: Config) -> object:
    """Call a method by its name, as nova's wrapper does."""
    with GlanceClientWrapper(config) as client:
        return client.call(None, 2, "get", "id")


def record(endpoint: str) -> bool:
    """Record the call of another client."""
    recorder = make_recorder(Telemetry(registry=False, meter_provider=False))
    with recorder.call("images.get") as call, call.attempt(endpoint) as attempt:
        attempt.status = 200
        return current_call() is call
