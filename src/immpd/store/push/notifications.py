"""Notifications of a mailbox: read, answered, cleared, and what their senders may ask (pushes.py puts them there).

Rules: a notification ends once (answered, dismissed, expired, retracted or promoted), and its sender hears an
answer by a change of the sender's own mailbox; nothing that ended before a device came is shown to it, and of what
was taken back nothing is left but that it was (docs/protocol.md, "Notifications").
"""

from collections.abc import Sequence
from typing import Literal

import msgspec

from immpd.model.change import Change
from immpd.model.notification import MEDIA_TYPE, read_card
from immpd.store.errors import Conflict, NotFound
from immpd.store.ids import uuid_text
from immpd.store.mail.states import take_states
from immpd.store.units import Tx, freeing_unit, read_unit, write_unit

from .schedule import push_settings

MAX_STEP = 200
"""Recipients from whom one unit takes a notification back."""
MAX_STATUS = 1000
"""Recipients of one ID whose status is told."""

Why = Literal["own", "subscribed", "approved", "token", "grant", "domain", "answer", "request"]
"""What let it in (docs/protocol.md, "Who may push")."""
Status = Literal["waiting", "shown", "answered", "dismissed", "expired", "retracted", "promoted"]
Notice = Literal["notified", "cleared", "answered"]


class NoNotification(NotFound):
    """The mailbox has no such notification, or its sender sent none of that ID."""


class NoAction(NotFound):
    """The notification has no such action that can be answered."""


class Ended(Conflict):
    """It has ended; ``status`` says how."""

    def __init__(self, status: str) -> None:
        super().__init__(status)
        self.status = status


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
    replaced: int
    state: int
    seen: bool
    """It was dismissed by somebody who lets that be known."""

    @property
    def is_open(self) -> bool:
        """Whether it has not ended."""
        return self.status in ("waiting", "shown")


COLUMNS = (
    "SELECT id, mailbox, uuid, push, author, origin, sender, recipient, digest, level, why, title, type, body,"
    " created, due, expires, status, answer, ended, repeats, replaced, state, seen FROM notification"
)


def note(tx: Tx, mailbox: int, state: int, kind: Notice, uuid: bytes, details: bytes = b"") -> None:
    """Put it into the mailbox's timeline, and tell it."""
    tx.execute(
        "INSERT INTO change (mailbox, state, kind, folder, id, data) VALUES (?, ?, ?, 0, ?, ?)",
        (mailbox, state, kind, uuid, details),
    )
    tx.tell(Change(kind, mailbox, state, 0, uuid, details=details))


# --- reading


class ListNotifications(msgspec.Struct, frozen=True):
    """Arguments of ``notifications``: those that are shown, or with ``ended`` all that are kept; by pages."""

    mailbox: int
    ended: bool = False
    before: int | None = None
    limit: int = 100
    now: int = 0
    """Milliseconds UTC: what is over then has ended, also where its timer has not run yet."""


class ByIds(msgspec.Struct, frozen=True):
    """Arguments of ``by_ids``: ids in the mailbox."""

    mailbox: int
    ids: tuple[bytes, ...]
    now: int = 0
    """As for ``ListNotifications``."""


class ByPush(msgspec.Struct, frozen=True):
    """Arguments of ``sent``: the sender's mailbox and its ID."""

    author: int
    push: bytes


@read_unit
def notifications(tx: Tx, args: ListNotifications) -> list[Notification]:
    """The newest first; what nobody could see, for it waits or ended waiting, is not there."""
    which = "state > 0" if args.ended else "status = 'shown' AND expires > :now"
    rows = tx.rows(
        COLUMNS + f" WHERE mailbox = :mailbox AND {which} AND id < :before ORDER BY id DESC LIMIT :limit",
        {
            "mailbox": args.mailbox,
            "now": args.now,
            "before": args.before if args.before is not None else 1 << 62,
            "limit": args.limit,
        },
    )
    return [_at(Notification(*row), args.now) for row in rows]


def _at(found: Notification, now: int) -> Notification:
    """What it is at this time: its timer may be late, where the clock was set or the server was away."""
    if found.status != "shown" or found.expires > now:
        return found
    return msgspec.structs.replace(found, status="expired", ended=found.expires)


@read_unit
def by_ids(tx: Tx, args: ByIds) -> dict[bytes, Notification]:
    """Those of these that were shown in the mailbox."""
    rows = tx.rows_of_many(
        COLUMNS + " WHERE uuid = ? AND mailbox = ? AND state > 0", [(one, args.mailbox) for one in args.ids]
    )
    return {row[2]: _at(Notification(*row), args.now) for row in rows}


@read_unit
def sent(tx: Tx, args: ByPush) -> list[Notification]:
    """What a sender sent under one ID, a row a recipient, the first thousand. Raises NoNotification."""
    rows = tx.rows(COLUMNS + " WHERE push = ? AND author = ? ORDER BY id LIMIT ?", (args.push, args.author, MAX_STATUS))
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


def _of(tx: Tx, mailbox: int, uuid: bytes, now: int) -> Notification:
    row = tx.one(COLUMNS + " WHERE uuid = ? AND mailbox = ? AND state > 0", (uuid, mailbox))
    if row is None:
        raise NoNotification
    found = _at(Notification(*row), now)
    if found.status != "shown":
        raise Ended(found.status)
    return found


