"""A large part on its way into a file: octets come from the connection, a task writes them.

Rules: files are written and synced by the store's threads, never in the loop; what waits for the disk
is counted, so that the connection stops reading; a file that no delivery names is removed.
"""

import asyncio
import hashlib
from collections.abc import Callable

from immpd.store.bodies import BodyFiles, BodyWriter
from immpd.store.errors import StoreError

from .ids import IdMaker

HIGH_WATER = 4 << 20


class Spool:
    """One file being written. ``finish`` calls back when it is on disk, or with what went wrong."""

    def __init__(self, files: BodyFiles, ids: IdMaker, on_room: Callable[[], None] | None) -> None:
        self.name = ids.octets().hex()
        self.pending = 0
        """Octets that wait for the disk."""
        self.on_room = on_room
        """Called when enough was written that more may come."""
        self._files = files
        self._queue: list[bytes] = []
        self._hash = hashlib.sha256()
        self._finished: Callable[[BaseException | None], None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._writer: BodyWriter | None = None
        self._error: BaseException | None = None
        self._discarded = False
        self._whole = False

    @property
    def digest(self) -> bytes:
        """SHA-256 of all octets."""
        return self._hash.digest()

    def write(self, octets: bytes) -> None:
        """Take octets; they are written in order. Of a file that failed or is not wanted nothing is kept."""
        if self._error is not None or self._discarded:
            return
        self._hash.update(octets)
        self._queue.append(octets)
        self.pending += len(octets)
        self._wake()

    def finish(self, done: Callable[[BaseException | None], None]) -> None:
        """No more octets: sync the file and call ``done``."""
        self._finished = done
        self._wake()

    def discard(self) -> None:
        """The file is not wanted."""
        self._discarded = True
        self._queue.clear()
        self._drained(self.pending)
        self._wake()

    def keep(self) -> None:
        """The file belongs to the store now."""
        self._whole = False
        self._discarded = False

    def _wake(self) -> None:
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        try:
            await self._write()
        except (OSError, StoreError) as error:
            self._error = error
            self._queue.clear()
            self._drained(self.pending)
        self._task = None
        if self._discarded:
            await self._remove()
        elif self._finished is not None and not self._queue:
            done, self._finished = self._finished, None
            done(self._error)

    async def _write(self) -> None:
        while self._queue and self._error is None and not self._discarded:
            octets = b"".join(self._queue)
            self._queue.clear()
            if self._writer is None:
                self._writer = await self._files.create(self.name)
            await self._writer.write(octets)
            self._drained(len(octets))
        if self._finished is not None and self._error is None and not self._discarded and self._writer is not None:
            writer, self._writer = self._writer, None
            await writer.finish()
            self._whole = True

    def _drained(self, octets: int) -> None:
        """So many octets wait no longer; tell the connection when it may read on."""
        before = self.pending
        self.pending = max(0, before - octets)
        if before > HIGH_WATER >= self.pending and self.on_room is not None:
            self.on_room()

    async def _remove(self) -> None:
        if self._writer is not None:
            writer, self._writer = self._writer, None
            await writer.abandon()
        elif self._whole:
            await self._files.remove(self.name)
