"""Reading items: what a node has, and what the nodes of a mailbox published behind a cursor.

Rules: a page is bounded, and everything up to its cursor was looked at; large bodies are read one by one
(docs/protocol.md, "Feeds").
"""

import heapq
from collections.abc import Iterator
from itertools import islice

import msgspec

from immpd.model.feed import Accounting, Item, Level
from immpd.store.units import Row, Tx, read_unit

from .items import IN_GAP, INLINE, newest_item

MOST_LOOKED_AT = 500
"""Rows that one page looks at, whether they are shown or not."""
AHEAD = 16
"""Numbers of one node that are read at once."""
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
    "SELECT s.node, s.id, s.push_from, s.push_end, n.was,"
    # Of what is muted only the last row, which says that it is gone.
    " CASE WHEN s.muted = 1 AND :pull = 0 THEN n.last_item ELSE (SELECT i.seq FROM item i WHERE i.node = s.node"
    " AND i.seq > CASE WHEN :pull = 1 AND s.first > :since THEN s.first - 1"
    " WHEN :pull = 0 AND s.push_from > :since THEN s.push_from - 1 ELSE :since END ORDER BY i.seq LIMIT 1) END"
    " FROM subscription s JOIN node n ON n.id = s.node WHERE s.mailbox = :mailbox AND s.state = 'active'"
    " AND n.last_item > :since AND (:pull = 1 OR s.muted = 0 OR n.imid IS NULL) AND (:node = '' OR n.was = :node)"
)
_NUMBERS_BEHIND = "SELECT seq FROM item WHERE node = ? AND seq > ? ORDER BY seq LIMIT ?"
_DISMISSED = "SELECT 1 FROM dismissal d WHERE d.item = item.seq AND d.mailbox = :mailbox"
_ONE_ITEM = (
    "SELECT seq, kind, uuid, title, type, level, publisher, created, length,"  # noqa: S608
    f" CASE WHEN length <= {INLINE} THEN body END, edition, EXISTS ({_DISMISSED}) FROM item WHERE seq = :seq"
    " AND retracted = 0 AND (kind <> 'item' OR :pull = 1"
    f" OR (:pushed = 1 AND NOT EXISTS ({_DISMISSED}) AND NOT {IN_GAP}))"
)


class _Source(msgspec.Struct, frozen=True):
    """A node that has something behind a cursor."""

    node: int
    subscription: int
    push_from: int
    push_end: int
    name: str
    next: int

    def pushes(self, seq: int) -> bool:
        """Whether an item of that number is a notification, unless it lies in a gap."""
        return self.push_from <= seq < self.push_end

    def numbers(self, tx: Tx) -> Iterator[tuple[int, int]]:
        """The numbers of its rows, each with the node, in order, read a few at a time."""
        at, read = self.next, [(self.next,)]
        while read:
            for (at,) in read:
                yield at, self.node
            read = tx.rows(_NUMBERS_BEHIND, (self.node, at, AHEAD))


@read_unit
def items_since(tx: Tx, args: ItemsSince) -> Items:
    """A page of what the nodes of a mailbox published after ``since``; an empty one may have more behind it."""
    key = {"mailbox": args.mailbox, "since": args.since, "pull": int(args.pull), "node": args.node}
    sources = {row[0]: _Source(*row) for row in tx.rows(_NODES_BEHIND, key) if row[5] is not None}
    numbers = heapq.merge(*[source.numbers(tx) for source in sources.values()])
    items: list[Item] = []
    cursor, looked = args.since, 0
    while len(items) <= args.limit and looked < MOST_LOOKED_AT:
        some = dict(islice(numbers, args.limit + 1 - len(items)))
        if not some:
            return Items(items, max(newest_item(tx), args.since), False)
        looked += len(some)
        cursor = max(some)
        wanted = [
            {**key, "seq": seq, "subscription": sources[node].subscription, "pushed": int(sources[node].pushes(seq))}
            for seq, node in some.items()
        ]
        items += [_item(row, sources[some[row[0]]].name) for row in tx.rows_of_many(_ONE_ITEM, wanted)]
    if len(items) > args.limit:
        del items[args.limit :]
        cursor = items[-1].seq if items else args.since
    return Items(items, cursor, True)


def _item(row: Row, node: str) -> Item:
    seq, kind, uuid, title, type_, level, publisher, created, length, body, edition, dismissed = row
    return Item(seq, kind, uuid, node, title, type_, level, publisher, created, length, body, edition, bool(dismissed))


@read_unit
def item_body(tx: Tx, args: OneItem) -> bytes | None:
    """The octets of an item, None where it is gone."""
    row = tx.one("SELECT body FROM item WHERE seq = :seq AND retracted = 0", {"seq": args.seq})
    return None if row is None else bytes(row[0])
