"""Subscriptions: a mailbox's standing consent to a node.

Rules: one a mailbox and node; whatever becomes of it is a change of the mailbox, so every session of it is
told; leaving needs nobody's consent; the node's counters are exact (docs/protocol.md, "Feeds").
"""

import msgspec

from immpd.model.feed import DIGESTS, Form, Heard, SubscriptionState
from immpd.store.errors import FanOutRunning, FeedsFull, NoFolder, NoNode, NoSubscription
from immpd.store.units import Row, Tx, freeing_unit, read_unit, write_unit

from .items import newest_item
from .nodes import DAY, count_subscribers, find_node, locked_subscription, owned_node, tell_subscription

OPEN = (1 << 53) - 1
"""A sequence number behind all there will be."""
RECENT_DAYS = 30
"""Items of so many days are counted in the overview."""


class Subscribe(msgspec.Struct, frozen=True):
    """Arguments of ``subscribe``; ``most``: subscriptions that one mailbox may have."""

    imid: str
    mailbox: int
    subscriber: str
    uuid: bytes
    """16 octets, version 4: what it will be called if it is new."""
    form: Form | None
    """None: the node's own."""
    folder: int
    now: int
    most: int


class Subscription(msgspec.Struct, frozen=True):
    """Somebody's subscription to a node, with what an overview shows."""

    id: int
    uuid: bytes
    node: int
    imid: str
    owner: str
    """Local part of the owner's address."""
    title: str
    state: SubscriptionState
    form: Form
    folder: str
    """Path of the folder that its messages go to; empty: INBOX."""
    muted: bool
    since: int
    description: str
    language: str
    icon: str
    last: int
    """When its newest item was published, 0: never."""
    recent: int
    """Items of the last 30 days."""
    tells: bool = False
    """The publisher may count what was seen."""


class NameSubscription(msgspec.Struct, frozen=True):
    """How a subscription of a mailbox is named: by its UUID, or by its node's name."""

    mailbox: int
    uuid: bytes
    imid: str
    now: int


class SetSubscription(msgspec.Struct, frozen=True):
    """Arguments of ``set_subscription``: what is not None is changed."""

    name: NameSubscription
    form: Form | None
    folder: int | None
    muted: bool | None
    tells: bool | None = None
    """The publisher may count what was seen."""


class ListSubscriptions(msgspec.Struct, frozen=True):
    """Arguments of ``list_subscriptions``: those after ``after``."""

    mailbox: int
    now: int
    after: int = 0
    limit: int = 50


class ListSubscribers(msgspec.Struct, frozen=True):
    """Arguments of ``list_subscribers``: of one's own node, those after ``after``."""

    imid: str
    account: int
    after: int = 0
    limit: int = 200


class Subscriber(msgspec.Struct, frozen=True):
    """Who subscribed to a node, as its owner sees them: never with the subscription's UUID."""

    id: int
    address: str
    state: SubscriptionState
    since: int


class AcceptSubscriber(msgspec.Struct, frozen=True):
    """Arguments of ``accept_subscriber``."""

    imid: str
    account: int
    address: str


class OfMailbox(msgspec.Struct, frozen=True):
    """Arguments of ``watched_nodes``."""

    mailbox: int


_COLUMNS = (
    "s.id, s.uuid, s.node, n.was, a.local, n.title, s.state, s.form, coalesce(f.path, ''), s.muted, s.since,"
    " n.description, n.language, n.icon, coalesce((SELECT i.created FROM item i WHERE i.node = s.node"
    " AND i.kind = 'item' AND i.retracted = 0 ORDER BY i.seq DESC LIMIT 1), 0),"
    " (SELECT count(*) FROM item i WHERE i.node = s.node AND i.kind = 'item' AND i.retracted = 0"
    " AND i.created > :recent), s.tells"
)
_FROM = (
    " FROM subscription s JOIN node n ON n.id = s.node JOIN account a ON a.id = n.owner"
    " LEFT JOIN folder f ON f.id = s.folder AND f.mailbox = s.mailbox"
)


