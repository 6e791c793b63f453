"""Opening the SQLite file: pragmas, migrations, and which store error an SQLite error is.

Two rules: page size, auto_vacuum and secure_delete are set before the first table; a migration
runs whole or not at all, and its text must be the one that ran before (SHA-256 kept).
"""

import hashlib
import os
import re
from collections.abc import Callable
from functools import partial
from importlib import resources
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

import apsw

from immpd.store.durable import sync_folder
from immpd.store.errors import StoreDamaged, StoreError, StoreFull, StoreReadOnly, StoreUnavailable

FILE_NAME = "immpd.sqlite3"
PAGE_SIZE = 8192
_NUMBERED = re.compile(r"(\d{4})_(\w+)\.sql")

_BEFORE_TABLES = (
    f"PRAGMA page_size = {PAGE_SIZE}",
    "PRAGMA auto_vacuum = INCREMENTAL",
    "PRAGMA secure_delete = FAST",
)
_EACH_CONNECTION = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA secure_delete = FAST",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA cache_size = -65536",
)

R = TypeVar("R")

Migration = tuple[int, str, str]
"""Number, name, SQL text."""


def translated(error: BaseException) -> BaseException:
    """The store error that an SQLite error is; any other error as it is."""
    kind: type[StoreError]
    if isinstance(error, apsw.FullError):
        kind = StoreFull
    elif isinstance(error, apsw.ReadOnlyError):
        kind = StoreReadOnly
    elif isinstance(error, (apsw.CorruptError, apsw.NotADBError)):
        kind = StoreDamaged
    elif isinstance(
        error, (apsw.IOError, apsw.BusyError, apsw.LockedError, apsw.CantOpenError, apsw.ProtocolError, apsw.NoMemError)
    ):
        kind = StoreUnavailable
    else:
        return error
    made = kind(str(error))
    made.__cause__ = error
    return made


def packaged_migrations() -> tuple[Migration, ...]:
    """The numbered SQL files of this program, in order. Raises StoreDamaged if numbers are missing."""
    found = []
    for entry in resources.files("immpd.store").joinpath("migrations", "sqlite").iterdir():
        if (match := _NUMBERED.fullmatch(entry.name)) is not None:
            found.append((int(match[1]), match[2], entry.read_text("utf-8")))
    found.sort()
    if [number for number, _, _ in found] != list(range(1, len(found) + 1)):
        raise StoreDamaged("the migrations of this program are not numbered 1, 2, 3 …")
    return tuple(found)


def make_file(path: Path) -> None:
    """Make the database file if there is none, readable by its owner only, and put its name on disk."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        return
    except OSError as error:
        if path.exists():
            return  # a folder that can only be read says so before it says that the file is there
        raise StoreUnavailable(f"{path}: {error.strerror}") from error
    sync_folder(path.parent)


def connect(path: Path, vfs: str | None = None) -> apsw.Connection:
    """Open a connection with this store's pragmas. Raises store errors, StoreReadOnly where it could only read."""
    try:
        connection = apsw.Connection(
            str(path),
            flags=apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE,
            vfs=vfs,
            statementcachesize=200,
        )
    except apsw.Error as error:
        raise translated(error) from error
    try:
        connection.set_busy_timeout(5000)
        _plan_once(connection)
        for pragma in (*_BEFORE_TABLES, *_EACH_CONNECTION):
            connection.execute(pragma).fetchall()
        connection.wal_autocheckpoint(0)
    except apsw.Error as error:
        connection.close(True)
        raise translated(error) from error
    if connection.readonly("main"):
        connection.close(True)
        raise StoreReadOnly(f"{path} can only be read")
    return connection


def connect_reading(path: Path, vfs: str | None = None) -> apsw.Connection:
    """Open a connection that writes nothing at all, not even the index of the WAL. Raises store errors."""
    left = path.with_name(f"{path.name}-wal")
    # Without a WAL the file is all there is; with one its index is read, or made in memory.
    how = "readonly_shm=1" if left.exists() and left.stat().st_size else "immutable=1"
    try:
        connection = apsw.Connection(
            f"file:{quote(str(path.absolute()))}?mode=ro&{how}",
            flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI,
            vfs=vfs,
            statementcachesize=200,
        )
    except apsw.Error as error:
        raise translated(error) from error
    try:
        _plan_once(connection)
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()
    except apsw.Error as error:
        connection.close(True)
        raise translated(error) from error
    return connection


def _plan_once(connection: apsw.Connection) -> None:
    # Without it this build of SQLite (STAT4) compiles a join anew for each set of parameters: 8 of 10 µs.
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)


def check_schema(connection: apsw.Connection, migrations: tuple[Migration, ...]) -> None:
    """Whether a file that cannot be written has this program's schema; raises StoreDamaged or StoreUnavailable."""
    try:
        newest = connection.execute("SELECT max(number) FROM migration").get or 0
    except apsw.Error as error:
        raise translated(error) from error
    _not_newer(newest, migrations)
    if newest < len(migrations):
        raise StoreUnavailable(f"the store has schema {newest} and cannot be brought to {len(migrations)}")


def _not_newer(newest: int, migrations: tuple[Migration, ...]) -> None:
    if newest > len(migrations):
        raise StoreDamaged(
            f"the store has schema {newest}, this program knows {len(migrations)}: use the newer program"
        )


def migrate(connection: apsw.Connection, migrations: tuple[Migration, ...], now: int) -> None:
    """Bring the file to this program's schema.

    Each migration runs in its own transaction under the write lock, so that of two processes one
    waits. ``now``: milliseconds UTC. Raises StoreDamaged if the file was made by a newer program or
    by other migrations, and leaves it as it was.
    """
    try:
        connection.execute(
            "CREATE TABLE IF NOT EXISTS migration (number INTEGER PRIMARY KEY, name TEXT NOT NULL,"
            " sha256 TEXT NOT NULL, applied INTEGER NOT NULL)"
        )
        connection.execute("CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID")
        for migration in migrations:
            with_lock(connection, partial(_apply, connection, migration, now))
        newest = connection.execute("SELECT max(number) FROM migration").get
    except apsw.Error as error:
        raise translated(error) from error
    _not_newer(newest or 0, migrations)


def _apply(connection: apsw.Connection, migration: Migration, now: int) -> None:
    number, name, text = migration
    digest = hashlib.sha256(text.encode()).hexdigest()
    row = connection.execute("SELECT sha256 FROM migration WHERE number = ?", (number,)).fetchone()
    if row is None:
        connection.execute(text).fetchall()
        connection.execute("INSERT INTO migration VALUES (?, ?, ?, ?)", (number, name, digest, now))
    elif row[0] != digest:
        raise StoreDamaged(f"migration {number} ({name}) of the store is not this program's")


def with_lock(connection: apsw.Connection, work: Callable[[], R]) -> R:
    """Run ``work`` in one transaction that has the write lock."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        result = work()
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
    return result
