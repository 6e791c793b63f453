"""Delivery: DELIVER opens, DONE stores for every recipient and only then says so.

Rules: who wrote it comes from the log-in, never from the message; one content serves all recipients
and the sender's SENT; a BCC recipient stands in nobody else's envelope; the same ID delivers once;
watchers are told after the commit (docs/protocol.md, "Delivery").
"""

import hashlib
import re
from typing import Any

import msgspec

from immpd.mime.headers import HeaderError, parse_header_block
from immpd.mime.incoming import ImportedHeaders, read_headers
from immpd.model.flags import Flag, split_flags
from immpd.model.imid import Imid, folder_key, is_reserved_folder
from immpd.model.message import Envelope, Part, thread_of
from immpd.protocol import replies
from immpd.protocol.codes import Code
from immpd.protocol.commands import Deliver, Done, MboxPut
from immpd.protocol.errors import Refused
from immpd.store.accounts import FindRecipient, FindRecipients, Recipient, find_recipients
from immpd.store.ids import uuid_text
from immpd.store.deliver import BodyFile, Delivered, Delivery, Target, deliver, retry_key

from .drafts import Draft, PartDraft
from .ids import time_text
from .outcome import Outcome, Step
from .session import Session, handles

MAX_SUBJECT = 2000
_TYPE = re.compile(r"[A-Za-z0-9][\w!#$&^.+\-]{0,126}/[A-Za-z0-9][\w!#$&^.+\-]{0,126}(?:\s*;\s*[\x20-\x7e]{1,500})?")
_RFC822 = "message/rfc822"
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


# --- DELIVER


@handles(Deliver)
def open_delivery(session: Session, request: Deliver, draft: Draft | None) -> Outcome:
    """Check sender and recipients; 270, or a refusal when nobody could get it."""
    if draft is None:
        raise Refused(Code.CONFLICT, "MESSAGE-OPEN", "A message is open in this pipeline: DONE or ABORT it first")
    try:
        wanted = _recipients_of(session, request)
        _check_sender(session, request.from_)
        _check_subject(request.subject)
    except Refused as error:
        draft.refuse(error)
        raise
    domains = session.services.domains
    account = session.account
    assert account is not None
    asked = [
        FindRecipient(imid.address, _plus_key(imid))
        for imid in wanted
        if imid.domain in domains and _reason_against(imid) is None
    ]

    def found(recipients: tuple[Recipient | None, ...]) -> replies.Opened:
        at = iter(recipients)
        for imid in wanted:
            against = _reason_against(imid)
            if against is None and imid.domain not in domains:
                text = f"{imid.domain} is not served here, and delivery to other domains is not available yet"
                against = Refused(Code.NO_ROUTE, "NO-ROUTE", text)
            draft.recipients.append((str(imid), against or _checked(imid, next(at))))
        refusals = [outcome for _, outcome in draft.recipients if isinstance(outcome, Refused)]
        if len(refusals) == len(draft.recipients):
            draft.refuse(refusals[0])
            raise refusals[0]
        sender = recipients[-1]
        draft.sent = sender.sent if sender is not None else None
        return _OPENED

    return Step(find_recipients(FindRecipients((*asked, FindRecipient(account.address)))), found)


_OPENED = replies.Opened()


def _recipients_of(session: Session, request: Deliver) -> list[Imid]:
    wanted = [*request.to, *request.cc, *request.bcc]
    if not wanted:
        raise Refused(Code.BAD_VALUE, "NO-RECIPIENT", "DELIVER needs at least one TO, CC or BCC")
    if len(wanted) > session.services.limits.max_recipients:
        limit = session.services.limits.max_recipients
        raise Refused(Code.LIMIT, "TOO-MANY-RECIPIENTS", f"A message has at most {limit} recipients here")
    return wanted if len(wanted) == 1 else list({imid.key: imid for imid in wanted}.values())


def _check_sender(session: Session, sender: Imid | None) -> None:
    account = session.account
    assert account is not None
    if sender is not None and (sender.address != account.address or sender.path or sender.ids):
        raise Refused(Code.DENIED, "NOT-YOURS", f"{account.address} has no right to send as {sender}")


def _check_subject(subject: str | None) -> None:
    if subject is not None and len(subject.encode()) > MAX_SUBJECT:
        raise Refused(Code.LIMIT, "SUBJECT-TOO-LONG", f"A subject has at most {MAX_SUBJECT} octets")


def _reason_against(imid: Imid) -> Refused | None:
    if imid.is_own_box or imid.path or imid.ids or imid.filter is not None or imid.options:
        return Refused(Code.BAD_VALUE, "BAD-RECIPIENT", f"{imid} names no recipient: name@domain or name+folder@domain")
    return None


def _plus_key(imid: Imid) -> str:
    """The folder that a plus-address names, as the store finds it; never one of the special ones."""
    if imid.folder is None or is_reserved_folder(imid.folder):
        return ""
    return folder_key(str(Imid(path=("INBOX", imid.folder))))


def _checked(imid: Imid, recipient: Recipient | None) -> Recipient | Refused:
    if recipient is None or recipient.disabled:
        return Refused(Code.NOT_FOUND, "NO-RECIPIENT", f"There is no mailbox {imid.address} here")
    return recipient


# --- DONE


@handles(Done)
def finish(session: Session, _: Done, draft: Draft | None) -> Outcome:
    """Deliver or put the message, when all its parts are here."""
    if draft is None:
        raise Refused(Code.NOT_FOUND, "NO-MESSAGE", "There is no open message in this pipeline; begin one with DELIVER")
    if all([part.complete for part in draft.parts]):
        return _complete(session, draft)
    return _when_complete(session, draft)


