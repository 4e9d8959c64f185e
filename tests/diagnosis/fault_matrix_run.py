"""The cells of the fault matrix: three servers of which one is faulty, and what was seen of it."""

from __future__ import annotations

import socket
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from math import ceil
from urllib.parse import urlsplit

import pytest
from fault_matrix_cells import OPERATIONS
from fault_matrix_expected import TABLE
from reconciliation import Books, are_complete, unbalanced
from recorded_service import DATA, Time, Watched, wait_for

from traced_image import TracedImageError, UploadIncomplete, lab
from traced_image.lab import faults
from traced_image.pipeline.api.upload import UploadBody
from traced_image.pipeline.clock import Clock
from traced_image.pipeline.image_errors import check_stored

_AT_ONCE = 12

PLACES = ("first", "second", "third")

CELLS = [(name, operation, place) for name in TABLE for operation in OPERATIONS for place in PLACES]
"""Fault, operation, and the place of the faulty server in the cycle."""

KEPT = [
    (name, operation, "second")
    for name, row in TABLE.items()
    # What a proxy answers to `CONNECT` does not change a tunnel that is open, nor does the end of a
    # certificate change a connection.
    if not (isinstance(row.fault, str) or row.patience or row.proxy or name == "expired_tls")
    for operation in OPERATIONS
]
"""Cells in which the fault strikes when connections are kept already."""


def kinds(cells) -> set:
    """What there is to see in these cells.

    That is every fault where it does harm (anywhere, if it does none), every operation at every
    place, and every way in which an operation can end.
    """
    found = set()
    for name, operation, place in cells:
        ending = TABLE[name].cells[operation].ending
        found |= {(operation, place), (operation, ending)}
        if ending != "no harm" or TABLE[name].harmless:
            found.add(name)
    return found


def sample(cells) -> list:
    """Few of the cells that show all that there is to see: the same ones in every run."""
    chosen, used = [], Counter()
    shown = {cell: kinds([cell]) for cell in cells}
    missing = set().union(*shown.values())
    while missing:
        best = max(cells, key=lambda cell: (len(missing & shown[cell]), -used[cell[1:]]))
        chosen.append(best)
        missing -= shown[best]
        used[best[1:]] += 1
    return chosen


@dataclass
class Seen:
    """What was seen of some calls; servers are called by their places.

    Attributes:
        caller: What each call ended with: the name of an error's type, or nothing.
        calls: Outcome and reason of each call's span.
        tried: The servers whose attempts have spans.
        attempts: Server and reason of each failed attempt's span.
        requests: Server and reason of failed requests' spans.
        streams: Server and reason of each broken stream's span.
        failures: Failed attempts, by server and reason.
        retries: Retries, by server and reason.
        given_up: Calls that gave up, by server and reason.
        downloads: Broken downloads, by server.
        uploads: Broken uploads, by server.
        log: Level, server, reason and last words of each line, and whether it points at the
            span of what failed.
        hosts: State, failures, reason and remaining cool-down of each server.
        problems: What does not balance.
    """

    caller: list = field(default_factory=list)
    calls: list = field(default_factory=list)
    tried: set = field(default_factory=set)
    attempts: list = field(default_factory=list)
    requests: set = field(default_factory=set)
    streams: list = field(default_factory=list)
    failures: dict = field(default_factory=dict)
    retries: dict = field(default_factory=dict)
    given_up: dict = field(default_factory=dict)
    downloads: dict = field(default_factory=dict)
    uploads: dict = field(default_factory=dict)
    log: list = field(default_factory=list)
    hosts: dict = field(default_factory=dict)
    problems: list = field(default_factory=list)


# --- faulty servers that are none of the lab's -------------------------------------------------


