"""The end of sessions: what is told to every process that may have some of them open."""

from typing import Literal

import msgspec

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
