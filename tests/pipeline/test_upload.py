"""Image data on its way to a server: every kind of source, rewinding, and sources that fail."""

import gzip
import io
import os
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loopback import Loopback, closing, conversation, read_request, reply, resetting

from traced_image import RetryPolicy, lab
from traced_image.errors import (
    CommunicationError,
    GlanceConnectionFailed,
    ImageUnacceptable,
    InvalidArgument,
    InvalidMetadata,
    OverLimit,
    Reason,
    ServiceUnavailable,
    TokenUnavailable,
    UploadNotRewindable,
)
from traced_image.pipeline.api import v2
from traced_image.pipeline.api.upload import CHUNK, SourceError, UploadBody

DATA = bytes(range(256)) * 1024


class Reader:
    """Something that is read like a file, and can do nothing else."""

    def __init__(self, *pieces):
        self.pieces = list(pieces)

    def read(self, _size):
        piece = self.pieces.pop(0) if self.pieces else b""
        if isinstance(piece, Exception):
            raise piece
        return piece


class Unseekable(io.BytesIO):
    """A file that says where it stands, but does not move."""

    def seek(self, *_args):
        raise OSError("Illegal seek")


def failing(error):
    yield b"first"
    raise error


def file_at(offset, data=DATA):
    file = io.BytesIO(data)
    file.seek(offset)
    return file


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "image.raw"
    file.write_bytes(DATA)
    return file


# --- what is sent ------------------------------------------------------------------------------


SOURCES = {
    "bytes": lambda: DATA,
    "bytearray": lambda: bytearray(DATA),
    "memoryview": lambda: memoryview(DATA),
    "BytesIO": lambda: io.BytesIO(DATA),
    "buffered": lambda: io.BufferedReader(io.BytesIO(DATA)),
    "reader": lambda: Reader(DATA[:10], bytearray(DATA[10:20]), DATA[20:]),
    "list": lambda: [DATA[:10], DATA[10:]],
    "tuple": lambda: (DATA,),
    "iterator": lambda: iter([DATA[:10], b"", memoryview(DATA)[10:]]),
    "generator": lambda: (DATA[i : i + 1000] for i in range(0, len(DATA), 1000)),
    "gzip": lambda: gzip.GzipFile(fileobj=io.BytesIO(gzip.compress(DATA))),
    "unseekable": lambda: Unseekable(DATA),
}


@pytest.mark.parametrize("name", SOURCES)
def test_all_of_the_data_is_given_in_pieces(name):
    assert b"".join(UploadBody(SOURCES[name]())) == DATA


@pytest.mark.parametrize("name", SOURCES)
def test_all_of_the_data_arrives(server, images, opened, name):
    image_id = images.add(name="new", disk_format="raw", container_format="bare")
    opened.sender(server)(v2.upload(image_id, SOURCES[name]()))
    assert images.get(image_id).data == DATA


@pytest.mark.parametrize("data", [b"", "", [], iter([]), io.BytesIO(), file_at(len(DATA))])
def test_nothing_may_be_sent(server, images, opened, data):
    image_id = images.add(name="new", disk_format="raw", container_format="bare")
    opened.sender(server)(v2.upload(image_id, data))
    assert images.get(image_id).data == b""


def test_a_file_on_disk_is_sent_from_where_it_stands(server, images, opened, path):
    image_id = images.add(name="new", disk_format="raw", container_format="bare")
    with path.open("rb") as file:
        file.seek(1000)
        opened.sender(server)(v2.upload(image_id, file))
    assert images.get(image_id).data == DATA[1000:]


def test_a_pipe_is_sent_to_its_end(server, images, opened):
    image_id = images.add(name="new", disk_format="raw", container_format="bare")
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as file:
        os.write(writing, b"through a pipe")
        os.close(writing)
        opened.sender(server)(v2.upload(image_id, file))
    assert images.get(image_id).data == b"through a pipe"


