"""Changing messages in their folders: flags, move, copy, delete, undelete, purge.

Rules: flags belong to the message in its mailbox, so a change reaches every folder it lies in;
each message changed takes one number; counts change in the same transaction; what left a folder
leaves behind where it was, so that INDEX AFTER it still pages; ids that are missing, or changed
since ``if_state``, stop the whole unit (docs/protocol.md, "MBOX FLAG", "MBOX MOVE", "Mailboxes").
"""

from collections.abc import Sequence
from itertools import repeat

import msgspec

from immpd.model.change import Change, ChangeKind
from immpd.model.flags import MAX_KEYWORDS, Flag
from immpd.store.errors import TooManyKeywords, TooMuch
from immpd.store.units import Tx, freeing_unit, growing_unit, read_unit, write_unit

from .messages import keyword_text
from .placing import (
    IDS_PER_UNIT,
    PLACED,
    Filing,
    Placed,
    already_in,
    folder_of_role,
    folder_role,
    messages_of,
)
from .states import take_states

_READ = int(Flag.READ)


class FlagMessages(msgspec.Struct, frozen=True):
    """Arguments of ``flag``: set the bits ``on``, clear ``off``, add and drop keywords."""

    mailbox: int
    folder: int
    ids: tuple[bytes, ...]
    on: int = 0
    off: int = 0
    add: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    if_state: int | None = None


class MoveMessages(msgspec.Struct, frozen=True):
    """Arguments of ``move``. ``now``: milliseconds UTC."""

    mailbox: int
    source: int
    target: int
    ids: tuple[bytes, ...]
    now: int
    if_state: int | None = None


class CopyMessages(msgspec.Struct, frozen=True):
    """Arguments of ``copy``. Into another mailbox each needs a new id (version 7)."""

    mailbox: int
    source: int
    target_mailbox: int
    target: int
    ids: tuple[bytes, ...]
    new_ids: tuple[bytes, ...] = ()
    now: int = 0
    if_state: int | None = None


class Copied(msgspec.Struct, frozen=True):
    """What a copy made: the ids in the target, in the order of the arguments."""

    ids: tuple[bytes, ...]
    changes: tuple[Change, ...]


class DeleteMessages(msgspec.Struct, frozen=True):
    """Arguments of ``delete``."""

    mailbox: int
    folder: int
    ids: tuple[bytes, ...]
    now: int
    if_state: int | None = None


class UndeleteMessages(msgspec.Struct, frozen=True):
    """Arguments of ``undelete``: messages in TRASH."""

    mailbox: int
    ids: tuple[bytes, ...]
    now: int
    if_state: int | None = None


class PurgeMessages(msgspec.Struct, frozen=True):
    """Arguments of ``purge``."""

    mailbox: int
    folder: int
    ids: tuple[bytes, ...]
    if_state: int | None = None


class ExpireTrash(msgspec.Struct, frozen=True):
    """Arguments of ``expire_trash``: what lies in TRASH since before this time; milliseconds UTC."""

    before: int
    limit: int = IDS_PER_UNIT


@write_unit
def flag(tx: Tx, args: FlagMessages) -> tuple[Change, ...]:
    """Change flags and keywords; only messages that really change are reported and numbered."""
    return flag_many(tx, [args])[0]


@flag.batched
def flag_many(tx: Tx, many: Sequence[FlagMessages]) -> list[tuple[Change, ...]]:
    """Change flags for many callers at once; raises where one has to be run alone."""
    tx.lock("mailbox", (args.mailbox for args in many))
    plans: list[list[tuple[Placed, list[Placed]]]] = []
    wanted: dict[int, int] = {}
    seen: set[tuple[int, bytes]] = set()
    for args in many:
        plan = []
        for message in messages_of(tx, args.mailbox, args.folder, args.ids, args.if_state):
            if (args.mailbox, message.id) in seen:
                raise TooMuch("the same message twice in a batch")
            seen.add((args.mailbox, message.id))
            flags = message.flags & ~args.off | args.on
            keywords = _keywords(message.keywords, args.add, args.drop)
            if flags != message.flags or keywords != message.keywords:
                everywhere = [Placed(*row) for row in tx.rows(PLACED, (message.id, args.mailbox))]
                plan.append((msgspec.structs.replace(message, flags=flags, keywords=keywords), everywhere))
        plans.append(plan)
        if plan:
            wanted[args.mailbox] = wanted.get(args.mailbox, 0) + len(plan)
    last = take_states(tx, wanted)
    results: list[tuple[Change, ...]] = []
    updates = []
    filings = {mailbox: Filing(mailbox) for mailbox in wanted}
    for args, plan in zip(many, plans, strict=True):
        if not plan:
            results.append(())
            continue
        filing = filings[args.mailbox]
        told = len(filing.changes)
        for new, everywhere in plan:
            number = last[args.mailbox] = last[args.mailbox] + 1
            unread = int(not new.flags & _READ) - int(not everywhere[0].flags & _READ)
            for place in everywhere:
                updates.append((new.flags, new.keywords, number, place.folder, place.seq))
                filing.touch(place.folder, unread, number)
            filing.tell("flags", new, number, args.folder, folders=tuple(place.folder for place in everywhere))
        results.append(tuple(filing.changes[told:]))
    tx.executemany("UPDATE placement SET flags = ?, keywords = ?, state = ? WHERE folder = ? AND seq = ?", updates)
    for filing in filings.values():
        filing.write(tx)
    return results


