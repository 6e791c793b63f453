"""A push is put: kept for every recipient who gets it (admission.py), shown, and looked at again at its time.

Rules: one row a recipient, in one transaction with what allowed it and with its place in the timeline; the same ID
with other content, or the same TAG, replaces what is there, and what was replaced does not come back when it is sent
again (docs/protocol.md, "PUSH").
"""

from typing import Literal

import msgspec

from immpd.store.feeds.nodes import speaks_for
from immpd.store.mail.deliver import DAY
from immpd.store.mail.states import take_states
from immpd.store.units import Tx, growing_unit

from .admission import SENT_BEFORE, Admitted, NewPush, NotKept, PushTo, decide
from .correspondents import open_answers
from .notifications import Notification, Why, note, take_back
from .schedule import drop_timers, set_timer, set_timers_of_shown

_WAITS = b'{"why":"waiting"}'


Pushed = Literal["delivered", "updated"] | NotKept
"""What became of one recipient: it has a new one, another one, or none and why."""


@growing_unit
def push(tx: Tx, args: NewPush) -> tuple[Pushed, ...]:
    """Put it to every recipient who lets it in; what became of each, in their order. No mailbox stands there twice."""
    if args.token is not None and not _sign_of_life(tx, args.token, args.now):
        return tuple(["declined" for _ in args.to])
    publisher = args.asking.publisher
    if publisher is not None and not speaks_for(tx, args.asking.sender, *publisher):
        return tuple(["not-publisher" for _ in args.to])
    mailboxes = _mailboxes(tx, args.to)
    tx.lock("mailbox", mailboxes.values())
    decided = [decide(tx, args, to, mailboxes.get(to.address)) for to in args.to]
    wanted = {one.mailbox: one.changes for one in decided if isinstance(one, Admitted) and one.changes}
    numbers = take_states(tx, wanted) if wanted else {}
    results: list[Pushed] = []
    for one in decided:
        if isinstance(one, Admitted):
            number = numbers.get(one.mailbox, -1) + one.changes
            if one.other is not None:
                take_back(tx, [one.other], {one.mailbox: number - one.changes}, args.now)
            uuid = _keep(tx, args, one, number if one.shows else 0)
            if one.shows:
                note(tx, one.mailbox, number, "notified", uuid)
            elif one.hides:
                note(tx, one.mailbox, number, "cleared", uuid, _WAITS)
            results.append("delivered" if one.old is None else "updated")
        else:
            results.append(one)
    if args.asking.author is not None and args.asking.token_of is None and args.asking.publisher is None:
        news = [one.to for one in decided if isinstance(one, Admitted) and one.old is None]
        author, origin = args.asking.author, args.asking.origin
        open_answers(tx, [(author, to.address) for to in news if to.domain != origin], args.now)
    return tuple(results)


def _sign_of_life(tx: Tx, token: bytes, now: int) -> bool:
    """Note that a token was used; False where it was removed while its octets came."""
    used = tx.one("UPDATE push_token SET used = ?, silent = 0 WHERE public = ? RETURNING id, every", (now, token))
    if used is not None and used[1]:
        set_timer(tx, now + used[1] * 1000, "silence", used[0])
    return used is not None


def _mailboxes(tx: Tx, to: tuple[PushTo, ...]) -> dict[str, int]:
    """Of each address that there is, its mailbox."""
    return dict(
        tx.rows_of_many(
            "SELECT address, mailbox FROM account WHERE address = ? AND disabled = 0",
            [(address,) for address in {one.address for one in to}],
        )
    )


def _remember(tx: Tx, old: Notification, key: bytes, now: int) -> None:
    """It gives way to another of its tag, under another key: sent again it is known."""
    before = tx.one("SELECT key FROM notification WHERE id = ?", (old.id,))
    if before is not None and before[0] != key:
        tx.execute(
            "INSERT INTO retry (key, digest, day) VALUES (?, ?, ?)"
            " ON CONFLICT (key) DO UPDATE SET digest = excluded.digest, day = excluded.day",
            (before[0] + SENT_BEFORE, old.digest, now // DAY),
        )


def _keep(tx: Tx, args: NewPush, one: Admitted, state: int) -> bytes:
    """Write the row; returns the id in the mailbox."""
    to, asking = one.to, args.asking
    if one.old is None:
        new = NewNotification(
            one.mailbox, to.uuid, args.push, asking.author, asking.origin, asking.sender, to.recipient, to.key, to.tag,
            args.digest, one.level, one.why, args.title, args.type, args.body, args.now, one.due, args.expires,
        )  # fmt: skip
        keep_new(tx, new, one.settings, state)
        return to.uuid
    _remember(tx, one.old, to.key, args.now)
    tx.execute(
        "UPDATE notification SET push = ?, key = ?, tag = ?, digest = ?, level = ?, title = ?, type = ?, body = ?,"
        " due = ?, expires = ?, status = ?, why = ?, author = ?,"
        " answer = NULL, ended = NULL, repeats = 0, replaced = replaced + 1, state = ? WHERE id = ?",
        (
            *(args.push, to.key, to.tag, args.digest, one.level, args.title, args.type, args.body),
            *(one.due, args.expires, "shown" if state else "waiting", one.why, asking.author, state, one.old.id),
        ),
    )
    drop_timers(tx, one.old.id)
    _set_timers(tx, one.old.id, one.level, one.settings, args.now, one.due, args.expires, state)
    return one.old.uuid


class NewNotification(msgspec.Struct, frozen=True):
    """One that a mailbox gets, by a push or because a source of its own fell silent. Times are milliseconds UTC."""

    mailbox: int
    uuid: bytes
    push: bytes
    author: int | None
    origin: str
    sender: str
    recipient: str
    key: bytes
    tag: bytes | None
    digest: bytes
    level: int
    why: Why
    title: str
    type: str
    body: bytes
    now: int
    due: int
    expires: int


def keep_new(tx: Tx, new: NewNotification, settings: dict[str, str], state: int) -> None:
    """Write its row and its timers. ``state``: its number in the mailbox's timeline, 0 where it is not shown yet."""
    number = tx.take_ids("notification", 1)
    tx.execute(
        "INSERT INTO notification (id, mailbox, uuid, push, author, origin, sender, recipient, key, tag, digest,"
        " level, why, title, type, body, created, due, expires, status, state)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (number, *msgspec.structs.astuple(new), "shown" if state else "waiting", state),
    )
    _set_timers(tx, number, new.level, settings, new.now, new.due, new.expires, state)


def _set_timers(
    tx: Tx, number: int, level: int, settings: dict[str, str], now: int, due: int, expires: int, state: int
) -> None:
    """It ends at its time; it is shown at its time, or what the recipient wants is done while nobody answers."""
    set_timer(tx, expires, "expire", number)
    if state:
        set_timers_of_shown(tx, number, level, settings, now)
    else:
        set_timer(tx, due, "show", number)
