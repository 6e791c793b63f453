"""What is due: notifications to show, to show again, to end or to promote, and sources that fell silent.

Rules: a timer is a row, so it outlives the process; it is looked at when its time has come and passed over
where it no longer holds; promoting is the service's to do, so its timer stays until it says that it is done
(docs/protocol.md, "Rules of the recipient").
"""

import msgspec

from immpd.store.feeds.nodes import NODE_SILENCE
from immpd.store.mail.states import take_states
from immpd.store.units import Tx, read_unit, write_unit

from .notifications import COLUMNS, Notification, close, end, lock_notifications, note
from .schedule import promote_after, push_settings, repeat_after, set_timer, set_timers_of_shown, shown_at
from .silence import node_silent, token_silent

MAX_REPEATS = 20
_TRY_AGAIN = 60_000
"""Milliseconds after which a promotion that did not come about is tried again."""


class Fire(msgspec.Struct, frozen=True):
    """Arguments of ``fire``. ``ids``: pairs of a uuid and a random key, one for each that may fall silent."""

    now: int
    ids: tuple[tuple[bytes, bytes], ...]
    limit: int = 100


class Fired(msgspec.Struct, frozen=True):
    """What is to be delivered as mail; whether more is due."""

    promote: tuple[Notification, ...]
    more: bool


class Promoted(msgspec.Struct, frozen=True):
    """Arguments of ``promoted``. ``replaced``: of what was delivered, so that a later change of it stands."""

    id: int
    replaced: int
    now: int


class FirstTimer(msgspec.Struct, frozen=True):
    """The timer that is due first."""

    due: int
    kind: str
    subject: int
    failed: int
    """How often in a row."""


class PutOffTimer(msgspec.Struct, frozen=True):
    """Arguments of ``put_off_timer``: it is looked at again at ``due``, milliseconds UTC."""

    kind: str
    subject: int
    due: int


@read_unit
def first_timer(tx: Tx, _: None) -> FirstTimer | None:
    """The next one to be run; None: there is none."""
    row = tx.one("SELECT due, kind, subject, failed FROM timer ORDER BY due, kind, subject LIMIT 1")
    return None if row is None else FirstTimer(*row)


@write_unit
def put_off_timer(tx: Tx, args: PutOffTimer) -> None:
    """What it is to do failed: it waits, others go on."""
    tx.execute(
        "UPDATE timer SET failed = failed + 1, due = :due WHERE kind = :kind AND subject = :subject AND due < :due",
        {"kind": args.kind, "subject": args.subject, "due": args.due},
    )


@write_unit
def fire(tx: Tx, args: Fire) -> Fired:
    """Do what is due, the oldest first."""
    limit = min(args.limit, len(args.ids))
    found_due = tx.rows(
        "SELECT kind, subject FROM timer WHERE due <= ? ORDER BY due, kind, subject LIMIT ?", (args.now, limit)
    )
    due = tx.rows_of_many(
        "DELETE FROM timer WHERE kind = ? AND subject = ? AND due <= ? RETURNING kind, subject",
        [(*one, args.now) for one in found_due],
    )
    tx.lock("node", [subject for kind, subject in due if kind == NODE_SILENCE])
    lock_notifications(tx, [subject for kind, subject in due if kind not in ("silence", NODE_SILENCE)])
    promote: list[Notification] = []
    for (kind, subject), ids in zip(due, args.ids, strict=False):
        if kind == "silence":
            token_silent(tx, subject, args.now, ids)
            continue
        if kind == NODE_SILENCE:
            node_silent(tx, subject, args.now, ids[0])
            continue
        row = tx.one(COLUMNS + " WHERE id = ?", (subject,))
        if row is None:
            continue
        found = Notification(*row)
        if kind == "promote":
            if found.status == "shown" and promote_after(push_settings(tx, found.mailbox), found.level):
                set_timer(tx, args.now + _TRY_AGAIN, "promote", subject)
                promote.append(found)
        else:
            _ON_TIME[kind](tx, found, args.now)
    return Fired(tuple(promote), len(found_due) == args.limit)


def _show(tx: Tx, found: Notification, now: int) -> None:
    if found.status != "waiting" or found.due > now or found.expires <= now:
        return
    settings = push_settings(tx, found.mailbox)
    again = shown_at(settings, found.level, now)
    if again > now:
        set_timer(tx, again, "show", found.id)
        tx.execute("UPDATE notification SET due = ? WHERE id = ?", (again, found.id))
        return
    set_timers_of_shown(tx, found.id, found.level, settings, now)
    _shown(tx, found, found.repeats)


def _repeat(tx: Tx, found: Notification, now: int) -> None:
    settings = push_settings(tx, found.mailbox)
    every = repeat_after(settings, found.level)
    if found.status != "shown" or not every:
        return
    if found.repeats + 1 < MAX_REPEATS:
        set_timer(tx, now + every, "repeat", found.id)
    if shown_at(settings, found.level, now) <= now:  # else it is quiet now: it comes again with the next turn
        _shown(tx, found, found.repeats + 1)


def _shown(tx: Tx, found: Notification, repeats: int) -> None:
    number = take_states(tx, {found.mailbox: 1})[found.mailbox] + 1
    tx.execute(
        "UPDATE notification SET status = 'shown', repeats = ?, state = ? WHERE id = ?", (repeats, number, found.id)
    )
    note(tx, found.mailbox, number, "notified", found.uuid)


def _expire(tx: Tx, found: Notification, now: int) -> None:
    if found.expires > now or found.status not in ("waiting", "shown"):
        return
    if found.status == "waiting":
        close(tx, found, "expired", 0, now)
        return
    number = take_states(tx, {found.mailbox: 1})[found.mailbox] + 1
    end(tx, found, "expired", number, now)


_ON_TIME = {"show": _show, "repeat": _repeat, "expire": _expire}


@write_unit
def promoted(tx: Tx, args: Promoted) -> None:
    """It was delivered as mail and ends here, unless it ended or was changed meanwhile."""
    lock_notifications(tx, (args.id,))
    row = tx.one(COLUMNS + " WHERE id = ?", (args.id,))
    if row is None:
        return
    found = Notification(*row)
    if (found.status, found.replaced) != ("shown", args.replaced):
        return
    number = take_states(tx, {found.mailbox: 1})[found.mailbox] + 1
    end(tx, found, "promoted", number, args.now)
