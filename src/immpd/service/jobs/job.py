"""What a job says of itself; the keeper does the rest (keeper.py).

Rules: what is to be done and how far it has come are rows of the store, so any process may do any step; a step is
bounded, ends in units of work and may run twice; one that fails keeps nobody else's from being done.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection
from typing import Any

import msgspec

from immpd.service.session import Services
from immpd.store.jobs.leases import Lease

AGAIN = 10.0
"""Seconds after which what failed is tried again, the next time after twice as long."""
LONGEST = 3600.0


class Found(msgspec.Struct, frozen=True):
    """What a job is to do next."""

    due: int = 0
    """When, milliseconds UTC; 0: now."""
    subject: str = ""
    """Whose it is, where a job is divided: of each subject one step is done at a time."""
    what: Any = None
    """What the step needs to know."""
    about: str = ""
    """What it is about, for the log."""


class Job(ABC):
    """Something to be done by itself; its fields are of this process and may be lost."""

    name: str
    """As the units that wake it call it."""
    every: float = 60.0
    """Seconds after which it is looked at anyway: what a wake-up that was lost costs."""
    beside: int = 1
    """Steps that a process does at once."""

    def __init__(self, services: Services) -> None:
        self.services = services

    @abstractmethod
    async def look(self, now: int, taken: Collection[str]) -> Found | None:
        """What is due next, the subjects in ``taken`` left out; None: nothing is. Only reads."""

    @abstractmethod
    async def step(self, found: Found, lease: Lease) -> None:
        """Do a bounded part of what was found."""

    async def put_off(self, found: Found) -> bool:
        """What was found failed: have it found later, and others first; False: it cannot be told from the others."""
        return False


def later(now: int, failed: int) -> int:
    """When what failed so often before is tried again, milliseconds UTC."""
    return now + int(min(AGAIN * 2 ** min(failed, 20), LONGEST) * 1000)
