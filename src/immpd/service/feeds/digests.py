"""Digests: now and then a message that names what a feed published (docs/protocol.md, "Feeds").

Rule: what is due and what was sent of it are the store's to know, so a digest is sent once.
"""

from immpd.service.mail.system_messages import delivery_of_system, digest_message
from immpd.service.session import Services
from immpd.store.feeds.digests import DueDigests, SendDigest, due_digests, send_digest


async def send_digests(services: Services) -> None:
    """Send every digest that is due."""
    now = services.clock.now()
    while found := await services.store.read(due_digests(DueDigests(now))):
        for digest in found:
            message = None
            if digest.items:
                message = delivery_of_system(digest_message(digest, now, str(services.ids.uuid())), now)
            send = SendDigest(digest, message, services.ids.octets(), now)
            await services.store.write(send_digest(send))
