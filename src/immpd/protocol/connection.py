"""A connection, sans-IO: octets in, events out. One class a side.

Rules: octets become events or one ``Trouble``, after which nothing more is read; a line is bounded;
a command that stands alone holds the rest back until ``resume``; how the octets are cut on arrival
never changes the events (tests cut them everywhere) (docs/protocol.md, "Commands" and "Replies").
"""

from collections import deque
from typing import Any

import msgspec

from .bodies import Body
from .codes import Code
from .commands import Data
from .errors import OutOfStep, Refused, SyntaxFault
from .grammar import Parsed, parse_line
from .registry import Command, Request
from .replies import Line

MAX_LINE = 16_384
MAX_BLOCK = 1 << 20


class Call(msgspec.Struct, gc=False):
    """A command that was read: its pipeline, request, and its octets or where they will come from."""

    pid: str | None
    command: Command
    request: Request[Any]
    size: int
    """Octets of its line, for the accounting of unanswered input."""
    octets: bytes | None = None
    """The whole body, where it was there already."""
    body: Body | None = None


class Octets(msgspec.Struct, gc=False):
    """Some octets of a body; ``last`` with the end of it."""

    body: Body
    data: bytes
    last: bool


class Trouble(msgspec.Struct, gc=False):
    """A command that could not be understood; the answer is ``error``, in its pipeline."""

    pid: str | None
    error: Refused


Event = Call | Octets | Trouble


class ServerConnection:
    """The server's side: lines and bodies in, ``Call``, ``Octets`` and ``Trouble`` out."""

    __slots__ = ("_bodies", "_chunked", "_held", "_rest", "_simple", "broken")

    def __init__(self) -> None:
        self._rest = b""
        self._bodies: deque[Body] = deque()
        self._chunked: dict[str | None, Body] = {}
        self._held = False
        self.broken = False
        """Nothing more is read: the sides may be out of step."""

    @property
    def waiting(self) -> int:
        """Octets received and not yet read."""
        return len(self._rest)

    def receive_data(self, octets: bytes) -> list[Event]:
        """The events that these octets complete."""
        if self.broken:
            return []
        return self._read(self._rest + octets if self._rest else octets)

    def resume(self) -> list[Event]:
        """Go on after a command that stood alone has been answered."""
        self._held = False
        return [] if self.broken else self._read(self._rest)

    def _read(self, octets: bytes) -> list[Event]:
        events: list[Event] = []
        position = 0
        end = len(octets)
        while position < end and not self.broken:
            if self._bodies:
                body = self._bodies[0]
                if not body.lines:
                    position = self._take(body, octets, position, events)
                    continue
            elif self._held:
                break
            feed = octets.find(b"\n", position)
            if feed < 0:
                if end - position > MAX_LINE:
                    self._break(None, _too_long(), events)
                break
            stop = feed - 1 if feed > position and octets[feed - 1] == 13 else feed
            if stop - position > MAX_LINE:
                self._break(None, _too_long(), events)
                break
            line = octets[position:stop]
            if self._bodies:
                self._take_base64_line(self._bodies[0], line, events)
                position = feed + 1
            else:
                position = self._line(line, octets, feed + 1, events)
        self._rest = octets[position:] if position else octets
        if self.broken:
            self._rest = b""
        return events

    def _take(self, body: Body, octets: bytes, position: int, events: list[Event]) -> int:
        """Hand on what has come of the body at the front; returns where reading goes on."""
        piece = octets[position : position + body.remaining]
        body.remaining -= len(piece)
        last = not body.remaining and not body.chunked
        if not body.remaining:
            self._bodies.popleft()
        events.append(Octets(body, body.decode(piece, last), last))
        return position + len(piece)

    def _take_base64_line(self, body: Body, line: bytes, events: list[Event]) -> None:
        if line:
            body.empty_lines = 0
            events.append(Octets(body, body.decode(line, False), False))
            return
        body.empty_lines += 1
        if body.empty_lines == 2:
            self._bodies.popleft()
            events.append(Octets(body, body.decode(b"", True), True))

    def _line(self, line: bytes, octets: bytes, after: int, events: list[Event]) -> int:
        """Read one line; returns where reading goes on (behind a body that was whole already)."""
        parsed = parse_line(line) if not self._chunked else self._parse_beside_chunks(line, events)
        many = len(parsed) > 1
        for one in parsed:
            command = one.command
            if one.error is not None or command is None or one.request is None:
                if isinstance(one.error, OutOfStep):
                    self._break(one.pid, one.error, events)
                    break
                events.append(Trouble(one.pid, one.error or _too_long()))
                continue
            if command.alone and (many or one.pid is not None):
                text = f"{command.name} stands alone on its line, without AS and without other commands"
                events.append(Trouble(one.pid, SyntaxFault("ALONE", text)))
                continue
            call = Call(one.pid, command, one.request, len(line))
            events.append(call)
            if command.body:
                after = self._begin_body(call, octets, after, many, events)
            elif command.alone:
                self._held = True
        return after

    def _begin_body(self, call: Call, octets: bytes, after: int, many: bool, events: list[Event]) -> int:
        request = call.request
        assert isinstance(request, Data)
        if request.length is not None:
            length = request.length
            if not many and not request.base64 and not request.chunked and length <= len(octets) - after:
                call.octets = octets[after : after + length]
                return after + length
        elif not request.chunked and not request.base64:
            events.pop()
            text = "DATA needs LENGTH, +CHUNKED or +BASE64; without one nobody knows where its octets end"
            self._break(call.pid, OutOfStep("NO-LENGTH", text), events)
            return after
        if request.chunked and request.length is not None:
            events.pop()
            self._break(call.pid, OutOfStep("LENGTH", "DATA takes LENGTH or +CHUNKED, not both"), events)
            return after
        lines = request.base64 and request.length is None and not request.chunked
        body = call.body = Body(
            call.pid, request.length or 0, chunked=request.chunked, base64=request.base64, lines=lines
        )
        if request.chunked:
            self._chunked[call.pid] = body
        elif lines or body.remaining:
            self._bodies.append(body)
        else:
            events.append(Octets(body, b"", True))
        return after

    def _parse_beside_chunks(self, line: bytes, events: list[Event]) -> list[Parsed]:
        """A line while chunked bodies are open: CHUNK belongs to them, their pipelines take nothing else."""
        chunk_pid, words = _pipeline_and_words(line)
        if words and words[0].upper() == b"CHUNK":
            self._chunk(chunk_pid, words, events)
            return []
        kept: list[Parsed] = []
        for one in parse_line(line):
            name = one.command.name if one.command is not None else ""
            if one.pid in self._chunked and one.error is None and name not in ("ABORT", "QUIT", "CANCEL", "ACK"):
                if one.command is not None and one.command.body:
                    self._break(one.pid, OutOfStep("CHUNK-EXPECTED", "A chunked part is open in this pipeline"), events)
                    return kept
                text = "A chunked part is open in this pipeline: CHUNK n, CHUNK 0 to end it, or ABORT"
                one = Parsed(one.pid, error=SyntaxFault("CHUNK-EXPECTED", text))  # noqa: PLW2901 - the same place in line
            elif name == "ABORT" and one.pid in self._chunked:
                self._end_chunks(one.pid, events)
            elif name == "QUIT":
                for pid in tuple(self._chunked):
                    self._end_chunks(pid, events)
            kept.append(one)
        return kept

    def _chunk(self, pid: str | None, words: list[bytes], events: list[Event]) -> None:
        body = self._chunked.get(pid)
        if body is None or len(words) != 2 or not words[1].isdigit() or len(words[1]) > 18:
            text = "CHUNK takes the number of its octets and belongs to a chunked DATA of its pipeline"
            self._break(pid, OutOfStep("CHUNK", text), events)
            return
        body.remaining = int(words[1])
        if body.remaining:
            self._bodies.append(body)
            return
        del self._chunked[pid]
        body.chunked = False
        events.append(Octets(body, body.decode(b"", True), True))

    def _end_chunks(self, pid: str | None, events: list[Event]) -> None:
        """ABORT or QUIT came where CHUNK could: the part ends here, and is none."""
        body = self._chunked.pop(pid)
        body.error = Refused(Code.CANCELLED, "ABORTED", "The part was given up before its last chunk")
        events.append(Octets(body, b"", True))

    def _break(self, pid: str | None, error: Refused, events: list[Event]) -> None:
        self.broken = True
        events.append(Trouble(pid, error))


