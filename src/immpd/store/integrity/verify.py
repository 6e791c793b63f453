"""The store checks itself: every message has its content, every number that is kept is the right one.

Rules: it only reads, in bounded steps between which others work; what looks wrong and may have
changed under way is looked at again before it is reported; a finding names the rows, so that an
operator can act (docs/protocol.md, "The operator", STORE CHECK).
"""

import asyncio
import hashlib
from array import array
from collections.abc import AsyncIterator
from typing import Literal

import msgspec

from immpd.model.flags import Flag
from immpd.model.message import Part
from immpd.store.contract import Store
from immpd.store.errors import NoMessage, StoreDamaged, StoreError
from immpd.store.mail.bodies import BodyFiles, Names, inline_places, known_files
from immpd.store.units import Tx, Work, read_unit

from .verify_accounts import verify_accounts
from .verify_feeds import verify_nodes

STEP = 1000
"""Rows looked at in one step."""
STEP_OCTETS = 1 << 20
"""Octets looked at in one step."""
EXACT = 20
"""Suspected reference counts that are counted again exactly; each takes a walk over all placements."""

Kind = Literal[
    "file", "counts", "placement", "place", "content", "references", "body", "account", "node", "notification", "room"
]


class Finding(msgspec.Struct, frozen=True):
    """Something that is not as it should be."""

    kind: Kind
    what: str
    detail: str


class From(msgspec.Struct, frozen=True):
    """Arguments of the steps: go on after this key."""

    after: tuple[int, int] = (-1, -1)
    id: bytes = b""


class Step(msgspec.Struct, frozen=True):
    """What a step found, what it counted, and where to go on (None: the end)."""

    findings: list[Finding]
    counted: list[int]
    next: From | None


class OneFolder(msgspec.Struct, frozen=True):
    """Arguments of ``count_folder``: placements after ``seq``."""

    folder: int
    seq: int = -1


class Counted(msgspec.Struct, frozen=True):
    """A step of counting a folder; ``state`` tells whether it changed under way, ``whole`` whether numbers are kept."""

    whole: bool
    state: int
    total: int
    unread: int
    kept_total: int
    kept_unread: int
    next: int | None


class BodyRow(msgspec.Struct, frozen=True):
    """A part kept as a file, as the row says."""

    name: str
    content: int
    part: int
    length: int
    digests: bytes | None


class OneContent(msgspec.Struct, frozen=True):
    """Arguments of ``references``."""

    content: int


_parts = msgspec.json.Decoder(list[Part])
_files = msgspec.json.Decoder(dict[str, str])


@read_unit
def folder_keys(tx: Tx, args: From) -> list[int]:
    """The next folders after ``args.after[0]``."""
    rows = tx.rows("SELECT id FROM folder WHERE id > :id ORDER BY id LIMIT :n", {"id": args.after[0], "n": STEP})
    return [row[0] for row in rows]


@read_unit
def count_folder(tx: Tx, args: OneFolder) -> Counted | None:
    """Count a step of a folder's placements; None if the folder is gone."""
    kept = tx.one(
        "SELECT c.state, c.total, c.unread FROM folder f"
        " LEFT JOIN folder_count c ON c.folder = f.id AND c.mailbox = f.mailbox"
        " AND EXISTS (SELECT 1 FROM mailbox_state s WHERE s.mailbox = f.mailbox) WHERE f.id = :id",
        {"id": args.folder},
    )
    if kept is None:
        return None
    if kept[0] is None:
        return Counted(False, 0, 0, 0, 0, 0, None)
    rows = tx.rows(
        "SELECT seq, flags FROM placement WHERE folder = :folder AND seq > :seq ORDER BY seq LIMIT :n",
        {"folder": args.folder, "seq": args.seq, "n": STEP},
    )
    unread = sum(1 for _, flags in rows if not flags & Flag.READ)
    return Counted(True, kept[0], len(rows), unread, kept[1], kept[2], rows[-1][0] if len(rows) == STEP else None)


