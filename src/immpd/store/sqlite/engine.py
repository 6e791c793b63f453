"""Group commit: what came while the last commit ran is the next batch.

Rules: statements of writes run on the loop's thread in slices of at most 5 ms; only COMMIT (with
its fsync) and the reset of the WAL run on the commit thread, which alone touches the write
connection meanwhile; nothing is answered before its commit is on disk; a unit that fails is
undone alone; a COMMIT that cannot be told from success is never answered and the file is opened
again. Reads run at once, on a connection of their own, in a snapshot that is renewed by each commit, by
``renew``, and when it is old (so a read costs no lock). What the units of a batch told is published after
their commit and before they are answered. Where nothing can be written, reads go on and writes are tried again.
"""

import asyncio
import secrets
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import apsw
import msgspec

from immpd.model.news import News
from immpd.store.contract import Audience, Done, Nobody
from immpd.store.errors import StoreDamaged, StoreError, StoreUnavailable, UnknownOutcome
from immpd.store.integrity.damage import Damage
from immpd.store.room import ADVICE, PLENTY, SCARCE, Room, Tell, tell_nobody
from immpd.store.settings import Storage
from immpd.store.sqlite.epoch import read_epoch, take_epoch
from immpd.store.sqlite.files import FILE_NAME, PAGE_SIZE, Migration, packaged_migrations, translated
from immpd.store.sqlite.opening import Connections, Opening
from immpd.store.sqlite.shrinking import Shrink, free_pages, shrink
from immpd.store.sqlite.thread import LoopThread
from immpd.store.sqlite.tx import ReadingTx, SqliteTx
from immpd.store.units import Unit, Work

R = TypeVar("R")
_Waiting = tuple[Unit[Any], Done]

SLICE = 0.005
"""Seconds that statements may hold the loop."""
TOLD_AT_ONCE = 256
"""News that are handed on at once, between two looks at the clock."""
_DEFINITE = (apsw.FullError, apsw.BusyError, apsw.ReadOnlyError, apsw.ConstraintError)
"""Errors of COMMIT that are surely no success: the commit record was not written."""


class Limits(msgspec.Struct, frozen=True):
    """Bounds of a store; octets unless said otherwise."""

    queue: int = 32 << 20
    """What may wait for a commit before ``saturated``."""
    batch: int = 4 << 20
    """Weight of one batch."""
    wal: int = 64 << 20
    """The WAL is reset between two batches past this size; past its double writing waits for a copy that runs."""
    checkpoint: int = 8 << 20
    """New WAL after which the checkpoint thread copies it into the file."""
    busy_seconds: float = 5.0
    """How long another process may hold the write lock."""
    snapshot_seconds: float = 0.1
    """After which reads see what another process has committed without a word."""