@contextmanager
def _deaf():
    """The address of a port whose queue of connections is full, so that none is made."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@contextmanager
def _unknown_name():
    """The address of a host in the domain that never has any (RFC 6761)."""
    yield "http://glance.invalid:9292"


@contextmanager
def _unreachable():
    """The broadcast address, to which no route takes a TCP connection."""
    yield "http://255.255.255.255:9292"


_ELSEWHERE = {"deaf": _deaf, "unknown_name": _unknown_name, "unreachable": _unreachable}


# --- a server behind a proxy -------------------------------------------------------------------

_PROXIED = "localhost"
"""The name of the server behind the proxy; the other servers have an address."""


@contextmanager
def _proxy():
    """A proxy that the environment names, in front of one server."""
    with lab.Proxy() as proxy, pytest.MonkeyPatch.context() as environment:
        environment.setenv("no_proxy", proxy.host)
        for name in ("http_proxy", "https_proxy"):
            environment.setenv(name, proxy.url)
        yield proxy


# --- a cell ------------------------------------------------------------------------------------


@cache
def _tls() -> lab.TLS:
    """Certificates, which take a while to make."""
    return lab.TLS.trusted()


@cache
def seen(name: str, operation: str, place: str, *, kept: bool) -> Seen:
    """Ask each server in turn, with the faulty one at `place`, and tell what was seen.

    Args:
        name: The fault.
        operation: What is asked.
        place: Where in the cycle the faulty server is.
        kept: Whether each server was asked before the fault strikes.
    """
    row = TABLE[name]
    with ExitStack() as stack:
        scene = stack.enter_context(_scene(row, place))
        if kept:
            scene.ask(operation, len(PLACES))
            assert scene.caller == [""] * len(PLACES)
            scene.caller.clear()
        scene.strike()
        scene.ask(operation, row.rounds * len(PLACES))
        assert scene.met(), f"the {place} server was not asked"
        wait_for(lambda: are_complete(scene.books()))
        return told(scene.watched, scene.books(), scene.caller)


def prefetch(cells) -> None:
    """Make at the same time those cells that are mostly waiting; `seen` has them then.

    What one of them raises is for whoever asks for it.
    """
    waiting = [cell for cell in cells if TABLE[cell[0]].patience]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        wait([pool.submit(seen, *cell, kept=False) for cell in waiting])


@dataclass
class _Scene:
    """Servers, a service over them, and the fault that one of them is to have."""

    watched: Watched
    images: lab.Images
    servers: dict
    faulty: lab.GlanceServer | lab.Proxy | None
    fault: object
    caller: list = field(default_factory=list)
    before: int = 0
    once: bool = False

    def strike(self) -> None:
        if self.faulty is not None:
            self.before = self._contacts()
            self.faulty.break_with(self.fault)

    def _contacts(self) -> int:
        return len(self.faulty.access_log) + self.faulty.connections

    def ask(self, operation: str, times: int) -> None:
        for _ in range(times):
            if operation == "upload":
                image_id = self.images.add(disk_format="raw", container_format="bare")
            else:
                image_id = self.images.all()[-1].id
            error = ended(self.watched, operation, image_id)
            if operation == "upload":
                error = error or self._compared(image_id)
            self.caller.append(error)
            if self.once and self.watched.records:
                self.faulty.heal()

    def _compared(self, image_id: str) -> str:
        """Compare an upload with the image's record, as `create` and `update` do after it."""
        body = UploadBody(DATA)
        list(body)
        try:
            check_stored(self.images.get(image_id).view(), body)
        except UploadIncomplete as error:
            return type(error).__name__
        return ""

    def met(self) -> bool:
        """Whether the faulty server was asked, as far as it can know."""
        if self.faulty is None or self.fault.name in ("refuse", "black_hole"):
            return True
        return self._contacts() > self.before

    def books(self) -> Books:
        logs = dict.fromkeys(self.watched.netlocs, ())
        logs.update({netloc: server.access_log for netloc, server in self.servers.items()})
        books = self.watched.books(logs)
        if self.fault == faults.never_read():
            books.unread = {name for name, one in self.servers.items() if one is self.faulty}
        return books


