# ruff: noqa: S608  (SQL is put together from constants of this module only)
"""Nodes: what publishes, and who owns it; whom it knows is in members.py.

Rules: a node and an account never have the same name; only the owner changes a node; a node that is removed
loses its name at once, and what is left of it is swept in steps (docs/protocol.md, "Feeds").
"""

from typing import Any, Literal

import msgspec

from immpd.model.change import Change
from immpd.model.feed import OPTIONS, Item, ItemHint, Node, NodeOptions
from immpd.store.errors import (
    FeedsFull,
    NoAccount,
    NodeExists,
    NodeOfAnother,
    NoNode,
    NotOwner,
    NotPublisher,
    StoreError,
)
from immpd.store.mail.states import take_states
from immpd.store.push.schedule import set_timer
from immpd.store.units import Row, Tx, freeing_unit, read_unit, write_unit

NODE_COLUMNS = ", ".join(Node.__struct_fields__)
_NAMES = ", ".join(OPTIONS)
_VALUES = ", ".join(f":{name}" for name in OPTIONS)
_CHANGES = ", ".join(f"{name} = coalesce(:{name}, {name})" for name in OPTIONS)
_SWITCHES = tuple(field.name for field in msgspec.structs.fields(Node) if field.type is bool)
NODE_SILENCE = "node-silence"
"""The timer of a promise that a node made."""
DAY = 86_400_000
"""Milliseconds of a day."""


class NewNode(msgspec.Struct, frozen=True):
    """Arguments of ``create_node``; ``most``: nodes that one account may have."""

    imid: str
    owner: int
    now: int
    options: NodeOptions
    most: int


class ByNode(msgspec.Struct, frozen=True):
    """Arguments of ``node_by_imid``."""

    imid: str


class SetNode(msgspec.Struct, frozen=True):
    """Arguments of ``set_node``: what is not None is changed, by its owner only."""

    imid: str
    account: int
    options: NodeOptions
    now: int


class RemoveNode(msgspec.Struct, frozen=True):
    """Arguments of ``remove_node``."""

    imid: str
    account: int
    now: int


class MyNodes(msgspec.Struct, frozen=True):
    """Arguments of ``my_nodes``: those an account owns or may publish on, whose name sorts after ``after``."""

    account: int
    address: str
    after: str = ""
    limit: int = 200


class PublishedNode(msgspec.Struct, frozen=True):
    """Arguments of ``published_node``."""

    imid: str
    account: int
    address: str


class SweepNodes(msgspec.Struct, frozen=True):
    """Arguments of ``sweep_nodes``: those removed before ``before``; a step of at most ``limit`` rows."""

    before: int
    limit: int = 250


def node_of(row: Row) -> Node:
    """The node of a row of NODE_COLUMNS."""
    values: dict[str, Any] = dict(zip(Node.__struct_fields__, row, strict=True))
    for name in _SWITCHES:
        values[name] = bool(values[name])
    values["every"] = values["every"] or None
    return Node(**values)


def _columns(options: NodeOptions) -> dict[str, Any]:
    """Option → what is written into its column; None where it is not given."""
    given = ((name, getattr(options, name)) for name in OPTIONS)
    return {name: int(value) if isinstance(value, bool) else value for name, value in given}


def _with_defaults(options: NodeOptions, imid: str) -> NodeOptions:
    """The options of a new node, all of them."""
    given = {name: value for name, value in msgspec.structs.asdict(options).items() if value is not None}
    depend = {"title": imid, **({"form": "message"} if options.list else {})}
    return NodeOptions(**{name: option.default for name, option in OPTIONS.items()} | depend | given)


def node_by_id(tx: Tx, number: int) -> Node | None:
    """The node of that number, unless it was removed."""
    row = tx.one(f"SELECT {NODE_COLUMNS} FROM node WHERE id = :id AND imid IS NOT NULL", {"id": number})
    return None if row is None else node_of(row)


def find_node(tx: Tx, imid: str) -> Node:
    """The node of that name; raises NoNode."""
    row = tx.one(f"SELECT {NODE_COLUMNS} FROM node WHERE imid = :imid", {"imid": imid})
    if row is None:
        raise NoNode(imid)
    return node_of(row)


def owned_node(tx: Tx, imid: str, account: int) -> Node:
    """The node of that name, where the account owns it; raises NoNode, NotOwner."""
    node = find_node(tx, imid)
    if node.owner != account:
        raise refusal(tx, node, account, NotOwner(imid))
    return node


def refusal(tx: Tx, node: Node, account: int, why: StoreError) -> StoreError:
    """``why`` the account may not do something with the node; NoNode where it may not know that there is one.

    A node for members is there for its owner, its members and those who subscribe to it, and for nobody else.
    """
    return why if is_there_for(tx, node, account) else NoNode(node.imid)


