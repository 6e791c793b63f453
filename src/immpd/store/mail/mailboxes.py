"""Mailboxes and their folders: list, check, create, rename, remove.

Rules: a folder is named by its path, case kept and compared without it; the six folders with a
role stay; making or renaming a folder makes the parents that are missing; removing one moves its
messages to TRASH, in steps (docs/protocol.md, "MBOX CREATE", "MBOX REMOVE", "MBOX CHECK").
"""

import msgspec

from immpd.model.change import Change, ChangeKind
from immpd.model.names import folder_key
from immpd.store.accounts.directory import ROLES
from immpd.store.errors import (
    FolderExists,
    FolderNotEmpty,
    FolderSpecial,
    NoFolder,
    NoMailbox,
    NoMessage,
    StateConflict,
    TooMuch,
)
from immpd.store.units import ROWS_PER_UNIT, Row, Tx, freeing_unit, read_unit, write_unit

from .filing import to_trash
from .folder_rows import add_folders, drop_folder
from .messages import STORED, FetchIds, Stored, fetch_ids
from .placing import IDS_PER_UNIT, Placed, folder_of_role
from .states import take_states


class Folder(msgspec.Struct, frozen=True):
    """A folder with its counts."""

    id: int
    uuid: bytes
    path: str
    role: str | None
    unread: int
    total: int
    state: int
    """The mailbox's number of the last change in it."""


class MailboxRow(msgspec.Struct, frozen=True):
    """A mailbox as stored."""

    id: int
    kind: str
    address: str
    state: int
    floor: int
    """Changes after this number are all known."""


class ByMailbox(msgspec.Struct, frozen=True):
    """Arguments of ``mailbox_row``."""

    mailbox: int


class ListFolders(msgspec.Struct, frozen=True):
    """Arguments of ``folders``."""

    mailbox: int


class FolderPage(msgspec.Struct, frozen=True):
    """Arguments of ``folder_page``: at most ``limit`` folders that have no role, those behind the key ``after``.

    ``below``: of those below this path only. The first page (``after`` empty) of all has the six before it.
    """

    mailbox: int
    after: str = ""
    below: str = ""
    limit: int = 100


class CountFolders(msgspec.Struct, frozen=True):
    """Arguments of ``count_folders``."""

    mailbox: int


class FolderAt(msgspec.Struct, frozen=True):
    """Arguments of ``folder_at``."""

    mailbox: int
    path: str


class FetchAt(msgspec.Struct, frozen=True):
    """Arguments of ``fetch_at``: at most some tens of ids."""

    mailbox: int
    path: str
    ids: tuple[bytes, ...]
    with_folders: bool = False


class CreateFolder(msgspec.Struct, frozen=True):
    """Arguments of ``create_folder``: ``uuids`` has a new UUID for each level of the path."""

    mailbox: int
    path: str
    uuids: tuple[bytes, ...]


class RenameFolder(msgspec.Struct, frozen=True):
    """Arguments of ``rename_folder``: ``uuids`` has a new UUID for each level of the new path."""

    mailbox: int
    path: str
    new_path: str
    uuids: tuple[bytes, ...]
    if_state: int | None = None


class RemoveFolder(msgspec.Struct, frozen=True):
    """Arguments of ``remove_folder``; ``force``: also with messages (to TRASH) and subfolders."""

    mailbox: int
    path: str
    now: int
    force: bool = False
    if_state: int | None = None


_FOLDER_COLUMNS = "SELECT f.id, f.uuid, f.path, f.role, n.unread, n.total, n.state"
_FOLDER = f"{_FOLDER_COLUMNS} FROM folder f JOIN folder_count n ON n.folder = f.id"
_RANK = {role: rank for rank, role in enumerate(ROLES)}


def _in_order(rows: list[Row]) -> list[Folder]:
    """The six first, then by path."""
    folders = [Folder(*row) for row in rows]
    folders.sort(key=lambda folder: (_RANK.get(folder.role or "", len(ROLES)), folder_key(folder.path)))
    return folders


# Keys below /a are those from '/a/' up to '/a0': 0 follows the slash.
_BELOW = " WHERE f.mailbox = :mailbox AND f.key > :low AND f.key < :high"


def _below(key: str) -> dict[str, str]:
    return {"low": f"{key}/", "high": f"{key}0"}


def _at(tx: Tx, mailbox: int, path: str) -> Folder:
    folder = folder_at.run(tx, FolderAt(mailbox, path))
    if folder is None:
        raise NoFolder(path)
    return folder


@read_unit
def mailbox_row(tx: Tx, args: ByMailbox) -> MailboxRow:
    """The mailbox. Raises NoMailbox."""
    row = tx.one(
        "SELECT m.id, m.kind, m.address, s.state, s.floor FROM mailbox m JOIN mailbox_state s ON s.mailbox = m.id"
        " WHERE m.id = :id",
        {"id": args.mailbox},
    )
    if row is None:
        raise NoMailbox
    return MailboxRow(*row)