@contextmanager
def _scene(row, place: str):
    images = lab.Images()
    images.add(name="cirros", data=DATA)
    fields = {**row.patience, **row.sizes}
    tls = None
    if row.tls:
        tls = _tls()
        fields["cafile"] = tls.cafile
    with ExitStack() as stack:
        cluster = stack.enter_context(lab.cluster(len(PLACES), images=images, tls=tls))
        servers = dict(zip(PLACES, cluster, strict=True))
        urls = {place: server.url for place, server in servers.items()}
        faulty = servers[place]
        if isinstance(row.fault, str):
            urls[place] = stack.enter_context(_ELSEWHERE[row.fault]())
            del servers[place]
            faulty = None
        if row.proxy:
            urls[place] = faulty.url.replace(faulty.host, _PROXIED)
            faulty = stack.enter_context(_proxy())
        clock = Clock(sleep=Time().slept.append) if row.real_time else None
        watched = stack.enter_context(
            Watched(list(urls.values()), clock=clock, alone=True, **fields)
        )
        named = {urlsplit(urls[place]).netloc: server for place, server in servers.items()}
        # A server behind a failed proxy is not left alone then: it would be met again.
        yield _Scene(watched, images, named, faulty, row.fault, once=row.proxy)


def ended(watched: Watched, operation: str, image_id: str) -> str:
    """Make a call; return the name of the error that it ended with, if it did."""
    try:
        getattr(watched, operation)(image_id)
    except TracedImageError as error:
        return type(error).__name__
    return ""


# --- what was seen -----------------------------------------------------------------------------


def told(watched: Watched, books: Books, caller: list) -> Seen:
    """Put down what the witnesses say, with the servers' places for their addresses."""
    places = dict(zip(watched.netlocs, PLACES, strict=True))
    attempts = [span for span in books.attempts if _outcome(span)[1]]
    streams = [span for span in books.streams if _outcome(span)[1]]
    failed = {span.context.span_id: span for span in (*attempts, *streams)}
    broken = _counted(books, places, "glance_client_stream_errors_total", "direction")
    return Seen(
        caller=list(caller),
        calls=[_outcome(span) for span in books.calls],
        tried={_where(span, places)[0] for span in books.attempts},
        attempts=[_where(span, places) for span in attempts],
        requests={_where(span, places) for span in books.wires if _outcome(span)[1]},
        streams=[_where(span, places) for span in streams],
        failures=_counted(books, places, "glance_client_attempt_duration_seconds_count"),
        retries=_counted(books, places, "glance_client_retries_total"),
        given_up=_counted(books, places, "glance_client_connection_failed_total"),
        downloads={place: n for (place, way), n in broken.items() if way == "download"},
        uploads={place: n for (place, way), n in broken.items() if way == "upload"},
        log=[_line(record, places, failed) for record in books.records],
        hosts={places[host.server.netloc]: _state(host) for host in books.health},
        problems=unbalanced(books),
    )


def _outcome(span) -> tuple:
    attributes = span.attributes
    return attributes.get("glance.call.outcome"), attributes.get("error.type", "")


def _where(span, places: dict) -> tuple:
    attributes = span.attributes
    netloc = f"{attributes['server.address']}:{attributes['server.port']}"
    return places[netloc], attributes.get("error.type", "")


def _counted(books: Books, places: dict, name: str, label: str = "error_type") -> dict:
    """What a metric has counted, by server and one other label that is not empty."""
    counted = books.counted(name, "server_address", "server_port", label)
    return {
        (places[f"{address}:{port}"], value): count
        for (address, port, value), count in counted.items()
        if value
    }


def _line(record, places: dict, failed: dict) -> tuple:
    """A line of the log, whose words must name the server that its fields name."""
    netloc = f"{record.server_address}:{record.server_port}"
    text = record.getMessage()
    if record.levelname == "ERROR":
        words = "gave up" if text.startswith("Gave up ") and netloc in text else text
    else:
        start, _, end = text.rpartition(", ")
        words, _, reason = end.rstrip(".").partition(". Reason: ")
        words = words if f"'{netloc}'" in start and reason == record.error_type else text
    span = failed.get(int(record.span_id or "0", 16))
    points = span is not None and int(record.trace_id, 16) == span.context.trace_id
    return record.levelname, places[netloc], record.error_type, words, points


def _state(host) -> tuple:
    # Where time passes, a part of the cool-down is over already.
    return host.state, host.consecutive_failures, host.last_reason, ceil(host.ready_in)
