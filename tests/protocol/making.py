"""What the tests of the protocol generate: requests of every command, streams of octets, cuts."""

from itertools import pairwise
from typing import Any
from uuid import UUID

import msgspec
from hypothesis import strategies as st

from immpd.model.imid import Imid, parse_imid
from immpd.model.references import Reference
from immpd.protocol.connection import Call, ClientConnection, Event, Octets, ReplyLine, ServerConnection, Trouble
from immpd.protocol.lines import Line
from immpd.protocol.registry import COMMANDS, READERS, Command, Request, Span, has_octets

MESSAGE = UUID("0197a2b4-7c3e-7d4a-8f00-1b2c3d4e5f60")
SPECIAL = (
    "",
    " ",
    "TO",
    "to",
    "NOOP",
    "AS",
    "CHUNK",
    "AUTHENTICATE",
    "LENGTH",
    "+READ",
    "-x",
    '"',
    '""',
    "\\",
    '\\"',
    "a\\b",
    "\\\\",
    ";",
    "a;b",
    "a=b",
    "n=5 x",
    "*",
    "retry=60",
    "a  b ",
    " a",
    "null",
    "007",
    "a,b",
    ",",
    "über",
    "\u2028",
)
line_texts = st.sampled_from(SPECIAL) | st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=20)
"""What can be a value on a line: anything but control characters and surrogates."""
any_texts = (
    line_texts | st.text(max_size=20) | st.sampled_from(["a\nb", "\r\n200 Done", "\x1b[2J", "\ud800", "\u202ex"])
)
"""Anything that a person may have written, what would forge a line first of all."""
pids = st.from_regex(r"[A-Za-z0-9\-_.]{1,32}", fullmatch=True)
flags = st.from_regex(r"[A-Za-z0-9\-_.]{1,64}", fullmatch=True)
imids = st.sampled_from(
    [
        *map(
            parse_imid,
            (
                "alice@a.example",
                "alice+Lists@a.example",
                "helpdesk/alice@a.example",
                "a=b@a.example",
                "/INBOX",
                "/inbox::unread,from:bob%20x",
                "/to%20do::*",
                f"/INBOX#{MESSAGE}",
                f"alice@a.example/x%3By#{MESSAGE}",
                "-dash@a.example",
                "news@a.example?subscribe",
            ),
        ),
        Imid(path=('quote"s', "ü", "+plus", "%")),
    ]
)
_KINDS: dict[Any, st.SearchStrategy[Any]] = {
    str: line_texts,
    int: st.integers(0, 10**18 - 1),
    UUID: st.uuids(),
    UUID | Imid: st.uuids() | imids.filter(lambda imid: not imid.is_own_box),
    bytes: st.binary(max_size=40),
    Imid: imids,
    Reference: st.uuids().map(str) | st.sampled_from(["a1@b.example", "x;y", "+1", 'ü"']),
    Span: st.builds(
        lambda first, length: Span(first=first, last=None if length is None else first + length),
        st.integers(0, 10**17),
        st.none() | st.integers(0, 10**17),
    ),
}
_BY_READER = {reader: _KINDS[kind] for kind, (reader, _) in READERS.items()}


def requests_of(command: Command) -> st.SearchStrategy[Request[Any]]:
    """Any request of a command."""
    required: dict[str, st.SearchStrategy[Any]] = {}
    optional: dict[str, st.SearchStrategy[Any]] = {}
    for parameter in command.parameters:
        values = _BY_READER[parameter.read]
        if parameter.repeats:
            values = st.lists(values, max_size=4).map(tuple)
        (required if parameter.required else optional)[parameter.field] = values
    for switch in command.switches:
        optional[switch.field] = st.booleans()
    if command.free_switches is not None:
        names = flags.filter(lambda name: name.upper() not in command.by_switch)
        optional[command.free_switches] = st.lists(st.tuples(names, st.booleans()), max_size=4).map(tuple)
    return st.fixed_dictionaries(required, optional=optional).map(lambda fields: command.request(**fields))


def any_requests() -> st.SearchStrategy[Request[Any]]:
    """Any request of any command."""
    return st.sampled_from(COMMANDS).flatmap(requests_of)


def cut(octets: bytes, places: list[int]) -> list[bytes]:
    """The octets in pieces, cut at these places."""
    bounds = [0, *sorted({place for place in places if 0 < place < len(octets)}), len(octets)]
    return [octets[start:stop] for start, stop in pairwise(bounds)]


class Read:
    """What a ServerConnection made of octets, without the accidents of how they were cut."""

    def __init__(self, *, resume: bool = True) -> None:
        self.connection = ServerConnection()
        self.seen: list[tuple[Any, ...]] = []
        """Calls, troubles and ends of bodies, in order."""
        self.bodies: list[bytes | str | None] = []
        """By the order of their calls: the octets, or the word of what was wrong; None if it has not ended."""
        self._resume = resume
        self._numbers: dict[int, int] = {}
        self._kept: list[Any] = []
        self._data: dict[int, list[bytes]] = {}

    def feed(self, *pieces: bytes) -> "Read":
        for piece in pieces:
            self._take(self.connection.receive_data(piece))
        return self

    def resume(self) -> "Read":
        self._take(self.connection.resume())
        return self

    def _take(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, Call):
                self._call(event)
            elif isinstance(event, Trouble):
                self.seen.append(("trouble", event.pid, type(event.error), event.error.word, event.error.text))
            else:
                self._octets(event)
        if self._resume and events and isinstance(events[-1], Call) and events[-1].command.alone:
            self.resume()

    def _call(self, call: Call) -> None:
        self.seen.append(("call", call.pid, call.request, call.size))
        if not has_octets(call.request):
            assert call.octets is None
            assert call.body is None
            return
        number = len(self.bodies)
        if call.octets is not None:
            assert call.body is None
            self.bodies.append(call.octets)
            self.seen.append(("end", number))
            return
        assert call.body is not None
        assert call.body.pid == call.pid
        self.bodies.append(None)
        self._kept.append(call.body)
        self._numbers[id(call.body)] = number
        self._data[number] = []

    def _octets(self, event: Octets) -> None:
        number = self._numbers[id(event.body)]
        assert self.bodies[number] is None, "octets after the end"
        self._data[number].append(event.data)
        if event.last:
            error = event.body.error
            self.bodies[number] = b"".join(self._data[number]) if error is None else error.word
            self.seen.append(("end", number))

    @property
    def result(self) -> tuple[Any, ...]:
        return self.seen, self.bodies, self.connection.broken

    @property
    def words(self) -> list[str]:
        """The words of the troubles, or the names of the commands."""
        return [
            entry[3] if entry[0] == "trouble" else type(entry[2]).__name__ for entry in self.seen if entry[0] != "end"
        ]


def read(octets: bytes, *, resume: bool = True) -> Read:
    """What becomes of octets that come in one piece."""
    return Read(resume=resume).feed(octets)


def lines_of(octets: bytes) -> list[tuple[str | None, Line]]:
    """Reply lines as the client reads them; every octet belongs to one."""
    events = ClientConnection().receive_data(octets)
    assert octets.endswith(b"\n")
    assert len(events) == octets.count(b"\n")
    lines = []
    for event in events:
        assert isinstance(event, ReplyLine)
        lines.append((event.pid, event.line))
    return lines


def map_texts(value: Any, change: Any) -> Any:
    """A copy of a struct with ``change`` applied to every text in it."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, tuple):
        return tuple(map_texts(item, change) for item in value)
    if isinstance(value, msgspec.Struct):
        return type(value)(**{name: map_texts(getattr(value, name), change) for name in value.__struct_fields__})
    return value