def _keywords(old: str | None, add: tuple[str, ...], drop: tuple[str, ...]) -> str | None:
    """Keywords after a change; compared without case, kept as first written. Raises TooManyKeywords."""
    if not add and not drop:
        return old
    named = {keyword.lower(): keyword for keyword in (old or "").split()}
    for keyword in drop:
        named.pop(keyword.lower(), None)
    for keyword in add:
        named.setdefault(keyword.lower(), keyword)
    if len(named) > MAX_KEYWORDS:
        raise TooManyKeywords
    return keyword_text(tuple(named.values()))


@write_unit
def move(tx: Tx, args: MoveMessages) -> tuple[Change, ...]:
    """Move messages to another folder of the mailbox; into TRASH is ``delete``."""
    tx.lock("mailbox", (args.mailbox,))
    role = folder_role(tx, args.mailbox, args.target)
    messages = messages_of(tx, args.mailbox, args.source, args.ids, args.if_state)
    if args.source == args.target or not messages:
        return ()
    if role == "trash":
        return to_trash(tx, args.mailbox, args.target, messages, args.now)
    filing = Filing(args.mailbox)
    first = take_states(tx, {args.mailbox: len(messages)})[args.mailbox] + 1
    there = already_in(tx, args.mailbox, args.target, messages)
    for number, message in enumerate(messages, first):
        _go(filing, message, args.target, number, message.id in there)
    changes = filing.write(tx)
    if folder_role(tx, args.mailbox, args.source) == "trash":
        _forget_trashed(tx, args.mailbox, messages)
    return changes


def _go(filing: Filing, message: Placed, target: int, number: int, is_there: bool) -> None:
    """One message from its folder to ``target``; if it lies there already it only leaves."""
    filing.leave(message, number)
    if is_there:
        filing.tell("gone", message, number, message.folder)
    else:
        filing.come(message, target, number)
        filing.tell("moved", message, number, target, origin=message.folder)


def _forget_trashed(tx: Tx, mailbox: int, messages: Sequence[Placed]) -> None:
    tx.executemany("DELETE FROM trashed WHERE id = ? AND mailbox = ?", [(message.id, mailbox) for message in messages])


def _note_trashed(tx: Tx, mailbox: int, messages: Sequence[Placed], origins: Sequence[int], now: int) -> None:
    tx.executemany(
        "UPDATE trashed SET deleted = ? WHERE id = ? AND mailbox = ?", [(now, m.id, mailbox) for m in messages]
    )
    tx.executemany(
        "INSERT INTO trashed (id, mailbox, origin, deleted) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (id, mailbox, origin) DO UPDATE SET deleted = excluded.deleted",
        [(message.id, mailbox, origin, now) for message, origin in zip(messages, origins, strict=True)],
    )


def to_trash(tx: Tx, mailbox: int, trash: int, messages: Sequence[Placed], now: int) -> tuple[Change, ...]:
    """Move messages of one folder to TRASH and remember where they were."""
    filing = Filing(mailbox)
    first = take_states(tx, {mailbox: len(messages)})[mailbox] + 1
    there = already_in(tx, mailbox, trash, messages)
    for number, message in enumerate(messages, first):
        _go(filing, message, trash, number, message.id in there)
    changes = filing.write(tx)
    _note_trashed(tx, mailbox, messages, [message.folder for message in messages], now)
    return changes


@freeing_unit
def delete(tx: Tx, args: DeleteMessages) -> tuple[Change, ...]:
    """Move messages to TRASH, from where ``undelete`` takes them back; what is there stays there."""
    tx.lock("mailbox", (args.mailbox,))
    trash = folder_of_role(tx, args.mailbox, "trash")
    messages = messages_of(tx, args.mailbox, args.folder, args.ids, args.if_state)
    if args.folder == trash or not messages:
        return ()
    return to_trash(tx, args.mailbox, trash, messages, args.now)


