"""The rows of a folder: what it is called, and what every delivery raises of it.

Rule: both rows of a folder come and go in one unit (migration 0011 says why they are two).
"""

from collections.abc import Sequence

from immpd.model.names import folder_key
from immpd.store.units import Tx


def add_folders(tx: Tx, mailbox: int, named: Sequence[tuple[bytes, str, str | None]], state: int = 0) -> int:
    """Add folders, each as its UUID, path and role, last changed at ``state``; the key of the first."""
    first = tx.take_ids("folder", len(named))
    tx.executemany(
        "INSERT INTO folder (id, mailbox, uuid, path, key, role) VALUES (?, ?, ?, ?, ?, ?)",
        [(key, mailbox, uuid, path, folder_key(path), role) for key, (uuid, path, role) in enumerate(named, first)],
    )
    tx.executemany(
        "INSERT INTO folder_count (folder, mailbox, state) VALUES (?, ?, ?)",
        [(key, mailbox, state) for key in range(first, first + len(named))],
    )
    return first


def drop_folder(tx: Tx, folder: int) -> None:
    """Remove a folder that has no messages."""
    tx.execute("DELETE FROM folder WHERE id = ?", (folder,))
    tx.execute("DELETE FROM folder_count WHERE folder = ?", (folder,))
