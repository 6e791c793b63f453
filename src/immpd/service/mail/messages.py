"""Messages in folders: MBOX INDEX, FLAG, MOVE, COPY, DELETE (docs/protocol.md, "Mailboxes").

Rules: a long answer is pages read by position, never one cursor; a change of many messages is units
of at most 200, each committed and told before the next; of what they did only what the reply says is kept;
what was named by id and is not there fails the whole command before anything changed, within its first unit.
"""

from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

import msgspec

from immpd.model.change import Change
from immpd.model.filters import FilterTerm, FromTerm, KeywordTerm, SinceTerm, StateTerm
from immpd.model.flags import FLAG_BITS, MAX_KEYWORDS, Flag, split_flags
from immpd.model.imid import Imid
from immpd.model.message import IndexRow, sender_text
from immpd.protocol import replies
from immpd.protocol.codes import Code
from immpd.protocol.commands import MboxCopy, MboxDelete, MboxFlag, MboxIndex, MboxMove
from immpd.protocol.errors import Refused
from immpd.protocol.lines import Words
from immpd.protocol.replies import Reply
from immpd.protocol.text import clean, escape_json
from immpd.service.access import Place, folder_of, mailbox_of, message_ids, read_state, state_text, with_folder
from immpd.service.bulk import BulkTurn
from immpd.service.outcome import Outcome, Page, Rows, Step
from immpd.service.session import Session, handles, on_arrival, refusal_of
from immpd.store.errors import NoMessage
from immpd.store.ids import uuid_text
from immpd.store.mail.filing import (
    Copied,
    CopyMessages,
    DeleteMessages,
    FlagMessages,
    MoveMessages,
    PurgeMessages,
    copy,
    delete,
    flag,
    move,
    purge,
)
from immpd.store.mail.messages import (
    Filter,
    Ids,
    IdsPage,
    Index,
    IndexPage,
    PositionOf,
    ids_page,
    index_page,
    position_of,
)
from immpd.store.units import Unit

from .threads import conversation

ROWS = 128
"""Index rows a page: about 64 KiB."""
STEP = 200
"""Messages changed in one unit."""


def filter_of(terms: tuple[FilterTerm, ...] | None, changed_since: int | None = None) -> Filter:
    """The store's filter for the terms of a path."""
    on = off = 0
    keywords: tuple[list[str], list[str]] = ([], [])
    senders: tuple[list[str], list[str]] = ([], [])
    since = before = None
    none = False
    for term in terms or ():
        if isinstance(term, StateTerm):
            name: str = term.state
            negated = term.negated
            if name == "unread":
                name, negated = "read", not negated
            bit = FLAG_BITS.get(name.upper())
            if bit is None:
                # Nobody is assigned in a mailbox of one's own.
                none = none or (name == "mine") != negated
            elif negated:
                off |= bit
            else:
                on |= bit
        elif isinstance(term, KeywordTerm):
            keywords[term.negated].append(term.keyword)
        elif isinstance(term, FromTerm):
            senders[term.negated].append(term.text)
        elif isinstance(term, SinceTerm):
            moment = int(term.moment.timestamp() * 1000)
            if term.negated:
                before = moment if before is None else min(before, moment)
            else:
                since = moment if since is None else max(since, moment)
        else:
            none = none or not term.negated
    return Filter(
        on=on,
        off=off,
        keywords=tuple(keywords[0]),
        without_keywords=tuple(keywords[1]),
        senders=tuple(senders[0]),
        without_senders=tuple(senders[1]),
        since=since,
        before=before,
        changed_since=changed_since,
        none=none or bool(on & off),
    )


def from_position(place: Place, after: UUID | None, then: Callable[[int | None], Outcome]) -> Outcome:
    """Go on behind the message AFTER names, or from the beginning."""
    if after is None:
        return then(None)
    return Step(position_of(PositionOf(place.mailbox, place.folder, after.bytes)), then)


# --- INDEX


class _Index:
    """One MBOX INDEX while its pages go out."""

    __slots__ = ("filter", "place", "request", "sent", "session")

    def __init__(self, session: Session, request: MboxIndex, place: Place) -> None:
        self.session = session
        self.request = request
        self.place = place
        since = None if request.since is None else read_state(session, request.since)
        self.filter = filter_of(request.path.filter, since)
        self.sent = 0

    def page(self, cursor: int | None) -> Outcome:
        limit = self.request.limit
        wanted = ROWS if limit is None else min(ROWS, limit - self.sent)
        if wanted <= 0:
            return self.end(None if limit == 0 else cursor)
        place = self.place
        unit = index_page(
            IndexPage(
                place.mailbox,
                place.folder,
                place.path,
                self.session.services.store.epoch,
                cursor,
                wanted,
                self.filter,
                self.request.reverse,
            )
        )
        return Step(unit, self.got)

    def got(self, index: Index) -> Outcome:
        rows = index.rows
        self.sent += len(rows)
        for lost in index.damaged:
            self.session.services.damage.found(f"message {uuid_text(lost)} is lost", structure=False)
        following = index.next
        if not rows:
            return self.end(None) if following is None else self.page(following)
        if not self.request.json:
            pieces = [_for_people(row) for row in rows]
        elif b"".join(rows).isascii():
            pieces = [b"250- " + row + b"\n" for row in rows]  # one look at the page costs less than one at each
        else:
            pieces = [_as_json(row) for row in rows]
        if following is None:
            return Page(pieces, lambda: self.end(None))
        return Page(pieces, lambda: self.page(following))

    def end(self, cursor: int | None) -> replies.IndexPage:
        more = "yes" if cursor is not None else None
        return replies.IndexPage(n=self.sent, s=state_text(self.session, self.place.state), more=more)


