"""The write-ahead log: how long it is, copied into the file while work goes on, and begun anew between two batches.

Rules: copies run on the checkpoint thread and hold up nobody; copies alone never reset the log of a busy store, so
past its bound it is reset, on the commit thread, while no batch runs; what prevents that (a reader of another
process, a full disk) lets it grow on for a while.
"""

from collections.abc import Callable

import apsw

from immpd.store.room import PLENTY, Room
from immpd.store.sqlite.files import PAGE_SIZE
from immpd.store.sqlite.thread import LoopThread


class Wal:
    """The log of one store. ``bound``: octets past which it is reset; ``step``: new ones after which it is copied."""

    def __init__(self, bound: int, step: int, room: Room, checkpoints: LoopThread) -> None:
        self._most = self._bound = bound
        self._step = step
        self._room = room
        self._checkpoints = checkpoints
        self.pages = 0
        self._copied = 0
        self._is_copying = False

    def use(self, writer: apsw.Connection | None, checkpointer: apsw.Connection | None) -> None:
        """The log of these connections."""
        self.pages = self._copied = 0
        if writer is not None:
            self._writer = writer
            writer.set_wal_hook(self.grew)
        if checkpointer is not None:
            self._checkpointer = checkpointer

    def grew(self, _connection: apsw.Connection, _name: str, pages: int) -> int:
        """Told by SQLite after a commit, on the commit thread."""
        self.pages = pages
        return apsw.SQLITE_OK

    @property
    def is_long(self) -> bool:
        """It is to be reset."""
        return self.pages * PAGE_SIZE >= self._bound

    @property
    def outruns(self) -> bool:
        """The disk is slower than what is written: a copy runs, and the log is twice as long as it should be."""
        return self._is_copying and self.pages * PAGE_SIZE >= 2 * self._bound

    def keep_short(self) -> None:
        """There is hardly any room: from now on it is reset as early as it is copied."""
        self._bound = min(self._bound, self._step)

    def copy_when_grown(self, then: Callable[[], None]) -> None:
        """Have it copied into the file once enough of it is new, and then call ``then``."""
        if self.pages < self._copied:  # SQLite began it anew by itself
            self._copied = 0
        grown = (self.pages - self._copied) * PAGE_SIZE
        # A reset waits for copies that run: no new one is begun.
        if grown >= self._step and not self.is_long and not self._checkpoints.pending:
            self._is_copying = True
            self._copied = self.pages

            def copied(_result: object, _error: BaseException | None) -> None:
                self._is_copying = False  # an error shows again at the reset, where it matters
                then()

            self._checkpoints.call(self._copy, copied)

    def _copy(self) -> None:
        """On the checkpoint thread: copy what can be copied without holding up anybody."""
        self._checkpointer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)

    def reset(self) -> None:
        """On the commit thread, between two batches: copy the rest and begin it anew."""
        self._writer.set_busy_timeout(200)
        try:
            self._writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        finally:
            self._writer.set_busy_timeout(0)

    def was_reset(self) -> None:
        """It is empty."""
        self.pages = self._copied = 0
        self._bound = self._most if self._room.level == PLENTY else self._step

    def was_not_reset(self) -> None:
        """It grows on for a while."""
        self._bound = self.pages * PAGE_SIZE + self._step
