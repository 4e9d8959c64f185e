"""Image data on its way back: checked, resumed on another server, saved, and given up."""

import gc
import hashlib
import io
import itertools
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loopback import Loopback, Pieces, answer, closing, conversation, read_request, reply

from traced_image import RetryPolicy, Server, lab
from traced_image.errors import (
    ChecksumMismatch,
    CommunicationError,
    DeadlineExceeded,
    ImageNotFound,
    ImageUnacceptable,
    InvalidArgument,
    NotFound,
    ProtocolError,
)
from traced_image.pipeline.api.destination import save
from traced_image.pipeline.api.digest import Digest
from traced_image.pipeline.api.download import Download

DATA = bytes(range(256)) * 512
SHA512 = hashlib.sha512(DATA).hexdigest()
MD5 = hashlib.md5(DATA).hexdigest()
SERVER = Server.parse("glance-1")
CUT = CommunicationError("glance-1:9292: connection closed")


def download_of(*pieces, record=None, status=200, offset=0, chunks=None, **headers):
    chunks = chunks or Pieces(*pieces)
    headers = {name.lower().replace("_", "-"): value for name, value in headers.items()}
    reply = answer(status=status, headers=headers, chunks=chunks)
    return Download.of(reply, record or {}, offset)


# --- the check ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "record",
    [
        {"os_hash_algo": "sha512", "os_hash_value": SHA512, "checksum": "wrong"},
        {"os_hash_algo": "sha256", "os_hash_value": hashlib.sha256(DATA).hexdigest()},
        {"os_hash_algo": "no-such", "os_hash_value": "x", "checksum": MD5},
        {"os_hash_algo": "shake_128", "os_hash_value": "x", "checksum": MD5},
        {"os_hash_algo": "sha512", "os_hash_value": None, "checksum": MD5},
        {"os_hash_algo": "sha512", "os_hash_value": "", "checksum": MD5},
        {"os_hash_algo": None, "os_hash_value": None, "checksum": MD5},
        {"checksum": None, "size": len(DATA)},
        {"size": 0},
        {"size": None},
        {},
    ],
)
def test_data_that_is_what_its_record_says_is_given(record):
    assert b"".join(download_of(DATA[:1000], DATA[1000:], record=record)) == DATA


@pytest.mark.parametrize(
    "record",
    [
        {"os_hash_algo": "sha512", "os_hash_value": SHA512, "checksum": MD5},
        {"os_hash_algo": "no-such", "os_hash_value": "x", "checksum": MD5},
        {"checksum": MD5},
    ],
)
def test_data_that_is_not_what_its_record_says_is_an_error_at_its_end(record):
    download = download_of(DATA[:-1], record=record)
    found = []
    with pytest.raises(ChecksumMismatch, match="check the server's store if the error repeats"):
        found.extend(download)
    assert b"".join(found) == DATA[:-1]


@pytest.mark.parametrize("checksum", [None, MD5])
@pytest.mark.parametrize("pieces", [(), (DATA[:-1],)], ids=["nothing", "too little"])
def test_data_that_ends_before_the_record_s_size_is_cut_short(checksum, pieces):
    download = download_of(*pieces, record={"checksum": checksum, "size": len(DATA)})
    found = []
    with pytest.raises(ProtocolError, match=f"ends before its {len(DATA)} bytes"):
        found.extend(download)
    assert list(pieces) == found


def test_a_checksum_may_be_in_capitals():
    digest = Digest({"checksum": hashlib.md5(b"data", usedforsecurity=False).hexdigest().upper()})
    digest.update(b"data")
    assert digest.matches()


def test_content_md5_is_the_last_resort():
    with pytest.raises(ChecksumMismatch):
        list(download_of(b"wrong", record={"checksum": None}, Content_MD5=MD5))


def test_the_record_s_checksum_goes_before_content_md5():
    record = {"checksum": hashlib.md5(b"right").hexdigest()}
    assert list(download_of(b"right", record=record, Content_MD5=MD5)) == [b"right"]


def test_a_mismatch_has_its_reason():
    with pytest.raises(ChecksumMismatch) as caught:
        list(download_of(b"wrong", record={"checksum": MD5}))
    assert caught.value.reason == "checksum_mismatch"


@given(st.dictionaries(st.sampled_from(["os_hash_algo", "os_hash_value", "checksum"]), st.text()))
def test_whatever_a_record_claims_data_matches_or_does_not(record):
    digest = Digest(record, None)
    digest.update(b"data")
    assert digest.matches() in (True, False)


