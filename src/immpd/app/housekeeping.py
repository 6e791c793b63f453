"""What a process keeps in order of its own: room on its disk, and word of damage that it found.

What is the store's is done by jobs, whichever process does it (service/jobs/registry.py).
"""

import asyncio

from immpd.service.damage import tell_of_damage
from immpd.service.session import Services
from immpd.store.errors import StoreUnavailable
from immpd.store.mail.bodies import unlink_doomed

ROOM_EVERY = 60.0
"""Seconds after which the room on the disk is looked at anyway."""


async def keep_room(services: Services) -> None:
    """Make the reserve, and while room is short give the disk back what was freed; until cancelled."""
    loop = asyncio.get_running_loop()
    wanted = loop.create_future()

    def want() -> None:
        if not wanted.done():
            wanted.set_result(None)

    def want_from_anywhere() -> None:
        loop.call_soon_threadsafe(want)

    services.room.wanted = want_from_anywhere
    while True:
        wanted = loop.create_future()
        try:
            await unlink_doomed(services.store, services.bodies)
            await services.store.give_back()
            await services.bodies.run(services.room.renew)
        except StoreUnavailable as error:
            services.log.warning("no room could be made", reason=str(error))
        await services.clock.wait(wanted, ROOM_EVERY)


async def tell_damage(services: Services) -> None:
    """Tell whoever looks after the domains, now and when damage is found; until cancelled."""
    loop = asyncio.get_running_loop()
    found = loop.create_future()

    def note() -> None:
        if not found.done():
            found.set_result(None)

    def note_from_anywhere() -> None:
        loop.call_soon_threadsafe(note)

    services.damage.on_found = note_from_anywhere
    while True:
        await tell_of_damage(services)
        found = loop.create_future()
        await found
