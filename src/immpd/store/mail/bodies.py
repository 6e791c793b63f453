"""Large parts: files beside the database, so that nothing large is ever one value in memory.

Rules: a file is complete, synced and named, and its folder synced, before the row that names it; a
purge writes the name down as doomed in its transaction and the file goes after the commit; at the
start files that no row names are removed. Every call to the disk runs in a helper thread.
"""

import asyncio
import fcntl
import hashlib
import os
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec

from immpd.model.message import Part
from immpd.store.contract import Store
from immpd.store.durable import store_error, sync_folder
from immpd.store.errors import NoMessage, StoreDamaged, StoreUnavailable
from immpd.store.integrity.damage import Damage
from immpd.store.room import Room
from immpd.store.units import Tx, freeing_unit, read_unit

INLINE = 256 << 10
"""Octets of a part above which it is a file."""
INLINE_TOTAL = 1 << 20
"""Octets of a message's parts in rows; parts beyond are files."""
BLOCK = 64 << 10
"""Octets read at once."""
_STEP = 200
_NAME = re.compile(r"[0-9a-z][0-9a-z-]{0,63}", re.ASCII)
_PART = ".part"

R = TypeVar("R")


class Names(msgspec.Struct, frozen=True):
    """Arguments of units about files: their names, at most some hundreds."""

    names: tuple[str, ...]


class SomeDoomed(msgspec.Struct, frozen=True):
    """Arguments of ``doomed_files``."""

    limit: int = _STEP


@read_unit
def doomed_files(tx: Tx, args: SomeDoomed) -> list[str]:
    """Names of files whose messages were purged."""
    return [row[0] for row in tx.rows("SELECT name FROM doomed_file ORDER BY name LIMIT :n", {"n": args.limit})]


@freeing_unit
def forget_doomed(tx: Tx, args: Names) -> None:
    """These doomed files are removed."""
    tx.executemany("DELETE FROM doomed_file WHERE name = ?", [(name,) for name in args.names])


@read_unit
def known_files(tx: Tx, args: Names) -> frozenset[str]:
    """Which of these names a message has."""
    rows = tx.rows_of_many("SELECT name FROM body_file WHERE name = ?", [(name,) for name in args.names])
    return frozenset(row[0] for row in rows)


def inline_places(parts: Sequence[Part], files: Mapping[int, str]) -> dict[int, slice]:
    """Where each part that is not a file lies in the message's octets."""
    places = {}
    start = 0
    for part in parts:
        if part.id not in files:
            places[part.id] = slice(start, start + part.length)
            start += part.length
    return places


class BodyFiles:
    """The folder of body files. Made in ``folder`` if it is not there; two threads do its work."""

    def __init__(
        self, folder: Path, room: Room | None = None, damage: Damage | None = None, store: Store | None = None
    ) -> None:
        """``room``: of its disk, without it nothing is refused; ``damage`` is told what is missing or altered.

        ``store`` knows whether a message still has a file that is missing; without it, all have.
        """
        self.folder = folder
        self._room = room
        self._damage = damage
        self._store = store
        folder.mkdir(mode=0o700, exist_ok=True)
        self._lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(self._lock, fcntl.LOCK_SH)
        self._threads = ThreadPoolExecutor(2, "store bodies")

    async def run(self, call: Callable[[], R]) -> R:
        """Run ``call`` in a helper thread. Raises store errors for those of the disk."""
        try:
            running = asyncio.get_running_loop().run_in_executor(self._threads, call)
        except RuntimeError as error:  # of the pool, after ``close``
            raise StoreUnavailable("the folder of body files is closed") from error
        try:
            return await running
        except OSError as error:
            raise store_error(error) from error

    def path(self, name: str) -> Path:
        """Where the file of this name lies. Raises ValueError for what is no name of ours."""
        if _NAME.fullmatch(name) is None:
            raise ValueError(f"not a name of a body file: {name!r}")
        return self.folder / name

    async def create(self, name: str) -> "BodyWriter":
        """Begin a new file; its name (lower-case letters, digits, hyphens) must never have been used."""
        against = None if self._room is None else self._room.reason_against("grows")
        if against is not None:
            raise against
        final = self.path(name)
        temporary = final.with_name(name + _PART)
        handle = await self.run(lambda: os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        return BodyWriter(self, handle, temporary, final)

    async def blocks(
        self, name: str, start: int = 0, length: int | None = None, digest: bytes | None = None
    ) -> AsyncIterator[bytes]:
        """The octets of a file from ``start`` on, ``length`` of them (None: to the end), by blocks of 64 KiB.

        Raises NoMessage if the file went with its message meanwhile, StoreDamaged if it is missing although a message
        has it, or ends before ``length`` octets; with the SHA-256 ``digest`` of
        these octets also before the last block, if they are others.
        """
        path = self.path(name)
        try:
            handle = await self.run(lambda: os.open(path, os.O_RDONLY))
        except StoreDamaged:
            if self._store is not None and not await self._store.read(known_files(Names((name,)))):
                raise NoMessage from None  # it was purged since its row was read
            raise self._lost(f"file {name} is missing") from None
        found = None if digest is None else hashlib.sha256()

        def read(size: int, at: int) -> bytes:
            octets = os.pread(handle, size, at)
            if found is not None:
                found.update(octets)
            return octets

        try:
            left = length
            while left is None or left > 0:
                size = BLOCK if left is None else min(BLOCK, left)
                block = await self.run(partial(read, size, start))
                if not block:
                    if left is not None:
                        raise self._lost(f"file {name} ends {left} octets early")
                    return
                start += len(block)
                if left is not None:
                    left -= len(block)
                if found is not None and left == 0 and found.digest() != digest:
                    raise self._lost(f"file {name} has other octets than came")
                yield block
        finally:
            os.close(handle)

    def _lost(self, what: str) -> StoreDamaged:
        if self._damage is not None:
            self._damage.found(what, structure=False)
        return StoreDamaged(what)

    async def remove(self, names: Sequence[str]) -> None:
        """Unlink files; those that are gone already do no harm."""
        paths = [self.path(name) for name in names]

        def unlink() -> None:
            for path in paths:
                path.unlink(missing_ok=True)

        await self.run(unlink)

    @contextmanager
    def alone(self) -> Iterator[bool]:
        """Whether nobody else has the folder open, nor can open it meanwhile; in this process it is for the caller."""
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            alone = True
        except BlockingIOError:
            alone = False
        try:
            yield alone
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_SH)  # what was refused is lost, too

    def close(self) -> None:
        """Let go of the threads and the lock."""
        self._threads.shutdown()
        os.close(self._lock)


