"""Room on the disk of the data folder: what is free, what is kept free, and the reserve.

Rules: what the disk says counts, asked at each commit and before each refusal; below ``keep_free`` only
what adds much is refused; the reserve is a file that is given up for what removes, and then all else is
refused until it could be made again (docs/why/full-disk.md).
"""

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, Protocol

from immpd.store.errors import StoreError, StoreFull
from immpd.store.settings import Storage
from immpd.store.units import Room as Need

RESERVE = "reserve"
PLENTY, LOW, SCARCE = 0, 1, 2
"""All goes on; what grows is refused; only what frees goes on."""

_THEN = {LOW: "deliveries are refused", SCARCE: "only reading and removing go on"}
ADVICE = (
    "make room on the disk of the data folder, and see that it can be written; then all goes on by itself"
    " (removing messages for good with MBOX DELETE +PURGE makes room too)"
)


class Tell(Protocol):
    """Where a store tells what its operator should know; from any thread."""

    def __call__(self, level: Literal["info", "warning", "error"], event: str, /, **fields: Any) -> None:
        """An event and its fields."""


def tell_nobody(level: Literal["info", "warning", "error"], event: str, /, **fields: Any) -> None:
    """For stores of which nobody wants to hear."""


def free_on(folder: Path) -> int:
    """Octets that this user may still write on the disk of the folder; very many where it does not say."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return 1 << 62
    return found.f_bavail * found.f_frsize


class Room:
    """How much room there is. ``free`` says how many octets are; any thread may ask.

    ``wanted`` is called, on any thread, when something should be given back to the disk (``Store.give_back``)
    or the reserve made again (``renew``).
    """

    def __init__(
        self,
        folder: Path,
        settings: Storage,
        tell: Tell = tell_nobody,
        free: Callable[[Path], int] = free_on,
    ) -> None:
        self._folder = folder
        self._settings = settings
        self._tell = tell
        self._free = free
        self._lock = threading.Lock()
        self._path = folder / RESERVE
        self._reserved = _length(self._path) >= settings.reserve > 0
        self._given_up = False
        """By this process, and not made again."""
        self.level = PLENTY
        self.wanted: Callable[[], None] = lambda: None
        self.look()

    @property
    def free(self) -> int:
        """Octets free now, without the reserve."""
        return self._free(self._folder)

    @property
    def keep_free(self) -> int:
        """Octets below which what grows is refused."""
        return self._settings.keep_free

    def look(self) -> None:
        """Ask the disk, and say it where that changes what may be written."""
        free = self.free
        with self._lock:
            before, self.level = self.level, self._level(free)
            changed = self.level != before
        if changed:
            self._say(free)

    def _level(self, free: int) -> int:
        bound = self._settings.keep_free
        if self.level != PLENTY:
            bound += bound // 8  # so that it does not go to and fro
        if self._given_up:
            return SCARCE
        reserve = self._settings.reserve
        if free >= bound:
            return PLENTY
        return LOW if self._reserved or not reserve or free >= reserve else SCARCE

    def _say(self, free: int) -> None:
        if self.level == PLENTY:
            self._tell("info", "there is room on the disk again", free=free)
            return
        then = _THEN[self.level]
        self._tell("warning", "the disk is nearly full", free=free, keep_free=self.keep_free, then=then, advice=ADVICE)

    def reason_against(self, need: Need) -> StoreFull | None:
        """Why what needs this must not be written now; asks the disk before it says so."""
        if need == "frees" or self.level == PLENTY or (need == "keeps" and self.level == LOW):
            return None
        self.look()
        if self.level == PLENTY or (need == "keeps" and self.level == LOW):
            return None
        if self.level == SCARCE:
            self.wanted()  # perhaps there is room by now for the reserve
        return StoreFull(f"{self.free} octets are free on the disk of {self._folder}")

    def finding(self, against: StoreError | None) -> str:
        """What an operator should know: that the disk is short of room, or why the store can only be read."""
        self.look()
        if against is not None:
            return f"the store can only be read: {against}; {ADVICE}"
        if self.level == PLENTY:
            return ""
        return f"{self.free} octets are free, storage.keep_free is {self.keep_free}: {_THEN[self.level]}; {ADVICE}"

    def give_up(self) -> bool:
        """Give the reserve to whoever needs it; False where there is none (any more)."""
        with self._lock:
            if not self._reserved:
                return False
            try:
                self._path.unlink(missing_ok=True)
            except OSError:
                return False  # the disk can only be read
            self._reserved, self._given_up = False, True
            self.level = SCARCE
        self._tell("warning", "the reserve on the disk is given up", octets=self._settings.reserve)
        self._say(self.free)
        return True

    def renew(self) -> None:
        """Make the reserve where there is none and the disk has room; takes a while, so on a thread."""
        size = self._settings.reserve
        if not self._reserved and size and self.free >= self._settings.keep_free + size:
            try:
                _allocate(self._path, size)
            except OSError as error:
                self._path.unlink(missing_ok=True)
                self._tell("warning", "no reserve on the disk", reason=error.strerror)
            else:
                with self._lock:
                    self._reserved, self._given_up = True, False
                self._tell("info", "a reserve is kept on the disk", octets=size)
        elif not size:
            self._path.unlink(missing_ok=True)
        self.look()


def _length(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _allocate(path: Path, size: int) -> None:
    path.unlink(missing_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.posix_fallocate(handle, 0, size)
        os.fsync(handle)
    finally:
        os.close(handle)