@write_unit
def undelete(tx: Tx, args: UndeleteMessages) -> tuple[Change, ...]:
    """Take messages out of TRASH into the folders they were in; INBOX where those are gone."""
    tx.lock("mailbox", (args.mailbox,))
    trash = folder_of_role(tx, args.mailbox, "trash")
    inbox = folder_of_role(tx, args.mailbox, "inbox")
    messages = messages_of(tx, args.mailbox, trash, args.ids, args.if_state)
    if not messages:
        return ()
    plan: list[tuple[Placed, int]] = []
    for message in messages:
        origins = tx.rows(
            "SELECT t.origin FROM trashed t JOIN folder f ON f.id = t.origin AND f.mailbox = t.mailbox"
            " WHERE t.id = ? AND t.mailbox = ? AND t.origin <> ? ORDER BY t.origin",
            (message.id, args.mailbox, trash),
        )
        plan += zip(repeat(message), [row[0] for row in origins] or [inbox], strict=False)
    filing = Filing(args.mailbox)
    first = take_states(tx, {args.mailbox: len(plan)})[args.mailbox] + 1
    seen: set[bytes] = set()
    for number, (message, origin) in enumerate(plan, first):
        is_there = message.id in already_in(tx, args.mailbox, origin, (message,))
        if message.id not in seen:
            seen.add(message.id)
            _go(filing, message, origin, number, is_there)
        elif not is_there:
            filing.come(message, origin, number)
            filing.tell("copied", message, number, origin)
    changes = filing.write(tx)
    _forget_trashed(tx, args.mailbox, messages)
    return changes


@growing_unit
def copy(tx: Tx, args: CopyMessages) -> Copied:
    """Put messages into a further folder: the same ids in this mailbox, new ids in another one."""
    tx.lock("mailbox", {args.mailbox, args.target_mailbox})
    role = folder_role(tx, args.target_mailbox, args.target)
    messages = messages_of(tx, args.mailbox, args.source, args.ids, args.if_state)
    filing = Filing(args.target_mailbox)
    if args.mailbox == args.target_mailbox:
        there = already_in(tx, args.mailbox, args.target, messages)
        made = [message for message in messages if message.id not in there]
        kind: ChangeKind = "copied"
        ids = tuple(message.id for message in messages)
    else:
        # What only the old mailbox may see (bcc) does not go along.
        made = [
            msgspec.structs.replace(message, id=new, placed=args.now, private=None)
            for message, new in zip(messages, args.new_ids, strict=True)
        ]
        kind = "new"
        ids = args.new_ids
    if not made:
        return Copied(ids, ())
    first = take_states(tx, {args.target_mailbox: len(made)})[args.target_mailbox] + 1
    for number, message in enumerate(made, first):
        filing.come(message, args.target, number)
        filing.tell(kind, message, number, args.target, keep=kind == "copied")
    changes = filing.write(tx)
    if role == "trash":
        _note_trashed(tx, args.target_mailbox, made, [0] * len(made), args.now)
    return Copied(ids, changes)


@freeing_unit
def purge(tx: Tx, args: PurgeMessages) -> tuple[Change, ...]:
    """Take messages out of a folder for good; their octets go with the last folder that holds them."""
    tx.lock("mailbox", (args.mailbox,))
    folder_role(tx, args.mailbox, args.folder)
    return _purge(tx, args.mailbox, messages_of(tx, args.mailbox, args.folder, args.ids, args.if_state))


def _purge(tx: Tx, mailbox: int, messages: Sequence[Placed]) -> tuple[Change, ...]:
    if not messages:
        return ()
    filing = Filing(mailbox)
    first = take_states(tx, {mailbox: len(messages)})[mailbox] + 1
    for number, message in enumerate(messages, first):
        filing.leave(message, number)
        filing.tell("gone", message, number, message.folder)
    changes = filing.write(tx)
    if folder_role(tx, mailbox, messages[0].folder) == "trash":
        _forget_trashed(tx, mailbox, messages)
    return changes


@read_unit
def any_expired(tx: Tx, args: ExpireTrash) -> bool:
    """Whether anything has been in TRASH since before ``args.before``."""
    return tx.one("SELECT 1 FROM trashed WHERE deleted < :before LIMIT 1", {"before": args.before}) is not None


@freeing_unit
def expire_trash(tx: Tx, args: ExpireTrash) -> bool:
    """Purge what has been in TRASH since before ``args.before``, a bounded step of it. True while there is more."""
    rows = tx.rows(
        "SELECT mailbox, id FROM trashed WHERE deleted < :before ORDER BY deleted LIMIT :limit",
        {"before": args.before, "limit": args.limit},
    )
    by_mailbox: dict[int, dict[bytes, None]] = {}
    for mailbox, message in rows:
        by_mailbox.setdefault(mailbox, {})[message] = None
    tx.lock("mailbox", by_mailbox)
    for mailbox, ids in sorted(by_mailbox.items()):
        # Who undeleted it, or deleted it again, was faster than the lock.
        gone = tx.rows_of_many(
            "DELETE FROM trashed WHERE id = ? AND mailbox = ? AND deleted < ? RETURNING id",
            [(one, mailbox, args.before) for one in ids],
        )
        trash = folder_of_role(tx, mailbox, "trash")
        wanted = [(one, mailbox, trash) for one in dict.fromkeys(row[0] for row in gone)]
        _purge(tx, mailbox, [Placed(*row) for row in tx.rows_of_many(PLACED + " AND m.folder = ?", wanted)])
    return len(rows) == args.limit
