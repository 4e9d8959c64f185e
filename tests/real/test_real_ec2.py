"""The EC2 facade over a real Glance, its map of ids in a real PostgreSQL."""

import subprocess
import sys
from itertools import count
from uuid import uuid4

import pytest
from sqlalchemy import create_engine

from traced_image.errors import ImageNotFound, TracedImageError
from traced_image.pipeline.ec2.service import S3ImageService

pytest.importorskip("psycopg")

PROCESSES = 4
UUIDS = 25
_numbers = count()

_MAPPING = """
import sys
from traced_image.pipeline.ec2.service import S3ImageService
url, uuids = sys.argv[1], sys.argv[2:]
print("ready", flush=True)
input()
service = S3ImageService(object(), url)
print(*(service.glance_id_to_id(uuid) for uuid in uuids))
"""


@pytest.fixture
def url(postgres):
    """A new database."""
    return postgres.create(f"ec2_{next(_numbers)}")


@pytest.fixture
def engine(url):
    """Connections to it."""
    made = create_engine(url)
    yield made
    made.dispose()


@pytest.fixture
def s3(service, engine):
    """The EC2 facade over `service` and an empty map."""
    return S3ImageService(service, engine)


def test_an_integer_stands_for_an_image(s3, image_ids):
    number = s3.glance_id_to_id(image_ids["active"])
    assert s3.show(None, number)["name"] == "active"


def test_ec2s_way_to_write_an_integer_is_read(s3, image_ids):
    number = s3.glance_id_to_id(image_ids["active"])
    assert number == s3.show(None, f"ami-{number:08x}")["id"]


def test_the_kernels_and_the_ramdisks_ids_are_integers(s3, service, image_ids):
    image = service.show(None, image_ids["every field"])["properties"]
    shown = s3.show(None, s3.glance_id_to_id(image_ids["every field"]))["properties"]
    expected = [s3.glance_id_to_id(image[name]) for name in ("kernel_id", "ramdisk_id")]
    assert expected == [shown["kernel_id"], shown["ramdisk_id"]]


def test_an_integer_that_stands_for_nothing(s3):
    with pytest.raises(ImageNotFound):
        s3.show(None, 7)


def test_an_image_is_created_with_integers(s3, service, image_ids):
    kernel = s3.glance_id_to_id(image_ids["kernel"])
    image = s3.create(None, {"name": "by integers", "properties": {"kernel_id": kernel}})
    stored = service.show(None, s3.id_to_glance_id(image["id"]))
    assert image_ids["kernel"] == stored["properties"]["kernel_id"]


@pytest.mark.usefixtures("image_ids")
def test_a_list_has_integers(s3):
    images = s3.detail(None, filters={"name": "active"})
    assert [1] == [image["id"] for image in images]


def test_an_integer_outlives_the_service(s3, service, engine, image_ids):
    number = s3.glance_id_to_id(image_ids["active"])
    assert image_ids["active"] == S3ImageService(service, engine).id_to_glance_id(number)


def test_processes_that_map_the_same_new_images_at_once_agree(url):
    uuids = [str(uuid4()) for _ in range(UUIDS)]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _MAPPING, url, *uuids],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for _ in range(PROCESSES)
    ]
    for process in processes:
        process.stdout.readline()
    for process in processes:
        process.stdin.write(b"\n")
        process.stdin.flush()
    numbers = {process.communicate(timeout=60)[0] for process in processes}
    assert [UUIDS] == [len(set(one.split())) for one in numbers]


def test_a_database_that_is_not_there_is_an_error(postgres, service):
    with pytest.raises(TracedImageError):
        S3ImageService(service, postgres.url("nowhere"))
