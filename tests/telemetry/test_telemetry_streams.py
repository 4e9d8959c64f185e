"""Image data: a span for what each server sends, bytes counted either way, errors told."""

import contextvars
import gc
import io

import pytest
from opentelemetry.trace import INVALID_SPAN, StatusCode, get_current_span

from traced_image import (
    ChecksumMismatch,
    CommunicationError,
    GlanceConnectionFailed,
    RetryPolicy,
    Server,
    Telemetry,
    TracedImageError,
)
from traced_image.lab import faults
from traced_image.pipeline.api.upload import CHUNK
from traced_image.telemetry import catalogue
from traced_image.telemetry.layers import ObservedChunks
from traced_image.telemetry.recorder import Recorder
from traced_image.telemetry.shared_metrics import share_metrics
from traced_image.telemetry.spans import Spans

CALL = "glance.images.data"
ATTEMPT = "glance.images.data attempt"
STREAM = "glance.images.data stream"
SERVER = ("server_address", "server_port")
BYTES = "glance_client_stream_bytes_total"
ERRORS = "glance_client_stream_errors_total"
DATA = bytes(range(256)) * 1024
NO_MEMORY = RetryPolicy(backoff_base=0.0, cooldown_base=0.0, budget_share=None)
CUT = faults.cut_body().only(path="/file$")
NEW = {"name": "new", "disk_format": "raw", "container_format": "bare"}


REQUESTS = [("GET", []), ("GET", [])]
"""That of the image's record, by which its data is checked, and that of the data."""

ONE = [(ATTEMPT, REQUESTS), (STREAM, [])]
"""What is below a call to which one server sent all of the data."""


@pytest.fixture
def big(images):
    return images.add(name="big", data=DATA)


def place(server):
    return "127.0.0.1", str(server.port)


def ended(trace):
    """The streams' sizes, whether they are complete, and what they failed for."""
    return [
        (
            span.attributes[catalogue.STREAM_SIZE],
            span.attributes[catalogue.STREAM_COMPLETE],
            span.attributes.get(catalogue.ERROR_TYPE),
        )
        for span in trace.named(STREAM)
    ]


# --- downloads ---------------------------------------------------------------------------------


def test_a_stream_is_below_its_call(service, big, trace):
    list(service().download(None, big))
    assert [(CALL, ONE)] == trace.tree()


def test_a_stream_names_its_server(service, servers, big, trace):
    list(service().download(None, big))
    assert {
        catalogue.OPERATION: "images.data",
        catalogue.SERVER_ADDRESS: "127.0.0.1",
        catalogue.SERVER_PORT: servers[0].port,
        catalogue.STREAM_SIZE: len(DATA),
        catalogue.STREAM_COMPLETE: True,
    } == dict(trace.one(STREAM).attributes)


def test_a_stream_that_came_whole_is_no_error(service, big, trace):
    list(service().download(None, big))
    assert StatusCode.UNSET is trace.one(STREAM).status.status_code


def test_a_stream_has_not_ended_while_it_is_read(service, big, trace):
    reading = iter(service().download(None, big))
    next(reading)
    assert [] == trace.named(STREAM)
    reading.close()


def test_the_call_has_ended_before_its_stream_is_read(service, big, trace):
    download = service().download(None, big)
    assert [(CALL, [(ATTEMPT, REQUESTS)])] == trace.tree()
    download.close()


def exhausted(download):
    return sum(map(len, download))


def closed(download):
    reading = iter(download)
    size = len(next(reading))
    download.close()
    return size


def closed_at_once(download):
    size = len(download._first)
    download.close()
    return size


def left(download):
    size = 0
    for chunk in download:
        size = len(chunk)
        break
    return size


def dropped(download):
    return len(next(iter(download)))


def never_read(download):
    """The first bytes came before the call ended."""
    return len(download._first)


@pytest.mark.parametrize("use", [exhausted, closed, closed_at_once, left, dropped, never_read])
def test_a_stream_ends_however_its_reader_is_done_with_it(service, big, trace, use):
    size = use(service().download(None, big))
    gc.collect()
    assert [(size, use is exhausted, None)] == ended(trace)


def test_a_stream_that_is_given_up_is_no_error(service, big, trace, counts):
    closed(service().download(None, big))
    assert (StatusCode.UNSET, {}) == (
        trace.one(STREAM).status.status_code,
        counts.of(ERRORS, *SERVER),
    )


