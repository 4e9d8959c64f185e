"""Ports of loopback for programs that can't be asked where they listen."""

import random
import socket
from contextlib import suppress

# Below those that the kernel gives to whoever connects or asks for any: nobody gets them by chance.
_RANGE = range(20_000, 32_000)
_given: set[int] = set()


def free_port() -> int:
    """A port that nobody has, and that is given once."""
    for port in random.sample(_RANGE, len(_RANGE)):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            if port not in _given:
                _given.add(port)
                return port
    raise OSError("no port is free")