def _subscription(row: Row) -> Subscription:
    values = list(row)
    values[9], values[-1] = bool(values[9]), bool(values[-1])
    return Subscription(*values)


def _one(tx: Tx, mailbox: int, where: str, value: object, now: int, *, gone: bool = False) -> Subscription:
    """A subscription of the mailbox; with ``gone`` also to a node that was removed. Raises NoSubscription."""
    row = tx.one(
        f"SELECT {_COLUMNS}{_FROM} WHERE s.mailbox = :mailbox AND {where} = :value AND s.state <> 'left'"
        f" {'' if gone else 'AND n.imid IS NOT NULL'} ORDER BY n.id DESC LIMIT 1",
        {"mailbox": mailbox, "value": value, "recent": now - RECENT_DAYS * DAY},
    )
    if row is None:
        raise NoSubscription
    return _subscription(row)


def _named(tx: Tx, name: NameSubscription, *, gone: bool = False) -> Subscription:
    if name.uuid:
        return _one(tx, name.mailbox, "s.uuid", name.uuid, name.now, gone=gone)
    try:
        return _one(tx, name.mailbox, "n.imid", name.imid, name.now)
    except NoSubscription:
        if not gone:
            raise
    return _one(tx, name.mailbox, "n.was", name.imid, name.now, gone=True)


@write_unit
def subscribe(tx: Tx, args: Subscribe) -> Subscription:
    """Subscribe, or find the subscription that is there. Raises NoNode, FeedsFull, NoFolder."""
    tx.lock("node name", (args.imid,))  # an item that is just published counts who subscribed before it
    tx.lock("mailbox", (args.mailbox,))
    node = find_node(tx, args.imid)
    key = {"node": node.id, "mailbox": args.mailbox}
    there = tx.one("SELECT id, state FROM subscription WHERE mailbox = :mailbox AND node = :node", key)
    if there is not None and there[1] != "left":
        return _one(tx, args.mailbox, "s.id", there[0], args.now)
    member = tx.one(
        "SELECT 1 FROM node_member WHERE node = :node AND address = :address",
        {"node": node.id, "address": args.subscriber},
    )
    known = member is not None or _owns(tx, node.owner, args.mailbox)
    if node.access == "members" and not known:
        raise NoNode(args.imid)  # it is there for members alone
    count = tx.one(
        "SELECT count(*) FROM subscription s JOIN node n ON n.id = s.node"
        " WHERE s.mailbox = :mailbox AND s.state <> 'left' AND n.imid IS NOT NULL",
        key,
    )
    if count is not None and count[0] >= args.most:
        raise FeedsFull
    _check_folder(tx, args.mailbox, args.folder)
    form = args.form or node.form
    state: SubscriptionState = "waiting" if node.access == "approve" and not known else "active"
    first = newest_item(tx) + 1
    rows = tx.rows(
        "INSERT INTO subscription (uuid, node, mailbox, subscriber, state, form, form_from, push_from,"
        " push_end, first, folder, muted, since, due, digested, digest_end)"
        " VALUES (:uuid, :node, :mailbox, :subscriber, :state, :form, :first, :first, :push_end, :first, :folder, 0,"
        " :now, :due, :first - 1, NULL)"
        " ON CONFLICT (mailbox, node) DO UPDATE SET uuid = excluded.uuid, state = excluded.state,"
        " form = excluded.form, form_from = excluded.form_from, push_from = excluded.push_from,"
        " push_end = excluded.push_end, first = excluded.first, folder = excluded.folder,"
        " muted = 0, tells = 0, since = excluded.since, due = excluded.due, digested = excluded.digested,"
        " digest_end = NULL"
        " RETURNING id",
        {
            "uuid": args.uuid,
            "node": node.id,
            "mailbox": args.mailbox,
            "subscriber": args.subscriber,
            "state": state,
            "form": form,
            "first": first,
            "push_end": OPEN if form == "notification" else first,
            "folder": args.folder,
            "now": args.now,
            "due": args.now + DIGESTS[form] if form in DIGESTS else None,
        },
    )
    tx.execute("DELETE FROM push_gap WHERE subscription = :id", {"id": rows[0][0]})
    if state == "active":
        count_subscribers(tx, node.id, 1, int(form == "message"))
    tell_subscription(tx, args.mailbox, args.uuid, args.imid, state)
    return _one(tx, args.mailbox, "s.id", rows[0][0], args.now)