# --- a reply to a download ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"status": "queued", "size": 5},
        {"status": "active", "size": 0},
        {"status": "active", "size": None},
        {"status": "active", "size": "five"},
    ],
)
def test_a_reply_without_data_is_none(record):
    assert Download.of(answer(status=204), record) is None


def test_a_reply_without_the_data_of_an_active_image_is_the_server_s_fault():
    with pytest.raises(ProtocolError, match=r"HTTP 204 .* no data, and its record says 5 bytes"):
        Download.of(answer(status=204), {"status": "active", "size": 5})


def heads_of(images, image_id):
    """The headers by which API v1 shows an image."""
    shown = images.get(image_id).base
    return [f"x-image-meta-{name}: {shown[name]}" for name in ("id", "status", "size")]


@pytest.mark.parametrize(
    ("version", "head"),
    [
        (1, "HTTP/1.1 204 No Content"),
        (1, "HTTP/1.1 200 OK\r\nContent-Length: 0"),
        (2, "HTTP/1.1 204 No Content"),
        (2, "HTTP/1.1 200 OK\r\nContent-Length: 0"),
        (2, "HTTP/1.1 200 OK"),
    ],
    ids=["v1 204", "v1 200 of no bytes", "204", "200 of no bytes", "200 that ends"],
)
def test_another_server_has_the_data_that_one_has_lost(images, server, big, opened, version, head):
    lines = [head, *(heads_of(images, big) if version == 1 else []), "", ""]
    lost = lab.faults.raw_reply("\r\n".join(lines).encode())
    with lab.GlanceServer(images) as other:
        server.break_with(lost.only(method="GET", path="/file$|/v1/"))
        service = opened.service(server, other, api_version=version)
        found = b"".join(service.download(None, big))
        assert (DATA * 8, "protocol_error") == (found, service.servers()[0].last_reason)


@pytest.mark.parametrize(
    ("length", "expected"),
    [({"Content_Length": "12"}, 12), ({}, None), ({"Content_Length": "x"}, None)],
)
def test_the_length_is_told_where_the_server_tells_it(length, expected):
    assert download_of(b"", **length).length == expected


def test_a_length_of_too_many_digits_is_none():
    assert download_of(b"", Content_Length="9" * 5000).length is None


def test_a_part_that_was_asked_for_is_taken():
    found = download_of(b"rest", status=206, offset=5, Content_Range="bytes 5-8/9")
    found.begin(io.BytesIO(b"first"))
    assert list(found) == [b"rest"]


@pytest.mark.parametrize(
    ("offset", "headers"),
    [
        (5, {}),
        (5, {"Content_Range": "bytes 0-8/9"}),
        (5, {"Content_Range": "bytes 55-88/99"}),
        (5, {"Content_Range": "5-8/9"}),
        (0, {"Content_Range": "bytes 0-3/9"}),
    ],
)
def test_another_part_than_asked_for_is_refused(offset, headers):
    with pytest.raises(ProtocolError, match="not the part of the data that was requested"):
        download_of(b"rest", status=206, offset=offset, **headers)


def test_a_part_that_is_refused_is_closed():
    reply = answer(status=206, chunks=Pieces(b"rest"))
    with pytest.raises(ProtocolError):
        Download.of(reply, {}, 5)
    assert reply.chunks.closed == 1


@pytest.mark.parametrize("offset", [0, 2])
def test_to_close_a_download_closes_its_reply(offset):
    pieces = Pieces(b"whole")
    download_of(chunks=pieces, offset=offset).close()
    assert pieces.closed == 1


@given(st.lists(st.binary(max_size=5), max_size=8), st.integers(1, 30))
def test_of_a_whole_reply_what_is_there_is_left_out(pieces, offset):
    whole = b"".join(pieces)
    download = download_of(*pieces, offset=offset)
    if offset > len(whole):
        with pytest.raises(ProtocolError, match="shorter than the part that has arrived"):
            list(download)
    else:
        assert b"".join(download) == whole[offset:]


# --- resuming, without a network ---------------------------------------------------------------


class Rest:
    """A `Resume` that gives what it is told to, and notes what it is asked."""

    def __init__(self, *rests):
        self.rests = list(rests)
        self.asked = []

    def __call__(self, server, error, done):
        self.asked.append((server, error, done))
        rest = self.rests.pop(0)
        if isinstance(rest, Exception):
            raise rest
        return rest


