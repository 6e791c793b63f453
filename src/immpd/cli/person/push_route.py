"""How a notification reaches a server: with a log-in, or with a token and without any.

Rules: a token shows itself to whoever answers, unlike a password, so it goes only to a key that is known or was
given with --fingerprint; with both, nothing is written on this machine.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar
from uuid import UUID

import msgspec

from .common import Common, KeyNotKnown, NotLoggedIn, UsageError, not_accepted, session

if TYPE_CHECKING:
    from immpd.client import Client
    from immpd.net.fingerprints import FirstSight
    from immpd.protocol.replies import Delivered

T = TypeVar("T")
MAX_TOKEN = 1_000
"""Octets of a file with a token."""


async def in_time(work: Awaitable[T], seconds: int) -> T:
    """What it brings; ConnectionLost where that takes longer: a network may fall silent without a word."""
    from immpd.client import ConnectionLost

    try:
        async with asyncio.timeout(seconds):
            return await work
    except TimeoutError:
        raise ConnectionLost(f"The server did not answer within {seconds} s") from None


class Route(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """With which right, and where to. It holds no secret."""

    profile: str = ""
    """The log-in, where there is no token."""
    token_file: str = ""
    server: str = ""
    """HOST:PORT, with a token; empty: the domain of the recipient."""
    fingerprint: str = ""
    direct: bool = False

    @asynccontextmanager
    async def connect(self, to: str) -> AsyncIterator["Client"]:
        """A session that may push to ``to``. Raises what ``connect`` does, and UsageError."""
        if not self.token_file:
            async with session(Common(profile=self.profile or None)) as me:
                yield me
            return
        from immpd.client import Refused, connect
        from immpd.client.home import default_home
        from immpd.net.fingerprints import KnownPeers

        try:
            async with connect(
                to,
                server=self.server or None,
                fingerprint=self.fingerprint or None,
                known=KnownPeers(default_home()),
                on_first_sight=_never_seen,
                direct=self.direct,
            ) as me:
                yield me
        except Refused as error:
            if not not_accepted(error):
                raise
            raise NotLoggedIn(
                f"The token in {self.token_file} is not accepted: it was removed, or is not one of {to}"
            ) from None

    def token(self) -> str | None:
        """The token of its file, if it goes with one; raises OSError, UsageError."""
        if not self.token_file:
            return None
        with open(self.token_file, "rb") as file:
            octets = file.read(MAX_TOKEN + 1)
        text = octets.decode("ascii", "replace").strip()
        if not text or not text.isprintable() or not text.isascii() or " " in text or len(octets) > MAX_TOKEN:
            raise UsageError(f"{self.token_file} holds no token; immp token add --out makes such a file")
        return text


class Card(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A notification as PUSH takes it."""

    id: UUID
    title: str = ""
    type: str = "text/plain"
    body: bytes = b""
    level: str | None = None
    ttl: int | None = None
    """Seconds."""
    at: str | None = None
    tag: str | None = None
    node: str = ""
    """The feed in whose name it is sent."""

    async def push(self, me: "Client", to: tuple[str, ...], token: str | None) -> "Delivered":
        """Send it; raises what every call does."""
        from immpd.client.composing import imids_of
        from immpd.model.imid import parse_imid
        from immpd.protocol.commands import Push

        request = Push(
            to=imids_of(to),
            title=self.title or None,
            type=self.type,
            id=self.id,
            ttl=self.ttl,
            at=self.at,
            tag=self.tag,
            level=self.level,
            token=token,
            from_=parse_imid(self.node) if self.node else None,
        )
        return await me.call(request, self.body)


def _never_seen(trust: "FirstSight") -> None:
    raise KeyNotKnown(
        f"The key of {trust.domain} was never seen here, and a token goes to a known key only. If this is its "
        f"SHA-256, say so: --fingerprint {trust.fingerprint}"
    )