@pytest.mark.parametrize(
    ("data", "length"),
    [
        (b"12345", 5),
        (bytearray(b"12345"), 5),
        ("ü", 2),
        (file_at(10, b"0123456789012345"), 6),
        (file_at(99, b"01234"), 0),
        (gzip.GzipFile(fileobj=io.BytesIO(gzip.compress(b"12345" * 100))), 500),
        ([b"12345"], None),
        (iter([b"12345"]), None),
        (Reader(b"12345"), None),
        (Unseekable(b"12345"), None),
    ],
)
def test_a_length_is_known_where_the_kind_of_data_tells_it(data, length):
    assert UploadBody(data).length == length


def test_to_measure_a_file_leaves_it_where_it_stands():
    file = file_at(10)
    UploadBody(file)
    assert file.tell() == 10


def test_pieces_are_no_longer_than_a_chunk():
    assert max(map(len, UploadBody(DATA))) == CHUNK


@pytest.mark.parametrize("data", [5, None, object(), 1.5])
def test_what_can_t_be_read_is_refused_before_any_request(data):
    with pytest.raises(InvalidMetadata, match="pass bytes, a binary file or an iterable"):
        v2.upload("x", data)


def test_a_text_file_is_refused_before_any_request(path):
    with path.open(encoding="latin-1") as file, pytest.raises(InvalidMetadata, match="binary"):
        v2.upload("x", file)


@pytest.mark.parametrize("data", [[b"ok", "text"], iter([None]), Reader("text"), Reader(None), {5}])
def test_a_source_that_gives_no_bytes_is_the_caller_s_error(server, image_id, opened, data):
    with pytest.raises(InvalidMetadata, match="not bytes: open the file in binary mode"):
        opened.sender(server)(v2.upload(image_id, data))


# --- rewinding ---------------------------------------------------------------------------------


def read_and_rewound(data):
    body = UploadBody(data)
    first = b"".join(body)
    return body.rewind(), b"".join(body) == first


@pytest.mark.parametrize("name", ["bytes", "bytearray", "memoryview", "BytesIO", "list", "tuple"])
def test_what_can_be_rewound_is(name):
    assert read_and_rewound(SOURCES[name]()) == (True, True)


def test_a_file_is_rewound_to_where_it_stood():
    assert read_and_rewound(file_at(1000)) == (True, True)


@pytest.mark.parametrize("name", ["iterator", "generator", "reader", "unseekable"])
def test_what_can_t_be_rewound_says_so(name):
    assert read_and_rewound(SOURCES[name]())[0] is False


def test_a_file_that_was_closed_can_t_be_rewound():
    file = io.BytesIO(DATA)
    body = UploadBody(file)
    next(iter(body))
    file.close()
    assert body.rewind() is False


@pytest.mark.parametrize("name", SOURCES)
def test_what_was_not_read_needs_no_rewinding(name):
    assert UploadBody(SOURCES[name]()).rewind()


@given(st.binary(max_size=200), st.integers(0, 200), st.integers(0, 3))
def test_a_file_gives_the_same_bytes_each_time(data, offset, times):
    body = UploadBody(file_at(offset, data))
    found = []
    for _ in range(times + 1):
        found.append(b"".join(body))
        assert body.rewind()
    assert set(found) == {data[offset:]}


# --- sources that fail -------------------------------------------------------------------------


FAILURES = [
    RuntimeError("a bug"),
    ValueError("a bug"),
    OSError(5, "Input/output error"),
    BrokenPipeError(32, "Broken pipe"),
    ConnectionResetError(104, "Connection reset by peer"),
    TimeoutError("slow disk"),
]


@pytest.mark.parametrize("error", FAILURES, ids=lambda e: type(e).__name__)
@pytest.mark.parametrize(
    "source", [failing, lambda e: Reader(b"first", e)], ids=["iterator", "file"]
)
def test_what_a_source_raises_reaches_the_caller(server, image_id, opened, error, source):
    with pytest.raises(type(error)) as caught:
        opened.sender(server)(v2.upload(image_id, source(error)))
    assert caught.value is error


