"""The calls of a trace, with their attempts and what they cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..telemetry import catalogue
from .json_values import find_number
from .observations import CallSeen, name_server
from .words import describe_reason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .trace_formats import SpanSeen


@dataclass(frozen=True, slots=True)
class AttemptSeen:
    """An attempt, or a stream that broke after its attempt had ended.

    Attributes:
        span: Its span.
        server: ``host:port``.
        reason: Why it failed; empty if it did not.
        refusal: Why the server refused it; empty if it did not.
    """

    span: SpanSeen
    server: str
    reason: str
    refusal: str = ""

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.span.end - self.span.start

    @property
    def is_stream(self) -> bool:
        """Whether it is a stream."""
        return catalogue.ATTEMPT_NUMBER not in self.span.attributes

    def succeeds_on(self, server: str) -> bool:
        """Return whether it is on this server, and succeeded."""
        return self.server == server and not (self.reason or self.refusal)

    @property
    def end(self) -> str:
        """How it ended; empty if it succeeded."""
        if self.refusal:
            return f"refused ({describe_reason(self.refusal)})"
        return describe_reason(self.reason) if self.reason else ""


@dataclass(frozen=True, slots=True)
class TracedCall:
    """A call.

    Attributes:
        span: Its span.
        below: The spans below it, in their order.
    """

    span: SpanSeen
    below: Sequence[SpanSeen]

    @property
    def attempts(self) -> list[AttemptSeen]:
        """Its attempts, in their order; a stream that failed stands for its attempt."""
        found: list[AttemptSeen] = []
        for each in filter(None, map(_read_attempt, self.below)):
            if each.is_stream and found and found[-1].succeeds_on(each.server):
                found.pop()
            found.append(each)
        return found

    @property
    def failures(self) -> list[AttemptSeen]:
        """Those that failed."""
        return [each for each in self.attempts if each.reason]

    @property
    def operation(self) -> str:
        """What it asked of Glance."""
        return str(self.span.attributes.get(catalogue.OPERATION, ""))

    @property
    def outcome(self) -> str:
        """One of the catalogue's outcomes."""
        return str(self.span.attributes[catalogue.OUTCOME])

    @property
    def has_failed(self) -> bool:
        """Whether it failed in the end."""
        return self.outcome in catalogue.FAILED_OUTCOMES

    @property
    def reason(self) -> str:
        """Why it failed; empty if it did not."""
        return str(self.span.attributes.get(catalogue.ERROR_TYPE, "")) if self.has_failed else ""

    @property
    def labels(self) -> tuple[str, str, str]:
        """Its job, its operation and its reason."""
        return self.span.job, self.operation, self.reason

    @property
    def cost(self) -> float:
        """What retries added; of a trace that does not say it, the time of failed attempts."""
        told = find_number(self.span.attributes, catalogue.RETRY_COST_TOTAL)
        waits = find_number(self.span.attributes, catalogue.RETRY_DELAY_TOTAL) or 0.0
        return sum(each.seconds for each in self.failures) + waits if told is None else told

    @property
    def is_whole(self) -> bool:
        """Whether the trace has the spans of all its attempts."""
        told = find_number(self.span.attributes, catalogue.ATTEMPTS) or 0.0
        return sum(catalogue.ATTEMPT_NUMBER in each.attributes for each in self.below) >= told

    def ends_at(self, server: str) -> bool:
        """Return whether the call failed, and this server was the last one that failed it."""
        return self.has_failed and self.failures[-1].server == server

    def share_cost(self, server: str) -> float:
        """Return the part of the cost that one of the servers has caused."""
        every = sum(each.seconds for each in self.failures)
        own = sum(each.seconds for each in self.failures if each.server == server)
        return self.cost * own / every if every else 0.0

    def show(self) -> CallSeen:
        """Return it as the answer shows it."""
        return CallSeen(
            self.operation,
            self.outcome,
            self.reason,
            self.span.end - self.span.start,
            self.cost,
            tuple((each.server, each.end, each.seconds) for each in self.attempts),
            self.span.trace_id,
        )


def _read_attempt(span: SpanSeen) -> AttemptSeen | None:
    told = span.attributes
    reason = str(told.get(catalogue.ERROR_TYPE, ""))
    if catalogue.ATTEMPT_NUMBER in told:
        verdict = told.get(catalogue.ATTEMPT_VERDICT)
        failed, refused = (reason if verdict == each else "" for each in ("failed", "refused"))
        return AttemptSeen(span, name_server(told), failed, refused)
    if catalogue.STREAM_SIZE in told and reason:
        return AttemptSeen(span, name_server(told), reason)
    return None