def is_there_for(tx: Tx, node: Node, account: int) -> bool:
    """Whether the account may know of the node."""
    if node.access != "members" or node.owner == account:
        return True
    known = tx.one(
        "SELECT 1 FROM account a WHERE a.id = :account AND"
        " (EXISTS (SELECT 1 FROM node_member m WHERE m.node = :node AND m.address = a.address)"
        " OR EXISTS (SELECT 1 FROM subscription s WHERE s.node = :node AND s.mailbox = a.mailbox"
        " AND s.state <> 'left'))",
        {"account": account, "node": node.id},
    )
    return known is not None


def publishes(tx: Tx, node: Node, account: int, address: str) -> bool:
    """Whether the account may publish there without being asked."""
    if node.owner == account:
        return True
    key = {"node": node.id, "address": address}
    row = tx.one("SELECT publisher FROM node_member WHERE node = :node AND address = :address", key)
    return row is not None and bool(row[0])


def speaks_for(tx: Tx, imid: str, account: int, address: str) -> bool:
    """Whether the account owns the node of that name, or was named its publisher."""
    row = tx.one(f"SELECT {NODE_COLUMNS} FROM node WHERE imid = :imid", {"imid": imid})
    return row is not None and publishes(tx, node_of(row), account, address)


@write_unit
def create_node(tx: Tx, args: NewNode) -> Node:
    """Make a node. Raises NoAccount, NodeExists, also where an account has the name, NodeOfAnother and FeedsFull."""
    tx.lock("account", (args.owner,))
    # What its session sent just before an account was removed may come here after it.
    if tx.one("SELECT 1 FROM account WHERE id = :owner AND removed IS NULL", {"owner": args.owner}) is None:
        raise NoAccount(args.imid)
    if tx.one("SELECT 1 FROM mailbox WHERE address = :imid", {"imid": args.imid}) is not None:
        raise NodeExists(args.imid)
    if tx.one("SELECT 1 FROM node WHERE imid = :imid", {"imid": args.imid}) is not None:
        raise NodeExists(args.imid)
    _check_name(tx, args)
    count = tx.one("SELECT count(*) FROM node WHERE owner = :owner AND imid IS NOT NULL", {"owner": args.owner})
    if count is not None and count[0] >= args.most:
        raise FeedsFull
    rows = tx.rows(
        f"INSERT INTO node (id, imid, was, owner, created, {_NAMES})"
        f" VALUES (:id, :imid, :imid, :owner, :created, {_VALUES}) RETURNING {NODE_COLUMNS}",
        {
            "id": tx.take_ids("node", 1),
            "imid": args.imid,
            "owner": args.owner,
            "created": args.now,
            **_columns(_with_defaults(args.options, args.imid)),
        },
    )
    return expect_sign(tx, node_of(rows[0]), args.now)


def _check_name(tx: Tx, args: NewNode) -> None:
    """An account whose name is longer than the owner's has what lies under it for itself."""
    local, at, domain = args.imid.partition("@")
    names = local.split("/")
    between = (
        "SELECT 1 FROM account a JOIN account o ON o.id = ? WHERE a.address = ? AND length(a.local) > length(o.local)"
    )
    if tx.rows_of_many(
        between, [(args.owner, "/".join(names[:count]) + at + domain) for count in range(1, len(names))]
    ):
        raise NodeOfAnother(args.imid)


@read_unit
def node_by_imid(tx: Tx, args: ByNode) -> Node | None:
    """The node of that name, or None."""
    row = tx.one(f"SELECT {NODE_COLUMNS} FROM node WHERE imid = :imid", {"imid": args.imid})
    return None if row is None else node_of(row)


@write_unit
def set_node(tx: Tx, args: SetNode) -> Node:
    """Change what is given. Raises NoNode, NotOwner."""
    tx.lock("node name", (args.imid,))
    node = owned_node(tx, args.imid, args.account)
    rows = tx.rows(
        f"UPDATE node SET {_CHANGES} WHERE id = :id RETURNING {NODE_COLUMNS}",
        {"id": node.id, **_columns(args.options)},
    )
    node = node_of(rows[0])
    return node if args.options.every is None else expect_sign(tx, node, args.now)


def expect_sign(tx: Tx, node: Node, now: int) -> Node:
    """Where the node promises to publish now and then, have its silence noticed (silence.py)."""
    if node.every:
        set_timer(tx, now + node.every * 1000, NODE_SILENCE, node.id)
    return node


@freeing_unit
def remove_node(tx: Tx, args: RemoveNode) -> None:
    """Take a node's name away and tell its subscribers by a row of the sequence. Raises NoNode, NotOwner."""
    tx.lock("node name", (args.imid,))
    node = owned_node(tx, args.imid, args.account)
    seq = tx.take_ids("item", 1)
    tx.execute(
        "INSERT INTO item (seq, node, kind, uuid, prev, publisher, created, level, title, type, length, body)"
        " VALUES (:seq, :node, 'removed', :none, :prev, '', :now, 'normal', '', '', 0, :none)",
        {"seq": seq, "node": node.id, "prev": node.last_item, "now": args.now, "none": b""},
    )
    tx.execute(
        "UPDATE node SET imid = NULL, removed = :now, last_item = :seq, marks = marks + 1 WHERE id = :id",
        {"now": args.now, "seq": seq, "id": node.id},
    )
    item = Item(seq, "removed", b"", args.imid, args.imid, "", "normal", "", args.now, 0, None)
    tx.tell(ItemHint(node.id, seq, node.last_item, item, gone=True))