@read_unit
def check_placements(tx: Tx, args: From) -> Step:
    """Each placement lies in a folder, has its twin and its content, and numbers that its mailbox has reached."""
    rows = tx.rows(
        "SELECT p.folder, p.seq, p.content, p.state, f.mailbox, b.state, m.seq, c.id FROM placement p"
        " LEFT JOIN folder f ON f.id = p.folder LEFT JOIN mailbox_state b ON b.mailbox = f.mailbox"
        " LEFT JOIN message_place m ON m.id = p.id AND m.mailbox = f.mailbox AND m.folder = p.folder"
        " LEFT JOIN content c ON c.id = p.content"
        " WHERE p.folder > :folder OR (p.folder = :folder AND p.seq > :seq) ORDER BY p.folder, p.seq LIMIT :n",
        {"folder": args.after[0], "seq": args.after[1], "n": STEP},
    )
    findings: list[Finding] = []
    for folder, seq, content, state, mailbox, reached, twin, there in rows:
        what = f"folder {folder} message {seq}"
        if mailbox is None or reached is None:
            findings.append(Finding("placement", what, "its folder or mailbox does not exist"))
            continue
        if twin != seq:
            findings.append(Finding("placement", what, "cannot be found by its id"))
        if there is None:
            findings.append(Finding("placement", what, f"its content {content} does not exist"))
        if max(seq, state) > reached:
            findings.append(Finding("placement", what, f"is ahead of its mailbox, which is at {reached}"))
    last = From((rows[-1][0], rows[-1][1])) if len(rows) == STEP else None
    return Step(findings, [row[2] for row in rows], last)


@read_unit
def check_places(tx: Tx, args: From) -> Step:
    """Each id leads to a placement."""
    rows = tx.rows(
        "SELECT m.id, m.mailbox, m.folder, m.seq, p.id FROM message_place m"
        " LEFT JOIN placement p ON p.folder = m.folder AND p.seq = m.seq"
        " WHERE m.id > :id OR (m.id = :id AND (m.mailbox > :mailbox OR (m.mailbox = :mailbox AND m.folder > :folder)))"
        " ORDER BY m.id, m.mailbox, m.folder LIMIT :n",
        {"id": args.id, "mailbox": args.after[0], "folder": args.after[1], "n": STEP},
    )
    findings = [
        Finding("place", f"mailbox {mailbox} message {id_.hex()}", f"does not lie in folder {folder} at {seq}")
        for id_, mailbox, folder, seq, there in rows
        if there != id_
    ]
    last = From((rows[-1][1], rows[-1][2]), rows[-1][0]) if len(rows) == STEP else None
    return Step(findings, [], last)


@read_unit
def check_contents(tx: Tx, args: From) -> Step:
    """Octets and files of each content are as long as its parts; ``counted``: pairs of content and references kept."""
    rows = tx.rows(
        "SELECT c.id, c.size, c.files, c.parts, coalesce(octet_length(c.octets), 0), coalesce(s.refs, 1),"
        " (SELECT count(*) FROM body_file b WHERE b.content = c.id) FROM content c"
        " LEFT JOIN shared s ON s.content = c.id WHERE c.id > :id ORDER BY c.id LIMIT :n",
        {"id": args.after[0], "n": STEP},
    )
    findings: list[Finding] = []
    counted: list[int] = []
    for content, size, files, parts, octets, refs, body_files in rows:
        counted += (content, refs)
        what = f"content {content}"
        try:
            lengths = {part.id: part.length for part in _parts.decode(parts)}
            names = {} if files is None else {int(part): name for part, name in _files.decode(files).items()}
        except (msgspec.DecodeError, ValueError) as error:
            findings.append(Finding("content", what, f"its parts cannot be read: {error}"))
            continue
        if sum(lengths.values()) != size:
            findings.append(Finding("content", what, f"its parts have {sum(lengths.values())} octets, not {size}"))
        inline = sum(length for part, length in lengths.items() if part not in names)
        if octets != inline:
            findings.append(Finding("content", what, f"has {octets} octets in its row, not {inline}"))
        if body_files != len(names):
            findings.append(Finding("content", what, f"has {body_files} files, not {len(names)}"))
    last = From((rows[-1][0], -1)) if len(rows) == STEP else None
    return Step(findings, counted, last)


