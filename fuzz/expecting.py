"""What may be answered to given octets: which commands they hold, and which replies each of these can have.

Rules: the sans-IO parser says which commands there are (how the octets are cut never changes that); everything else is
read here from docs/protocol.md and the registry. In one pipeline replies come in order, but for those of commands that
act when they are read: where a reply can be theirs or the next one's, both are followed.
"""

import re
import unicodedata
from collections import defaultdict

import msgspec

from immpd.protocol.codes import Code, describe
from immpd.protocol.commands import Ack, Cancel, Quit, Upgrade
from immpd.protocol.connection import MAX_LINE, Call, Event, Octets, ServerConnection
from immpd.protocol.errors import OutOfStep
from immpd.protocol.registry import COMMON_CODES
from immpd.protocol.states import State
from immpd.protocol.words import WORDS
from immpd.server.upgrading import refusal_of_method

from .finding import Found

_LINE = re.compile(r"(?:([A-Za-z0-9_.-]{1,32}): )?([1-9][0-9]{2})(-)?(?: (.*))?", re.DOTALL)
_BLOCK = re.compile(r"[^ ]+ [^ ]+ ([0-9]+)(?: more=1)?")
_WORD = re.compile(r"\[([A-Z0-9-]+)\] (?:retry=[0-9]+ )?.+", re.DOTALL)
_REFUSED = frozenset({Code.LIMIT, Code.CANCELLED})
"""What any command that waits may become: too many pipelines, or cancelled."""

_UNREAD = {Code.SYNTAX, Code.UNKNOWN, Code.BAD_VALUE}
"""Whose words come with 720 where octets may follow the line."""


_AT_ONCE = (Ack, Cancel, Quit, Upgrade)
"""What acts when it is read, beside its pipeline."""


class Pending(msgspec.Struct):
    """A command that has not been answered."""

    name: str
    allowed: frozenset[Code]


class Pipeline:
    """The commands of one pipeline, and all the ways in which its replies so far can be theirs."""

    def __init__(self) -> None:
        self.queue: list[Pending] = []
        self.beside: dict[int, list[Pending]] = defaultdict(list)
        """By place in ``_AT_ONCE``."""
        self._ways: set[tuple[int, ...]] = {(0,) * (1 + len(_AT_ONCE))}
        """How many of the queue and of each kind beside it have been answered."""

    def answered(self, code: Code, *, final: bool) -> bool:
        """Whether somebody can be answered so now."""
        ways = set()
        for way in self._ways:
            for at, several in enumerate((self.queue, *map(self.beside.__getitem__, range(len(_AT_ONCE))))):
                if way[at] < len(several) and code in several[way[at]].allowed:
                    if final:
                        ways.add((*way[:at], way[at] + 1, *way[at + 1 :]))
                    elif at == 0:
                        ways.add(way)
        if ways:
            self._ways = ways
        return bool(ways)

    @property
    def pending(self) -> list[str]:
        """Names of what waits, where most have been answered."""
        way = max(self._ways, key=sum)
        beside = [one for at, several in self.beside.items() for one in several[way[at + 1] :]]
        return [one.name for one in (*self.queue[way[0] :], *beside)]


