"""Notifications of a mailbox: put there, changed, answered, cleared, and what their senders may ask.

Rules: one row a recipient, in one transaction with what allowed it and with its place in the timeline; a
notification ends once (answered, dismissed, expired, retracted or promoted), and its sender hears an answer
by a change of the sender's own mailbox; the same ID with other content, or the same TAG, replaces what is
there; nothing that ended before a device came is shown to it (docs/protocol.md, "Notifications").
"""

from typing import Literal

import msgspec

from immpd.model.change import Change
from immpd.model.notification import MEDIA_TYPE, Level, read_card
from immpd.model.quiet import QuietHours
from immpd.store.due import set_timer
from immpd.store.errors import Conflict, NotFound
from immpd.store.ids import uuid_text
from immpd.store.permissions import Asking, Permit, Refusal, Why, permit, settings_of
from immpd.store.states import take_states
from immpd.store.units import Tx, read_unit, write_unit

MAX_OPEN = 1000
"""Notifications of a mailbox that are neither answered nor ended."""

Status = Literal["waiting", "shown", "answered", "dismissed", "expired", "retracted", "promoted"]
Notice = Literal["notified", "cleared", "answered"]
Outcome = Literal["delivered", "updated", "duplicate", "no-mailbox", "full"] | Refusal


class NoNotification(NotFound):
    """The mailbox has no such notification, or its sender sent none of that ID."""


class NoAction(NotFound):
    """The notification has no such action that can be answered."""


class Ended(Conflict):
    """It has ended; ``status`` says how."""

    def __init__(self, status: str) -> None:
        super().__init__(status)
        self.status = status


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
    """Arguments of ``push``. Times are milliseconds UTC; ``token``: the row of the token that was shown."""

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
    token: int | None = None

    @property
    def weight(self) -> int:
        """Octets that it takes while it waits."""
        return 1024 + len(self.body) + 256 * len(self.to)


class Pushed(msgspec.Struct, frozen=True):
    """What became of one recipient, and what to tell its watchers."""

    outcome: Outcome
    change: Change | None = None


class Notification(msgspec.Struct, frozen=True):
    """A notification as it is kept; times are milliseconds UTC."""

    id: int
    mailbox: int
    uuid: bytes
    push: bytes
    author: int | None
    origin: str
    sender: str
    recipient: str
    digest: bytes
    level: int
    why: Why
    title: str
    type: str
    body: bytes
    created: int
    due: int
    expires: int
    status: Status
    answer: str | None
    ended: int | None
    repeats: int
    state: int


COLUMNS = (
    "SELECT id, mailbox, uuid, push, author, origin, sender, recipient, digest, level, why, title, type, body,"
    " created, due, expires, status, answer, ended, repeats, state FROM notification"
)
_OPEN = "status IN ('waiting', 'shown')"


@write_unit
def push(tx: Tx, args: NewPush) -> tuple[Pushed, ...]:
    """Put it to every recipient who lets it in; what became of each, in their order. No mailbox stands there twice."""
    mailboxes = _mailboxes(tx, args.to)
    tx.lock(mailboxes.values())
    decided = [_decide(tx, args, to, mailboxes.get(to.address)) for to in args.to]
    wanted = {coming.mailbox: 1 for coming in decided if isinstance(coming, _Coming) and coming.due <= args.now}
    numbers = take_states(tx, wanted) if wanted else {}
    results = []
    for one in decided:
        if not isinstance(one, _Coming):
            results.append(Pushed(one))
            continue
        state = 0
        if one.due <= args.now:
            state = numbers[one.mailbox] + 1
        uuid = _keep(tx, args, one, state)
        change = note(tx, one.mailbox, state, "notified", uuid) if state else None
        results.append(Pushed("delivered" if one.old is None else "updated", change))
    if args.token is not None:
        tx.execute("UPDATE push_token SET used = ?, silent = 0 WHERE id = ?", (args.now, args.token))
        every = tx.one("SELECT every FROM push_token WHERE id = ? AND every > 0", (args.token,))
        if every is not None:
            set_timer(tx, args.now + every[0] * 1000, "silence", args.token)
    return tuple(results)


