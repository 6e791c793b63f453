"""DELIVER to a mailing list: the message becomes an item, and who gets it is decided there.

Rules: a message of one part is an item of that part's type, any other an Internet mail; the message's ID is the
item's, so that sending again publishes once; a list that refuses is one recipient that is refused; what is published
and delivered is one unit of work, so a CANCEL finds all of it or nothing
(docs/protocol.md, "Delivery").
"""

from collections.abc import Callable, Mapping

import msgspec

from immpd.mime.outgoing import render
from immpd.model.message import Envelope, Part
from immpd.protocol.codes import Code
from immpd.protocol.errors import Refused
from immpd.protocol.replies import PublishedRow
from immpd.service.floods import item_refusal
from immpd.service.outcome import Outcome, Step
from immpd.service.session import Session, refusal_of
from immpd.store.feeds.items import Published, PublishItem
from immpd.store.feeds.list_delivery import ListRefused, ToLists, deliver_to_lists
from immpd.store.ids import uuid_octets
from immpd.store.mail.deliver import Delivered, Delivery, deliver

from .events import item_type
from .publishing import item_outcome

Listed = Mapping[str, PublishedRow | Refused]
"""By list: what became of the message there."""
MOST_LISTS = 50
"""Lists that one message goes to: the rows of a unit are bounded."""
_TOO_MANY = Refused(Code.LIMIT, "TOO-MANY-RECIPIENTS", f"A message goes to at most {MOST_LISTS} mailing lists at once")
_parts = msgspec.json.Decoder(tuple[Part, ...]).decode


def publish_to_lists(
    session: Session,
    lists: list[str],
    envelope: Envelope,
    content: Delivery,
    *,
    keyed: bool,
    people: bool,
    then: Callable[[tuple[Delivered, ...], Listed], Outcome],
) -> Outcome:
    """Publish on all lists and deliver to people and into SENT; ``then`` is told what became of it.

    ``keyed``: the sender gave the ID. ``people``: it goes to people, too.
    """
    account = session.principal.person
    services = session.services
    listed: dict[str, PublishedRow | Refused] = {}
    try:
        kind, body = _item_of(envelope, content, services.limits.max_item)
    except Refused as error:
        listed.update(dict.fromkeys(lists, error))
        lists = []
    uuid = uuid_octets(envelope.id)
    items: dict[str, PublishItem] = {}
    for imid in dict.fromkeys(lists):
        refused = _TOO_MANY if len(items) == MOST_LISTS else item_refusal(session, account.address, imid)
        if refused is not None:
            listed[imid] = refused
            continue
        items[imid] = PublishItem(
            imid, account.id, account.address, account.domain, uuid, keyed, envelope.subject, kind,
            envelope.importance, body, services.clock.now(), renews=False,
        )  # fmt: skip

    def attempt() -> Outcome:
        if items:
            return Step(deliver_to_lists(ToLists(tuple(items.values()), content, people)), done, failed)
        return Step(deliver(content), lambda results: then(results, listed)) if people else then((), listed)

    def done(results: tuple[tuple[Published, ...], tuple[Delivered, ...]]) -> Outcome:
        for item, result in zip(items.values(), results[0], strict=True):
            listed[item.imid] = item_outcome(item.imid, result)
        return then(results[1], listed)

    def failed(error: BaseException) -> Outcome:
        """A list refused and nothing was kept: once more without it."""
        if not isinstance(error, ListRefused):
            raise error
        listed[error.imid] = refusal_of(error.why)
        del items[error.imid]
        return attempt()

    return attempt()


def _item_of(envelope: Envelope, content: Delivery, most: int) -> tuple[str, bytes]:
    """Media type and octets of the item that a message is; raises Refused where it is too large."""
    parts = _parts(content.parts)
    if content.size > most or content.octets is None or content.files:
        raise Refused(Code.LIMIT, "TOO-LARGE", f"At most {most} octets are taken by a list here")
    if len(parts) == 1:
        return item_type(parts[0].type), content.octets
    octets: dict[int, bytes] = {}
    at = 0
    for part in parts:
        octets[part.id] = content.octets[at : at + part.length]
        at += part.length
    mail = render(envelope, parts, octets.__getitem__)
    if len(mail) > most:
        raise Refused(Code.LIMIT, "TOO-LARGE", f"At most {most} octets are taken by a list here")
    return "message/rfc822", mail
