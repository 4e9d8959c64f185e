"""What servers send as image data: too much, a page, another part, the rest of other data."""

import hashlib
import itertools

import pytest
from loopback import Loopback, Pieces, answer, conversation, read_request, reply

from traced_image import RetryPolicy
from traced_image.errors import (
    AttemptError,
    ChecksumMismatch,
    CommunicationError,
    GlanceConnectionFailed,
    ProtocolError,
)
from traced_image.pipeline.api.download import Download

DATA = bytes(range(256)) * 8
HALF = len(DATA) // 2
UNKNOWN = {"os_hash_algo": None, "os_hash_value": None, "checksum": ""}
CUT = CommunicationError("glance-1:9292: connection closed")
PAGE = b"<html><body>Please log in.</body></html>"


@pytest.fixture
def unknown(images):
    """An image of which the record says neither a checksum nor the size."""
    return images.add(data=DATA, size=None, **UNKNOWN)


@pytest.fixture
def sized(images):
    """An image of which the record says the size and no checksum."""
    return images.add(data=DATA, **UNKNOWN)


class Glance(Loopback):
    """A server that answers a request for an image's record as it should, and then as told."""

    def __init__(self, images, image_id, *replies):
        record = reply(200, images.get(image_id).json)
        says = itertools.chain(replies, itertools.repeat(replies[-1]))

        def talk(server, sock, _number):
            with sock.makefile("rb") as stream:
                while request := read_request(stream):
                    server.requests.append(request)
                    sock.sendall(next(says) if b"/file " in request else record)
                    if b"/file " in request:
                        return

        super().__init__(talk)

    @property
    def files(self):
        """The number of requests for data."""
        return sum(b"/file " in request for request in self.requests)


def cut(data, *headers, length=None):
    """A reply that ends before its length."""
    total = len(data) * 2 if length is None else length
    return reply(200, data, *headers, f"Content-Length: {total}")


def service_of(opened, *servers, **fields):
    return opened.service(*servers, retry=RetryPolicy(cooldown_base=0.0), **fields)


# --- no more than the record's size ------------------------------------------------------------


def download_of(*pieces, record=None, status=200, offset=0, first=None, **headers):
    headers = {name.lower().replace("_", "-"): value for name, value in headers.items()}
    found = answer(status=status, headers=headers, chunks=Pieces(*pieces))
    return Download.of(found, record or {}, offset, first)


@pytest.mark.parametrize("checksum", [None, hashlib.md5(b"x" * 13).hexdigest()])
def test_more_than_the_record_s_size_is_not_taken(checksum):
    taken = []
    pieces = Pieces()
    pieces.pieces = (taken.append(number) or b"x" * 4 for number in range(1000))
    download = Download.of(answer(chunks=pieces), {"size": 10, "checksum": checksum})
    found = []
    with pytest.raises(ChecksumMismatch, match="more than 10 bytes, which the image's record"):
        found.extend(download)
    assert (8, 3) == (len(b"".join(found)), len(taken))


@pytest.mark.parametrize("size", [0, None, -1])
def test_a_size_that_the_record_does_not_know_bounds_nothing(size):
    assert b"x" * 100 == b"".join(download_of(b"x" * 100, record={"size": size}))


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("length", ["Content-Length: 2147483648", "Connection: close"])
def test_a_server_that_sends_more_is_accused_and_not_listened_to(
    images, sized, opened, version, length
):
    """1 GiB is ready to be sent; the client hangs up long before."""
    heads = [f"x-image-meta-id: {sized}", f"x-image-meta-size: {len(DATA)}"] if version == 1 else []
    head = "\r\n".join(["HTTP/1.1 200 OK", *heads, length, "", ""]).encode()
    sent = []

    def say(sock):
        sock.sendall(head)
        for _ in range(1024):
            sock.sendall(bytes(1 << 20))
            sent.append(1 << 20)

    record = [] if version == 1 else [reply(200, images.get(sized).json)]
    with Loopback(conversation(*record, say)) as server:
        service = service_of(opened, server, api_version=version, num_retries=0)
        with pytest.raises((GlanceConnectionFailed, ChecksumMismatch)):
            list(service.download(None, sized))
        reasons = [health.last_reason for health in service.servers()]
    assert reasons in (["checksum_mismatch"], ["protocol_error"])
    assert sum(sent) < 100 << 20


