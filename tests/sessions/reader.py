"""Whose reply a line is, read from what docs/protocol.md, "Replies", says, and from nothing else of this project.

It knows what was said and what came: no table of codes, no state of the server. Every conversation is read by it.
"""

import re
from collections import defaultdict, deque

GOES_ON = {100, 102, 271, 302, 380}
"""Without a dash, and yet not the end."""
ACK, CANCEL = {205, 405}, {206, 406}
CLOSES = {203, 705, 720, 721, 751, 752}
_LINE = re.compile(r"(?:([A-Za-z0-9\-_.]{1,32}): )?([1-7][0-9]{2})(-?)(?: (.*))?", re.DOTALL)


class Heard:
    """A reply: what asked for it, and its lines as (code, text)."""

    def __init__(self, command: str) -> None:
        self.command = command
        self.lines: list[tuple[int, str]] = []


class Reader:
    """Reads the lines of a connection; AssertionError where one answers nothing."""

    def __init__(self, *, logged_in: bool = False) -> None:
        self.logged_in = logged_in
        self.waiting: dict[str, deque[Heard]] = defaultdict(deque)
        self.acks: dict[str, deque[Heard]] = defaultdict(deque)
        self.cancels: dict[str, list[Heard]] = defaultdict(list)
        self.quits: list[Heard] = []
        self.greeting = Heard("")
        self.greeted = False
        self.closed = False
        self.interrupted = 0
        """How often an answer to ACK or CANCEL stood in the middle of another reply."""
        self.replies: list[Heard] = []
        """Those that have ended, in that order."""

    def said(self, pid: str, command: str, argument: str = "") -> None:
        """A command was sent in the pipeline, or something that cannot be read as one."""
        one = Heard(f"{command} {argument}".strip())
        if command == "ACK" and self.logged_in:
            self.acks[pid].append(one)
        elif command == "CANCEL":
            self.cancels[pid].append(one)
        elif command == "QUIT":
            self.quits.append(one)
        else:
            self.waiting[pid].append(one)

    def heard(self, line: str) -> Heard:
        """The reply that the line belongs to."""
        found = _LINE.fullmatch(line)
        assert found is not None, f"this is no reply: {line!r}"
        pid, number, dash, text = found[1] or "", int(found[2]), found[3], found[4] or ""
        assert not self.closed, f"a line after the last one: {line!r}"
        one = self._whose(pid, number, dash, text, line)
        one.lines.append((number, text))
        return one

    def _whose(self, pid: str, number: int, dash: str, text: str, line: str) -> Heard:
        if number in CLOSES:
            self.closed = True
            if number == 203:
                return self._ended(self.quits.pop(0))
            if number != 705:  # it belongs to the connection
                return self._ended(Heard(""))
        if number in ACK | CANCEL and self.waiting[pid] and self.waiting[pid][0].lines:
            self.interrupted += 1
        if number in ACK:
            return self._ended(self.acks[pid].popleft())
        if number in CANCEL:
            several = self.cancels[pid]
            named = [one for one in several if number == 406 or one.command == f"CANCEL {text}"]
            assert named, f"nobody said CANCEL: {line!r}"
            several.remove(named[0])
            return self._ended(named[0])
        if not self.greeted:
            self.greeted = number == 101 and not dash
            return self.greeting
        waiting = self.waiting[pid]
        assert waiting, f"nothing waits for an answer here: {line!r}"
        one = waiting[0]
        if not dash and number not in GOES_ON:
            waiting.popleft()
            self.logged_in = self.logged_in or number == 210
            self._ended(one)
        return one

    def _ended(self, one: Heard) -> Heard:
        self.replies.append(one)
        return one