def _owns(tx: Tx, owner: int, mailbox: int) -> bool:
    key = {"owner": owner, "mailbox": mailbox}
    return tx.one("SELECT 1 FROM account WHERE id = :owner AND mailbox = :mailbox", key) is not None


def _check_folder(tx: Tx, mailbox: int, folder: int) -> None:
    key = {"folder": folder, "mailbox": mailbox}
    if folder and tx.one("SELECT 1 FROM folder WHERE id = :folder AND mailbox = :mailbox", key) is None:
        raise NoFolder


@freeing_unit
def unsubscribe(tx: Tx, args: NameSubscription) -> Subscription:
    """Leave at once, also a node that was removed. Raises NoSubscription."""
    tx.lock("mailbox", (args.mailbox,))
    one = _named(tx, args, gone=True)
    tx.execute("UPDATE subscription SET state = 'left', due = NULL WHERE id = :id", {"id": one.id})
    if one.state == "active":
        count_subscribers(tx, one.node, -1, -int(one.form == "message"))
    tell_subscription(tx, args.mailbox, one.uuid, one.imid, "left")
    return one


@write_unit
def set_subscription(tx: Tx, args: SetSubscription) -> Subscription:
    """Change form, folder, muting, or whether it tells. Raises NoSubscription, NoFolder, FanOutRunning (temporary)."""
    name = args.name
    if args.form is not None:
        tx.lock("node", (_named(tx, name).node,))
    tx.lock("mailbox", (name.mailbox,))
    one = _named(tx, name)
    form = args.form or one.form
    if args.folder is not None:
        _check_folder(tx, name.mailbox, args.folder)
        tx.execute("UPDATE subscription SET folder = :folder WHERE id = :id", {"folder": args.folder, "id": one.id})
    if args.muted is not None:
        tx.execute("UPDATE subscription SET muted = :muted WHERE id = :id", {"muted": int(args.muted), "id": one.id})
    if args.tells is not None:
        tx.execute("UPDATE subscription SET tells = :tells WHERE id = :id", {"tells": int(args.tells), "id": one.id})
    if form != one.form:
        key = {"node": one.node, "id": one.id}
        of_messages = "message" in (form, one.form)
        if of_messages and tx.one("SELECT 1 FROM fan_out WHERE node = :node AND cursor < :id", key) is not None:
            raise FanOutRunning
        _change_form(tx, one, form, name.now)
    tell_subscription(tx, name.mailbox, one.uuid, one.imid, one.state)
    return _one(tx, name.mailbox, "s.id", one.id, name.now)


def _change_form(tx: Tx, one: Subscription, form: Form, now: int) -> None:
    """From now on items come another way; what waits for a digest goes out in a last one at once."""
    newest = newest_item(tx)
    change = {
        "id": one.id,
        "node": one.node,
        "form": form,
        "next": newest + 1,
        "newest": newest,
        "due": now,
        "open": OPEN,
    }
    tx.execute("UPDATE subscription SET form = :form, form_from = :next WHERE id = :id", change)
    if form == "notification":
        for statement in _PUSH_AGAIN:
            tx.execute(statement, change)
    elif one.form == "notification":
        tx.execute("UPDATE subscription SET push_end = :next WHERE id = :id", change)
    if form in DIGESTS:
        # Where one is still due, also the last one, nothing is lost: the next names what it had to name.
        change["due"] = now + DIGESTS[form]
        tx.execute(
            "UPDATE subscription SET due = :due, digest_end = NULL,"
            " digested = CASE WHEN due IS NULL THEN :newest ELSE digested END WHERE id = :id",
            change,
        )
    elif one.form in DIGESTS:
        tx.execute("UPDATE subscription SET due = :due, digest_end = :newest WHERE id = :id", change)
    if one.state == "active":
        count_subscribers(tx, one.node, 0, (form == "message") - (one.form == "message"))


