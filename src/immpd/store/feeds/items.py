"""Items: what was published, once, for all who subscribed.

Rules: an item's number is taken in the transaction that stores it, so numbers rise in the order of commits;
publishing writes one row whatever the number of subscribers; the same ID publishes once, with other content a
new edition; everything that happens to a node's items is a row of the same sequence, and is told to who watches it
(docs/protocol.md, "Feeds").
"""

import hashlib

import msgspec

from immpd.model.feed import Accounting, Item, ItemHint, Level, Node
from immpd.model.news import Wake
from immpd.store.errors import FeedsFull, IdReused, NoItem, NotPublisher
from immpd.store.ids import uuid_text
from immpd.store.mail.deliver import retry_key
from immpd.store.units import Tx, freeing_unit, growing_unit, read_unit

from .keeping import REPLACED, RETRACTED, count_rows
from .nodes import DAY, expect_sign, find_node, owned_node, publishes, refusal

INLINE = 4096
"""Octets of a body that an event brings along."""
FAN_OUT = "fan-out"
"""The job that delivers items as messages, as it is woken."""
MOST_WAITING = 1000
"""Items of one node that may wait for its owner."""
MOST_WAITING_OF_ONE = 100
"""Of those that wait, of one publisher: nobody alone keeps others from being heard."""
IN_GAP = (
    "coalesce((SELECT gap_end FROM push_gap WHERE subscription = :subscription AND gap_from <= seq"
    " ORDER BY gap_from DESC LIMIT 1), 0) > seq"
)
"""Whether an item lies where a subscription brought no notifications for a while."""


class PublishItem(msgspec.Struct, frozen=True):
    """Arguments of ``publish``."""

    imid: str
    account: int
    """Who publishes."""
    address: str
    origin: str
    """The domain that vouches for it."""
    uuid: bytes
    keyed: bool
    """The publisher gave the ID: the same again is the same item, or a new edition of it."""
    title: str
    type: str
    level: Level
    body: bytes
    now: int
    renews: bool = True
    """Other content under the same ID is a new edition; else it is refused."""

    @property
    def weight(self) -> int:
        """Octets that it takes while it waits."""
        return 1024 + len(self.body)


class CheckPublisher(msgspec.Struct, frozen=True):
    """Arguments of ``check_publisher``."""

    imid: str
    account: int
    address: str
    named: bool = False
    """Only the owner and whom the owner named count, not every subscriber of a mailing list."""


class Published(msgspec.Struct, frozen=True):
    """What became of it: published now or before, or waiting for the owner (``seq`` 0)."""

    seq: int
    new: bool
    accounting: Accounting
    edition: int = 1


class NameItem(msgspec.Struct, frozen=True):
    """Arguments of ``retract`` and ``accept_item``."""

    imid: str
    account: int
    address: str
    uuid: bytes
    now: int


_ACCOUNTING = "accepted, pending, left_before, blocked, over_quota"


@growing_unit
def publish(tx: Tx, args: PublishItem) -> Published:
    """Store an item. Raises NoNode, NotPublisher, IdReused, FeedsFull."""
    tx.lock("node name", (args.imid,))
    node, trusted = _checked(tx, args)
    if args.keyed and not _remember(tx, node, args):
        if _waits(tx, node, args.uuid):
            return Published(0, True, Accounting())
        row = tx.one(
            f"SELECT seq, edition, {_ACCOUNTING} FROM item"  # noqa: S608
            " WHERE uuid = :uuid AND node = :node AND kind = 'item' AND retracted = 0",
            {"uuid": args.uuid, "node": node.id},
        )
        if row is None:  # retracted, or kept no longer
            return Published(0, False, Accounting())
        return Published(row[0], False, Accounting(*row[2:]), row[1])
    if not trusted and node.moderated:
        _wait(tx, node, args)
        return Published(0, True, Accounting())
    expect_sign(tx, node, args.now)
    return _store(tx, node, args.uuid, args.address, args.level, args.title, args.type, args.body, args.now)


def say_silent(tx: Tx, node: Node, owner: str, uuid: bytes, title: str, body: bytes, now: int) -> None:
    """Publish, in the owner's name, that the node fell silent; which is no sign of life."""
    _store(tx, node, uuid, owner, "high", title, "text/plain", body, now)


@read_unit
def check_publisher(tx: Tx, args: CheckPublisher) -> None:
    """Raise NoNode or NotPublisher where ``publish`` would."""
    node, trusted = _checked(tx, args)
    if args.named and not trusted:
        raise refusal(tx, node, args.account, NotPublisher(args.imid))


