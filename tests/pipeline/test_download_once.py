"""A `Download` is read once: what a second iteration, a break, a close and a fork bring."""

import gc

import pytest
from loopback import answer
from support import in_child

from traced_image import lab
from traced_image.errors import CommunicationError, StreamConsumed, TracedImageError
from traced_image.pipeline.api.download import Download

DATA = bytes(range(256)) * 4096


@pytest.fixture(params=["checksum", "no checksum"])
def big(request, images):
    fields = {"size": None, "os_hash_algo": None, "os_hash_value": None, "checksum": ""}
    return images.add(data=DATA, **({} if request.param == "checksum" else fields))


@pytest.fixture(params=[1, 2])
def service(request, images, opened, secrecy):
    with lab.GlanceServer(images, tls=secrecy) as server:
        cafile = secrecy and secrecy.cafile
        yield opened.service(server, api_version=request.param, cafile=cafile)


def accused(service):
    return [health.last_reason for health in service.servers() if health.last_reason]


def refused(read):
    with pytest.raises(StreamConsumed, match=r"call download\(\)") as caught:
        read()
    return caught.value


def test_a_second_iteration_is_refused(service, big):
    download = service.download(None, big)
    assert DATA == b"".join(download)
    refused(lambda: list(download))
    assert [] == accused(service)


def test_an_iteration_after_a_break_is_refused(service, big):
    download = service.download(None, big)
    for _chunk in download:
        break
    refused(lambda: list(download))
    assert [] == accused(service)


def test_a_second_iterator_is_refused_and_the_first_one_goes_on(service, big):
    download = service.download(None, big)
    first = iter(download)
    begun = next(first)
    refused(lambda: next(iter(download)))
    assert DATA == begun + b"".join(first)


def test_a_closed_download_is_not_read(service, big):
    download = service.download(None, big)
    download.close()
    refused(lambda: list(download))
    assert [] == accused(service)


def test_a_download_that_is_closed_in_the_middle_is_not_read_on(service, big):
    download = service.download(None, big)
    chunks = iter(download)
    next(chunks)
    download.close()
    refused(lambda: next(chunks))
    assert [] == accused(service)


def test_a_generator_that_is_closed_closes_the_download(service, big):
    download = service.download(None, big)
    chunks = iter(download)
    next(chunks)
    chunks.close()
    refused(lambda: list(download))
    assert ([], []) == (list(chunks), accused(service))


def test_an_interruption_in_the_middle_accuses_nobody(service, big):
    download = service.download(None, big)
    chunks = iter(download)
    next(chunks)
    with pytest.raises(KeyboardInterrupt):
        chunks.throw(KeyboardInterrupt())
    refused(lambda: list(download))
    assert [] == accused(service)


def test_a_download_that_was_dropped_leaves_nothing_open(service, big):
    """An open socket would be a ResourceWarning, which is an error here."""
    next(iter(service.download(None, big)))
    gc.collect()
    assert DATA == b"".join(service.download(None, big))


def test_a_download_that_was_read_is_no_source_of_an_upload(service, images, big):
    download = service.download(None, big)
    list(download)
    with pytest.raises(StreamConsumed):
        service.create(None, {"name": "copy", "disk_format": "raw"}, download)
    assert [] == accused(service)


def read_in_child(chunks):
    def read():
        try:
            return len(b"".join(chunks))
        except TracedImageError as error:
            return type(error)

    return in_child(read)


def test_a_fork_before_the_first_byte_leaves_the_data_to_the_parent(service, big):
    download = service.download(None, big)
    assert StreamConsumed is read_in_child(download)
    assert (DATA, []) == (b"".join(download), accused(service))


def test_a_fork_in_the_middle_leaves_the_data_to_the_parent(service, big):
    chunks = iter(service.download(None, big))
    first = next(chunks)
    assert StreamConsumed is read_in_child(chunks)
    assert (DATA, []) == (first + b"".join(chunks), accused(service))


class ClosedMeanwhile:
    """Chunks whose reader is closed by another thread while it waits, so that reading fails."""

    def __iter__(self):
        self.download.close()
        raise CommunicationError("glance-1:9292: connection closed")

    def close(self):
        """Do nothing."""


def test_a_close_by_another_thread_accuses_nobody():
    chunks = ClosedMeanwhile()
    chunks.download = Download.of(answer(chunks=chunks), {})
    asked = []
    chunks.download.resume = lambda *args: asked.append(args)
    refused(lambda: list(chunks.download))
    assert [] == asked
