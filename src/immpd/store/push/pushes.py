"""A push to its recipients: what lets it in, what it replaces, and when it is shown.

Rules: one row a recipient, in one transaction with what allowed it and with its place in the timeline; the same ID
with other content, or the same TAG, replaces what is there, and what was replaced does not come back when it is sent
again; of what a stranger or a grant got through no more comes of it than that
(docs/protocol.md, "PUSH" and "Who may push").
"""

from typing import Literal

import msgspec

from immpd.model.change import Change
from immpd.model.notification import Level
from immpd.store.feeds.nodes import speaks_for
from immpd.store.mail.deliver import DAY
from immpd.store.mail.states import take_states
from immpd.store.units import Tx, growing_unit

from .answers import open_answers, use_answer
from .consent import Asked, Asking, Permit, Refusal, ask, settings_of, standing_permit, use_grant
from .due import drop_timers, set_timer, set_timers_of_shown, shown_at
from .notifications import COLUMNS, Notification, note, take_back

MAX_OPEN = 1000
"""Notifications of a mailbox that are neither answered nor ended."""
MAX_OPEN_OF_ONE = 200
"""Of these, those of one sender of the mailbox's own domain, or of all of another domain."""
MAX_CHANGES = 10
"""How often a stranger, or who used a grant, may change the notification that got through."""
_OPEN = "status IN ('waiting', 'shown')"
_PUSH = b"push"
"""Ends the key of a push where those of messages are remembered."""
_WAITS = b'{"why":"waiting"}'

Outcome = (
    Literal["delivered", "updated", "duplicate", "no-mailbox", "full", "too-many", "not-publisher", "id-reused"]
    | Refusal
)


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
    """Arguments of ``push``. Times are milliseconds UTC; ``token``: the public half of the token that was shown."""

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


class Pushed(msgspec.Struct, frozen=True):
    """What became of one recipient, and what to tell its watchers."""

    outcome: Outcome
    changes: tuple[Change, ...] = ()


@growing_unit
def push(tx: Tx, args: NewPush) -> tuple[Pushed, ...]:
    """Put it to every recipient who lets it in; what became of each, in their order. No mailbox stands there twice."""
    if args.token is not None and not _sign_of_life(tx, args.token, args.now):
        return tuple([Pushed("declined")] * len(args.to))
    publisher = args.asking.publisher
    if publisher is not None and not speaks_for(tx, args.asking.sender, *publisher):
        return tuple([Pushed("not-publisher")] * len(args.to))
    mailboxes = _mailboxes(tx, args.to)
    tx.lock(mailboxes.values())
    decided = [_decide(tx, args, to, mailboxes.get(to.address)) for to in args.to]
    wanted = {one.mailbox: one.changes for one in decided if isinstance(one, _Coming) and one.changes}
    numbers = take_states(tx, wanted) if wanted else {}
    results = []
    for one in decided:
        if isinstance(one, _Coming):
            number = numbers.get(one.mailbox, -1) + one.changes
            changes = []
            if one.other is not None:
                changes += take_back(tx, [one.other], {one.mailbox: number - one.changes}, args.now)
            uuid = _keep(tx, args, one, number if one.shows else 0)
            if one.shows:
                changes.append(note(tx, one.mailbox, number, "notified", uuid))
            elif one.hides:
                changes.append(note(tx, one.mailbox, number, "cleared", uuid, _WAITS))
            results.append(Pushed("delivered" if one.old is None else "updated", tuple(changes)))
        else:
            results.append(Pushed(one))
    if args.asking.author is not None and args.asking.token_of is None and args.asking.publisher is None:
        news = [one.to for one in decided if isinstance(one, _Coming) and one.old is None]
        author, origin = args.asking.author, args.asking.origin
        open_answers(tx, [(author, to.address) for to in news if to.domain != origin], args.now)
    return tuple(results)


def _sign_of_life(tx: Tx, token: bytes, now: int) -> bool:
    """Note that a token was used; False where it was removed while its octets came."""
    used = tx.one("UPDATE push_token SET used = ?, silent = 0 WHERE public = ? RETURNING id, every", (now, token))
    if used is not None and used[1]:
        set_timer(tx, now + used[1] * 1000, "silence", used[0])
    return used is not None


class _Coming(msgspec.Struct, frozen=True):
    """A recipient who gets it."""

    to: PushTo
    mailbox: int
    permit: Permit
    level: int
    due: int
    settings: dict[str, str]
    old: Notification | None
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


def _mailboxes(tx: Tx, to: tuple[PushTo, ...]) -> dict[str, int]:
    """Of each address that there is, its mailbox."""
    return dict(
        tx.rows_of_many(
            "SELECT address, mailbox FROM account WHERE address = ? AND disabled = 0",
            [(address,) for address in {one.address for one in to}],
        )
    )


