"""News: what a unit of work tells with ``tx.tell`` and the bus carries once its commit is on disk.

Rules: news are hints, complete in themselves and store-neutral, so that they can go to another process; the store
is the truth, and whoever hears something twice, late or never looks there (docs/why/bus.md).
"""

from typing import Literal

import msgspec

from .change import Change
from .feed import ItemHint

WhyEnded = Literal["disabled", "removed", "password", "ended"]


class SessionsEnd(msgspec.Struct, frozen=True):
    """Sessions of an account are to end at once: all, or one, or all but one.

    ``disabled`` and ``removed``: the account was; ``password``: it has another one; ``ended``: SESSION END said so.
    """

    account: str
    why: WhyEnded
    only: bytes | None = None
    """The id of the one that ends; None: all."""
    but: bytes | None = None
    """The id of one that stays."""


class Wake(msgspec.Struct, frozen=True):
    """A job has something to do."""

    job: str
    due: int = 0
    """When, milliseconds UTC; 0: now."""


News = Change | ItemHint | SessionsEnd | Wake
