"""Conversations: which thread a message belongs to (docs/protocol.md, "Envelope").

Rule: nothing is kept for threads beside what each row of the index says already; whoever looks for one reads rows.
"""

import msgspec

from immpd.model.message import Envelope, thread_of
from immpd.store.errors import NoMessage
from immpd.store.units import Tx, read_unit

from .mailboxes import FolderAt, folder_at


class ThreadOf(msgspec.Struct, frozen=True):
    """Arguments of ``thread_at``."""

    mailbox: int
    path: str
    id: bytes


@read_unit
def thread_at(tx: Tx, args: ThreadOf) -> str | None:
    """The thread of a message in a folder; None: there is no such folder. Raises NoMessage."""
    folder = folder_at.run(tx, FolderAt(args.mailbox, args.path))
    if folder is None:
        return None
    row = tx.one(
        "SELECT c.envelope FROM message_place m JOIN placement p ON p.folder = m.folder AND p.seq = m.seq"
        " JOIN content c ON c.id = p.content WHERE m.id = ? AND m.mailbox = ? AND m.folder = ?",
        (args.id, args.mailbox, folder.id),
    )
    if row is None:
        raise NoMessage(args.id)
    return thread_of(msgspec.json.decode(row[0], type=Envelope))
