"""One probe under way: its requests to a server, and what the replies mean."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import anyio

from ...errors import InvalidEndpoint, ProtocolError, status_error
from ...pipeline.api.records import check_image, quote_id
from ...pipeline.http.reply import request_id_of
from ...reasons import find_reason
from .misconfiguration import (
    UNAUTHORIZED,
    MisconfiguredError,
    check_canary,
    check_versions,
    describe_prefix,
)
from .result import CanaryResult, ProbeResult
from .timed_requests import (
    MOST_BYTES,
    Stopwatch,
    TimedConnection,
    TimedReply,
    classify_in_phase,
    fetch_certificate,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ...config import Server
    from ...errors import AttemptError
    from ...telemetry.catalogue.probe_metrics import CanaryCheck, Phase
    from .result import Canary
    from .timed_requests import ProbeConnection


_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_VERSION = re.compile(r"v\d{1,3}(?:\.\d{1,3})?", re.ASCII)
_MOST_VERSIONS = 100
_HEALTHY = 200
_UNHEALTHY = 500
_TOKEN = "X-Auth-Token"  # noqa: S105 the header's name

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _AnsweredRequest(Generic[T]):
    """One request of a probe: the reply and the value read from it, or the failure."""

    answer: TimedReply | None
    value: T | None
    failure: AttemptError | None
    phases: Mapping[Phase, float]

    @property
    def reason(self) -> str:
        """The reason of the failure; empty for success."""
        return "" if self.failure is None else find_reason(self.failure)


class ProbeSettings(Protocol):
    """The settings of a `Probe` that one run needs."""

    reach: ProbeConnection
    clock: Callable[[], float]

    async def renew(self, canary: Canary) -> Canary | None:
        """Return the canary with a new token; None if there is no other token."""


class ProbeRun:
    """One probe of one server under way.

    Args:
        probe: The settings.
        server: The server.
        until: The time at which the probe must end, by `perf_counter`.

    Attributes:
        line: The connection to the server.
    """

    def __init__(self, probe: ProbeSettings, server: Server, until: float) -> None:
        self._probe = probe
        self._server = server
        self._until = until
        self.line = TimedConnection(server, probe.reach)

    async def result(self, canary: Canary | None) -> ProbeResult:
        """Make all requests of the probe and return its result.

        Args:
            canary: The image to request; None for no canary.
        """
        # Healthcheck if the server replied at all, the canary only if a Glance did.
        listed = await self._tried("/versions", self._versions)
        healthcheck: bool | None = None
        canaries: list[_AnsweredRequest[int | None]] = []
        if listed.answer is not None:
            healthcheck = await self._healthcheck()
        if listed.failure is None and canary is not None:
            canaries = await self._canary(canary)
        version, versions = listed.value or (None, ())
        failures = (listed.failure, *(each.failure for each in canaries))
        failure = next((each for each in failures if each is not None), None)
        return ProbeResult(
            server=self._server,
            when=self._probe.clock(),
            phases=listed.phases,
            reason="" if failure is None else find_reason(failure),
            error="" if failure is None else str(failure),
            misconfigured=failure.setting if isinstance(failure, MisconfiguredError) else None,
            status=None if listed.answer is None else listed.answer.status,
            request_id=_find_request_id(failure, listed.answer),
            certificate_expiry=_find_expiry(self.line.certificate),
            version=version,
            versions=versions,
            healthcheck=healthcheck,
            canary=_make_canary_results(canaries),
        )

    def _left(self) -> float:
        return self._until - perf_counter()

    async def _tried(
        self,
        path: str,
        read: Callable[[TimedReply], T],
        headers: Mapping[str, str] | None = None,
        *,
        share: float = 1.0,
        part: bool = False,
    ) -> _AnsweredRequest[T]:
        """Request a path and read the reply.

        Args:
            path: The path after the server's URL.
            read: Reads the reply's value; raises an `AttemptError` for a bad reply.
            headers: Further headers.
            share: The share of the time left that the request may take.
            part: Whether the first bytes of the body are enough.
        """
        watch = Stopwatch()
        answer, value, failure = None, None, None
        try:
            with anyio.fail_after(self._left() * share):
                found = await self.line.get(path, watch, headers, part=part)
            watch.stop()
            token = (headers or {}).get(_TOKEN)
            answer = replace(found, request_id=request_id_of(found.headers, (token,)))
            value = read(answer)
        except Exception as error:  # noqa: BLE001 every failure is a result of the probe
            watch.stop()
            failure = classify_in_phase(error, watch.phase, self._server)
            await fetch_certificate(self.line, error, self._left())
        return _AnsweredRequest(answer, value, failure, watch.phases)

    async def _healthcheck(self) -> bool | None:
        # At most half of the time left: /healthcheck does not decide the result, but the canary,
        # which comes next, does.
        tried = await self._tried("/healthcheck", lambda answer: answer.status, share=0.5)
        if tried.value == _HEALTHY:
            return True
        return False if tried.value is None or tried.value >= _UNHEALTHY else None

    async def _canary(self, canary: Canary) -> list[_AnsweredRequest[int | None]]:
        path = f"/v2/images/{quote_id(canary.image)}"
        read = partial(self._record, canary)
        show = await self._tried(path, read, _make_headers(canary))
        if show.answer is not None and show.answer.status == UNAUTHORIZED:
            # The token may have been revoked, which is no failure of the server: try a new one.
            with anyio.move_on_after(self._left()):
                renewed = await self._probe.renew(canary)
                if renewed is not None:
                    canary = renewed
                    show = await self._tried(path, read, _make_headers(canary))
        if show.failure is not None:
            return [show]
        wanted = {**_make_headers(canary), "Range": f"bytes=0-{MOST_BYTES - 1}"}
        data = partial(self._data, canary)
        return [show, await self._tried(f"{path}/file", data, wanted, part=True)]

    def _versions(self, answer: TimedReply) -> tuple[str | None, tuple[str, ...]]:
        """Return the current version in a versions document, and all its versions."""
        check_versions(answer, self._server)
        self._expect(answer, 200, 300)
        document = _parse_json(answer)
        listed = document.get("versions") if isinstance(document, dict) else None
        known = [
            each
            for each in (listed if isinstance(listed, list) else [])
            if isinstance(each, dict) and _VERSION.fullmatch(str(each.get("id")))
        ]
        if not known:
            raise ProtocolError(
                f"{self._server.netloc}: {describe_prefix(self._server)}: the reply lists no"
                " version of the Image API; fix: check the address, and a proxy before the server"
            )
        current = next((each["id"] for each in known if each.get("status") == "CURRENT"), None)
        return current, tuple(each["id"] for each in known[:_MOST_VERSIONS])

    def _record(self, canary: Canary, answer: TimedReply) -> int | None:
        check_canary(answer, self._server, canary)
        self._expect(answer, 200)
        check_image(_parse_json(answer), self._server.netloc, canary.image)
        return None

    def _data(self, canary: Canary, answer: TimedReply) -> int | None:
        check_canary(answer, self._server, canary, "the data of ")
        # 204: an image without data. 200: a server that ignores the Range header (RFC 9110, 14.2).
        self._expect(answer, 200, 204, 206)
        return len(answer.body)

    def _expect(self, answer: TimedReply, *statuses: int) -> None:
        """Raise the error of any other status."""
        status, origin = answer.status, self._server.netloc
        if status >= 400:  # noqa: PLR2004 the first that is an error
            raise status_error(
                status,
                f"{origin}: HTTP {status}",
                retry_after=None,
                request_id=answer.request_id,
            )
        if status in _REDIRECTS:
            raise InvalidEndpoint(
                f"{origin}: the server redirects: list the redirect's target instead"
            )
        if status not in statuses:
            raise ProtocolError(f"{origin}: HTTP {status} is not a valid answer to this request")


def _make_headers(canary: Canary) -> dict[str, str]:
    return {} if canary.token is None else {_TOKEN: canary.token}


def _parse_json(answer: TimedReply) -> object:
    try:
        value: object = json.loads(answer.body)
    except (ValueError, RecursionError):
        return None
    return value


def _make_canary_results(tried: list[_AnsweredRequest[int | None]]) -> tuple[CanaryResult, ...]:
    names: tuple[CanaryCheck, ...] = ("show", "download")
    return tuple(
        CanaryResult(name, sum(each.phases.values()), each.reason, each.value)
        for name, each in zip(names, tried, strict=False)
    )


def _find_request_id(failure: AttemptError | None, listed: TimedReply | None) -> str | None:
    if failure is not None and failure.request_id is not None:
        return failure.request_id
    return None if listed is None else listed.request_id


def _find_expiry(certificate: bytes | None) -> float | None:
    """Return when a certificate expires, in seconds since the epoch; None if it is unreadable."""
    if certificate is None:
        return None
    from cryptography import x509

    with suppress(ValueError):
        return x509.load_der_x509_certificate(certificate).not_valid_after_utc.timestamp()
    return None
