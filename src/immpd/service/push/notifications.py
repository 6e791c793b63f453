"""The notifications of a person: list, show, answer, dismiss; and for who sent them: status, retract.

Rules: an answer is given once and travels back to the sender; what is cleared on one device is cleared on all;
a sender hears what became of its own notifications and of no others (docs/protocol.md, "Notifications").
"""

from collections.abc import Callable
from typing import Any

import msgspec

from immpd.model.notification import LEVELS, MEDIA_TYPE, Card, NotificationRow, read_card
from immpd.protocol import replies
from immpd.protocol.codes import Code
from immpd.protocol.commands import PushAnswer, PushDismiss, PushList, PushRetract, PushShow, PushStatus
from immpd.protocol.errors import Refused
from immpd.protocol.registry import Request
from immpd.protocol.text import escape_json
from immpd.service.access import mailbox_of
from immpd.service.mail.rendering import blocks
from immpd.service.outcome import Outcome, Page, Step
from immpd.service.session import Session, handles
from immpd.service.timestamps import time_text
from immpd.store.ids import uuid_text
from immpd.store.push.notifications import (
    Answer,
    ByIds,
    ByPush,
    Dismiss,
    ListNotifications,
    Notification,
    Retract,
    answer,
    by_ids,
    dismiss,
    notifications,
    retract,
    sent,
)

PAGE = 100
MAX_ROW = 15_000
"""Octets of a row, which has to fit on a line with a cursor before it."""
MAX_SHOWN = 4_000
"""Octets of a text that a row shows."""
_STATUS = {"shown": "delivered", "dismissed": "delivered", "promoted": "delivered"}
"""What a sender is told, where it is not what it is called here: seen or not seen is nobody's business, unless the
recipient says that it may be told."""
_encode = msgspec.json.Encoder().encode


def row_of(one: Notification) -> NotificationRow:
    """As people and programs are shown it."""
    card = Card()
    body = ""
    if one.type == MEDIA_TYPE:
        card = read_card(one.body)
        body = card.body
    elif len(one.body) <= MAX_SHOWN:
        body = one.body.decode(errors="replace")
    row = NotificationRow(
        id=uuid_text(one.uuid),
        push=uuid_text(one.push),
        from_=one.sender,
        origin=one.origin,
        to=(one.recipient,),
        level=LEVELS[one.level],
        why=one.why,
        title=one.title,
        type=one.type,
        length=len(one.body),
        created=time_text(one.created),
        expires=time_text(one.expires),
        status=one.status,
        verified=True,
        body=body,
        icon=card.icon,
        actions=card.actions,
        answer=one.answer or "",
        ended=time_text(one.ended) if one.ended is not None else "",
        again=one.repeats,
    )
    # JSON writes some characters with six octets: what would not fit on a line is fetched with PUSH SHOW.
    return row if len(escape_json(_encode(row))) <= MAX_ROW else msgspec.structs.replace(row, body="")


def row_json(one: Notification) -> bytes:
    """The row as JSON on one line."""
    return escape_json(_encode(row_of(one)))


@handles(PushList)
def list_(session: Session, request: PushList, _: Any) -> Outcome:
    """The newest first, a page."""
    limit = PAGE if request.limit is None else min(request.limit, PAGE)
    now = session.services.clock.now()

    def listed(found: list[Notification]) -> replies.Notifications:
        more = "yes" if len(found) > limit else None
        rows = tuple([row_of(one) for one in found[:limit]])
        return replies.Notifications(rows=rows, n=len(rows), more=more)

    def page(before: int | None) -> Step:
        unit = notifications(ListNotifications(mailbox_of(session, request), request.all, before, limit + 1, now))
        return Step(unit, listed)

    if request.after is None:
        return page(None)
    return _one(session, request, request.after.bytes, lambda one: page(one.id))


def _one(session: Session, request: Request[Any], uuid: bytes, then: Callable[[Notification], Outcome]) -> Step:
    def found(there: dict[bytes, Notification]) -> Outcome:
        if uuid not in there:
            raise Refused(Code.NOT_FOUND, "NO-NOTIFICATION", "There is no such notification; PUSH LIST shows them")
        return then(there[uuid])

    return Step(by_ids(ByIds(mailbox_of(session, request), (uuid,), session.services.clock.now())), found)


@handles(PushShow)
def show(session: Session, request: PushShow, _: Any) -> Outcome:
    """Its row, and its data block as it came."""

    def shown(one: Notification) -> Outcome:
        row = b"261- " + row_json(one) + b"\n"
        pieces = [row, *blocks(f"{uuid_text(one.uuid)} 1".encode(), one.body)]
        return Page(pieces, lambda: replies.Notifications(n=1))

    return _one(session, request, request.id.bytes, shown)


@handles(PushAnswer)
def answer_(session: Session, request: PushAnswer, _: Any) -> Outcome:
    """Press a button, once."""
    now = session.services.clock.now()
    unit = answer(Answer(mailbox_of(session, request), request.id.bytes, request.action, now, time_text(now)))
    return Step(unit, lambda _: replies.Ok(text="Answered"))


@handles(PushDismiss)
def dismiss_(session: Session, request: PushDismiss, _: Any) -> Outcome:
    """Clear it on all devices."""
    unit = dismiss(Dismiss(mailbox_of(session, request), request.id.bytes, session.services.clock.now()))
    return Step(unit, lambda _: replies.Ok(text="Dismissed"))


@handles(PushRetract)
def retract_(session: Session, request: PushRetract, _: Any) -> Outcome:
    """Take back what nobody answered."""
    unit = retract(Retract(mailbox_of(session, request), request.id.bytes, session.services.clock.now()))

    def taken_back(more: bool) -> Outcome:
        return Step(unit, taken_back) if more else replies.Ok(text="Taken back")

    return Step(unit, taken_back)


@handles(PushStatus)
def status(session: Session, request: PushStatus, _: Any) -> Outcome:
    """A row a recipient of one's own notification."""

    def told(found: list[Notification]) -> replies.PushStatuses:
        return replies.PushStatuses(rows=tuple([_status(one) for one in found]))

    return Step(sent(ByPush(mailbox_of(session, request), request.id.bytes)), told)


def _status(one: Notification) -> replies.PushStatusRow:
    ended = one.seen or one.status in ("answered", "expired", "retracted")
    return replies.PushStatusRow(
        imid=one.recipient,
        status="seen" if one.seen else _STATUS.get(one.status, one.status),
        answer=one.answer or "",
        at=time_text(one.ended) if ended and one.ended is not None else "",
    )
