"""EC2's integers for images: translation, and the table behind it."""

import copy
import io
import logging
import subprocess
import sys
import threading
from contextlib import closing

import pytest
import sqlalchemy
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from support import LIMIT, ManualClock, in_child

from traced_image import connect, get_default_image_service, lab
from traced_image.errors import (
    ImageMapUnavailable,
    ImageNotFound,
    InvalidImageID,
    InvalidOption,
    MissingExtra,
)
from traced_image.pipeline.ec2 import ids
from traced_image.pipeline.ec2.service import S3ImageService, _read_number

IMAGE, KERNEL, RAMDISK = (f"00000000-0000-4000-8000-00000000000{n}" for n in (1, 2, 3))
WEEK = 7 * 24 * 3600


class Images:
    """An image service that remembers what it was asked."""

    def __init__(self):
        self.image = {
            "id": IMAGE,
            "name": "cirros",
            "properties": {"kernel_id": KERNEL, "ramdisk_id": RAMDISK, "arch": "x86_64"},
        }
        self.asked = []

    def show(self, context, image_id):
        self.asked.append((context, image_id))
        return self.image

    def detail(self, context, **kwargs):
        self.asked.append((context, kwargs))
        return [self.image, {"id": KERNEL, "properties": {}}]

    def create(self, context, image_meta, data=None):
        self.asked.append((context, image_meta, data))
        return self.image

    def update(self, context, image_id, image_meta, data=None, purge_props=True):
        self.asked.append((context, image_id, image_meta, data, purge_props))
        return self.image

    def delete(self, context, image_id):
        self.asked.append((context, image_id))
        return True

    def download(self, context, image_id, data=None, dst_path=None):
        self.asked.append((context, image_id, data, dst_path))
        return "the data"


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/ids.sqlite"


@pytest.fixture
def engine(url):
    engine = sqlalchemy.create_engine(url)
    yield engine
    engine.dispose()


@pytest.fixture
def images():
    return Images()


@pytest.fixture
def service(images, engine):
    return S3ImageService(images, engine)


@pytest.fixture
def known(service):
    """A service that knows the three images as 1, 2 and 3."""
    for uuid in (IMAGE, KERNEL, RAMDISK):
        service.glance_id_to_id(uuid)
    return service


@pytest.fixture
def statements(engine):
    """The statements that the database was given."""
    seen = []

    @sqlalchemy.event.listens_for(engine, "before_cursor_execute")
    def note(connection, cursor, statement, parameters, context, executemany):
        seen.append(statement.split()[0])

    return seen


# --- translation -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "image_id",
    [
        1,
        "ami-00000001",
        "aki-00000001",
        "ari-1",
        "AMI-00000001",
        "i-00000001",
        "00000001",
        "1",
        "ami-0x1",
        "0X01",
    ],
)
def test_show_asks_for_the_uuid(known, images, image_id):
    known.show("context", image_id)

    assert [("context", IMAGE)] == images.asked


def test_without_a_service_the_default_one_is_asked(known, images, engine, monkeypatch):
    monkeypatch.setattr(S3ImageService, "default", staticmethod(lambda: images))
    S3ImageService(database=engine).show("context", 1)

    assert [("context", IMAGE)] == images.asked


def test_the_default_service_is_that_of_the_process():
    assert get_default_image_service is S3ImageService.default


def test_show_gives_integers(known):
    expected = {
        "id": 1,
        "name": "cirros",
        "properties": {"kernel_id": 2, "ramdisk_id": 3, "arch": "x86_64"},
    }

    assert expected == known.show(None, 1)


def test_hexadecimal_is_read_as_such(service):
    for number in range(16):
        service.glance_id_to_id(f"image-{number}")

    texts = ["ami-0000000a", "i-0000000a", "0000000a", "ami-0xA", "10"]
    assert ["image-9"] * 4 + ["image-15"] == [service.id_to_glance_id(text) for text in texts]


def test_show_leaves_the_service_its_dict(known, images):
    before = copy.deepcopy(images.image)

    known.show(None, 1)

    assert before == images.image


