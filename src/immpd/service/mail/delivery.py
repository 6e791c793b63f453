"""Delivery: DELIVER opens, DONE stores for every recipient and only then says so.

Rules: who wrote it comes from the log-in, never from the message; one content serves all recipients
and the sender's SENT; a BCC recipient stands in nobody else's envelope; the same ID delivers once; what is made of
its parts is judged for each recipient before it is stored (acceptance.py); watchers are told after the commit
(docs/protocol.md, "Delivery").
"""

from collections.abc import Iterable
from functools import partial

import msgspec

from immpd.model.flags import Flag, split_flags
from immpd.model.imid import Imid, parse_imid
from immpd.model.message import Envelope
from immpd.protocol import replies
from immpd.protocol.codes import Code
from immpd.protocol.commands import Deliver, MboxPut
from immpd.protocol.errors import Refused
from immpd.service.acceptance import (
    NOTHING_SAID,
    Addressee,
    Incoming,
    Request,
    Verdicts,
    accepted,
    folder_of,
    parts_of,
    refusal,
)
from immpd.service.feeds.mailing_lists import Listed, publish_to_lists
from immpd.service.outcome import Outcome, Step
from immpd.service.routing import DELIVER, Found, Remote, no_recipient, no_route
from immpd.service.session import Session, check_room, handles
from immpd.store.accounts.directory import Account, MailingList, Recipient
from immpd.store.ids import uuid_text
from immpd.store.mail.deliver import Delivered, Target, deliver, retry_key

from .content import Content, check_references, check_subject, content_of
from .drafts import Draft, message_open
from .sending import finishes, opened, raise_of

MAX_RECIPIENT = 2000
Recipients = list[tuple[str, Recipient | MailingList | Refused]]
_READ, _IMPORTANT = int(Flag.READ), int(Flag.IMPORTANT)
_DELIVERED = int(Code.DELIVERED)
_NO_LISTS: Listed = {}
_encode = msgspec.json.Encoder().encode


# --- DELIVER


@handles(Deliver)
def open_delivery(session: Session, request: Deliver, draft: Draft | None) -> Outcome:
    """Check sender and recipients; 270, or a refusal when nobody could get it. What came whole goes on as DONE does."""
    if draft is None:
        raise message_open()
    raise_of(draft)
    account = session.principal.person
    try:
        check_room(session.services.store, deliver)
        wanted = _recipients_of(session, request)
        if request.from_ is not None:
            _check_sender(account, request.from_)
        check_subject(request.subject)
        check_references(request)
    except Refused as error:
        draft.refuse(error)
        raise
    return session.services.routes.find(wanted, account, partial(_opened, session, draft, wanted))


def _opened(
    session: Session, draft: Draft, wanted: list[Imid], found: list[Found], sender: Recipient | None
) -> Outcome:
    """The message is open for those who can get it; refused where nobody can."""
    refusal: Refused | None = None
    somebody = False
    for imid, one in zip(wanted, found, strict=True):
        outcome = no_route(one, DELIVER) if isinstance(one, Remote) else one
        if isinstance(outcome, Refused):
            refusal = refusal or outcome
        else:
            somebody = True
        draft.recipients.append((imid.text, outcome))
    if refusal is not None and not somebody:
        draft.refuse(refusal)
        raise refusal
    draft.sent = sender.sent if sender is not None else None
    return opened(session, draft)


def _recipients_of(session: Session, request: Deliver) -> list[Imid]:
    wanted = [*request.to, *request.cc, *request.bcc]
    check_lengths(wanted)
    if not wanted:
        raise Refused(Code.BAD_VALUE, "NO-RECIPIENT", "DELIVER needs at least one TO, CC or BCC")
    if len(wanted) > session.services.limits.max_recipients:
        limit = session.services.limits.max_recipients
        raise Refused(Code.LIMIT, "TOO-MANY-RECIPIENTS", f"A message has at most {limit} recipients here")
    return wanted if len(wanted) == 1 else list({imid.key: imid for imid in wanted}.values())