class SqliteStore:
    """The Store contract (store/contract.py) on one SQLite file. Made by ``open_sqlite``."""

    def __init__(
        self,
        path: Path,
        vfs: str | None,
        limits: Limits,
        migrations: tuple[Migration, ...],
        make_epoch: Callable[[], str],
        room: Room,
        damage: Damage,
        tell: Tell,
        audience: Audience,
    ) -> None:
        self.room = room
        self._audience = audience
        self.damage = damage
        self._tell_operator = tell
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._opening = Opening(path, vfs, migrations, room, int(time.time() * 1000))
        self.epoch = ""

        def prepare(writer: apsw.Connection) -> None:
            self.epoch = take_epoch(writer, path.parent, make_epoch, tell)

        made = self._opening.open(prepare)
        if made.against is not None:
            try:
                self.epoch = read_epoch(made.reader, path.parent, make_epoch, tell)
            except BaseException:
                made.close()
                raise
        self._use(made)
        self._commits = LoopThread(self._loop, "store commit")
        self._checkpoints = LoopThread(self._loop, "store checkpoint")
        self._waiting: deque[_Waiting] = deque()
        self._alone: deque[_Waiting] = deque()
        self._weight = 0
        self._on_room: list[Callable[[], None]] = []
        self._running = False
        self._closed: asyncio.Future[None] | None = None
        self._batch: list[_Waiting] = []
        self._answers: list[tuple[Any, BaseException | None]] = []
        self._pace: dict[Work[Any, Any], float] = {}
        self._copying = self._held = False
        self._aside = 0  # what the checkpoint thread has to do; it would make a reset of the WAL wait
        self._checkpointed = 0
        self._resetting = False
        self._usable = True
        self._cause: BaseException | None = None  # why it is opened again
        self._unheard = False  # something may have been committed that nobody was told
        self._reset_past = limits.wal
        self._when_reset: list[asyncio.Future[None]] = []
        self._opened_at = float("-inf")
        self._busy_since: float | None = None
        self._ageing = False

    def _use(self, made: Connections) -> None:
        """Take these connections into use."""
        self._connections = made
        self.against = made.against
        self._reader = made.reader
        self._read_tx = ReadingTx(made.reader, self._met)
        self._snapshot = False
        self._wal_pages = 0
        if made.writer is not None:
            self._writer = made.writer
            self._write_tx = SqliteTx(made.writer, self._met)
            made.writer.set_busy_timeout(0)
            made.writer.set_wal_hook(self._wal_grew)
        if made.checkpointer is not None:
            self._checkpointer = made.checkpointer
        if made.against is not None:
            self._tell_operator("error", "the store can only be read", reason=str(made.against), advice=ADVICE)

    # ------------------------------------------------------------------ what callers use

    @property
    def saturated(self) -> bool:
        """True while more than the queue's limit waits for a commit."""
        return self._weight > self._limits.queue

    def on_room(self, call: Callable[[], None]) -> None:
        """Call this once when there is room again; at once if there is."""
        if self.saturated:
            self._on_room.append(call)
        else:
            call()

    def submit(self, unit: Unit[Any], done: Done) -> None:
        """Take a unit; ``done(result, error)`` is called once. Reads run before this returns."""
        if not unit.work.writes:
            try:
                result = self._read_now(unit)
            except Exception as error:
                done(None, error)
            else:
                done(result, None)
            return
        if self._closed is not None:
            done(None, StoreUnavailable("the store is closed"))
            return
        if self.room.level or self.damage.writing_ends:
            against = self.reason_against(unit.work)
            if against is not None:
                done(None, against)
                return
        self._waiting.append((unit, done))
        self._weight += unit.weight
        if not self._running:
            self._kick()

    def _kick(self) -> None:
        if not self._running:
            self._running = True
            self._loop.call_soon(self._turn)

    def reason_against(self, work: Work[Any, Any]) -> StoreError | None:
        """Why a unit of this work would be refused now, as far as that is known without trying."""
        if self.against is not None:
            self._kick()  # by the next time it may be possible
        return self.against or self.damage.reason_against() or self.room.reason_against(work.room)

    async def write(self, unit: Unit[R]) -> R:
        """Run a unit that changes the store; its result once it is on disk."""
        answer: asyncio.Future[R] = self._loop.create_future()

        def done(result: Any, error: BaseException | None) -> None:
            if answer.done():  # the caller went away; the unit is not undone
                return
            if error is None:
                answer.set_result(result)
            else:
                answer.set_exception(error)

        self.submit(unit, done)
        return await answer

    async def read(self, unit: Unit[R]) -> R:
        """Run a unit that only reads, at once."""
        if unit.work.writes:
            raise TypeError(f"{unit.work!r} writes")
        return self._read_now(unit)

    async def check_file(self) -> list[str]:
        """What SQLite's integrity_check finds, on the checkpoint thread; empty if nothing."""
        if not self._usable or self._closed is not None:
            raise StoreUnavailable("the store is not open")

        def check() -> list[str]:
            connection = self._opening.another_reader()
            try:
                return [str(row[0]) for row in connection.execute("PRAGMA integrity_check(100)")]
            finally:
                connection.close(True)

        try:
            found = await self._run_aside(check)
        except (StoreDamaged, StoreUnavailable) as error:
            return [f"could not be checked: {error}"]
        return [line for line in found if line != "ok"]

    async def give_back(self) -> None:
        """While room is short: give the disk what the file no longer needs, a step after the other."""
        while self.room.level != PLENTY and self.against is None and await self.read(free_pages(Shrink())) > 0:
            await self.write(shrink(Shrink()))
        if self.room.level == PLENTY or self.against is not None or self._closed is not None or not self._wal_pages:
            return
        self._when_reset.append(self._loop.create_future())
        self._kick()
        await asyncio.shield(self._when_reset[-1])
        self.room.look()

    async def _run_aside(self, work: Callable[[], R]) -> R:
        """Run ``work`` on the checkpoint thread, and keep the file open for it; raises store errors."""
        answer: asyncio.Future[R] = self._loop.create_future()

        def done(result: Any, error: BaseException | None) -> None:
            self._aside -= 1
            if answer.done():
                return
            if error is None:
                answer.set_result(result)
            else:
                answer.set_exception(translated(error))

        self._aside += 1
        self._checkpoints.call(work, done)
        return await answer

    async def close(self) -> None:
        """Commit what was submitted, empty the WAL into the file, let go of everything."""
        if self._closed is None:
            self._closed = self._loop.create_future()
            self._kick()
        await asyncio.shield(self._closed)

    # ------------------------------------------------------------------ reads

    def _read_now(self, unit: Unit[R]) -> R:
        if not self._usable:
            if not self._running and self._closed is None:
                self._open_again()
            raise StoreUnavailable("the store is being opened again")
        if not self._snapshot:
            # While the WAL is reset no snapshot is kept: the reset waits for readers.
            self._reader.execute("BEGIN")
            self._snapshot = True
            if not self._ageing:
                self._ageing = True
                self._loop.call_later(self._limits.snapshot_seconds, self._aged)
        try:
            return unit.work.run(self._read_tx, unit.args)
        except apsw.Error as error:
            self._end_snapshot()
            raise self._seen(error) from error
        except StoreDamaged:
            self._end_snapshot()
            raise
        finally:
            if self._resetting:
                self._end_snapshot()

    def renew(self) -> None:
        """What is read from now on includes all that any process has committed by now."""
        if self._usable:
            self._end_snapshot()

    def _aged(self) -> None:
        """The snapshot, or one before it, is as old as one may be."""
        self._ageing = False
        self.renew()

    def _end_snapshot(self) -> None:
        if self._snapshot:
            self._snapshot = False
            if self._reader.in_transaction:
                self._reader.execute("ROLLBACK")

    def _met(self, error: apsw.CorruptError) -> StoreError:
        """A statement met damage."""
        met = StoreDamaged(str(error))
        self._seen(met)
        return met

    def _seen(self, error: BaseException) -> BaseException:
        """The store error that it is; damage is remembered and told."""
        found = translated(error)
        if isinstance(found, StoreDamaged):
            self.damage.found(f"database: {found}", structure=True)
        return found

    # ------------------------------------------------------------------ one batch after the other

    def _turn(self) -> None:
        """Begin the next batch, or rest."""
        if not self._usable:
            self._open_again()
            return
        if self.against is not None:
            self._try_to_write()
            return
        if (self._when_reset or self._wal_pages * PAGE_SIZE >= self._reset_past) and not self._aside:
            self._reset_wal()
            return
        if self._copying and self._wal_pages * PAGE_SIZE >= 2 * self._reset_past:
            self._held = True  # the disk is slower than what is written: go on when the copy is done
            return
        if self.room.level == SCARCE:
            self._refuse_what_frees_nothing()
        batch: list[_Waiting] = []
        if self._alone:
            batch.append(self._alone.popleft())
        else:
            left = self._limits.batch
            while self._waiting and left > 0:
                one = self._waiting.popleft()
                left -= one[0].weight
                batch.append(one)
        if not batch:
            self._running = False
            if self._closed is not None:
                self._shut()
            return
        self._batch = batch
        self._answers = []
        self._begin()

    def _refuse_what_frees_nothing(self) -> None:
        """What waits since before room ran out must not take the last there is."""
        for queue in (self._alone, self._waiting):
            refused = [one for one in queue if one[0].work.room != "frees"]
            against = self.room.reason_against("keeps") if refused else None
            if against is None:
                continue
            kept = [one for one in queue if one[0].work.room == "frees"]
            queue.clear()
            queue.extend(kept)
            for unit, done in refused:
                self._weight -= unit.weight
                self._tell(done, None, against)

    def _begin(self) -> None:
        try:
            self._writer.execute("BEGIN IMMEDIATE")
        except apsw.BusyError as error:
            # Another process (a backup, an operator's shell) has the lock: ask again, never block the loop.
            now = self._loop.time()
            if self._busy_since is None:
                self._busy_since = now
            if now - self._busy_since < self._limits.busy_seconds:
                self._loop.call_later(0.01, self._begin)
                return
            self._busy_since = None
            self._answer_all(translated(error))
        except apsw.Error as error:
            self._answer_all(translated(error))
        else:
            self._busy_since = None
            self._slice()

    def _slice(self) -> None:
        """Run units for at most SLICE seconds, then let the loop do other things."""
        batch, answers = self._batch, self._answers
        clock = time.perf_counter
        end = clock() + SLICE
        try:
            while len(answers) < len(batch):
                self._run_some(end - clock())
                if clock() >= end and len(answers) < len(batch):
                    self._loop.call_soon(self._slice)
                    return
        except _TransactionLost as lost:
            self._lost(lost.error)
            return
        self._commits.call(self._commit, self._committed)

    def _run_some(self, seconds: float) -> None:
        """Run the next unit, or the next few of the same work as one."""
        batch, answers = self._batch, self._answers
        first = len(answers)
        work = batch[first][0].work
        run_many = work.run_many
        if run_many is None:
            self._run_one(batch[first][0])
            return
        pace = self._pace.get(work, 0.0002)
        limit = first + max(1, min(1000, int(seconds * 0.8 / pace)))
        last = first + 1
        while last < len(batch) and last < limit and batch[last][0].work is work:
            last += 1
        units = [unit for unit, _ in batch[first:last]]
        writer = self._writer
        mark = len(self._write_tx.told)
        began = time.perf_counter()
        writer.execute("SAVEPOINT some")
        try:
            results = run_many(self._write_tx, [unit.args for unit in units])
        except Exception as error:
            self._undo(error, mark)
            for unit in units:
                self._run_one(unit)
            return
        writer.execute("RELEASE some")
        answers.extend([(result, None) for result in results])
        assert len(answers) == last, work
        self._pace[work] = 0.5 * pace + 0.5 * (time.perf_counter() - began) / len(units)

    def _run_one(self, unit: Unit[Any]) -> None:
        writer = self._writer
        mark = len(self._write_tx.told)
        writer.execute("SAVEPOINT some")
        try:
            result = unit.work.run(self._write_tx, unit.args)
        except Exception as error:
            self._undo(error, mark)
            self._answers.append((None, self._seen(error)))
            return
        writer.execute("RELEASE some")
        self._answers.append((result, None))

    def _undo(self, error: Exception, mark: int) -> None:
        """Undo what a unit did and told; raise if its error ended the whole transaction (a full disk does, and damage).

        ``mark``: how much had been told before it.
        """
        del self._write_tx.told[mark:]
        if not self._writer.in_transaction or isinstance(error, (apsw.CorruptError, StoreDamaged)):
            raise _TransactionLost(error)
        try:
            self._writer.execute("ROLLBACK TO some")
            self._writer.execute("RELEASE some")
        except apsw.Error as failed:
            raise _TransactionLost(error) from failed

    def _lost(self, error: BaseException) -> None:
        """The transaction is gone with all units of the batch: run each again alone."""
        self._write_tx.told.clear()
        try:
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
        except apsw.Error as failed:
            self._open_after(error)
            self._answer_all(self._seen(failed))
            return
        frees = any(unit.work.room == "frees" for unit, _ in self._batch)
        if len(self._batch) > 1 or (frees and isinstance(error, apsw.FullError) and self._use_reserve()):
            self._alone.extend(self._batch)
            self._batch = []
            self._loop.call_soon(self._turn)
        else:
            self._answer_all(self._seen(error))

    def _use_reserve(self) -> bool:
        """Give up the reserve for what frees room; from now on the WAL must stay small."""
        given = self.room.give_up()
        if given:
            self._reset_past = min(self._reset_past, self._limits.checkpoint)
        return given

    def _open_after(self, cause: BaseException) -> None:
        """The file must be opened again, because of this."""
        self._usable = False
        self._cause = cause
        self._tell_operator("error", "the store is opened again", cause=f"{type(cause).__name__}: {cause}")

    # ------------------------------------------------------------------ commit

    def _commit(self) -> None:
        """On the commit thread: make the batch durable."""
        self._writer.execute("COMMIT")
        self.room.look()

    def _wal_grew(self, _connection: apsw.Connection, _name: str, pages: int) -> int:
        """Told by SQLite after a commit, on the commit thread."""
        self._wal_pages = pages
        return apsw.SQLITE_OK

    def _committed(self, _result: None, error: BaseException | None) -> None:
        if error is None:
            self._end_snapshot()  # what is read from now on includes this batch
            if self.room.level and any([unit.work.room == "frees" for unit, _ in self._batch]):
                self.room.wanted()
            told, self._write_tx.told = self._write_tx.told, []
            self._publish(told)
        elif isinstance(error, _DEFINITE):
            self._lost(error)
        else:
            # Perhaps the commit record is in the file: whatever we said could be a lie.
            self._open_after(error)
            self._unheard = True
            self._seen(error)
            outcome = UnknownOutcome(str(error))
            outcome.__cause__ = error
            self._answer_all(outcome)

    def _publish(self, told: list[News], at: int = 0) -> None:
        """Hand on what the batch told, a slice at a time, then answer it."""
        end = time.perf_counter() + SLICE if told else 0.0
        while at < len(told):
            self._tell(self._audience.publish, told[at : at + TOLD_AT_ONCE] if len(told) > TOLD_AT_ONCE else told)
            at += TOLD_AT_ONCE
            if at < len(told) and time.perf_counter() > end:
                self._loop.call_soon(self._publish, told, at)
                return
        self._answer(self._answers)

    def _answer_all(self, error: BaseException) -> None:
        self._answer([(None, error)] * len(self._batch))

    def _answer(self, answers: list[tuple[Any, BaseException | None]]) -> None:
        """Tell the callers of the batch, in the order they came, a slice at a time, and go on."""
        told = zip(self._batch, answers, strict=True)
        self._batch, self._answers = [], []
        self._tell_some(told)

    def _tell_some(self, told: "zip[tuple[_Waiting, tuple[Any, BaseException | None]]]") -> None:
        end = time.perf_counter() + SLICE
        for (unit, done), (result, error) in told:
            self._weight -= unit.weight
            self._tell(done, result, error)
            if time.perf_counter() > end:
                self._loop.call_soon(self._tell_some, told)
                return
        self._tell_room()
        self._copy_when_grown()
        self._loop.call_soon(self._turn)

    def _copy_when_grown(self) -> None:
        """Have the WAL copied into the file once enough of it is new."""
        if self._wal_pages < self._checkpointed:  # SQLite began the WAL anew by itself
            self._checkpointed = 0
        grown = (self._wal_pages - self._checkpointed) * PAGE_SIZE
        # Past its bound the WAL is reset instead, which waits for copies that run: no new one is begun.
        resets = self._wal_pages * PAGE_SIZE >= self._reset_past
        if grown >= self._limits.checkpoint and not resets and not self._aside and self._usable:
            self._aside += 1
            self._copying = True
            self._checkpointed = self._wal_pages
            self._checkpoints.call(self._copy_wal, self._copied)

    def _tell(self, done: Callable[..., None], *said: Any) -> None:
        """Call back; nobody's failure may end the turns of all."""
        try:
            done(*said)
        except Exception as failed:
            self._loop.call_exception_handler({"message": "a caller of the store failed", "exception": failed})

    def _tell_room(self) -> None:
        if self._on_room and self._weight <= self._limits.queue // 2:
            calls, self._on_room = self._on_room, []
            for call in calls:
                self._tell(call)

    def _fail_waiting(self, error: BaseException) -> None:
        waiting = [*self._alone, *self._waiting]
        self._alone.clear()
        self._waiting.clear()
        for unit, done in waiting:
            self._weight -= unit.weight
            self._tell(done, None, error)
        self._tell_room()

    # ------------------------------------------------------------------ the WAL

    def _copy_wal(self) -> None:
        """On the checkpoint thread: copy what it can without holding up anybody."""
        self._checkpointer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)

    def _copied(self, _result: None, _error: BaseException | None) -> None:
        self._aside -= 1  # an error shows again at the reset, where it matters
        self._copying = False
        if self._held:
            self._held = False
            self._turn()

    def _reset_wal(self) -> None:
        """Between two batches: copy the rest and begin the WAL anew."""
        self._resetting = True
        self._end_snapshot()
        self._commits.call(self._truncate, self._reset)

    def _truncate(self) -> None:
        self._writer.set_busy_timeout(200)
        try:
            self._writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        finally:
            self._writer.set_busy_timeout(0)

    def _reset(self, _result: None, error: BaseException | None) -> None:
        self._resetting = False
        if error is None:
            self._wal_pages = self._checkpointed = 0
            self._reset_past = self._limits.wal if self.room.level == PLENTY else self._limits.checkpoint
        elif not (isinstance(error, apsw.FullError) and self._use_reserve()):
            # A reader of another process, or a full disk, prevents it: the WAL grows on for a while.
            self._reset_past = self._wal_pages * PAGE_SIZE + self._limits.checkpoint
        waiting, self._when_reset = self._when_reset, []
        for one in waiting:
            if not one.done():
                one.set_result(None)
        self._turn()

    # ------------------------------------------------------------------ opening again, closing

    def _open_again(self) -> None:
        """Open the file anew after a failure, at most once a second; in between what waits is refused."""
        if self._closed is not None:
            self._fail_waiting(StoreUnavailable("the store is closed"))
            self._shut()
            return
        self._running = True
        if self._aside:
            self._loop.call_later(0.01, self._turn)
            return
        now = self._loop.time()
        if now - self._opened_at < 1.0:
            self._running = False
            self._fail_waiting(StoreUnavailable("the store cannot be opened"))
            return
        self._opened_at = now
        self._commits.call(self._open_files, self._opened)

    def _open_files(self) -> Connections:
        self._connections.close()
        return self._opening.open()

    def _opened(self, made: Connections | None, error: BaseException | None) -> None:
        if made is not None:
            self._use(made)
            self._checkpointed = 0
            self._usable = True
            if self._unheard:
                self._unheard = False
                self._tell(self._audience.gap)
            if made.against is None:
                self._tell_operator("warning", "the store is open again", cause=str(self._cause))
        else:
            assert error is not None
            failed = self._seen(error)
            self._tell_operator("error", "the store cannot be opened", reason=str(failed), cause=str(self._cause))
            self._fail_waiting(failed)
        self._turn_or_rest()

    def _try_to_write(self) -> None:
        """What can only be read is tried again, at most once a second; in between what waits is refused."""
        now = self._loop.time()
        if now - self._opened_at < 1.0 or self._closed is not None:
            self._probed(None, self.against)
            return
        self._opened_at = now
        self._commits.call(self._opening.probe, self._probed)

    def _probed(self, _result: None, error: BaseException | None) -> None:
        if error is None:
            self._end_snapshot()
            self._cause, self._usable, self._opened_at = self.against, False, float("-inf")
        else:
            self._fail_waiting(error)
            if self._closed is not None:
                self._shut()
                return
        self._turn_or_rest(self._usable)

    def _turn_or_rest(self, usable: bool = True) -> None:
        self._running = bool(self._waiting or self._alone or self._closed is not None or not usable)
        if self._running:
            self._loop.call_soon(self._turn)

    def _shut(self) -> None:
        self._end_snapshot()
        self._commits.call(self._close_files, self._shut_done)

    def _close_files(self) -> None:
        self._checkpoints.stop()
        made = self._connections
        if made.writer is not None and made.checkpointer is not None:
            for one in (made.checkpointer, made.reader):
                one.close(True)
            try:
                self._truncate()
            except apsw.Error:
                pass  # the WAL stays and is read at the next start
        made.close()

    def _shut_done(self, _result: None, error: BaseException | None) -> None:
        self._commits.stop()
        self._usable = False
        assert self._closed is not None
        if not self._closed.done():
            if error is None:
                self._closed.set_result(None)
            else:
                self._closed.set_exception(translated(error))


