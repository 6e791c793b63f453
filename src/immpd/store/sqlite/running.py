"""Units of a batch run in its transaction, each under a savepoint, or many of the same work as one.

Rules: a unit that fails is undone alone, with what it told; where many that run as one fail, each runs again alone;
what runs as one takes at most the time that is left of a slice, by the pace of the last ones.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

import apsw

from immpd.model.news import News
from immpd.store.contract import Done
from immpd.store.errors import StoreDamaged
from immpd.store.sqlite.tx import Damaged, SqliteTx
from immpd.store.units import Unit, Work

Answer = tuple[Any, BaseException | None]
"""Of a unit: its result, or why there is none."""
_MOST = 1000
"""Units that run as one."""
_FIRST_PACE = 0.0002
"""Seconds that a unit is expected to take where none of its work ran yet."""


class TransactionLost(Exception):
    """A statement's error ended the whole transaction."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(str(error))
        self.error = error


class Runner:
    """Runs units on the write connection. ``seen`` makes a store error of another."""

    def __init__(self, seen: Callable[[BaseException], BaseException]) -> None:
        self._seen = seen
        self._pace: dict[Work[Any, Any], float] = {}

    def use(self, writer: apsw.Connection, damaged: Damaged) -> None:
        """Run on this connection from now on."""
        self._writer = writer
        self._tx = SqliteTx(writer, damaged)

    def take_told(self) -> list[News]:
        """What the units of the transaction told, in their order; it is told once."""
        told, self._tx.told = self._tx.told, []
        return told

    def run_some(self, batch: Sequence[tuple[Unit[Any], Done]], answers: list[Answer], seconds: float) -> None:
        """Run the next unit that has no answer, or the next few of the same work as one; raises TransactionLost."""
        first = len(answers)
        work = batch[first][0].work
        run_many = work.run_many
        if run_many is None:
            self._run_one(batch[first][0], answers)
            return
        pace = self._pace.get(work, _FIRST_PACE)
        limit = first + max(1, min(_MOST, int(seconds * 0.8 / pace)))
        last = first + 1
        while last < len(batch) and last < limit and batch[last][0].work is work:
            last += 1
        units = [unit for unit, _ in batch[first:last]]
        writer, tx = self._writer, self._tx
        mark = len(tx.told)
        began = time.perf_counter()
        writer.execute("SAVEPOINT some")
        try:
            results = run_many(tx, [unit.args for unit in units])
        except Exception as error:
            self._undo(error, mark)
            for unit in units:
                self._run_one(unit, answers)
            return
        writer.execute("RELEASE some")
        answers.extend([(result, None) for result in results])
        assert len(answers) == last, work
        self._pace[work] = 0.5 * pace + 0.5 * (time.perf_counter() - began) / len(units)

    def _run_one(self, unit: Unit[Any], answers: list[Answer]) -> None:
        writer, tx = self._writer, self._tx
        mark = len(tx.told)
        writer.execute("SAVEPOINT some")
        try:
            result = unit.work.run(tx, unit.args)
        except Exception as error:
            self._undo(error, mark)
            answers.append((None, self._seen(error)))
            return
        writer.execute("RELEASE some")
        answers.append((result, None))

    def _undo(self, error: Exception, mark: int) -> None:
        """Undo what a unit did and told; raise if its error ended the whole transaction (a full disk does, and damage).

        ``mark``: how much had been told before it.
        """
        del self._tx.told[mark:]
        if not self._writer.in_transaction or isinstance(error, (apsw.CorruptError, StoreDamaged)):
            raise TransactionLost(error)
        try:
            self._writer.execute("ROLLBACK TO some")
            self._writer.execute("RELEASE some")
        except apsw.Error as failed:
            raise TransactionLost(error) from failed
