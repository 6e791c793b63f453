"""PUBLISH: an item, on disk before anybody hears of it.

Rules: one unit of work decides and stores, whatever the number of subscribers; 273 follows its commit, and so
do the events of those who watch; the same ID publishes once, with other content a new edition
(docs/protocol.md, "Feeds").
"""

from typing import Any

from immpd.model.feed import Accounting
from immpd.protocol import replies
from immpd.protocol.codes import Code
from immpd.protocol.commands import Publish, PublishAccept, PublishRetract
from immpd.protocol.errors import Refused
from immpd.service.floods import item_refusal
from immpd.service.mail.drafts import Draft, WholeDraft, drafts_of, message_open
from immpd.service.mail.sending import dropping, finish, finishes
from immpd.service.outcome import Outcome, Step
from immpd.service.routing import item_name, node_name
from immpd.service.session import Session, handles, on_arrival
from immpd.store.feeds.items import (
    CheckPublisher,
    NameItem,
    Published,
    PublishItem,
    accept_item,
    check_publisher,
    publish,
    retract,
)
from immpd.store.ids import uuid_text

from .events import checked_title, importance_of, item_type, noted

_OPENED = replies.Opened()


@on_arrival(Publish)
def open_item(session: Session, pid: str | None, request: Publish) -> Draft | None:
    """With LENGTH an item of its own; without, one that DATA and DONE of this pipeline fill and end."""
    limit = session.services.limits.max_item
    if request.length is not None:
        return WholeDraft(drafts_of(session), None, request, limit)
    return drafts_of(session).open(pid, request, limit)


@handles(Publish)
def publish_item(session: Session, request: Publish, draft: Draft | None) -> Outcome:
    """Publish what is there, or say that it may come."""
    if draft is None:
        raise message_open()
    try:
        node = node_name(session, request.node)
        checked_title(request.title)
        if request.type is not None:
            item_type(request.type)
        too_fast = item_refusal(session, session.principal.person.address, node.address)
        if too_fast is not None:
            raise too_fast
    except Refused as error:
        draft.refuse(error)
        raise
    if request.length is not None:
        return finish(session, draft)
    account = session.principal.person

    unit = check_publisher(CheckPublisher(node.address, account.id, account.address))
    return Step(unit, lambda _: _OPENED, dropping(draft, noted(session, "publish refused", node.address)))


@finishes(Publish)
def finish_item(session: Session, draft: Draft) -> Outcome:
    """Store it."""
    account = session.principal.person
    if len(draft.parts) != 1 or draft.parts[0].request.headers:
        raise Refused(Code.BAD_VALUE, "NO-CONTENT", "An item is one DATA")
    (part,) = draft.parts
    if part.octets is None:
        return _from_file(session, draft)
    return _published(session, draft, part.octets, account.address, account.id, account.domain)


async def _from_file(session: Session, draft: Draft) -> Outcome:
    """Where a session has much in memory a part lies in a file even if it is small."""
    account = session.principal.person
    (part,) = draft.parts
    assert part.spool is not None
    octets = b"".join([piece async for piece in session.services.bodies.blocks(part.spool.name)])
    return _published(session, draft, octets, account.address, account.id, account.domain)


def _published(session: Session, draft: Draft, body: bytes, address: str, account: int, origin: str) -> Outcome:
    request: Publish = draft.request
    services = session.services
    uuid = services.ids.octets() if request.id is None else request.id.bytes
    kind = item_type(draft.parts[0].request.type or "text/plain")
    imid = node_name(session, request.node).address
    item = PublishItem(
        imid, account, address, origin, uuid, request.id is not None, checked_title(request.title), kind,
        importance_of(request.important), body, services.clock.now(),
    )  # fmt: skip

    def done(result: Published) -> Outcome:
        draft.parts[0].discard()
        services.log.debug("item published", id=uuid_text(uuid), node=imid, publisher=address, new=result.new)
        return outcome_of(imid, uuid, result)

    return Step(publish(item), done, noted(session, "publish refused", imid))


def outcome_of(imid: str, uuid: bytes, result: Published) -> replies.Published:
    """The reply to what was published."""
    return replies.Published(id=uuid_text(uuid), rows=(item_outcome(imid, result),))


def item_outcome(imid: str, result: Published) -> replies.PublishedRow:
    """What became of an item, with its accounting."""
    told: Accounting = result.accounting
    if result.seq:
        said = "Published before" if not result.new else "Published" if result.edition == 1 else "Updated"
        outcome, text = "delivered", said
    elif result.new:
        outcome, text = "queued", "Waits for the node's owner"
    else:
        outcome, text = "delivered", "Came before"
    return replies.PublishedRow(
        imid=imid,
        outcome=outcome,
        code=int(Code.DELIVERED),
        accepted=told.accepted,
        pending=told.pending,
        no_subscription=told.left,
        blocked=told.blocked,
        over_quota=told.over_quota,
        text=text,
    )


def _named(session: Session, request: PublishRetract | PublishAccept) -> NameItem:
    account = session.principal.person
    node, uuid = item_name(session, request.item)
    return NameItem(node, account.id, account.address, uuid, session.services.clock.now())


@handles(PublishRetract)
def take_back(session: Session, request: PublishRetract, _: Any) -> Outcome:
    """Take an item back."""
    name = _named(session, request)

    def taken(was_published: bool) -> Outcome:
        if was_published:
            return replies.Ok(text="Retracted")
        return replies.Ok(text="What waited is gone; where an edition before it was published, that stands")

    return Step(retract(name), taken)


@handles(PublishAccept)
def accept(session: Session, request: PublishAccept, _: Any) -> Outcome:
    """Publish what waited."""
    name = _named(session, request)
    return Step(accept_item(name), lambda result: outcome_of(name.imid, name.uuid, result))