_PUSH_AGAIN = (
    "INSERT INTO push_gap (subscription, gap_from, gap_end)"
    " SELECT id, push_end, :next FROM subscription WHERE id = :id AND push_end < :next",
    # A gap in which nothing lies is none; so there are never more than the node keeps items.
    "DELETE FROM push_gap WHERE subscription = :id AND NOT EXISTS (SELECT 1 FROM item i WHERE i.node = :node"
    " AND i.kind = 'item' AND i.retracted = 0 AND i.seq >= gap_from AND i.seq < gap_end)",
    "UPDATE subscription SET push_end = :open WHERE id = :id",
)


@write_unit
def accept_subscriber(tx: Tx, args: AcceptSubscriber) -> None:
    """Let somebody in who waits. Raises NoNode, NotOwner, NoSubscription."""
    tx.lock("node name", (args.imid,))
    node = owned_node(tx, args.imid, args.account)
    row = locked_subscription(tx, node, args.address)
    if row is None:
        raise NoSubscription
    id_, mailbox, uuid, state, form = row
    if state == "active":
        return
    tx.execute(
        "UPDATE subscription SET state = 'active', first = :next, form_from = :next, push_from = :next,"
        " digested = :next - 1 WHERE id = :id",
        {"next": newest_item(tx) + 1, "id": id_},
    )
    count_subscribers(tx, node.id, 1, int(form == "message"))
    tell_subscription(tx, mailbox, uuid, args.imid, "active")


@read_unit
def one_subscription(tx: Tx, args: NameSubscription) -> Subscription:
    """One subscription of a mailbox. Raises NoSubscription."""
    return _named(tx, args)


@read_unit
def list_subscriptions(tx: Tx, args: ListSubscriptions) -> list[Subscription]:
    """A page of a mailbox's subscriptions, the oldest first."""
    return [
        _subscription(row)
        for row in tx.rows(
            f"SELECT {_COLUMNS}{_FROM} WHERE s.mailbox = :mailbox AND s.id > :after AND s.state <> 'left'"
            " AND n.imid IS NOT NULL ORDER BY s.id LIMIT :limit",
            {
                "mailbox": args.mailbox,
                "after": args.after,
                "limit": args.limit,
                "recent": args.now - RECENT_DAYS * DAY,
            },
        )
    ]


@read_unit
def list_subscribers(tx: Tx, args: ListSubscribers) -> list[Subscriber]:
    """A page of a node's subscribers, for its owner. Raises NoNode, NotOwner."""
    node = owned_node(tx, args.imid, args.account)
    return [
        Subscriber(*row)
        for row in tx.rows(
            "SELECT id, subscriber, state, since FROM subscription WHERE node = :node AND id > :after"
            " AND state <> 'left' ORDER BY id LIMIT :limit",
            {"node": node.id, "after": args.after, "limit": args.limit},
        )
    ]


@read_unit
def watched_nodes(tx: Tx, args: OfMailbox) -> dict[int, Heard]:
    """The nodes that a mailbox hears of, and what of each are events."""
    rows = tx.rows(
        "SELECT node, form, muted FROM subscription WHERE mailbox = :mailbox AND state = 'active'",
        {"mailbox": args.mailbox},
    )
    return {node: "end" if muted else "all" if form == "notification" else "some" for node, form, muted in rows}
