"""MBOX FETCH: text for people, JSON, Internet mail or octets as they are (docs/protocol.md, "MBOX FETCH").

Rules: a block has at most 64 KiB; octets in files are read by the store's threads, block by block,
as the client takes them; a message is marked read after its last block was written, never by PART or
RANGE; what a message that was named by id has not is refused, and skipped where a filter found it.
"""

from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import msgspec

from immpd.mime.outgoing import with_sender
from immpd.mime.structure import HEADER_LIMIT
from immpd.model.flags import Flag, flag_names
from immpd.model.message import FetchedMessage, FetchedPart, Part, is_internet_mail
from immpd.protocol import replies
from immpd.protocol.codes import Code
from immpd.protocol.commands import MboxFetch
from immpd.protocol.errors import Refused
from immpd.protocol.registry import Span
from immpd.protocol.text import escape_json
from immpd.service.access import Place, mailbox_of, message_ids, path_of, place_of, with_folder
from immpd.service.bulk import BulkTurn
from immpd.service.outcome import Outcome, Page, Step
from immpd.service.session import Session, handles, on_arrival, refusal_of
from immpd.store.errors import NoMessage, StoreDamaged, StoreUnavailable, UnknownOutcome
from immpd.store.ids import uuid_text
from immpd.store.mail.mailboxes import FetchAt, Folder, fetch_at
from immpd.store.mail.messages import Fetched, FetchIds, FetchPage, Stored, fetch_ids, fetch_page

from .messages import filter_of, from_position, mark_read
from .rendering import (
    AT_ONCE,
    MAX_RENDERED,
    blocks,
    envelope_of,
    inline_octets,
    parts_of,
    rendered,
    rendered_now,
)

PAGE_OCTETS = 256 * 1024
PAGE_MESSAGES = 64
IDS_AT_ONCE = 8
LARGE = 256 * 1024
"""Octets of a message from which on it takes a turn to be rendered."""
LARGE_AT_ONCE = 4
"""Such messages of one account that are rendered, or wait for their client, at once."""
RENDERED_AT_ONCE = 4
"""Messages that are rendered until others may have their turn: each takes up to a millisecond."""
_READ = int(Flag.READ)
_LINE_FOR_JSON = 16_000

_encode = msgspec.json.Encoder().encode


