"""What a message is made of: envelope, parts, the ready index row, and the digest of its content.

Rules: what is believed comes from the session and the command, the rest from the sender's headers;
what never changes is encoded once, here (docs/protocol.md, "Envelope").
"""

import hashlib
import re
from typing import Any

import msgspec

from immpd.mime.headers import HeaderError, parse_header_block
from immpd.mime.incoming import ImportedHeaders, read_headers
from immpd.model.message import Envelope, Part, PartClass, is_internet_mail, thread_of
from immpd.model.references import MAX_REFERENCES, bounded, native, read_reference
from immpd.protocol.codes import Code
from immpd.protocol.commands import Data, Deliver, MboxPut
from immpd.protocol.errors import Refused
from immpd.protocol.text import escape_json
from immpd.service.session import Session
from immpd.service.timestamps import time_text
from immpd.store.ids import uuid_text
from immpd.store.mail.deliver import BodyFile, Delivery, Target

from .drafts import Draft, PartDraft, headers_too_large

_TYPE = re.compile(r"[A-Za-z0-9][\w!#$&^.+\-]{0,126}/[A-Za-z0-9][\w!#$&^.+\-]{0,126}(?:\s*;\s*[\x20-\x7e]{1,500})?")
_DATE = re.compile(r"\d{4}-[01]\d-[0-3]\dT[0-2]\d:[0-5]\d:[0-6]\d(?:\.\d{1,9})?(?:Z|[+-][0-2]\d:[0-5]\d)", re.ASCII)
_HEADER_FIELDS = frozenset({"subject", "date", "reply-to", "in-reply-to", "references"})
MAX_SUBJECT = 2000
"""Octets of a subject that a command or +HEADERS gives."""
MAX_ROW = 7_500
"""Octets of what never changes of an INDEX row: folder, keywords and cursor have to find room on the line, too."""
_encode = msgspec.json.Encoder().encode
_text = msgspec.to_builtins  # of a UUID, in a third of the time that str() takes


class _RowStart(msgspec.Struct, omit_defaults=True):
    """What never changes of an INDEX row."""

    from_: str = msgspec.field(name="from")
    to: tuple[str, ...]
    subject: str
    date: str
    size: int
    thread: str
    parts: int
    importance: str
    verified: bool
    author: str = ""


class Content(msgspec.Struct, frozen=True, gc=False):
    """A message that nobody has got yet."""

    envelope: Envelope
    parts: list[Part]
    drafts: list[PartDraft]
    """Where the octets of each part lie."""
    size: int
    inline: list[bytes]
    files: list[BodyFile]
    now: int

    def delivery(self, targets: tuple[Target, ...]) -> Delivery:
        """Its delivery to these."""
        inline = self.inline
        return delivery_of(
            self.envelope,
            self.parts,
            self.size,
            inline[0] if len(inline) == 1 else b"".join(inline),
            [part.digest for part in self.drafts],
            targets,
            self.now,
            tuple(self.files),
        )


def content_of(session: Session, draft: Draft) -> Content:
    """The message that was sent; raises Refused where the parts make none."""
    headers, drafts = _header_parts(draft)
    parts: list[Part] = []
    inline: list[bytes] = []
    files: list[BodyFile] = []
    size = 0
    has_content = False
    for number, part in enumerate(drafts, 1):
        request = part.request
        kind: PartClass = "content" if request.content else "attachment"
        has_content = has_content or request.content
        parts.append(Part(number, request.name, _type(request), part.length, kind))
        size += part.length
        if part.octets is not None:
            inline.append(part.octets)
        elif part.spool is not None:
            files.append(BodyFile(part.spool.name, number, part.length))
    if not has_content:
        raise Refused(Code.BAD_VALUE, "NO-CONTENT", "A message needs at least one part with +CONTENT")
    imported = None
    if is_internet_mail(parts):
        imported = read_headers(drafts[0].octets if drafts[0].octets is not None else drafts[0].head)
    now = session.services.clock.now()
    return Content(_envelope(session, draft.request, headers, imported, now), parts, drafts, size, inline, files, now)


def delivery_of(
    envelope: Envelope,
    parts: list[Part],
    size: int,
    octets: bytes,
    digests: list[bytes],
    targets: tuple[Target, ...],
    now: int,
    files: tuple[BodyFile, ...] = (),
) -> Delivery:
    """The delivery of a message whose parts have these SHA-256 ``digests``; ``now`` in milliseconds UTC."""
    row = _RowStart(
        envelope.from_,
        envelope.to,
        envelope.subject,
        envelope.date,
        size,
        thread_of(envelope),
        len(parts),
        envelope.importance,
        envelope.verified,
        envelope.author,
    )
    said_row = _line_of(row)
    if len(said_row) > MAX_ROW:
        said_row = _line_of(_fitting(row))
    said = _encode(parts)
    # What makes two messages with the same ID the same: subject and parts, octet for octet.
    digest = hashlib.sha256(b"".join([envelope.subject.encode(), b"\0", said, *digests]))
    return Delivery(
        sender=envelope.from_,
        sent=now,
        size=size,
        row=said_row[:-1],
        parts=said,
        envelope=_encode(envelope),
        octets=octets,
        digest=digest.digest(),
        digests=b"".join(digests),
        targets=targets,
        now=now,
        files=files,
    )


def _line_of(value: object) -> bytes:
    return escape_json(_encode(value))