def _decide(tx: Tx, args: NewPush, to: PushTo, mailbox: int | None) -> _Coming | Outcome:
    if mailbox is None:
        return "no-mailbox"
    named, tagged = _by_key(tx, mailbox, to), _by_tag(tx, mailbox, to)
    if named is None and _was_replaced(tx, to, args.digest):
        return "duplicate"
    if args.asking.publisher is not None and any(
        one is not None and one.author != args.asking.author for one in (named, tagged)
    ):
        return "id-reused"
    old = named or tagged
    other = None if tagged is None or old is None or tagged.id == old.id else tagged
    if old is not None and (old.push, old.digest) == (args.push, args.digest) and old.status != "retracted":
        return "duplicate"
    allowed = _permitted(tx, args, to, mailbox, old)
    if not isinstance(allowed, Permit):
        return allowed
    if (old is None or not old.is_open) and (full := _is_full(tx, args.asking, to, mailbox)):
        return full
    settings = settings_of(tx, mailbox)
    level = min(args.level, allowed.cap)
    due = shown_at(settings, level, max(args.due, args.now))
    return _Coming(to, mailbox, allowed, level, due, settings, old, other, due <= args.now)


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


def _permitted(tx: Tx, args: NewPush, to: PushTo, mailbox: int, old: Notification | None) -> Permit | Refusal:
    """What lets it in. Who got one through may change that one a few times while it stands, and no more."""
    allowed = standing_permit(tx, mailbox, to.domain, args.asking)
    if allowed is not None:
        return allowed
    if old is not None and old.is_open and old.why in ("grant", "answer", "request") and old.replaced < MAX_CHANGES:
        return Permit(old.why, Level.HIGH if old.why == "grant" else Level.NORMAL)
    if to.grant:
        return use_grant(tx, mailbox, args.asking.origin, to.grant, args.now)
    if use_answer(tx, mailbox, args.asking.sender, args.now):
        return Permit("answer", Level.NORMAL)
    return ask(tx, mailbox, args.asking, Asked(to.request, args.title, args.now))


def _by_key(tx: Tx, mailbox: int, to: PushTo) -> Notification | None:
    row = tx.one(COLUMNS + " WHERE mailbox = ? AND key = ?", (mailbox, to.key))
    return None if row is None else Notification(*row)


def _by_tag(tx: Tx, mailbox: int, to: PushTo) -> Notification | None:
    """What is still open under the same tag."""
    row = None
    if to.tag is not None:
        row = tx.one(COLUMNS + f" WHERE mailbox = ? AND tag = ? AND {_OPEN}", (mailbox, to.tag))
    return None if row is None else Notification(*row)


def _was_replaced(tx: Tx, to: PushTo, digest: bytes) -> bool:
    """Whether this very push was there and gave way to another of its tag."""
    return tx.one("SELECT 1 FROM retry WHERE key = ? AND digest = ?", (to.key + _PUSH, digest)) is not None


def _remember(tx: Tx, old: Notification, key: bytes, now: int) -> None:
    """It gives way to another of its tag, under another key: sent again it is known."""
    before = tx.one("SELECT key FROM notification WHERE id = ?", (old.id,))
    if before is not None and before[0] != key:
        tx.execute(
            "INSERT INTO retry (key, digest, day) VALUES (?, ?, ?)"
            " ON CONFLICT (key) DO UPDATE SET digest = excluded.digest, day = excluded.day",
            (before[0] + _PUSH, old.digest, now // DAY),
        )


def _keep(tx: Tx, args: NewPush, one: _Coming, state: int) -> bytes:
    """Write the row; returns the id in the mailbox."""
    status = "shown" if state else "waiting"
    if one.old is None:
        number = tx.take_ids("notification", 1)
        uuid = one.to.uuid
        tx.execute(
            "INSERT INTO notification (id, mailbox, uuid, push, author, origin, sender, recipient, key, tag, digest,"
            " level, why, title, type, body, created, due, expires, status, state)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(number, one.mailbox, uuid, args.push, args.asking.author, args.asking.origin, args.asking.sender),
                *(one.to.recipient, one.to.key, one.to.tag, args.digest, one.level, one.permit.why, args.title),
                *(args.type, args.body, args.now, one.due, args.expires, status, state),
            ),
        )
    else:
        number, uuid = one.old.id, one.old.uuid
        _remember(tx, one.old, one.to.key, args.now)
        tx.execute(
            "UPDATE notification SET push = ?, key = ?, tag = ?, digest = ?, level = ?, title = ?, type = ?, body = ?,"
            " due = ?, expires = ?, status = ?, why = ?, author = ?,"
            " answer = NULL, ended = NULL, repeats = 0, replaced = replaced + 1, state = ? WHERE id = ?",
            (
                *(args.push, one.to.key, one.to.tag, args.digest, one.level, args.title, args.type, args.body),
                *(one.due, args.expires, status, one.permit.why, args.asking.author, state, number),
            ),
        )
        drop_timers(tx, number)
    set_timer(tx, args.expires, "expire", number)
    if state:
        set_timers_of_shown(tx, number, one.level, one.settings, args.now)
    else:
        set_timer(tx, one.due, "show", number)
    return uuid
