"""Probes of servers, one at a time: how long each phase takes, and whether a Glance answers.

The pipeline has no part in it: there are no retries, no proxies and no kept connections, so that
a probe tells of its server and of nothing else.
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
from ...pipeline.http.auth import RequestTokens
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
"""Seconds for a whole probe, unless said otherwise."""

TOKEN_TIMEOUT = 5.0
"""Seconds that a probe waits for Keystone before it does without its image."""


class Probe:
    """Probes servers by one configuration.

    It asks for the root, which names the versions of the API, for ``/healthcheck``, which decides
    nothing (an operator takes a server out of a load balancer by it, and others may use it all
    the same), and for an image where one is given.

    Args:
        config: How servers are reached; its own are not the only ones that can be probed.
        image: The id of the image to ask for; None for none.
        timeout: Seconds for a whole probe.
        background: Where calls that block are made.
        lookup: Looks names up; None for the system's resolver.
        clock: Seconds since the epoch.

    Attributes:
        config: As given.
        timeout: As given.
        clock: As given.
        reach: How servers are reached.

    Raises:
        ConfigError: What is configured can't be used.
        InvalidImageID: The id is none.
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
        self._credentials = RequestTokens(config)
        self._token_missing = False
        self.reach = ProbeConnection(
            resolve=Resolver(self._background, *filter(None, (lookup,))),
            connect_timeout=config.connect_timeout,
            tls=lambda: self._tls,
            unchecked=lambda: self._unchecked,
        )
        if any(server.scheme == "https" for server in config.servers):
            _ = self._tls  # to fail now, if it does

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
        """What to ask the configured servers for, beside the root.

        None without an image, and while Keystone gives no token, for which no server is to blame.
        """
        if self._image is None:
            return None
        try:
            with anyio.fail_after(TOKEN_TIMEOUT):
                token = await self._background.call("token", self._credentials.service_token)
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
        """The same with another token, or None where there is no other."""
        if canary.token is None:
            return None
        with suppress(TokenUnavailable):
            token = await self._background.call(
                ("renewed", canary.token), partial(self._credentials.renew, canary.token)
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
            canary: What to ask for beside the root. Its token is shown to the server.
            within: Seconds for all of it, if fewer than usual.
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
            "there is none to ask for an image with",
            source=config.sources.get("auth_strategy", "argument"),
            fix="give auth or a cloud, or probe without an image",
        )
