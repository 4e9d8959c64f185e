"""What a user writes: `mypy --strict` accepts it, and refuses what is marked."""

from __future__ import annotations

from opentelemetry.sdk.trace import TracerProvider
from prometheus_client import CollectorRegistry

import traced_image
from traced_image import (
    Config,
    GlanceConnectionFailed,
    GlanceImageService,
    ImageNotFound,
    RequestContext,
    RetryPolicy,
    Server,
    ServerHealth,
    Telemetry,
)


def connected(servers: list[str]) -> GlanceImageService:
    """A service with all that can be said of it."""
    telemetry = Telemetry(
        tracer_provider=TracerProvider(), registry=CollectorRegistry(), wire_spans=True
    )
    return traced_image.connect(servers=servers, num_retries=3, telemetry=telemetry)


def configured(server: Server) -> GlanceImageService:
    """A service of a configuration."""
    config = Config(servers=(server,), retry=RetryPolicy(backoff_base=0.1), deadline=None)
    return traced_image.connect(config=config, telemetry=False)


class Caller:
    """A context of another library's, with the attributes that matter."""

    def __init__(self) -> None:
        self.auth_token: str | None = None
        self.user_id: str | None = "user"
        self.project_id: str | None = "project"
        self.is_admin = False


def used(service: GlanceImageService) -> list[object]:
    """Make every call, and return what each gives."""
    context = RequestContext(project_id="project")
    fields: dict[str, object] = {
        "name": "new",
        "disk_format": "raw",
        "container_format": "bare",
        "is_public": True,
    }
    image: dict[str, object] = service.create(context, fields, data=b"data")
    image_id = str(image["id"])
    shown = service.show(Caller(), image_id)["name"]
    listed: list[dict[str, object]] = service.detail(None, filters={"name": "new"}, limit=1)
    changed = service.update(context, image_id, {"name": "newer"}, purge_props=False)["name"]
    download = service.download(context, image_id)
    data = None if download is None else b"".join(download)
    location: str | None = service.get_location(context, image_id)
    deleted: bool = service.delete(context, image_id)
    return [shown, len(listed), changed, data, location, deleted, *failed(service, image_id)]


def failed(service: GlanceImageService, image_id: str) -> list[object]:
    """Ask for an image that is gone, and return what the error and the servers tell."""
    status, attempts = 0, 0
    try:
        service.show(None, image_id)
    except ImageNotFound as error:
        status = error.status
    except GlanceConnectionFailed as error:
        attempts = len([(attempt.server, attempt.reason) for attempt in error.attempts])
    health: tuple[ServerHealth, ...] = service.servers()
    return [status, attempts, [(one.state, one.last_reason) for one in health]]


def misused(service: GlanceImageService) -> str:
    """Make a mistake on each line; this is never called."""
    service.show(None)  # type: ignore[call-arg]
    service.show(None, 42)  # type: ignore[arg-type]
    service.show("admin", "id")  # type: ignore[arg-type]
    service.create(None, {}, data=42)  # type: ignore[arg-type]
    traced_image.connect(["glance"])  # type: ignore[arg-type, call-arg]
    traced_image.connect(telemetry=True)  # type: ignore[arg-type]
    Telemetry(wire_spans="no")  # type: ignore[arg-type]
    Config(num_retries="three")  # type: ignore[arg-type]
    Config(num_retrys=3)  # type: ignore[call-arg]
    Config().num_retries.upper()  # type: ignore[attr-defined]
    RetryPolicy(0.5)  # type: ignore[call-arg]
    RetryPolicy(statuses="503")  # type: ignore[arg-type]
    service.servers()[0].state = "healthy"  # type: ignore[misc]
    return service.show(None, "id")["name"]  # type: ignore[return-value]
