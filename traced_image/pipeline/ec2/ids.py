"""The integers that name images in EC2's API, in nova's table ``s3_images`` (extra ``ec2``)."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Generic, TypeVar

from sqlalchemy import (
    Column,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    create_engine,
    func,
    insert,
    select,
)
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.pool import QueuePool, SingletonThreadPool
from sqlalchemy.schema import CreateTable

from ... import _forks
from ...config.checks import format_value
from ...errors import ImageMapUnavailable, InvalidImageID, InvalidOption, MissingExtra

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from ..clock import Clock


REMEMBERED = 10_000
"""How many mappings stay in memory, for each direction."""

TTL = 7 * 24 * 3600.0
"""Seconds for which a mapping stays in memory, as in nova 2013.1's ``memoize``."""

_LONGEST_UUID = 36
# API v1 accepted ids that are not UUIDs. MySQL ignores a space at the end when it compares.
_UUID = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,34}[\x21-\x7e])?")
_HIGHEST_ID = 2**31 - 1  # of an INTEGER column in MySQL and PostgreSQL

_PACKAGES = {"MySQLdb": "mysqlclient", "mysql": "mysql-connector-python"}
"""The packages of drivers, by module name, if the two differ."""

S3_IMAGES = Table(
    "s3_images",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("uuid", String(_LONGEST_UUID), nullable=False, unique=True),
    sqlite_autoincrement=True,
)
"""The columns of nova's table that this module needs.

nova's own table works too, if ``uuid`` is unique in it. A row that nova has marked as deleted
still counts: an integer never names another image later.
"""

_K = TypeVar("_K", bound="Hashable")
_V = TypeVar("_V")


class Memo(Generic[_K, _V]):
    """A cache that keeps the most recently used values for a limited time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: OrderedDict[_K, tuple[float, _V]] = OrderedDict()
        self.lock = threading.Lock()

    def get(self, key: _K) -> _V | None:
        """Return the value for a key, or None."""
        with self.lock:
            expires, value = self._kept.get(key, (0.0, None))
            if value is None:
                return None
            if expires <= self._clock.monotonic():
                del self._kept[key]
                return None
            self._kept.move_to_end(key)
            return value

    def put(self, key: _K, value: _V) -> _V:
        """Store a value and return it; remove the least recently used one if there are too many."""
        with self.lock:
            self._kept[key] = self._clock.monotonic() + TTL, value
            self._kept.move_to_end(key)
            if len(self._kept) > REMEMBERED:
                self._kept.popitem(last=False)
        return value


class ImageIds:
    """The integers of images, which all processes with the same database share.

    Args:
        database: A URL in SQLAlchemy's form, or an engine.
        clock: The source of time for the mappings in memory.

    Raises:
        InvalidOption: `database` is neither a URL nor an engine.
        MissingExtra: Its driver is not installed.
        ImageMapUnavailable: The database can't be used.
    """

    def __init__(self, database: object, clock: Clock) -> None:
        self._engine = database if isinstance(database, Engine) else _make_engine(database)
        self._uuids: Memo[int, str] = Memo(clock)
        self._ids: Memo[str, int] = Memo(clock)
        with _catch_failures():
            try:
                self._create_table()
            except DBAPIError:
                # If two processes run CREATE TABLE IF NOT EXISTS at once, PostgreSQL raises an
                # error in the second one. The second try finds the table.
                self._create_table()
        _forks.track(self)

    def uuid(self, image_id: int) -> str | None:
        """Return the UUID of the image that an integer names, or None.

        Raises:
            ImageMapUnavailable: The database failed.
        """
        if not 0 < image_id <= _HIGHEST_ID:
            return None
        found = self._uuids.get(image_id)
        if found is None:
            with _catch_failures(), self._engine.connect() as connection:
                query = select(S3_IMAGES.c.uuid).where(S3_IMAGES.c.id == image_id)
                found = connection.scalar(query)
        return None if found is None else self._uuids.put(image_id, found)

    def id(self, uuid: object) -> int:
        """Return the integer that names an image; assign a new one if the image has none.

        Raises:
            InvalidImageID: `uuid` is not 1 to 36 characters of printable ASCII, or it has a space
                at an end.
            ImageMapUnavailable: The database failed.
        """
        if not isinstance(uuid, str) or not _UUID.fullmatch(uuid):
            raise InvalidImageID(f"{format_value(uuid)} is not a valid image id: pass a UUID")
        found = self._ids.get(uuid)
        if found is not None:
            return found
        with _catch_failures():
            return self._ids.put(uuid, self._select(uuid) or self._insert(uuid))

    def close(self) -> None:
        """Close the connections; a later query opens a new one."""
        self._engine.dispose()

    def after_fork(self) -> None:
        """Forget the parent's connections in a child, and do not close them."""
        # To close them would send the database a farewell over the parent's sockets.
        self._engine.dispose(close=False)
        self._uuids.lock = threading.Lock()
        self._ids.lock = threading.Lock()

    def _select(self, uuid: str) -> int | None:
        # The lowest, because nova's own table may contain a UUID twice.
        query = select(func.min(S3_IMAGES.c.id)).where(S3_IMAGES.c.uuid == uuid)
        with self._engine.connect() as connection:
            found: int | None = connection.scalar(query)
        return found

    def _insert(self, uuid: str) -> int:
        """Add a row for an image; if another process adds it at the same time, use that row."""
        with suppress(IntegrityError), self._engine.begin() as connection:
            connection.execute(insert(S3_IMAGES).values(uuid=uuid))
        found = self._select(uuid)
        if found is None:
            raise ImageMapUnavailable(
                f"Image {uuid} got no EC2 id: check the constraints of the table s3_images"
            )
        return found

    def _create_table(self) -> None:
        with self._engine.begin() as connection:
            connection.execute(CreateTable(S3_IMAGES, if_not_exists=True))


@contextmanager
def _catch_failures() -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        raise ImageMapUnavailable(
            f"The database of EC2 image ids failed ({type(error).__name__}): check that it can be"
            " reached and written to"
        ) from error


def _make_engine(database: object) -> Engine:
    """Build an engine from a URL; no error shows the URL, because it may contain a password."""
    fix = "give an engine of SQLAlchemy, or a URL such as sqlite:///s3_images.sqlite"
    if not isinstance(database, str):
        problem = f"{type(database).__name__} is not a database"
        raise InvalidOption("database", problem, fix=fix)
    try:
        engine = create_engine(database, pool_pre_ping=True)
    except ArgumentError:
        raise InvalidOption("database", "it is not a database URL", fix=fix) from None
    except ImportError as error:
        problem = f"its driver {error.name} is not installed"
        package = _PACKAGES.get(str(error.name), error.name)
        raise MissingExtra("database", problem, fix=f"pip install {package}") from error
    return _is_in_memory(database) if isinstance(engine.pool, SingletonThreadPool) else engine


def _is_in_memory(database: str) -> Engine:
    """Build an engine for an SQLite database in memory, which exists in a single connection.

    Threads take turns with the connection. A `StaticPool` would give it to all threads at once,
    in one transaction. The rollback after one thread's read would then undo another's write.
    """
    return create_engine(
        database,
        poolclass=QueuePool,
        pool_size=1,
        max_overflow=0,
        connect_args={"check_same_thread": False},
    )
