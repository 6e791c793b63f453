"""PUSH: a notification to people, at once or after DATA and DONE.

The way of one: its line is read and who asks is found out when PUSH begins (asking.py); when its data
block is here it is judged (service/acceptance.py) and put, where one unit decides for each recipient whether it may
come (store/push/admission.py), keeps it, shows it and sets its timers (store/push/pushes.py).

Rules: 273 comes after the commit, and watchers are told after it, too; what became of each recipient is said in one
table (docs/protocol.md, "PUSH").
"""

import hashlib
from uuid import UUID

import msgspec

from immpd.model.imid import Imid
from immpd.model.message import Envelope, Importance, Part
from immpd.model.notification import MEDIA_TYPE, Level, NotificationError, read_card
from immpd.protocol import replies
from immpd.protocol.codes import Code
from immpd.protocol.commands import Push
from immpd.protocol.errors import Refused
from immpd.protocol.states import State
from immpd.service.acceptance import NOTHING_SAID, Addressee, Incoming, IncomingPart, Verdicts, accepted, refusal
from immpd.service.mail.drafts import Draft, WholeDraft, drafts_of, message_open
from immpd.service.mail.sending import finish, finishes
from immpd.service.outcome import Outcome, Step
from immpd.service.session import Session, handles, on_arrival
from immpd.service.timestamps import time_text
from immpd.store.mail.deliver import retry_key
from immpd.store.push.admission import Asking, NewPush, PushTo
from immpd.store.push.pushes import Pushed, push

from .asking import Plan, checked_type, plan_of, tell_of_flood

MAX_BEFORE_LOGIN = 16 * 1024
"""Octets of the data block where a token is all that is shown."""


class _Content(msgspec.Struct, frozen=True):
    """What is pushed."""

    id: UUID
    title: str
    type: str
    body: bytes


# --- it begins


@on_arrival(Push)
def open_push(session: Session, pid: str | None, request: Push) -> Draft | None:
    """With LENGTH its octets are awaited; without it the pipeline has an open notification."""
    limit = session.services.limits.max_notification
    if request.length is not None:
        limit = limit if session.state >= State.USER else MAX_BEFORE_LOGIN
        return WholeDraft(drafts_of(session), None, request, limit)
    return drafts_of(session).open(pid, request, limit) if session.state >= State.USER else None


@handles(Push)
def begin_push(session: Session, request: Push, draft: Draft | None) -> Outcome:
    """Check all that can be checked before the data block is there."""
    if draft is None and session.state < State.USER:
        raise Refused(Code.DENIED, "LOG-IN", "Log in first; with TOKEN, give the octets at once with LENGTH")
    if draft is None:
        raise message_open()

    def planned(plan: Plan) -> Outcome:
        draft.found = plan
        return replies.Opened() if request.length is None else finish(session, draft)

    try:
        return plan_of(session, request, draft, planned)
    except Refused as error:
        draft.refuse(error)
        raise


# --- its data block is here


@finishes(Push)
def send_push(session: Session, draft: Draft) -> Outcome:
    """Have it judged, and put it to its recipients."""
    if len(draft.parts) != 1:
        raise Refused(Code.BAD_VALUE, "BAD-NOTIFICATION", "A notification has exactly one data block")
    octets = draft.parts[0].octets
    return _send_from_file(session, draft) if octets is None else _send(session, draft, octets)


async def _send_from_file(session: Session, draft: Draft) -> Outcome:
    """Where a session has much in memory a data block lies in a file even if it is small."""
    try:
        spool = draft.parts[0].spool
        assert spool is not None
        octets = b"".join([piece async for piece in session.services.bodies.blocks(spool.name)])
        return _send(session, draft, octets)
    except Refused as error:
        draft.refuse(error)
        raise


def _send(session: Session, draft: Draft, body: bytes) -> Outcome:
    content = _content_of(session, draft, body)
    if not session.services.stages:
        return _put(session, draft, content, NOTHING_SAID)
    incoming = _incoming(session, draft.found, content)
    return accepted(draft, incoming, lambda verdicts: _put(session, draft, content, verdicts))


def _content_of(session: Session, draft: Draft, body: bytes) -> _Content:
    """Raises Refused where it makes no notification."""
    request: Push = draft.request
    given = draft.parts[0].request.type if request.length is None and request.type is None else request.type
    title, kind = request.title or "", checked_type(given)
    try:
        if kind == MEDIA_TYPE:
            card = read_card(body)
            title = title or card.title
        else:
            body.decode()
    except NotificationError as error:
        raise Refused(Code.BAD_VALUE, "BAD-NOTIFICATION", str(error)) from None
    except UnicodeDecodeError:
        raise Refused(Code.BAD_VALUE, "BAD-NOTIFICATION", "Text is UTF-8, and this is not") from None
    return _Content(request.id or session.services.ids.uuid(), title, kind, body)


def _incoming(session: Session, plan: Plan, content: _Content) -> Incoming:
    """What a stage of acceptance sees of it."""
    asking = plan.asking
    own = asking.author if asking.token_of is None else asking.token_of
    account = session.principal.account
    now = time_text(session.services.clock.now())
    importance: Importance = "low" if plan.level < Level.NORMAL else "high" if plan.level > Level.NORMAL else "normal"
    envelope = Envelope(
        id=str(content.id),
        from_=asking.sender,
        date=now,
        to=tuple([imid.text for imid in plan.to]),
        subject=content.title,
        importance=importance,
        origin=asking.origin,
        received_date=now,
        verified=True,
    )
    to = []
    for imid, against in zip(plan.to, plan.against, strict=True):
        if against is None:
            is_own = asking.token_of is not None or (account is not None and imid.address == account.address)
            to.append(Addressee(imid.text, own if is_own else None))
    part = IncomingPart(Part(1, "body", content.type, len(content.body)), content.body, "", session.services)
    return Incoming("notification", session, own, envelope, (part,), tuple(to))


