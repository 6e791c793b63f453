"""Where messages lie: the rows of a change to them, collected and written in few statements.

Rules: each row of ``placement`` has its twin in ``message_place``; counts of folders and references
to content change with them; content that no folder holds any more goes, and its files are doomed.
"""

from collections.abc import Sequence

import msgspec

from immpd.model.change import Change, ChangeKind
from immpd.model.flags import Flag
from immpd.store.errors import NoFolder, NoMessage, StateConflict, TooMuch
from immpd.store.units import Tx, read_unit

IDS_PER_UNIT = 200
"""Messages that one unit may change: each takes up to six rows."""
_READ = int(Flag.READ)


class Placed(msgspec.Struct, frozen=True):
    """A message in one folder, as its placement says."""

    id: bytes
    folder: int
    seq: int
    content: int
    flags: int
    keywords: str | None
    state: int
    placed: int
    private: bytes | None


PLACED = (
    "SELECT m.id, m.folder, m.seq, p.content, p.flags, p.keywords, p.state, p.placed, p.private"
    " FROM message_place m JOIN placement p ON p.folder = m.folder AND p.seq = m.seq WHERE m.id = ? AND m.mailbox = ?"
)


def messages_of(tx: Tx, mailbox: int, folder: int, ids: tuple[bytes, ...], if_state: int | None) -> list[Placed]:
    """The messages, each once. Raises TooMuch, NoMessage, StateConflict."""
    ids = tuple(dict.fromkeys(ids))
    if len(ids) > IDS_PER_UNIT:
        raise TooMuch(str(len(ids)))
    found = [Placed(*row) for row in tx.rows_of_many(PLACED + " AND m.folder = ?", [(i, mailbox, folder) for i in ids])]
    if len(found) != len(ids):
        there = {message.id for message in found}
        raise NoMessage(*(one for one in ids if one not in there))
    if if_state is not None and (changed := [message.id for message in found if message.state > if_state]):
        raise StateConflict(*changed)
    return found


def folder_role(tx: Tx, mailbox: int, folder: int) -> str | None:
    """The role of a folder. Raises NoFolder."""
    row = tx.one("SELECT role FROM folder WHERE id = ? AND mailbox = ?", (folder, mailbox))
    if row is None:
        raise NoFolder
    role: str | None = row[0]
    return role


def folder_of_role(tx: Tx, mailbox: int, role: str) -> int:
    """The folder with this role, which every mailbox has. Raises NoFolder."""
    row = tx.one("SELECT id FROM folder WHERE mailbox = ? AND key = ?", (mailbox, f"/{role}"))
    if row is None:
        raise NoFolder(role)
    return int(row[0])


class OfRole(msgspec.Struct, frozen=True):
    """Arguments of ``folders_of_role``."""

    mailboxes: tuple[int, ...]
    role: str


@read_unit
def folders_of_role(tx: Tx, args: OfRole) -> dict[int, int]:
    """By mailbox, the folder with this role; a mailbox that is gone is not there."""
    found = tx.rows_of_many(
        "SELECT mailbox, id FROM folder WHERE mailbox = ? AND key = ?",
        [(mailbox, f"/{args.role}") for mailbox in args.mailboxes],
    )
    return dict(found)


