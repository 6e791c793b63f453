"""Digests: now and then a message that names what a feed published (docs/protocol.md, "Feeds").

Rule: what is due and what was sent of it are the store's to know, so a digest is sent once.
"""

from collections.abc import Collection

from immpd.service.jobs.job import Found, Job, later
from immpd.service.mail.system_messages import delivery_of_system, digest_message
from immpd.store.feeds.digests import (
    DueDigests,
    PutOffDigest,
    SendDigest,
    due_digests,
    first_digest,
    put_off_digest,
    send_digest,
)
from immpd.store.jobs.leases import Lease


class Digests(Job):
    """Sends digests, the one that is due longest first."""

    name = "digests"

    async def look(self, now: int, _: Collection[str]) -> Found | None:
        """The next digest."""
        first = await self.services.store.read(first_digest(None))
        return None if first is None else Found(first.due, what=first, about=f"subscription {first.subscription}")

    async def step(self, _: Found, lease: Lease) -> None:
        """Send it."""
        services = self.services
        now = services.clock.now()
        for digest in await services.store.read(due_digests(DueDigests(now, 1))):
            message = None
            if digest.items:
                message = delivery_of_system(digest_message(digest, now, str(services.ids.uuid())), now)
            await services.store.write(send_digest(SendDigest(digest, message, services.ids.octets(), now)))

    async def put_off(self, found: Found) -> bool:
        """This one waits, others go on."""
        first, now = found.what, self.services.clock.now()
        await self.services.store.write(put_off_digest(PutOffDigest(first.subscription, later(now, first.failed))))
        return True
