"""What becomes of a push at one of its recipients: ``decide``, and in it who may push, ``may_push``.

Rules: it is decided in the transaction that keeps it, so that a grant is used once and of a stranger one gets through;
who may is looked at in the order of docs/protocol.md, "Who may push", and the first that says something decides; a
level is capped and never raised.
"""

from typing import Literal

import msgspec

from immpd.model.notification import Level
from immpd.store.units import Tx

from .correspondents import use_answer
from .notifications import COLUMNS, Notification, Why
from .schedule import push_settings, shown_at

MAX_OPEN = 1000
"""Notifications of a mailbox that are neither answered nor ended."""
MAX_OPEN_OF_ONE = 200
"""Of these, those of one sender of the mailbox's own domain, or of all of another domain."""
MAX_CHANGES = 10
"""How often a stranger, or who used a grant, may change the notification that got through."""
MAX_REQUESTS = 100
"""Strangers that may wait at one mailbox."""
_OPEN = "status IN ('waiting', 'shown')"
SENT_BEFORE = b"push"
"""Ends the key of a push that gave way to another of its tag, where keys of messages are remembered."""

NotAllowed = Literal["declined", "no-subscription", "pending", "bad-grant", "too-many-requests"]
NotKept = Literal["duplicate", "no-mailbox", "full", "too-many", "not-publisher", "id-reused"] | NotAllowed


# --- what is asked


class Asking(msgspec.Struct, frozen=True):
    """Who asks to notify a mailbox."""

    origin: str
    sender: str
    author: int | None
    """The sender's own mailbox, where it is of this server."""
    token_of: int | None
    """The mailbox whose token it showed."""
    cap: int
    """Of its token."""
    publisher: tuple[int, str] | None = None
    """The sender is a node, in whose name this account (its number and address) notifies subscribers."""


class PushTo(msgspec.Struct, frozen=True):
    """One recipient of a push. ``uuid``, ``request``: ids for what is made new; ``key``, ``tag``: hashes."""

    address: str
    domain: str
    recipient: str
    uuid: bytes
    request: bytes
    key: bytes
    tag: bytes | None = None
    grant: str = ""


class NewPush(msgspec.Struct, frozen=True):
    """A push to all its recipients. Times: milliseconds UTC; ``token``: the public half of the one that was shown."""

    push: bytes
    asking: Asking
    title: str
    type: str
    body: bytes
    level: int
    digest: bytes
    to: tuple[PushTo, ...]
    now: int
    due: int
    expires: int
    token: bytes | None = None

    @property
    def weight(self) -> int:
        """Octets that it takes while it waits."""
        return 1024 + len(self.body) + 256 * len(self.to)


# --- what is decided


class Permit(msgspec.Struct, frozen=True):
    """It may come; ``cap``: no level above it."""

    why: Why
    cap: int


class Admitted(msgspec.Struct, frozen=True):
    """A recipient who gets it."""

    to: PushTo
    mailbox: int
    why: Why
    level: int
    due: int
    settings: dict[str, str]
    old: Notification | None
    """What it replaces."""
    other: Notification | None
    """It is open under the same tag, too, and is not what this one replaces by its ID."""
    shows: bool
    """It is shown now."""

    @property
    def hides(self) -> bool:
        """What it replaces is on the screens, and it is not to be there yet."""
        return not self.shows and self.old is not None and self.old.status == "shown"

    @property
    def changes(self) -> int:
        """What there is to tell."""
        return (self.other is not None and self.other.status == "shown") + (self.shows or self.hides)


def decide(tx: Tx, push: NewPush, to: PushTo, mailbox: int | None) -> Admitted | NotKept:
    """Whether the recipient gets it, in whose place, how urgent and when; or why not."""
    if mailbox is None:
        return "no-mailbox"
    asking = push.asking
    named, tagged = _by_key(tx, mailbox, to), _by_tag(tx, mailbox, to)
    if named is None and _gave_way(tx, to, push.digest):
        return "duplicate"
    if asking.publisher is not None and any(one is not None and one.author != asking.author for one in (named, tagged)):
        return "id-reused"
    old = named or tagged
    if old is not None and (old.push, old.digest) == (push.push, push.digest) and old.status != "retracted":
        return "duplicate"
    permit = may_push(tx, push, to, mailbox, old)
    if not isinstance(permit, Permit):
        return permit
    if (old is None or not old.is_open) and (full := _is_full(tx, asking, to, mailbox)):
        return full
    other = None if tagged is None or old is None or tagged.id == old.id else tagged
    settings = push_settings(tx, mailbox)
    level = min(push.level, permit.cap)
    due = shown_at(settings, level, max(push.due, push.now))
    return Admitted(to, mailbox, permit.why, level, due, settings, old, other, due <= push.now)


