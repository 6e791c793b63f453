"""The store's epoch, and how a folder that was put back is recognised.

A copy knows less than what was said since it was made, so states and cursors of then must not be taken
for those of now: a store that was put back gets a new epoch. Each opening for writing counts one more, in
the database and then in a file beside it; then the database notes when that file was last touched, which
no copy can imitate (docs/why/epoch.md).

Rules: a database that is behind the file, a file that is missing, or one that was touched by somebody else
mean a new epoch; a database that is ahead by one means a start that was cut off.
"""

from collections.abc import Callable
from pathlib import Path

import apsw

from immpd.store.durable import replace_file, store_error
from immpd.store.errors import StoreDamaged
from immpd.store.room import Tell
from immpd.store.sqlite.files import translated, with_lock

COUNT = "count"
SAME = 2000
"""Milliseconds that a time of the file system may differ: some keep whole seconds."""


def take_epoch(connection: apsw.Connection, folder: Path, make_epoch: Callable[[], str], tell: Tell) -> str:
    """The epoch, renewed if the folder was put back; counts this opening. Raises store errors."""
    path = folder / COUNT

    def count() -> tuple[str, int]:
        meta = _meta(connection)
        epoch, why = meta.get("epoch"), _why_new(meta, path)
        if epoch is None or why:
            old, epoch = epoch, make_epoch()
            if old is not None:
                tell("warning", "the data folder was put back, so it has a new epoch", reason=why, was=old, now=epoch)
        following = max(int(meta.get("count", "0")), _counted(path) or 0)
        if why or meta.get("touched") != "":  # else the last start was cut off while it counted
            following += 1
        _set(connection, {"epoch": epoch, "count": str(following), "touched": ""})
        return epoch, following

    try:
        epoch, number = with_lock(connection, count)
        replace_file(path, f"{number}\n".encode())
        with_lock(connection, lambda: _set(connection, {"touched": str(_touched(path))}))
    except apsw.Error as error:
        raise translated(error) from error
    except OSError as error:
        raise store_error(error) from error
    return epoch


def read_epoch(connection: apsw.Connection, folder: Path, make_epoch: Callable[[], str], tell: Tell) -> str:
    """The epoch of a file that cannot be written; one for this run only, if the folder was put back."""
    try:
        meta = _meta(connection)
    except apsw.Error as error:
        raise translated(error) from error
    if "epoch" not in meta:
        raise StoreDamaged("the store has no epoch")
    if why := _why_new(meta, folder / COUNT):
        tell("warning", "the data folder was put back, so it has another epoch while it can only be read", reason=why)
        return make_epoch()
    return str(meta["epoch"])


def _why_new(meta: dict[str, str], path: Path) -> str:
    """Why this is no folder that was left as it is; empty if it is."""
    if "count" not in meta:
        return ""  # it was never counted
    counted = int(meta["count"])
    found = _counted(path)
    if found is None:
        # The first count may have been cut off before the file was there.
        return "" if counted == 1 and not meta["touched"] else f"{path.name} is not there"
    if found > counted:
        return "the database is older than the folder"
    if found < counted - 1 or (found < counted and meta["touched"]):
        return f"{path.name} is older than the database"
    if found == counted and meta["touched"] and abs(int(meta["touched"]) - _touched(path)) > SAME:
        return "the folder was copied"
    return ""


def _counted(path: Path) -> int | None:
    try:
        return int(path.read_text("ascii"))
    except (FileNotFoundError, ValueError):
        return None


def _touched(path: Path) -> int:
    return path.stat().st_ctime_ns // 1_000_000


def _meta(connection: apsw.Connection) -> dict[str, str]:
    return {str(key): str(value) for key, value in connection.execute("SELECT key, value FROM meta")}


def _set(connection: apsw.Connection, values: dict[str, str]) -> None:
    connection.executemany(
        "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        list(values.items()),
    ).fetchall()
