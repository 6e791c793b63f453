"""Delivery: one message into any number of mailboxes, on disk before anybody hears of it.

Rules: one row of content serves all targets; a retry key that is known delivers nothing again
(docs/protocol.md, "Messages": the same ID within 30 days), and where all keyed targets are
known the sender's own copy is not made again either; a folder that went away meanwhile means
INBOX; an account that was disabled meanwhile gets nothing; a whole batch takes a constant number of statements.
"""

import hashlib
from collections.abc import Sequence
from typing import Literal

import msgspec

from immpd.model.change import Change
from immpd.model.flags import Flag
from immpd.store.errors import NoFolder, StoreError
from immpd.store.push.correspondents import Opened, open_answers
from immpd.store.units import Tx, growing_unit

from .messages import keyword_text
from .states import take_states

DAY = 86_400_000
"""Milliseconds of a day."""
_READ = int(Flag.READ)

Delivered = Literal["delivered", "duplicate", "reused", "closed", "skipped"]
"""What became of one target. ``reused``: its ID was used with other content; ``closed``: the account is disabled;
``skipped``: a copy, and nobody else got it."""


class BodyFile(msgspec.Struct, frozen=True):
    """A part that lies in a file, written and synced before the delivery (bodies.py)."""

    name: str
    part: int
    length: int


class Target(msgspec.Struct, frozen=True):
    """One mailbox that gets the message."""

    mailbox: int
    folder: int
    fallback: int
    """INBOX of the mailbox: where it goes if ``folder`` is gone."""
    id: bytes
    """16 octets, version 7: its id in this mailbox."""
    flags: int = 0
    key: bytes | None = None
    """Retry key (``retry_key``); None for copies that only go with the keyed ones, such as the one in SENT."""
    private: bytes | None = None
    """JSON that only this mailbox may see, such as the sender's bcc."""
    keywords: tuple[str, ...] = ()
    is_copy: bool = False
    """Goes only where somebody else gets it, such as the sender's own in SENT."""
    opens: Opened | None = None
    """Whom it lets answer the sender, where it is delivered."""


class Delivery(msgspec.Struct, frozen=True):
    """Arguments of ``deliver``: what never changes of the message, and where it goes."""

    sender: str
    """envelope.from, canonical."""
    sent: int
    """envelope.date, milliseconds UTC."""
    size: int
    """Octets of all parts."""
    row: bytes
    """Start of the INDEX row: a JSON object without ``id``, ``folder``, ``flags``, ``state`` and closing brace."""
    parts: bytes
    """JSON list of model.Part."""
    envelope: bytes
    """JSON of model.Envelope."""
    octets: bytes | None
    """The parts that are not files, one after the other."""
    digest: bytes
    """SHA-256 of the content: the same key with another digest is a reused ID."""
    targets: tuple[Target, ...]
    now: int
    """Milliseconds UTC."""
    files: tuple[BodyFile, ...] = ()
    digests: bytes = b""
    """SHA-256 of each part, one after the other, by which damage is found; empty where they are not known."""
    is_inside: bool = False
    """The mailbox has it already in another form: it comes in although it is closed."""

    @property
    def weight(self) -> int:
        """Octets that it takes while it waits."""
        return 1024 + len(self.octets or b"") + len(self.envelope) + 256 * len(self.targets)


class _AnotherWay(StoreError):
    """This batch has duplicates or folders that are gone: each delivery has to run alone."""


def retry_key(origin: str, sender: str, recipient: str, message_id: str) -> bytes:
    """The key under which a sender's ID is remembered (docs/protocol.md, "Messages", ID): 20 octets.

    ``message_id`` is the text of a UUID. Its first six octets, the time of a version-7 UUID, come
    first: keys then lie in the order of time and a batch of them dirties few pages.
    """
    said = "\0".join((origin, sender, recipient, message_id)).encode()
    return bytes.fromhex(message_id[:8] + message_id[9:13]) + hashlib.sha256(said).digest()[:14]


@growing_unit
def deliver(tx: Tx, args: Delivery) -> tuple[Delivered, ...]:
    """Deliver to every target and say what became of each, in their order. Raises NoMailbox or NoFolder."""
    tx.lock("mailbox", (target.mailbox for target in args.targets))
    outcomes = _remember(tx, args)
    targets = [target for target, outcome in zip(args.targets, outcomes, strict=True) if outcome == "delivered"]
    if not targets:
        return tuple(outcomes)
    there = {row[0] for target in targets for row in tx.rows(_FOLDER_THERE, (target.folder, target.mailbox))}
    placed = [
        target if target.folder in there else msgspec.structs.replace(target, folder=target.fallback)
        for target in targets
    ]
    _store(tx, [args], [placed])
    return tuple(outcomes)