def test_a_server_that_announces_another_size_is_left_for_the_next(
    images, server, sized, opened, tmp_path
):
    with Glance(images, sized, reply(200, DATA + b"x")) as longer:
        service = service_of(opened, longer, server)
        service.download(None, sized, dst_path=tmp_path / "image")
        assert DATA == (tmp_path / "image").read_bytes()
        assert ["protocol_error", None] == [each.last_reason for each in service.servers()]


def test_the_error_names_both_sizes():
    words = "announces 12 bytes of data, and the image's record says 10"
    with pytest.raises(ProtocolError, match=words):
        download_of(record={"size": 10}, Content_Length="12")


# --- a page in place of data -------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["text/html", "Text/HTML; charset=utf-8"])
def test_a_page_is_no_data(kind):
    with pytest.raises(ProtocolError, match=r"HTTP 200\) is a page"):
        download_of(PAGE, Content_Type=kind)


@pytest.mark.parametrize("status", [201, 202, 203, 207])
def test_a_status_that_is_no_answer_to_a_download_is_refused(status):
    with pytest.raises(ProtocolError, match=f"HTTP {status}"):
        download_of(b"x", status=status)


def test_a_page_is_left_for_the_next_server(images, server, unknown, opened):
    page = reply(200, PAGE, "Content-Type: text/html")
    with Glance(images, unknown, page) as other:
        assert DATA == b"".join(service_of(opened, other, server).download(None, unknown))


# --- the rest ----------------------------------------------------------------------------------


@pytest.mark.parametrize("claim", ["bytes 5-8/9", "bytes 5-8/*"])
@pytest.mark.parametrize("headers", [{}, {"Content_Length": "4"}])
def test_the_total_of_a_part_is_that_of_the_whole(claim, headers):
    found = download_of(b"rest", status=206, offset=5, Content_Range=claim, **headers)
    assert (9, 4) == (found.representation.total, found.length)


@pytest.mark.parametrize(
    ("claim", "length"),
    [
        ("bytes 5-7/9", "3"),
        ("bytes 5-8/10", "4"),
        ("bytes 5-8/8", "4"),
        ("bytes 5-8/9", "5"),
        ("bytes 5-4/5", "1"),
        ("bytes 5-8/x", "4"),
        ("bytes */9", "4"),
    ],
)
def test_a_part_that_does_not_go_to_the_end_is_refused(claim, length):
    with pytest.raises(ProtocolError, match="not the part"):
        download_of(b"rest", status=206, offset=5, Content_Range=claim, Content_Length=length)


WRONG_RESTS = {
    "a page of HTML": reply(200, PAGE, "Content-Type: text/html"),
    "a short reply": reply(200, PAGE),
    "a short reply without a length": b"HTTP/1.1 200 OK\r\n\r\n" + PAGE,
    "another total": reply(
        206, DATA[HALF:], f"Content-Range: bytes {HALF}-{len(DATA) - 1}/{len(DATA) + 1}"
    ),
    "a longer whole": reply(
        206, DATA[HALF:] + b"x", f"Content-Range: bytes {HALF}-{len(DATA)}/{len(DATA) + 1}"
    ),
    "a shorter whole": reply(
        206, DATA[HALF:-1], f"Content-Range: bytes {HALF}-{len(DATA) - 2}/{len(DATA) - 1}"
    ),
    "another part": reply(
        206, DATA[HALF - 1 :], f"Content-Range: bytes {HALF - 1}-{len(DATA) - 1}/{len(DATA)}"
    ),
    "a longer reply of all": reply(200, DATA + b"x"),
    "a compressed rest": reply(
        206,
        DATA[HALF:],
        f"Content-Range: bytes {HALF}-{len(DATA) - 1}/{len(DATA)}",
        "Content-Encoding: gzip",
    ),
    "a status of proxies": reply(203, DATA),
}