def lock_notifications(tx: Tx, ids: Sequence[int]) -> None:
    """Lock the mailboxes that these notifications are in, which never change."""
    rows = tx.rows_of_many("SELECT mailbox FROM notification WHERE id = ?", [(one,) for one in ids]) if ids else ()
    tx.lock("mailbox", {row[0] for row in rows})


@write_unit
def answer(tx: Tx, args: Answer) -> None:
    """Answer it, once; its sender is told. Raises NoNotification, Ended, NoAction."""
    tx.lock("mailbox", (args.mailbox,))
    found = _of(tx, args.mailbox, args.id, args.now)
    actions = read_card(found.body).actions if found.type == MEDIA_TYPE else ()
    chosen = next((action for action in actions if action.id == args.action and not action.url), None)
    if chosen is None:
        raise NoAction
    wanted = {args.mailbox: 1}
    if found.author is not None:
        wanted[found.author] = wanted.get(found.author, 0) + 1
    numbers = take_states(tx, wanted)
    end(tx, found, "answered", numbers[args.mailbox] + 1, args.now, chosen.id)
    if found.author is not None:
        details = msgspec.json.encode(
            {"push": uuid_text(found.push), "by": found.recipient, "action": chosen.id, "at": args.at}
        )
        number = numbers[found.author] + wanted[found.author]
        note(tx, found.author, number, "answered", found.push, details)


@freeing_unit
def dismiss(tx: Tx, args: Dismiss) -> None:
    """Clear it. Raises NoNotification, Ended."""
    tx.lock("mailbox", (args.mailbox,))
    found = _of(tx, args.mailbox, args.id, args.now)
    number = take_states(tx, {args.mailbox: 1})[args.mailbox] + 1
    seen = push_settings(tx, args.mailbox).get("push.seen") == "yes"
    tx.execute("UPDATE notification SET seen = ? WHERE id = ?", (seen, found.id))
    end(tx, found, "dismissed", number, args.now)


@freeing_unit
def retract(tx: Tx, args: Retract) -> bool:
    """A step of taking back what has not ended: who has not seen it never will. True while there may be more.

    Raises NoNotification.
    """
    if tx.one("SELECT 1 FROM notification WHERE push = ? AND author = ?", (args.push, args.author)) is None:
        raise NoNotification
    which, those = "WHERE push = ? AND author = ? AND status IN ('waiting', 'shown')", (args.push, args.author)
    mailboxes = tx.rows(f"SELECT mailbox FROM notification {which} ORDER BY id LIMIT ?", (*those, MAX_STEP))  # noqa: S608
    tx.lock("mailbox", {row[0] for row in mailboxes})
    found = [Notification(*row) for row in tx.rows(f"{COLUMNS} {which} ORDER BY id LIMIT ?", (*those, MAX_STEP))]
    wanted: dict[int, int] = {}
    for one in found:
        if one.status == "shown":
            wanted[one.mailbox] = wanted.get(one.mailbox, 0) + 1
    numbers = take_states(tx, wanted) if wanted else {}
    take_back(tx, found, numbers, args.now)
    return len(found) == MAX_STEP


def take_back(tx: Tx, found: Sequence[Notification], numbers: dict[int, int], now: int) -> None:
    """End these and remove what they said; ``numbers``: of each mailbox, the last number before theirs."""
    for one in found:
        if one.status == "shown":
            numbers[one.mailbox] += 1
            end(tx, one, "retracted", numbers[one.mailbox], now)
        else:
            close(tx, one, "retracted", 0, now)
    tx.executemany(
        "UPDATE notification SET title = '', type = 'text/plain', body = ? WHERE id = ?",
        [(b"", one.id) for one in found],
    )


def end(tx: Tx, found: Notification, status: Status, number: int, now: int, answered: str | None = None) -> None:
    """It ends so, under this number of its mailbox's timeline."""
    close(tx, found, status, number, now, answered)
    note(tx, found.mailbox, number, "cleared", found.uuid, msgspec.json.encode({"why": status}))


def close(tx: Tx, found: Notification, status: Status, number: int, now: int, answered: str | None = None) -> None:
    """It ends without a word, for nobody has seen it; or ``end`` says so."""
    tx.execute(
        "UPDATE notification SET status = ?, answer = ?, ended = ?, state = ? WHERE id = ?",
        (status, answered, now, number, found.id),
    )


@read_unit
def any_forgettable(tx: Tx, args: ForgetNotifications) -> bool:
    """Whether one ended so long ago."""
    return tx.one("SELECT 1 FROM notification WHERE ended < ? LIMIT 1", (args.before,)) is not None


@freeing_unit
def forget_notifications(tx: Tx, args: ForgetNotifications) -> bool:
    """Drop what ended long ago; True if there is more."""
    rows = tx.rows("SELECT id FROM notification WHERE ended < ? ORDER BY ended LIMIT ?", (args.before, args.limit))
    tx.executemany("DELETE FROM notification WHERE id = ?", rows)
    return len(rows) == args.limit