class Expected:
    """Told of every line that comes, raises Found for one that may not."""

    def __init__(self, state: State, octets: bytes) -> None:
        self.state = state
        self.size = len(octets)
        self.quits = False
        """The octets hold a QUIT: after its answer nothing is open."""
        self.broken: OutOfStep | None = None
        self.upgrades = False
        """TLS begins, so that what comes is no line any more."""
        self.closed = False
        """The last word was said."""
        self._pipelines: dict[str | None, Pipeline] = defaultdict(Pipeline)
        connection = ServerConnection(state)
        events = connection.receive_data(octets)
        while events and not self.ends:
            for event in events:
                if not self.ends:
                    self._expect(event)
            events = connection.resume()

    @property
    def ends(self) -> bool:
        """The server hangs up when it has read so far."""
        return self.quits or self.upgrades or self.broken is not None

    @property
    def pending(self) -> list[str]:
        """The names of what waits for an answer."""
        return [name for one in self._pipelines.values() for name in one.pending]

    def _expect(self, event: Event) -> None:
        if isinstance(event, Octets):
            return
        if not isinstance(event, Call):
            if isinstance(event.error, OutOfStep):
                self.broken = event.error
                return
            code = Code.CLEAR if self.state is State.CLEAR else event.error.code
            self._pipelines[event.pid].queue.append(Pending(event.error.word, _REFUSED | {code}))
            return
        command, request = event.command, event.request
        fits = self.state in command.states
        one = Pending(command.name, COMMON_CODES | frozenset(command.codes) if fits else COMMON_CODES)
        self.quits = isinstance(request, Quit)
        self.upgrades = fits and isinstance(request, Upgrade) and refusal_of_method(request.method) is None
        pipeline = self._pipelines[event.pid]
        at_once = fits and type(request) in _AT_ONCE
        (pipeline.beside[_AT_ONCE.index(type(request))] if at_once else pipeline.queue).append(one)

    def line(self, octets: bytes) -> int:
        """Take one line, its LF included; returns how many octets of a block follow it."""
        try:
            text = octets.decode()
        except UnicodeDecodeError:
            raise Found(f"a reply line is not UTF-8: {octets[:200]!r}") from None
        found = _LINE.fullmatch(text[:-1])
        if not text.endswith("\n") or found is None or len(octets) > MAX_LINE + 1:
            raise Found(f"this is no reply line: {octets[:200]!r}")
        bad = (sign for sign in text[:-1] if not sign.isprintable())  # spaces that are not plain ones do no harm
        if any(unicodedata.category(sign) in ("Cc", "Zl", "Zp") or sign in "\u202e\u2066" for sign in bad):
            raise Found(f"a reply line holds what could forge another: {octets[:200]!r}")
        if self.closed:
            raise Found(f"a line after the last word: {text[:200]!r}")
        pid, number, dash, rest = found.groups()
        code = describe(int(number))
        if code is None or code is Code.INTERNAL:
            raise Found(f"this must not be said: {text[:200]!r}")
        if code >= 400:
            word = _WORD.fullmatch(rest or "")
            codes = WORDS.get(word[1], ((), ""))[0] if word else ()
            if code not in codes and not (code is Code.OUT_OF_STEP and _UNREAD & set(codes)):
                raise Found(f"an error without its word: {text[:200]!r}")
        if code in (Code.OUT_OF_STEP, Code.BOUND, Code.SHUTDOWN):
            self._last_word(code, text)
            return 0
        self._match(pid, code, final=code.final and dash is None, text=text)
        block = _BLOCK.fullmatch(rest or "") if code is Code.BLOCK else None
        if code is Code.BLOCK and (block is None or dash is None):
            raise Found(f"this is no head of a block: {text[:200]!r}")
        return 0 if block is None else int(block[1]) + 1

    def _last_word(self, code: Code, text: str) -> None:
        self.closed = True
        if code is Code.OUT_OF_STEP and self.broken is not None and f"[{self.broken.word}]" in text:
            return
        if code is Code.BOUND and self.state < State.USER:
            return
        raise Found(f"closed without need: {text[:200]!r}")

    def _match(self, pid: str | None, code: Code, *, final: bool, text: str) -> None:
        greets = code < 200 and self.state < State.USER
        if not self._pipelines[pid].answered(code, final=final) and not greets:
            waiting = self._pipelines[pid].pending[:5]
            raise Found(f"{code:d} answers nothing: {text[:200]!r}; {waiting} wait in {pid or 'the default pipeline'}")
        if code.closes:
            self.closed = True
            if code is Code.GOODBYE and self.pending:
                raise Found(f"good-bye, but not answered: {self.pending[:10]}")

    def end(self, *, reset: bool) -> None:
        """The server has hung up. A reset may have cost its last word, where it was to hang up."""
        flooded = self.state < State.USER and self.size > 65_000
        if not self.closed and not self.upgrades and not (reset and (self.ends or flooded)):
            raise Found(f"hung up without a last word; not answered: {self.pending[:10]}")