def test_a_stream_ends_when_its_reader_leaves_it_though_the_download_is_kept(service, big, trace):
    download = service().download(None, big)
    size = left(download)
    assert [(size, False, None)] == ended(trace)
    download.close()


class Pieces:
    """A reply's body, of which it is known whether it was closed."""

    closed = False

    def __iter__(self):
        yield b"first"
        yield b"second"

    def close(self):
        self.closed = True


@pytest.mark.parametrize("count", [0, 1])
def test_to_close_a_stream_gives_its_connection_back(registry, trace, count):
    metrics = share_metrics(Telemetry(registry=registry, meter_provider=False))
    recorder = Recorder(Spans(trace.provider, wire_spans=True), metrics)
    record = recorder.stream("images.data", Server.parse("glance-1"), "download")
    pieces = Pieces()
    chunks = ObservedChunks(pieces, record)
    list(zip(chunks, range(count), strict=False))
    chunks.close()
    assert pieces.closed


def test_a_stream_ends_once(service, big, trace, caplog):
    """The SDK logs what is said to a span that has ended."""
    download = service().download(None, big)
    exhausted(download)
    download.close()
    del download
    gc.collect()
    assert (1, []) == (len(trace.named(STREAM)), caplog.messages)


def test_a_stream_that_is_written_to_a_file_ends(service, big, trace):
    file = io.BytesIO()
    service().download(None, big, data=file)
    assert (DATA, [(len(DATA), True, None)]) == (file.getvalue(), ended(trace))


def test_a_stream_whose_file_is_full_ends(service, big, trace):
    refused = []

    class Full(io.BytesIO):
        def write(self, chunk):
            refused.append(len(chunk))
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        service().download(None, big, data=Full())
    assert [(*refused, False, None)] == ended(trace)


def test_an_image_without_data_has_no_stream(service, images, trace):
    with pytest.raises(TracedImageError, match="no data"):
        service().download(None, images.add(name="empty"))
    assert [] == trace.named(STREAM)


def test_bytes_are_counted_for_the_server_that_sent_them(service, servers, big, counts):
    exhausted(service().download(None, big))
    assert {(*place(servers[0]), "download"): float(len(DATA))} == counts.of(
        BYTES, *SERVER, "direction"
    )


def test_bytes_are_counted_as_they_come(service, big, counts):
    size = closed(service().download(None, big))
    assert {("download",): float(size)} == counts.of(BYTES, "direction")


def test_data_that_is_no_image_is_not_counted(service, image_id, counts):
    service().show(None, image_id)
    assert {} == counts.of(BYTES, *SERVER)


# --- what breaks -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "error", "reason"),
    [
        (CUT, TracedImageError, "protocol_error"),
        (faults.corrupt_data(), ChecksumMismatch, "checksum_mismatch"),
    ],
    ids=["cut", "corrupt"],
)
def test_a_stream_that_fails_says_why(service, servers, big, trace, counts, fault, error, reason):
    servers[0].break_with(fault)
    with pytest.raises(error):
        exhausted(service(servers=[servers[0].url], num_retries=0).download(None, big))
    span = trace.one(STREAM)
    assert (StatusCode.ERROR, reason, False, {(*place(servers[0]), "download"): 1.0}) == (
        span.status.status_code,
        span.attributes[catalogue.ERROR_TYPE],
        span.attributes[catalogue.STREAM_COMPLETE],
        counts.of(ERRORS, *SERVER, "direction"),
    )


def test_a_stream_that_hangs_says_why(service, servers, big, trace):
    servers[0].break_with(faults.slow_body(30.0).only(path="/file$"))
    shown = service(servers=[servers[0].url], num_retries=0, read_timeout=0.2)
    with pytest.raises(CommunicationError):
        exhausted(shown.download(None, big))
    assert "read_timeout" == trace.one(STREAM).attributes[catalogue.ERROR_TYPE]


def test_the_attempt_of_a_stream_that_fails_later_is_no_error(service, servers, big, trace):
    servers[0].break_with(CUT)
    with pytest.raises(TracedImageError):
        exhausted(service(servers=[servers[0].url], num_retries=0).download(None, big))
    assert StatusCode.UNSET is trace.one(ATTEMPT).status.status_code