def test_a_source_that_fails_keeps_its_cause(server, image_id, opened):
    cause, error = ValueError("deep"), RuntimeError("a bug")
    error.__cause__ = cause
    with pytest.raises(RuntimeError) as caught:
        opened.sender(server)(v2.upload(image_id, failing(error)))
    assert caught.value.__cause__ is cause


def test_a_source_that_fails_accuses_no_server(three, images, opened):
    image_id = images.add(name="new", disk_format="raw", container_format="bare")
    service = opened.service(*three)
    with pytest.raises(OSError, match="Input"):
        service.update(None, image_id, {}, failing(OSError(5, "Input/output error")))
    health = service.servers()
    assert [(h.consecutive_failures, h.active_attempts) for h in health] == [(0, 0)] * 3


@pytest.mark.parametrize(
    "error",
    [
        CommunicationError("glance-9: connection refused"),
        GlanceConnectionFailed("http://glance-9:9292", Reason("read_timeout"), "no"),
        ImageUnacceptable("it has no data"),
        TokenUnavailable("Keystone is down"),
    ],
)
def test_another_download_that_fails_accuses_not_the_server_written_to(
    three, images, opened, error
):
    image_id = images.add(name="new", disk_format="raw", container_format="bare")
    service = opened.service(*three)
    with pytest.raises(InvalidArgument, match="data to upload could not be read") as caught:
        service.update(None, image_id, {}, failing(error))
    failures = [health.consecutive_failures for health in service.servers()]
    assert (failures, caught.value.__cause__) == ([0] * 3, error)


@pytest.mark.parametrize(
    "error", [ImageUnacceptable("it has no data"), TokenUnavailable("Keystone is down")]
)
def test_another_download_that_fails_is_no_answer_of_the_server_written_to(server, opened, error):
    image_id = server.images.add(name="new", disk_format="raw", container_format="bare")
    service = opened.service(server, retry=RetryPolicy(cooldown_base=0), num_retries=0)
    server.break_with(lab.faults.status(503))
    with pytest.raises(GlanceConnectionFailed):
        service.show(None, image_id)
    server.heal()
    with pytest.raises(InvalidArgument):
        service._client.call(None, 2, "upload", image_id, failing(error))
    (health,) = service.servers()
    assert health.consecutive_failures == 1


def test_data_that_grew_meanwhile_is_not_sent_beyond_its_length(path):
    with path.open("rb") as file:
        body = UploadBody(file)
        with path.open("ab") as writer:
            writer.write(b"more")
        sent = []
        with pytest.raises(SourceError) as caught:
            sent.extend(body)
    assert str(caught.value.failure).startswith("data no longer has the 262144 bytes")
    assert len(b"".join(sent)) <= len(DATA)


def test_data_that_shrank_meanwhile_is_the_caller_s_error(server, image_id, opened, path):
    with path.open("rb") as file:
        operation = v2.upload(image_id, file)
        os.truncate(path, 100)
        with pytest.raises(InvalidArgument, match="let nothing write to it"):
            opened.sender(server)(operation)


def test_a_failed_upload_leaves_no_half_request_on_a_kept_connection(server, images, opened):
    image_id = images.add(name="new", disk_format="raw", container_format="bare")
    sender = opened.sender(server)
    sender(v2.get(image_id))
    with pytest.raises(RuntimeError):
        sender(v2.upload(image_id, failing(RuntimeError("a bug"))))
    assert sender.value(v2.get(image_id))["status"] == "queued"


# --- servers that answer before they have read all ---------------------------------------------


