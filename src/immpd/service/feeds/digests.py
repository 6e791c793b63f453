"""Digests: now and then a message that names what a feed published (docs/protocol.md, "Feeds").

Rules: a digest comes from the node's owner, names titles and brings no bodies, and says how to read and leave.
"""

from immpd.protocol.text import clean
from immpd.service.ids import time_text
from immpd.service.mail.system_messages import SystemMessage, delivery_of_system
from immpd.service.session import Services
from immpd.store.feeds.digests import Digest, DueDigests, SendDigest, due_digests, send_digest
from immpd.store.mail.deliver import Delivery


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
    message = SystemMessage(
        id=message_id,
        sender=digest.owner,
        to=digest.subscriber,
        subject=subject,
        date=now,
        importance="low",
        origin=digest.node.partition("@")[2],
        list_id=digest.node,
        name="digest",
        type="text/plain",
        body=body,
    )
    return delivery_of_system(message, now)