class BodyWriter:
    """One file being written: ``write`` … ``finish``, or ``abandon``."""

    def __init__(self, files: BodyFiles, handle: int, temporary: Path, final: Path) -> None:
        self._files = files
        self._handle = handle
        self._temporary = temporary
        self._final = final
        self.length = 0
        """Octets written."""

    async def write(self, octets: bytes | bytearray | memoryview) -> None:
        """Append octets. Raises StoreFull and its like; then ``abandon`` it."""

        def append() -> None:
            rest = memoryview(octets)
            while rest:
                rest = rest[os.write(self._handle, rest) :]

        await self._files.run(append)
        self.length += len(octets)

    async def finish(self) -> int:
        """Put it on disk under its name; from now on a delivery may name it. Returns its length in octets."""

        def settle() -> None:
            os.fsync(self._handle)
            os.close(self._handle)
            self._handle = -1
            self._temporary.rename(self._final)
            sync_folder(self._final.parent)

        await self._files.run(settle)
        return self.length

    async def abandon(self) -> None:
        """Forget it, finished or not; only where no delivery named it."""

        def forget() -> None:
            if self._handle >= 0:
                os.close(self._handle)
                self._handle = -1
            self._temporary.unlink(missing_ok=True)
            self._final.unlink(missing_ok=True)

        await self._files.run(forget)


async def unlink_doomed(store: Store, files: BodyFiles) -> int:
    """Remove the files of purged messages, a step at a time; how many."""
    removed = 0
    while some := await unlink_some(store, files):
        removed += some
    return removed


async def unlink_some(store: Store, files: BodyFiles) -> int:
    """Remove some files of purged messages; how many."""
    names = await store.read(doomed_files(SomeDoomed()))
    if names:
        await files.remove(names)
        # If power fails before the unlinking is on disk, the sweep of the next start finds the file.
        await store.write(forget_doomed(Names(tuple(names))))
    return len(names)


async def sweep(store: Store, files: BodyFiles) -> int:
    """At the start, before anybody delivers: remove files that no message names; how many.

    Where another process has the folder open, such a file may be its delivery's: nothing is removed then.
    """
    await unlink_doomed(store, files)
    with files.alone() as alone:
        return await _sweep(store, files) if alone else 0


async def _sweep(store: Store, files: BodyFiles) -> int:
    there = await files.run(lambda: sorted(os.listdir(files.folder)))
    removed = 0
    for first in range(0, len(there), _STEP):
        step = there[first : first + _STEP]
        known = await store.read(known_files(Names(tuple(step))))
        strays = [files.folder / name for name in step if name not in known and _is_ours(name)]

        def unlink(strays: list[Path] = strays) -> None:
            for path in strays:
                path.unlink(missing_ok=True)

        await files.run(unlink)
        removed += len(strays)
    return removed


def _is_ours(name: str) -> bool:
    """Whether a file in the folder is one of ours: a stranger's is left alone."""
    return _NAME.fullmatch(name.removesuffix(_PART)) is not None
