"""A disk that forgets: an SQLite VFS that knows which writes were synced and which power would take away.

Two rules: a write is safe only after xSync of its file; of what is not synced, power failure may
keep any sectors in any order. ``photograph`` is the disk after a power failure at this instant.
"""

import random
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import apsw

SECTOR = 512


class Disk:
    """The files as the platter has them, and the writes that have not come there yet."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._safe: dict[str, bytearray] = {}
        self._pending: dict[str, list[tuple[int, bytes] | int]] = {}
        self.honest = True
        """False: xSync says yes and does nothing, as a program that forgot to sync."""
        self.syncs: dict[str, int] = {}
        """How often each file was synced, by name."""
        self.each: Callable[[], None] = lambda: None
        """Called before every write and sync, on whatever thread."""
        self.fault: Callable[[str, str], None] = lambda what, name: None
        """Called with ('write' | 'sync', file name); may raise what the disk says."""

    def write(self, name: str, offset: int, data: bytes) -> None:
        with self._lock:
            self._pending.setdefault(name, []).append((offset, data))

    def truncate(self, name: str, size: int) -> None:
        with self._lock:
            self._pending.setdefault(name, []).append(size)

    def delete(self, name: str) -> None:
        with self._lock:
            self._pending.pop(name, None)
            self._safe.pop(name, None)

    def sync(self, name: str) -> None:
        with self._lock:
            self.syncs[name] = self.syncs.get(name, 0) + 1
            if self.honest:
                file = self._safe.setdefault(name, bytearray())
                for one in self._pending.pop(name, []):
                    _apply(file, one)

    def photograph(self, chance: random.Random | None = None) -> dict[str, bytes]:
        """The files after a power failure now: what was synced and, with ``chance``, some sectors of the rest."""
        with self._lock:
            files = {name: bytearray(data) for name, data in self._safe.items()}
            if chance is not None:
                for name, pending in self._pending.items():
                    file = files.setdefault(name, bytearray())
                    for one in pending:
                        if isinstance(one, int):
                            if chance.random() < 0.5:
                                _apply(file, one)
                            continue
                        offset, data = one
                        for start in range(0, len(data), SECTOR):
                            if chance.random() < 0.5:
                                _apply(file, (offset + start, data[start : start + SECTOR]))
        return {name: bytes(data) for name, data in files.items()}


def _apply(file: bytearray, one: tuple[int, bytes] | int) -> None:
    if isinstance(one, int):
        del file[one:]
        file.extend(bytes(max(0, one - len(file))))
        return
    offset, data = one
    if offset > len(file):
        file.extend(bytes(offset - len(file)))
    file[offset : offset + len(data)] = data


class _File(apsw.VFSFile):
    def __init__(self, disk: Disk, base: str, filename: str | apsw.URIFilename | None, flags: list[int]) -> None:
        super().__init__(base, filename, flags)  # type: ignore[arg-type]
        path = filename.filename() if isinstance(filename, apsw.URIFilename) else filename
        self._disk = disk
        self._name = "" if path is None else Path(path).name

    def xWrite(self, data: bytes, offset: int) -> None:
        self._disk.each()
        self._disk.fault("write", self._name)
        super().xWrite(data, offset)
        self._disk.write(self._name, offset, bytes(data))

    def xTruncate(self, newsize: int) -> None:
        super().xTruncate(newsize)
        self._disk.truncate(self._name, newsize)

    def xSync(self, flags: int) -> None:
        self._disk.each()
        self._disk.fault("sync", self._name)
        super().xSync(flags)
        self._disk.sync(self._name)


class UnsyncedVFS(apsw.VFS):
    """The VFS over a ``Disk``, registered under its name while it is entered; ``default``: for whatever is opened."""

    def __init__(self, name: str = "unsynced", *, default: bool = False) -> None:
        self.name = name
        self.disk = Disk()
        self._base = apsw.vfs_names()[0]
        super().__init__(name, self._base, default)

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:
        return _File(self.disk, self._base, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        super().xDelete(filename, syncdir)
        self.disk.delete(Path(filename).name)

    def __enter__(self) -> "UnsyncedVFS":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.unregister()


def develop(photograph: dict[str, bytes], folder: Path) -> None:
    """Write a photograph's files into a folder, where a store can be opened on them."""
    folder.mkdir()
    for name, data in photograph.items():
        (folder / name).write_bytes(data)
