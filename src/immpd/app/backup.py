"""A copy of a data folder that can be put back, made while the server runs.

Rules: the database is copied as it is at one instant; where a body file went away before it was copied, another
instant is taken; the copy is checked whole before ``backup.json`` says that it is complete; what is put back is
checked too, is never written over another store, and has a new epoch (docs/why/epoch.md).
"""

import os
import shutil
from pathlib import Path

import apsw
import msgspec

from immpd import __version__
from immpd.store.durable import replace_file, sync_folder
from immpd.store.errors import StoreDamaged
from immpd.store.integrity.verify import verify
from immpd.store.mail.bodies import BodyFiles
from immpd.store.sqlite.engine import open_sqlite
from immpd.store.sqlite.epoch import COUNT
from immpd.store.sqlite.files import FILE_NAME, translated

from .configuration import FILE
from .folder import BODIES, KEYS, Lock

MANIFEST = "backup.json"
_TRIES = 10


class Manifest(msgspec.Struct, frozen=True):
    """What ``backup.json`` says of a complete backup."""

    version: str
    bodies: int
    octets: int
    """Of the database and the body files."""


class NoBackup(Exception):
    """The folder cannot be made into a backup, or put back; the text says why."""


async def back_up(data: Path, target: Path) -> Manifest:
    """Copy the data folder to ``target``, which is made; raises NoBackup, StoreError and OSError."""
    manifest = _copy_all(data, target)
    await _check(target)
    replace_file(target / MANIFEST, msgspec.json.encode(manifest) + b"\n")
    return manifest


async def put_back(backup: Path, data: Path) -> Manifest:
    """Put a backup back as the data folder ``data``; raises NoBackup, DataFolderInUse, StoreError and OSError."""
    try:
        manifest = msgspec.json.decode((backup / MANIFEST).read_bytes(), type=Manifest)
    except (FileNotFoundError, msgspec.DecodeError):
        raise NoBackup(f"{backup} is no complete backup: it has no {MANIFEST}") from None
    lock = _locked(data)
    try:
        _put_all(backup, data)
        await _check(data, keep_count=True)  # its first opening gives it its new epoch
    finally:
        lock.release()
    return manifest


def _copy_all(data: Path, target: Path) -> Manifest:
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(target.iterdir()):
        raise NoBackup(f"{target} is not empty")
    names = _copy_store(data, target)
    if (data / KEYS).is_dir():
        shutil.copytree(data / KEYS, target / KEYS)
    if (data / FILE).exists():
        shutil.copy2(data / FILE, target / FILE)
    _settle(target)
    octets = sum(path.stat().st_size for path in (target / FILE_NAME, *(target / BODIES).iterdir()))
    return Manifest(__version__, len(names), octets)


def _locked(data: Path) -> Lock:
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Lock(data)


def _put_all(backup: Path, data: Path) -> None:
    if any((data / name).exists() for name in (FILE_NAME, BODIES)):
        raise NoBackup(f"{data} has a store already; name another folder")
    shutil.copytree(backup / BODIES, data / BODIES)
    if (backup / KEYS).is_dir():
        shutil.copytree(backup / KEYS, data / KEYS, dirs_exist_ok=True)
    if not (data / FILE).exists() and (backup / FILE).exists():
        shutil.copy2(backup / FILE, data / FILE)
    shutil.copy2(backup / FILE_NAME, data / FILE_NAME)
    _settle(data)


def _settle(folder: Path) -> None:
    """Put every file and every name on disk."""
    for path in folder.rglob("*"):
        if path.is_dir():
            sync_folder(path)
        elif path.is_file():
            handle = os.open(path, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
    sync_folder(folder)


def _copy_store(data: Path, target: Path) -> set[str]:
    """The database at one instant, and the body files that it names."""
    (target / BODIES).mkdir(mode=0o700)
    for _ in range(_TRIES):
        (target / FILE_NAME).unlink(missing_ok=True)
        try:
            source = apsw.Connection(str(data / FILE_NAME), flags=apsw.SQLITE_OPEN_READWRITE)
            try:
                source.set_busy_timeout(5000)
                source.execute("VACUUM INTO ?", (str(target / FILE_NAME),)).fetchall()
            finally:
                source.close(True)
            copy = apsw.Connection(str(target / FILE_NAME), flags=apsw.SQLITE_OPEN_READONLY)
            try:
                names = {str(row[0]) for row in copy.execute("SELECT name FROM body_file")}
            finally:
                copy.close(True)
        except apsw.Error as error:
            raise translated(error) from error
        (target / FILE_NAME).chmod(0o600)
        if _copy_bodies(data / BODIES, target / BODIES, names):
            return names
    raise NoBackup("Messages were removed faster than they could be copied; try again")


def _copy_bodies(source: Path, target: Path, names: set[str]) -> bool:
    """Copy those that are not there yet, and drop those that are named no more; False where one went away."""
    there = {path.name for path in target.iterdir()}
    for name in there - names:
        (target / name).unlink()
    for name in sorted(names - there):
        try:
            shutil.copy2(source / name, target / name)
        except FileNotFoundError:
            (target / name).unlink(missing_ok=True)
            return False
    return True


async def _check(folder: Path, *, keep_count: bool = False) -> None:
    """Everything in the copy is as it should be; raises StoreDamaged."""
    store = await open_sqlite(folder)
    files = BodyFiles(folder / BODIES)
    try:
        found = await verify(store, files)
    finally:
        files.close()
        await store.close()
    if not keep_count:
        (folder / COUNT).unlink(missing_ok=True)
    if found:
        first = found[0]
        raise StoreDamaged(f"{len(found)} findings in the copy, the first: {first.kind} {first.what}: {first.detail}")