@handles(MboxIndex)
def index(session: Session, request: MboxIndex, _: Any) -> Outcome:
    """Rows newest first; with +JSON as objects, else a line for people."""
    if request.threads:
        return conversation(session, request, _as_json if request.json else _for_people)
    if request.path.ids:
        raise Refused(Code.BAD_VALUE, "BAD-PATH", "MBOX INDEX takes a folder and a filter; MBOX FETCH takes ids")

    def found(place: Place) -> Outcome:
        running = _Index(session, request, place)
        return from_position(place, request.after, running.page)

    return with_folder(session, request, request.path, found)


_decode_row = msgspec.json.Decoder(IndexRow).decode


def _as_json(row: bytes) -> bytes:
    # Rows are escaped when they are made; those of a store that is older than that, here.
    return b"250- " + (row if row.isascii() else escape_json(row)) + b"\n"


def _for_people(row: bytes) -> bytes:
    """A line that a person can read: id, flags, date, size, sender, subject."""
    one = _decode_row(row)
    marks = "".join(mark if name in one.flags else "-" for name, mark in _MARKS)
    who = clean(sender_text(one.from_, one.author))
    return f"250- {one.id} {marks} {one.date} {one.size:>8} {who}  {clean(one.subject)}\n".encode()


_MARKS = (("READ", "r"), ("FLAGGED", "f"), ("ANSWERED", "a"), ("IMPORTANT", "!"), ("DRAFT", "d"))


# --- changes of many messages

UnitOf = Callable[[tuple[bytes, ...]], Unit[Any]]
RowsOf = Callable[[tuple[bytes, ...], Any], list[Words]]


class _Bulk:
    """One command that changes messages, step by step; of what it did it keeps what its reply says."""

    __slots__ = ("changed", "place", "session", "state", "turn")

    def __init__(self, session: Session, place: Place, turn: BulkTurn) -> None:
        self.session = session
        self.place = place
        self.turn = turn
        self.changed = 0
        self.state = place.state
        """The mailbox's number of the last change."""

    def run(
        self, path: Imid, unit_of: UnitOf, rows_of: RowsOf | None = None, end: Callable[[], Reply] | None = None
    ) -> Outcome:
        """Run ``unit_of`` over the messages that the path names, 200 at a time; ``end`` makes the reply.

        ``rows_of`` makes the rows of a step, which go out while the work goes on.
        """

        def over() -> Outcome:
            self.turn.leave()
            return self.reply() if end is None else end()

        def step(ids: tuple[bytes, ...], go_on: Callable[[], Outcome]) -> Step:
            def stored(result: Any) -> Outcome:
                self.took(result.changes if isinstance(result, Copied) else result)
                return go_on() if rows_of is None else Rows(rows_of(ids, result), go_on)

            def failed(error: BaseException) -> Outcome:
                if isinstance(error, NoMessage) and not path.ids:
                    # They left the folder since the filter found them: somebody else was faster.
                    left = tuple([one for one in ids if one not in error.ids])
                    return step(left, go_on) if left else go_on()
                return self.failed(error)

            return Step(unit_of(ids), stored, failed)

        if path.ids:
            return _named(tuple(dict.fromkeys(message_ids(path))), step, over)
        if path.filter is None:
            text = f"Name messages: {path}#id, or {path}::unread, or {path}::* for all"
            raise Refused(Code.BAD_VALUE, "NO-MESSAGE-NAMED", text)
        wanted = filter_of(path.filter)

        def collect(cursor: int | None) -> Outcome:
            return Step(ids_page(IdsPage(self.place.folder, cursor, STEP, wanted)), got)

        def got(found: Ids) -> Outcome:
            following = found.next
            go_on = over if following is None else partial(collect, following)
            return step(tuple(found.ids), go_on) if found.ids else go_on()

        return self.turn.wait(self.place.mailbox, lambda: collect(None))

    def took(self, changes: tuple[Change, ...]) -> None:
        """A step is committed."""
        self.changed += len(changes)
        if changes:
            self.state = max(self.state, changes[-1].state)
        self.turn.stored()

    def failed(self, error: BaseException) -> Outcome:
        """A step is not, or nobody knows."""
        self.turn.leave()
        raise refusal_of(error)

    def reply(self) -> replies.Changed:
        return replies.Changed(n=self.changed, s=state_text(self.session, self.state))