@read_unit
def folders(tx: Tx, args: ListFolders) -> list[Folder]:
    """All folders of a mailbox: the six, then by path."""
    return _in_order(tx.rows(_FOLDER + " WHERE f.mailbox = :mailbox", {"mailbox": args.mailbox}))


@read_unit
def folder_page(tx: Tx, args: FolderPage) -> tuple[list[Folder], str | None]:
    """A page of folders, and the key to go on behind; None at the end."""
    low, high = (f"{folder_key(args.below)}/", f"{folder_key(args.below)}0") if args.below else ("", "0")
    rows = tx.rows(
        _FOLDER + _BELOW + " AND f.role IS NULL ORDER BY f.key LIMIT :limit",
        {"mailbox": args.mailbox, "low": args.after or low, "high": high, "limit": args.limit},
    )
    following = folder_key(rows[-1][2]) if len(rows) == args.limit else None
    found = [Folder(*row) for row in rows]
    if args.after or args.below:
        return found, following
    first = tx.rows_of_many(
        _FOLDER + " WHERE f.mailbox = ? AND f.key = ?", [(args.mailbox, f"/{role}") for role in ROLES]
    )
    return [Folder(*row) for row in first] + found, following


@read_unit
def count_folders(tx: Tx, args: CountFolders) -> int:
    """How many folders a mailbox has."""
    row = tx.one("SELECT count(*) FROM folder WHERE mailbox = ?", (args.mailbox,))
    assert row is not None
    return int(row[0])


@read_unit
def folder_at(tx: Tx, args: FolderAt) -> Folder | None:
    """The folder of a path, or None."""
    row = tx.one(_FOLDER + " WHERE f.mailbox = ? AND f.key = ?", (args.mailbox, folder_key(args.path)))
    return None if row is None else Folder(*row)


@read_unit
def fetch_at(tx: Tx, args: FetchAt) -> tuple[Folder, list[Stored]] | None:
    """A folder by its path, and these messages of it, at once; None: there is no such folder. Raises NoMessage."""
    if len(args.ids) == 1 and not args.with_folders:
        return _fetch_one(tx, args)
    folder = folder_at.run(tx, FolderAt(args.mailbox, args.path))
    if folder is None:
        return None
    return folder, fetch_ids.run(tx, FetchIds(args.mailbox, folder.id, args.ids, args.with_folders))


# What clients ask most often, by one statement: folder and message take no longer than either of them.
_ONE_AT = (
    f"{_FOLDER_COLUMNS}, {STORED} FROM folder f JOIN folder_count n ON n.folder = f.id"
    " LEFT JOIN message_place m ON m.id = ? AND m.mailbox = f.mailbox AND m.folder = f.id"
    " LEFT JOIN placement p ON p.folder = m.folder AND p.seq = m.seq"
    " LEFT JOIN content c ON c.id = p.content WHERE f.mailbox = ? AND f.key = ?"
)


def _fetch_one(tx: Tx, args: FetchAt) -> tuple[Folder, list[Stored]] | None:
    row = tx.one(_ONE_AT, (args.ids[0], args.mailbox, folder_key(args.path)))
    if row is None:
        return None
    if row[7] is None:
        raise NoMessage(args.ids[0])
    return Folder(*row[:7]), [Stored(*row[7:])]


class _Tree:
    """The folder changes of one unit: numbers, rows and reports."""

    def __init__(self, tx: Tx, mailbox: int, count: int) -> None:
        self._tx = tx
        self._mailbox = mailbox
        self._number = take_states(tx, {mailbox: count})[mailbox]

    def next_number(self) -> int:
        self._number += 1
        return self._number

    def tell(self, kind: ChangeKind, folder: int, path: str, old_path: str = "") -> None:
        """Tell a change under the number taken last and keep it for watchers who come later."""
        number, mailbox = self._number, self._mailbox
        self._tx.tell(Change(kind, mailbox, number, folder, path=path, old_path=old_path))
        data = msgspec.json.encode({"path": path, "old_path": old_path})
        self._tx.execute(
            "INSERT INTO change (mailbox, state, kind, folder, data) VALUES (?, ?, ?, ?, ?)",
            (mailbox, number, kind, folder, data),
        )

    def make(self, path: str, uuid: bytes) -> Folder:
        number = self.next_number()
        key = add_folders(self._tx, self._mailbox, [(uuid, path, None)], number)
        folder = Folder(key, uuid, path, None, 0, 0, number)
        self.tell("created", folder.id, path)
        return folder


def _levels(path: str) -> list[str]:
    """/a/b/c: /a, /a/b, /a/b/c."""
    names = path.split("/")[1:]
    return ["/" + "/".join(names[: level + 1]) for level in range(len(names))]


def _missing(tx: Tx, mailbox: int, path: str) -> list[tuple[int, str]]:
    """Parents of ``path`` that do not exist, with their level; written under their existing parent's case."""
    levels = _levels(path)[:-1]
    there = {
        row[0]
        for row in tx.rows_of_many(
            "SELECT key FROM folder WHERE mailbox = ? AND key = ?", [(mailbox, folder_key(one)) for one in levels]
        )
    }
    return [(level, one) for level, one in enumerate(levels) if folder_key(one) not in there]


