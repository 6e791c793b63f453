"""Digests: now and then a message that names what a feed published (docs/protocol.md, "Feeds").

Rules: a digest comes from the node's owner, names titles and brings no bodies, and says how to read and leave.
"""

import hashlib

import msgspec

from immpd.model.message import Envelope, Part
from immpd.protocol.text import clean, escape_json
from immpd.store.deliver import Delivery
from immpd.store.digests import Digest, DueDigests, SendDigest, due_digests, send_digest

from .content import RowStart
from .ids import time_text
from .session import Services

_encode = msgspec.json.Encoder().encode


async def send_digests(services: Services) -> None:
    """Send every digest that is due."""
    now = services.clock.now()
    while found := await services.store.read(due_digests(DueDigests(now))):
        for digest in found:
            message = digest_message(digest, now, str(services.ids.uuid())) if digest.items else None
            send = SendDigest(digest, message, services.ids.octets(), now)
            services.bus.publish(await services.store.write(send_digest(send)))


def digest_message(digest: Digest, now: int, message_id: str) -> Delivery:
    """The message without its target."""
    what = "1 new item" if digest.count == 1 else f"{digest.count} new items"
    subject = f"{digest.title}: {what}"
    lines = [f"{time_text(created)}  {clean(title)}" for created, title in digest.items]
    if digest.count > len(lines):
        lines.append(f"and {digest.count - len(lines)} more")
    lines += ["", f"Read them: immp items {digest.node}", f"Leave: immp unsubscribe {digest.node}", ""]
    body = "\n".join(lines).encode()
    envelope = Envelope(
        id=message_id,
        from_=digest.owner,
        date=time_text(now),
        to=(digest.subscriber,),
        subject=subject,
        importance="low",
        origin=digest.node.partition("@")[2],
        received_date=time_text(now),
        verified=True,
        headers={"list-id": digest.node},
    )
    row = RowStart(
        envelope.from_, envelope.to, subject, envelope.date, len(body), envelope.id, 1, envelope.importance, True
    )
    return Delivery(
        sender=envelope.from_,
        sent=now,
        size=len(body),
        row=escape_json(_encode(row))[:-1],
        parts=_encode([Part(1, "digest", "text/plain", len(body))]),
        envelope=_encode(envelope),
        octets=body,
        digest=hashlib.sha256(body).digest(),
        targets=(),
        now=now,
    )
