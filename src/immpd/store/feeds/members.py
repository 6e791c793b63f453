"""Whom a node knows by address: its members and publishers.

Rules: only the owner says who they are, or sees them; who is taken away loses the subscription too, and is told
(docs/protocol.md, "PUBLISH MEMBERS ADD").
"""

import msgspec

from immpd.store.errors import FeedsFull
from immpd.store.units import Tx, freeing_unit, read_unit, write_unit

from .nodes import count_subscribers, locked_subscription, owned_node, tell_subscription


class SetMember(msgspec.Struct, frozen=True):
    """Arguments of ``add_member``; ``most``: members that one node may have."""

    imid: str
    account: int
    address: str
    publisher: bool
    now: int
    most: int


class RemoveMember(msgspec.Struct, frozen=True):
    """Arguments of ``remove_member``."""

    imid: str
    account: int
    address: str


class ListMembers(msgspec.Struct, frozen=True):
    """Arguments of ``list_members``: those whose address sorts after ``after``."""

    imid: str
    account: int
    after: str = ""
    limit: int = 200


class Member(msgspec.Struct, frozen=True):
    """Somebody a node knows by address."""

    address: str
    publisher: bool
    since: int


@write_unit
def add_member(tx: Tx, args: SetMember) -> None:
    """Make somebody a member, or a publisher. Raises NoNode, NotOwner, FeedsFull."""
    tx.lock("node name", (args.imid,))
    node = owned_node(tx, args.imid, args.account)
    others = "SELECT count(*) FROM node_member WHERE node = :node AND address <> :address"
    count = tx.one(others, {"node": node.id, "address": args.address})
    if count is not None and count[0] >= args.most:
        raise FeedsFull
    tx.execute(
        "INSERT INTO node_member (node, address, publisher, since) VALUES (:node, :address, :publisher, :now)"
        " ON CONFLICT (node, address) DO UPDATE SET publisher = excluded.publisher",
        {"node": node.id, "address": args.address, "publisher": int(args.publisher), "now": args.now},
    )


@freeing_unit
def remove_member(tx: Tx, args: RemoveMember) -> bool:
    """Forget somebody and end their subscription: whether there was anything. Raises NoNode, NotOwner."""
    tx.lock("node name", (args.imid,))
    node = owned_node(tx, args.imid, args.account)
    key = {"node": node.id, "address": args.address}
    gone = tx.executemany("DELETE FROM node_member WHERE node = :node AND address = :address", [key])
    row = locked_subscription(tx, node, args.address)
    if row is None:
        return bool(gone)
    id_, mailbox, uuid, state, form = row
    tx.execute("UPDATE subscription SET state = 'left', due = NULL WHERE id = :id", {"id": id_})
    if state == "active":
        count_subscribers(tx, node.id, -1, -1 if form == "message" else 0)
    tell_subscription(tx, mailbox, uuid, args.imid, "removed")
    return True


@read_unit
def list_members(tx: Tx, args: ListMembers) -> list[Member]:
    """A page of the members and publishers, by address. Raises NoNode, NotOwner."""
    node = owned_node(tx, args.imid, args.account)
    return [
        Member(address, bool(publisher), since)
        for address, publisher, since in tx.rows(
            "SELECT address, publisher, since FROM node_member WHERE node = :node AND address > :after"
            " ORDER BY address LIMIT :limit",
            {"node": node.id, "after": args.after, "limit": args.limit},
        )
    ]
