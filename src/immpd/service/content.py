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
from immpd.model.message import Envelope, Part, thread_of
from immpd.protocol.codes import Code
from immpd.protocol.commands import Deliver, MboxPut
from immpd.protocol.errors import Refused
from immpd.store.deliver import BodyFile, Delivery

from .drafts import Draft, PartDraft
from .ids import time_text
from .session import Session

_TYPE = re.compile(r"[A-Za-z0-9][\w!#$&^.+\-]{0,126}/[A-Za-z0-9][\w!#$&^.+\-]{0,126}(?:\s*;\s*[\x20-\x7e]{1,500})?")
_RFC822 = "message/rfc822"
_OWN_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}@")
_DATE = re.compile(r"\d{4}-[01]\d-[0-3]\dT[0-2]\d:[0-5]\d:[0-6]\d(?:\.\d{1,9})?(?:Z|[+-][0-2]\d:[0-5]\d)", re.ASCII)
_HEADER_FIELDS = frozenset({"subject", "date", "reply-to", "in-reply-to", "references"})
_encode = msgspec.json.Encoder().encode


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


def content_of(session: Session, draft: Draft) -> tuple[Envelope, Delivery]:
    """The envelope, and the delivery without its targets; raises Refused where the parts make no message."""
    request = draft.request
    headers, drafts = _header_parts(draft)
    parts = tuple(
        [Part(number, _name(part), _type(part), part.length, _class(part)) for number, part in enumerate(drafts, 1)]
    )
    if not any([part.part_class == "content" for part in parts]):
        raise Refused(Code.BAD_VALUE, "NO-CONTENT", "A message needs at least one part with +CONTENT")
    imported = None
    if len(parts) == 1 and parts[0].type == _RFC822:
        imported = read_headers(drafts[0].octets if drafts[0].octets is not None else drafts[0].head)
    envelope = _envelope(session, request, headers, imported)
    services = session.services
    now = services.clock.now()
    size = sum([part.length for part in parts])
    inline = [part.octets for part in drafts if part.octets is not None]
    content = Delivery(
        sender=envelope.from_,
        sent=now,
        size=size,
        row=_encode(
            _RowStart(
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
        )[:-1],
        parts=_encode(parts),
        envelope=_encode(envelope),
        octets=inline[0] if len(inline) == 1 else b"".join(inline),
        digest=_digest(envelope.subject, parts, drafts),
        targets=(),
        now=now,
        files=tuple(
            [BodyFile(part.spool.name, n, part.length) for n, part in enumerate(drafts, 1) if part.spool is not None]
        ),
    )
    return envelope, content


def _header_parts(draft: Draft) -> tuple[dict[str, str], list[PartDraft]]:
    """Fields given with +HEADERS, and the parts that are kept."""
    if not any([part.request.headers for part in draft.parts]):
        return {}, draft.parts
    headers: dict[str, str] = {}
    for part in draft.parts:
        if part.request.headers:
            if part.octets is None:
                raise Refused(Code.LIMIT, "HEADERS-TOO-LARGE", "A part with +HEADERS is too large")
            try:
                headers.update(parse_header_block(part.octets))
            except HeaderError as error:
                raise Refused(Code.BAD_VALUE, "BAD-HEADERS", str(error)) from None
    return headers, [part for part in draft.parts if not part.request.headers]


def _name(part: PartDraft) -> str:
    return part.request.name


def _type(part: PartDraft) -> str:
    given = part.request.type
    if given is None:
        return "text/plain" if part.request.content else "application/octet-stream"
    if not _TYPE.fullmatch(given):
        raise Refused(Code.BAD_VALUE, "BAD-TYPE", f"{given[:80]} is no media type (RFC 6838), as in text/plain")
    return given


def _class(part: PartDraft) -> Any:
    return "content" if part.request.content else "attachment"


def _envelope(
    session: Session, request: Deliver | MboxPut, headers: dict[str, str], imported: ImportedHeaders | None
) -> Envelope:
    """What is believed comes from the session and the command, the rest from the sender's headers."""
    services = session.services
    account = session.account
    assert account is not None
    sender = account.address
    now = time_text(services.clock.now())
    importance: Any = "normal"
    if request.important is not None:
        importance = "high" if request.important else "low"
    envelope = Envelope(
        id=str(request.id or services.ids.uuid()),
        from_=sender,
        date=now,
        to=tuple([str(imid) for imid in request.to]),
        cc=tuple([str(imid) for imid in request.cc]),
        subject=request.subject or "",
        importance=importance,
        secure=isinstance(request, Deliver) and request.secure,
        origin=account.domain,
        received_date=now,
        verified=True,
    )
    if imported is not None:
        # No address, but an author: several people, or something that cannot be read for certain.
        aligned = imported.author_address.lower() == sender if imported.author_address else not imported.author
        envelope = msgspec.structs.replace(
            envelope,
            subject=request.subject if request.subject is not None else imported.subject,
            date=imported.date or now,
            author="" if aligned else imported.author,
            reply_to=imported.reply_to,
            in_reply_to=_native(imported.in_reply_to),
            references=tuple([_native(one) for one in imported.references]),
            importance=imported.importance if request.important is None else importance,
            verified=aligned,
        )
    if headers:
        known = {name: value for name, value in headers.items() if name in _HEADER_FIELDS}
        if not _DATE.fullmatch(known.get("date", now)):
            text = "the Date of +HEADERS is written as in 2026-01-31T08:00:00Z (RFC 3339)"
            raise Refused(Code.BAD_VALUE, "BAD-HEADERS", text)
        envelope = msgspec.structs.replace(
            envelope,
            subject=request.subject if request.subject is not None else known.get("subject", envelope.subject),
            date=known.get("date", envelope.date),
            reply_to=known.get("reply-to", envelope.reply_to),
            in_reply_to=known.get("in-reply-to", envelope.in_reply_to),
            references=tuple(known["references"].split()) if "references" in known else envelope.references,
            headers={name: value for name, value in headers.items() if name not in _HEADER_FIELDS},
        )
    return envelope


def _native(message_id: str) -> str:
    """Our own id in a Message-ID that we rendered (uuid@origin), so that replies by mail find their thread."""
    return message_id[:36] if _OWN_ID.match(message_id) else message_id


def _digest(subject: str, parts: tuple[Part, ...], drafts: list[PartDraft]) -> bytes:
    """What makes two messages with the same ID the same: subject and parts, octet for octet."""
    said = _encode((subject, [(part.name, part.type, part.length, part.part_class) for part in parts]))
    return hashlib.sha256(said + b"".join([part.digest for part in drafts])).digest()
