"""What is to be looked at at its time: rows, so that they outlive the process (timers.py runs them).

Rules: one timer of a kind a subject, so that what is changed begins its time anew; whoever runs them is woken; what
a person set is looked at when a timer is set and again when it comes (docs/protocol.md, "Rules of the recipient").
"""

from immpd.model.news import Wake
from immpd.model.notification import Level
from immpd.model.quiet import QuietHours
from immpd.store.units import Tx

TIMERS = "timers"
"""The job that runs them, as it is woken."""


def set_timer(tx: Tx, due: int, kind: str, subject: int) -> None:
    """Have this looked at when it is ``due``, milliseconds UTC, and not before."""
    tx.execute(
        "INSERT INTO timer (kind, subject, due) VALUES (?, ?, ?)"
        " ON CONFLICT (kind, subject) DO UPDATE SET due = excluded.due, failed = 0",
        (kind, subject, due),
    )
    tx.tell(Wake(TIMERS, due))


def drop_timers(tx: Tx, subject: int) -> None:
    """Nothing is to be done about this notification any more, or not at the times that were set."""
    kinds = ("show", "repeat", "promote")
    tx.executemany("DELETE FROM timer WHERE kind = ? AND subject = ?", [(kind, subject) for kind in kinds])


def push_settings(tx: Tx, mailbox: int) -> dict[str, str]:
    """What the person set about notifications."""
    return dict(tx.rows("SELECT name, value FROM setting WHERE mailbox = ? AND name LIKE 'push.%'", (mailbox,)))


def repeat_after(settings: dict[str, str], level: int) -> int:
    """Milliseconds after which one of this level is shown again; 0: it is not."""
    return int(settings.get("push.repeat", 0)) * 1000 if level >= Level.HIGH else 0


def promote_after(settings: dict[str, str], level: int) -> int:
    """Milliseconds after which one of this level becomes a message; 0: it does not."""
    return int(settings.get("push.promote", 0)) * 1000 if level > Level.SILENT else 0


def shown_at(settings: dict[str, str], level: int, due: int) -> int:
    """When a notification that is due may be shown: quiet hours hold up all but the silent and the critical."""
    quiet = settings.get("push.quiet")
    if quiet is None or level in (Level.SILENT, Level.CRITICAL):
        return due
    try:
        return QuietHours.parse(quiet).ends(due) or due
    except ValueError:
        return due  # the time zone went with an update of the system: nobody's timers may hang on that


def set_timers_of_shown(tx: Tx, number: int, level: int, settings: dict[str, str], now: int) -> None:
    """What the recipient wants done while nobody answers."""
    if repeat := repeat_after(settings, level):
        set_timer(tx, now + repeat, "repeat", number)
    if promote := promote_after(settings, level):
        set_timer(tx, now + promote, "promote", number)
