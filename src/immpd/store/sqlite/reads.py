"""Units that read: at once, in a snapshot, on a connection of their own.

Rules: a snapshot is kept from one read to the next (so a read costs no lock), until this process commits, it is told
to renew it, or it is old; while the WAL is reset none is kept, for the reset waits for readers; a read that fails
ends its snapshot.
"""

import asyncio
from collections.abc import Callable
from typing import TypeVar

import apsw

from immpd.store.errors import StoreDamaged, StoreUnavailable
from immpd.store.sqlite.tx import Damaged, ReadingTx
from immpd.store.units import Unit

R = TypeVar("R")


class Reads:
    """The reader of one store. ``seen`` makes a store error of another; ``refused`` is told that one was wanted."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        age: float,
        seen: Callable[[BaseException], BaseException],
        refused: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._age = age
        self._seen = seen
        self._refused = refused
        self._has_snapshot = self._is_ageing = False
        self.is_open = False
        """False while the file is opened again or closed."""
        self.keeps = True
        """False while no snapshot may outlast its read."""

    def use(self, connection: apsw.Connection, damaged: Damaged) -> None:
        """Read on this connection from now on."""
        self._connection = connection
        self._tx = ReadingTx(connection, damaged)
        self._has_snapshot = False
        self.is_open = True

    def run(self, unit: Unit[R]) -> R:
        """Run a unit and return its result. Raises what it raises, and StoreUnavailable while the file is not open."""
        if not self.is_open:
            self._refused()
            raise StoreUnavailable("the store is being opened again")
        if not self._has_snapshot:
            self._connection.execute("BEGIN")
            self._has_snapshot = True
            if not self._is_ageing:
                self._is_ageing = True
                self._loop.call_later(self._age, self._aged)
        try:
            return unit.work.run(self._tx, unit.args)
        except apsw.Error as error:
            self.end()
            raise self._seen(error) from error
        except StoreDamaged:
            self.end()
            raise
        finally:
            if not self.keeps:
                self.end()

    def end(self) -> None:
        """End the snapshot: what is read from now on is as new as can be."""
        if self._has_snapshot:
            self._has_snapshot = False
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def _aged(self) -> None:
        """The snapshot, or one before it, is as old as one may be."""
        self._is_ageing = False
        if self.is_open:
            self.end()
