# ruff: noqa: S608  (SQL is put together from constants of this module only)
"""Removing an account: closed for good in one unit, and what it had goes in steps.

Rules: the row of the account and that of its mailbox stay, so the address is never given again and no number
means another mailbox; a step takes what it finds first and looks at everything again, so it may stop anywhere
and what came late goes too; counts are exact after each (docs/protocol.md, "ACCOUNT REMOVE").
"""

import msgspec

from immpd.model.flags import Flag
from immpd.model.news import SessionsEnd
from immpd.store.errors import NoAccount, OwnsNodes
from immpd.store.feeds.nodes import count_subscribers
from immpd.store.mail.folder_rows import drop_folder
from immpd.store.mail.placing import release
from immpd.store.mail.states import take_states
from immpd.store.push.consent import remove_tokens
from immpd.store.units import Tx, freeing_unit, read_unit

MESSAGES = 100
"""Messages that one step removes: each takes up to seven rows."""
ROWS = 300
"""Other rows that one step removes; of changes each takes two."""
AUTHORED = 1000
"""Notifications of others that one step looks at."""
NAMED = 10
"""Nodes that are named where an account cannot be removed because of them."""


class RemoveAccount(msgspec.Struct, frozen=True):
    """Arguments of ``remove_account``. ``now``: milliseconds UTC."""

    address: str
    now: int


class RemoveSome(msgspec.Struct, frozen=True):
    """Arguments of ``remove_some``: at most so many messages, rows, and notifications looked at."""

    messages: int = MESSAGES
    rows: int = ROWS
    authored: int = AUTHORED


class RemovalStep(msgspec.Struct, frozen=True):
    """What a step did. ``more``: another one is needed; ``finished``: address of the account of which all is gone."""

    more: bool
    finished: str = ""


@freeing_unit
def remove_account(tx: Tx, args: RemoveAccount) -> None:
    """Close an account for good: no log-in, no delivery, no token. Raises NoAccount, OwnsNodes."""
    row = tx.one(
        "SELECT id, mailbox FROM account WHERE address = :address AND removed IS NULL", {"address": args.address}
    )
    if row is None:
        raise NoAccount(args.address)
    account, mailbox = row
    tx.lock("account", (account,))
    tx.lock("mailbox", (mailbox,))
    nodes = tx.rows(
        "SELECT imid FROM node WHERE owner = :account AND imid IS NOT NULL ORDER BY imid LIMIT :n",
        {"account": account, "n": NAMED + 1},
    )
    if nodes:
        raise OwnsNodes(tuple(node[0] for node in nodes[:NAMED]), more=len(nodes) > NAMED)
    # Salt and rounds stay: the name goes on to look like any other.
    closed = tx.one(
        "UPDATE account SET disabled = 1, removed = :now, stored_key = :none, server_key = :none, sealed = NULL"
        " WHERE id = :account AND removed IS NULL RETURNING 1",
        {"now": args.now, "none": b"", "account": account},
    )
    if closed is None:
        raise NoAccount(args.address)
    tx.execute("UPDATE mailbox_state SET closed = 1 WHERE mailbox = :mailbox", {"mailbox": mailbox})
    remove_tokens(tx, mailbox)
    tx.execute(
        "INSERT INTO removal (account, mailbox) VALUES (:account, :mailbox)", {"account": account, "mailbox": mailbox}
    )
    tx.tell(SessionsEnd(args.address, "removed"))


@read_unit
def any_removal(tx: Tx, _: None) -> bool:
    """Whether a removed account still has something."""
    return tx.one("SELECT 1 FROM removal LIMIT 1") is not None


@freeing_unit
def remove_some(tx: Tx, args: RemoveSome) -> RemovalStep:
    """One step of removing what removed accounts had, one account after the other."""
    row = tx.one(
        "SELECT r.account, r.mailbox, r.notification, a.address FROM removal r JOIN account a ON a.id = r.account"
        " ORDER BY r.account LIMIT 1"
    )
    if row is None:
        return RemovalStep(more=False)
    account, mailbox, notification, address = row
    tx.lock("mailbox", (mailbox,))
    if (
        _forget_rows(tx, account, mailbox, address, args.rows)
        or _leave_nodes(tx, mailbox, args.rows)
        or _empty_folders(tx, mailbox, args.messages)
        or _forget_changes(tx, mailbox, args.rows)
        or _disown(tx, account, mailbox, notification, args.authored)
    ):
        return RemovalStep(more=True)
    tx.execute("DELETE FROM removal WHERE account = :account", {"account": account})
    return RemovalStep(more=True, finished=address)


