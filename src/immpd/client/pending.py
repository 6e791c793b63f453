"""Commands that were sent and wait for their replies, and the pipelines that they run in.

Rules: rows and blocks of a stream are counted while they wait for their consumer; whoever stops
waiting for a reply has it cancelled; what cannot stand on a line is refused here, before the server
would take it for something else (docs/protocol.md, "Pipelines").
"""

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any

from immpd.protocol.codes import Code
from immpd.protocol.connection import Block
from immpd.protocol.errors import Refused
from immpd.protocol.grammar import print_request
from immpd.protocol.lines import Line
from immpd.protocol.registry import Request
from immpd.protocol.text import CONTROL

from .errors import TooSlow, read_refusal

if TYPE_CHECKING:
    from .link import Link

MAX_LINE = 16_384
HELD_HIGH = 1 << 20
"""Octets of one stream that wait for its consumer before reading stops."""
HELD_MOST = 64 << 20
"""Octets of one stream that are kept when reading cannot stop because others wait."""
CANCELS = "cancel"
"""The pipeline of CANCEL, whose answers nobody needs."""

Item = Line | Block


class Pending:
    """One command that was sent, and what has come of its reply."""

    __slots__ = ("_waiter", "abandoned", "error", "final", "held", "items", "lines", "link", "pipeline", "streaming")

    def __init__(self, link: "Link", pipeline: "Pipeline", streaming: bool) -> None:
        self.link = link
        self.pipeline = pipeline
        self.streaming = streaming
        self.lines: list[Line] = []
        """Rows and the final line of a reply that is not streamed."""
        self.items: deque[Item] = deque()
        """Rows and blocks of a streamed reply that nobody has taken yet."""
        self.held = 0
        self.final: Line | None = None
        self.error: Exception | None = None
        self.abandoned = False
        self._waiter: asyncio.Future[None] | None = None

    @property
    def over(self) -> bool:
        """Nothing more comes."""
        return self.final is not None or self.error is not None

    def take(self, item: Item) -> None:
        """A row or a block came."""
        if self.abandoned or self.error is not None:
            return
        if not self.streaming:
            if isinstance(item, Line):
                self.lines.append(item)
            return
        self.items.append(item)
        self.held += _size(item)
        if self.held > HELD_HIGH:
            self.link.full.add(self)
            if self.held > HELD_MOST:
                self.items.clear()
                self.error = TooSlow(
                    f"More than {HELD_MOST >> 20} MiB wait to be taken from this stream; "
                    "take it apart with LIMIT and AFTER, or do less between two rows"
                )
                self.abandon()
        self._wake()

    def finish(self, line: Line) -> None:
        """The final line came."""
        self.final = line
        self.lines.append(line)
        if line.code >= 400 and self.error is None:
            self.error = read_refusal(line)
        self._wake()

    def fail(self, error: Exception) -> None:
        """The connection is gone."""
        if not self.over:
            self.error = error
        self._wake()

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    async def _wait(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        self.link.waiting += 1
        self.link.balance()
        try:
            await self._waiter
        finally:
            self.link.waiting -= 1
            self.link.balance()

    async def result(self) -> list[Line]:
        """All lines of the reply; raises what the reply or the connection says."""
        try:
            while not self.over:
                await self._wait()
        except asyncio.CancelledError:
            self.abandon()
            raise
        if self.error is not None:
            raise self.error
        return self.lines

    async def following(self) -> Item | None:
        """The next row or block, None at the end; raises what the reply or the connection says."""
        while not self.items:
            if self.error is not None:
                raise self.error
            if self.final is not None:
                return None
            await self._wait()
        item = self.items.popleft()
        self.held -= _size(item)
        if self.held <= HELD_HIGH // 2 and self in self.link.full:
            self.link.full.discard(self)
            self.link.balance()
        return item

    def abandon(self) -> None:
        """Nobody wants the reply any more: the server is told, what still comes is dropped."""
        if self.abandoned:
            return
        self.abandoned = True
        self.items.clear()
        self.link.full.discard(self)
        if self.final is None and self.pipeline.pid is not None:
            self.link.write(f"AS {CANCELS} CANCEL {self.pipeline.pid}\n".encode())
        self.link.balance()


class Pipeline:
    """Commands that run in order beside those of other pipelines; the default one has no name."""

    __slots__ = ("link", "pid", "queue", "released")

    def __init__(self, link: "Link", pid: str | None) -> None:
        self.link = link
        self.pid = pid
        self.queue: deque[Pending] = deque()
        self.released = False

    def submit(self, request: Request[Any], octets: bytes = b"", *, streaming: bool = False) -> Pending:
        """Send a command (and the octets that follow its line) without waiting for anything.

        Raises Refused where the command cannot stand on a line, ConnectionLost.
        """
        line = encode_request(request, self.pid)
        if self.link.lost_by is not None:
            raise self.link.lost_by
        pending = Pending(self.link, self, streaming)
        self.queue.append(pending)
        self.link.write(line + octets)
        return pending

    def write(self, line: str, octets: bytes = b"") -> None:
        """Send a line that has no reply of its own: CHUNK."""
        prefix = "" if self.pid is None else f"AS {self.pid} "
        self.link.write(f"{prefix}{line}\n".encode() + octets)

    def release(self) -> None:
        """No more commands come from here: the name is free when the last is answered."""
        self.released = True
        if not self.queue:
            self.link.free(self)


def encode_request(request: Request[Any], pid: str | None) -> bytes:
    """The line of a request; raises Refused where a value has what no line can carry."""
    text = print_request(request, pid)
    if not text.isprintable() and CONTROL.search(text):
        raise Refused(Code.BAD_VALUE, "CONTROL-CHARACTER", "There is a control character in a value of the command")
    try:
        line = text.encode() + b"\n"
    except UnicodeEncodeError:
        raise Refused(Code.BAD_VALUE, "UTF-8", "There is half a character (a surrogate) in a value") from None
    if len(line) > MAX_LINE:
        raise Refused(Code.LIMIT, "LINE-TOO-LONG", f"The command has {len(line)} octets; a line has at most {MAX_LINE}")
    return line


def _size(item: Item) -> int:
    return len(item.text) + 150 if isinstance(item, Line) else len(item.octets) + 200
