"""A large part on its way into a file: octets come from the connection, a task writes them.

Rules: files are written and synced by the store's threads, never in the loop; what waits for the disk
is counted, so that the connection stops reading; a file that no delivery names is removed.
"""

import asyncio
import hashlib
from collections.abc import Callable

from immpd.service.id_maker import IdMaker
from immpd.store.errors import StoreError
from immpd.store.mail.bodies import BodyFiles, BodyWriter


class Spool:
    """One file being written.

    ``moved`` is told how many octets more (or, negative, less) wait for the disk; ``settled`` is called
    once, when the file is on disk or with what went wrong, unless the file was discarded before.
    """

    def __init__(
        self,
        files: BodyFiles,
        ids: IdMaker,
        moved: Callable[[int], None],
        settled: Callable[[BaseException | None], None],
    ) -> None:
        self.name = ids.octets().hex()
        self._files = files
        self._moved = moved
        self._settled = settled
        self._waiting = bytearray()
        self._hash = hashlib.sha256()
        self._task: asyncio.Task[None] | None = None
        self._writer: BodyWriter | None = None
        self._ended = False
        self._on_disk = False
        self._unwanted = False

    @property
    def digest(self) -> bytes:
        """SHA-256 of all octets."""
        return self._hash.digest()

    def write(self, octets: bytes | bytearray) -> None:
        """Take octets; they are written in order."""
        if self._unwanted:
            return
        self._hash.update(octets)
        self._waiting += octets
        self._moved(len(octets))
        self._wake()

    def finish(self) -> None:
        """No more octets: sync the file, then call ``settled``."""
        self._ended = True
        self._wake()

    def discard(self) -> None:
        """The file is not wanted; it is removed however far it has come."""
        self._unwanted = True
        self._forget_waiting()
        self._wake()

    def _forget_waiting(self) -> None:
        count = len(self._waiting)
        self._waiting = bytearray()
        self._moved(-count)

    def _wake(self) -> None:
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        try:
            await self._write()
        except (OSError, StoreError) as error:
            wanted, self._unwanted = not self._unwanted, True
            self._forget_waiting()
            if wanted:
                self._settled(error)
        else:
            if self._on_disk and not self._unwanted:
                self._settled(None)
        while self._unwanted and (self._writer is not None or self._on_disk):
            await self._remove()
        self._task = None

    async def _write(self) -> None:
        while not self._unwanted:
            octets = self._waiting
            if octets:
                self._waiting = bytearray()
                try:
                    if self._writer is None:
                        self._writer = await self._files.create(self.name)
                    await self._writer.write(octets)
                finally:
                    self._moved(-len(octets))
            elif self._ended and not self._on_disk:
                if self._writer is None:
                    self._writer = await self._files.create(self.name)
                await self._writer.finish()
                self._writer = None
                self._on_disk = True
            else:
                return

    async def _remove(self) -> None:
        writer, self._writer = self._writer, None
        on_disk, self._on_disk = self._on_disk, False
        try:
            if writer is not None:
                await writer.abandon()
            elif on_disk:
                await self._files.remove([self.name])
        except (OSError, StoreError):
            pass  # the sweep at the next start finds it
