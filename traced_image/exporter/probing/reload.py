"""Reloads the servers' configuration on request, or after one of its files has changed."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import ConfigError
from ...redact import hide_in_record
from .blocking_calls import BlockingCalls

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable

    from ...config import Config
    from ...telemetry.updates import Update


LOG = logging.getLogger(__name__)
LOG.addFilter(hide_in_record)

LOOK_SECONDS = 1.0
"""How often the files are checked, in seconds."""

_Traits = dict[str, tuple[int, ...] | None]
"""Device, inode, size and time of each file; None for a missing file."""


class Reloader:
    """Reloads a configuration, and keeps the current one if the new one is bad.

    It polls the files instead of watching them (inotify). Polling also sees the atomic renames of
    editors and configuration management, and the symbolic links of Kubernetes mounts. A file that
    has just changed may be incomplete. It is read when two checks in a row see the same state.

    Args:
        load: Builds the configuration from its sources; runs in a thread.
        replace: Puts a configuration in force; runs in the event loop.
        config: The current configuration, whose certificates and keys are checked too.
        record: Sets the gauge ``traced_image_exporter_config_last_reload_successful``.
        look_seconds: How often the files are checked, in seconds.
    """

    def __init__(
        self,
        load: Callable[[], Config],
        replace: Callable[[Config], object],
        config: Config,
        *,
        record: Update = lambda _value, _exemplar: None,
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        self._load = load
        self._replace = replace
        self._record = record
        self._look_seconds = look_seconds
        self._config = config
        self._paths: tuple[str, ...] = ()
        self._asked = False
        self._wake = asyncio.Event()
        self._background = BlockingCalls()
        record(1.0, None)

    def ask(self) -> None:
        """Make `watch` reload now; a signal handler may call this in the event loop."""
        self._asked = True
        self._wake.set()

    async def watch(self, paths: Iterable[str | os.PathLike[str]] = ()) -> None:
        """Reload on each request and after each change of a file, until cancelled.

        Args:
            paths: The configuration's files.
        """
        self._paths = tuple(map(str, paths))
        loaded = before = self._look()
        while True:
            await self._pause()
            now = self._look()
            if self._asked or now == before != loaded:
                self._asked = False
                await self.reload()
                # A file's state from before the reload counts as loaded. A write during the reload
                # is therefore a change, and causes another reload.
                loaded = now = {path: now.get(path, new) for path, new in self._look().items()}
            before = now

    async def _pause(self) -> None:
        # Not a timeout that works by cancelling this task: before Python 3.11, such a timeout may
        # swallow a cancellation from outside.
        timer = asyncio.get_running_loop().call_later(self._look_seconds, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            timer.cancel()
            self._wake.clear()

    def _look(self) -> _Traits:
        config = self._config
        named = filter(None, (config.cafile, config.certfile, config.keyfile))
        return {path: _read_traits(path) for path in (*self._paths, *named)}

    async def reload(self) -> bool:
        """Reload now, and return whether the new configuration is in force."""
        try:
            config = await self._background.call("load", self._load)
            self._replace(config)
        except ConfigError as error:
            LOG.warning("The configuration was not reloaded; the old one stays: %s", error)
        except Exception:
            # A defect must not end the watch: the exporter would never reload again.
            LOG.exception("The configuration was not reloaded; the old one stays")
        else:
            LOG.info("The configuration was reloaded: %d servers", len(config.servers))
            self._config = config
            self._record(1.0, None)
            return True
        self._record(0.0, None)
        return False


def _read_traits(path: str) -> tuple[int, ...] | None:
    try:
        found = Path(path).stat()
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
