"""The messages that the server itself makes: items, digests, and notifications that become mail.

Rules: they are made in one way, so that what holds of a delivered message holds of them: their rows are bounded,
and an Internet mail of somebody else does not pass for proven (docs/protocol.md, "Envelope").
"""

import hashlib

import msgspec

from immpd.mime.incoming import read_headers
from immpd.model.message import Envelope, Importance, Part, is_internet_mail
from immpd.service.ids import time_text
from immpd.store.mail.deliver import Delivery, Target

from .content import claimed_author, delivery_of


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