class Filing:
    """The rows of one unit on one mailbox, written by a constant number of statements."""

    def __init__(self, mailbox: int) -> None:
        self.mailbox = mailbox
        self.changes: list[Change] = []
        self._left: list[Placed] = []
        self._came: list[tuple[Placed, int, int]] = []
        self._noted: list[tuple[object, ...]] = []
        self._counts: dict[int, tuple[int, int, int]] = {}
        self._refs: dict[int, int] = {}

    def leave(self, message: Placed, number: int) -> None:
        """It is no longer in its folder."""
        self._left.append(message)
        self._count(message.folder, -1, -(not message.flags & _READ), number)
        self._refs[message.content] = self._refs.get(message.content, 0) - 1

    def come(self, message: Placed, folder: int, number: int) -> None:
        """It is in ``folder`` from now on."""
        self._came.append((message, folder, number))
        self._count(folder, 1, int(not message.flags & _READ), number)
        self._refs[message.content] = self._refs.get(message.content, 0) + 1

    def touch(self, folder: int, unread: int, number: int) -> None:
        """A message of this folder changed."""
        self._count(folder, 0, unread, number)

    def tell(
        self,
        kind: ChangeKind,
        message: Placed,
        number: int,
        folder: int,
        *,
        origin: int = 0,
        folders: tuple[int, ...] = (),
        keep: bool = True,
    ) -> None:
        """Report a change, and keep it for watchers who come later unless the placement itself says it."""
        keywords = () if message.keywords is None else tuple(message.keywords.split())
        self.changes.append(
            Change(kind, self.mailbox, number, folder, message.id, origin, message.flags, keywords, folders=folders)
        )
        if keep:
            rest = msgspec.json.encode({"flags": message.flags, "keywords": keywords, "folders": folders})
            self._noted.append((self.mailbox, number, kind, folder, message.id, origin, rest))

    def _count(self, folder: int, total: int, unread: int, number: int) -> None:
        old = self._counts.get(folder, (0, 0, 0))
        self._counts[folder] = (old[0] + total, old[1] + unread, max(old[2], number))

    def write(self, tx: Tx) -> tuple[Change, ...]:
        """Write all of it, tell it, and return the changes in order."""
        mailbox, left, came = self.mailbox, self._left, self._came
        if left:
            tx.executemany("DELETE FROM placement WHERE folder = ? AND seq = ?", [(m.folder, m.seq) for m in left])
            places = [(m.id, mailbox, m.folder) for m in left]
            tx.executemany("DELETE FROM message_place WHERE id = ? AND mailbox = ? AND folder = ?", places)
            tx.executemany(
                "INSERT INTO gone (id, mailbox, folder, seq) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (id, mailbox, folder) DO UPDATE SET seq = excluded.seq",
                [(m.id, mailbox, m.folder, m.seq) for m in left],
            )
        if came:
            tx.executemany(
                "INSERT INTO placement (folder, seq, id, content, flags, keywords, state, placed, private)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [(f, n, m.id, m.content, m.flags, m.keywords, n, m.placed, m.private) for m, f, n in came],
            )
            tx.executemany(
                "INSERT INTO message_place (mailbox, id, folder, seq) VALUES (?, ?, ?, ?)",
                [(mailbox, m.id, f, n) for m, f, n in came],
            )
        counts = [(total, unread, state, folder) for folder, (total, unread, state) in self._counts.items()]
        tx.executemany(
            "UPDATE folder_count SET total = total + ?, unread = unread + ?, state = ? WHERE folder = ?", counts
        )
        if self._noted:
            tx.executemany(
                "INSERT INTO change (mailbox, state, kind, folder, id, origin, data) VALUES (?, ?, ?, ?, ?, ?, ?)",
                self._noted,
            )
        self._write_refs(tx)
        tx.tell(*self.changes)
        return tuple(self.changes)

    def _write_refs(self, tx: Tx) -> None:
        more = [(content, 1 + by) for content, by in self._refs.items() if by > 0]
        if more:
            tx.executemany(
                "INSERT INTO shared (content, refs) VALUES (?, ?)"
                " ON CONFLICT (content) DO UPDATE SET refs = shared.refs + excluded.refs - 1",
                more,
            )
        less = {content: -by for content, by in self._refs.items() if by < 0}
        if less:
            release(tx, less)


def release(tx: Tx, less: dict[int, int]) -> None:
    """Take ``less[content]`` placements off each content; what has none left goes, its files are doomed.

    Mailboxes that share a content do not wait for each other's locks: only what the UPDATE came to tells who was last.
    """
    taken = tx.rows_of_many(
        "UPDATE shared SET refs = refs - ? WHERE content = ? RETURNING content, refs",
        [(by, content) for content, by in less.items()],
    )
    left: dict[int, int] = dict(taken)
    unshared = [(content,) for content, n in taken if n <= 1]
    if unshared:
        tx.executemany("DELETE FROM shared WHERE content = ?", unshared)
    dead = [(content,) for content in less if left.get(content, 0) <= 0]  # what nobody shared has no row
    if dead:
        files = tx.rows_of_many("DELETE FROM content WHERE id = ? AND files IS NOT NULL RETURNING id", dead)
        tx.executemany("DELETE FROM content WHERE id = ?", dead)
        if files:
            names = tx.rows_of_many("DELETE FROM body_file WHERE content = ? RETURNING name", files)
            tx.executemany("INSERT INTO doomed_file (name) VALUES (?) ON CONFLICT (name) DO NOTHING", names)


def already_in(tx: Tx, mailbox: int, folder: int, messages: Sequence[Placed]) -> set[bytes]:
    """Which of these messages lie in ``folder`` too."""
    rows = tx.rows_of_many(
        "SELECT id FROM message_place WHERE id = ? AND mailbox = ? AND folder = ?",
        [(message.id, mailbox, folder) for message in messages],
    )
    return {row[0] for row in rows}
