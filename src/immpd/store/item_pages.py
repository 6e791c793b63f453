"""Reading items: what a node has, and what the nodes of a mailbox published behind a cursor.

Rules: a page is bounded, and everything up to its cursor was looked at; large bodies are read one by one
(docs/protocol.md, "Feeds").
"""

import msgspec

from immpd.model.feed import Accounting, Level
from immpd.store.items import INLINE, Item, newest_item
from immpd.store.units import Row, Tx, read_unit

ACCOUNTING = "accepted, pending, left_before, blocked, over_quota"


class NodeItems(msgspec.Struct, frozen=True):
    """Arguments of ``node_items``: the newest first."""

    node: int
    limit: int = 50


class NodeItem(msgspec.Struct, frozen=True):
    """An item as its publishers see it."""

    uuid: bytes
    title: str
    type: str
    length: int
    level: Level
    publisher: str
    created: int
    state: str
    """published, retracted or waiting."""
    accounting: Accounting
    seen: int = 0
    """Who dismissed it, of those who let the publisher know."""


class ItemsSince(msgspec.Struct, frozen=True):
    """Arguments of ``items_since``: of all nodes of a mailbox (or one), after ``since``, at most ``limit``.

    ``pull``: also what came, or comes, as a message, is muted or was dismissed.
    """

    mailbox: int
    since: int
    limit: int = 50
    pull: bool = False
    node: str = ""


class Items(msgspec.Struct, frozen=True):
    """A page of items in order; everything up to ``cursor`` was looked at."""

    items: list[Item]
    cursor: int
    more: bool


class OneItem(msgspec.Struct, frozen=True):
    """Arguments of ``item_body``."""

    seq: int


@read_unit
def node_items(tx: Tx, args: NodeItems) -> list[NodeItem]:
    """What waits for the owner, then the newest items with their accounting."""
    key = {"node": args.node, "limit": args.limit}
    waiting = [
        NodeItem(uuid, title, type_, length, level, publisher, created, "waiting", Accounting())
        for uuid, title, type_, length, level, publisher, created in tx.rows(
            "SELECT uuid, title, type, length(body), level, publisher, created FROM waiting_item"
            " WHERE node = :node ORDER BY uuid LIMIT :limit",
            key,
        )
    ]
    published = [
        NodeItem(uuid, title, type_, length, level, publisher, created, _STATES[retracted], Accounting(*rest), seen)
        for uuid, title, type_, length, level, publisher, created, retracted, seen, *rest in tx.rows(
            f"SELECT uuid, title, type, length, level, publisher, created, retracted, seen, {ACCOUNTING}"  # noqa: S608
            " FROM item WHERE node = :node AND kind = 'item' AND retracted < 2 ORDER BY seq DESC LIMIT :limit",
            key,
        )
    ]
    return waiting + published


_STATES = ("published", "retracted")
_NODES_BEHIND = (
    "SELECT s.node, s.first, s.push_from, s.push_end, s.muted, n.was FROM subscription s JOIN node n ON n.id = s.node"
    " WHERE s.mailbox = :mailbox AND s.state = 'active' AND n.last_item > :since"
)
_DISMISSED = "SELECT 1 FROM dismissal d WHERE d.item = item.seq AND d.mailbox = ?"
_ITEM_COLUMNS = (
    "seq, kind, uuid, title, type, level, publisher, created, length,"
    f" CASE WHEN length <= {INLINE} THEN body END, edition, EXISTS ({_DISMISSED})"
)
_NUMBERS_BEHIND = (
    "SELECT seq FROM item WHERE node = ? AND seq > ? AND (seq < ? OR kind <> 'item') AND retracted = 0"  # noqa: S608
    f" AND (? OR NOT EXISTS ({_DISMISSED})) ORDER BY seq LIMIT ?"
)


@read_unit
def items_since(tx: Tx, args: ItemsSince) -> Items:
    """A page of what the nodes of a mailbox published after ``since``."""
    newest = newest_item(tx)
    names: dict[int, str] = {}
    numbers: list[tuple[int, int]] = []
    for node, first, push_from, push_end, muted, imid in tx.rows(
        _NODES_BEHIND, {"mailbox": args.mailbox, "since": args.since}
    ):
        if args.node and imid != args.node:
            continue
        if not args.pull and muted:
            continue
        names[node] = imid
        since, end = (first, newest + 1) if args.pull else (push_from, push_end)
        numbers += [
            (row[0], node)
            for row in tx.rows(
                _NUMBERS_BEHIND,
                (node, max(args.since, since - 1), end, args.pull, args.mailbox, args.limit + 1),
            )
        ]
    numbers.sort()
    more = len(numbers) > args.limit
    del numbers[args.limit :]
    rows = tx.rows_of_many(
        f"SELECT {_ITEM_COLUMNS} FROM item WHERE seq = ?",  # noqa: S608
        [(args.mailbox, seq) for seq, _ in numbers],
    )
    items = [_item(row, names[node]) for row, (_, node) in zip(rows, numbers, strict=True)]
    return Items(items, items[-1].seq if more else max(newest, args.since), more)


def _item(row: Row, node: str) -> Item:
    seq, kind, uuid, title, type_, level, publisher, created, length, body, edition, dismissed = row
    return Item(seq, kind, uuid, node, title, type_, level, publisher, created, length, body, edition, bool(dismissed))


@read_unit
def item_body(tx: Tx, args: OneItem) -> bytes | None:
    """The octets of an item, None where it is gone."""
    row = tx.one("SELECT body FROM item WHERE seq = :seq AND retracted = 0", {"seq": args.seq})
    return None if row is None else bytes(row[0])