@pytest.mark.parametrize(
    "image",
    [
        {},
        {"properties": None},
        {"properties": {}},
        {"properties": {"kernel_id": None, "ramdisk_id": ""}},
    ],
)
def test_what_is_absent_stays_so(known, images, image):
    images.image = image

    assert image == known.show(None, 1)


ODD = ["my kernel", "x" * 37, "b\u00fcrger", 7.5, True, ["x"], {}, "\ud800", "a\0"]
"""Values of references that are not ids."""


@pytest.mark.parametrize("value", [*ODD, 7])
@pytest.mark.parametrize("name", ["kernel_id", "ramdisk_id"])
def test_an_odd_reference_stays_as_it_is(known, images, name, value):
    images.image = {"id": IMAGE, "properties": {name: value}}

    assert {"id": 1, "properties": {name: value}} == known.show(None, 1)


@pytest.mark.parametrize("value", ODD)
def test_an_odd_reference_goes_back_as_it_is(known, images, value):
    known.update(None, 1, {"properties": {"kernel_id": value}})

    assert {"properties": {"kernel_id": value}} == images.asked[0][2]


def test_an_image_seen_first_as_a_kernel_gets_an_integer(service, images):
    service.glance_id_to_id(IMAGE)

    assert 2 == service.show(None, 1)["properties"]["kernel_id"]


@pytest.mark.parametrize(
    "image_id",
    [None, True, 1.0, "", IMAGE, "ami-", "g", "0x", "ami-g", "xyz-1", " 1", b"", [10**5000]],
)
def test_what_is_no_id_is_refused_before_any_request(known, images, image_id):
    with pytest.raises(InvalidImageID):
        known.show(None, image_id)

    assert [] == images.asked


@pytest.mark.parametrize("image_id", [10**5000, "ami-" + "f" * 5000], ids=["number", "ami"])
def test_a_number_that_python_can_not_write_is_not_found(known, image_id):
    with pytest.raises(ImageNotFound, match="Image <int, too large to show> could not be found"):
        known.show(None, image_id)


@pytest.mark.parametrize("image_id", [0, -1, 4, 2**31, 10**30, "ami-ffffffffffffffff"])
def test_an_unknown_id_is_not_found(known, image_id):
    with pytest.raises(ImageNotFound, match=r"Image -?\d+ could not be found"):
        known.show(None, image_id)


def test_detail_gives_integers(known):
    assert [1, 2] == [image["id"] for image in known.detail(None)]


def test_detail_translates_the_marker(known, images):
    known.detail("context", marker=2, limit=1)

    asked = {"marker": KERNEL, "limit": 1, "sort_dir": "asc"}
    assert [("context", asked)] == images.asked


def test_detail_sorts_as_it_is_told(known, images):
    known.detail(None, sort_dir="desc")

    assert [(None, {"sort_dir": "desc"})] == images.asked


def test_older_images_get_lower_integers(engine):
    store = lab.Images()
    store.add(name="old", created_at="2012-01-01T00:00:00Z")
    store.add(name="new", created_at="2013-01-01T00:00:00Z")
    with (
        lab.GlanceServer(store) as server,
        closing(connect(servers=[server.url], telemetry=False)) as service,
    ):
        found = S3ImageService(service, engine).detail(None)

    assert [(1, "old"), (2, "new")] == [(image["id"], image["name"]) for image in found]


@pytest.mark.parametrize("image_id", ["x" * 37, "b\u00fcrger", " a", 7])
def test_an_image_that_can_have_no_integer_is_left_out_of_a_list(known, images, caplog, image_id):
    images.image = {"id": image_id}
    with caplog.at_level(logging.WARNING, "traced_image.ec2"):
        found = known.detail(None)

    said = f"an image is left out of a list for EC2: {image_id!a} is not a valid image id"
    assert ([2], 1) == ([image["id"] for image in found], caplog.text.count(said))


def test_an_id_may_have_a_space(known, images):
    images.image = {"id": "my image"}

    assert [4, 2] == [image["id"] for image in known.detail(None)]


