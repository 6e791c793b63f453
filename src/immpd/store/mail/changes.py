"""Catching up: what changed in a mailbox since a state, and how far each device has come.

Rules: what came into a folder is read from the placements themselves, everything else from change
rows, merged in the order of the mailbox's numbers; a page covers a span of numbers, so its rows are
bounded; below the mailbox's floor, or beyond its state, the answer is StateGone (docs/protocol.md,
"WATCH" and "WATCH").
"""

import msgspec

from immpd.model.change import NOTICES, Change
from immpd.store.errors import NoMailbox, StateAhead, StateGone
from immpd.store.feeds.items import newest_item
from immpd.store.units import Tx, freeing_unit, read_unit, write_unit


class ChangesSince(msgspec.Struct, frozen=True):
    """Arguments of ``changes_since``: numbers after ``since``, at most ``span`` of them."""

    mailbox: int
    since: int
    span: int = 500


class Changes(msgspec.Struct, frozen=True):
    """A page of changes in order; go on with ``since=cursor`` while ``more``."""

    changes: list[Change]
    cursor: int
    more: bool
    state: int
    """The mailbox's newest number."""


class Positions(msgspec.Struct, frozen=True):
    """Arguments of ``positions``: a device's watch by name."""

    account: int
    device: str
    name: str


class SetPositions(msgspec.Struct, frozen=True):
    """Arguments of ``set_positions``: (mailbox, number of a change, number of an item) acknowledged."""

    account: int
    device: str
    name: str
    cursors: tuple[tuple[int, int, int], ...]


class ForgetChanges(msgspec.Struct, frozen=True):
    """Arguments of ``forget_changes``: keep the last ``keep`` numbers; a step of at most ``limit`` rows."""

    mailbox: int
    keep: int
    limit: int = 500


class ForgetRetryKeys(msgspec.Struct, frozen=True):
    """Arguments of ``forget_retry_keys``: keys of days before ``before_day`` (days since 1970), from ``after`` on."""

    before_day: int
    after: bytes = b""
    limit: int = 1000


class _Rest(msgspec.Struct, frozen=True):
    """What a change row keeps as JSON."""

    flags: int = 0
    keywords: tuple[str, ...] = ()
    folders: tuple[int, ...] = ()
    path: str = ""
    old_path: str = ""


_rest = msgspec.json.Decoder(_Rest)


@read_unit
def changes_since(tx: Tx, args: ChangesSince) -> Changes:
    """A page of what changed after ``since``. Raises StateGone if that is not known any more, NoMailbox."""
    row = tx.one("SELECT state, floor FROM mailbox_state WHERE mailbox = :id", {"id": args.mailbox})
    if row is None:
        raise NoMailbox
    state, floor = row
    if not floor <= args.since <= state:
        raise StateGone
    upto = min(args.since + args.span, state)
    bounds = {"mailbox": args.mailbox, "since": args.since, "upto": upto}
    found = {
        number: Change(kind, args.mailbox, number, folder, id_ or b"", origin or 0, *_told(data))
        if kind not in NOTICES
        else Change(kind, args.mailbox, number, 0, id_, details=data)
        for number, kind, folder, id_, origin, data in tx.rows(
            "SELECT state, kind, folder, id, origin, data FROM change"
            " WHERE mailbox = :mailbox AND state > :since AND state <= :upto",
            bounds,
        )
    }
    for number, folder, id_, flags, keywords in tx.rows(
        "SELECT p.seq, p.folder, p.id, p.flags, p.keywords FROM folder f JOIN folder_count c ON c.folder = f.id"
        " JOIN placement p ON p.folder = f.id"
        " WHERE f.mailbox = :mailbox AND c.state > :since AND p.seq > :since AND p.seq <= :upto",
        bounds,
    ):
        if number not in found:
            words = () if keywords is None else tuple(keywords.split())
            found[number] = Change("new", args.mailbox, number, folder, id_, 0, flags, words)
    return Changes([found[number] for number in sorted(found)], upto, upto < state, state)


def _told(data: bytes) -> tuple[int, tuple[str, ...], str, str, tuple[int, ...]]:
    rest = _rest.decode(data)
    return rest.flags, rest.keywords, rest.path, rest.old_path, rest.folders


@read_unit
def positions(tx: Tx, args: Positions) -> dict[int, tuple[int, int]]:
    """How far this watch has been acknowledged, by mailbox: changes and items."""
    rows = tx.rows(
        "SELECT mailbox, cursor, item FROM position WHERE account = :account AND device = :device AND name = :name",
        {"account": args.account, "device": args.device, "name": args.name},
    )
    return {row[0]: (row[1], row[2]) for row in rows}


@write_unit
def set_positions(tx: Tx, args: SetPositions) -> None:
    """Keep how far a watch has been acknowledged; never backwards. Raises StateAhead for what nobody was shown yet."""
    newest = newest_item(tx)
    for mailbox, cursor, item in args.cursors:
        row = tx.one("SELECT state FROM mailbox_state WHERE mailbox = :id", {"id": mailbox})
        if row is None or cursor > row[0] or item > newest:
            raise StateAhead
    tx.executemany(
        "INSERT INTO position (account, device, name, mailbox, cursor, item) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (account, device, name, mailbox) DO UPDATE SET"
        " cursor = CASE WHEN position.cursor < excluded.cursor THEN excluded.cursor ELSE position.cursor END,"
        " item = CASE WHEN position.item < excluded.item THEN excluded.item ELSE position.item END",
        [(args.account, args.device, args.name, *one) for one in args.cursors],
    )


@freeing_unit
def forget_changes(tx: Tx, args: ForgetChanges) -> bool:
    """One step of forgetting old changes; the floor rises with it. True while there is more to do."""
    tx.lock("mailbox", (args.mailbox,))
    row = tx.one("SELECT state, floor FROM mailbox_state WHERE mailbox = :id", {"id": args.mailbox})
    if row is None:
        raise NoMailbox
    upto = row[0] - args.keep
    if upto <= row[1]:
        return False
    rows = tx.rows(
        "SELECT state, id, kind, folder, origin FROM change WHERE mailbox = :mailbox AND state <= :upto"
        " ORDER BY state LIMIT :limit",
        {"mailbox": args.mailbox, "upto": upto, "limit": args.limit},
    )
    more = len(rows) == args.limit
    floor = rows[-1][0] if more else upto
    tx.execute("UPDATE mailbox_state SET floor = :floor WHERE mailbox = :id", {"floor": floor, "id": args.mailbox})
    tx.executemany("DELETE FROM change WHERE mailbox = ? AND state = ?", [(args.mailbox, one[0]) for one in rows])
    # A message may have come back and left again since: then its newer place is kept.
    tx.executemany(
        "DELETE FROM gone WHERE id = ? AND mailbox = ? AND folder = ? AND seq < ?",
        [
            (id_, args.mailbox, origin if kind == "moved" else folder, number)
            for number, id_, kind, folder, origin in rows
            if kind in ("moved", "gone")
        ],
    )
    return more


@freeing_unit
def forget_retry_keys(tx: Tx, args: ForgetRetryKeys) -> bytes | None:
    """One step through the retry keys, dropping old ones; where to go on, or None at the end."""
    rows = tx.rows(
        "SELECT key, day FROM retry WHERE key > :after ORDER BY key LIMIT :limit",
        {"after": args.after, "limit": args.limit},
    )
    old = [(key,) for key, day in rows if day < args.before_day]
    tx.executemany("DELETE FROM retry WHERE key = ?", old)
    return rows[-1][0] if len(rows) == args.limit else None
