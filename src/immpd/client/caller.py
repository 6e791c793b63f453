"""The remote Caller: any request of the registry to its typed reply, many at once on one connection.

Rules: each call has a pipeline of its own, and waits for a free one where all are in use; a command
that stands alone goes without a pipeline and by itself; whoever stops waiting cancels what it asked
for (docs/protocol.md, "Pipelines").
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Generic, Self, TypeVar, cast

import msgspec

from immpd.protocol import replies
from immpd.protocol.commands import MboxFetch, SubscribeSince, Watch
from immpd.protocol.connection import Block
from immpd.protocol.lines import Line
from immpd.protocol.registry import BY_REQUEST, Request
from immpd.protocol.replies import Reply

from .errors import ConnectionLost, ProtocolFault
from .link import Link
from .pending import Pending, Pipeline

R = TypeVar("R", bound=Reply)


def decode_reply(request: Request[R], lines: list[Line]) -> R:
    """The typed reply of a request; raises ProtocolFault where the lines are not what it answers."""
    kind: type[Reply] = BY_REQUEST[type(request)].reply
    if kind in _OF_MESSAGES.values():  # DELIVER answers 270 or 273, DONE 273 or 251
        kind = _OF_MESSAGES.get(lines[-1].code, kind)
    try:
        return cast(R, kind.decode(lines))
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        name = BY_REQUEST[type(request)].name
        raise ProtocolFault(f"The server's answer to {name} cannot be understood: {error}") from error


_OF_MESSAGES: dict[int, type[Reply]] = {one.CODE: one for one in (replies.Opened, replies.Delivered, replies.Stored)}


class ReplyStream(Generic[R]):
    """The rows (``Line``) and blocks of a reply as they come; ``reply`` is its end.

    Take them with ``async for``. ``aclose`` (or leaving it as a context manager) cancels what still runs.
    """

    def __init__(self, link: Link, request: Request[R]) -> None:
        self._link = link
        self._request = request
        self._pending: Pending | None = None
        self._closed = False
        self._reply: R | None = None

    @property
    def reply(self) -> R:
        """The final line, once all rows were taken."""
        if self._reply is None:
            raise RuntimeError("the reply is there when all rows have been taken")
        return self._reply

    @property
    def pipeline(self) -> str | None:
        """The name of its pipeline, once it has begun."""
        return None if self._pending is None else self._pending.pipeline.pid

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Line | Block:
        if self._closed:
            raise StopAsyncIteration
        if self._pending is None:
            pipeline = await self._link.pipeline()
            try:
                self._pending = pipeline.submit(self._request, streaming=True)
            finally:
                pipeline.release()
        item = await self._pending.following()
        if item is None:
            if self._reply is None:
                assert self._pending.final is not None
                self._reply = decode_reply(self._request, [self._pending.final])
            raise StopAsyncIteration
        return item

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Cancel it on the server if it still runs, and drop what came."""
        self._closed = True
        if self._pending is not None:
            self._pending.abandon()


class MessagePipeline:
    """One pipeline for several commands in order: DELIVER, DATA, DONE."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    @property
    def pid(self) -> str:
        """Its name, for FOR."""
        assert self._pipeline.pid is not None
        return self._pipeline.pid

    async def call(self, request: Request[R], octets: bytes | None = None) -> R:
        """Run one command to its reply; ``octets`` are what follows DATA."""
        pending = self._pipeline.submit(_with_length(request, octets), octets or b"")
        return decode_reply(request, await pending.result())


class Caller:
    """Calls over one connection, from any number of tasks at once."""

    def __init__(self, link: Link) -> None:
        self.link = link
        """The connection, for tools that speak the protocol by hand."""

    async def call(self, request: Request[R], octets: bytes | None = None) -> R:
        """Run one command to its typed reply; ``octets`` are what follows DATA.

        Raises Refused, ConnectionLost, ProtocolFault. MBOX FETCH, SUBSCRIBE SINCE and WATCH bring more than one
        reply can hold: use ``stream``.
        """
        if isinstance(request, MboxFetch | Watch | SubscribeSince):
            raise TypeError(f"{BY_REQUEST[type(request)].name} brings rows and octets; use stream()")
        if BY_REQUEST[type(request)].alone:
            async with self.link.alone:
                return decode_reply(request, await self.link.default.submit(request).result())
        async with self.pipeline() as pipeline:
            return await pipeline.call(request, octets)

    def stream(self, request: Request[R]) -> ReplyStream[R]:
        """Run one command and take its rows and blocks as they come."""
        if BY_REQUEST[type(request)].alone:
            raise TypeError(f"{BY_REQUEST[type(request)].name} stands alone; use call()")
        return ReplyStream(self.link, request)

    @asynccontextmanager
    async def pipeline(self) -> AsyncIterator[MessagePipeline]:
        """A pipeline for several commands in order; waits for a free one."""
        pipeline = await self.link.pipeline()
        try:
            yield MessagePipeline(pipeline)
        finally:
            pipeline.release()

    @property
    def closed(self) -> bool:
        """Whether the connection is over."""
        return self.link.lost_by is not None

    async def wait_closed(self) -> ConnectionLost | Exception | None:
        """Wait until the connection is over; returns why."""
        await self.link.gone
        return self.link.lost_by


def _with_length(request: Request[Any], octets: bytes | None) -> Request[Any]:
    if octets is None:
        return request
    if not BY_REQUEST[type(request)].body:
        raise TypeError(f"no octets follow {BY_REQUEST[type(request)].name}")
    return msgspec.structs.replace(request, length=len(octets))