class _TransactionLost(Exception):
    """A statement's error ended the whole transaction."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(str(error))
        self.error = error


async def open_sqlite(
    folder: Path,
    *,
    vfs: str | None = None,
    limits: Limits | None = None,
    migrations: tuple[Migration, ...] | None = None,
    make_epoch: Callable[[], str] = lambda: secrets.token_hex(4),
    room: Room | None = None,
    damage: Damage | None = None,
    tell: Tell = tell_nobody,
    audience: Audience | None = None,
) -> SqliteStore:
    """Open (or make) the store in ``folder`` and bring it to this program's schema.

    Where it cannot be written it is served to readers (``against`` says why); raises StoreDamaged, StoreReadOnly,
    StoreFull or StoreUnavailable where it cannot be read either. ``vfs`` names an apsw VFS; ``room`` is that of its
    disk, by default without a bound; ``tell`` is told of what an operator should know; ``audience`` of what units
    tell, by default nobody.
    """
    return SqliteStore(
        folder / FILE_NAME,
        vfs,
        limits or Limits(),
        packaged_migrations() if migrations is None else migrations,
        make_epoch,
        room or Room(folder, Storage(keep_free=0, reserve=0), tell),
        damage or Damage(folder, tell),
        tell,
        audience or Nobody(),
    )
