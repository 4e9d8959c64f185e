"""What a server offers of its access log: to read it, to wait for a request, and to assert."""

from __future__ import annotations

import re
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .checks import check_count, check_method, check_pattern, check_seconds, check_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .access_log import Access

_SHOWN = 30


@dataclass(frozen=True)
class Wanted:
    """The requests that a test asks for; None stands for any."""

    method: str | None
    path: str | None
    status: int | None
    fault: str | None

    def matches(self, access: Access) -> bool:
        """Return whether an entry is one of them; connections only match if a fault is named."""
        return (
            (bool(access.method) if self.fault is None else self.fault == access.fault)
            and (self.method is None or self.method == access.method)
            and (self.path is None or re.search(self.path, access.path) is not None)
            and (self.status is None or self.status == access.status)
        )

    def __str__(self) -> str:
        asked = f"{self.method or 'any method'} {self.path or 'any path'}"
        status = "" if self.status is None else f", status {self.status}"
        return asked + status + ("" if self.fault is None else f", fault {self.fault}")


class LoggedServer:
    """A server with an access log."""

    def __init__(self) -> None:
        self._log: list[Access] = []
        self._logged = threading.Condition()

    @property
    def access_log(self) -> tuple[Access, ...]:
        """The requests so far, in the order of their replies, and the connections with a fault."""
        with self._logged:
            return tuple(self._log)

    def clear_log(self) -> None:
        """Empty the access log."""
        with self._logged:
            self._log.clear()

    def record(self, access: Access) -> None:
        """Add a request to the access log; for this package."""
        with self._logged:
            self._log.append(access)
            self._logged.notify_all()

    def find_requests(
        self,
        *,
        method: str | None = None,
        path: str | None = None,
        status: int | None = None,
        fault: str | None = None,
    ) -> tuple[Access, ...]:
        """Return the entries of the access log that match all that is given.

        Args:
            method: An HTTP method.
            path: A regular expression, searched for in the path with its query.
            status: The HTTP status of the reply.
            fault: The name of the fault, as in `Access.fault`. Entries of connections match only
                if their fault is named.

        Raises:
            InvalidArgument: The method is unknown, the path is no regular expression, or another
                argument has a wrong type.
        """
        return self._find(want("find_requests", method, path, status, fault))

    def wait_for(
        self,
        count: int = 1,
        *,
        timeout: float = 10.0,
        method: str | None = None,
        path: str | None = None,
        status: int | None = None,
        fault: str | None = None,
    ) -> tuple[Access, ...]:
        """Wait until at least `count` matching requests are in the access log; return them.

        A request is logged when its reply begins.

        Args:
            count: How many.
            timeout: Seconds after which to give up.
            method: As in `find_requests`.
            path: As in `find_requests`.
            status: As in `find_requests`.
            fault: As in `find_requests`.

        Raises:
            AssertionError: They did not come in time; its message lists what came instead.
            InvalidArgument: An argument is wrong.
        """
        check_count("wait_for", count)
        check_seconds("wait_for", timeout)
        wanted = want("wait_for", method, path, status, fault)
        return self.await_requests(wanted, count, timeout)

    def await_requests(
        self,
        wanted: Wanted,
        count: int,
        timeout: float,
        is_over: Callable[[], bool] = bool,
    ) -> tuple[Access, ...]:
        """Wait as `wait_for` does, or until `is_over` after a `wake`; for this package.

        Raises:
            AssertionError: The requests did not come.
        """
        end = time.monotonic() + min(timeout, threading.TIMEOUT_MAX)
        with self._logged:
            while len(found := self._find(wanted)) < count:
                if is_over() or not self._logged.wait(max(0.0, end - time.monotonic())):
                    problem = f"{count} of {wanted} within {timeout:g} s"
                    raise AssertionError(_explain(problem, found, self._log))
        return found

    def wake(self) -> None:
        """Let those that wait for requests look whether they still should; for this package."""
        with self._logged:
            self._logged.notify_all()

    def assert_called(
        self,
        *,
        times: int | None = None,
        method: str | None = None,
        path: str | None = None,
        status: int | None = None,
        fault: str | None = None,
    ) -> None:
        """Assert that matching requests came.

        Args:
            times: How many; None for at least one.
            method: As in `find_requests`.
            path: As in `find_requests`.
            status: As in `find_requests`.
            fault: As in `find_requests`.

        Raises:
            AssertionError: They did not come; its message lists what came instead.
            InvalidArgument: An argument is wrong.
        """
        if times is not None:
            check_count("assert_called", times, least=0)
        wanted = want("assert_called", method, path, status, fault)
        with self._logged:
            found = self._find(wanted)
            if not found if times is None else len(found) != times:
                number = "at least 1" if times is None else str(times)
                raise AssertionError(_explain(f"{number} of {wanted}", found, self._log))

    def assert_not_called(
        self,
        *,
        method: str | None = None,
        path: str | None = None,
        status: int | None = None,
        fault: str | None = None,
    ) -> None:
        """Assert that no matching request came.

        Args:
            method: As in `find_requests`.
            path: As in `find_requests`.
            status: As in `find_requests`.
            fault: As in `find_requests`.

        Raises:
            AssertionError: One came; its message lists all that came.
            InvalidArgument: An argument is wrong.
        """
        self.assert_called(times=0, method=method, path=path, status=status, fault=fault)

    def _find(self, wanted: Wanted) -> tuple[Access, ...]:
        with self._logged:
            return tuple(access for access in self._log if wanted.matches(access))


def want(
    call: str, method: str | None, path: str | None, status: int | None, fault: str | None
) -> Wanted:
    """Check what a test asks for.

    Raises:
        InvalidArgument: An argument is wrong.
    """
    method = None if method is None else check_method(call, method)
    path = None if path is None else check_pattern(call, path)
    if status is not None:
        check_count(call, status)
    fault = None if fault is None else check_text(call, fault)
    return Wanted(method, path, status, fault)


def _explain(wanted: str, found: Sequence[Access], log: Sequence[Access]) -> str:
    """Say what was wanted and what came instead; a star marks the entries that match."""
    lines = [f"Expected {wanted}, and {len(found)} came."]
    if not log:
        return f"{lines[0]} The access log is empty."
    hidden = max(0, len(log) - _SHOWN)
    shown = f"; the last {_SHOWN} are:" if hidden else ":"
    lines.append(f"The access log has {len(log)}{shown}")
    known = {id(access) for access in found}
    for number, access in enumerate(log[hidden:], hidden + 1):
        lines.append(f"{'*' if id(access) in known else ' '} {number}. {access}")
    return "\n".join(lines)
