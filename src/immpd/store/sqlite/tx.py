"""A Tx on an SQLite connection: the shortest way from a unit's statement to apsw."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import apsw

from immpd.model.news import News
from immpd.store.errors import StoreError
from immpd.store.units import Lockable, Params, Row

Damaged = Callable[[apsw.CorruptError], StoreError]
"""Told of damage that a statement met; makes the error that a unit sees, and may go around."""


class SqliteTx:
    """The Tx contract (store/units.py) on one connection. There is one writer, so ``lock`` does nothing."""

    __slots__ = ("_connection", "_damaged", "told")

    def __init__(self, connection: apsw.Connection, damaged: Damaged) -> None:
        self._connection = connection
        self._damaged = damaged
        self.told: list[News] = []
        """What the units of this transaction told, in their order."""

    def execute(self, sql: str, params: Params = ()) -> Iterator[Row]:
        """Run one statement and go through its rows."""
        try:
            return self._watched(self._connection.execute(sql, params))
        except apsw.CorruptError as error:
            raise self._damaged(error) from error

    def _watched(self, rows: Iterator[Row]) -> Iterator[Row]:
        try:
            yield from rows
        except apsw.CorruptError as error:
            raise self._damaged(error) from error

    def rows(self, sql: str, params: Params = ()) -> list[Row]:
        """Run one statement and return all its rows."""
        try:
            return self._connection.execute(sql, params).fetchall()
        except apsw.CorruptError as error:
            raise self._damaged(error) from error

    def one(self, sql: str, params: Params = ()) -> Row | None:
        """Run one statement to its end and return its first row or None."""
        try:
            rows = self._connection.execute(sql, params).fetchall()
        except apsw.CorruptError as error:
            raise self._damaged(error) from error
        return rows[0] if rows else None

    def executemany(self, sql: str, many: Iterable[Params]) -> int:
        """Run one statement for each set of parameters; return how many rows were changed in all."""
        connection = self._connection
        before = connection.total_changes()
        try:
            connection.executemany(sql, many).fetchall()
        except apsw.CorruptError as error:
            raise self._damaged(error) from error
        return connection.total_changes() - before

    def rows_of_many(self, sql: str, many: Iterable[Params]) -> list[Row]:
        """Run one statement for each set of parameters and return all rows."""
        try:
            return self._connection.executemany(sql, many).fetchall()
        except apsw.CorruptError as error:
            raise self._damaged(error) from error

    def take_ids(self, table: str, count: int) -> int:
        """Reserve ``count`` successive integer keys of ``table``; return the first."""
        row = self.one(
            "UPDATE next_id SET next = next + :count WHERE name = :name RETURNING next - :count",
            {"count": count, "name": table},
        )
        assert row is not None, table
        return int(row[0])

    def lock(self, kind: Lockable, keys: Iterable[Any]) -> None:
        """Nothing: SQLite has one writer."""

    def tell(self, *news: News) -> None:
        """Have this told after the commit."""
        self.told += news


class ReadingTx(SqliteTx):
    """The same for units that read."""

    __slots__ = ()

    def tell(self, *news: News) -> None:
        """Not by a unit that changes nothing."""
        raise TypeError(f"a unit that reads tells {news!r}")