def _fitting(row: _RowStart) -> _RowStart:
    """The row with the beginnings of what is too long, whatever a sender makes up; the envelope has all."""
    left = 2_000
    fitting = []
    for one in row.to:
        left -= len(_line_of(one)) + 1
        if left < 0:
            break
        fitting.append(one)
    subject, author = _beginning(row.subject, 2_500), _beginning(row.author, 1_000)
    return msgspec.structs.replace(row, to=tuple(fitting), subject=subject, author=author)


def _beginning(text: str, octets: int) -> str:
    """As much of the text as JSON says in so many octets."""
    beginning = text
    while len(_line_of(beginning)) > octets:
        beginning = beginning[: len(beginning) * 7 // 8]
    return beginning if beginning == text else beginning + "…"


def _header_parts(draft: Draft) -> tuple[dict[str, str], list[PartDraft]]:
    """Fields given with +HEADERS, and the parts that are kept."""
    if not any([part.request.headers for part in draft.parts]):
        return {}, draft.parts
    headers: dict[str, str] = {}
    for part in draft.parts:
        if part.request.headers:
            if part.octets is None:  # it lies in a file: the session has too much else in memory
                raise headers_too_large()
            try:
                headers.update(parse_header_block(part.octets))
            except HeaderError as error:
                raise Refused(Code.BAD_VALUE, "BAD-HEADERS", str(error)) from None
    return headers, [part for part in draft.parts if not part.request.headers]


def check_subject(subject: str | None) -> None:
    """Raises Refused where a subject has too many octets."""
    if subject is not None and len(subject.encode()) > MAX_SUBJECT:
        raise Refused(Code.LIMIT, "SUBJECT-TOO-LONG", f"A subject has at most {MAX_SUBJECT} octets")


def _type(request: Data) -> str:
    if request.type is None:
        return "text/plain" if request.content else "application/octet-stream"
    return media_type(request.type)


def media_type(given: str) -> str:
    """A media type as it was given; raises Refused where it is none."""
    if not _TYPE.fullmatch(given):
        raise Refused(Code.BAD_VALUE, "BAD-TYPE", f"{given[:80]} is no media type (RFC 6838), as in text/plain")
    return given


def _envelope(
    session: Session, request: Deliver | MboxPut, headers: dict[str, str], imported: ImportedHeaders | None, at: int
) -> Envelope:
    """What is believed comes from the session and the command, the rest from the sender's headers."""
    services = session.services
    account = session.principal.person
    sender = account.address
    now = time_text(at)
    importance: Any = "normal"
    if request.important is not None:
        importance = "high" if request.important else "low"
    envelope = Envelope(
        id=uuid_text(services.ids.octets()) if request.id is None else _text(request.id),
        from_=sender,
        date=now,
        to=tuple([imid.text for imid in request.to]),
        cc=tuple([imid.text for imid in request.cc]),
        subject=request.subject or "",
        importance=importance,
        secure=isinstance(request, Deliver) and request.secure,
        origin=account.domain,
        received_date=now,
        verified=True,
    )
    if imported is not None:
        author = claimed_author(imported, sender)
        envelope = msgspec.structs.replace(
            envelope,
            subject=request.subject if request.subject is not None else imported.subject,
            date=imported.date or now,
            author=author,
            reply_to=imported.reply_to,
            message_id=native(imported.message_id),
            in_reply_to=native(imported.in_reply_to),
            references=tuple([native(one) for one in imported.references]),
            importance=imported.importance if request.important is None else importance,
            verified=not author,
        )
    if headers:
        known = {name: value for name, value in headers.items() if name in _HEADER_FIELDS}
        if not _DATE.fullmatch(known.get("date", now)):
            text = "the Date of +HEADERS is written as in 2026-01-31T08:00:00Z (RFC 3339)"
            raise Refused(Code.BAD_VALUE, "BAD-HEADERS", text)
        check_subject(known.get("subject"))
        envelope = msgspec.structs.replace(
            envelope,
            subject=request.subject if request.subject is not None else known.get("subject", envelope.subject),
            date=known.get("date", envelope.date),
            reply_to=known.get("reply-to", envelope.reply_to),
            in_reply_to=next(iter(_ids_in(known, "in-reply-to")), envelope.in_reply_to),
            references=bounded(_ids_in(known, "references")) or envelope.references,
            headers={name: value for name, value in headers.items() if name not in _HEADER_FIELDS},
        )
    if request.in_reply_to is not None or request.references:
        # What a command says of the thread is the whole of it: half from there, half from a header, would be neither.
        envelope = msgspec.structs.replace(
            envelope, in_reply_to=request.in_reply_to or "", references=request.references
        )
    return envelope


def _ids_in(headers: dict[str, str], name: str) -> list[str]:
    """The ids of other messages in a field of +HEADERS."""
    try:
        return [read_reference(one) for one in headers.get(name, "").split()]
    except ValueError as error:
        raise Refused(Code.BAD_VALUE, "BAD-HEADERS", f"{name.title()} of +HEADERS: {error}") from None


def check_references(request: Deliver | MboxPut) -> None:
    """Raises Refused where a command names more other messages than a message keeps."""
    if len(request.references) > MAX_REFERENCES:
        text = f"A message keeps at most {MAX_REFERENCES} REFERENCES: the first, and the last ones"
        raise Refused(Code.LIMIT, "TOO-MANY-REFERENCES", text)


def claimed_author(imported: ImportedHeaders, sender: str) -> str:
    """The author of an Internet mail that ``sender`` sent, empty where it is the sender."""
    if imported.author_address:
        return "" if imported.author_address.lower() == sender else imported.author
    return imported.author  # several people, or something that cannot be read for certain
