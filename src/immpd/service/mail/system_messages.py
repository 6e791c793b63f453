"""The messages that the server itself writes: items, digests, notifications that become mail, notices of damage.

Rules: they are made in one way, so that what holds of a delivered message holds of them: their rows are bounded,
and an Internet mail of somebody else does not pass for proven (docs/protocol.md, "Envelope"); who gets one has asked
for it or has to know, so it is not judged (docs/why/acceptance.md).
"""

import hashlib
from collections.abc import Iterable

import msgspec

from immpd.mime.incoming import read_headers
from immpd.model.flags import Flag
from immpd.model.message import Envelope, Importance, Part, is_internet_mail
from immpd.model.notification import MEDIA_TYPE, Card, Level, read_card
from immpd.protocol.text import clean
from immpd.service.session import Services
from immpd.service.timestamps import time_text
from immpd.store.accounts.directory import FindRecipient, recipient
from immpd.store.feeds.digests import Digest
from immpd.store.feeds.fanout import Outstanding
from immpd.store.ids import uuid_text
from immpd.store.mail.deliver import Delivery, Target, deliver
from immpd.store.push.notifications import Notification

from .content import claimed_author, delivery_of

DAMAGED = "The store of this server is damaged"
"""Subject of the notice of damage."""


class SystemMessage(msgspec.Struct, frozen=True, kw_only=True):
    """What one says. Times are milliseconds UTC."""

    id: str
    sender: str
    """Whom the server knows it to be from."""
    to: str
    subject: str
    date: int
    """When what it tells of was said."""
    importance: Importance
    origin: str
    """The domain that vouches for the sender."""
    list_id: str = ""
    """The node that it comes from."""
    flagged: bool = False
    """It comes flagged IMPORTANT."""
    name: str
    type: str
    body: bytes


def delivery_of_system(message: SystemMessage, now: int, targets: tuple[Target, ...] = ()) -> Delivery:
    """The delivery of a message of one part."""
    part = Part(1, message.name, message.type, len(message.body))
    author = claimed_author(read_headers(message.body), message.sender) if is_internet_mail((part,)) else ""
    envelope = Envelope(
        id=message.id,
        from_=message.sender,
        date=time_text(message.date),
        to=(message.to,),
        subject=message.subject,
        author=author,
        importance=message.importance,
        origin=message.origin,
        received_date=time_text(now),
        verified=not author,
        headers={"list-id": message.list_id} if message.list_id else {},
    )
    digest = hashlib.sha256(message.body).digest()
    made = delivery_of(envelope, [part], len(message.body), message.body, [digest], targets, now)
    return msgspec.structs.replace(made, sent=message.date)


async def deliver_to_inbox(
    services: Services, message: SystemMessage, *, key: bytes | None = None, is_inside: bool = False
) -> None:
    """Deliver it to its recipient, where there is one. ``key``, ``is_inside``: as of Target and Delivery."""
    found = await services.store.read(recipient(FindRecipient(message.to)))
    if found is None:
        return
    flags = int(Flag.IMPORTANT) if message.flagged else 0
    target = Target(found.mailbox, found.inbox, found.inbox, services.ids.octets(), flags, key)
    delivery = delivery_of_system(message, services.clock.now(), (target,))
    if is_inside:
        delivery = msgspec.structs.replace(delivery, is_inside=True)
    await services.store.write(deliver(delivery))


# --- what each says


def item_message(item: Outstanding) -> SystemMessage:
    """An item, from its publisher to the node."""
    return SystemMessage(
        id=uuid_text(item.uuid),
        sender=item.publisher,
        to=item.node,
        subject=item.title,
        date=item.created,
        importance=item.level,
        origin=item.node.partition("@")[2],
        list_id=item.node,
        name="item",
        type=item.type,
        body=item.body,
    )


def digest_message(digest: Digest, now: int, message_id: str) -> SystemMessage:
    """What a feed published lately: from the node's owner; titles and no bodies, and how to read and leave."""
    what = "1 new item" if digest.count == 1 else f"{digest.count} new items"
    lines = [f"{time_text(created)}  {clean(title)}" for created, title in digest.items]
    if digest.count > len(lines):
        lines.append(f"and {digest.count - len(lines)} more")
    lines += ["", f"Read them: immp items {digest.node}", f"Leave: immp unsubscribe {digest.node}", ""]
    return SystemMessage(
        id=message_id,
        sender=digest.owner,
        to=digest.subscriber,
        subject=f"{digest.title}: {what}",
        date=now,
        importance="low",
        origin=digest.node.partition("@")[2],
        list_id=digest.node,
        name="digest",
        type="text/plain",
        body="\n".join(lines).encode(),
    )


def promoted_message(one: Notification, address: str) -> SystemMessage:
    """A notification that nobody answered; what its buttons were is said in words."""
    card = read_card(one.body) if one.type == MEDIA_TYPE else Card(body=one.body.decode(errors="replace"))
    lines = [card.body, *[f"{action.label}: {action.url or 'PUSH ANSWER'}" for action in card.actions]]
    return SystemMessage(
        id=uuid_text(one.uuid),
        sender=one.sender,
        to=address,
        subject=one.title or "Notification",
        date=one.created,
        importance="high" if one.level >= Level.HIGH else "normal",
        origin=one.origin,
        name="notification",
        type="text/plain",
        body="\n\n".join(line for line in lines if line).encode(),
    )


def damage_message(found: Iterable[str], advice: str, address: str, now: int, message_id: str) -> SystemMessage:
    """The store is damaged: from and to whoever looks after the domain."""
    lines = [*[clean(one) for one in found], "", f"What to do: {advice}."]
    return SystemMessage(
        id=message_id,
        sender=address,
        to=address,
        subject=DAMAGED,
        date=now,
        importance="high",
        origin=address.partition("@")[2],
        flagged=True,
        name="damage",
        type="text/plain",
        body="\n".join(lines).encode() + b"\n",
    )
