"""What is due: shown, repeated, ended; and what nobody answered becomes a message in INBOX.

Rules: timers are rows of the store, so they outlive the process; what a timer does and that it is over are one
transaction; a promotion is delivered under a key of its own and only then noted, so that it happens once
(docs/protocol.md, "Rules of the recipient").
"""

from collections.abc import Collection

from immpd.model.imid import parse_imid
from immpd.service.jobs.job import Found, Job, later
from immpd.service.mail.system_messages import deliver_to_inbox, promoted_message
from immpd.service.session import Services
from immpd.store.errors import StoreUnavailable
from immpd.store.ids import uuid_text
from immpd.store.jobs.leases import Lease
from immpd.store.mail.deliver import retry_key
from immpd.store.push.notifications import Notification
from immpd.store.push.schedule import TIMERS
from immpd.store.push.timers import Fire, Fired, Promoted, PutOffTimer, fire, first_timer, promoted, put_off_timer

BATCH = 100


class Timers(Job):
    """Runs timers, the oldest first, many in one unit; where that fails, each in its own."""

    name = TIMERS

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._alone = 0
        """Steps that are yet to run one timer only."""

    async def look(self, now: int, _: Collection[str]) -> Found | None:
        """The next timer."""
        first = await self.services.store.read(first_timer(None))
        return None if first is None else Found(first.due, what=first, about=f"{first.kind} {first.subject}")

    async def step(self, found: Found, lease: Lease) -> None:
        """Run what is due; promote what is to be."""
        services = self.services
        limit = 1 if self._alone else BATCH
        ids = tuple([(services.ids.octets(), services.random(20)) for _ in range(limit)])
        self._alone -= bool(self._alone)
        try:
            fired: Fired = await services.store.write(fire(Fire(services.clock.now(), ids, limit)))
        except StoreUnavailable:
            raise
        except Exception:
            if limit == 1:
                raise
            self._alone = BATCH
            return
        for one in fired.promote:
            try:
                await self._promote(one)
            except Exception as error:  # its timer comes again in a minute; the others do not wait for it
                services.log.error("promotion failed", mailbox=one.mailbox, exc_info=error)

    async def put_off(self, found: Found) -> bool:
        """A timer failed that was run alone: it comes again, and others before it."""
        first, now = found.what, self.services.clock.now()
        await self.services.store.write(put_off_timer(PutOffTimer(first.kind, first.subject, later(now, first.failed))))
        return True

    async def _promote(self, one: Notification) -> None:
        """It becomes a message in INBOX, though the mailbox were closed: it has it already."""
        services = self.services
        address = parse_imid(one.recipient).address
        key = retry_key(one.origin, one.sender, f"{address}/{one.replaced}", uuid_text(one.uuid))
        await deliver_to_inbox(services, promoted_message(one, address), key=key, is_inside=True)
        await services.store.write(promoted(Promoted(one.id, one.replaced, services.clock.now())))