def may_push(tx: Tx, push: NewPush, to: PushTo, mailbox: int, old: Notification | None) -> Permit | NotAllowed:
    """Who may push, in the protocol's order; ``old``: what the sender got in before and this one replaces."""
    asking = push.asking
    # 1. The own push tokens and the own account, which nobody can shut out.
    if asking.token_of is not None:
        return Permit("token", asking.cap) if asking.token_of == mailbox else "declined"
    if asking.author == mailbox and asking.publisher is None:
        return Permit("own", Level.CRITICAL)
    # 2. A sender that was declined, or whose domain was.
    of_sender, of_domain = _decisions(tx, mailbox, asking)
    decided = of_sender or of_domain
    if decided is not None and not decided[0]:
        return "declined"
    # 3. A node reaches who subscribes to it, and nobody else.
    if asking.publisher is not None:
        return _as_subscriber(tx, mailbox, asking.sender, Level.HIGH if of_sender is None else of_sender[1])
    # 4. A sender that was approved, or its domain.
    if decided is not None:
        return Permit("approved", decided[1])
    # 5. People of the recipient's own domain.
    if asking.origin == to.domain:
        return Permit("domain", Level.HIGH)
    # What 6, 7 or 8 let in, its sender may change a few times while it stands.
    if old is not None and old.is_open and old.why in ("grant", "answer", "request") and old.replaced < MAX_CHANGES:
        return Permit(old.why, Level.HIGH if old.why == "grant" else Level.NORMAL)
    # 6. A grant.
    if to.grant:
        return _with_grant(tx, mailbox, asking.origin, to.grant, push.now)
    # 7. Whom the recipient has written to.
    if use_answer(tx, mailbox, asking.sender, push.now):
        return Permit("answer", Level.NORMAL)
    # 8. A stranger.
    return _as_stranger(tx, push, to, mailbox)


# --- what it is decided by

_Decision = tuple[int, int]
"""Whether the person lets it in (PUSH ALLOW, PUSH DENY), and no level above which."""


def _decisions(tx: Tx, mailbox: int, asking: Asking) -> tuple[_Decision | None, _Decision | None]:
    """What the person said of the sender, and of its domain."""
    rows = tx.rows(
        "SELECT origin, allowed, cap FROM push_allow WHERE mailbox = ? AND origin IN (?, ?)",
        (mailbox, asking.sender, asking.origin),
    )
    said = {origin: (allowed, cap) for origin, allowed, cap in rows}
    return said.get(asking.sender), said.get(asking.origin)


def _as_subscriber(tx: Tx, mailbox: int, node: str, cap: int) -> Permit | NotAllowed:
    """Who wants no notifications of the node is not disturbed."""
    row = tx.one(
        "SELECT s.muted OR s.form <> 'notification' FROM node n JOIN subscription s ON s.node = n.id"
        " WHERE n.imid = ? AND s.mailbox = ? AND s.state = 'active'",
        (node, mailbox),
    )
    return "no-subscription" if row is None else Permit("subscribed", Level.SILENT if row[0] else cap)


def _with_grant(tx: Tx, mailbox: int, origin: str, code: str, now: int) -> Permit | NotAllowed:
    """Use it once, and bind it to the first domain that does."""
    row = tx.one(
        "UPDATE push_grant SET uses = uses - 1, domain = ? WHERE mailbox = ? AND code = ? AND uses > 0"
        " AND domain IN ('', ?) AND (until IS NULL OR until > ?) RETURNING uses",
        (origin, mailbox, code, origin, now),
    )
    return "bad-grant" if row is None else Permit("grant", Level.HIGH)


def _as_stranger(tx: Tx, push: NewPush, to: PushTo, mailbox: int) -> Permit | NotAllowed:
    """One gets through and is the request, until it is answered."""
    asking = push.asking
    waiting = tx.rows("SELECT origin FROM push_request WHERE mailbox = ?", (mailbox,))
    if (asking.origin,) in waiting:
        return "pending"
    if len(waiting) >= MAX_REQUESTS:
        return "too-many-requests"
    tx.execute(
        "INSERT INTO push_request (mailbox, origin, id, sender, title, since) VALUES (?, ?, ?, ?, ?, ?)",
        (mailbox, asking.origin, to.request, asking.sender, push.title, push.now),
    )
    return Permit("request", Level.NORMAL)


def _is_full(tx: Tx, asking: Asking, to: PushTo, mailbox: int) -> Literal["full", "too-many"] | None:
    """Whether there is no room for another, or none for another of this sender."""
    whose, who = ("sender", asking.sender) if asking.origin == to.domain else ("origin", asking.origin)
    of_mailbox = f"SELECT count(*) FROM notification WHERE mailbox = ? AND {_OPEN}"  # noqa: S608
    (count,) = tx.rows(of_mailbox, (mailbox,))
    if count[0] >= MAX_OPEN_OF_ONE:
        (of_one,) = tx.rows(f"{of_mailbox} AND {whose} = ?", (mailbox, who))
        if of_one[0] >= MAX_OPEN_OF_ONE:
            return "too-many"
    return "full" if count[0] >= MAX_OPEN else None


def _by_key(tx: Tx, mailbox: int, to: PushTo) -> Notification | None:
    row = tx.one(COLUMNS + " WHERE mailbox = ? AND key = ?", (mailbox, to.key))
    return None if row is None else Notification(*row)


def _by_tag(tx: Tx, mailbox: int, to: PushTo) -> Notification | None:
    """What is still open under the same tag."""
    row = None
    if to.tag is not None:
        row = tx.one(COLUMNS + f" WHERE mailbox = ? AND tag = ? AND {_OPEN}", (mailbox, to.tag))
    return None if row is None else Notification(*row)


def _gave_way(tx: Tx, to: PushTo, digest: bytes) -> bool:
    """Whether this very push was there and gave way to another of its tag."""
    return tx.one("SELECT 1 FROM retry WHERE key = ? AND digest = ?", (to.key + SENT_BEFORE, digest)) is not None