def _checked(tx: Tx, args: PublishItem | CheckPublisher) -> tuple[Node, bool]:
    """The node, and whether nobody is asked about what the account publishes there."""
    node = find_node(tx, args.imid)
    trusted = publishes(tx, node, args.account, args.address)
    if not trusted:
        key = {"node": node.id, "subscriber": args.address}
        if not node.list or tx.one(_SUBSCRIBED, key) is None:
            raise refusal(tx, node, args.account, NotPublisher(args.imid))
    return node, trusted


_SUBSCRIBED = (
    "SELECT 1 FROM account a JOIN subscription s ON s.mailbox = a.mailbox"
    " WHERE a.address = :subscriber AND s.node = :node AND s.state = 'active'"
)


def _remember(tx: Tx, node: Node, args: PublishItem) -> bool:
    """Keep the ID; False where the item or an edition of it came before. Raises IdReused where another used it."""
    said = "\0".join((args.title, args.type, args.level)).encode()
    digest = hashlib.sha256(said + b"\0" + args.body).digest()
    named = {"uuid": args.uuid, "node": node.id}
    last = tx.one(
        "SELECT publisher, retracted, title, type, level, body FROM item"
        " WHERE uuid = :uuid AND node = :node AND kind = 'item' ORDER BY seq DESC LIMIT 1",
        named,
    )
    waiting = tx.one("SELECT publisher FROM waiting_item WHERE uuid = :uuid AND node = :node", named)
    if any(row is not None and row[0] != args.address for row in (last, waiting)):
        raise IdReused
    # A node that has the name of one that was removed is another one: to it the ID is new.
    key = retry_key(args.origin, args.address, f"{args.imid} {node.id} {node.created}", uuid_text(args.uuid))
    insert = "INSERT INTO retry (key, digest, day) VALUES (?, ?, ?) ON CONFLICT (key) DO NOTHING"
    if tx.executemany(insert, [(key, digest, args.now // DAY)]):
        if last is None or last[1]:
            return True
        # What is kept is known for longer than IDs are.
        if last[2:] == (args.title or node.title, args.type, args.level, args.body):
            return False
        if not args.renews:
            raise IdReused
        return True
    known = tx.one("SELECT digest FROM retry WHERE key = ?", (key,))
    assert known is not None
    if known[0] == digest:
        return False
    if not args.renews:
        raise IdReused
    if tx.one("SELECT 1 FROM retry WHERE key = ?", (_edition_key(key, digest),)) is not None:
        return False  # an edition that was replaced, sent again too late
    tx.executemany(insert, [(_edition_key(key, known[0]), known[0], args.now // DAY)])
    tx.execute("UPDATE retry SET digest = ?, day = ? WHERE key = ?", (digest, args.now // DAY, key))
    return True


def _edition_key(key: bytes, digest: bytes) -> bytes:
    """Under which an edition is remembered that was replaced; it lies beside the key of the ID."""
    return key[:6] + hashlib.sha256(key + digest).digest()[:14]


def _waits(tx: Tx, node: Node, uuid: bytes) -> bool:
    key = {"node": node.id, "uuid": uuid}
    return tx.one("SELECT 1 FROM waiting_item WHERE node = :node AND uuid = :uuid", key) is not None


def _wait(tx: Tx, node: Node, args: PublishItem) -> None:
    row = tx.one(
        "SELECT count(*), coalesce(sum(CASE WHEN publisher = :publisher THEN 1 ELSE 0 END), 0) FROM waiting_item"
        " WHERE node = :node AND uuid <> :uuid",
        {"node": node.id, "publisher": args.address, "uuid": args.uuid},
    )
    assert row is not None
    if row[0] >= MOST_WAITING or row[1] >= MOST_WAITING_OF_ONE:
        raise FeedsFull
    tx.execute(
        "INSERT INTO waiting_item (node, uuid, publisher, created, level, title, type, body)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (node, uuid) DO UPDATE SET created = excluded.created,"
        " level = excluded.level, title = excluded.title, type = excluded.type, body = excluded.body",
        (node.id, args.uuid, args.address, args.now, args.level, args.title, args.type, args.body),
    )


def _store(
    tx: Tx, node: Node, uuid: bytes, publisher: str, level: Level, title: str, type_: str, body: bytes, now: int
) -> Published:
    if node.moderated:  # what waited under this ID is older than this
        tx.execute("DELETE FROM waiting_item WHERE node = ? AND uuid = ?", (node.id, uuid))
    edition, replaced = _replace(tx, node, uuid)
    seq = tx.take_ids("item", 1)
    title = title or node.title
    accounting = Accounting(accepted=node.subscribers - node.by_mail, pending=node.by_mail)
    tx.execute(
        "INSERT INTO item (seq, node, kind, uuid, prev, publisher, created, level, edition, accepted, pending, title,"
        " type, length, body) VALUES (?, ?, 'item', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(seq, node.id, uuid, node.last_item, publisher, now, level, edition),
            *(accounting.accepted, accounting.pending, title, type_, len(body), body),
        ),
    )
    if node.by_mail:
        tx.execute("INSERT INTO fan_out (item, node, owner) VALUES (?, ?, ?)", (seq, node.id, node.owner))
        tx.tell(Wake(FAN_OUT))
    count_rows(tx, node, seq, 1 - replaced, int(replaced))
    inline = body if len(body) <= INLINE else None
    item = Item(seq, "item", uuid, node.imid, title, type_, level, publisher, now, len(body), inline, edition)
    tx.tell(ItemHint(node.id, seq, node.last_item, item))
    return Published(seq, True, accounting, edition)


def _replace(tx: Tx, node: Node, uuid: bytes) -> tuple[int, bool]:
    """Take the place of the item's last edition: the number of this one, and whether the last one was kept."""
    row = tx.one(
        "SELECT seq, edition, retracted FROM item WHERE uuid = :uuid AND node = :node AND kind = 'item'"
        " ORDER BY seq DESC LIMIT 1",
        {"node": node.id, "uuid": uuid},
    )
    if row is None:
        return 1, False
    seq, edition, retracted = row
    _empty(tx, seq, REPLACED)
    return edition + 1, not retracted


def _empty(tx: Tx, seq: int, why: int) -> None:
    """Its content goes, and its row stays for whoever comes by."""
    tx.execute(
        "UPDATE item SET retracted = :why, title = '', length = 0, body = :none WHERE seq = :seq",
        {"why": why, "none": b"", "seq": seq},
    )


@growing_unit
def accept_item(tx: Tx, args: NameItem) -> Published:
    """Publish an item that waits for the node's owner. Raises NoNode, NotOwner, NoItem."""
    tx.lock("node name", (args.imid,))
    node = owned_node(tx, args.imid, args.account)
    key = {"node": node.id, "uuid": args.uuid}
    row = tx.one(
        "SELECT publisher, level, title, type, body FROM waiting_item WHERE node = :node AND uuid = :uuid", key
    )
    if row is None:
        raise NoItem
    tx.execute("DELETE FROM waiting_item WHERE node = :node AND uuid = :uuid", key)
    publisher, level, title, type_, body = row
    expect_sign(tx, node, args.now)
    return _store(tx, node, args.uuid, publisher, level, title, type_, body, args.now)


@freeing_unit
def retract(tx: Tx, args: NameItem) -> bool:
    """Take an item back: its content is gone at once. False where it only waited. Raises NoNode, NotPublisher, NoItem.

    Publishers may take back any item of their node, others what they published themselves.
    """
    tx.lock("node name", (args.imid,))
    node = find_node(tx, args.imid)
    trusted = publishes(tx, node, args.account, args.address)
    key = {"node": node.id, "uuid": args.uuid}
    waiting = tx.one("SELECT publisher FROM waiting_item WHERE node = :node AND uuid = :uuid", key)
    row = tx.one(
        "SELECT publisher, seq, retracted FROM item WHERE uuid = :uuid AND node = :node AND kind = 'item'"
        " ORDER BY seq DESC LIMIT 1",
        key,
    )
    if not trusted and args.address not in {found[0] for found in (waiting, row) if found is not None}:
        raise refusal(tx, node, args.account, NotPublisher(args.imid))
    if waiting is not None:
        tx.execute("DELETE FROM waiting_item WHERE node = :node AND uuid = :uuid", key)
        return False
    if row is None or row[2] in (RETRACTED, REPLACED):
        raise NoItem
    seq = tx.take_ids("item", 1)
    _empty(tx, row[1], RETRACTED)
    tx.execute(
        "INSERT INTO item (seq, node, kind, uuid, prev, publisher, created, level, title, type, length, body)"
        " VALUES (?, ?, 'retracted', ?, ?, ?, ?, 'normal', '', '', 0, ?)",
        (seq, node.id, args.uuid, node.last_item, args.address, args.now, b""),
    )
    kept = int(not row[2])
    count_rows(tx, node, seq, -kept, 1 + kept)
    item = Item(seq, "retracted", args.uuid, args.imid, "", "", "normal", "", args.now, 0, None)
    tx.tell(ItemHint(node.id, seq, node.last_item, item))
    return True


def newest_item(tx: Tx) -> int:
    """The number of the newest item of the server."""
    row = tx.one("SELECT next - 1 FROM next_id WHERE name = 'item'")
    assert row is not None
    return int(row[0])


@read_unit
def newest(tx: Tx, _: None) -> int:
    """The number of the newest item of the server: where a watch begins that begins now."""
    return newest_item(tx)
