"""The servers' configuration, loaded again when it is asked for or when a file has changed."""

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
    from ...telemetry.backends import Update


LOG = logging.getLogger(__name__)
LOG.addFilter(hide_in_record)

LOOK_SECONDS = 1.0
"""How often the files are looked at."""

_Traits = dict[str, tuple[int, ...] | None]
"""What changes with each file; None for one that is not there."""


class Reloader:
    """Loads a configuration again, and keeps the one in force when the new one is bad.

    Files are looked at, rather than watched: that sees whatever an editor, a configuration
    management or a Kubernetes mount does to them. A file that has just changed may not be whole
    yet, so that it is read when it has stayed the same from one look to the next.

    Args:
        load: Makes the configuration of its sources; called in a thread.
        replace: Puts it in force; called in the event loop.
        config: What is in force now; its certificates and keys are watched, too.
        record: Sets the gauge ``traced_image_exporter_config_last_reload_successful``.
        look_seconds: How often the files are looked at.
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
        """Have `watch` reload at once; for the handler of a signal, in the event loop."""
        self._asked = True
        self._wake.set()

    async def watch(self, paths: Iterable[str | os.PathLike[str]] = ()) -> None:
        """Reload whenever it is asked for or a file has changed, until cancelled.

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
                # What is written while it is read counts as a change.
                loaded = now = {path: now.get(path, new) for path, new in self._look().items()}
            before = now

    async def _pause(self) -> None:
        # No timeout that cancels: before Python 3.11, that may swallow another's cancelling.
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
        """Reload now; return whether the new configuration is in force."""
        try:
            config = await self._background.call("load", self._load)
            self._replace(config)
        except ConfigError as error:
            LOG.warning("The configuration stays as it was: %s", error)
        except Exception:
            LOG.exception("The configuration stays as it was")
        else:
            LOG.info("The configuration has been loaded again: %d servers", len(config.servers))
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
