"""DELIVER to a mailing list: the message becomes an item, and who gets it is decided there.

Rules: a message of one part is an item of that part's type, any other an Internet mail; the message's ID is the
item's, so that sending again publishes once; a list that refuses is one recipient that is refused
(docs/protocol.md, "Delivery").
"""

from collections.abc import Callable, Mapping

import msgspec

from immpd.mime.outgoing import render
from immpd.model.message import Envelope, Part
from immpd.protocol.codes import Code
from immpd.protocol.errors import Refused
from immpd.protocol.replies import ItemOutcome
from immpd.store.deliver import Delivery
from immpd.store.errors import StoreError
from immpd.store.ids import uuid_octets
from immpd.store.items import INLINE, Item, Published, PublishItem, publish

from .floods import item_refusal
from .nodes import account_of
from .outcome import Outcome, Step
from .publishing import announce, item_outcome
from .session import Session, refusal_of

Listed = Mapping[str, ItemOutcome | Refused]
"""By list: what became of the message there."""
_parts = msgspec.json.Decoder(tuple[Part, ...]).decode


def publish_to_lists(
    session: Session,
    lists: list[str],
    envelope: Envelope,
    content: Delivery,
    keyed: bool,
    then: Callable[[Listed, bool], Outcome],
) -> Outcome:
    """Publish on one list after the other; ``then`` is told what became of it, and whether any of it was new."""
    account = account_of(session)
    services = session.services
    listed: dict[str, ItemOutcome | Refused] = {}
    new = False
    try:
        kind, body = _item_of(envelope, content, services.limits.max_item)
    except Refused as error:
        return then(dict.fromkeys(lists, error), True)
    uuid = uuid_octets(envelope.id)

    def following(at: int) -> Outcome:
        if at == len(lists):
            return then(listed, new)
        imid = lists[at]
        too_fast = item_refusal(session, account.address, imid)
        if too_fast is not None:
            listed[imid] = too_fast
            return following(at + 1)
        item = PublishItem(
            imid, account.id, account.address, account.domain, uuid, keyed, envelope.subject, kind,
            envelope.importance, body, services.clock.now(), renews=False,
        )  # fmt: skip

        def done(result: Published) -> Outcome:
            nonlocal new
            new = new or result.new
            if result.new and result.seq:
                inline = body if len(body) <= INLINE else None
                row = Item(
                    result.seq, "item", uuid, imid, result.title, kind, item.level, account.address, item.now,
                    len(body), inline,
                )  # fmt: skip
                announce(services, result, row)
            listed[imid] = item_outcome(imid, result)
            return following(at + 1)

        def failed(error: BaseException) -> Outcome:
            if not isinstance(error, StoreError):
                raise error
            listed[imid] = refusal_of(error)
            return following(at + 1)

        return Step(publish(item), done, failed)

    return following(0)


def _item_of(envelope: Envelope, content: Delivery, most: int) -> tuple[str, bytes]:
    """Media type and octets of the item that a message is; raises Refused where it is too large."""
    parts = _parts(content.parts)
    if content.size > most or content.octets is None or content.files:
        raise Refused(Code.LIMIT, "TOO-LARGE", f"At most {most} octets are taken by a list here")
    if len(parts) == 1:
        return parts[0].type, content.octets
    octets: dict[int, bytes] = {}
    at = 0
    for part in parts:
        octets[part.id] = content.octets[at : at + part.length]
        at += part.length
    mail = render(envelope, parts, octets.__getitem__)
    if len(mail) > most:
        raise Refused(Code.LIMIT, "TOO-LARGE", f"At most {most} octets are taken by a list here")
    return "message/rfc822", mail