_OWN = (
    ("notification", "mailbox = :mailbox", "id"),
    ("push_allow", "mailbox = :mailbox", "mailbox, origin"),
    ("push_request", "mailbox = :mailbox", "mailbox, origin"),
    ("push_token", "mailbox = :mailbox", "id"),
    ("push_grant", "mailbox = :mailbox", "mailbox, code"),
    ("push_answer", "mailbox = :mailbox", "mailbox, address"),
    ("setting", "mailbox = :mailbox", "mailbox, name"),
    ("position", "account = :account", "account, device, name, mailbox"),
    ("node_member", "address = :address", "node, address"),
)
"""Rows that no count depends on: the table, which, and the key."""


def _forget_rows(tx: Tx, account: int, mailbox: int, address: str, limit: int) -> bool:
    """Permissions, settings, notifications, kept positions, memberships."""
    given = {"account": account, "mailbox": mailbox, "address": address, "limit": limit}
    return any(
        tx.executemany(
            f"DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM {table} WHERE {which} LIMIT :limit)",
            [given],
        )
        for table, which, key in _OWN
    )


def _leave_nodes(tx: Tx, mailbox: int, limit: int) -> bool:
    """Subscriptions; an item on its way counts who is gone as one who left."""
    rows = tx.rows(
        "DELETE FROM subscription WHERE id IN (SELECT id FROM subscription WHERE mailbox = :mailbox LIMIT :limit)"
        " RETURNING node, state, form",
        {"mailbox": mailbox, "limit": limit},
    )
    for node, state, form in rows:
        if state == "active":
            count_subscribers(tx, node, -1, -int(form == "message"))
    return bool(rows)


def _empty_folders(tx: Tx, mailbox: int, limit: int) -> bool:
    """Messages of a folder, and the folder when it has none; octets that others hold too stay theirs."""
    found = tx.one("SELECT id FROM folder WHERE mailbox = :mailbox ORDER BY id LIMIT 1", {"mailbox": mailbox})
    if found is None:
        return False
    folder = int(found[0])
    rows = tx.rows(
        "SELECT seq, id, content, flags FROM placement WHERE folder = :folder ORDER BY seq LIMIT :limit",
        {"folder": folder, "limit": limit},
    )
    if not rows:
        drop_folder(tx, folder)
        return True
    number = take_states(tx, {mailbox: 1})[mailbox] + 1
    tx.executemany("DELETE FROM placement WHERE folder = ? AND seq = ?", [(folder, row[0]) for row in rows])
    tx.executemany(
        "DELETE FROM message_place WHERE id = ? AND mailbox = ? AND folder = ?",
        [(row[1], mailbox, folder) for row in rows],
    )
    tx.executemany("DELETE FROM trashed WHERE id = ? AND mailbox = ?", [(row[1], mailbox) for row in rows])
    unread = sum(not row[3] & Flag.READ for row in rows)
    tx.execute(
        "UPDATE folder_count SET total = total - :total, unread = unread - :unread, state = :state"
        " WHERE folder = :folder",
        {"total": len(rows), "unread": unread, "state": number, "folder": folder},
    )
    less: dict[int, int] = {}
    for row in rows:
        less[row[2]] = less.get(row[2], 0) + 1
    release(tx, less)
    return True


def _forget_changes(tx: Tx, mailbox: int, limit: int) -> bool:
    """Changes, and where messages were that left a folder: each has a change that says so."""
    rows = tx.rows(
        "SELECT state, id, kind, folder, origin FROM change WHERE mailbox = :mailbox ORDER BY state LIMIT :limit",
        {"mailbox": mailbox, "limit": limit},
    )
    tx.executemany("DELETE FROM change WHERE mailbox = ? AND state = ?", [(mailbox, row[0]) for row in rows])
    tx.executemany(
        "DELETE FROM gone WHERE id = ? AND mailbox = ? AND folder = ?",
        [
            (id_, mailbox, origin if kind == "moved" else folder)
            for _, id_, kind, folder, origin in rows
            if kind in ("moved", "gone")
        ],
    )
    return bool(rows)


def _disown(tx: Tx, account: int, mailbox: int, after: int, limit: int) -> bool:
    """Nobody is told any more how others answer what the account had sent them."""
    rows = tx.rows(
        "SELECT id FROM notification WHERE id > :after ORDER BY id LIMIT :limit", {"after": after, "limit": limit}
    )
    if not rows:
        return False
    tx.execute(
        "UPDATE notification SET author = NULL WHERE id > :after AND id <= :last AND author = :mailbox",
        {"after": after, "last": rows[-1][0], "mailbox": mailbox},
    )
    tx.execute(
        "UPDATE removal SET notification = :last WHERE account = :account AND notification = :after",
        {"last": rows[-1][0], "account": account, "after": after},
    )
    return True
