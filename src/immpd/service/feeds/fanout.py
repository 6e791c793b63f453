"""Items as messages: delivers what was published to those who asked for messages.

Rules: the store knows what is on its way and how far it has come, so this goes on where the last server
stopped; one step at a time, and others between two; owners of nodes take turns, so that nobody's busy
feed holds up another's; a step that fails is tried again later, and less and less often
(docs/protocol.md, "Feeds").
"""

from collections.abc import Collection

from immpd.model.flags import Flag
from immpd.service.jobs.job import Found, Job, later
from immpd.service.mail.system_messages import delivery_of_system, item_message
from immpd.service.session import Services
from immpd.store.feeds.fanout import (
    PER_STEP,
    FanOutStep,
    Outstanding,
    PutOff,
    Turn,
    fan_out_step,
    next_due,
    next_outstanding,
    put_off,
)
from immpd.store.feeds.items import FAN_OUT
from immpd.store.ids import uuid_text
from immpd.store.jobs.leases import Lease


class FanOut(Job):
    """The job that delivers items as messages."""

    name = FAN_OUT

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._owner = 0
        self._nodes: dict[int, int] = {}
        """Whose turn was last, and of each owner which node's."""

    async def look(self, now: int, _: Collection[str]) -> Found | None:
        """The item whose turn it is, or when one that failed is tried again."""
        store = self.services.store
        item = await store.read(next_outstanding(Turn(now, self._owner, self._nodes)))
        if item is not None:
            return Found(what=item, about=f"{item.node} {uuid_text(item.uuid)}")
        self._nodes.clear()
        due = await store.read(next_due(None))
        return Found(due) if due is not None and due > now else None

    async def step(self, found: Found, lease: Lease) -> None:
        """Deliver to some of the subscribers."""
        services = self.services
        item: Outstanding = found.what
        self._owner = item.owner
        self._nodes[item.owner] = item.node_id
        message = delivery_of_system(item_message(item), services.clock.now())
        flags = int(Flag.IMPORTANT) if item.level == "high" else 0
        ids = tuple([services.ids.octets() for _ in range(PER_STEP)])
        await services.store.write(fan_out_step(FanOutStep(item.item, message, flags, ids)))

    async def put_off(self, found: Found) -> bool:
        """This item waits, others go on."""
        item: Outstanding = found.what
        now = self.services.clock.now()
        await self.services.store.write(put_off(PutOff(item.item, later(now, item.failed))))
        return True
