"""One probe under way: what is asked of a server, and what its answers mean."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import anyio

from ...errors import InvalidEndpoint, ProtocolError, Unauthorized, status_error
from ...pipeline.api.records import check_image, quote_id
from ...pipeline.http.reply import request_id_of
from ...reasons import find_reason
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
    """One request of a probe: its answer and what that means, or what it met."""

    answer: TimedReply | None
    value: T | None
    failure: AttemptError | None
    phases: Mapping[Phase, float]

    @property
    def reason(self) -> str:
        """Why it failed; empty if it did not."""
        return "" if self.failure is None else find_reason(self.failure)


class ProbeSettings(Protocol):
    """What a visit needs of whoever makes it: a `Probe`."""

    reach: ProbeConnection
    clock: Callable[[], float]

    async def renew(self, canary: Canary) -> Canary | None:
        """The same with another token, or None where there is no other."""


class ProbeRun:
    """One probe under way.

    Args:
        probe: Whose settings count.
        server: The server.
        until: When it must be over, by `perf_counter`.

    Attributes:
        line: The way to the server.
    """

    def __init__(self, probe: ProbeSettings, server: Server, until: float) -> None:
        self._probe = probe
        self._server = server
        self._until = until
        self.line = TimedConnection(server, probe.reach)

    async def result(self, canary: Canary | None) -> ProbeResult:
        """Ask for everything, and tell what was found."""
        root = await self._tried("/", self._versions)
        healthcheck: bool | None = None
        canaries: list[_AnsweredRequest[int | None]] = []
        if root.answer is not None:
            healthcheck = await self._healthcheck()
        if root.failure is None and canary is not None:
            canaries = await self._canary(canary)
        version, versions = root.value or (None, ())
        failures = (root.failure, *(each.failure for each in canaries))
        failure = next((each for each in failures if each is not None), None)
        return ProbeResult(
            server=self._server,
            when=self._probe.clock(),
            phases=root.phases,
            reason="" if failure is None else find_reason(failure),
            error="" if failure is None else str(failure),
            status=None if root.answer is None else root.answer.status,
            request_id=_find_request_id(failure, root.answer),
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
        """Ask for a path, and read the answer, which raises an `AttemptError` for a bad one."""
        watch = Stopwatch()
        answer, value, failure = None, None, None
        try:
            with anyio.fail_after(self._left() * share):
                found = await self.line.get(path, watch, headers, part=part)
            watch.stop()
            token = (headers or {}).get(_TOKEN)
            answer = replace(found, request_id=request_id_of(found.headers, token))
            value = read(answer)
        except Exception as error:  # noqa: BLE001 a probe tells of whatever it meets
            watch.stop()
            failure = classify_in_phase(error, watch.phase, self._server)
            await fetch_certificate(self.line, error, self._left())
        return _AnsweredRequest(answer, value, failure, watch.phases)

    async def _healthcheck(self) -> bool | None:
        # Half of the time that is left, for it decides nothing.
        tried = await self._tried("/healthcheck", lambda answer: answer.status, share=0.5)
        if tried.value == _HEALTHY:
            return True
        return False if tried.value is None or tried.value >= _UNHEALTHY else None

    async def _canary(self, canary: Canary) -> list[_AnsweredRequest[int | None]]:
        path = f"/v2/images/{quote_id(canary.image)}"
        read = partial(self._record, canary.image)
        show = await self._tried(path, read, _make_headers(canary))
        if isinstance(show.failure, Unauthorized):
            # A token that has been revoked is not the server's fault.
            with anyio.move_on_after(self._left()):
                renewed = await self._probe.renew(canary)
                if renewed is not None:
                    canary = renewed
                    show = await self._tried(path, read, _make_headers(canary))
        if show.failure is not None:
            return [show]
        wanted = {**_make_headers(canary), "Range": f"bytes=0-{MOST_BYTES - 1}"}
        return [show, await self._tried(f"{path}/file", self._data, wanted, part=True)]

    def _versions(self, answer: TimedReply) -> tuple[str | None, tuple[str, ...]]:
        """The current version in a versions document, and all that it has."""
        self._expect(answer, 200, 300)
        document = _parse_json(answer)
        listed = document.get("versions") if isinstance(document, dict) else None
        known = [
            each
            for each in (listed if isinstance(listed, list) else [])
            if isinstance(each, dict) and _VERSION.fullmatch(str(each.get("id")))
        ]
        if not known:
            raise ProtocolError(f"{self._server.netloc}: its root names no version of the API")
        current = next((each["id"] for each in known if each.get("status") == "CURRENT"), None)
        return current, tuple(each["id"] for each in known[:_MOST_VERSIONS])

    def _record(self, image: str, answer: TimedReply) -> int | None:
        self._expect(answer, 200)
        check_image(_parse_json(answer), self._server.netloc, image)
        return None

    def _data(self, answer: TimedReply) -> int | None:
        self._expect(answer, 200, 204, 206)
        return len(answer.body)

    def _expect(self, answer: TimedReply, *statuses: int) -> None:
        """Refuse any other status."""
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
                f"{origin}: redirected elsewhere: list the server that it leads to instead"
            )
        if status not in statuses:
            raise ProtocolError(f"{origin}: HTTP {status} answers nothing that was asked")


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


def _find_request_id(failure: AttemptError | None, root: TimedReply | None) -> str | None:
    if failure is not None and failure.request_id is not None:
        return failure.request_id
    return None if root is None else root.request_id


def _find_expiry(certificate: bytes | None) -> float | None:
    """When a certificate expires, in seconds since the epoch, if it can be read."""
    if certificate is None:
        return None
    from cryptography import x509

    with suppress(ValueError):
        return x509.load_der_x509_certificate(certificate).not_valid_after_utc.timestamp()
    return None
