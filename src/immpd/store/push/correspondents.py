"""Whom a person has written to: that address may answer with a notification.

Rules: what was written opens one answer, in the transaction that stores it; an answer is used once, by the very
address that was written to; what is not used in time is dropped (docs/protocol.md, "Who may push").
"""

from collections.abc import Iterable

import msgspec

from immpd.store.units import Tx, freeing_unit, read_unit

MAX_ANSWERS = 10
"""Answers that one address has in hand."""
ANSWER_TIME = 30 * 86_400_000
"""Milliseconds after the last that was written."""

Opened = tuple[int, str]
"""Whose mailbox may be notified, and by which address."""


class ForgetAnswers(msgspec.Struct, frozen=True):
    """Arguments of ``forget_answers``: those that were over by then; milliseconds UTC."""

    now: int
    limit: int = 500


def open_answers(tx: Tx, opened: Iterable[Opened], now: int) -> None:
    """Somebody wrote to each of these."""
    tx.executemany(
        "INSERT INTO push_answer (mailbox, address, uses, until) VALUES (?, ?, 1, ?)"
        " ON CONFLICT (mailbox, address) DO UPDATE SET until = excluded.until,"
        " uses = CASE WHEN push_answer.until <= ? THEN 1 WHEN push_answer.uses >= ? THEN ?"
        " ELSE push_answer.uses + 1 END",
        [(mailbox, address, now + ANSWER_TIME, now, MAX_ANSWERS, MAX_ANSWERS) for mailbox, address in opened],
    )


def use_answer(tx: Tx, mailbox: int, address: str, now: int) -> bool:
    """Use one up; False where there is none."""
    row = tx.one(
        "UPDATE push_answer SET uses = uses - 1 WHERE mailbox = ? AND address = ? AND until > ? RETURNING uses",
        (mailbox, address, now),
    )
    if row is not None and row[0] == 0:
        tx.execute("DELETE FROM push_answer WHERE mailbox = ? AND address = ?", (mailbox, address))
    return row is not None


@read_unit
def any_unused(tx: Tx, args: ForgetAnswers) -> bool:
    """Whether nobody used one in time."""
    return tx.one("SELECT 1 FROM push_answer WHERE until <= ? LIMIT 1", (args.now,)) is not None


@freeing_unit
def forget_answers(tx: Tx, args: ForgetAnswers) -> bool:
    """Drop those that nobody used in time; True if there are more."""
    rows = tx.rows("SELECT mailbox, address FROM push_answer WHERE until <= ? LIMIT ?", (args.now, args.limit))
    tx.executemany("DELETE FROM push_answer WHERE mailbox = ? AND address = ?", rows)
    return len(rows) == args.limit