def _pipeline_and_words(line: bytes) -> tuple[str | None, list[bytes]]:
    words = line.split()
    if len(words) > 2 and words[0].upper() == b"AS":
        return words[1].decode(errors="replace"), words[2:]
    return None, words


def _too_long() -> OutOfStep:
    return OutOfStep("LINE-TOO-LONG", f"A line has at most {MAX_LINE} octets")


class ReplyLine(msgspec.Struct, gc=False):
    """A line of a reply, and the pipeline it belongs to."""

    pid: str | None
    line: Line


class Block(msgspec.Struct, gc=False):
    """Octets of a message part; ``more`` says that the part goes on in a later block."""

    pid: str | None
    message: str
    part: str
    octets: bytes
    more: bool


class ClientConnection:
    """The client's side: reply lines and blocks in order; raises OutOfStep on anything else."""

    __slots__ = ("_block", "_rest")

    def __init__(self) -> None:
        self._rest = b""
        self._block: tuple[str | None, str, str, int, bool] | None = None

    def receive_data(self, octets: bytes) -> list[ReplyLine | Block]:
        """The reply lines and blocks that these octets complete."""
        if self._rest:
            octets = self._rest + octets
        events: list[ReplyLine | Block] = []
        position = 0
        while True:
            if self._block is not None:
                pid, message, part, length, more = self._block
                if len(octets) - position < length + 1:
                    break
                stop = position + length
                if octets[stop] != 10:
                    raise OutOfStep("BLOCK", "A block did not end with a line feed")
                events.append(Block(pid, message, part, octets[position:stop], more))
                position = stop + 1
                self._block = None
                continue
            feed = octets.find(b"\n", position)
            if feed < 0:
                if len(octets) - position > MAX_LINE:
                    raise _too_long()
                break
            self._line(octets[position:feed].rstrip(b"\r"), events)
            position = feed + 1
        self._rest = octets[position:] if position else octets
        return events

    def _line(self, line: bytes, events: list[ReplyLine | Block]) -> None:
        text = line.decode(errors="replace")
        pid: str | None = None
        head, colon, rest = text.partition(": ")
        if colon and " " not in head:
            pid, text = head, rest
        number, mark, rest = text[:3], text[3:4], text[4:]
        if not number.isdecimal() or mark not in (" ", "-", ""):
            raise OutOfStep("REPLY", f"This is no reply line: {text[:80]}")
        more = mark == "-"
        if more:
            rest = rest.removeprefix(" ")
        if number == "255" and more:
            self._block = _block_head(pid, rest)
            return
        events.append(ReplyLine(pid, Line(int(number), rest, more)))


def _block_head(pid: str | None, text: str) -> tuple[str | None, str, str, int, bool]:
    words = text.split(" ")
    if len(words) < 3 or not words[2].isdecimal() or int(words[2]) > MAX_BLOCK:
        raise OutOfStep("BLOCK", f"This is no head of a block: {text[:80]}")
    return pid, words[0], words[1], int(words[2]), "more=1" in words[3:]