def test_a_resumed_download_has_a_stream_for_each_server(service, servers, big, trace):
    servers[0].break_with(CUT)
    exhausted(service(retry=NO_MEMORY).download(None, big))
    half = len(DATA) // 2
    assert (
        [servers[0].port, servers[1].port],
        [(half, False, "protocol_error"), (len(DATA) - half, True, None)],
    ) == (
        [span.attributes[catalogue.SERVER_PORT] for span in trace.named(STREAM)],
        ended(trace),
    )


def test_a_call_for_the_rest_of_a_download_is_below_the_first_call(service, servers, big, trace):
    """The first call ended with its first bytes, and the reader may have a span of its own."""
    servers[0].break_with(CUT)
    download = service(retry=NO_MEMORY).download(None, big)
    with trace.provider.get_tracer("reader").start_as_current_span("convert"):
        exhausted(download)
    assert [(CALL, [*ONE, (CALL, ONE)]), ("convert", [])] == trace.tree()


def test_the_reader_has_its_own_span_again_after_another_server_was_asked(
    service, servers, big, trace
):
    servers[0].break_with(CUT)
    download = service(retry=NO_MEMORY).download(None, big)
    with trace.provider.get_tracer("reader").start_as_current_span("convert") as span:
        exhausted(download)
        assert span is get_current_span()