def test_create_translates_both_ways(known, images):
    given = {"name": "new", "properties": {"kernel_id": "aki-00000002", "ramdisk_id": 3}}

    created = known.create("context", given, b"data")

    sent = {"name": "new", "properties": {"kernel_id": KERNEL, "ramdisk_id": RAMDISK}}
    assert ([("context", sent, b"data")], 1) == (images.asked, created["id"])


def test_update_translates_both_ways(known, images):
    updated = known.update("context", 1, {"id": 1, "properties": {}}, None, False)

    asked = [("context", IMAGE, {"id": IMAGE, "properties": {}}, None, False)]
    assert (asked, 1) == (images.asked, updated["id"])


def test_the_callers_dict_is_left_alone(known):
    given = {"properties": {"kernel_id": 2}}

    known.update(None, 1, given)

    assert {"properties": {"kernel_id": 2}} == given


def test_an_unknown_kernel_is_not_found_before_any_request(known, images):
    with pytest.raises(ImageNotFound):
        known.create(None, {"properties": {"kernel_id": 9}})

    assert [] == images.asked


def test_delete_asks_for_the_uuid(known, images):
    assert (True, [(None, IMAGE)]) == (known.delete(None, 1), images.asked)


def test_the_id_of_a_deleted_image_is_not_given_again(known):
    known.delete(None, 3)

    assert 4 == known.glance_id_to_id("another")


def test_download_asks_for_the_uuid(known, images):
    data = io.BytesIO()

    got = known.download("context", 1, data)

    assert ("the data", [("context", IMAGE, data, None)]) == (got, images.asked)


# --- EC2's form --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("image_id", "image_type", "expected"),
    [
        (10, "ami", "ami-0000000a"),
        (10, "aki", "aki-0000000a"),
        ("10", "ari", "ari-0000000a"),
        (2**40, "ami", "ami-10000000000"),
        ("my kernel", "aki", "ami-00000000"),
        (None, "ami", "ami-00000000"),
        ([1], "ami", "ami-00000000"),
        ([10**5000], "ami", "ami-00000000"),
    ],
)
def test_an_integer_is_written_as_ec2_does(image_id, image_type, expected):
    assert expected == S3ImageService.image_ec2_id(image_id, image_type)


@pytest.mark.parametrize(
    ("image_type", "expected"),
    [
        ("kernel", "aki"),
        ("aki", "aki"),
        ("ramdisk", "ari"),
        ("ari", "ari"),
        ("machine", "ami"),
        ("bare", "ami"),
        (None, "ami"),
    ],
)
def test_a_type_of_image_has_a_prefix(image_type, expected):
    assert expected == S3ImageService.image_type(image_type)


def test_a_uuid_is_written_as_ec2_does(known):
    found = known.glance_id_to_ec2_id(KERNEL, "aki"), known.glance_id_to_ec2_id(None)

    assert ("aki-00000002", None) == found


@given(st.integers(0, 2**31 - 1), st.sampled_from(["ami", "aki", "ari"]))
def test_what_is_written_as_ec2_does_is_read_again(number, image_type):
    written = S3ImageService.image_ec2_id(number, image_type)

    assert number == _read_number(written)


# --- the table ---------------------------------------------------------------------------------


def test_nothing_stands_for_nothing(service):
    assert service.glance_id_to_id(None) is None


def test_a_uuid_keeps_its_id(service):
    assert service.glance_id_to_id(IMAGE) == service.glance_id_to_id(IMAGE)


def test_another_service_on_the_same_database_agrees(known, url):
    with closing(S3ImageService(Images(), url)) as other:
        ids = [other.glance_id_to_id(uuid) for uuid in (RAMDISK, KERNEL, IMAGE)]

    assert [3, 2, 1] == ids


@pytest.mark.parametrize(
    "uuid", ["", "x" * 37, 7, b"x", " a", "a ", " ", "a\0", "\ud800", [10**5000]]
)
def test_what_is_no_uuid_gets_no_id(service, uuid):
    with pytest.raises(InvalidImageID, match="pass a UUID"):
        service.glance_id_to_id(uuid)


