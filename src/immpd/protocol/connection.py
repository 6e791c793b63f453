"""A connection, sans-IO: octets in, events out. One class a side.

Rules: octets become events or one ``Trouble``, after which nothing more is read; a line is bounded;
a command that stands alone holds the rest back until ``resume``; how the octets are cut on arrival
never changes the events (tests cut them everywhere); work is linear in the octets, however they are
cut (docs/protocol.md, "Commands" and "Replies").
"""

import re
from typing import Any

import msgspec

from .bodies import Body
from .codes import Code
from .commands import Abort, Ack, Cancel, Quit
from .errors import OutOfStep, Refused, SyntaxFault
from .grammar import KEPT, PID, Parsed, parse_line
from .lines import Line
from .registry import Command, Request, has_octets
from .states import State

MAX_LINE = 16_384
"""Octets of a line, its LF or CR LF not counted."""
MAX_BLOCK = 1 << 20
MAX_CHUNKED = 128
"""Chunked parts that may be open at once: twice the pipelines there may be, for those of refused DATA are open too."""

_CHUNK = re.compile(rb" *(?:AS +([A-Za-z0-9\-_.]{1,32}) +)?CHUNK +([0-9]{1,18}) *", re.IGNORECASE)


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

    __slots__ = ("_bodies", "_chunked", "_held", "_later", "_position", "_rest", "broken", "state")

    def __init__(self, state: State | None = None) -> None:
        self.state = state
        """Where the connection stands: the values of commands that are not of it are not read. None: all are."""
        self._rest = b""
        self._position = 0
        """Where in ``_rest`` reading goes on; not 0 only while something holds it back."""
        self._later: bytearray | None = None
        """What came while it was held back."""
        self._bodies: list[Body] = []
        """Whose octets come next, in order."""
        self._chunked: dict[str | None, Body] = {}
        """By pipeline, the bodies whose last chunk has not come."""
        self._held = False
        self.broken = False
        """Nothing more is read: the sides may be out of step."""

    @property
    def waiting(self) -> int:
        """Octets received and not yet read."""
        return len(self._rest) - self._position + (0 if self._later is None else len(self._later))

    def receive_data(self, octets: bytes) -> list[Event]:
        """The events that these octets complete."""
        if self.broken:
            return []
        if self._held:
            if self._later is None:
                self._later = bytearray()
            self._later += octets
            return []
        return self._read(self._rest + octets if self._rest else octets, 0)

    def resume(self) -> list[Event]:
        """Go on after a command that stood alone has been answered."""
        self._held = False
        if self.broken:
            return []
        events = self._read(self._rest, self._position)
        if self._later is not None and not self._held and not self.broken:
            octets, self._later = self._rest + self._later, None
            events += self._read(octets, 0)
        return events

    def _read(self, octets: bytes, position: int) -> list[Event]:
        """Read on from ``position``; what is left for later is kept."""
        events: list[Event] = []
        bodies = self._bodies
        chunked = self._chunked
        kept = KEPT.get
        find = octets.find
        end = len(octets)
        while position < end:
            if bodies and not bodies[0].lines:
                position = self._take(bodies[0], octets, position, events)
                continue
            feed = find(b"\n", position)
            if feed < 0:
                # The last octet may be the CR of the line's end.
                if end - position > MAX_LINE + (octets[-1] == 13):
                    self._break(None, _too_long(), events)
                break
            line = octets[position:feed]
            known = kept(line)
            if known is not None and not bodies and not chunked:
                position = feed + 1
                command = known.command
                request = known.request
                assert command is not None
                assert request is not None
                call = Call(known.pid, command, request, len(line))
                if command.body:
                    position = self._begin_body(call, octets, position, False, events)
                    if self.broken:
                        break
                else:
                    events.append(call)
                continue
            if line[-1:] == b"\r":
                line = line[:-1]
            if len(line) > MAX_LINE:
                self._break(None, _too_long(), events)
                break
            if bodies:
                self._take_base64_line(bodies[0], line, events)
                position = feed + 1
            else:
                position = self._line(line, octets, feed + 1, events)
                if self.broken or self._held:
                    break
        if self.broken:
            octets, position, self._later = b"", 0, None
        if not self._held:
            octets, position = octets[position:] if position else octets, 0
        self._rest, self._position = octets, position
        return events

    def _take(self, body: Body, octets: bytes, position: int, events: list[Event]) -> int:
        """Hand on what has come of the body at the front; returns where reading goes on."""
        piece = octets[position : position + body.remaining]
        body.remaining -= len(piece)
        last = not body.remaining and not body.chunked
        if not body.remaining:
            self._bodies.pop(0)
        events.append(Octets(body, body.decode(piece, last), last))
        return position + len(piece)

    def _take_base64_line(self, body: Body, line: bytes, events: list[Event]) -> None:
        if line:
            body.empty_lines = 0
            events.append(Octets(body, body.decode(line, False), False))
            return
        body.empty_lines += 1
        if body.empty_lines == 2:
            self._bodies.pop(0)
            events.append(Octets(body, body.decode(b"", True), True))

    def _line(self, line: bytes, octets: bytes, after: int, events: list[Event]) -> int:
        """Read one line; returns where reading goes on (behind a body that was whole already)."""
        if self._chunked and (chunk := _CHUNK.fullmatch(line)):
            self._chunk(None if chunk[1] is None else chunk[1].decode(), int(chunk[2]), events)
            return after
        parsed = parse_line(line, self.state)
        many = len(parsed) > 1
        for one in parsed:
            if one.pid in self._chunked and not self._fits_chunks(one, events):
                if self.broken:
                    break
                continue
            command = one.command
            request = one.request
            if command is None or request is None:
                assert one.error is not None
                if isinstance(one.error, OutOfStep):
                    self._break(one.pid, one.error, events)
                    break
                events.append(Trouble(one.pid, one.error))
            else:
                call = Call(one.pid, command, request, len(line) // len(parsed))
                if command.body:
                    after = self._begin_body(call, octets, after, many, events)
                    if self.broken:
                        break
                    continue
                if type(request) is Quit:
                    for pid in tuple(self._chunked):
                        self._give_up(pid, events)
                events.append(call)
                self._held = command.alone
        return after

    def _begin_body(self, call: Call, octets: bytes, after: int, many: bool, events: list[Event]) -> int:
        """A command whose octets may follow; returns where reading goes on."""
        command = call.command
        request: Any = call.request  # a test asks every such command for these fields
        length: int | None = request.length
        chunked = base64 = False
        if command.body != "counted":
            chunked, base64 = request.chunked, request.base64
        fault = None
        if length is None and not chunked and not base64:
            if command.body != "always":
                events.append(call)
                return after
            text = f"{command.name} needs LENGTH, +CHUNKED or +BASE64; without one nobody knows where its octets end"
            fault = OutOfStep("NO-LENGTH", text)
        elif length is not None and chunked:
            fault = OutOfStep("LENGTH", f"{command.name} takes LENGTH or +CHUNKED, not both")
        elif chunked and len(self._chunked) >= MAX_CHUNKED:
            fault = OutOfStep("CHUNK", f"At most {MAX_CHUNKED} chunked parts are open at once")
        if fault is not None:
            self._break(call.pid, fault, events)
            return after
        events.append(call)
        if length is not None and not many and not base64 and length <= len(octets) - after:
            call.octets = octets[after : after + length]
            return after + length
        lines = length is None and not chunked
        call.body = body = Body(call.pid, length or 0, chunked=chunked, base64=base64, lines=lines)
        if chunked:
            self._chunked[call.pid] = body
        elif lines or length:
            self._bodies.append(body)
        else:
            events.append(Octets(body, b"", True))
        return after

    def _fits_chunks(self, one: Parsed, events: list[Event]) -> bool:
        """Whether a command may come while a chunked part is open in its pipeline; if not, why is said."""
        kind = type(one.request)
        if one.error is not None or kind is Quit or kind is Cancel or kind is Ack:
            return True
        if kind is Abort:
            self._give_up(one.pid, events)
            return True
        if one.request is not None and has_octets(one.request):
            self._break(one.pid, OutOfStep("CHUNK-EXPECTED", "A chunked part is open in this pipeline"), events)
        else:
            text = "A chunked part is open in this pipeline: CHUNK n, CHUNK 0 to end it, or ABORT"
            events.append(Trouble(one.pid, SyntaxFault("CHUNK-EXPECTED", text)))
        return False

    def _chunk(self, pid: str | None, length: int, events: list[Event]) -> None:
        body = self._chunked.get(pid)
        if body is None:
            self._break(pid, OutOfStep("CHUNK", "No chunked DATA is open in the pipeline of this CHUNK"), events)
        elif length:
            body.remaining = length
            self._bodies.append(body)
        else:
            del self._chunked[pid]
            body.chunked = False
            events.append(Octets(body, body.decode(b"", True), True))

    def _give_up(self, pid: str | None, events: list[Event]) -> None:
        """ABORT or QUIT came where CHUNK could: the part ends here, and is none."""
        body = self._chunked.pop(pid)
        body.error = Refused(Code.CANCELLED, "ABORTED", "The part was given up before its last chunk")
        events.append(Octets(body, b"", True))

    def _break(self, pid: str | None, error: Refused, events: list[Event]) -> None:
        self.broken = True
        events.append(Trouble(pid, error))


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
    """The client's side: reply lines and blocks in order; raises OutOfStep on anything else.

    What the octets of that call completed before the fault is lost with it: such a connection is over.
    """

    __slots__ = ("_block", "_missing", "_rest")

    def __init__(self) -> None:
        self._rest: list[bytes] = []
        """What came of a line or block that is not complete."""
        self._missing = 0
        """Octets without which reading on is of no use: those that the open block still lacks."""
        self._block: _BlockHead | None = None

    def receive_data(self, octets: bytes) -> list[ReplyLine | Block]:
        """The reply lines and blocks that these octets complete."""
        if len(octets) < self._missing:
            self._missing -= len(octets)
            self._rest.append(octets)
            return []
        if self._rest:
            octets = b"".join([*self._rest, octets])
        events: list[ReplyLine | Block] = []
        end = len(octets)
        position = self._missing = 0
        while True:
            head = self._block
            if head is not None:
                stop = position + head.length
                if stop >= end:
                    self._missing = stop + 1 - end
                    break
                if octets[stop] != 10:
                    raise OutOfStep("BLOCK", "A block did not end with a line feed")
                events.append(Block(head.pid, head.message, head.part, octets[position:stop], head.more))
                position = stop + 1
                self._block = None
                continue
            feed = octets.find(b"\n", position)
            stop = feed if feed >= 0 else end
            if stop > position and octets[stop - 1] == 13:
                stop -= 1
            if stop - position > MAX_LINE:
                raise _too_long()
            if feed < 0:
                break
            self._line(octets[position:stop], events)
            position = feed + 1
        self._rest = [octets[position:]] if position < end else []
        return events

    def _line(self, line: bytes, events: list[ReplyLine | Block]) -> None:
        try:
            text = line.decode()
        except UnicodeDecodeError:
            raise OutOfStep("UTF-8", "A reply line is not valid UTF-8") from None
        found = _REPLY.fullmatch(text)
        if found is None:
            raise OutOfStep("REPLY", f"This is no reply line: {text[:80]}")
        pid, number, dash, rest = found.groups()
        code = int(number)
        if code != Code.BLOCK:
            events.append(ReplyLine(pid, Line(code, rest or "", dash is not None)))
            return
        head = _BLOCK.fullmatch(rest or "")
        if head is None or dash is None or int(head[3]) > MAX_BLOCK:
            raise OutOfStep("BLOCK", f"This is no head of a block: {text[:80]}")
        self._block = _BlockHead(pid, head[1], head[2], int(head[3]), "more=1" in head[4].split(" "))


class _BlockHead(msgspec.Struct, frozen=True):
    pid: str | None
    message: str
    part: str
    length: int
    more: bool


_REPLY = re.compile(rf"(?:({PID.pattern}): )?([1-9][0-9][0-9])(-)?(?: (.*))?", re.DOTALL)
_BLOCK = re.compile(r"([^ ]+) ([^ ]+) ([0-9]{1,18})((?: .*)?)", re.DOTALL)