def check_lengths(wanted: Iterable[Imid]) -> None:
    """Raises Refused where one is too long to be said again with what became of it."""
    for imid in wanted:
        if len(imid.text) > MAX_RECIPIENT:
            text = f"A recipient is written with at most {MAX_RECIPIENT} characters"
            raise Refused(Code.BAD_VALUE, "BAD-RECIPIENT", text)


def _check_sender(account: Account, sender: Imid) -> None:
    if sender.address != account.address or sender.path or sender.ids:
        raise Refused(Code.DENIED, "NOT-YOURS", f"{account.address} has no right to send as {sender}")


# --- DONE


@finishes(Deliver)
def deliver_message(session: Session, draft: Draft) -> Outcome:
    """Have it judged, and store it for every recipient who takes it, and for the sender."""
    content = content_of(session, draft)
    if not session.services.stages:
        return _store(session, draft, content, NOTHING_SAID)
    incoming = _incoming(session, draft, content)
    return accepted(draft, incoming, lambda verdicts: _store(session, draft, content, verdicts))


def _incoming(session: Session, draft: Draft, content: Content) -> Incoming:
    to = []
    for imid, found in draft.recipients:
        if not isinstance(found, Refused):
            to.append(Addressee(imid, found.mailbox if isinstance(found, Recipient) else None))
    parts = parts_of(session.services, content.parts, content.drafts)
    return Incoming("message", session, session.principal.person.mailbox, content.envelope, parts, tuple(to))


def _store(session: Session, draft: Draft, content: Content, verdicts: Verdicts) -> Outcome:
    request: Deliver = draft.request
    account = session.principal.person
    octets = session.services.ids.octets
    envelope = content.envelope
    important = _important(envelope)
    own = f"@{account.domain}"  # whose people may notify the sender at any time
    recipients = _judged(draft.recipients, verdicts) if verdicts else draft.recipients
    rows: list[Refused | MailingList | int] = []
    """Of each recipient, why it gets nothing, its list, or the number of its target."""
    targets: list[Target] = []
    by_mailbox: dict[int, int] = {}
    for imid, found in recipients:
        if not isinstance(found, Recipient):
            rows.append(found)
            continue
        mailbox = found.mailbox
        if mailbox in by_mailbox:
            rows.append(by_mailbox[mailbox])
            continue
        by_mailbox[mailbox] = len(targets)
        rows.append(len(targets))
        key = None
        if request.id is not None:
            key = retry_key(account.domain, account.address, imid, envelope.id)
        folder = found.folder or found.inbox
        opens = None if imid.endswith(own) else _opened_by(account, imid)
        targets.append(Target(mailbox, folder, found.inbox, octets(), important, key, opens=opens))
    lists = [one.imid for one in rows if isinstance(one, MailingList)]
    people = bool(targets)
    if not people and not lists:
        raise _again(next(row for row in rows if isinstance(row, Refused)))
    if draft.sent is not None:
        flags = important | _READ
        targets.append(
            Target(account.mailbox, draft.sent, draft.sent, octets(), flags, None, _private(request), is_copy=True)
        )

    def delivered(results: tuple[Delivered, ...], listed: Listed = _NO_LISTS) -> replies.Delivered:
        _settle(draft, results)
        lines: list[replies.DeliveredRow] = []
        why: Refused | None = None
        arrived = False
        for (imid, _), found in zip(draft.recipients, rows, strict=True):
            row = listed[found.imid] if isinstance(found, MailingList) else found
            if isinstance(row, replies.DeliveredRow):
                arrived = True
                lines.append(row)
            elif isinstance(row, int) and results[row] not in ("reused", "closed"):
                arrived = True
                text = "Delivered" if results[row] == "delivered" else "Delivered before"
                lines.append(replies.DeliveredRow(imid=imid, outcome="delivered", code=_DELIVERED, text=text))
            else:
                why_not = _refusal(imid, results[row]) if isinstance(row, int) else row
                why = why or why_not
                text = why_not.line_text()
                lines.append(replies.DeliveredRow(imid=imid, outcome="refused", code=int(why_not.code), text=text))
        if why is not None and not arrived:
            raise _again(why)
        session.services.log.debug("message accepted", id=envelope.id, recipients=len(lines), peer=session.peer)
        return replies.Delivered(id=envelope.id, rows=tuple(_told(lines, verdicts) if verdicts else lines))

    delivery = content.delivery(tuple(targets))
    if not lists:
        return Step(deliver(delivery), delivered)
    keyed = request.id is not None
    return publish_to_lists(session, lists, envelope, delivery, keyed=keyed, people=people, then=delivered)