RECORD = {"os_hash_algo": "sha512", "os_hash_value": SHA512}


def resumed(first, *rests):
    first.resume = Rest(*rests)
    return first


def test_the_rest_is_asked_for_where_the_stream_broke():
    rest = download_of(DATA[1000:], record=RECORD)
    download = resumed(download_of(DATA[:1000], CUT, record=RECORD), rest)
    assert b"".join(download) == DATA
    assert download.resume.asked == [(SERVER, CUT, 1000)]


def test_the_rest_may_break_too():
    rests = [
        download_of(DATA[1000:3000], CUT, record=RECORD),
        download_of(DATA[3000:], record=RECORD),
    ]
    download = resumed(download_of(DATA[:1000], CUT, record=RECORD), *rests)
    assert b"".join(download) == DATA
    assert [done for *_, done in download.resume.asked] == [1000, 3000]


def test_a_download_that_is_not_resumed_breaks():
    with pytest.raises(CommunicationError) as caught:
        list(download_of(b"x", CUT))
    assert caught.value is CUT


def test_a_download_that_nobody_can_resume_breaks_with_the_first_error():
    with pytest.raises(CommunicationError) as caught:
        list(resumed(download_of(b"x", CUT), None))
    assert caught.value is CUT


def test_a_download_that_fails_to_resume_breaks_with_the_first_error():
    failed = NotFound("gone")
    with pytest.raises(CommunicationError) as caught:
        list(resumed(download_of(b"x", CUT), failed))
    assert (caught.value, caught.value.__cause__) == (CUT, failed)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (RECORD, {"os_hash_algo": "sha512", "os_hash_value": "0" * 128}),
        (RECORD, {}),
        ({"checksum": MD5}, {"checksum": "0" * 32}),
        ({"size": 5, "updated_at": "then"}, {"size": 6, "updated_at": "then"}),
        ({"size": 5, "updated_at": "then"}, {"size": 5, "updated_at": "now"}),
    ],
)
def test_the_rest_of_other_data_is_refused_and_closed(first, second):
    pieces = Pieces(b"rest")
    rest = download_of(chunks=pieces, record=second)
    with pytest.raises(CommunicationError) as caught:
        list(resumed(download_of(b"x", CUT, record=first), rest))
    assert (caught.value, pieces.closed) == (CUT, 1)


def test_without_a_checksum_the_rest_must_be_of_the_same_size_and_time():
    record = {"size": 8, "updated_at": "then"}
    rest = download_of(b"rest", record=record)
    download = resumed(download_of(b"half", CUT, record=record), rest)
    assert b"".join(download) == b"halfrest"


def test_after_resuming_the_other_server_is_the_one_that_fails():
    other = Server.parse("glance-2")
    reply = answer(server=other, chunks=Pieces(DATA[1000:2000], CUT))
    download = resumed(
        download_of(DATA[:1000], CUT, record=RECORD), Download.of(reply, RECORD), None
    )
    with pytest.raises(CommunicationError):
        list(download)
    assert [server for server, *_ in download.resume.asked] == [SERVER, other]


def test_a_mismatch_is_told_to_whoever_resumes():
    download = resumed(download_of(b"wrong", record=RECORD), None)
    with pytest.raises(ChecksumMismatch) as caught:
        list(download)
    assert download.resume.asked == [(SERVER, caught.value, 5)]


@given(st.binary(min_size=1, max_size=60), st.lists(st.integers(0, 60), max_size=5))
def test_wherever_it_breaks_the_data_is_whole(data, breaks):
    record = {"checksum": hashlib.md5(data).hexdigest()}
    places = [0, *sorted(min(place, len(data)) for place in breaks)]
    parts = [
        download_of(data[start:end], CUT, record=record)
        for start, end in itertools.pairwise(places)
    ]
    parts.append(download_of(data[places[-1] :], record=record))
    assert b"".join(resumed(parts[0], *parts[1:])) == data


# --- saving ------------------------------------------------------------------------------------


def test_data_is_written_to_a_file_object():
    file = io.BytesIO()
    save(download_of(b"ab", b"cd"), file)
    assert file.getvalue() == b"abcd"


class Full(io.BytesIO):
    def write(self, _data):
        raise OSError(28, "No space left on device")


