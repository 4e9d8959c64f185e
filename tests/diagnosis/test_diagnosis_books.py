"""The books balance: whatever fails, all who count agree; and one who cheats is found out."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reconciliation import unbalanced
from recorded_service import DATA, Watched

from traced_image import GlanceConnectionFailed, RetryPolicy, TracedImageError, lab
from traced_image.lab import faults

# --- whatever fails ----------------------------------------------------------------------------

FAULTS = (
    None,
    faults.refuse(),
    faults.reset(),
    faults.reset().only(path="/v2/"),
    faults.lost_reply(),
    faults.cut_body(),
    faults.cut_body().only(path=r"/file$"),
    faults.wrong_length(3),
    faults.wrong_length(-3),
    faults.garbage_headers(),
    faults.not_json(),
    faults.wrong_type({}),
    faults.status(404),
    faults.status(429, 1),
    faults.status(500),
    faults.status(503).after_effect(),
    faults.status(503).times(2),
    faults.redirect_loop(),
    faults.corrupt_data(),
    faults.flapping(None, faults.status(502), faults.lost_reply()),
    faults.flapping(faults.cut_body(), None, faults.reset().only(path="/v2/")),
)
"""Faults that take no time."""

OPERATIONS = {
    "show": "images.get",
    "detail": "images.list",
    "pages": "images.list",
    "upload": "images.upload",
    "create": "images.create",
    "download": "images.data",
    "iterate": "images.data",
    "peek": "images.data",
}
"""What a thread may do, and the call that it makes of it."""

phases = st.lists(
    st.tuples(
        st.tuples(*[st.sampled_from(FAULTS)] * 3),
        st.lists(
            st.lists(st.sampled_from(sorted(OPERATIONS)), min_size=1, max_size=5),
            min_size=1,
            max_size=4,
        ),
    ),
    min_size=1,
    max_size=3,
)
"""What is wrong with each of three servers, and what each thread does meanwhile."""

policies = st.builds(
    RetryPolicy,
    backoff_base=st.just(0.0),
    fixed_delay=st.sampled_from([None, 0.0, 1.0]),
    cooldown_base=st.sampled_from([0.0, 1.0]),
    repeat_unsafe=st.booleans(),
    budget_share=st.sampled_from([None, 0.0, 0.2]),
    budget_floor=st.just(0.5),
)


@dataclass
class Ledger:
    """What callers themselves have counted: what they asked for, and what came of it."""

    lines: list = field(default_factory=list)

    def keep(self, watched, images, image_id, operation):
        """Make a call and note how it ended, with the attempts that its error tells of."""
        end = "success", 0
        if operation == "upload":
            image_id = images.add(disk_format="raw", container_format="bare")
        try:
            _do(watched, operation, image_id)
        except GlanceConnectionFailed as error:
            end = "exhausted", len(error.attempts)
        except TracedImageError as error:
            refused = getattr(error, "verdict", None) == "refused"
            end = "refused" if refused else "non_retryable", len(error.attempts)
        self.lines.append((OPERATIONS[operation], *end))

    def problems(self, books):
        """What callers and telemetry do not agree on.

        Downloads are left out: each may be several calls, of which callers do not know.
        """
        mine, told = Counter(), Counter()
        for operation, outcome, attempts in self.lines:
            if operation != "images.data":
                mine[(operation, outcome, attempts)] += 1
        for call in books.calls:
            operation = call.attributes["glance.operation"]
            outcome = call.attributes["glance.call.outcome"]
            if operation != "images.data":
                success = outcome.startswith("success")
                attempts = 0 if success else call.attributes["glance.call.attempts"]
                told[(operation, "success" if success else outcome, attempts)] += 1
        return [] if mine == told else [f"callers have counted {mine}, the spans say {told}"]


def _do(watched, operation, image_id):
    if operation == "peek":
        download = watched.service.download(None, image_id)
        next(iter(download))
        download.close()
    elif operation == "detail":
        watched.service.detail(None)
    elif operation == "pages":
        watched.service.detail(None, page_size=2)
    else:
        getattr(watched, operation)(image_id)


# In a full run it has a hundred examples, for ten seconds and more.
@given(
    phases=phases,
    retry=policies,
    num_retries=st.integers(0, 4),
    wire_spans=st.booleans(),
    api_version=st.sampled_from([1, 2]),
)
def test_the_books_balance_whatever_fails(phases, **options):
    images = lab.Images()
    image_id, *_ = [images.add(name="cirros", data=DATA) for _ in range(5)]
    ledger = Ledger()
    with ExitStack() as stack:
        servers = stack.enter_context(lab.cluster(3, images=images))
        watched = stack.enter_context(Watched(urls(servers), **options))
        pool = stack.enter_context(ThreadPoolExecutor(4))
        for broken, threads in phases:
            for server, fault in zip(servers, broken, strict=True):
                server.heal() if fault is None else server.break_with(fault)
            keep = partial(_keep_all, ledger, watched, images, image_id)
            list(pool.map(keep, threads))
        books = _books(watched, servers)
    assert [] == [*unbalanced(books), *ledger.problems(books)]


def _keep_all(ledger, watched, images, image_id, operations):
    for operation in operations:
        ledger.keep(watched, images, image_id, operation)


def _books(watched, servers):
    return watched.books({f"{server.host}:{server.port}": server.access_log for server in servers})


class Renewed:
    """Tokens of which the first has expired."""

    token = "old"

    def get_token(self):
        return self.token

    def invalidate(self):
        self.token = "new"
        return True


def test_the_books_balance_when_a_token_was_renewed():
    images = lab.Images()
    image_id = images.add(name="cirros", data=DATA)
    with lab.cluster(3, images=images, tokens={"new"}) as servers:
        with Watched(urls(servers), auth=Renewed()) as watched:
            watched.show(image_id)
        books = _books(watched, servers)
    assert [401, 200] == [access.status for access in servers[0].access_log]
    assert [] == unbalanced(books)


# --- who cheats is found out -------------------------------------------------------------------


@pytest.fixture
def books():
    """Books that balance: of calls that succeeded, were saved, broke off, failed and gave up."""
    images = lab.Images()
    image_id = images.add(name="cirros", data=DATA)
    with lab.cluster(3, images=images) as servers, Watched(urls(servers), num_retries=2) as watched:
        servers[0].break_with(faults.status(503))
        servers[1].break_with(faults.cut_body().only(path=r"/file$"))
        watched.download(image_id)
        servers[1].heal()
        watched.show(image_id)
        with pytest.raises(TracedImageError):
            watched.show("absent")
        watched.upload(images.add(disk_format="raw", container_format="bare"))
        for server in servers:
            server.break_with(faults.refuse())
        with pytest.raises(GlanceConnectionFailed):
            watched.show(image_id)
        balanced = _books(watched, servers)
    assert [] == unbalanced(balanced)
    return balanced


def urls(servers):
    return [server.url for server in servers]


def cheat(books, name):
    """Change the first series of a metric: add to it, set it or observe a value."""
    family = books.registry._names_to_collectors[name]
    (metric,) = family.collect()
    sample = metric.samples[0]
    labels = tuple(value for label, value in sample.labels.items() if label != "le")
    family.bind(labels)(sample.value + 1, None)


def cheated(books, **changes):
    """The books with something else in them."""
    return replace(books, **changes)


def without(items, wanted):
    """All but the first of those that are wanted."""
    out = next(item for item in items if wanted(item))
    return [item for item in items if item is not out]


@pytest.mark.parametrize(
    "kind",
    [
        "glance.images.get",
        "glance.images.get attempt",
        "glance.images.data attempt",
        "glance.images.data stream",
        "GET",
    ],
)
def test_a_span_that_is_missing_is_noticed(books, kind):
    spans = without(books.spans, lambda span: span.name == kind)
    assert [] != unbalanced(cheated(books, spans=spans))


@pytest.mark.parametrize(
    "name",
    [
        "glance_client_retries_total",
        "glance_client_connection_failed_total",
        "glance_client_active_attempts",
        "glance_client_stream_errors_total",
        "glance_client_stream_bytes_total",
        "glance_client_server_consecutive_failures",
        "glance_client_server_last_failure_timestamp_seconds",
    ],
)
def test_a_counter_that_is_wrong_is_noticed(books, name):
    cheat(books, name)
    assert [] != unbalanced(cheated(books))


@pytest.mark.parametrize(
    "name",
    [
        "glance_client_call_duration_seconds",
        "glance_client_attempt_duration_seconds",
        "glance_client_retry_delay_seconds",
        "glance_client_call_retries",
    ],
)
def test_a_histogram_that_is_wrong_is_noticed(books, name):
    cheat(books, name)
    assert [] != unbalanced(cheated(books))


def test_a_state_that_is_wrong_is_noticed(books):
    cheat(books, "glance_client_server_state")
    assert [] != unbalanced(cheated(books))


@pytest.mark.parametrize("level", ["WARNING", "ERROR"])
def test_a_line_that_is_missing_in_the_log_is_noticed(books, level):
    records = without(books.records, lambda record: record.levelname == level)
    assert [] != unbalanced(cheated(books, records=records))


@pytest.mark.parametrize("field", ["server_port", "error_type", "request_id", "attempt", "span_id"])
def test_a_line_that_says_something_else_is_noticed(books, field):
    record = next(one for one in books.records if one.request_id)
    setattr(record, field, "99" if field == "span_id" else 99)
    assert [] != unbalanced(cheated(books))


def test_an_attempt_that_the_server_has_not_seen_is_noticed(books):
    logs = {
        netloc: [access for access in log if access.status != 404]
        for netloc, log in books.logs.items()
    }
    assert [] != unbalanced(cheated(books, logs=logs))


def test_a_request_of_nobody_is_noticed(books):
    stranger = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    logs = {
        netloc: [*log, replace(log[0], traceparent=stranger)] for netloc, log in books.logs.items()
    }
    assert [] != unbalanced(cheated(books, logs=logs))


def test_requests_that_another_server_has_seen_are_noticed(books):
    netlocs, logs = zip(*books.logs.items(), strict=True)
    logs = dict(zip(netlocs, [*logs[1:], logs[0]], strict=True))
    assert [] != unbalanced(cheated(books, logs=logs))


def test_two_attempts_that_are_told_as_one_are_noticed(books):
    """A server was asked twice, where the attempt should have been over."""
    logs = {
        netloc: [access for access in log for _ in range(1 + (access.status == 503))]
        for netloc, log in books.logs.items()
    }
    assert [] != unbalanced(cheated(books, logs=logs))


def test_an_answer_that_an_attempt_does_not_tell_of_is_noticed(books):
    logs = {
        netloc: [replace(access, status=502) if access.status == 503 else access for access in log]
        for netloc, log in books.logs.items()
    }
    assert [] != unbalanced(cheated(books, logs=logs))


def test_data_that_was_not_counted_is_noticed(books):
    logs = {
        netloc: [replace(access, body_bytes=access.body_bytes * 2) for access in log]
        for netloc, log in books.logs.items()
    }
    assert [] != unbalanced(cheated(books, logs=logs))


def test_an_attempt_under_way_for_ever_is_noticed(books):
    health = [replace(host, active_attempts=1) for host in books.health]
    assert [] != unbalanced(cheated(books, health=health))