def _named(
    ids: tuple[bytes, ...],
    step: Callable[[tuple[bytes, ...], Callable[[], Outcome]], Step],
    over: Callable[[], Outcome],
) -> Outcome:
    """These messages, in as many steps as they need: a line names no more than a few hundred."""
    if not ids:
        return over()
    return step(ids[:STEP], lambda: _named(ids[STEP:], step, over))


@on_arrival(MboxFlag, MboxMove, MboxCopy, MboxDelete)
def bulk_turn(session: Session, _: str | None, __: Any) -> BulkTurn:
    """What changes many messages waits until others of the account have done."""
    return BulkTurn(session, session.services.bulk)


@handles(MboxFlag)
def set_flags(session: Session, request: MboxFlag, turn: BulkTurn) -> Outcome:
    """Set those with +, clear those with -."""
    if not request.flags:
        raise Refused(Code.BAD_VALUE, "NO-FLAG", "MBOX FLAG needs at least one +FLAG or -FLAG")
    on, add = split_flags(tuple(name for name, set_ in request.flags if set_))
    off, drop = split_flags(tuple(name for name, set_ in request.flags if not set_))
    if on & off or set(add) & set(drop):
        raise Refused(Code.BAD_VALUE, "BAD-FLAG", "The same flag is set and cleared")
    if len(add) > MAX_KEYWORDS:
        raise Refused(Code.LIMIT, "TOO-MANY-KEYWORDS", f"At most {MAX_KEYWORDS} keywords at once")

    def found(place: Place) -> Outcome:
        def unit_of(ids: tuple[bytes, ...]) -> Unit[Any]:
            return flag(FlagMessages(place.mailbox, place.folder, ids, on=on, off=off, add=add, drop=drop))

        return _Bulk(session, place, turn).run(request.path, unit_of)

    return with_folder(session, request, request.path, found)


def mark_read(place: Place, ids: list[bytes]) -> Unit[Any]:
    """The unit that marks messages as read."""
    return flag(FlagMessages(place.mailbox, place.folder, tuple(ids), on=int(Flag.READ)))


@handles(MboxMove)
def move_(session: Session, request: MboxMove, turn: BulkTurn) -> Outcome:
    """Into another folder of the same mailbox; ids stay."""
    if mailbox_of(session, request, request.path) != mailbox_of(session, request, request.to, target=True):
        raise Refused(Code.BAD_VALUE, "BAD-PATH", "Messages are moved inside their mailbox")

    def move_between(source: Place, target: Place) -> Outcome:
        if source.folder == target.folder:
            raise Refused(Code.BAD_VALUE, "SAME-FOLDER", "The messages are in that folder already")
        now = session.services.clock.now()

        def unit_of(ids: tuple[bytes, ...]) -> Unit[Any]:
            return move(MoveMessages(source.mailbox, source.folder, target.folder, ids, now))

        return _Bulk(session, source, turn).run(request.path, unit_of)

    return _between(session, request, move_between)


@handles(MboxCopy)
def copy_(session: Session, request: MboxCopy, turn: BulkTurn) -> Outcome:
    """Into a further folder of the mailbox: the same message and id."""

    def copy_between(source: Place, target: Place) -> Outcome:
        services = session.services
        same = source.mailbox == target.mailbox
        now = services.clock.now()
        count = 0

        def unit_of(ids: tuple[bytes, ...]) -> Unit[Any]:
            new = () if same else tuple(services.ids.octets() for _ in ids)
            return copy(CopyMessages(source.mailbox, source.folder, target.mailbox, target.folder, ids, new, now))

        def rows_of(ids: tuple[bytes, ...], result: Copied) -> list[Words]:
            nonlocal count
            count += len(ids)
            return [
                replies.CopiedRow(old=uuid_text(old), new=uuid_text(new))
                for old, new in zip(ids, result.ids, strict=True)
            ]

        bulk = _Bulk(session, source, turn)
        return bulk.run(request.path, unit_of, rows_of, lambda: replies.Copied(before=count))

    return _between(session, request, copy_between)


@handles(MboxDelete)
def delete_(session: Session, request: MboxDelete, turn: BulkTurn) -> Outcome:
    """To TRASH, where what is there already stays; with +PURGE for good."""

    def found(place: Place) -> Outcome:
        now = session.services.clock.now()

        def unit_of(ids: tuple[bytes, ...]) -> Unit[Any]:
            if request.purge:
                return purge(PurgeMessages(place.mailbox, place.folder, ids))
            return delete(DeleteMessages(place.mailbox, place.folder, ids, now))

        return _Bulk(session, place, turn).run(request.path, unit_of)

    return with_folder(session, request, request.path, found)


def _between(session: Session, request: MboxMove | MboxCopy, then: Callable[[Place, Place], Outcome]) -> Outcome:
    folder_of(request.to)

    def found(source: Place) -> Outcome:
        return with_folder(session, request, request.to, lambda target: then(source, target), target=True)

    return with_folder(session, request, request.path, found)