@deliver.batched
def deliver_many(tx: Tx, many: Sequence[Delivery]) -> list[tuple[Delivered, ...]]:
    """Deliver a batch in a constant number of statements; raises where any has to take the longer way."""
    tx.lock("mailbox", (target.mailbox for args in many for target in args.targets))
    keys = [
        (target.key, args.digest, args.now // DAY) for args in many for target in args.targets if target.key is not None
    ]
    if keys and tx.executemany(_INSERT_KEY, keys) != len(keys):
        raise _AnotherWay
    _store(tx, many, [args.targets for args in many])
    return [_DELIVERED * len(args.targets) for args in many]


_INSERT_KEY = "INSERT INTO retry (key, digest, day) VALUES (?, ?, ?) ON CONFLICT (key) DO NOTHING"
_CLOSED = "SELECT mailbox FROM mailbox_state WHERE mailbox = ? AND closed = 1"
_FOLDER_THERE = "SELECT folder FROM folder_count WHERE folder = ? AND mailbox = ?"
_INSERT_CONTENT = (
    "INSERT INTO content (id, sender, sent, size, files, row, parts, envelope, octets, digests)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_INSERT_PLACEMENT = (
    "INSERT INTO placement (folder, seq, id, content, flags, keywords, state, placed, private)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_INSERT_PLACE = "INSERT INTO message_place (mailbox, id, folder, seq) VALUES (?, ?, ?, ?)"
_COUNT = "UPDATE folder_count SET total = total + ?, unread = unread + ?, state = ? WHERE folder = ? AND mailbox = ?"


def _remember(tx: Tx, args: Delivery) -> list[Delivered]:
    """Keep the retry keys and say for each target whether it is to be delivered."""
    closed = set() if args.is_inside else {row[0] for row in tx.rows_of_many(_CLOSED, _mailboxes(args))}
    outcomes: list[Delivered] = []
    for target in args.targets:
        if target.mailbox in closed:
            outcomes.append("closed")  # its key is not kept: sent again, it comes once the account is enabled
            continue
        if target.key is None:
            outcomes.append("skipped")
            continue
        if tx.executemany(_INSERT_KEY, [(target.key, args.digest, args.now // DAY)]):
            outcomes.append("delivered")
            continue
        known = tx.one("SELECT digest FROM retry WHERE key = ?", (target.key,))
        outcomes.append("duplicate" if known is not None and known[0] == args.digest else "reused")
    keyed = [outcome for outcome in outcomes if outcome not in ("skipped", "closed")]
    if keyed and "delivered" not in keyed:
        return outcomes
    others = [outcome for target, outcome in zip(args.targets, outcomes, strict=True) if not target.is_copy]
    nobody = bool(others) and all(outcome == "closed" for outcome in others)
    return [
        "delivered" if outcome == "skipped" and not (nobody and target.is_copy) else outcome
        for target, outcome in zip(args.targets, outcomes, strict=True)
    ]


def _mailboxes(args: Delivery) -> list[tuple[int]]:
    return [(target.mailbox,) for target in args.targets]


def _store(tx: Tx, many: Sequence[Delivery], targets: Sequence[Sequence[Target]]) -> None:
    """Store each delivery for its targets, and tell their watchers."""
    wanted: dict[int, int] = {}
    for some in targets:
        for target in some:
            wanted[target.mailbox] = wanted.get(target.mailbox, 0) + 1
    last = take_states(tx, wanted, to_closed=any([args.is_inside for args in many]))

    content = tx.take_ids("content", len(many))
    contents, placements, places, changes = [], [], [], []
    files, shared = [], []
    counts: dict[int, tuple[int, int, int, int]] = {}
    for args, some in zip(many, targets, strict=True):
        names = None
        if args.files:
            names = msgspec.json.encode({str(file.part): file.name for file in args.files}).decode()
            files += [(file.name, content, file.part, file.length) for file in args.files]
        contents.append(
            (
                content,
                args.sender,
                args.sent,
                args.size,
                names,
                args.row,
                args.parts,
                args.envelope,
                args.octets,
                args.digests or None,
            )
        )
        if len(some) > 1:
            shared.append((content, len(some)))
        now = args.now
        for target in some:
            mailbox, folder, flags = target.mailbox, target.folder, target.flags
            seq = last[mailbox] = last[mailbox] + 1
            keywords = keyword_text(target.keywords) if target.keywords else None
            placements.append((folder, seq, target.id, content, flags, keywords, seq, now, target.private))
            places.append((mailbox, target.id, folder, seq))
            total, unread, _, _ = counts.get(folder, _NOTHING)
            counts[folder] = (total + 1, unread + (not flags & _READ), seq, mailbox)
            changes.append(Change("new", mailbox, seq, folder, target.id, 0, flags, target.keywords))
        content += 1
    tx.executemany(_INSERT_CONTENT, contents)
    tx.executemany(_INSERT_PLACEMENT, placements)
    tx.executemany(_INSERT_PLACE, places)
    if tx.executemany(
        _COUNT, [(total, unread, state, folder, mailbox) for folder, (total, unread, state, mailbox) in counts.items()]
    ) != len(counts):
        raise NoFolder
    if shared:
        tx.executemany("INSERT INTO shared (content, refs) VALUES (?, ?)", shared)
    opened = [target.opens for some in targets for target in some if target.opens is not None]
    if opened:
        open_answers(tx, opened, max(args.now for args in many))
    if files:
        tx.executemany("INSERT INTO body_file (name, content, part, length) VALUES (?, ?, ?, ?)", files)
    tx.tell(*changes)


_DELIVERED: tuple[Delivered, ...] = ("delivered",)
_NOTHING = (0, 0, 0, 0)