def _put(session: Session, draft: Draft, content: _Content, verdicts: Verdicts) -> Outcome:
    request: Push = draft.request
    plan: Plan = draft.found
    services = session.services
    asking = plan.asking
    rows: list[Refused | None] = []
    to: list[PushTo] = []
    for imid, against in zip(plan.to, plan.against, strict=True):
        reason = against
        if verdicts and reason is None:
            reason = refusal(verdicts.get(imid.text), imid.text, has_folders=False)
        rows.append(reason)
        if reason is None:
            to.append(_recipient(session, asking, imid, content.id, request.tag))
    if not to:
        assert rows[0] is not None
        raise rows[0]
    said = msgspec.json.encode((content.title, content.type, plan.level, request.at, request.ttl, request.tag))
    new = NewPush(
        push=content.id.bytes,
        asking=asking,
        title=content.title,
        type=content.type,
        body=content.body,
        level=plan.level,
        digest=hashlib.sha256(said + content.body).digest(),
        to=tuple(to),
        now=services.clock.now(),
        due=plan.due,
        expires=plan.expires,
        token=plan.token,
    )

    def done(results: tuple[Pushed, ...]) -> replies.Delivered:
        draft.parts[0].discard()
        for outcome, event in _FLOODS:
            if outcome in results:
                tell_of_flood(session, event, asking)
        of_each = iter(results)
        reply = _told(content.id, plan.to, [reason or next(of_each) for reason in rows])
        services.log.debug("notification accepted", id=reply.id, recipients=len(reply.rows), peer=session.peer)
        return reply

    return Step(push(new), done)


def _recipient(session: Session, asking: Asking, imid: Imid, identity: UUID, tag: str | None) -> PushTo:
    octets = session.services.ids.octets
    key = retry_key(asking.origin, asking.sender, imid.address, str(identity))
    hashed = None
    if tag is not None:
        said = "\0".join((asking.origin, asking.sender, imid.address, tag))
        hashed = hashlib.sha256(said.encode()).digest()[:20]
    return PushTo(imid.address, imid.domain, imid.text, octets(), octets(), key, hashed, imid.grant or "")


# --- what its sender is told

_FLOODS = (
    ("no-subscription", "pushes without a subscription"),
    ("too-many", "too many notifications of one sender"),
)
"""What the operator hears of."""
ARRIVED = {"delivered": "Delivered", "updated": "Updated", "duplicate": "Delivered before"}
REFUSED: dict[str, tuple[Code, str, str, int | None]] = {
    "no-mailbox": (Code.NOT_FOUND, "NO-RECIPIENT", "There is no mailbox {who} here", None),
    "declined": (Code.DENIED, "DECLINED", "{who} does not want notifications from you", None),
    "no-subscription": (
        Code.NOT_FOUND, "NO-SUBSCRIPTION", "{who} does not subscribe to this node, or has left it", None,
    ),
    "not-publisher": (Code.DENIED, "NOT-PUBLISHER", "You have no right to publish on this node", None),
    "id-reused": (Code.CONFLICT, "ID-REUSED", "Another publisher of this node used the ID or the tag", None),
    "bad-grant": (Code.DENIED, "BAD-GRANT", "{imid} is used up, over, or not for your domain", None),
    "pending": (
        Code.TEMPORARY, "REQUEST-PENDING", "{who} has been asked whether you may, and has not answered yet", 86_400,
    ),
    "too-many-requests": (
        Code.TEMPORARY, "TOO-MANY-REQUESTS", "Too many strangers wait for an answer of {who}", 86_400,
    ),
    "too-many": (
        Code.TEMPORARY, "TOO-MANY-NOTIFICATIONS", "{who} has too many unanswered notifications of yours", 3600,
    ),
    "full": (Code.TEMPORARY, "TOO-MANY-NOTIFICATIONS", "{who} has too many unanswered notifications", 3600),
}  # fmt: skip


def _told(identity: UUID, to: list[Imid], became: list[Refused | str]) -> replies.Delivered:
    """A row a recipient; where nobody gets it, the first reason is raised."""
    rows: list[replies.DeliveredRow] = []
    first: Refused | None = None
    arrived = False
    for imid, what in zip(to, became, strict=True):
        if isinstance(what, str) and what in ARRIVED:
            arrived = True
            row = replies.DeliveredRow(
                imid=imid.text, outcome="delivered", code=int(Code.DELIVERED), text=ARRIVED[what]
            )
        else:
            why = what if isinstance(what, Refused) else _why(imid, what)
            first = first or why
            row = replies.DeliveredRow(imid=imid.text, outcome="refused", code=int(why.code), text=why.line_text())
        rows.append(row)
    if first is not None and not arrived:
        raise first
    return replies.Delivered(id=str(identity), rows=tuple(rows))


def _why(imid: Imid, what: str) -> Refused:
    code, word, text, retry = REFUSED[what]
    return Refused(code, word, text.format(who=imid.address, imid=imid), retry)
