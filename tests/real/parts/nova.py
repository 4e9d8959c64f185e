"""nova 34's own image service, to hold this package's answers against."""

import json
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .http import HTTPPart, listen
from .inside.tagged import tagged

_LIMIT = 60.0  # seconds for one call, in which nova may retry


class NovaRaisedError(Exception):
    """nova's image service raised.

    Attributes:
        kind: The exception's module and name.
    """

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(f"{kind}: {text}")
        self.kind = kind


@dataclass(frozen=True)
class Nova:
    """Calls nova's `GlanceImageServiceV2` in a process that has nova."""

    process: HTTPPart

    def call(
        self,
        servers: Sequence[str],
        method: str,
        *args: object,
        context: Mapping[str, object] | None = None,
        **kwargs: object,
    ) -> object:
        """Call one method of a new service over these servers.

        Args:
            servers: The URLs for `[glance] api_servers`.
            method: `show`, `detail`, `create`, `update` or `delete`.
            args: The method's arguments, but for the context.
            context: Arguments of nova's `RequestContext`; None for an administrator without token.
            kwargs: The method's arguments by name.

        Returns:
            What it returned as `tagged` does it, so that types can be compared, too.

        Raises:
            NovaRaisedError: It raised.
        """
        question = {
            "servers": list(servers),
            "method": method,
            "context": dict(context or {"is_admin": True}),
            "args": args,
            "kwargs": kwargs,
        }
        request = urllib.request.Request(self.process.url, json.dumps(question).encode())
        with urllib.request.urlopen(request, timeout=_LIMIT) as reply:
            answer = json.load(reply)
        if "raised" in answer:
            raise NovaRaisedError(answer["raised"], answer["text"])
        return answer["value"]


@contextmanager
def nova(environment: Path, folder: Path) -> Iterator[Nova]:
    """Run nova's image service; `folder` is for the log."""
    folder.mkdir(parents=True)
    process = HTTPPart(
        "nova", environment, "nova_app:application", listen(), folder / "log", env={}
    )
    try:
        process.launch()
        process.wait()
        yield Nova(process)
    finally:
        process.close()


def as_tagged(value: object) -> object:
    """This package's answer in the form of nova's."""
    return json.loads(json.dumps(tagged(value)))