@read_unit
def check_digests(tx: Tx, args: From) -> Step:
    """The octets in rows are those that came; a step ends after a mebibyte of them."""
    findings: list[Finding] = []
    left = STEP_OCTETS
    last: int | None = None
    rows = tx.execute(
        "SELECT id, files, parts, octets, digests FROM content WHERE id > :id AND digests IS NOT NULL ORDER BY id",
        {"id": args.after[0]},
    )
    for content, files, parts, octets, digests in rows:
        last = content
        left -= 1024 + len(octets or b"")
        try:
            names = {} if files is None else {int(part): name for part, name in _files.decode(files).items()}
            places = inline_places(_parts.decode(parts), names)
        except (msgspec.DecodeError, ValueError):
            continue  # check_contents says so
        for part, place in places.items():
            if hashlib.sha256((octets or b"")[place]).digest() != digests[32 * (part - 1) : 32 * part]:
                findings.append(Finding("content", f"content {content} part {part}", "has other octets than came"))
        if left <= 0:
            return Step(findings, [], From((content, -1)))
    return Step(findings, [], None if last is None else From((last, -1)))


@read_unit
def references(tx: Tx, args: OneContent) -> tuple[int, int] | None:
    """How many references a content is said to have and has; None if it is gone. Walks over all placements."""
    row = tx.one(
        "SELECT coalesce(s.refs, 1), (SELECT count(*) FROM placement p WHERE p.content = c.id)"
        " FROM content c LEFT JOIN shared s ON s.content = c.id WHERE c.id = :id",
        {"id": args.content},
    )
    return None if row is None else (row[0], row[1])


@read_unit
def body_rows(tx: Tx, args: From) -> list[BodyRow]:
    """The next files after the name ``args.id``, and whose they are."""
    rows = tx.rows(
        "SELECT b.name, b.content, b.part, b.length, c.digests FROM body_file b LEFT JOIN content c ON c.id = b.content"
        " WHERE b.name > :name ORDER BY b.name LIMIT :n",
        {"name": args.id.decode(), "n": STEP},
    )
    return [BodyRow(*row) for row in rows]


@read_unit
def check_notifications(tx: Tx, args: From) -> Step:
    """Every notification is in a mailbox, and what has not ended will."""
    rows = tx.rows(
        "SELECT n.id, m.id IS NULL, n.status IN ('waiting', 'shown') AND NOT EXISTS"
        " (SELECT 1 FROM timer t WHERE t.kind = 'expire' AND t.subject = n.id)"
        " FROM notification n LEFT JOIN mailbox m ON m.id = n.mailbox WHERE n.id > :after ORDER BY n.id LIMIT :n",
        {"after": args.after[0], "n": STEP},
    )
    findings = [
        Finding("notification", f"notification {number}", "is in no mailbox" if lost else "has no timer that ends it")
        for number, lost, endless in rows
        if lost or endless
    ]
    return Step(findings, [], From((rows[-1][0], -1)) if len(rows) == STEP else None)


async def verify(store: Store, files: BodyFiles) -> list[Finding]:
    """Check everything; an empty list is a sound store. Others may work meanwhile."""
    findings = [Finding("file", "database", said) for said in await store.check_file()]
    refs = array("L")
    findings += await _as_far("folders", _verify_counts(store))
    placements = await _as_far("placements", _verify_placements(store, refs))
    findings += placements
    findings += await _as_far("places", _walked(store, check_places))
    counted = not any(finding.kind == "file" for finding in placements)
    findings += await _as_far("contents", _verify_contents(store, refs if counted else None))
    findings += await _as_far("octets", _walked(store, check_digests))
    findings += await _as_far("files", _verify_files(store, files))
    findings += await _as_far("accounts", _verify_accounts(store))
    findings += await _as_far("notifications", _walked(store, check_notifications))
    findings += await _as_far("nodes", _verify_feeds(store))
    return findings


async def _as_far(what: str, walk: AsyncIterator[Finding]) -> list[Finding]:
    """What a walk finds, also where it comes to what cannot be read."""
    findings = []
    try:
        async for finding in walk:
            findings.append(finding)
    except StoreError as error:
        findings.append(Finding("file", what, f"cannot all be read: {error}"))
    return findings


async def _walked(store: Store, check: Work[From, Step]) -> AsyncIterator[Finding]:
    """What a check finds that goes through its rows by steps."""
    after: From | None = From()
    while after is not None:
        step = await store.read(check(after))
        for finding in step.findings:
            yield finding
        after = await _next(step)