def _again(why: Refused) -> Refused:
    """The same anew: raising one that is kept would keep every traceback."""
    return Refused(why.code, why.word, why.text, why.retry)


def _judged(recipients: Recipients, verdicts: Verdicts) -> Recipients:
    """What is known of the recipients once they are judged: the folder that each takes it into, or why it does not."""
    judged: Recipients = []
    for imid, found in recipients:
        verdict = verdicts.get(imid)
        if verdict is None or isinstance(found, Refused):
            judged.append((imid, found))
            continue
        now = refusal(verdict, imid, has_folders=isinstance(found, Recipient))
        if now is None and isinstance(found, Recipient):
            judged.append((imid, msgspec.structs.replace(found, folder=folder_of(verdict) or found.folder)))
        else:
            judged.append((imid, now or found))
    return judged


def _told(lines: list[replies.DeliveredRow], verdicts: Verdicts) -> list[replies.DeliveredRow]:
    """The sender is told who has not decided yet whether it may come."""
    return [
        msgspec.structs.replace(line, outcome="queued", text="Waits until the recipient has decided")
        if line.outcome == "delivered" and isinstance(verdicts.get(line.imid), Request)
        else line
        for line in lines
    ]


def _opened_by(account: Account, recipient: str) -> tuple[int, str] | None:
    """Who is written to may answer with a notification, where people of its domain may not anyway."""
    imid = parse_imid(recipient)
    return None if imid.domain == account.domain else (account.mailbox, imid.address)


def _settle(draft: Draft, results: tuple[Delivered, ...]) -> None:
    """After the commit: let go of what was in memory or lies in a file for nothing."""
    kept = "delivered" in results
    for part in draft.parts:
        if kept:
            part.spool = None  # the file belongs to the store now
        part.discard()


def _refusal(imid: str, result: Delivered) -> Refused:
    """Why the store did not deliver it."""
    if result == "closed":
        return no_recipient(imid)
    return Refused(Code.CONFLICT, "ID-REUSED", "This ID was used for another message to this recipient")


@finishes(MboxPut)
def put_message(session: Session, draft: Draft) -> Outcome:
    """Store it in its folder. Nothing is asked of it: it is put into the own mailbox, where nobody is kept out."""
    request: MboxPut = draft.request
    place = draft.place
    assert place is not None
    bits, keywords = split_flags(tuple(name for name, on in request.flags if on))
    new = session.services.ids.octets()

    content = content_of(session, draft)
    flags = bits | _important(content.envelope)
    folder = place.folder
    target = Target(place.mailbox, folder, folder, new, flags, private=_private(request), keywords=keywords)

    def stored(results: tuple[Delivered, ...]) -> replies.Stored:
        _settle(draft, results)
        if results[0] == "closed":
            raise no_recipient(str(request.path))
        return replies.Stored(place=f"{request.path}#{uuid_text(new)}")

    return Step(deliver(content.delivery((target,))), stored)


def _important(envelope: Envelope) -> int:
    return _IMPORTANT if envelope.importance == "high" else 0


def _private(request: Deliver | MboxPut) -> bytes | None:
    """What only the sender's own copy says."""
    return _encode({"bcc": [str(imid) for imid in request.bcc]}) if request.bcc else None
