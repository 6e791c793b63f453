"""Doing chores from tests, beside the keeper of a server, which may do the same."""

from immpd.service.jobs.chores import CHORES
from immpd.service.session import Services


async def do_chore(services: Services, name: str) -> None:
    """A round of it, or all that is outstanding."""
    chore = next(chore for chore in CHORES if chore.name == name)
    after = None
    while True:
        after = await chore.step(services, after)
        if after is None and (chore.outstanding is None or not await chore.outstanding(services)):
            return
