"""The grammar describes what is spoken: every line of the documents and conversations, and what the parser takes.

Rules: the text that is read is the one of the documents; what the server's parser takes is in the grammar, and what it
refuses is not, but for the few faults that no grammar of this kind can tell.
"""

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from tests.abnf import AbnfError, Grammar
from tests.docs.transcripts import ROOT, Piece, Transcript, transcripts
from tests.protocol.making import any_requests, pids
from tests.spoken import GRAMMAR, HINT, PATH, is_reply, rule_of, rule_of_line

from immpd.protocol.bodies import Body
from immpd.protocol.connection import MAX_LINE
from immpd.protocol.errors import OutOfStep
from immpd.protocol.grammar import parse_line, print_request
from immpd.protocol.registry import BY_REQUEST, COMMANDS, KEYWORDS, Command, Request
from immpd.protocol.states import State

TRANSCRIPTS = list(transcripts())
ROOTS = {"client", "server", "input", "base64-line", "any-line", "any-reply", "reply-line", "greeting"}
CANNOT_TELL = {"REPEATED", "MISSING", "NO-VALUE", "ALONE", "STATE", "UPGRADE-FIRST", "UNKNOWN-PARAMETER"}
"""What is wrong with a line that the grammar takes: how often something stands there, and in which state."""
MEANING = re.compile(
    r"not UTF-8|numeric address|cannot be written so|longer|no domain|range of octets|have this name|id of a message"
)
"""Faults of values that have the right form."""
_AS = re.compile(r"AS +[A-Za-z0-9\-_.]{1,32} +", re.IGNORECASE)
_COMMANDS = re.compile(r'(?:"(?:[^"\\]|\\.)*"|[^";])+')


def named(text: str) -> Command | None:
    """The command whose keywords a text begins with."""
    words = text.upper().replace("AUTHENTICATE", "AUTH").split()
    for length in range(min(3, len(words)), 0, -1):
        found = KEYWORDS.get(" ".join(words[:length]))
        if found is not None:
            return found
    return None


def has_texts(command: Command) -> bool:
    """It takes any text by its place, also one that is the name of a parameter: the grammar cannot tell them apart."""
    return any(one.positional and one.read is str for one in command.parameters)


def outside(request: Request[Any]) -> bool:
    """A value is none of those that its parameter has: that is found out when the command is carried out."""
    for one in BY_REQUEST[type(request)].parameters:
        value = getattr(request, one.field)
        if one.read is str and "|" in one.value and value is not None and value.lower() not in one.value.split("|"):
            return True
    return False


def test_every_rule_is_defined_and_needed():
    answers = {f"{rule_of(command)}-reply" for command in COMMANDS}
    assert {name for name in GRAMMAR.own if name not in GRAMMAR.used} - answers <= ROOTS
    assert answers <= GRAMMAR.own
    assert {rule_of(command) for command in COMMANDS} <= GRAMMAR.own


def test_no_line_of_it_is_too_long():
    assert [line for line in PATH.read_text().splitlines() if len(line) > 120] == []