@read_unit
def my_nodes(tx: Tx, args: MyNodes) -> list[Node]:
    """A page of the nodes that an account owns or may publish on, by name."""
    return [
        node_of(row)
        for row in tx.rows(
            f"SELECT {NODE_COLUMNS} FROM node WHERE imid > :after AND (owner = :account OR id IN"
            " (SELECT node FROM node_member WHERE address = :address AND publisher = 1)) ORDER BY imid LIMIT :limit",
            {"after": args.after, "account": args.account, "address": args.address, "limit": args.limit},
        )
    ]


@read_unit
def published_node(tx: Tx, args: PublishedNode) -> Node:
    """The node, for one of its publishers. Raises NoNode, NotPublisher."""
    node = find_node(tx, args.imid)
    if not publishes(tx, node, args.account, args.address):
        raise refusal(tx, node, args.account, NotPublisher(args.imid))
    return node


def locked_subscription(tx: Tx, node: Node, address: str) -> Row | None:
    """Somebody's subscription that they have not left, locked: id, mailbox, uuid, state, form."""
    found = tx.one("SELECT mailbox FROM account WHERE address = ?", (address,))
    if found is None:
        return None
    tx.lock("mailbox", found)
    return tx.one(
        "SELECT id, mailbox, uuid, state, form FROM subscription WHERE mailbox = ? AND node = ? AND state <> 'left'",
        (found[0], node.id),
    )


def count_subscribers(tx: Tx, node: int, active: int, by_mail: int) -> None:
    """So many more (or less) are active, and get messages."""
    tx.execute(
        "UPDATE node SET subscribers = subscribers + :active, by_mail = by_mail + :by_mail WHERE id = :node",
        {"active": active, "by_mail": by_mail, "node": node},
    )


def tell_subscription(tx: Tx, mailbox: int, uuid: bytes, imid: str, said: str) -> None:
    """Note in the mailbox, and tell, what became of a subscription."""
    tell_of_node(tx, "subscription", mailbox, uuid, imid, said)


def tell_of_node(
    tx: Tx, kind: Literal["subscription", "dismissed"], mailbox: int, uuid: bytes, imid: str, *said: str
) -> None:
    """Note in the mailbox, and tell, what happened between it and a node."""
    state = take_states(tx, {mailbox: 1})[mailbox] + 1
    tx.tell(Change(kind, mailbox, state, 0, uuid, path=imid, keywords=said))
    tx.execute(
        "INSERT INTO change (mailbox, state, kind, folder, id, origin, data)"
        " VALUES (:mailbox, :state, :kind, 0, :uuid, NULL, :data)",
        {
            "mailbox": mailbox,
            "state": state,
            "kind": kind,
            "uuid": uuid,
            "data": msgspec.json.encode({"path": imid, "keywords": said}),
        },
    )


_SWEPT = (
    "DELETE FROM subscription WHERE id IN (SELECT id FROM subscription WHERE node = :node LIMIT :limit)",
    "DELETE FROM item WHERE seq IN (SELECT seq FROM item WHERE node = :node LIMIT :limit)",
    "DELETE FROM waiting_item WHERE node = :node AND uuid IN"
    " (SELECT uuid FROM waiting_item WHERE node = :node LIMIT :limit)",
    "DELETE FROM node_member WHERE node = :node AND address IN"
    " (SELECT address FROM node_member WHERE node = :node LIMIT :limit)",
)


_TO_SWEEP = (
    "SELECT id FROM node WHERE removed < :before AND NOT EXISTS"
    " (SELECT 1 FROM fan_out f WHERE f.node = node.id) ORDER BY removed LIMIT 1"
)


@read_unit
def any_to_sweep(tx: Tx, args: SweepNodes) -> bool:
    """Whether there is a node to be forgotten."""
    return tx.one(_TO_SWEEP, {"before": args.before}) is not None


@freeing_unit
def sweep_nodes(tx: Tx, args: SweepNodes) -> bool:
    """One step of forgetting removed nodes, but of none that somebody is still to get an item of.

    True while there is more to do.
    """
    row = tx.one(_TO_SWEEP, {"before": args.before})
    if row is None:
        return False
    for statement in _SWEPT:
        if tx.executemany(statement, [{"node": row[0], "limit": args.limit}]):
            return True
    tx.execute("DELETE FROM node WHERE id = :node", {"node": row[0]})
    return True
