"""Items as messages: delivers what was published to those who asked for messages.

Rules: the store knows what is on its way and how far it has come, so this goes on where the last server
stopped; one step at a time, and others between two; a step that fails is tried again later
(docs/protocol.md, "Feeds").
"""

import asyncio
import hashlib
from typing import Any

import msgspec

from immpd.model.flags import Flag
from immpd.model.message import Envelope, Part
from immpd.store.deliver import Delivery
from immpd.store.fanout import PER_STEP, FanOutStep, Outstanding, fan_out_step, next_outstanding
from immpd.store.ids import uuid_text

from .content import RowStart
from .ids import time_text
from .session import Services

AGAIN = 10.0
"""Seconds after which a step that failed is tried again."""
_encode = msgspec.json.Encoder().encode


class Feeder:
    """The job that delivers items as messages; ``run`` is its task, ``wake`` tells it that there is something."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._awake = asyncio.Event()
        self._awake.set()  # what the last server left

    def wake(self) -> None:
        """Something was published that is to be delivered."""
        self._awake.set()

    async def run(self) -> None:
        """Deliver, then wait for more; until cancelled."""
        services = self._services
        while True:
            await self._awake.wait()
            self._awake.clear()
            try:
                await self.deliver_all()
            except Exception as error:
                services.log.error("fan-out failed", exc_info=error)
                await services.clock.sleep(AGAIN)
                self._awake.set()

    async def deliver_all(self) -> None:
        """Deliver everything that is on its way."""
        services = self._services
        while (found := await services.store.read(next_outstanding(None))) is not None:
            message = message_of(found, services.clock.now())
            flags = int(Flag.IMPORTANT) if found.level == "high" else 0
            more = True
            while more:
                ids = tuple([services.ids.octets() for _ in range(PER_STEP)])
                done = await services.store.write(fan_out_step(FanOutStep(found.item, message, flags, ids)))
                services.bus.publish(done.changes)
                more = done.more


def message_of(item: Outstanding, now: int) -> Delivery:
    """The item as a message from its publisher to the node, without its targets."""
    importance: Any = item.level
    origin = item.node.partition("@")[2]
    envelope = Envelope(
        id=uuid_text(item.uuid),
        from_=item.publisher,
        date=time_text(item.created),
        to=(item.node,),
        subject=item.title,
        importance=importance,
        origin=origin,
        received_date=time_text(now),
        verified=True,
        headers={"list-id": item.node},
    )
    size = len(item.body)
    row = RowStart(
        envelope.from_, envelope.to, envelope.subject, envelope.date, size, envelope.id, 1, envelope.importance, True
    )
    return Delivery(
        sender=envelope.from_,
        sent=item.created,
        size=size,
        row=_encode(row)[:-1],
        parts=_encode([Part(1, "item", item.type, size)]),
        envelope=_encode(envelope),
        octets=item.body,
        digest=hashlib.sha256(item.body).digest(),
        targets=(),
        now=now,
    )