@pytest.mark.parametrize("rest", WRONG_RESTS.values(), ids=WRONG_RESTS)
def test_a_wrong_rest_is_left_for_the_next_server(images, server, unknown, opened, rest):
    with Glance(images, unknown, cut(DATA[:HALF])) as first, Glance(images, unknown, rest) as other:
        service = service_of(opened, first, other, server)
        assert DATA == b"".join(service.download(None, unknown))
        reasons = [health.last_reason for health in service.servers()]
    assert ["protocol_error", "protocol_error", None] == reasons


@pytest.mark.parametrize("rest", WRONG_RESTS.values(), ids=WRONG_RESTS)
def test_a_wrong_rest_on_all_servers_is_an_error(images, unknown, opened, tmp_path, rest):
    target = tmp_path / "image"
    with Glance(images, unknown, cut(DATA[:HALF]), rest) as server, pytest.raises(AttemptError):
        service_of(opened, server).download(None, unknown, dst_path=target)
    assert not target.exists()


def test_a_rest_without_a_length_ends_where_the_first_reply_said(images, unknown, opened):
    """The first server announced all; the second one ends early, and nothing in HTTP shows it."""
    short = b"HTTP/1.1 200 OK\r\n\r\n" + DATA[:-1]
    with (
        Glance(images, unknown, cut(DATA[:HALF])) as first,
        Glance(images, unknown, short) as other,
        pytest.raises(ProtocolError, match="ends before"),
    ):
        list(service_of(opened, first, other).download(None, unknown))


VALIDATORS = [("ETag", '"a"', '"b"'), ("Last-Modified", "Mon, 01 Jan", "Tue, 02 Jan")]


@pytest.mark.parametrize(("name", "first", "second"), VALIDATORS)
def test_without_a_checksum_the_rest_has_the_same_validators(first, second, name):
    headers = {name.replace("-", "_"): first}
    download = download_of(b"half", CUT, **headers)
    rest = download_of(b"halfrest", offset=4, **{name.replace("-", "_"): second})
    download.resume = lambda *_: rest
    with pytest.raises(CommunicationError) as caught:
        list(download)
    assert caught.value is CUT


@pytest.mark.parametrize(("name", "first", "second"), VALIDATORS)
@pytest.mark.parametrize("other", ["the same", "none"])
def test_validators_that_do_not_differ_are_good(name, first, second, other):
    del second
    name = name.replace("-", "_")
    download = download_of(b"half", CUT, **{name: first})
    rest = download_of(b"halfrest", offset=4, **({} if other == "none" else {name: first}))
    download.resume = lambda *_: rest
    assert b"halfrest" == b"".join(download)


def test_with_a_checksum_validators_may_differ():
    record = {"checksum": hashlib.md5(b"halfrest").hexdigest()}
    download = download_of(b"half", CUT, record=record, ETag='"a"')
    rest = download_of(b"halfrest", offset=4, record=record, ETag='"b"')
    download.resume = lambda *_: rest
    assert b"halfrest" == b"".join(download)


def test_a_compressed_reply_is_refused(images, server, unknown, opened):
    zipped = reply(200, DATA, "Content-Encoding: gzip")
    with Glance(images, unknown, zipped) as other:
        assert DATA == b"".join(service_of(opened, other, server).download(None, unknown))


def test_the_server_that_contradicts_the_record_is_accused_and_not_the_first(
    images, server, sized, opened
):
    """The first server announced too much, and the second one is right."""
    with Glance(images, sized, cut(DATA[:HALF], length=len(DATA) + 9)) as first:
        service = service_of(opened, first, server)
        assert DATA == b"".join(service.download(None, sized))
        assert ["protocol_error", None] == [each.last_reason for each in service.servers()]