def test_a_download_is_closed_where_it_can_t_be_written():
    pieces = Pieces(b"ab")
    with pytest.raises(OSError, match="No space"):
        save(download_of(chunks=pieces), Full())
    assert pieces.closed


# --- over the wire -----------------------------------------------------------------------------


@pytest.fixture
def big(images):
    return images.add(name="big", data=DATA * 8)


@pytest.mark.parametrize("version", [1, 2])
def test_data_comes_whole(server, big, opened, version):
    download = opened.service(server, api_version=version).download(None, big)
    assert b"".join(download) == DATA * 8


def test_data_comes_into_a_file(server, big, opened, tmp_path):
    assert opened.service(server).download(None, big, dst_path=tmp_path / "image") is None
    assert (tmp_path / "image").read_bytes() == DATA * 8


def test_data_comes_into_a_file_object(server, big, opened):
    file = io.BytesIO()
    opened.service(server).download(None, big, data=file)
    assert file.getvalue() == DATA * 8


def test_a_file_object_goes_before_a_path(server, big, opened, tmp_path):
    file = io.BytesIO()
    opened.service(server).download(None, big, data=file, dst_path=tmp_path / "image")
    assert ((tmp_path / "image").exists(), len(file.getvalue())) == (False, len(DATA) * 8)


def test_an_empty_path_is_none_as_in_nova(server, big, opened):
    assert b"".join(opened.service(server).download(None, big, dst_path="")) == DATA * 8


def test_an_image_without_data_is_unacceptable(server, images, opened):
    with pytest.raises(ImageUnacceptable, match="it has no data"):
        opened.service(server).download(None, images.add(name="queued"))


def test_an_image_that_is_not_there_is_not_found(server, opened):
    with pytest.raises(ImageNotFound):
        opened.service(server).download(None, "missing")


def test_signatures_are_not_verified(server, big, opened):
    with pytest.raises(InvalidArgument, match="this service verifies no signatures"):
        opened.service(server).download(None, big, trusted_certs=["a"])
    assert server.access_log == ()


def cut_once(limit=1):
    return lab.faults.cut_body().only(path="/file$").times(limit)


def test_a_cut_download_goes_on_at_another_server(three, big, opened):
    three[0].break_with(cut_once())
    service = opened.service(*three)
    assert b"".join(service.download(None, big)) == DATA * 8
    statuses = [[access.status for access in server.access_log] for server in three]
    assert statuses == [[200, 200], [200, 206], []]


def test_a_cut_download_accuses_the_server(three, big, opened):
    three[0].break_with(cut_once())
    service = opened.service(*three)
    list(service.download(None, big))
    found = [(health.consecutive_failures, health.last_reason) for health in service.servers()]
    assert found == [(1, "protocol_error"), (0, None), (0, None)]


def test_a_cut_download_into_a_file_goes_on_too(three, big, opened, tmp_path):
    three[0].break_with(cut_once())
    opened.service(*three).download(None, big, dst_path=tmp_path / "image")
    assert (tmp_path / "image").read_bytes() == DATA * 8


def test_a_download_that_is_cut_everywhere_breaks_and_leaves_no_file(three, big, opened, tmp_path):
    for server in three:
        server.break_with(cut_once(9))
    service = opened.service(*three, num_retries=2, retry=RetryPolicy(cooldown_base=0.0))
    with pytest.raises(ProtocolError):
        service.download(None, big, dst_path=tmp_path / "image")
    assert list(tmp_path.iterdir()) == []


def test_a_download_is_resumed_as_often_as_a_call_is_retried(three, big, opened):
    for server in three:
        server.break_with(cut_once(9))
    service = opened.service(*three, num_retries=2, retry=RetryPolicy(cooldown_base=0.0))
    with pytest.raises(ProtocolError):
        list(service.download(None, big))
    files = [a for server in three for a in server.access_log if a.path.endswith("/file")]
    assert len(files) == 3


def test_a_download_that_breaks_has_the_history_of_its_streams(three, big, opened):
    for server in three:
        server.break_with(cut_once(9))
    service = opened.service(*three, num_retries=2, retry=RetryPolicy(cooldown_base=0.0))
    with pytest.raises(ProtocolError) as caught:
        list(service.download(None, big))
    assert [attempt.reason for attempt in caught.value.attempts] == ["protocol_error"] * 3