class _Fetch:
    """One MBOX FETCH while its messages go out."""

    __slots__ = (
        "filter",
        "is_rendered",
        "left",
        "place",
        "rendering",
        "request",
        "sent",
        "session",
        "skipped",
        "turn",
        "unread",
    )

    def __init__(self, session: Session, request: MboxFetch, place: Place, turn: BulkTurn | None) -> None:
        self.session = session
        self.turn = turn
        self.request = request
        self.is_rendered = shows_otherwise(request)
        self.place = place
        self.filter = filter_of(request.path.filter)
        self.left: list[bytes] = []
        """Ids whose messages were not read yet."""
        self.sent = 0
        self.skipped = 0
        self.rendering = 0
        """Octets of messages rendered in the loop since it was given up last."""
        self.unread: list[bytes] = []
        """Written and still to be marked as read."""

    # --- which messages

    def next_ids(self) -> Outcome:
        if not self.left:
            return self.end(None)
        ids, self.left = tuple(self.left[:IDS_AT_ONCE]), self.left[IDS_AT_ONCE:]
        unit = fetch_ids(FetchIds(self.place.mailbox, self.place.folder, ids, self.request.json))
        return Step(unit, lambda found: self.write(found, self.next_ids))

    def page(self, cursor: int | None) -> Outcome:
        limit = self.request.limit
        wanted = PAGE_MESSAGES if limit is None else min(PAGE_MESSAGES, limit - self.sent - self.skipped)
        if wanted <= 0:
            return self.end(cursor)
        place = self.place
        unit = fetch_page(
            FetchPage(
                place.mailbox,
                place.folder,
                cursor,
                wanted,
                self.filter,
                with_folders=self.request.json,
                octets=PAGE_OCTETS,
            )
        )
        return Step(unit, self.got)

    def got(self, found: Fetched) -> Outcome:
        following = found.next
        if following is None:
            return self.write(found.messages, lambda: self.end(None))
        return self.write(found.messages, lambda: self.page(following))

    # --- what goes out of each

    def write(self, messages: list[Stored], then: Callable[[], Outcome]) -> Outcome:
        """Pieces of these messages in pages of about a block, then mark them, then ``then``."""
        request, is_rendered = self.request, self.is_rendered
        pieces: list[bytes] = []
        for at, stored in enumerate(messages):
            against = self.reason_against(stored)
            if against is not None:
                if request.path.ids:
                    raise against
                self.skipped += 1
                continue
            in_files = stored.files is not None and not request.json
            if in_files or (is_rendered and self.takes_long(stored)):
                return self.write_large(pieces, stored, messages[at + 1 :], then)
            pieces += self.pieces(stored)
            self.written(stored)
            if is_rendered and not (at + 1) % RENDERED_AT_ONCE and at + 1 < len(messages):
                return Page(pieces, partial(self.write, messages[at + 1 :], then))
        if not self.unread:
            return Page(pieces, then) if pieces else then()
        ids, self.unread = self.unread, []
        unit = mark_read(self.place, ids)
        return Page(pieces, lambda: Step(unit, lambda _: then(), lambda error: _unmarked(error, then)))

    def write_large(
        self, pieces: list[bytes], stored: Stored, rest: list[Stored], then: Callable[[], Outcome]
    ) -> Outcome:
        """A message with parts in files, or one that takes long, between what is ready and the rest."""

        def stream() -> Outcome:
            self.written(stored)
            turn = self.turn
            if turn is None or stored.size <= LARGE:
                return _stream(self, stored, lambda: self.write(rest, then))

            def over() -> Outcome:
                turn.leave()
                return self.write(rest, then)

            return turn.wait(self.place.mailbox, lambda: _stream(self, stored, over))

        return Page(pieces, stream) if pieces else stream()

    def takes_long(self, stored: Stored) -> bool:
        """Whether it is too long to be rendered in the loop with those before it."""
        self.rendering += stored.size
        if self.rendering <= AT_ONCE:
            return False
        self.rendering = 0
        return True

    def reason_against(self, stored: Stored) -> Refused | None:
        """Why the message cannot be shown as asked, if it cannot."""
        request = self.request
        if stored.size < 0:  # the store has lost what it is
            self.session.services.damage.found(f"message {uuid_text(stored.id)} is lost", structure=False)
            return refusal_of(StoreDamaged())
        if request.part is not None or request.range is not None:
            try:
                for part in chosen(parts_of(stored.parts), request):
                    bounds(part, request.range)
            except Refused as error:
                return error.bare()
        elif request.mime and stored.size > MAX_RENDERED and not is_internet_mail(parts_of(stored.parts)):
            text = f"The message has {stored.size} octets; fetch it with +RAW, or its parts with PART"
            return Refused(Code.LIMIT, "TOO-LARGE", text)
        return None

    def written(self, stored: Stored) -> None:
        self.sent += 1
        request = self.request
        if request.read and not stored.flags & _READ and request.part is None and request.range is None:
            self.unread.append(stored.id)

    def purged(self, stored: Stored) -> None:
        """It is gone: nothing of it was written after all."""
        self.sent -= 1
        self.skipped += 1
        self.unread = [one for one in self.unread if one != stored.id]

    def pieces(self, stored: Stored) -> list[bytes]:
        """The answer for one message whose octets are all here (or, of +JSON, left out)."""
        request = self.request
        name = uuid_text(stored.id)
        if request.raw or request.part is not None or request.range is not None:
            return self.raw(name, stored)
        parts = parts_of(stored.parts)
        if request.json:
            return self.json(name, stored, parts)
        return rendered_now(stored, parts, request.mime)

    def raw(self, name: str, stored: Stored) -> list[bytes]:
        request = self.request
        octets = stored.octets or b""
        parts = parts_of(stored.parts)
        if len(parts) == 1 and request.part is None and request.range is None:
            return blocks(f"{name} 1".encode(), octets)
        pieces = []
        for part in chosen(parts, request):
            first, stop = bounds(part, request.range)
            data = inline_octets(stored, parts, part.id)[first:stop]
            pieces += blocks(f"{name} {part.id}".encode(), data)
        return pieces

    def json(self, name: str, stored: Stored, parts: tuple[Part, ...]) -> list[bytes]:
        files = stored.file_names()
        message = FetchedMessage(
            name,
            envelope_of(stored),
            tuple(
                fetched_part(part, None if part.id in files else inline_octets(stored, parts, part.id))
                for part in parts
            ),
            (*flag_names(stored.flags), *stored.keywords),
            tuple(stored.folders),
        )
        octets = _encode(message)
        if self.request.pretty:
            return blocks(f"{name} json".encode(), msgspec.json.format(octets, indent=2))
        line = octets if len(octets) > _LINE_FOR_JSON else escape_json(octets)
        if len(line) > _LINE_FOR_JSON:
            return blocks(f"{name} json".encode(), octets)
        return [b"250- " + line + b"\n"]

    def end(self, cursor: int | None) -> replies.Fetched:
        return replies.Fetched(n=self.sent, skipped=self.skipped or None, more="yes" if cursor is not None else None)


def _unmarked(error: BaseException, then: Callable[[], Outcome]) -> Outcome:
    """A message that was shown and could not be marked stays unread: a full disk keeps nobody from reading."""
    if isinstance(error, StoreUnavailable) and not isinstance(error, UnknownOutcome):
        return then()
    raise error


def shows_otherwise(request: MboxFetch) -> bool:
    """Whether messages are rendered: shown otherwise than as they are stored."""
    return not (request.raw or request.json or request.part is not None or request.range is not None)


@on_arrival(MboxFetch)
def large_turn(session: Session, _: str | None, request: MboxFetch) -> BulkTurn | None:
    """A large message that is rendered waits until others of the account have been taken by their clients."""
    return BulkTurn(session, session.services.large) if shows_otherwise(request) else None


