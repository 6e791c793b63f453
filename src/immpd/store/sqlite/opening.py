"""How the engine comes to its connections: to write where it can, else only to read.

Rules: what cannot be written is served to readers; a reserve is given up before that; the file is
closed before it is opened again.
"""

import os
from collections.abc import Callable
from pathlib import Path

import apsw
import msgspec

from immpd.store.durable import store_error
from immpd.store.errors import StoreDamaged, StoreError, StoreReadOnly, StoreUnavailable
from immpd.store.room import Room
from immpd.store.sqlite.files import Migration, check_schema, connect, connect_reading, make_file, migrate

PROBE = "probe"
_PROBED = 64 << 10


class Connections(msgspec.Struct):
    """What a store works on; where it can only be read there is no writer, and ``against`` says why."""

    reader: apsw.Connection
    writer: apsw.Connection | None = None
    checkpointer: apsw.Connection | None = None
    against: StoreError | None = None

    def close(self) -> None:
        """Let go of the file."""
        for one in (self.checkpointer, self.reader, self.writer):
            if one is not None:
                one.close(True)


class Opening:
    """Opens the file of one store, the first time and again. ``prepare`` is done on the first connection."""

    def __init__(
        self,
        path: Path,
        vfs: str | None,
        migrations: tuple[Migration, ...],
        room: Room,
        now: int,
    ) -> None:
        self._path = path
        self._vfs = vfs
        self._migrations = migrations
        self._room = room
        self._now = now

    def open(self, prepare: Callable[[apsw.Connection], None] = lambda _: None) -> Connections:
        """Open to write, with the reserve if need be, else to read. Raises store errors where neither can be."""
        try:
            return self._to_write(prepare)
        except StoreUnavailable as error:
            if not isinstance(error, StoreReadOnly) and self._room.give_up():
                try:
                    return self._to_write(prepare)
                except StoreUnavailable:
                    pass  # the first reason is the better one
            return self._to_read(error)

    def _to_write(self, prepare: Callable[[apsw.Connection], None]) -> Connections:
        make_file(self._path)
        made: list[apsw.Connection] = []
        try:
            for _ in range(3):
                made.append(connect(self._path, self._vfs))
                if len(made) == 1:
                    migrate(made[0], self._migrations, self._now)
                    prepare(made[0])
        except BaseException:
            for one in made:
                one.close(True)
            raise
        return Connections(made[1], made[0], made[2])

    def _to_read(self, against: StoreUnavailable) -> Connections:
        if not self._path.exists():
            raise against
        try:
            self.probe()
        except StoreUnavailable as error:
            against = error  # the disk says more clearly than SQLite what is the matter
        try:
            reader = connect_reading(self._path, self._vfs)
        except StoreDamaged:
            raise
        except StoreError:
            raise against from None
        try:
            check_schema(reader, self._migrations)
        except BaseException:
            reader.close(True)
            raise
        return Connections(reader, against=against)

    def another_reader(self) -> apsw.Connection:
        """A connection of one's own, for what takes long on another thread; raises store errors."""
        try:
            return connect(self._path, self._vfs)
        except StoreUnavailable:
            return connect_reading(self._path, self._vfs)

    def probe(self) -> None:
        """Whether it is worth trying to write again; raises the store error that tells why not."""
        path = self._path.with_name(PROBE)
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            try:
                os.write(handle, bytes(_PROBED))
            finally:
                os.close(handle)
                path.unlink(missing_ok=True)
        except OSError as error:
            raise store_error(error) from error