class Said:
    """What one client has said: lines, and the octets that follow them."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.over = False
        """Nothing more is read."""
        self._rest = b""
        self._bodies: list[Body] = []
        self._chunked: dict[str | None, Body] = {}

    def read(self, octets: bytes) -> list[str]:
        """What is wrong with the lines that these octets complete."""
        wrong: list[str] = []
        octets = self._rest + octets
        while octets and not self.over:
            if self._bodies and not self._bodies[0].lines:
                count = min(self._bodies[0].remaining, len(octets))
                octets = octets[count:]
                self._bodies[0].remaining -= count
                if not self._bodies[0].remaining:
                    self._bodies.pop(0)
                continue
            line, feed, after = octets.partition(b"\n")
            if not feed:
                break
            octets = after
            if self._bodies:
                wrong += self._base64_line(line)
            else:
                wrong += self._line(line)
        self._rest = octets
        return wrong

    def _base64_line(self, line: bytes) -> list[str]:
        body = self._bodies[0]
        body.empty_lines = body.empty_lines + 1 if not line else 0
        if body.empty_lines == 2:
            self._bodies.pop(0)
        bad = re.search(rb"[^A-Za-z0-9+/= \t]", line) is not None
        return [f"base64-line: {line!r}"] if GRAMMAR.matches("base64-line", line + b"\n") is bad else []

    def _line(self, line: bytes) -> list[str]:
        chunk = re.fullmatch(rb"(?:AS ([^ ]+) )?CHUNK ([0-9]+)", line)
        if chunk is not None and self._chunked:
            if int(chunk[2]):
                self._bodies.append(Body(None, int(chunk[2])))
            else:
                self._chunked.pop(None if chunk[1] is None else chunk[1].decode(), None)
            return [] if GRAMMAR.matches("chunk-line", line + b"\n") else [f"chunk-line: {line!r}"]
        if len(line) > MAX_LINE:
            self.over = True
            return []
        results = parse_line(line, self.state)
        if any(one.error is not None and one.error.word in ("UTF-8", "CONTROL-CHARACTER", "QUOTES") for one in results):
            self.over = isinstance(results[0].error, OutOfStep)
            return [f"any-line should not take: {line!r}"] if GRAMMAR.matches("any-line", line + b"\n") else []
        wrong = [] if GRAMMAR.matches("any-line", line + b"\n") else [f"any-line does not take: {line!r}"]
        texts = [text.strip(" ") for text in _COMMANDS.findall(line.decode()) if text.strip(" ")]
        for text, one in zip(texts, results, strict=True):
            wrong += self._command(text, one.error, one.request)
            if isinstance(one.error, OutOfStep):
                self.over = True
            elif one.request is not None and one.command is not None and one.command.body:
                self._begin(one.pid, one.request)
        return wrong

    def _command(self, text: str, error: Exception | None, request: Request[Any] | None) -> list[str]:
        bare = text[found.end() :] if (found := _AS.match(text)) else text
        command = named(bare)
        takes = command is not None and GRAMMAR.matches(rule_of(command), bare.encode())
        if request is not None and outside(request):
            return []
        if error is None and not takes:
            return [f"{command and rule_of(command)} does not take: {bare}"]
        word = getattr(error, "word", "")
        told = word in CANNOT_TELL or MEANING.search(str(error)) is not None
        if takes and error is not None and command is not None and not told and not has_texts(command):
            return [f"{rule_of(command)} should not take: {bare} ({error})"]
        return []

    def _begin(self, pid: str | None, request: object) -> None:
        length = getattr(request, "length", None)
        chunked, base64 = getattr(request, "chunked", False), getattr(request, "base64", False)
        if length is None and not chunked and not base64:
            return
        body = Body(pid, length or 0, chunked=chunked, base64=base64, lines=length is None and not chunked)
        if chunked:
            self._chunked[pid] = body
        elif length or body.lines:
            self._bodies.append(body)


_STEPS = [
    (re.compile(r"(\w+) connects"), State.CLEAR),
    (re.compile(r"(\w+) connects with TLS"), State.UNAUTHENTICATED),
    (re.compile(r"(\w+) is secured"), State.UNAUTHENTICATED),
    (re.compile(r"(\w+): \w+ logs in.*"), State.USER),
    (re.compile(r"(\w+) logs in.*"), State.USER),
    (re.compile(r"the (operator) connects"), State.OPERATOR),
]


def problems(transcript: Transcript) -> list[str]:
    """Lines of both sides that the grammar does not take, or should not."""
    clients = {"": Said(State.USER)}
    current = ""
    wrong = []
    for piece in transcript.pieces:
        current = piece.who or current
        if piece.side == "-":
            for pattern, state in _STEPS:
                if (found := pattern.fullmatch(piece.text)) is not None:
                    current = found[1]
                    clients[current] = Said(state)
                    break
            if piece.text == "handshake":
                clients[current] = Said(State.UNAUTHENTICATED)
        elif piece.side == "C":
            octets = piece.text.encode("latin-1") if piece.raw else piece.text.encode() + b"\n"
            wrong += [f"{piece.place}: {problem}" for problem in clients[current].read(octets)]
        elif not piece.raw:
            wrong += server_problems(piece)
            if re.match(r"210 ", piece.text):
                clients[current].state = State.USER
    return wrong


def server_problems(piece: Piece) -> list[str]:
    rule = rule_of_line(piece.text)
    octets = piece.text.encode() + (
        b" \n" if piece.text.endswith("-") else b"\n"
    )  # scripts have no blank at their ends
    wrong = [one for one in (rule, "any-reply") if one not in GRAMMAR.own or not GRAMMAR.matches(one, octets)]
    return [f"{piece.place}: {one} does not take: {piece.text}" for one in wrong]


@pytest.mark.parametrize("transcript", TRANSCRIPTS, ids=lambda one: one.name)
def test_the_lines_of_a_conversation(transcript):
    wrong = problems(transcript)
    assert not wrong, "\n".join(wrong) + f"\n{HINT}"


@settings(max_examples=400, deadline=None)
@given(any_requests(), pids)
def test_every_request_that_can_be_printed(request, pid):
    line = print_request(request)
    if not outside(request) and len(line.encode()) <= MAX_LINE:
        command = BY_REQUEST[type(request)]
        assert GRAMMAR.matches(rule_of(command), line.encode()), f"{line}\n{HINT}"
        assert GRAMMAR.matches("any-line", f"AS {pid} {line}\r\n".encode())


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("any-line", "NOOP"),
        ("any-line", 'HELP "\n'),
        ("any-line", 'HELP "a"b\n'),
        ("any-line", 'HELP a"b"\n'),
        ("any-line", "HELP a\tb\n"),
        ("any-line", "HELP \x7f\n"),
        ("any-line", "HELP \x85\n"),
        ("any-line", 'HELP "a\\"\n'),
        ("any-line", "NOOP\n\n"),
        ("noop", "NOOP +FAST"),
        ("noop", "NOOP NOOP"),
        ("mbox-check", "MBOX CHECK"),
        ("mbox-check", "MBOX CHECK inbox"),
        ("mbox-check", 'MBOX CHECK "/two words"'),
        ("mbox-check", "MBOX CHECK /two words"),
        ("mbox-check", "MBOX CHECK /inbox +FAST"),
        ("mbox-check", "MBOX CHECK /inbox::"),
        ("mbox-check", "MBOX CHECK /inbox::pink"),
        ("mbox-check", "MBOX CHECK /inbox::keyword:"),
        ("mbox-check", "MBOX CHECK /inbox::since:yesterday"),
        ("mbox-check", "MBOX CHECK /inbox#1"),
        ("mbox-check", "MBOX CHECK /inbox?a=b"),
        ("mbox-check", "MBOX CHECK //"),
        ("mbox-check", "MBOX CHECK -dash@a.example"),
        ("mbox-index", "MBOX INDEX /inbox LIMIT many"),
        ("mbox-index", "MBOX INDEX /inbox LIMIT -1"),
        ("mbox-index", "MBOX INDEX /inbox AFTER 17"),
        ("mbox-fetch", "MBOX FETCH /inbox RANGE 5"),
        ("mbox-flag", "MBOX FLAG /inbox::* +two/words"),
        ("mbox-move", "MBOX MOVE /a"),
        ("deliver", "DELIVER alice@example.org"),
        ("deliver", "DELIVER TO alice@[127.0.0.1]"),
        ("deliver", "DELIVER TO alice"),
        ("deliver", "DELIVER TO @example.org"),
        ("deliver", "DELIVER TO a@b@example.org"),
        ("deliver", "DELIVER TO alice@example..org"),
        ("deliver", "DELIVER TO alice@-example.org"),
        ("push", "PUSH TO alice@example.org LEVEL loud"),
        ("auth-scram-sha-256", "AUTH SCRAM-SHA-256 +AAA"),
        ("publish-create", "PUBLISH CREATE alice/a@example.org ACCESS everybody"),
        ("chunk-line", "CHUNK\n"),
        ("chunk-line", "CHUNK 5 6\n"),
        ("row-240", "240 /INBOX u=0 t=0 s=a.1\n"),
        ("end-240", "240 /INBOX u=0 t=0\n"),
        ("end-240", "240 /INBOX u=0 t=0 s=a.1 x=\u202e\n"),
        ("end-250", "250 n=1 s=a.1 more=1\n"),
        ("end-refused", "404 There is no folder\n"),
        ("end-refused", "404 [NO-SUCH-WORD] There is no folder\n"),
        ("end-refused", "404 [TOO-FAST] Wait\n"),
        ("end-refused", "404- [NO-FOLDER] There is no folder\n"),
        ("any-reply", "20 Done\n"),
        ("any-reply", "two words: 200 Done\n"),
        ("any-reply", "200 \u2028\n"),
        ("block-head", "255- m 1 4\n"),
        ("block-head", "255 0197a2b4-7c3e-7d4a-8f00-1b2c3d4e5f60 1 4\n"),
    ],
)
def test_what_is_wrong_is_not_taken(rule, text):
    assert not GRAMMAR.matches(rule, text.encode())


@pytest.mark.parametrize(
    "text",
    [
        "a = b\n",
        "a = a\n",
        'a = "x\n',
        'a = ("x"\n',
        "a = %xZZ\n",
        'a = "x" /\n',
        'a = "x"\nA = "y"\n',
        '  "x"\n',
        "a b\n",
        'a = "ü"\n',
    ],
)
def test_what_is_no_grammar_is_refused(text):
    with pytest.raises(AbnfError):
        Grammar(text)


def test_a_grammar_means_what_rfc_5234_says():
    grammar = Grammar('a = 1*2"x" [ %s"Y" ] ; a comment\n  ( %d65-66 / %x43.44 ) *DIGIT\nb = %xE2.82.AC / 2( a "-" )\n')
    for text in ("xA", "XXYB7", "xCD"):
        assert grammar.matches("a", text.encode())
    for text in ("", "A", "xxxA", "xyA", "xC", "xAx"):
        assert not grammar.matches("a", text.encode())
    assert grammar.matches("b", b"xA-xB-")
    assert not grammar.matches("b", b"xA-")
    assert not grammar.matches("b", b"\xff")


def test_the_conversations_are_all_looked_at():
    names = {path.stem for path in Path(ROOT / "tests" / "sessions").rglob("*.immp")}
    assert names <= {one.name for one in TRANSCRIPTS}


def test_what_each_state_may_say():
    assert GRAMMAR.matches("clear-input", b"quit\n")
    assert GRAMMAR.matches("clear-input", b"\r\n")
    assert not GRAMMAR.matches("clear-input", b"NOOP\n")
    assert not GRAMMAR.matches("clear-input", b"UPGRADE TLS; QUIT\n")
    assert GRAMMAR.matches("upgrade-input", b" UPGRADE TLS\r\n")
    assert not GRAMMAR.matches("upgrade-input", b"AS x UPGRADE TLS\n")
    for state in State:
        name = state.name.lower()
        said = " / ".join(
            GRAMMAR.elements(rule) for rule in (f"{name}-command", f"{name}-alone") if rule in GRAMMAR.own
        )
        assert sorted(said.split(" / ")) == sorted(rule_of(one) for one in COMMANDS if state in one.states), name


@pytest.mark.parametrize(
    ("rule", "octets", "good"),
    [
        ("greeting", b"100- IMMP/1.0 server\n100- Please upgrade\n102 TLS\n101 p=IMMP v=1.0 d=a.example\n", True),
        ("greeting", b"102 TLS\n", False),
        ("base64-body", b"aGVs\nbG8=\n\n\n", True),
        ("base64-body", b"aGVs\r\n\r\nbG8=\r\n\r\n\r\n", True),
        ("base64-body", b"\n\n", True),
        ("base64-body", b"aGVs\n\n", False),
        ("base64-body", b"aGVs!\n\n\n", False),
        ("chunk", b"AS p CHUNK 5\nhello", True),
        ("chunk", b"CHUNK five\nhello", False),
        ("block", b"w: 255- 0197a2b4-7c3e-7d4a-8f00-1b2c3d4e5f60 2 3 more=1\nabc\n", True),
        ("block", b"255- 0197a2b4-7c3e-7d4a-8f00-1b2c3d4e5f60 2 3\nabc", False),
    ],
)
def test_what_has_several_lines(rule, octets, good):
    assert GRAMMAR.matches(rule, octets) is good


def test_which_lines_a_reply_has():
    commands = {command.name: command for command in COMMANDS}
    assert is_reply(commands["MBOX LIST"], ["row-241", "row-241", "end-241"])
    assert is_reply(commands["MBOX LIST"], ["end-refused"])
    assert is_reply(commands["MBOX FETCH"], ["block-head", "row-250", "end-250"])
    assert not is_reply(commands["MBOX LIST"], ["end-241", "row-241"])
    assert not is_reply(commands["MBOX LIST"], ["row-240", "end-241"])
    assert not is_reply(commands["NOOP"], ["row-200", "end-200"])
