"""Digests: who is to get one now, and that it is sent once.

Rules: the message and the mark of how far it goes are one transaction; whoever reads what is due and comes to
send it later is told if somebody else was faster (docs/protocol.md, "Feeds").
"""

import msgspec

from immpd.model.feed import DIGESTS, Form
from immpd.store.mail.deliver import Delivery, Target, deliver
from immpd.store.units import Tx, growing_unit, read_unit, write_unit

from .items import IN_GAP, newest_item
from .keeping import NAMED

MOST_NAMED = 100
"""Items that one digest names; of more it tells how many."""


class DueDigests(msgspec.Struct, frozen=True):
    """Arguments of ``due_digests``."""

    now: int
    limit: int = 20


class Digest(msgspec.Struct, frozen=True):
    """A digest that is due."""

    subscription: int
    node: str
    title: str
    owner: str
    subscriber: str
    form: Form
    since: int
    """Items behind it."""
    upto: int
    count: int
    items: list[tuple[int, str]]
    """When each was published, and its title; the oldest first."""


class FirstDigest(msgspec.Struct, frozen=True):
    """The digest that is due first."""

    due: int
    subscription: int
    failed: int
    """How often in a row."""


class PutOffDigest(msgspec.Struct, frozen=True):
    """Arguments of ``put_off_digest``: it is tried again at ``due``, milliseconds UTC."""

    subscription: int
    due: int


class SendDigest(msgspec.Struct, frozen=True):
    """Arguments of ``send_digest``; ``message`` has no targets yet, and is None where there is nothing to say."""

    digest: Digest
    message: Delivery | None
    id: bytes
    now: int


_WHERE = (
    f"FROM item WHERE node = :node AND seq > :since AND seq <= :upto AND {NAMED}"
    f" AND NOT (seq >= :push_from AND seq < :push_end AND NOT {IN_GAP})"
)


_SENT = "FROM subscription s JOIN node n ON n.id = s.node JOIN account a ON a.id = n.owner"


@read_unit
def first_digest(tx: Tx, _: None) -> FirstDigest | None:
    """The next digest to be sent; None: nobody gets any."""
    row = tx.one(f"SELECT s.due, s.id, s.digest_failed {_SENT} WHERE s.due IS NOT NULL ORDER BY s.due, s.id LIMIT 1")
    return None if row is None else FirstDigest(*row)


@write_unit
def put_off_digest(tx: Tx, args: PutOffDigest) -> None:
    """It failed: it waits, others go on."""
    tx.execute(
        "UPDATE subscription SET digest_failed = digest_failed + 1, due = :due WHERE id = :id AND due < :due",
        {"id": args.subscription, "due": args.due},
    )


@read_unit
def due_digests(tx: Tx, args: DueDigests) -> list[Digest]:
    """The next digests that are due, with what they are to name."""
    newest = newest_item(tx)
    found = []
    for id_, node, imid, title, owner, subscriber, form, since, end, first, push_from, push_end in tx.rows(
        "SELECT s.id, s.node, n.was, n.title, a.address, s.subscriber, s.form, s.digested, s.digest_end,"
        " s.first, s.push_from, s.push_end"
        f" {_SENT} WHERE s.due <= :now ORDER BY s.due, s.id LIMIT :limit",
        {"now": args.now, "limit": args.limit},
    ):
        upto = newest if end is None else end
        key = {
            "node": node, "since": max(since, first - 1), "upto": upto, "limit": MOST_NAMED,
            "subscription": id_, "push_from": push_from, "push_end": push_end,
        }  # fmt: skip
        count = tx.one(f"SELECT count(*) {_WHERE}", key)
        items = tx.rows(f"SELECT created, title {_WHERE} ORDER BY seq LIMIT :limit", key)
        told = [(created, title_) for created, title_ in items]
        found.append(
            Digest(id_, imid, title, owner, subscriber, form, since, upto, 0 if count is None else count[0], told)
        )
    return found


@growing_unit
def send_digest(tx: Tx, args: SendDigest) -> None:
    """Deliver a digest and note how far it goes; nothing where that was done meanwhile."""
    digest = args.digest
    row = tx.one(
        "SELECT s.mailbox, s.folder, f.id, s.state, a.disabled, n.imid IS NULL FROM subscription s"
        " JOIN node n ON n.id = s.node JOIN account a ON a.address = s.subscriber"
        " JOIN folder f ON f.mailbox = s.mailbox AND f.key = '/inbox'"
        " WHERE s.id = :id AND s.digested = :since AND s.form = :form AND s.due <= :now",
        {"id": digest.subscription, "since": digest.since, "form": digest.form, "now": args.now},
    )
    if row is None:
        return
    mailbox, folder, inbox, state, disabled, gone = row
    period = None if gone else DIGESTS.get(digest.form)
    noted = tx.one(
        "UPDATE subscription SET digested = :upto, due = :due, digest_end = NULL, digest_failed = 0"
        " WHERE id = :id AND digested = :since AND form = :form AND due <= :now RETURNING 1",
        {
            "upto": digest.upto,
            "due": None if period is None else args.now + period,
            "id": digest.subscription,
            "since": digest.since,
            "form": digest.form,
            "now": args.now,
        },
    )
    if noted is None or args.message is None or disabled or state != "active":
        return
    target = Target(mailbox, folder or inbox, inbox, args.id)
    deliver.run(tx, msgspec.structs.replace(args.message, targets=(target,)))