def early(status, tls=None):
    """A server that answers an upload after its head, and closes."""

    def talk(server, sock, _number):
        with sock.makefile("rb") as stream:
            while line := stream.readline():
                if line == b"\r\n":
                    break
            sock.sendall(reply(status, b"no more", "Connection: close"))
            server.answered.set()

    running = Loopback(talk, tls)
    running.answered = threading.Event()
    return running


def patient(server, size=1 << 20):
    """Data whose end comes when the server has answered."""
    yield b"first"
    assert server.answered.wait(10)
    for _ in range(4):
        yield b"x" * size


@pytest.mark.parametrize(("status", "error"), [(413, OverLimit), (503, ServiceUnavailable)])
def test_an_answer_that_comes_early_is_told_although_the_connection_breaks(opened, status, error):
    with early(status) as server, pytest.raises(error, match="no more"):
        opened.sender(server)(v2.upload("x", patient(server)))


def test_with_tls_an_answer_that_comes_early_may_be_lost_but_is_no_failure_of_tls(opened, tls):
    with early(413, tls) as server, pytest.raises((OverLimit, CommunicationError)) as caught:
        opened.sender(server, cafile=tls.cafile)(v2.upload("x", patient(server)))
    assert (caught.value.reason in ("413", "connection_reset"), caught.value.reached) == (
        True,
        True,
    )


def test_an_answer_that_comes_early_is_told_where_nothing_is_lost(opened):
    """The server has answered and reads on, so that no reset overtakes its answer."""

    def talk(_server, sock, _number):
        with sock.makefile("rb") as stream:
            sock.sendall(reply(413, b"too large"))
            read_request(stream)

    with Loopback(talk) as server, pytest.raises(OverLimit):
        opened.sender(server)(v2.upload("x", [b"x" * 1000] * 1000))


@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("say", [closing(), resetting()], ids=["close", "reset"])
def test_a_server_that_closes_in_mid_upload_is_told_apart(opened, tls, say, secure):
    def talk(_server, sock, _number):
        sock.recv(1000)
        say(sock)

    running = Loopback(talk, tls if secure else None)
    with running as server, pytest.raises(CommunicationError) as caught:
        opened.sender(server, cafile=tls.cafile)(v2.upload("x", [b"x" * 100_000] * 100))
    assert (caught.value.reason, caught.value.reached) == ("connection_reset", True)


# --- through the cycle -------------------------------------------------------------------------


@pytest.fixture
def queued(images):
    return images.add(name="new", disk_format="raw", container_format="bare")


def test_an_upload_that_can_be_repeated_goes_whole_to_the_next_server(
    three, images, queued, opened
):
    from traced_image import RetryPolicy

    three[0].break_with(lab.faults.status(503))
    service = opened.service(*three, retry=RetryPolicy(repeat_unsafe=True))
    service._client.call(None, 2, "upload", queued, file_at(7))
    assert (images.get(queued).data, three[1].access_log[-1].body_bytes) == (
        DATA[7:],
        len(DATA) - 7,
    )


def test_an_upload_that_was_read_and_can_t_be_rewound_says_so(three, queued, opened):
    from traced_image import RetryPolicy

    three[0].break_with(lab.faults.status(503))
    service = opened.service(*three, retry=RetryPolicy(repeat_unsafe=True))
    with pytest.raises(UploadNotRewindable, match="pass bytes or a seekable file"):
        service._client.call(None, 2, "upload", queued, iter([DATA]))
    assert three[1].access_log == ()


def test_an_upload_that_was_not_read_goes_to_the_next_server(three, images, queued, opened):
    three[0].break_with(lab.faults.refuse())
    opened.service(*three)._client.call(None, 2, "upload", queued, iter([DATA]))
    assert images.get(queued).data == DATA


def test_a_server_that_answers_with_conversation_reads_all_of_it(opened):
    with Loopback(conversation(reply(204))) as server:
        opened.sender(server)(v2.upload("x", iter([b"ab", b"cd"])))
    assert server.requests[0].endswith(b"\r\n\r\nabcd")
