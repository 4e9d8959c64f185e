"""Downloads that go on where an earlier one ended, in a file that has the first part."""

import hashlib
import io

import pytest
from loopback import Loopback, conversation, read_request, reply

from traced_image import RetryPolicy, lab
from traced_image.errors import (
    ChecksumMismatch,
    CommunicationError,
    ImageNotFound,
    ImageUnacceptable,
    InvalidArgument,
    ProtocolError,
)

DATA = bytes(range(256)) * 1024
HALF = len(DATA) // 2
UNKNOWN = {"os_hash_algo": None, "os_hash_value": None, "checksum": ""}


@pytest.fixture
def big(images):
    return images.add(name="big", data=DATA)


def rest_of(service, image_id, begun=b""):
    """What comes of an image beside what there is, read to its end."""
    return b"".join(service.download_rest(None, image_id, io.BytesIO(begun)))


@pytest.mark.parametrize("there", [0, 1, HALF, len(DATA) - 1])
def test_what_is_not_there_comes(server, big, opened, there):
    assert DATA[there:] == rest_of(opened.service(server), big, DATA[:there])


@pytest.mark.parametrize("there", [1, HALF])
def test_no_more_is_asked_for(server, big, opened, there):
    rest_of(opened.service(server), big, DATA[:there])
    file = server.access_log[-1]
    assert (206, f"/v2/images/{big}/file") == (file.status, file.path)


def test_where_all_is_there_nothing_is_asked_for(server, big, opened):
    assert b"" == rest_of(opened.service(server), big, DATA)
    assert [f"/v2/images/{big}"] == [access.path for access in server.access_log]


@pytest.mark.parametrize("there", [0, HALF, len(DATA)])
def test_its_length_is_that_of_what_comes(server, big, opened, there):
    download = opened.service(server).download_rest(None, big, io.BytesIO(DATA[:there]))
    download.close()
    assert len(DATA) - there == download.length


def test_the_file_is_left_at_its_end(server, big, opened):
    file = io.BytesIO(DATA[:HALF])
    for chunk in opened.service(server).download_rest(None, big, file):
        file.write(chunk)
    assert DATA == file.getvalue()


@pytest.mark.parametrize(
    "begun",
    [b"x" * HALF, b"x" * len(DATA), DATA + b"x"],
    ids=["the first part", "all of it", "more than all"],
)
def test_what_is_there_of_other_data_is_found_at_the_end(server, big, opened, begun):
    with pytest.raises(ChecksumMismatch):
        rest_of(opened.service(server), big, begun)


def test_a_rest_that_is_wrong_is_found_at_the_end(server, big, opened):
    server.break_with(lab.faults.corrupt_data())
    with pytest.raises(ChecksumMismatch):
        rest_of(opened.service(server), big, DATA[:HALF])


def test_a_rest_that_breaks_goes_on_at_another_server(three, big, opened):
    three[0].break_with(lab.faults.cut_body().only(path="/file$").times(1))
    assert DATA[HALF:] == rest_of(opened.service(*three), big, DATA[:HALF])
    assert [[200, 206], [200, 206]] == [
        [access.status for access in server.access_log] for server in three[:2]
    ]


def test_a_rest_that_breaks_everywhere_breaks(three, big, opened):
    for server in three:
        server.break_with(lab.faults.cut_body().only(path="/file$"))
    service = opened.service(*three, num_retries=2, retry=RetryPolicy(cooldown_base=0.0))
    with pytest.raises((CommunicationError, ProtocolError)):
        rest_of(service, big, DATA[:HALF])


@pytest.mark.parametrize("checksum", [{}, UNKNOWN], ids=["a checksum", "a size only"])
def test_a_rest_that_breaks_twice_is_counted_as_a_whole(images, three, opened, checksum):
    image_id = images.add(data=DATA, **checksum)
    for server in three:
        server.break_with(lab.faults.cut_body().only(path="/file$").times(1))
    assert DATA == b"".join(opened.service(*three).download(None, image_id))


def test_a_stream_that_breaks_after_its_last_byte_is_whole(images, three, big, opened):
    """Nothing is left to ask another server for."""
    record = images.get(big).json
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

    def say(sock):
        sock.sendall(reply(200, record))
        with sock.makefile("rb") as stream:
            read_request(stream)
        sock.sendall(head + b"%x\r\n%b\r\n" % (len(DATA), DATA))  # and not the end of chunks

    with Loopback(conversation(say)) as cut:
        assert DATA == rest_of(opened.service(cut, three[0]), big)


def test_of_a_server_that_knows_no_ranges_the_rest_is_taken(images, big, opened):
    record = images.get(big).json

    def say(sock):
        sock.sendall(reply(200, record))
        with sock.makefile("rb") as stream:
            read_request(stream)
        sock.sendall(reply(200, DATA))

    with Loopback(conversation(say)) as old:
        download = opened.service(old).download_rest(None, big, io.BytesIO(DATA[:HALF]))
        assert (HALF, DATA[HALF:]) == (download.length, b"".join(download))


@pytest.mark.parametrize("version", [1, 2])
def test_with_nothing_there_all_comes(server, big, opened, version):
    assert DATA == rest_of(opened.service(server, api_version=version), big)


def test_api_v1_can_not_be_asked_for_the_rest(server, big, opened):
    with pytest.raises(InvalidArgument, match="download all of it again"):
        rest_of(opened.service(server, api_version=1), big, b"x")
    assert () == server.access_log


def test_an_image_without_data_is_unacceptable(server, images, opened):
    with pytest.raises(ImageUnacceptable):
        rest_of(opened.service(server), images.add(name="queued"))


def test_an_image_that_is_not_there_is_not_found(server, opened):
    with pytest.raises(ImageNotFound):
        rest_of(opened.service(server), "missing", b"x")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, True),
        ({"os_hash_algo": None, "os_hash_value": None}, True),
        ({"os_hash_algo": None, "os_hash_value": None, "checksum": ""}, False),
    ],
)
@pytest.mark.parametrize("there", [1, 4])
def test_it_tells_whether_the_image_has_a_checksum(images, server, opened, fields, expected, there):
    image_id = images.add(data=b"data", **fields)
    found = opened.service(server).download_rest(None, image_id, io.BytesIO(b"data"[:there]))
    found.close()
    assert expected is found.has_checksum


def test_without_a_checksum_the_size_is_what_is_checked(images, server, opened):
    image_id = images.add(data=b"data", os_hash_algo=None, os_hash_value=None, checksum="")
    service = opened.service(server)
    assert b"ta" == rest_of(service, image_id, b"xx")
    with pytest.raises(ChecksumMismatch):
        rest_of(service, image_id, b"x" * 5)


def test_the_hash_of_what_is_there_is_not_computed_of_the_part_alone(images, server, opened):
    """A record of the second half's hash, so that taking the first half in shows."""
    half = hashlib.sha512(DATA[HALF:]).hexdigest()
    image_id = images.add(data=DATA, os_hash_value=half)
    with pytest.raises(ChecksumMismatch):
        rest_of(opened.service(server), image_id, DATA[:HALF])