async def _verify_accounts(store: Store) -> AsyncIterator[Finding]:
    async for address, said in verify_accounts(store):
        yield Finding("account", address, said)


async def _verify_feeds(store: Store) -> AsyncIterator[Finding]:
    for node, said in await verify_nodes(store):
        yield Finding("node", f"node {node}", said)


async def _next(step: Step) -> From | None:
    await asyncio.sleep(0)  # others first
    return step.next


async def _verify_counts(store: Store) -> AsyncIterator[Finding]:
    last = From()
    while keys := await store.read(folder_keys(last)):
        for folder in keys:
            for finding in await _verify_folder(store, folder):
                yield finding
        last = From((keys[-1], -1))
        await asyncio.sleep(0)


async def _verify_folder(store: Store, folder: int) -> list[Finding]:
    """Count a folder; again from the start whenever it changed under way."""
    for _ in range(100):
        total = unread = 0
        state: int | None = None
        args: OneFolder | None = OneFolder(folder)
        while args is not None:
            step = await store.read(count_folder(args))
            if step is None:
                return []
            if not step.whole:
                return [Finding("counts", f"folder {folder}", "its mailbox keeps no numbers of it")]
            if state is not None and step.state != state:
                break
            state = step.state
            total += step.total
            unread += step.unread
            if step.next is None:
                if (total, unread) == (step.kept_total, step.kept_unread):
                    return []
                said = f"{step.kept_total} messages, {step.kept_unread} unread"
                return [Finding("counts", f"folder {folder}", f"says {said}; has {total}, {unread}")]
            args = OneFolder(folder, step.next)
            await asyncio.sleep(0)
    return [Finding("counts", f"folder {folder}", "could not be counted: it changes all the time")]


async def _verify_placements(store: Store, refs: "array[int]") -> AsyncIterator[Finding]:
    last: From | None = From()
    while last is not None:
        step = await store.read(check_placements(last))
        for finding in step.findings:
            yield finding
        for content in step.counted:
            if content >= len(refs):
                refs.extend([0] * (content + 1000 - len(refs)))
            refs[content] += 1
        last = await _next(step)


async def _verify_contents(store: Store, refs: "array[int] | None") -> AsyncIterator[Finding]:
    """``refs``: how many placements each was found to have; None where not all of them could be read."""
    suspects: list[tuple[int, int]] = []
    last: From | None = From()
    while last is not None:
        step = await store.read(check_contents(last))
        for finding in step.findings:
            yield finding
        if refs is not None:
            for content, kept in zip(step.counted[::2], step.counted[1::2], strict=True):
                found = refs[content] if content < len(refs) else 0
                if found != kept:
                    suspects.append((content, kept))
        last = await _next(step)
    for content, _ in suspects[:EXACT]:
        exact = await store.read(references(OneContent(content)))
        if exact is not None and exact[0] != exact[1]:
            yield Finding("references", f"content {content}", f"says {exact[0]} folders hold it; {exact[1]} do")
        await asyncio.sleep(0)
    if len(suspects) > EXACT:
        yield Finding("references", f"{len(suspects) - EXACT} more contents", "may be miscounted as well")


async def _verify_files(store: Store, files: BodyFiles) -> AsyncIterator[Finding]:
    last = From()
    while rows := await store.read(body_rows(last)):

        def lengths(rows: list[BodyRow] = rows) -> list[int]:
            found = []
            for row in rows:
                try:
                    found.append(files.path(row.name).stat().st_size)
                except FileNotFoundError:
                    found.append(-1)
            return found

        for row, length in zip(rows, await files.run(lengths), strict=True):
            what = f"file {row.name} of content {row.content} part {row.part}"
            if length < 0:
                if await store.read(known_files(Names((row.name,)))):  # else it was purged meanwhile
                    yield Finding("body", what, "is missing")
            elif length != row.length:
                yield Finding("body", what, f"has {length} octets, not {row.length}")
            elif row.digests is not None:
                digest = row.digests[32 * (row.part - 1) : 32 * row.part]
                try:
                    async for _ in files.blocks(row.name, 0, row.length, digest):
                        pass
                except NoMessage:
                    pass
                except StoreDamaged:
                    yield Finding("body", what, "has other octets than came")
        last = From(id=rows[-1].name.encode())
