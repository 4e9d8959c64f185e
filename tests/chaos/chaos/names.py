"""A resolver of our own for the names of servers, in place of the system's."""

from __future__ import annotations

import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

HERE = "127.0.0.1"
"""Where all servers are."""

DEAD = "127.0.0.2"
"""An address of this machine at which nobody listens."""


class Names:
    """Answers for names of servers; each name is right until it is told otherwise.

    Args:
        names: The names that it answers for; it leaves others to the system.
        rng: Chooses the answers of a name that flaps.
    """

    def __init__(self, names: tuple[str, ...], rng: random.Random) -> None:
        self._answers: dict[str, tuple[str, ...]] = dict.fromkeys(names, (HERE,))
        self._rng = rng

    def put(self, name: str, *answers: str) -> None:
        """Answer with one of these addresses, by chance; an empty one is no such name."""
        self._answers[name] = answers

    def repair(self, name: str) -> None:
        """Answer with the right address."""
        self.put(name, HERE)

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Answer for this process."""
        ask_system = socket.getaddrinfo

        def ask(host: Any, *args: Any, **kwargs: Any) -> Any:
            return ask_system(self._resolve(host), *args, **kwargs)

        socket.getaddrinfo = ask
        try:
            yield
        finally:
            socket.getaddrinfo = ask_system

    def _resolve(self, host: Any) -> Any:
        answers = self._answers.get(host) if isinstance(host, str) else None
        if answers is None:
            return host
        address = self._rng.choice(answers)
        if not address:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return address
