"""Items that a person is done with: one row a mailbox and item, written when it happens.

Rules: what is dismissed on one device is dismissed on all, and no watch shows it any more; the publisher is told a
number alone, and only of those who agreed (docs/protocol.md, "Feeds").
"""

import msgspec

from immpd.store.errors import NoItem, NoSubscription
from immpd.store.units import Tx, freeing_unit

from .nodes import tell_of_node


class DismissItem(msgspec.Struct, frozen=True):
    """Arguments of ``dismiss_item``."""

    mailbox: int
    imid: str
    uuid: bytes


@freeing_unit
def dismiss_item(tx: Tx, args: DismissItem) -> None:
    """Note that somebody is done with an item, where it is not known. Raises NoSubscription, NoItem."""
    row = tx.one(
        "SELECT n.id, s.first, s.tells FROM node n JOIN subscription s ON s.node = n.id"
        " WHERE n.imid = :imid AND s.mailbox = :mailbox AND s.state = 'active'",
        {"imid": args.imid, "mailbox": args.mailbox},
    )
    if row is None:
        raise NoSubscription
    node, first, tells = row
    item = tx.one(
        "SELECT seq FROM item WHERE uuid = :uuid AND node = :node AND kind = 'item' AND retracted = 0"
        " AND seq >= :first",
        {"uuid": args.uuid, "node": node, "first": first},
    )
    if item is None:
        raise NoItem
    if not tx.executemany(
        "INSERT INTO dismissal (item, mailbox) VALUES (?, ?) ON CONFLICT (item, mailbox) DO NOTHING",
        [(item[0], args.mailbox)],
    ):
        return
    tx.execute("UPDATE item SET seen = seen + :tells WHERE seq = :seq", {"tells": tells, "seq": item[0]})
    tell_of_node(tx, "dismissed", args.mailbox, args.uuid, args.imid)


class ForgetDismissals(msgspec.Struct, frozen=True):
    """Arguments of ``forget_dismissals``: of the next item behind ``after``, at most ``limit`` rows."""

    after: int = 0
    limit: int = 500


@freeing_unit
def forget_dismissals(tx: Tx, args: ForgetDismissals) -> int | None:
    """A step: who was done with an item that is kept no longer; returns where to go on, None at the end."""
    row = tx.one("SELECT item FROM dismissal WHERE item > :after ORDER BY item LIMIT 1", {"after": args.after})
    if row is None:
        return None
    key = {"item": row[0], "limit": args.limit}
    if tx.one("SELECT 1 FROM item WHERE seq = :item AND retracted = 0", key) is not None:
        return int(row[0])
    rows = "SELECT mailbox FROM dismissal WHERE item = :item LIMIT :limit"
    gone = tx.executemany(f"DELETE FROM dismissal WHERE item = :item AND mailbox IN ({rows})", [key])  # noqa: S608
    return row[0] - 1 if gone == args.limit else int(row[0])