def test_a_resumed_download_counts_each_servers_bytes(service, servers, big, counts):
    servers[0].break_with(CUT)
    exhausted(service(retry=NO_MEMORY).download(None, big))
    half = float(len(DATA) // 2)
    assert {place(servers[0]): half, place(servers[1]): half} == counts.of(BYTES, *SERVER)


def test_the_rest_of_other_data_is_given_up_without_an_accusation(
    service, servers, images, big, trace, counts
):
    """The image was replaced meanwhile: its new data is not the rest of the old."""
    servers[0].break_with(CUT)
    download = service(retry=NO_MEMORY).download(None, big)
    images.save(images.get(big).with_data(DATA[::-1]))
    with pytest.raises(TracedImageError):
        exhausted(download)
    assert ({place(servers[0]): 1.0}, ["protocol_error", None]) == (
        counts.of(ERRORS, *SERVER),
        [error for *_, error in ended(trace)],
    )


# --- into a file -------------------------------------------------------------------------------

SECONDS = "glance_client_call_duration_seconds"


def into_file(service, image_id, tmp_path):
    file = io.BytesIO()
    service.download(None, image_id, data=file)
    return file.getvalue()


def into_path(service, image_id, tmp_path):
    path = tmp_path / "image"
    service.download(None, image_id, dst_path=path)
    return path.read_bytes()


@pytest.fixture(params=[into_file, into_path])
def saved(request, tmp_path):
    """Download into a file; return the data."""

    def save(service, image_id):
        return request.param(service, image_id, tmp_path)

    return save


def of_call(trace):
    """The outcome, the reason, and whether it is an error."""
    span = trace.one(CALL)
    return (
        span.attributes[catalogue.OUTCOME],
        span.attributes.get(catalogue.ERROR_TYPE),
        span.status.status_code is StatusCode.ERROR,
    )


def test_a_transfer_into_a_file_is_in_its_call(service, big, trace, saved):
    assert DATA == saved(service(), big)
    call, stream = trace.one(CALL), trace.one(STREAM)
    assert ([(CALL, ONE)], True) == (trace.tree(), stream.end_time <= call.end_time)


def test_a_transfers_time_is_in_its_calls_duration(service, servers, image_id, counts, saved):
    servers[0].break_with(faults.slow_body(0.01).only(path="/file$"))
    saved(service(), image_id)
    assert counts.of(f"{SECONDS}_sum", "outcome")[("success_first_try",)] > 0.05


def test_a_transfer_that_another_server_ended_is_one_call(service, servers, big, trace, saved):
    servers[0].break_with(CUT)
    assert DATA == saved(service(retry=NO_MEMORY), big)
    assert [(CALL, [(ATTEMPT, REQUESTS), (STREAM, []), (ATTEMPT, REQUESTS), (STREAM, [])])] == (
        trace.tree()
    )


def test_a_transfer_that_another_server_ended_is_a_success_after_a_retry(
    service, servers, big, trace, saved
):
    servers[0].break_with(CUT)
    saved(service(retry=NO_MEMORY), big)
    (event,) = trace.one(CALL).events
    assert (
        ("success_after_retry", None, False),
        (servers[0].port, "protocol_error", f"127.0.0.1:{servers[1].port}"),
    ) == (
        of_call(trace),
        (
            event.attributes[catalogue.SERVER_PORT],
            event.attributes[catalogue.ERROR_TYPE],
            event.attributes[catalogue.RETRY_NEXT_SERVER],
        ),
    )


def test_attempts_after_a_broken_stream_are_numbered_on(service, servers, big, trace, saved):
    servers[0].break_with(CUT)
    servers[1].break_with(faults.status(503))
    saved(service(retry=NO_MEMORY, num_retries=2), big)
    assert [(1, 3), (2, 4), (3, 4)] == [
        (span.attributes[catalogue.ATTEMPT_NUMBER], span.attributes[catalogue.ATTEMPT_MAXIMUM])
        for span in trace.named(ATTEMPT)
    ]


def test_a_transfer_under_way_goes_on_at_another_server_when_its_service_is_closed(
    service, servers, big, trace
):
    servers[0].break_with(CUT)
    shown = service(retry=NO_MEMORY)

    class Closing(io.BytesIO):
        def write(self, chunk):
            shown.close()
            return super().write(chunk)

    file = Closing()
    shown.download(None, big, data=file)
    assert (DATA, ("success_after_retry", None, False)) == (file.getvalue(), of_call(trace))


def test_a_call_whose_transfer_fails_is_an_error(service, servers, big, trace, counts, saved):
    servers[0].break_with(faults.corrupt_data())
    with pytest.raises(ChecksumMismatch):
        saved(service(), big)
    assert (
        ("non_retryable", "checksum_mismatch", True),
        {("non_retryable", "checksum_mismatch"): 1.0},
    ) == (of_call(trace), counts.of(f"{SECONDS}_count", "outcome", "error_type"))


def test_a_call_for_whose_rest_every_server_failed_is_exhausted(
    service, servers, big, trace, counts, saved
):
    servers[0].break_with(CUT)
    for server in servers[1:]:
        server.break_with(faults.status(503))
    with pytest.raises(TracedImageError):
        saved(service(num_retries=1), big)
    assert (
        ("exhausted", "protocol_error", True),
        {(*place(servers[2]), "protocol_error"): 1.0},
    ) == (
        of_call(trace),
        counts.of("glance_client_connection_failed_total", *SERVER, "error_type"),
    )


def test_a_file_that_is_full_is_no_failure_of_the_call(service, big, trace):
    class Full(io.BytesIO):
        def write(self, chunk):
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        service().download(None, big, data=Full())
    assert ("cancelled", None, False) == of_call(trace)


def test_an_image_without_data_is_seen_as_its_caller_sees_it(service, images, trace):
    with pytest.raises(TracedImageError, match="no data"):
        service().download(None, images.add(name="empty"))
    assert (("refused", "_OTHER", True), StatusCode.UNSET) == (
        of_call(trace),
        trace.one(ATTEMPT).status.status_code,
    )


# --- until the first byte -----------------------------------------------------------------------


def test_a_call_ends_with_the_first_bytes(service, servers, image_id, trace):
    servers[0].break_with(faults.slow_body(30.0).only(path="/file$"))
    download = service().download(None, image_id)
    assert [(CALL, [(ATTEMPT, REQUESTS)])] == trace.tree()
    assert b"0" == download._first
    download.close()


def test_a_stream_that_breaks_before_its_first_byte_is_in_the_call(service, servers, big, trace):
    servers[0].break_with(faults.bad_chunk("xyz").only(path="/file$"))
    download = service(retry=NO_MEMORY).download(None, big)
    assert ("success_after_retry", None, False) == of_call(trace)
    assert len(DATA) == exhausted(download)


def test_an_image_of_no_bytes_is_checked_before_its_call_ends(service, images, trace):
    empty = images.add(name="empty", data=b"")
    assert [] == list(service().download(None, empty))
    assert [(CALL, ONE)] == trace.tree()


def test_the_data_before_the_rest_is_read_when_the_call_has_the_head(service, images, big, trace):
    begun = io.BytesIO(DATA[:1000])
    assert DATA[1000:] == b"".join(service().download_rest(None, big, begun))
    assert [(CALL, ONE)] == trace.tree()


# --- the reader's context ----------------------------------------------------------------------


def test_nothing_is_current_while_a_reader_has_a_chunk(service, big):
    seen = {get_current_span() for _ in service().download(None, big)}
    assert {INVALID_SPAN} == seen


def test_the_readers_own_span_is_current_while_it_has_a_chunk(service, big, trace):
    tracer = trace.provider.get_tracer("reader")
    with tracer.start_as_current_span("convert") as span:
        seen = {get_current_span() for _ in service().download(None, big)}
    assert {span} == seen


def test_a_stream_can_be_read_in_another_context(service, big, trace):
    download = service().download(None, big)
    contextvars.Context().run(exhausted, download)
    assert [(CALL, ONE)] == trace.tree()


def test_calls_made_while_a_stream_is_read_are_not_below_it(service, image_id, big, trace):
    shown = service()
    shows = [shown.show(None, image_id) for _ in shown.download(None, big)]
    assert [CALL, *["glance.images.get"] * len(shows)] == [span.name for span in trace.below(None)]


def test_a_list_has_ended_all_of_its_spans_when_it_is_there(service, images, trace):
    for number in range(5):
        images.add(name=f"image-{number}")
    before = get_current_span()
    found = service().detail(None, page_size=2)
    requests = [("GET", [])] * 3
    assert [("glance.images.list", [("glance.images.list attempt", requests)])] == trace.tree()
    assert (5, before) == (len(found), get_current_span())


def test_no_span_is_left_open(service, servers, images, big, trace):
    servers[0].break_with(CUT)
    shown = service(retry=NO_MEMORY)
    for use in (exhausted, closed, closed_at_once, left, dropped, never_read):
        use(shown.download(None, big))
    shown.detail(None, page_size=1)
    gc.collect()
    assert set() == trace.open


# --- uploads -----------------------------------------------------------------------------------


def pieces():
    for start in range(0, len(DATA), CHUNK):
        yield DATA[start : start + CHUNK]


@pytest.mark.parametrize(
    "data",
    [lambda: DATA, lambda: io.BytesIO(DATA), pieces],
    ids=["bytes", "file", "generator"],
)
def test_bytes_are_counted_for_the_server_that_they_were_sent_to(service, servers, counts, data):
    service().create(None, NEW, data())
    uploaded = [
        server for server in servers if any(one.method == "PUT" for one in server.access_log)
    ]
    assert {(*place(uploaded[0]), "upload"): float(len(DATA))} == counts.of(
        BYTES, *SERVER, "direction"
    )


def test_an_upload_arrives_as_it_was(service, images):
    created = service().create(None, NEW, pieces())
    assert DATA == images.get(created["id"]).data


def test_an_upload_that_breaks_off_is_an_error_of_its_stream(service, servers, counts):
    for server in servers:
        server.break_with(faults.lost_reply().only(method="PUT"))
    with pytest.raises(GlanceConnectionFailed):
        service().create(None, NEW, DATA)
    assert [("upload", 1.0)] == [
        (direction, count)
        for (*_, direction), count in counts.of(ERRORS, *SERVER, "direction").items()
    ]


def test_an_upload_that_never_began_is_no_error_of_its_stream(service, servers, counts):
    shown = service()
    created = shown.create(None, NEW)
    for server in servers:
        server.break_with(faults.refuse())
    with pytest.raises(GlanceConnectionFailed):
        shown._client.call(None, 2, "upload", created["id"], DATA)
    assert {} == counts.of(ERRORS, *SERVER, "direction")


def test_an_upload_that_is_refused_is_no_error_of_its_stream(service, servers, counts):
    for server in servers:
        server.break_with(faults.status(413).only(method="PUT"))
    with pytest.raises(TracedImageError):
        service().create(None, NEW, DATA)
    assert {} == counts.of(ERRORS, *SERVER, "direction")


def test_data_that_can_t_be_read_is_no_error_of_a_servers_stream(service, counts):
    def broken():
        yield b"first"
        raise OSError("disk on fire")

    with pytest.raises(OSError, match="on fire"):
        service().create(None, NEW, broken())
    assert {} == counts.of(ERRORS, *SERVER, "direction")


def test_an_upload_that_is_sent_again_counts_both_times(service, servers, counts):
    servers[1].break_with(faults.status(503).only(method="PUT").times(1))
    policy = RetryPolicy(backoff_base=0.0, repeat_unsafe=True)
    service(retry=policy).create(None, NEW, DATA)
    assert 2.0 * len(DATA) == sum(counts.of(BYTES, *SERVER).values())