def _spelled(tx: Tx, mailbox: int, path: str) -> str:
    """``path`` with the deepest existing parent written as that folder is."""
    for parent in reversed(_levels(path)[:-1]):
        folder = folder_at.run(tx, FolderAt(mailbox, parent))
        if folder is not None:
            return folder.path + path[len(parent) :]
    return path


@write_unit
def create_folder(tx: Tx, args: CreateFolder) -> Folder:
    """Make a folder and the parents that are missing. Raises FolderExists or NoMailbox."""
    mailbox = args.mailbox
    tx.lock("mailbox", (mailbox,))
    if folder_at.run(tx, FolderAt(mailbox, args.path)) is not None:
        raise FolderExists(args.path)
    path = _spelled(tx, mailbox, args.path)
    missing = _missing(tx, mailbox, path)
    tree = _Tree(tx, mailbox, len(missing) + 1)
    for level, parent in missing:
        tree.make(parent, args.uuids[level])
    return tree.make(path, args.uuids[path.count("/") - 1])


@write_unit
def rename_folder(tx: Tx, args: RenameFolder) -> None:
    """Give a folder, and with it those below, another path.

    Raises NoFolder, FolderSpecial, FolderExists (also for a path below itself), StateConflict, TooMuch.
    """
    mailbox = args.mailbox
    tx.lock("mailbox", (mailbox,))
    folder = _at(tx, mailbox, args.path)
    _may_change(folder, args.if_state)
    old_key, new_key = folder_key(folder.path), folder_key(args.new_path)
    if new_key.startswith(f"{old_key}/"):
        raise FolderExists(args.new_path)
    if new_key != old_key and folder_at.run(tx, FolderAt(mailbox, args.new_path)) is not None:
        raise FolderExists(args.new_path)
    below = [Folder(*row) for row in tx.rows(_FOLDER + _BELOW, {"mailbox": mailbox, **_below(old_key)})]
    if len(below) >= ROWS_PER_UNIT:
        raise TooMuch(str(len(below)))
    new_path = _spelled(tx, mailbox, args.new_path)
    missing = _missing(tx, mailbox, new_path)
    tree = _Tree(tx, mailbox, len(missing) + 1 + len(below))
    for level, parent in missing:
        tree.make(parent, args.uuids[level])
    for one in (folder, *below):
        path = new_path + one.path[len(folder.path) :]
        tx.execute("UPDATE folder SET path = ?, key = ? WHERE id = ?", (path, folder_key(path), one.id))
        tx.execute("UPDATE folder_count SET state = ? WHERE folder = ?", (tree.next_number(), one.id))
        tree.tell("renamed", one.id, path, one.path)


def _may_change(folder: Folder, if_state: int | None) -> None:
    if folder.role is not None:
        raise FolderSpecial(folder.path)
    if if_state is not None and folder.state > if_state:
        raise StateConflict


@freeing_unit
def remove_folder(tx: Tx, args: RemoveFolder) -> bool:
    """One step of removing a folder: messages to TRASH, then the folder and those below it. True once it is gone.

    Call it again (without ``if_state``) until then. Raises NoFolder, FolderSpecial, FolderNotEmpty
    (unless ``force``), StateConflict, TooMuch.
    """
    mailbox = args.mailbox
    tx.lock("mailbox", (mailbox,))
    folder = _at(tx, mailbox, args.path)
    _may_change(folder, args.if_state)
    below = [
        Folder(*row)
        for row in tx.rows(
            _FOLDER + _BELOW + " ORDER BY f.key", {"mailbox": mailbox, **_below(folder_key(folder.path))}
        )
    ]
    if not args.force and (below or folder.total):
        raise FolderNotEmpty(folder.path)
    if len(below) >= ROWS_PER_UNIT:
        raise TooMuch(str(len(below)))
    for one in (*reversed(below), folder):
        if one.total:
            _empty(tx, mailbox, one, args.now)
            return False
    tree = _Tree(tx, mailbox, 1 + len(below))
    for one in (*reversed(below), folder):
        tree.next_number()
        drop_folder(tx, one.id)
        tx.execute("UPDATE subscription SET folder = 0 WHERE mailbox = ? AND folder = ?", (mailbox, one.id))
        tree.tell("removed", one.id, one.path)
    return True


def _empty(tx: Tx, mailbox: int, folder: Folder, now: int) -> None:
    """Move the first messages of a folder to TRASH."""
    rows = tx.rows(
        "SELECT id, folder, seq, content, flags, keywords, state, placed, private FROM placement"
        " WHERE folder = :folder ORDER BY seq LIMIT :limit",
        {"folder": folder.id, "limit": IDS_PER_UNIT},
    )
    to_trash(tx, mailbox, folder_of_role(tx, mailbox, "trash"), [Placed(*row) for row in rows], now)
