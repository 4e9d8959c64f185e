"""A probe of one server: how long each phase takes, and whether a Glance answers.

A probe does not use the pipeline. It makes no retries and uses no proxy and no connection of an
earlier probe, so that its result depends on the server alone.
"""

from __future__ import annotations

import logging
import ssl
import time
from contextlib import suppress
from functools import cached_property, partial
from time import perf_counter
from typing import TYPE_CHECKING

import anyio
from urllib3.util.ssl_ import create_urllib3_context

from ...config import checks
from ...errors import InvalidAuth, InvalidTimeout, TokenUnavailable
from ...pipeline.api.records import quote_id
from ...pipeline.http.auth import ServiceToken
from ...pipeline.http.transport import make_tls_context
from .blocking_calls import BlockingCalls, Resolver
from .probe_run import ProbeRun
from .result import Canary, ProbeResult
from .timed_requests import ProbeConnection

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...config import Config, Server
    from .blocking_calls import AddressLookup


__all__ = ["Canary", "Probe", "ProbeResult"]

LOG = logging.getLogger(__name__)

TIMEOUT = 10.0
"""The default timeout of a whole probe, in seconds."""

TOKEN_TIMEOUT = 5.0
"""Seconds that a probe waits for Keystone's token before it skips the canary."""


class Probe:
    """Probes servers with the settings of one configuration.

    It requests ``/versions``, which lists the versions of the API, then ``/healthcheck``, then the
    canary if there is one. ``/healthcheck`` does not decide whether the probe succeeds: operators
    disable it to drain a server from a load balancer, and other clients may still use the server.
    A refusal, such as a 404 for the canary, shows a wrong setting; it is not the server's failure.

    Args:
        config: Timeouts, TLS and credentials. Servers outside of it can be probed too.
        image: The id of the canary; None for no canary.
        timeout: The timeout of a whole probe, in seconds.
        background: Runs blocking calls.
        lookup: Looks up names; None for the system's resolver.
        clock: Returns the time, in seconds since the epoch.

    Attributes:
        config: The configuration.
        timeout: The timeout of a whole probe, in seconds.
        clock: Returns the time, in seconds since the epoch.
        reach: How the probe connects to servers.

    Raises:
        ConfigError: A value of the configuration can't be used.
        InvalidImageID: The canary's id is not an image id.
    """

    def __init__(
        self,
        config: Config,
        *,
        image: str | None = None,
        timeout: float = TIMEOUT,
        background: BlockingCalls | None = None,
        lookup: AddressLookup | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.config = config
        self.timeout = checks.check_number(
            "timeout", timeout, "argument", InvalidTimeout, zero=False
        )
        self.clock = clock
        if image is not None:
            _check_image(config, image)
        self._image = image
        self._background = background or BlockingCalls()
        self._token = ServiceToken(config.auth)
        self._token_missing = False
        self.reach = ProbeConnection(
            resolve=Resolver(self._background, *filter(None, (lookup,))),
            connect_timeout=config.connect_timeout,
            tls=lambda: self._tls,
            unchecked=lambda: self._unchecked,
        )
        if any(server.scheme == "https" for server in config.servers):
            _ = self._tls  # so that a bad certificate file fails here, and not in each probe

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return make_tls_context(self.config)

    @cached_property
    def _unchecked(self) -> ssl.SSLContext:
        context = create_urllib3_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        if self.config.certfile:
            context.load_cert_chain(self.config.certfile, self.config.keyfile)
        return context

    async def canary(self) -> Canary | None:
        """Return the canary for the configured servers, with a token.

        Returns:
            None if no image is configured, or if Keystone gives no token. A missing token is no
            failure of a Glance server, so that the probe then skips the canary.
        """
        if self._image is None:
            return None
        try:
            with anyio.fail_after(TOKEN_TIMEOUT):
                token = await self._background.call(
                    "token", partial(self._token.get, TOKEN_TIMEOUT)
                )
        except (TokenUnavailable, TimeoutError) as error:
            self._miss_token(error)
            return None
        self._token_missing = False
        return Canary(self._image, token)

    def _miss_token(self, error: TokenUnavailable | TimeoutError) -> None:
        if not self._token_missing:
            self._token_missing = True
            why = error if isinstance(error, TokenUnavailable) else "Keystone does not answer"
            LOG.warning("Servers are probed without the image for now: %s", why)

    async def renew(self, canary: Canary) -> Canary | None:
        """Return the canary with a new token; None if there is no other token."""
        if canary.token is None:
            return None
        with suppress(TokenUnavailable):
            token = await self._background.call(
                ("renewed", canary.token),
                partial(self._token.renew, canary.token, TOKEN_TIMEOUT),
            )
            if token is not None:
                return Canary(canary.image, token)
        return None

    async def __call__(
        self, server: Server, canary: Canary | None = None, *, within: float | None = None
    ) -> ProbeResult:
        """Probe a server.

        Args:
            server: The server.
            canary: The image to request in addition to the versions. The server sees its token.
            within: The timeout in seconds, if it is shorter than the probe's own.
        """
        seconds = self.timeout if within is None else min(within, self.timeout)
        visit = ProbeRun(self, server, perf_counter() + seconds)
        try:
            return await visit.result(canary)
        finally:
            visit.line.close()


def _check_image(config: Config, image: str) -> None:
    quote_id(image)
    if config.auth_strategy == "keystone" and config.auth is None:
        raise InvalidAuth(
            "auth",
            "is missing, but a probe with an image needs a token",
            source=config.sources.get("auth_strategy", "argument"),
            fix="give auth or a cloud, or probe without an image",
        )
