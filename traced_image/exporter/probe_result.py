"""What a probe asks for beside a server's root, and what it finds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..config import Server
    from ..telemetry.catalogue.exporter import Check, Phase


@dataclass(frozen=True, slots=True)
class Canary:
    """An image to ask a server for.

    Attributes:
        image: Its id.
        token: What to ask with; None where the servers want none.
    """

    image: str
    token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Checked:
    """How one of the checks with an image went.

    Attributes:
        check: Which one.
        seconds: How long it took.
        reason: Why it failed; empty if it succeeded.
        size: Bytes of image data that came, where that is what was asked for.
    """

    check: Check
    seconds: float
    reason: str = ""
    size: int | None = None


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What a probe found.

    Attributes:
        server: The server.
        when: When it ended, in seconds since the epoch.
        phases: Seconds of each phase, as far as it came, of asking for the server's root.
        reason: Why it failed, from the catalogue's closed set; empty if it succeeded.
        error: The same in a sentence.
        status: The HTTP status of the root, if it answered.
        request_id: The server's ``X-OpenStack-Request-ID`` of what failed, or of the root.
        certificate_expiry: When its certificate expires, in seconds since the epoch.
        version: The version of the Image API that it has as the current one.
        versions: All that it has.
        healthcheck: Whether ``/healthcheck`` is well; None if it has none.
        canary: The checks with an image, as far as they came.
    """

    server: Server
    when: float
    phases: Mapping[Phase, float]
    reason: str = ""
    error: str = ""
    status: int | None = None
    request_id: str | None = None
    certificate_expiry: float | None = None
    version: str | None = None
    versions: tuple[str, ...] = ()
    healthcheck: bool | None = None
    canary: tuple[Checked, ...] = ()

    @property
    def seconds(self) -> float:
        """How long asking for the root took: the sum of its phases."""
        return sum(self.phases.values())