@given(st.text() | st.integers() | st.none())
def test_any_id_is_refused_or_not_found(image_id):
    with (
        closing(S3ImageService(Images(), "sqlite://")) as service,
        pytest.raises((InvalidImageID, ImageNotFound)),
    ):
        service.show(None, image_id)


def test_a_mapping_is_remembered(service, statements):
    service.glance_id_to_id(IMAGE)
    statements.clear()

    service.glance_id_to_id(IMAGE)

    assert [] == statements


def test_an_id_is_remembered(known, statements):
    known.id_to_glance_id(1)
    statements.clear()

    known.id_to_glance_id(1)

    assert [] == statements


def test_an_id_that_is_unknown_is_not_remembered(service):
    with pytest.raises(ImageNotFound):
        service.id_to_glance_id(1)

    service.glance_id_to_id(IMAGE)

    assert IMAGE == service.id_to_glance_id(1)


def test_after_a_week_the_database_is_asked_again(images, engine, statements):
    clock = ManualClock()
    service = S3ImageService(images, engine, clock=clock.clock())
    service.glance_id_to_id(IMAGE)
    statements.clear()

    clock.now += WEEK
    service.glance_id_to_id(IMAGE)

    assert ["SELECT"] == statements


def test_just_before_a_week_it_is_not(images, engine, statements):
    clock = ManualClock()
    service = S3ImageService(images, engine, clock=clock.clock())
    service.glance_id_to_id(IMAGE)
    statements.clear()

    clock.now += WEEK - 1
    service.glance_id_to_id(IMAGE)

    assert [] == statements


def test_what_was_used_longest_ago_is_forgotten_first():
    memo = ids.Memo(ManualClock().clock())
    for number in range(ids.REMEMBERED):
        memo.put(number, "kept")

    memo.get(0)
    memo.put("one more", "kept")

    assert ("kept", None) == (memo.get(0), memo.get(1))


def test_whoever_comes_second_gets_the_id_of_the_first(service, engine):
    faster = ["INSERT INTO s3_images (id, uuid) VALUES (7, :uuid)"]

    @sqlalchemy.event.listens_for(engine, "before_cursor_execute")
    def another_process(connection, cursor, statement, parameters, context, executemany):
        if statement.startswith("INSERT") and faster:
            with engine.begin() as other:
                other.execute(text(faster.pop()), {"uuid": IMAGE})

    assert 7 == service.glance_id_to_id(IMAGE)


def together(count, action):
    """Run `action` in so many threads at once, and return what each returned."""
    barrier = threading.Barrier(count)
    got = []

    def run():
        barrier.wait(LIMIT)
        got.append(action())

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT)
    return got


def test_threads_get_the_same_ids(service):
    uuids = [f"image-{number}" for number in range(20)]

    got = together(8, lambda: [service.glance_id_to_id(uuid) for uuid in uuids])

    assert [got[0]] * 8 == got


@pytest.mark.parametrize("memory", ["sqlite://", "sqlite:///:memory:"])
def test_threads_share_a_map_in_memory(images, memory):
    uuids = [f"image-{number}" for number in range(50)]
    with closing(S3ImageService(images, memory)) as service:
        got = together(8, lambda: [service.glance_id_to_id(uuid) for uuid in uuids])

    assert [list(range(1, 51))] * 8 == [sorted(ids) for ids in got]


def test_services_that_start_at_once_share_a_table(url):
    def start():
        with closing(S3ImageService(Images(), url)) as service:
            return service.glance_id_to_id(IMAGE)

    assert [1] * 4 == together(4, start)


SCRIPT = """
import sys
from traced_image.pipeline.ec2.service import S3ImageService, _read_number

service = S3ImageService(object(), sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
print([service.glance_id_to_id(f"image-{number}") for number in range(50)])
service.close()
"""


def test_processes_get_the_same_ids(url):
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for process in processes:
        process.stdout.readline()
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    first, *others = (process.communicate(timeout=LIMIT)[0] for process in processes)

    assert ([first, first], 50) == (others, len(set(first.split(","))))