def test_a_stream_that_breaks_has_its_log_line(three, big, opened, caplog):
    three[0].break_with(cut_once())
    list(opened.service(*three).download(None, big))
    line = f"Error contacting glance server '127.0.0.1:{three[0].port}' for 'data', retrying."
    assert caplog.messages == [f"{line} Reason: protocol_error."]


@pytest.mark.parametrize(
    ("version", "path"), [(1, r"/images/[^/]*$"), (2, r"/images/[^/]*$"), (2, "/file$")]
)
def test_the_deadline_bounds_what_comes_before_the_data(server, big, opened, version, path):
    server.break_with(lab.faults.slow_headers(0.1).only(method="GET", path=path))
    service = opened.service(
        server, api_version=version, deadline=0.5, read_timeout=5.0, num_retries=0
    )
    began = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        service.download(None, big)
    assert time.monotonic() - began < 4.0


def test_the_deadline_does_not_bound_the_data(server, big, opened):
    service = opened.service(server, deadline=0.3)
    chunks = iter(service.download(None, big))
    first = next(chunks)
    threading.Event().wait(0.4)
    assert len(first) + len(b"".join(chunks)) == len(DATA) * 8


@pytest.mark.parametrize(
    "destination",
    [
        {"data": 5},
        {"data": io.StringIO()},
        {"dst_path": 5},
        {"dst_path": b"/x"},
        {"dst_path": "a\0"},
    ],
)
def test_what_can_t_be_written_to_is_refused_before_any_request(server, big, opened, destination):
    with pytest.raises(InvalidArgument):
        opened.service(server).download(None, big, **destination)
    assert server.access_log == ()


def test_an_image_that_changed_meanwhile_is_not_resumed(images, big, three, opened):
    three[0].break_with(cut_once())
    download = iter(opened.service(*three).download(None, big))
    next(download)
    images.put(images.get(big).with_data(b"other data" * 10_000))
    with pytest.raises(ProtocolError):
        list(download)


def test_an_image_that_was_deleted_meanwhile_is_not_resumed(images, big, three, opened):
    three[0].break_with(cut_once())
    download = iter(opened.service(*three).download(None, big))
    next(download)
    images.remove(big)
    with pytest.raises(ProtocolError) as caught:
        list(download)
    assert isinstance(caught.value.__cause__, NotFound)


def test_api_v1_does_not_resume_but_accuses(three, big, opened):
    three[0].break_with(lab.faults.cut_body().only(method="GET"))
    service = opened.service(*three, api_version=1)
    with pytest.raises(ProtocolError):
        list(service.download(None, big))
    found = ([h.consecutive_failures for h in service.servers()], three[1].access_log)
    assert found == ([1, 0, 0], ())


def test_corrupt_data_is_an_error_and_accuses_the_server(three, big, opened, tmp_path):
    three[0].break_with(lab.faults.corrupt_data())
    service = opened.service(*three)
    with pytest.raises(ChecksumMismatch):
        service.download(None, big, dst_path=tmp_path / "image")
    assert list(tmp_path.iterdir()) == []
    assert [health.last_reason for health in service.servers()] == ["checksum_mismatch", None, None]


def test_a_server_without_ranges_gives_the_whole_again(images, big, server, opened):
    """The first server cuts the data; the second ignores Range, as an old Glance does."""
    record = images.get(big).json
    whole = DATA * 8

    def say(sock):
        sock.sendall(reply(200, record))
        with sock.makefile("rb") as stream:
            read_request(stream)
        sock.sendall(reply(200, whole))

    server.break_with(cut_once())
    with Loopback(conversation(say)) as old:
        service = opened.service(server, old)
        assert b"".join(service.download(None, big)) == whole


def test_a_reply_that_does_not_say_how_long_it_is_is_checked_all_the_same(images, opened):
    image_id = images.add(name="x", data=DATA)
    record = reply(200, images.get(image_id).json)
    cut = closing(b"HTTP/1.1 200 OK\r\n\r\n" + DATA[:-1])
    with Loopback(conversation(record, cut)) as server:
        service = opened.service(server, num_retries=0)
        with pytest.raises(ProtocolError, match="ends before"):
            list(service.download(None, image_id))


def test_a_download_that_is_dropped_leaves_no_warning(server, big, opened):
    opened.service(server).download(None, big)
    next(iter(opened.service(server).download(None, big)))
    gc.collect()


def test_a_download_may_be_closed_twice(server, big, opened):
    download = opened.service(server).download(None, big)
    download.close()
    download.close()
