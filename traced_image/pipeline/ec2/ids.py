"""Which integer stands for which image in EC2's API: nova's table ``s3_images`` (extra ``ec2``)."""

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
"""Mappings kept in memory, in each direction."""

TTL = 7 * 24 * 3600.0
"""Seconds for which one is kept, as by nova 2013.1's ``memoize``."""

_LONGEST_UUID = 36
_UUID = re.compile(r"[\x21-\x7e]{1,36}")  # API v1 let users choose others than UUIDs
_HIGHEST_ID = 2**31 - 1

_PACKAGES = {"MySQLdb": "mysqlclient", "mysql": "mysql-connector-python"}
"""The packages of drivers whose modules have other names."""

S3_IMAGES = Table(
    "s3_images",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("uuid", String(_LONGEST_UUID), nullable=False, unique=True),
    sqlite_autoincrement=True,
)
"""Of nova's columns those that are needed: its own table serves too, if ``uuid`` is unique in it.

What nova has marked as deleted counts: an id never comes to stand for another image.
"""

_K = TypeVar("_K", bound="Hashable")
_V = TypeVar("_V")


class Memo(Generic[_K, _V]):
    """What was used last, for a time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: OrderedDict[_K, tuple[float, _V]] = OrderedDict()
        self.lock = threading.Lock()

    def get(self, key: _K) -> _V | None:
        """The value kept for a key, or None."""
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
        """Keep a value, and forget the one that was used longest ago if there are too many."""
        with self.lock:
            self._kept[key] = self._clock.monotonic() + TTL, value
            self._kept.move_to_end(key)
            if len(self._kept) > REMEMBERED:
                self._kept.popitem(last=False)
        return value


class ImageIds:
    """The integers of images, the same for all processes that share the database.

    Args:
        database: A URL as SQLAlchemy has it, or an engine.
        clock: What the time of a mapping in memory is taken by.

    Raises:
        InvalidOption: `database` is neither.
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
                # PostgreSQL lets two processes past IF NOT EXISTS at once, and fails the second.
                self._create_table()
        _forks.track(self)

    def uuid(self, image_id: int) -> str | None:
        """The image that an integer stands for, or None.

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
        """The integer that stands for an image, a new one where there is none yet.

        Raises:
            InvalidImageID: `uuid` is not 1 to 36 characters of printable ASCII.
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
        """Close the connections; another is opened when it is needed."""
        self._engine.dispose()

    def after_fork(self) -> None:
        """Leave the parent's connections to the parent."""
        self._engine.dispose(close=False)
        self._uuids.lock = threading.Lock()
        self._ids.lock = threading.Lock()

    def _select(self, uuid: str) -> int | None:
        # The lowest: nova's own table may have a UUID twice.
        query = select(func.min(S3_IMAGES.c.id)).where(S3_IMAGES.c.uuid == uuid)
        with self._engine.connect() as connection:
            found: int | None = connection.scalar(query)
        return found

    def _insert(self, uuid: str) -> int:
        """Add a row, or find that of whoever added it at the same time."""
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
    """Make an engine of a URL, which no error shows: it may hold a password."""
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
    """Make an engine of an SQLite database that only its one connection has.

    Threads take turns at it. With a `StaticPool` they would be in one transaction, and what one
    of them rolls back when it has read would be what another has just written.
    """
    return create_engine(
        database,
        poolclass=QueuePool,
        pool_size=1,
        max_overflow=0,
        connect_args={"check_same_thread": False},
    )
