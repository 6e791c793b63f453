"""Items as messages: delivers what was published to those who asked for messages.

Rules: the store knows what is on its way and how far it has come, so this goes on where the last server
stopped; one step at a time, and others between two; owners of nodes take turns, so that nobody's busy
feed holds up another's; a step that fails is tried again later, and less and less often
(docs/protocol.md, "Feeds").
"""

import asyncio
from collections.abc import Sequence

from immpd.model.flags import Flag
from immpd.model.news import Wake
from immpd.service.mail.system_messages import delivery_of_system, item_message
from immpd.service.session import Services
from immpd.store.errors import StoreUnavailable
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

AGAIN = 10.0
"""Seconds after which a step that failed is tried again, the next time after twice as long."""
LONGEST = 3600.0


class Feeder:
    """The job that delivers items as messages; ``run`` is its task, the bus wakes it."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._more = False
        self._waiting: asyncio.Future[None] | None = None
        self._owner = 0
        self._nodes: dict[int, int] = {}
        """Whose turn was last, and of each owner which node's."""

    def told(self, wakes: Sequence[Wake]) -> None:
        """Something was published that is to be delivered, or may have been."""
        if wakes and all([wake.job != FAN_OUT for wake in wakes]):
            return
        self._more = True
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    async def run(self) -> None:
        """Deliver, also what the last server left, then wait for more; until cancelled."""
        services = self._services
        while True:
            self._more = False
            try:
                await self.deliver_all()
                due = await services.store.read(next_due(None))
            except Exception as error:
                services.log.error("fan-out failed", exc_info=error)
                await services.clock.sleep(AGAIN)
                continue
            while not self._more and (due is None or due > services.clock.now()):
                self._waiting = asyncio.get_running_loop().create_future()
                seconds = None if due is None else (due - services.clock.now()) / 1000
                await services.clock.wait(self._waiting, seconds)

    async def deliver_all(self) -> None:
        """Deliver everything that is on its way, but what failed just now. Raises StoreUnavailable."""
        services = self._services
        while True:
            turn = Turn(services.clock.now(), self._owner, self._nodes)
            found = await services.store.read(next_outstanding(turn))
            if found is None:
                self._nodes.clear()
                return
            self._owner = found.owner
            self._nodes[found.owner] = found.node_id
            try:
                await self._step(found)
            except StoreUnavailable:
                raise  # for all of them alike
            except Exception as error:
                services.log.error("fan-out failed", node=found.node, id=uuid_text(found.uuid), exc_info=error)
                seconds = min(AGAIN * 2 ** min(found.failed, 20), LONGEST)
                await services.store.write(put_off(PutOff(found.item, services.clock.now() + int(seconds * 1000))))

    async def _step(self, item: Outstanding) -> None:
        services = self._services
        message = delivery_of_system(item_message(item), services.clock.now())
        flags = int(Flag.IMPORTANT) if item.level == "high" else 0
        ids = tuple([services.ids.octets() for _ in range(PER_STEP)])
        await services.store.write(fan_out_step(FanOutStep(item.item, message, flags, ids)))