class _Coming(msgspec.Struct, frozen=True):
    """A recipient who gets it."""

    to: PushTo
    mailbox: int
    permit: Permit
    level: int
    due: int
    settings: dict[str, str]
    old: Notification | None


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
    old = _known(tx, mailbox, to)
    if old is not None and old.push == args.push and old.digest == args.digest:
        return "duplicate"
    allowed = permit(tx, mailbox, to.domain, args.asking, "" if old is not None else to.grant, args.now)
    if not isinstance(allowed, Permit):
        if old is None or allowed == "declined":
            return allowed
        allowed = Permit(old.why, Level.NORMAL)  # it was let in once; that it changes asks for nothing new
    if old is None:
        count = tx.one(f"SELECT count(*) FROM notification WHERE mailbox = ? AND {_OPEN}", (mailbox,))  # noqa: S608
        if count is not None and count[0] >= MAX_OPEN:
            return "full"
    if allowed.why == "request" and old is None:
        tx.execute(
            "INSERT INTO push_request (mailbox, origin, id, sender, title, since) VALUES (?, ?, ?, ?, ?, ?)",
            (mailbox, args.asking.origin, to.request, args.asking.sender, args.title, args.now),
        )
    settings = settings_of(tx, mailbox)
    level = min(args.level, allowed.cap)
    return _Coming(to, mailbox, allowed, level, shown_at(settings, level, max(args.due, args.now)), settings, old)


def _known(tx: Tx, mailbox: int, to: PushTo) -> Notification | None:
    """The notification that this one replaces: of the same ID, or still open under the same tag."""
    row = tx.one(COLUMNS + " WHERE mailbox = ? AND key = ?", (mailbox, to.key))
    if row is None and to.tag is not None:
        row = tx.one(COLUMNS + f" WHERE mailbox = ? AND tag = ? AND {_OPEN}", (mailbox, to.tag))
    return None if row is None else Notification(*row)


def shown_at(settings: dict[str, str], level: int, due: int) -> int:
    """When a notification that is due may be shown: quiet hours hold up all but the silent and the critical."""
    quiet = settings.get("push.quiet")
    if quiet is None or level in (Level.SILENT, Level.CRITICAL):
        return due
    return QuietHours.parse(quiet).ends(due) or due


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
        tx.execute(
            "UPDATE notification SET push = ?, key = ?, tag = ?, digest = ?, level = ?, title = ?, type = ?, body = ?,"
            " due = ?, expires = ?, status = ?, answer = NULL, ended = NULL, repeats = 0, state = ? WHERE id = ?",
            (
                *(args.push, one.to.key, one.to.tag, args.digest, one.level, args.title, args.type, args.body),
                *(one.due, args.expires, status, state, number),
            ),
        )
    set_timer(tx, args.expires, "expire", number)
    if state:
        set_timers_of_shown(tx, number, one.level, one.settings, args.now)
    else:
        set_timer(tx, one.due, "show", number)
    return uuid


def set_timers_of_shown(tx: Tx, number: int, level: int, settings: dict[str, str], now: int) -> None:
    """What the recipient wants done while nobody answers."""
    repeat = int(settings.get("push.repeat", 0))
    if repeat and level >= Level.HIGH:
        set_timer(tx, now + repeat * 1000, "repeat", number)
    promote = int(settings.get("push.promote", 0))
    if promote and level > Level.SILENT:
        set_timer(tx, now + promote * 1000, "promote", number)


def note(tx: Tx, mailbox: int, state: int, kind: Notice, uuid: bytes, details: bytes = b"") -> Change:
    """Put it into the mailbox's timeline."""
    tx.execute(
        "INSERT INTO change (mailbox, state, kind, folder, id, data) VALUES (?, ?, ?, 0, ?, ?)",
        (mailbox, state, kind, uuid, details),
    )
    return Change(kind, mailbox, state, 0, uuid, details=details)


# --- reading


class ListNotifications(msgspec.Struct, frozen=True):
    """Arguments of ``notifications``: those that are shown, or with ``ended`` all that are kept; by pages."""

    mailbox: int
    ended: bool = False
    before: int | None = None
    limit: int = 100


class ByIds(msgspec.Struct, frozen=True):
    """Arguments of ``by_ids``: ids in the mailbox."""

    mailbox: int
    ids: tuple[bytes, ...]


class ByPush(msgspec.Struct, frozen=True):
    """Arguments of ``sent``: the sender's mailbox and its ID."""

    author: int
    push: bytes


@read_unit
def notifications(tx: Tx, args: ListNotifications) -> list[Notification]:
    """The newest first; what waits for its time is not there yet."""
    which = "status != 'waiting'" if args.ended else "status = 'shown'"
    rows = tx.rows(
        COLUMNS + f" WHERE mailbox = ? AND {which} AND id < ? ORDER BY id DESC LIMIT ?",
        (args.mailbox, args.before if args.before is not None else 1 << 62, args.limit),
    )
    return [Notification(*row) for row in rows]


@read_unit
def by_ids(tx: Tx, args: ByIds) -> dict[bytes, Notification]:
    """Those of these that the mailbox has."""
    rows = tx.rows_of_many(COLUMNS + " WHERE uuid = ? AND mailbox = ?", [(one, args.mailbox) for one in args.ids])
    return {row[2]: Notification(*row) for row in rows}


