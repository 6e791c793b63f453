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
from immpd.store.sqlite.files import FILE_NAME, Migration, packaged_migrations, translated
from immpd.store.sqlite.opening import Connections, Opening
from immpd.store.sqlite.reads import Reads
from immpd.store.sqlite.running import Answer, Runner, TransactionLost
from immpd.store.sqlite.shrinking import Shrink, free_pages, shrink
from immpd.store.sqlite.thread import LoopThread
from immpd.store.sqlite.waiting import One, Waiting
from immpd.store.sqlite.wal import Wal
from immpd.store.units import Unit, Work

R = TypeVar("R")

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
        self._commits = LoopThread(self._loop, "store commit")
        self._checkpoints = LoopThread(self._loop, "store checkpoint")
        self._reads = Reads(self._loop, limits.snapshot_seconds, self._seen, self._wanted)
        self._runner = Runner(self._seen)
        self._wal = Wal(limits.wal, limits.checkpoint, room, self._checkpoints)
        self._use(made)
        self._waiting = Waiting(self._loop, limits.queue)
        self._running = False
        self._closed: asyncio.Future[None] | None = None
        self._batch: list[One] = []
        self._answers: list[Answer] = []
        self._held = False  # until the WAL was copied
        self._cause: BaseException | None = None  # why it is opened again
        self._unheard = False  # something may have been committed that nobody was told
        self._when_reset: list[asyncio.Future[None]] = []
        self._opened_at = float("-inf")
        self._busy_since: float | None = None

    def _use(self, made: Connections) -> None:
        """Take these connections into use."""
        self._connections = made
        self.against = made.against
        self._reads.use(made.reader, self._met)
        self._wal.use(made.writer, made.checkpointer)
        if made.writer is not None:
            self._writer = made.writer
            self._runner.use(made.writer, self._met)
            made.writer.set_busy_timeout(0)
        if made.against is not None:
            self._tell_operator("error", "the store can only be read", reason=str(made.against), advice=ADVICE)

    # ------------------------------------------------------------------ what callers use

    @property
    def saturated(self) -> bool:
        """True while more than the queue's limit waits for a commit."""
        return self._waiting.is_saturated

    def on_room(self, call: Callable[[], None]) -> None:
        """Call this once when there is room again; at once if there is."""
        self._waiting.on_room(call)

    def submit(self, unit: Unit[Any], done: Done) -> None:
        """Take a unit; ``done(result, error)`` is called once. Reads run before this returns."""
        if not unit.work.writes:
            try:
                result = self._reads.run(unit)
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
        self._waiting.put(unit, done)
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
        return self._reads.run(unit)

    async def check_file(self) -> list[str]:
        """What SQLite's integrity_check finds, on the checkpoint thread; empty if nothing."""
        if not self._reads.is_open or self._closed is not None:
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
        if self.room.level == PLENTY or self.against is not None or self._closed is not None or not self._wal.pages:
            return
        self._when_reset.append(self._loop.create_future())
        self._kick()
        await asyncio.shield(self._when_reset[-1])
        self.room.look()

    async def _run_aside(self, work: Callable[[], R]) -> R:
        """Run ``work`` on the checkpoint thread, and keep the file open for it; raises store errors."""
        answer: asyncio.Future[R] = self._loop.create_future()

        def done(result: Any, error: BaseException | None) -> None:
            if answer.done():
                return
            if error is None:
                answer.set_result(result)
            else:
                answer.set_exception(translated(error))

        self._checkpoints.call(work, done)
        return await answer

    async def close(self) -> None:
        """Commit what was submitted, empty the WAL into the file, let go of everything."""
        if self._closed is None:
            self._closed = self._loop.create_future()
            self._kick()
        await asyncio.shield(self._closed)

    # ------------------------------------------------------------------ reads

    def renew(self) -> None:
        """What is read from now on includes all that any process has committed by now."""
        if self._reads.is_open:
            self._reads.end()

    def _wanted(self) -> None:
        """Somebody wants to read, and the file is not open."""
        if not self._running and self._closed is None:
            self._open_again()

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
        if not self._reads.is_open:
            self._open_again()
            return
        if self.against is not None:
            self._try_to_write()
            return
        if (self._when_reset or self._wal.is_long) and not self._checkpoints.pending:
            self._reset_wal()
            return
        if self._wal.outruns:
            self._held = True  # go on when the copy is done
            return
        if self.room.level == SCARCE:
            self._waiting.refuse_what_frees_nothing(self.room.reason_against("keeps"))
        batch = self._waiting.next_batch(self._limits.batch)
        if not batch:
            self._running = False
            if self._closed is not None:
                self._shut()
            return
        self._batch = batch
        self._answers = []
        self._begin()

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
                self._runner.run_some(batch, answers, end - clock())
                if clock() >= end and len(answers) < len(batch):
                    self._loop.call_soon(self._slice)
                    return
        except TransactionLost as lost:
            self._lost(lost.error)
            return
        self._commits.call(self._commit, self._committed)

    def _lost(self, error: BaseException) -> None:
        """The transaction is gone with all units of the batch: run each again alone."""
        self._runner.take_told()
        try:
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
        except apsw.Error as failed:
            self._open_after(error)
            self._answer_all(self._seen(failed))
            return
        frees = any(unit.work.room == "frees" for unit, _ in self._batch)
        if len(self._batch) > 1 or (frees and isinstance(error, apsw.FullError) and self._use_reserve()):
            self._waiting.again_alone(self._batch)
            self._batch = []
            self._loop.call_soon(self._turn)
        else:
            self._answer_all(self._seen(error))

    def _use_reserve(self) -> bool:
        """Give up the reserve for what frees room; from now on the WAL must stay small."""
        given = self.room.give_up()
        if given:
            self._wal.keep_short()
        return given

    def _open_after(self, cause: BaseException) -> None:
        """The file must be opened again, because of this."""
        self._reads.is_open = False
        self._cause = cause
        self._tell_operator("error", "the store is opened again", cause=f"{type(cause).__name__}: {cause}")

    # ------------------------------------------------------------------ commit

    def _commit(self) -> None:
        """On the commit thread: make the batch durable."""
        self._writer.execute("COMMIT")
        self.room.look()

    def _committed(self, _result: None, error: BaseException | None) -> None:
        if error is None:
            self._reads.end()  # what is read from now on includes this batch
            if self.room.level and any([unit.work.room == "frees" for unit, _ in self._batch]):
                self.room.wanted()
            self._publish(self._runner.take_told())
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

    def _tell(self, call: Callable[..., None], *said: Any) -> None:
        """Tell the audience, whose failure may not end the turns of all."""
        try:
            call(*said)
        except Exception as failed:
            self._loop.call_exception_handler({"message": "the store's audience failed", "exception": failed})

    def _answer_all(self, error: BaseException) -> None:
        self._answer([(None, error)] * len(self._batch))

    def _answer(self, answers: list[Answer]) -> None:
        """Tell the callers of the batch, in the order they came, a slice at a time, and go on."""
        told = zip(self._batch, answers, strict=True)
        self._batch, self._answers = [], []
        self._tell_some(told)

    def _tell_some(self, told: "zip[tuple[One, Answer]]") -> None:
        end = time.perf_counter() + SLICE
        for (unit, done), (result, error) in told:
            self._waiting.answer(unit, done, result, error)
            if time.perf_counter() > end:
                self._loop.call_soon(self._tell_some, told)
                return
        self._waiting.tell_room()
        if self._reads.is_open:
            self._wal.copy_when_grown(self._copied)
        self._loop.call_soon(self._turn)

    # ------------------------------------------------------------------ the WAL

    def _copied(self) -> None:
        if self._held:
            self._held = False
            self._turn()

    def _reset_wal(self) -> None:
        """Between two batches: copy the rest and begin the WAL anew."""
        self._reads.keeps = False
        self._reads.end()
        self._commits.call(self._wal.reset, self._reset)

    def _reset(self, _result: None, error: BaseException | None) -> None:
        self._reads.keeps = True
        if error is None:
            self._wal.was_reset()
        elif not (isinstance(error, apsw.FullError) and self._use_reserve()):
            self._wal.was_not_reset()
        waiting, self._when_reset = self._when_reset, []
        for one in waiting:
            if not one.done():
                one.set_result(None)
        self._turn()

    # ------------------------------------------------------------------ opening again, closing

    def _open_again(self) -> None:
        """Open the file anew after a failure, at most once a second; in between what waits is refused."""
        if self._closed is not None:
            self._waiting.refuse_all(StoreUnavailable("the store is closed"))
            self._shut()
            return
        self._running = True
        if self._checkpoints.pending:
            self._loop.call_later(0.01, self._turn)
            return
        now = self._loop.time()
        if now - self._opened_at < 1.0:
            self._running = False
            self._waiting.refuse_all(StoreUnavailable("the store cannot be opened"))
            return
        self._opened_at = now
        self._commits.call(self._open_files, self._opened)

    def _open_files(self) -> Connections:
        self._connections.close()
        return self._opening.open()

    def _opened(self, made: Connections | None, error: BaseException | None) -> None:
        if made is not None:
            self._use(made)
            if self._unheard:
                self._unheard = False
                self._tell(self._audience.gap)
            if made.against is None:
                self._tell_operator("warning", "the store is open again", cause=str(self._cause))
        else:
            assert error is not None
            failed = self._seen(error)
            self._tell_operator("error", "the store cannot be opened", reason=str(failed), cause=str(self._cause))
            self._waiting.refuse_all(failed)
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
            self._reads.end()
            self._reads.is_open = False
            self._cause, self._opened_at = self.against, float("-inf")
        else:
            self._waiting.refuse_all(error)
            if self._closed is not None:
                self._shut()
                return
        self._turn_or_rest(self._reads.is_open)

    def _turn_or_rest(self, usable: bool = True) -> None:
        self._running = bool(self._waiting or self._closed is not None or not usable)
        if self._running:
            self._loop.call_soon(self._turn)

    def _shut(self) -> None:
        self._reads.end()
        self._commits.call(self._close_files, self._shut_done)

    def _close_files(self) -> None:
        self._checkpoints.stop()
        made = self._connections
        if made.writer is not None and made.checkpointer is not None:
            for one in (made.checkpointer, made.reader):
                one.close(True)
            try:
                self._wal.reset()
            except apsw.Error:
                pass  # the WAL stays and is read at the next start
        made.close()

    def _shut_done(self, _result: None, error: BaseException | None) -> None:
        self._commits.stop()
        self._reads.is_open = False
        assert self._closed is not None
        if not self._closed.done():
            if error is None:
                self._closed.set_result(None)
            else:
                self._closed.set_exception(translated(error))


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