@handles(MboxFetch)
def fetch(session: Session, request: MboxFetch, turn: BulkTurn | None) -> Outcome:
    """Messages by id in the order named, or a folder's newest first."""
    if request.json + request.mime + request.raw > 1:
        raise Refused(Code.BAD_VALUE, "BAD-SWITCH", "+JSON, +MIME and +RAW exclude each other")
    if (request.part is not None or request.range is not None) and (request.json or request.mime):
        raise Refused(Code.BAD_VALUE, "BAD-SWITCH", "PART and RANGE bring octets: with +RAW or alone")
    if not request.path.ids and request.path.filter is None and request.after is None and request.limit is None:
        text = f"Name messages: {request.path}#id, or {request.path}::unread, or {request.path}::* for all"
        raise Refused(Code.BAD_VALUE, "NO-MESSAGE-NAMED", text)

    if request.path.ids:
        return _by_ids(session, request, turn)

    def found(place: Place) -> Outcome:
        return from_position(place, request.after, _Fetch(session, request, place, turn).page)

    return with_folder(session, request, request.path, found)


def _by_ids(session: Session, request: MboxFetch, turn: BulkTurn | None) -> Outcome:
    """The folder and the first messages are one step: most often that is all."""
    mailbox, path = mailbox_of(session, request, request.path), path_of(request.path)
    ids = message_ids(request.path)

    def found(there: tuple[Folder, list[Stored]] | None) -> Outcome:
        folder, messages = (None, []) if there is None else there
        running = _Fetch(session, request, place_of(mailbox, path, folder), turn)
        running.left = list(ids[IDS_AT_ONCE:])
        return running.write(messages, running.next_ids)

    return Step(fetch_at(FetchAt(mailbox, path, ids[:IDS_AT_ONCE], request.json)), found)


# --- octets of parts


def chosen(parts: tuple[Part, ...], request: MboxFetch) -> tuple[Part, ...]:
    """The parts that the request asks for; RANGE alone means the first."""
    if request.part is None:
        return parts[:1] if request.range is not None else parts
    found = tuple(part for part in parts if part.id == request.part)
    if not found:
        raise Refused(Code.NOT_FOUND, "NO-PART", f"The message has parts 1 to {len(parts)}, no part {request.part}")
    return found


def bounds(part: Part, span: Span | None) -> tuple[int, int]:
    """First octet and the one behind the last; a range that begins behind the end is refused."""
    if span is None:
        return 0, part.length
    if span.first >= part.length and (span.first or part.length):
        raise Refused(Code.BAD_VALUE, "BAD-RANGE", f"Part {part.id} has {part.length} octets")
    return span.first, part.length if span.last is None else min(part.length, span.last + 1)


def fetched_part(part: Part, octets: bytes | None) -> FetchedPart:
    """A part as +JSON shows it: text as text, other octets in base64, large ones left out."""
    encoding: Any = ""
    data = ""
    if octets is None:
        encoding = "omitted"
    else:
        try:
            if not part.type.startswith(("text/", "message/", "application/json")):
                raise ValueError
            data = octets.decode()
        except ValueError:
            encoding, data = "base64", b64encode(octets).decode()
    return FetchedPart(part.id, part.name, part.type, part.length, part.part_class, encoding, data)


async def _stream(running: _Fetch, stored: Stored, then: Callable[[], Outcome]) -> Outcome:
    """The message, or nothing of it where it was purged since its row was read."""
    try:
        return await _streamed(running, stored, then)
    except NoMessage:
        if running.request.path.ids:
            raise
        running.purged(stored)
        return then()


async def _streamed(running: _Fetch, stored: Stored, then: Callable[[], Outcome]) -> Outcome:
    """A message with parts in files: block by block, each read when the client has taken the last."""
    request = running.request
    parts = parts_of(stored.parts)
    name = uuid_text(stored.id)
    files = stored.file_names()
    whole_mail = request.mime and is_internet_mail(parts)
    if not (request.raw or request.part is not None or request.range is not None or whole_mail):
        return Page(await rendered(running.session.services, stored, parts, request.mime), then)
    bodies = running.session.services.bodies

    async def pieces() -> AsyncIterator[list[bytes]]:
        for part in chosen(parts, request):
            first, stop = bounds(part, request.range)
            head = f"{name} {'mime' if whole_mail else part.id}".encode()
            if part.id not in files:
                octets = inline_octets(stored, parts, part.id)[first:stop]
                yield blocks(head, with_sender(envelope_of(stored), octets) if whole_mail else octets)
                continue
            if whole_mail:
                first = min(stop, HEADER_LIMIT)
                octets = b"".join([block async for block in bodies.blocks(files[part.id], 0, first)])
                yield blocks(head, with_sender(envelope_of(stored), octets), more=first < stop)
            whole = stored.digest_of(part.id) if (first, stop) == (0, part.length) else None
            async for octets in bodies.blocks(files[part.id], first, stop - first, whole):
                first += len(octets)
                yield blocks(head, octets, more=first < stop)

    source = pieces()

    async def following() -> Outcome:
        try:
            return Page(await anext(source), following)
        except StopAsyncIteration:
            return then()

    return await following()