@read_unit
def sent(tx: Tx, args: ByPush) -> list[Notification]:
    """What a sender sent under one ID, a row a recipient. Raises NoNotification."""
    rows = tx.rows(COLUMNS + " WHERE push = ? AND author = ? ORDER BY id", (args.push, args.author))
    if not rows:
        raise NoNotification
    return [Notification(*row) for row in rows]


# --- the end


class Answer(msgspec.Struct, frozen=True):
    """Arguments of ``answer``. ``at``: the time as the sender is told it."""

    mailbox: int
    id: bytes
    action: str
    now: int
    at: str


class Dismiss(msgspec.Struct, frozen=True):
    """Arguments of ``dismiss``."""

    mailbox: int
    id: bytes
    now: int


class Retract(msgspec.Struct, frozen=True):
    """Arguments of ``retract``."""

    author: int
    push: bytes
    now: int


class ForgetNotifications(msgspec.Struct, frozen=True):
    """Arguments of ``forget_notifications``: what ended before this time; milliseconds UTC."""

    before: int
    limit: int = 500


def _of(tx: Tx, mailbox: int, uuid: bytes) -> Notification:
    row = tx.one(COLUMNS + " WHERE uuid = ? AND mailbox = ?", (uuid, mailbox))
    if row is None or row[17] == "waiting":
        raise NoNotification
    found = Notification(*row)
    if found.status != "shown":
        raise Ended(found.status)
    return found


@write_unit
def answer(tx: Tx, args: Answer) -> tuple[Change, ...]:
    """Answer it, once; its sender is told. Raises NoNotification, Ended, NoAction."""
    tx.lock((args.mailbox,))
    found = _of(tx, args.mailbox, args.id)
    actions = read_card(found.body).actions if found.type == MEDIA_TYPE else ()
    chosen = next((action for action in actions if action.id == args.action and not action.url), None)
    if chosen is None:
        raise NoAction
    wanted = {args.mailbox: 1}
    if found.author is not None:
        wanted[found.author] = wanted.get(found.author, 0) + 1
    numbers = take_states(tx, wanted)
    changes = [end(tx, found, "answered", numbers[args.mailbox] + 1, args.now, chosen.id)]
    if found.author is not None:
        details = msgspec.json.encode(
            {"push": uuid_text(found.push), "by": found.recipient, "action": chosen.id, "at": args.at}
        )
        number = numbers[found.author] + wanted[found.author]
        changes.append(note(tx, found.author, number, "answered", found.push, details))
    return tuple(changes)


@write_unit
def dismiss(tx: Tx, args: Dismiss) -> tuple[Change, ...]:
    """Clear it. Raises NoNotification, Ended."""
    tx.lock((args.mailbox,))
    found = _of(tx, args.mailbox, args.id)
    number = take_states(tx, {args.mailbox: 1})[args.mailbox] + 1
    return (end(tx, found, "dismissed", number, args.now),)


@write_unit
def retract(tx: Tx, args: Retract) -> tuple[Change, ...]:
    """Take back what was not answered: who has not seen it never will. Raises NoNotification."""
    found = sent.run(tx, ByPush(args.author, args.push))
    shown = [one for one in found if one.status == "shown"]
    wanted: dict[int, int] = {}
    for one in shown:
        wanted[one.mailbox] = wanted.get(one.mailbox, 0) + 1
    numbers = take_states(tx, wanted) if wanted else {}
    changes = []
    for one in found:
        if one.status == "shown":
            numbers[one.mailbox] += 1
            changes.append(end(tx, one, "retracted", numbers[one.mailbox], args.now))
        elif one.status == "waiting":
            close(tx, one, "retracted", 0, args.now)
    return tuple(changes)


def end(tx: Tx, found: Notification, status: Status, number: int, now: int, answered: str | None = None) -> Change:
    """It ends so, under this number of its mailbox's timeline."""
    close(tx, found, status, number, now, answered)
    return note(tx, found.mailbox, number, "cleared", found.uuid, msgspec.json.encode({"why": status}))


def close(tx: Tx, found: Notification, status: Status, number: int, now: int, answered: str | None = None) -> None:
    """It ends without a word, for nobody has seen it; or ``end`` says so."""
    tx.execute(
        "UPDATE notification SET status = ?, answer = ?, ended = ?, state = ? WHERE id = ?",
        (status, answered, now, number, found.id),
    )


@write_unit
def forget_notifications(tx: Tx, args: ForgetNotifications) -> bool:
    """Drop what ended long ago; True if there is more."""
    rows = tx.rows("SELECT id FROM notification WHERE ended < ? ORDER BY ended LIMIT ?", (args.before, args.limit))
    tx.executemany("DELETE FROM notification WHERE id = ?", rows)
    return len(rows) == args.limit
