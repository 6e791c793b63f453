"""Fan-out: an item on its way, as a message, to those who asked for messages.

Rules: what was delivered and how far it has come are one transaction, so nobody gets an item twice or never,
whenever the server stops; a step touches at most 1,000 rows; the counts of an item always add up to who
subscribed when it was published; a node that is removed meanwhile ends nothing; owners of nodes
take turns, and so do the nodes of each; what fails waits while others go on (docs/protocol.md, "Feeds").
"""

import msgspec

from immpd.model.message import Importance
from immpd.store.mail.deliver import Delivery, Target, deliver
from immpd.store.units import Row, Tx, growing_unit, read_unit, write_unit

PER_STEP = 200
"""Messages of one step: each is five rows."""


class Outstanding(msgspec.Struct, frozen=True):
    """An item that is not with everybody yet, with all that a message is made of."""

    item: int
    owner: int
    node_id: int
    failed: int
    """How often its step failed in a row."""
    uuid: bytes
    node: str
    publisher: str
    created: int
    level: Importance
    title: str
    type: str
    body: bytes


class Turn(msgspec.Struct, frozen=True):
    """Arguments of ``next_outstanding``: whose turn was last."""

    now: int
    owner: int = 0
    nodes: dict[int, int] = {}
    """Of each owner, the node that had a turn last."""


class PutOff(msgspec.Struct, frozen=True):
    """Arguments of ``put_off``: the item's next step is taken at ``due``, milliseconds UTC."""

    item: int
    due: int


class FanOutStep(msgspec.Struct, frozen=True):
    """Arguments of ``fan_out_step``: the message without its targets, and an id for each that there may be."""

    item: int
    message: Delivery
    flags: int
    ids: tuple[bytes, ...]

    @property
    def weight(self) -> int:
        """Octets that it takes while it waits."""
        return self.message.weight + 256 * len(self.ids)


@read_unit
def next_outstanding(tx: Tx, args: Turn) -> Outstanding | None:
    """The item whose turn it is: the oldest of the next node of the next owner; None where none is due."""
    key = {"now": args.now}
    owner = _after(tx, "owner > :after AND due <= :now ORDER BY owner", args.owner, key)
    if owner is None:
        return None
    key["owner"] = owner[0]
    last = args.nodes.get(owner[0], 0)
    found = _after(tx, "owner = :owner AND node > :after AND due <= :now ORDER BY node, item", last, key)
    assert found is not None
    row = tx.one(
        "SELECT i.seq, f.owner, f.node, f.failed, i.uuid, n.was, i.publisher, i.created,"
        " i.level, i.title, i.type, i.body FROM fan_out f JOIN item i ON i.seq = f.item JOIN node n ON n.id = f.node"
        " WHERE f.item = :item",
        {"item": found[1]},
    )
    return None if row is None else Outstanding(*row)


def _after(tx: Tx, where: str, last: int, key: dict[str, int]) -> Row | None:
    """Owner and item of the first row behind ``last``; behind the last one it begins anew."""
    sql = f"SELECT owner, item FROM fan_out WHERE {where} LIMIT 1"  # noqa: S608
    return tx.one(sql, {**key, "after": last}) or tx.one(sql, {**key, "after": 0})


@read_unit
def next_due(tx: Tx, _: None) -> int | None:
    """When the next step is due, milliseconds UTC; 0: now; None where everything is with everybody."""
    row = tx.one("SELECT min(due) FROM fan_out")
    return None if row is None else row[0]


@write_unit
def put_off(tx: Tx, args: PutOff) -> None:
    """A step failed: the item waits, others go on."""
    key = {"item": args.item, "due": args.due}
    tx.execute("UPDATE fan_out SET failed = failed + 1, due = :due WHERE item = :item", key)


@growing_unit
def fan_out_step(tx: Tx, args: FanOutStep) -> bool:
    """Deliver to the next subscribers; who is disabled is counted as blocked. True while somebody is left."""
    tx.lock("fan-out", (args.item,))
    row = tx.one(
        "SELECT f.node, f.cursor, i.retracted FROM fan_out f JOIN item i ON i.seq = f.item WHERE f.item = :item",
        {"item": args.item},
    )
    if row is None:
        return False
    node, cursor, retracted = row
    found = []
    if not retracted:
        found = tx.rows(
            "SELECT s.id, s.mailbox, s.folder, f.id, a.disabled FROM subscription s"
            " JOIN account a ON a.address = s.subscriber JOIN folder f ON f.mailbox = s.mailbox AND f.key = '/inbox'"
            " WHERE s.node = :node AND s.id > :cursor AND s.state = 'active' AND s.form = 'message'"
            " AND s.form_from <= :item ORDER BY s.id LIMIT :limit",
            {"node": node, "cursor": cursor, "item": args.item, "limit": len(args.ids)},
        )
    targets = [
        Target(mailbox, folder or inbox, inbox, args.ids[at], args.flags)
        for at, (_, mailbox, folder, inbox, disabled) in enumerate(found)
        if not disabled
    ]
    if targets:
        deliver.run(tx, msgspec.structs.replace(args.message, targets=tuple(targets)))
    key = {"item": args.item, "accepted": len(targets), "blocked": len(found) - len(targets)}
    tx.execute(
        "UPDATE item SET accepted = accepted + :accepted, blocked = blocked + :blocked,"
        " pending = pending - :accepted - :blocked WHERE seq = :item",
        key,
    )
    if len(found) == len(args.ids):
        tx.execute(
            "UPDATE fan_out SET cursor = :cursor, failed = 0 WHERE item = :item",
            {"cursor": found[-1][0], "item": args.item},
        )
        return True
    # Who left meanwhile is not there any more to be counted one by one.
    tx.execute("UPDATE item SET left_before = left_before + pending, pending = 0 WHERE seq = :item", key)
    tx.execute("DELETE FROM fan_out WHERE item = :item", {"item": args.item})
    return False