async def _when_complete(session: Session, draft: Draft) -> Outcome:
    for part in draft.parts:
        await part.settled()
    return _complete(session, draft)


def _complete(session: Session, draft: Draft) -> Outcome:
    try:
        return _send(session, draft)
    except Refused as error:
        draft.refuse(error)
        raise


def _send(session: Session, draft: Draft) -> Outcome:
    if draft.error is not None:
        raise draft.error
    for number, part in enumerate(draft.parts, 1):
        if part.error is not None:
            why = part.error
            raise Refused(
                why.code, why.word, f"Part {number} is not there, so nothing is delivered: {why.text}", why.retry
            )
    headers, drafts = _header_parts(draft)
    parts = tuple(
        [Part(number, _name(part), _type(part), part.length, _class(part)) for number, part in enumerate(drafts, 1)]
    )
    if not any([part.part_class == "content" for part in parts]):
        raise Refused(Code.BAD_VALUE, "NO-CONTENT", "A message needs at least one part with +CONTENT")
    request = draft.request
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
    if isinstance(request, MboxPut):
        return _put(session, draft, request, content)
    return _deliver(session, draft, request, envelope, content)


def _deliver(session: Session, draft: Draft, request: Deliver, envelope: Envelope, content: Delivery) -> Outcome:
    services = session.services
    account = session.account
    assert account is not None
    octets = services.ids.octets
    important = int(Flag.IMPORTANT) if envelope.importance == "high" else 0
    targets: list[Target] = []
    by_mailbox: dict[int, int] = {}
    rows: list[tuple[str, Refused | int]] = []
    for imid, outcome in draft.recipients:
        if isinstance(outcome, Refused):
            rows.append((imid, outcome))
            continue
        if outcome.mailbox in by_mailbox:
            rows.append((imid, by_mailbox[outcome.mailbox]))
            continue
        by_mailbox[outcome.mailbox] = len(targets)
        rows.append((imid, len(targets)))
        key = None
        if request.id is not None:
            key = retry_key(account.domain, account.address, imid, envelope.id)
        folder = outcome.folder or outcome.inbox
        targets.append(Target(outcome.mailbox, folder, outcome.inbox, octets(), important, key))
    if draft.sent is not None:
        bcc = _encode({"bcc": [str(imid) for imid in request.bcc]}) if request.bcc else None
        flags = important | int(Flag.READ)
        targets.append(Target(account.mailbox, draft.sent, draft.sent, octets(), flags, None, bcc))
    unit = deliver(msgspec.structs.replace(content, targets=tuple(targets)))

    def delivered(results: tuple[Delivered, ...]) -> replies.Delivered:
        _settle(session, draft, results)
        outcomes = [
            (
                imid,
                what if isinstance(what, Refused) else _REUSED if results[what].outcome == "reused" else results[what],
            )
            for imid, what in rows
        ]
        if isinstance(outcomes[0][1], Refused) and all([isinstance(outcome, Refused) for _, outcome in outcomes]):
            raise outcomes[0][1]
        return replies.Delivered(id=envelope.id, rows=tuple([_outcome_line(*outcome) for outcome in outcomes]))

    return Step(unit, delivered)


def _settle(session: Session, draft: Draft, results: tuple[Delivered, ...]) -> None:
    """After the commit: tell watchers, and let go of what was in memory or lies in a file for nothing."""
    changes = [result.change for result in results if result.change is not None]
    session.services.bus.publish(changes)
    for part in draft.parts:
        if changes:
            part.spool = None  # the file belongs to the store now
        part.discard()


_REUSED = Refused(Code.CONFLICT, "ID-REUSED", "This ID was used for another message to this recipient")


def _outcome_line(imid: str, what: Refused | Delivered) -> replies.RecipientOutcome:
    if isinstance(what, Refused):
        return replies.RecipientOutcome(imid=imid, outcome="refused", code=int(what.code), text=what.line_text())
    text = "Delivered" if what.outcome == "delivered" else "Delivered before"
    return replies.RecipientOutcome(imid=imid, outcome="delivered", code=int(Code.DELIVERED), text=text)


def _put(session: Session, draft: Draft, request: MboxPut, content: Delivery) -> Outcome:
    place = draft.place
    assert place is not None
    bits, _ = split_flags(tuple(name for name, on in request.flags if on))
    target = Target(place.mailbox, place.folder, place.folder, session.services.ids.octets(), bits)
    unit = deliver(msgspec.structs.replace(content, targets=(target,)))

    def stored(results: tuple[Delivered, ...]) -> replies.Stored:
        _settle(session, draft, results)
        return replies.Stored(place=f"{request.path}#{uuid_text(target.id)}")

    return Step(unit, stored)


# --- what a message is made of


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
        aligned = not imported.author_address or imported.author_address.lower() == sender
        envelope = msgspec.structs.replace(
            envelope,
            subject=request.subject if request.subject is not None else imported.subject,
            date=imported.date or now,
            author="" if aligned else imported.author,
            reply_to=imported.reply_to,
            in_reply_to=imported.in_reply_to,
            references=imported.references,
            importance=imported.importance if request.important is None else importance,
            verified=aligned,
        )
    if headers:
        known = {name: value for name, value in headers.items() if name in _HEADER_FIELDS}
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


_HEADER_FIELDS = frozenset({"subject", "date", "reply-to", "in-reply-to", "references"})


def _digest(subject: str, parts: tuple[Part, ...], drafts: list[PartDraft]) -> bytes:
    """What makes two messages with the same ID the same: subject and parts, octet for octet."""
    said = _encode((subject, [(part.name, part.type, part.length, part.part_class) for part in parts]))
    return hashlib.sha256(said + b"".join([part.digest for part in drafts])).digest()