def test_a_child_and_its_parent_agree(known):
    assert (1, 4, 4) == (
        in_child(lambda: known.glance_id_to_id(IMAGE)),
        in_child(lambda: known.glance_id_to_id("new")),
        known.glance_id_to_id("new"),
    )


def test_a_lock_that_was_held_at_a_fork_does_not_stop_the_child(images, url):
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
    service = S3ImageService(images, engine)
    service._ids._ids.lock.acquire()

    service._ids.after_fork()

    assert 1 == service.glance_id_to_id(IMAGE)


NOVA = """
CREATE TABLE s3_images (
    created_at DATETIME, updated_at DATETIME, deleted_at DATETIME, deleted INTEGER,
    id INTEGER NOT NULL PRIMARY KEY, uuid VARCHAR(36) NOT NULL
)
"""


def test_the_table_of_nova_serves_with_its_deleted_rows(images, engine):
    with engine.begin() as connection:
        connection.execute(text(NOVA))
        connection.execute(
            text("INSERT INTO s3_images (id, uuid, deleted) VALUES (5, :u, 5)"), {"u": IMAGE}
        )
    service = S3ImageService(images, engine)

    assert (5, 6) == (service.show(None, 5)["id"], service.glance_id_to_id(KERNEL))


def test_of_a_uuid_that_is_there_twice_the_lowest_id_counts(images, engine):
    with engine.begin() as connection:
        connection.execute(text(NOVA))
        for number in (6, 5):
            connection.execute(
                text("INSERT INTO s3_images (id, uuid) VALUES (:n, :u)"), {"n": number, "u": IMAGE}
            )

    assert 5 == S3ImageService(images, engine).glance_id_to_id(IMAGE)


# --- what goes wrong ---------------------------------------------------------------------------


def test_a_table_that_takes_no_row_is_told(images, engine):
    with engine.begin() as connection:
        connection.execute(
            text("CREATE TABLE s3_images (id INTEGER PRIMARY KEY, uuid TEXT, more TEXT NOT NULL)")
        )

    with pytest.raises(ImageMapUnavailable, match="check the constraints of the table s3_images"):
        S3ImageService(images, engine).glance_id_to_id(IMAGE)


def test_a_database_that_can_not_be_made_is_told(images, tmp_path):
    with pytest.raises(ImageMapUnavailable, match="database of EC2 image ids failed"):
        S3ImageService(images, f"sqlite:///{tmp_path}/no/such/folder/ids.sqlite")


def test_a_database_that_fails_later_is_told(known, engine):
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE s3_images"))

    with pytest.raises(ImageMapUnavailable, match="OperationalError"):
        known.id_to_glance_id(1)


@pytest.mark.parametrize(
    "database", ["s3cret", "", "nonesuch://u:s3cret@h/d", "sqlite+no://s3cret"]
)
def test_what_is_no_url_is_refused_unseen(images, database):
    with pytest.raises(InvalidOption) as caught:
        S3ImageService(images, database)

    assert "s3cret" not in str(caught.value)


def test_what_is_no_database_is_refused(images):
    with pytest.raises(InvalidOption, match="int is not a database"):
        S3ImageService(images, 7)


def test_a_missing_driver_is_named(images, monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg2", None)

    with pytest.raises(MissingExtra, match="pip install psycopg2") as caught:
        S3ImageService(images, "postgresql+psycopg2://u:s3cret@h/d")

    assert "s3cret" not in str(caught.value)


def test_a_driver_whose_package_has_another_name_is_named_by_that(images, monkeypatch):
    monkeypatch.setitem(sys.modules, "MySQLdb", None)

    with pytest.raises(MissingExtra, match=r"pip install mysqlclient\."):
        S3ImageService(images, "mysql://u:s3cret@h/d")


def test_a_missing_extra_is_named(images, monkeypatch):
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    monkeypatch.delitem(sys.modules, "traced_image.pipeline.ec2.ids")

    with pytest.raises(MissingExtra, match=r"pip install 'traced-image\[ec2\]'"):
        S3ImageService(images)
