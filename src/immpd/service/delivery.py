"""Delivery: DELIVER opens, DONE stores for every recipient and only then says so.

Rules: who wrote it comes from the log-in, never from the message; one content serves all recipients
and the sender's SENT; a BCC recipient stands in nobody else's envelope; the same ID delivers once;
watchers are told after the commit (docs/protocol.md, "Delivery").
"""

import msgspec

from immpd.model.flags import Flag, split_flags
from immpd.model.imid import Imid, folder_key, is_reserved_folder
from immpd.model.message import Envelope
from immpd.protocol import replies
from immpd.protocol.codes import Code
from immpd.protocol.commands import Deliver, Done, MboxPut
from immpd.protocol.errors import Refused
from immpd.store.accounts import FindRecipient, FindRecipients, Recipient, find_recipients
from immpd.store.deliver import Delivered, Delivery, Target, deliver, retry_key
from immpd.store.ids import uuid_text

from .content import content_of
from .drafts import Draft
from .outcome import Outcome, Step
from .session import Session, handles

MAX_SUBJECT = 2000
KNOWN_RECIPIENTS = 16_384
_encode = msgspec.json.Encoder().encode


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
    services = session.services
    account = session.account
    assert account is not None
    against = [_reason_against(session, imid) for imid in wanted]
    asked = [imid for imid, reason in zip(wanted, against, strict=True) if reason is None]
    known = services.recipients
    if account.address in known and all([imid.folder is None and imid.address in known for imid in asked]):
        return _opened(draft, wanted, against, [known[imid.address] for imid in asked], known[account.address])

    def found(recipients: tuple[Recipient | None, ...]) -> replies.Opened:
        if len(known) > KNOWN_RECIPIENTS:
            known.clear()
        for imid, recipient in zip((*asked, account_imid), recipients, strict=True):
            if imid.folder is None and recipient is not None and not recipient.disabled:
                known[imid.address] = recipient
        return _opened(draft, wanted, against, list(recipients[:-1]), recipients[-1])

    account_imid = Imid(account.local, account.domain)
    lookups = tuple([FindRecipient(imid.address, _plus_key(imid)) for imid in (*asked, account_imid)])
    return Step(find_recipients(FindRecipients(lookups)), found)


def _opened(
    draft: Draft,
    wanted: list[Imid],
    against: list[Refused | None],
    recipients: list[Recipient | None],
    sender: Recipient | None,
) -> replies.Opened:
    """The message is open for those who can get it; refused where nobody can."""
    found = iter(recipients)
    draft.recipients = [
        (str(imid), reason or _checked(imid, next(found))) for imid, reason in zip(wanted, against, strict=True)
    ]
    refusals = [outcome for _, outcome in draft.recipients if isinstance(outcome, Refused)]
    if len(refusals) == len(draft.recipients):
        draft.refuse(refusals[0])
        raise refusals[0]
    draft.sent = sender.sent if sender is not None else None
    return _OPENED


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


def _reason_against(session: Session, imid: Imid) -> Refused | None:
    if imid.is_own_box or imid.path or imid.ids or imid.filter is not None or imid.options:
        return Refused(Code.BAD_VALUE, "BAD-RECIPIENT", f"{imid} names no recipient: name@domain or name+folder@domain")
    if imid.domain not in session.services.domains:
        text = f"{imid.domain} is not served here, and delivery to other domains is not available yet"
        return Refused(Code.NO_ROUTE, "NO-ROUTE", text)
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
    envelope, content = content_of(session, draft)
    request = draft.request
    if isinstance(request, MboxPut):
        return _put(session, draft, request, envelope, content)
    return _deliver(session, draft, request, envelope, content)


def _deliver(session: Session, draft: Draft, request: Deliver, envelope: Envelope, content: Delivery) -> Outcome:
    services = session.services
    account = session.account
    assert account is not None
    octets = services.ids.octets
    important = _important(envelope)
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
        flags = important | int(Flag.READ)
        targets.append(Target(account.mailbox, draft.sent, draft.sent, octets(), flags, None, _private(request)))
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
            why = outcomes[0][1]
            raise Refused(why.code, why.word, why.text, why.retry)  # raising a constant would keep every traceback
        session.services.log.debug("message accepted", id=envelope.id, recipients=len(rows), peer=session.peer)
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


def _put(session: Session, draft: Draft, request: MboxPut, envelope: Envelope, content: Delivery) -> Outcome:
    place = draft.place
    assert place is not None
    bits, keywords = split_flags(tuple(name for name, on in request.flags if on))
    bits |= _important(envelope)
    new = session.services.ids.octets()
    target = Target(place.mailbox, place.folder, place.folder, new, bits, private=_private(request), keywords=keywords)
    unit = deliver(msgspec.structs.replace(content, targets=(target,)))

    def stored(results: tuple[Delivered, ...]) -> replies.Stored:
        _settle(session, draft, results)
        return replies.Stored(place=f"{request.path}#{uuid_text(new)}")

    return Step(unit, stored)


def _important(envelope: Envelope) -> int:
    return int(Flag.IMPORTANT) if envelope.importance == "high" else 0


def _private(request: Deliver | MboxPut) -> bytes | None:
    """What only the sender's own copy says."""
    return _encode({"bcc": [str(imid) for imid in request.bcc]}) if request.bcc else None
