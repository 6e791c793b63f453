"""Notifications that wait on this machine until the server can be reached: ``immp push --spool DIR``.

Rules: a file a notification and recipient, written whole or not at all and on disk before anything else happens;
what is refused is set aside with the reason; nobody but the owner can write into the folder, since what lies there
says where a token is shown; how much waits is bounded. Two processes share a folder by two locks: one is held for
an instant by who changes files, the other by who sends.
"""

import asyncio
import fcntl
import os
import secrets
import stat
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import msgspec

from immpd.net.private_file import write_private_file

from .common import UsageError
from .push_route import Card, Route

MOST = 1_000
"""Notifications that wait at once; and so many that were set aside are kept, the newest."""
MOST_OCTETS = 16 << 20
"""Octets of the files that wait."""
BUSY_SECONDS = 60.0
"""How long one waits for another process that sends."""


class SpoolFull(UsageError):
    """No more may wait: nothing was kept."""


class SpoolBusy(Exception):
    """Another process has been sending for too long."""


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A notification to one recipient, and what became of it so far."""

    to: str
    card: Card
    """Its ``ttl`` is what was or will be sent: a server knows the same notification again by the same words."""
    route: Route
    made: int
    """Milliseconds UTC."""
    ttl: int
    """Seconds from when it was made, or is shown."""
    shown: int
    """From when on it is shown, milliseconds UTC."""
    unsure: bool = True
    """A server may have it already: it goes again in the same words."""
    tries: int = 0
    tried: int = 0
    """When last, milliseconds UTC."""
    wait: int = 0
    """Seconds from then, until when it is not tried unasked."""
    whole: bool = False
    """What stood in the way concerns all that goes this way, not this recipient alone."""
    why: str = ""
    code: int = 0
    """The exit code that says so."""

    def left(self, now: int) -> int:
        """Seconds that are left of its time; at most 0 when it is over."""
        return self.ttl - max(0, now - self.shown) // 1000

    def is_due(self, now: int) -> bool:
        """Whether it has waited long enough; a clock that was put back makes nothing wait."""
        return not self.tried <= now < self.tried + self.wait * 1000


class Spool:
    """A folder with notifications that wait, in the order in which they were made."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.aside = folder / "refused"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.stat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
            raise UsageError(f"{folder} must be yours and writable by you alone (chmod 700)")

    def add(self, several: list[Kept]) -> list[str]:
        """Keep them, on disk when this returns; their names. Raises SpoolFull, OSError."""
        with self._changing():
            # Whoever wrote these is gone: writing is done under this lock.
            for path in self.folder.glob(".*.new"):
                path.unlink(missing_ok=True)
            names = self.names()
            encoded = [msgspec.json.encode(one) for one in several]
            octets = sum(map(self._octets, names)) + sum(map(len, encoded))
            if len(names) + len(several) > MOST or octets > MOST_OCTETS:
                raise SpoolFull(
                    f"{self.folder} is full: {len(names)} notifications wait there, and this one is not kept"
                )
            last = int(names[-1].partition("-")[0]) if names else 0
            made = [f"{last + n:010d}-{secrets.token_hex(4)}.json" for n in range(1, len(several) + 1)]
            for name, one in zip(made, encoded, strict=True):
                write_private_file(self.folder / name, one, replace=False)
        return made

    def names(self) -> list[str]:
        """Those that wait, the oldest first."""
        return sorted(path.name for path in self.folder.glob("[0-9]*-*.json"))

    def read(self, name: str) -> Kept | None:
        """One that waits; None where it no longer does. One that cannot be read is set aside."""
        try:
            return _read(self.folder / name)
        except msgspec.DecodeError:
            self.aside.mkdir(mode=0o700, exist_ok=True)
            os.replace(self.folder / name, self.aside / name)
            return None

    def was_set_aside(self, name: str) -> Kept | None:
        """One that was set aside, with the reason; raises msgspec.DecodeError where it cannot be read."""
        return _read(self.aside / name)

    def change(self, name: str, kept: Kept) -> None:
        """Note what is known of it now."""
        with self._changing():
            write_private_file(self.folder / name, msgspec.json.encode(kept), replace=True)

    def done(self, name: str) -> None:
        """It has arrived."""
        (self.folder / name).unlink(missing_ok=True)

    def set_aside(self, name: str, kept: Kept) -> None:
        """It will not arrive: keep it with the reason, where a person finds it."""
        with self._changing():
            write_private_file(self.aside / name, msgspec.json.encode(kept), replace=True)
            self.done(name)
            oldest = sorted(self.aside.glob("*.json"), key=lambda path: path.stat().st_mtime)
            for path in oldest[:-MOST]:
                path.unlink(missing_ok=True)

    def _octets(self, name: str) -> int:
        try:
            return (self.folder / name).stat().st_size
        except FileNotFoundError:  # it has just arrived
            return 0

    @contextmanager
    def _changing(self) -> Iterator[None]:
        with open(self.folder / ".lock", "ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @asynccontextmanager
    async def sending(self) -> AsyncIterator[None]:
        """Be the only one who sends; raises SpoolBusy."""
        end = time.monotonic() + BUSY_SECONDS
        with open(self.folder / ".sending", "ab") as lock:  # noqa: ASYNC230 - an empty file
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > end:
                        raise SpoolBusy(f"Another process has been sending from {self.folder} for long") from None
                    await asyncio.sleep(0.05)  # a lock of the system tells nobody when it is free
            yield


def _read(path: Path) -> Kept | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Kept)
    except FileNotFoundError:
        return None
