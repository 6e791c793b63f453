"""The watching half of a person's session: what happens, as it happens, also over lost connections.

Rules: a watch never ends by itself without an error; where it may connect again, it goes on behind the last event
that it gave, so that none is missed and none comes twice; it tries as long as there is hope, and waits longer each
time, by chance longer or shorter than others, so that those whom one server lost do not all come back at once
(docs/protocol.md, "WATCH").
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec

from immpd.model.imid import Imid, parse_imid
from immpd.protocol import commands as c
from immpd.protocol import replies as r
from immpd.protocol.codes import Code
from immpd.protocol.connection import Block

from .caller import Caller, ReplyStream
from .errors import CannotConnect, ConnectionLost, ProtocolFault, Refused
from .events import Event
from .link import Link

PathLike = str | Imid
LAST_WORDS = 2.0
"""Seconds in which a server that ended a watch closes the connection, and says why."""


class Reconnecting(msgspec.Struct, frozen=True, kw_only=True):
    """How a watch comes back when its connection is lost.

    It waits ``first`` seconds, then twice as long each time, at most ``most``: of that at least half, the rest by
    chance, and as long as the server asks for besides. ``on_lost`` is told once each time a watch that stood is lost.
    ``random`` gives numbers from 0 to below 1, ``sleep`` and ``monotonic`` are time.
    """

    first: float = 1.0
    most: float = 60.0
    on_lost: Callable[[Exception], None] | None = None
    random: Callable[[], float] = random.random
    sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep
    monotonic: Callable[[], float] = time.monotonic


class Outage:
    """What a watch knows of its lost connections: whether it said so, and how long to wait next."""

    def __init__(self, how: Reconnecting) -> None:
        self._how = how
        self._told = False
        self._tries = 0
        self._stood_at: float | None = None

    def stands(self) -> None:
        """Something came: there is a connection."""
        if self._stood_at is None:
            self._told = False
            self._stood_at = self._how.monotonic()

    def lost(self, error: Exception) -> float:
        """The connection is lost, or could not be made: the seconds to wait before the next try."""
        how = self._how
        if self._stood_at is not None and how.monotonic() - self._stood_at >= how.most:
            self._tries = 0
        self._stood_at = None
        if not self._told and how.on_lost is not None:
            how.on_lost(error)
        self._told = True
        longest = min(how.most, how.first * float(2**self._tries))
        if longest < how.most:
            self._tries += 1
        asked = error.retry if isinstance(error, Refused) and error.retry is not None else 0
        return asked + longest * (0.5 + how.random() / 2)


def is_passing(error: Exception) -> bool:
    """Whether the same may succeed later without anybody doing anything."""
    if isinstance(error, Refused):
        return error.retry is not None or error.code in (Code.TEMPORARY, Code.BOUND)
    return isinstance(error, ConnectionLost | CannotConnect) and sent_away(error) is None


def sent_away(error: Exception) -> Refused | None:
    """With which word the server ended this session for good: a 751 without ``retry=``."""
    said = error.refusal if isinstance(error, ConnectionLost) else None
    return said if said is not None and said.code is Code.SHUTDOWN and said.retry is None else None


class Watching(Caller):
    """What a session can do about events. Made as part of ``Client``."""

    def __init__(self, link: Link) -> None:
        super().__init__(link)
        self.left = False
        """The program itself has closed the session."""
        self.again: Callable[[], Awaitable[None]] | None = None
        """Makes the connection anew; set by ``open_client``."""
        self._reconnecting = asyncio.Lock()

    async def reconnect(self) -> None:
        """Connect and log in again as before, where the connection is lost; later calls go over the new one.

        What was under way when it was lost stays lost. Raises what ``open_client`` raises, and ConnectionLost
        where the session was closed on purpose.
        """
        async with self._reconnecting:
            lost_by = self.link.lost_by
            if lost_by is None:
                return
            if self.left or self.again is None:
                raise lost_by
            await self.again()

    async def watch(
        self,
        *paths: PathLike,
        since: str | None = None,
        name: str = "",
        acknowledge: bool = False,
        reconnect: bool | Reconnecting = True,
    ) -> AsyncIterator[Event]:
        """Events as they happen, from ``since`` (a cursor), else from where this device acknowledged last: WATCH.

        The first is ``watching``. ``acknowledge`` confirms each event when the next is asked for. A watch does not
        end by itself: when the connection is lost it connects again, for this whole session, and goes on behind the
        last event, with another ``watching`` first; ``reconnect`` is False where it shall raise ConnectionLost
        instead, or says how and how often. It raises what trying again cannot mend, such as the Refused with which the
        server ended this session for good (another password, SESSION END).
        """
        how = reconnect if isinstance(reconnect, Reconnecting) else Reconnecting()
        request = c.Watch(paths=tuple(_imid(path) for path in paths), since=since, name=name)
        outage = Outage(how)
        shown, kept = "", ""  # cursors: of the last event that was given away, and of the last that was confirmed
        items = self.stream(request)
        try:
            while True:
                try:
                    if acknowledge and shown != kept:
                        await self.ack(shown, name=name)
                        kept = shown
                    event = await self._next_event(items)
                except Exception as error:
                    await items.aclose()
                    if not reconnect or self.left:
                        raise
                    said = sent_away(error)
                    if said is not None:
                        raise said from None
                    if not is_passing(error):
                        raise
                    await self._come_back(how, outage, error)
                    items = self.stream(msgspec.structs.replace(request, since=shown or since))
                    continue
                outage.stands()
                shown = event.cursor
                yield event
        finally:
            await items.aclose()

    async def ack(self, cursor: str, *, name: str = "") -> r.Kept:
        """Confirm all events up to a cursor; the server keeps it for this device and the watch's name: ACK."""
        return await self.call(c.Ack(cursor=cursor, name=name))

    async def _next_event(self, items: ReplyStream[Any]) -> Event:
        async for item in items:
            if isinstance(item, Block):
                continue
            try:
                return msgspec.json.decode(item.text, type=Event)
            except msgspec.DecodeError as error:
                raise ProtocolFault(f"The server's event cannot be understood: {error}") from error
        # Nobody cancelled it, so the server goes; its reason comes behind the end of the watch.
        try:
            async with asyncio.timeout(LAST_WORDS):
                await asyncio.shield(self.link.gone)
        except TimeoutError:
            self.link.fail(ConnectionLost("The server ended the watch"))
        assert self.link.lost_by is not None
        raise self.link.lost_by

    async def _come_back(self, how: Reconnecting, outage: Outage, error: Exception) -> None:
        """Connect again, however often it takes; raises what trying again cannot mend."""
        while True:
            await how.sleep(outage.lost(error))
            try:
                await self.reconnect()
                return
            except Exception as failed:
                if self.left or not is_passing(failed):
                    raise
                error = failed


def _imid(path: PathLike) -> Imid:
    return path if isinstance(path, Imid) else parse_imid(path)
