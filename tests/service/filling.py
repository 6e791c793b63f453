"""Mailboxes with many messages, put there by the unit that a delivery uses."""

import asyncio

from tests.store.making import Box, a_delivery, target

from immpd.service.session import Services
from immpd.store.accounts.directory import ByAddress, FindRecipient, account_by_address, recipient
from immpd.store.mail.deliver import deliver

TOGETHER = 500


async def fill(services: Services, address: str, count: int, folder: int | None = None) -> Box:
    """So many messages more in the INBOX of an account, or in another folder."""
    store = services.store
    account = await store.read(account_by_address(ByAddress(address)))
    found = await store.read(recipient(FindRecipient(address)))
    assert account is not None
    assert found is not None
    box = Box(account, found)
    for at in range(0, count, TOGETHER):
        made = [deliver(a_delivery(target(box, folder))) for _ in range(min(TOGETHER, count - at))]
        await asyncio.gather(*[store.write(unit) for unit in made])
    return box
