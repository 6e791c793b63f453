"""Octets become events on both sides, however they are cut, and nothing gets out of step unnoticed."""

import base64
import gc
import weakref
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.protocol.making import Read, any_requests, any_texts, cut, pids, read

from immpd.protocol.commands import Abort, AuthResponse, Data, Deliver, Done, Noop, Quit, Upgrade
from immpd.protocol.connection import (
    MAX_BLOCK,
    MAX_CHUNKED,
    MAX_LINE,
    Block,
    Call,
    ClientConnection,
    ReplyLine,
    ServerConnection,
    Trouble,
)
from immpd.protocol.errors import OutOfStep, SyntaxFault
from immpd.protocol.grammar import print_request
from immpd.protocol.lines import Line
from immpd.protocol.registry import has_octets
from immpd.protocol.states import State

places = st.lists(st.integers(0, 400), max_size=12)


def same_at_every_octet(octets: bytes) -> Read:
    """What becomes of the octets, which is the same with one cut anywhere and with all of them."""
    whole = read(octets)
    for place in range(1, len(octets)):
        assert Read().feed(octets[:place], octets[place:]).result == whole.result
    assert Read().feed(*(octets[n : n + 1] for n in range(len(octets)))).result == whole.result
    return whole


def chunks(pid: str | None, *pieces: bytes) -> bytes:
    head = b"" if pid is None else f"AS {pid} ".encode()
    return b"".join(head + b"CHUNK %d\n" % len(piece) + piece for piece in (*pieces, b""))


# --- states ----------------------------------------------------------------------------------------------


def test_values_of_a_command_of_another_state_are_not_read() -> None:
    connection = ServerConnection(State.UNAUTHENTICATED)
    events = connection.receive_data(
        b"DELIVER TO nonsense; AS a FETCH /x#1 LIMIT many; NOOP\nDATA a LENGTH 3\nabcNOOP\n"
    )
    assert [(event.pid, event.error.word) for event in events if isinstance(event, Trouble)] == [
        (None, "STATE"),
        ("a", "STATE"),
    ]
    assert [type(event.request) for event in events if isinstance(event, Call)] == [Noop, Data, Noop]
    connection.state = State.USER
    (trouble,) = connection.receive_data(b"DELIVER TO nonsense\n")
    assert isinstance(trouble, Trouble)
    assert trouble.error.word == "BAD-VALUE"


@pytest.mark.parametrize("state", [State.CLEAR, State.UNAUTHENTICATED])
@pytest.mark.parametrize("claim", ["LENGTH 5", "+chunked", "+BASE64"])
def test_octets_may_follow_a_command_of_another_state(state: State, claim: str) -> None:
    connection = ServerConnection(state)
    (trouble,) = connection.receive_data(f"DELIVER TO nonsense {claim}\nQUIT\n".encode())
    assert isinstance(trouble, Trouble)
    assert isinstance(trouble.error, OutOfStep)
    assert connection.broken


# --- any octets, cut anywhere ----------------------------------------------------------------------------


class Stream:
    """Octets that a client sends in several pipelines, and the bodies that they must become."""

    def __init__(self) -> None:
        self.octets = b""
        self.bodies: dict[str, bytes] = {}
        self.count = 0

    def name(self, body: bytes) -> str:
        name = f"part{self.count}"
        self.count += 1
        self.bodies[name] = body
        return name


_bodies = st.binary(max_size=30) | st.sampled_from([b"", b"\n", b"\r\n", b"NOOP\n", b"CHUNK 0\n", b"\n\n\n", b"abc"])
_ends = st.sampled_from(["\n", "\r\n"])
_openings = st.sampled_from(["DATA", "DELIVER SUBJECT", "MBOX PUT /x SUBJECT"])
"""What octets may follow in every form; the next word is the name of the body."""


@st.composite
def streams(draw: st.DrawFn) -> Stream:
    """A well-behaved client: bodies of every kind, chained, refused and interleaved, and commands that stand alone."""
    stream = Stream()
    scripts = [_script(draw, stream, pid) for pid in (None, "p1", "P1")]
    # bodies of one script stay in order, the scripts interleave
    while any(scripts):
        script = draw(st.sampled_from([script for script in scripts if script]))
        stream.octets += script.pop(0)
    return stream


_KINDS = ["line", "length", "base64", "lines", "chunked", "chunked base64", "chain", "alone", "bad"]


def _script(draw: st.DrawFn, stream: Stream, pid: str | None) -> list[bytes]:
    head = "" if pid is None else f"AS {pid} "
    pieces: list[bytes] = []
    for kind in draw(st.lists(st.sampled_from(_KINDS), max_size=4)):
        end = draw(_ends)
        body = draw(_bodies)
        text = base64.b64encode(body)
        if kind == "line":
            pieces.append(f"{head}{draw(st.sampled_from(['NOOP', 'noop ; NOOP', 'DELIVER', '']))}{end}".encode())
        elif kind == "length":
            name = stream.name(body)
            pieces.append(f"{head}{draw(_openings)} {name} LENGTH {len(body)}{end}".encode() + body)
        elif kind == "base64":
            pieces.append(
                f"{head}{draw(_openings)} {stream.name(body)} +BASE64 LENGTH {len(text)}{end}".encode() + text
            )
        elif kind == "lines":
            lines = b"".join(text[n : n + 8] + end.encode() for n in range(0, len(text), 8))
            pieces.append(
                f"{head}{draw(_openings)} {stream.name(body)} +BASE64{end}".encode() + lines + 2 * end.encode()
            )
        elif kind in ("chunked", "chunked base64"):
            sent, switch = (body, "") if kind == "chunked" else (text, " +BASE64")
            pieces.append(f"{head}{draw(_openings)} {stream.name(body)} +CHUNKED{switch}{end}".encode())
            for piece in [*filter(None, cut(sent, draw(places))), b""]:
                pieces.append(f"{head}CHUNK {len(piece)}{end}".encode() + piece)
        elif kind == "chain":
            first, last = draw(_bodies), draw(_bodies)
            commands = [
                f"{draw(_openings)} {stream.name(first)} LENGTH {len(first)}",
                f"{draw(_openings)} {stream.name(body)} +BASE64",
                "NOOP",
                f"{draw(_openings)} {stream.name(last)} LENGTH {len(last)}",
            ]
            line = "; ".join(head + command for command in commands) + end
            ending = end.encode() * (3 if text else 2)
            pieces.append(line.encode() + first + text + ending + last)
        elif kind == "alone":
            pieces.append(f"{head}AUTH RESPONSE x{end}".encode())
        else:
            pieces.append(f"{head}FROB{end}".encode())
    return pieces


@given(streams(), places)
def test_a_client_is_understood_however_its_octets_are_cut(stream: Stream, where: list[int]) -> None:
    whole = read(stream.octets)
    assert not whole.connection.broken
    assert whole.connection.waiting == 0
    requests = [entry[2] for entry in whole.seen if entry[0] == "call" and has_octets(entry[2])]
    names = [request.name if isinstance(request, Data) else request.subject for request in requests]
    assert dict(zip(names, whole.bodies, strict=True)) == stream.bodies
    assert Read().feed(*cut(stream.octets, where)).result == whole.result
    assert Read().feed(*(stream.octets[n : n + 1] for n in range(len(stream.octets)))).result == whole.result


@given(streams(), st.binary(max_size=30), st.integers(0, 400), places)
def test_a_client_that_goes_astray_is_astray_however_its_octets_are_cut(
    stream: Stream, garbage: bytes, at: int, where: list[int]
) -> None:
    octets = stream.octets[:at] + garbage + stream.octets[at:]
    whole = read(octets)
    assert Read().feed(*cut(octets, where)).result == whole.result


@given(st.binary(max_size=200), places)
@example(b"DATA +CHUNKED\nCHUNK 2\nabCHUNK 0\nDATA x LENGTH 3\n", [3])
def test_any_octets_become_events(octets: bytes, where: list[int]) -> None:
    assert Read().feed(*cut(octets, where)).result == read(octets).result


_words = (
    b"DATA x LENGTH 0 3 +CHUNKED +BASE64 CHUNK AS p NOOP ABORT QUIT AUTH RESPONSE UPGRADE TLS CANCEL * YWJj".split()
)
_tokens = st.sampled_from([*_words, b";", b"\n", b"\n", b"\r\n", b'"', b"\r", b"\xff"])


@settings(max_examples=300)
@given(st.lists(_tokens, max_size=30), places)
def test_any_tokens_become_events(tokens: list[bytes], where: list[int]) -> None:
    octets = b" ".join(tokens)
    whole = read(octets)
    assert Read().feed(*cut(octets, where)).result == whole.result
    troubles = [entry for entry in whole.seen if entry[0] == "trouble" and entry[2] is OutOfStep]
    assert len(troubles) == whole.connection.broken  # one, and nothing is read after it
    assert not troubles or whole.seen[-1] is troubles[0]


@given(st.lists(st.tuples(st.none() | pids, any_requests()), max_size=5), places)
def test_every_command_arrives(sent: list[tuple[str | None, Any]], where: list[int]) -> None:
    sent = [(pid, request) for pid, request in sent if not _has_octets(request)]
    octets = b"".join(print_request(request, pid).encode() + b"\n" for pid, request in sent)
    whole = read(octets)
    assert [entry[2] for entry in whole.seen if entry[0] == "call"] == [
        request for pid, request in sent if not (pid and _stands_alone(request))
    ]
    assert Read().feed(*cut(octets, where)).result == whole.result


def _has_octets(request: Any) -> bool:
    return isinstance(request, Data) or getattr(request, "length", None) is not None


def _stands_alone(request: Any) -> bool:
    return type(request).__name__.startswith(("Auth", "Upgrade"))


# --- lines -----------------------------------------------------------------------------------------------


def test_a_carriage_return_before_the_line_feed_is_dropped() -> None:
    assert same_at_every_octet(b"NOOP\r\nNOOP\n\r\n\nNOOP\r\n").words == ["Noop"] * 3
    assert read(b"NOOP\r\r\n").words == ["CONTROL-CHARACTER"]


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_the_longest_line(end: bytes) -> None:
    longest = b"NOOP" + b" " * (MAX_LINE - 4)
    for octets, words in ((longest + end, ["Noop"]), (longest + b" " + end, ["LINE-TOO-LONG"])):
        whole = read(octets)
        assert whole.words == words
        for place in range(len(octets) - 4, len(octets)):
            assert Read().feed(octets[:place], octets[place:]).result == whole.result


def test_a_line_that_never_ends() -> None:
    seen = Read()
    for _ in range(MAX_LINE):
        seen.feed(b"x")
    assert (seen.seen, seen.connection.waiting) == ([], MAX_LINE)
    assert seen.feed(b"\r").seen == []  # the line's end may be coming
    assert seen.feed(b"x").words == ["LINE-TOO-LONG"]
    assert (seen.connection.broken, seen.connection.waiting) == (True, 0)


def test_nothing_is_read_after_trouble() -> None:
    seen = read(b"NOOP\nFROB LENGTH 3\nNOOP\nNOOP\n")
    assert seen.words == ["Noop", "UNKNOWN-COMMAND"]
    assert seen.feed(b"NOOP\n").resume().words == ["Noop", "UNKNOWN-COMMAND"]
    assert seen.connection.waiting == 0


def test_sizes_of_a_chain_add_up_to_the_line() -> None:
    sizes = [entry[3] for entry in read(b"NOOP;NOOP\nNOOP\n").seen]
    assert sizes == [4, 4, 4]


# --- bodies ----------------------------------------------------------------------------------------------


def test_length() -> None:
    seen = same_at_every_octet(b"DATA a LENGTH 6\nNOOP\n\nNOOP\nDATA b LENGTH 0\nNOOP\n")
    assert seen.words == ["Data", "Noop", "Data", "Noop"]
    assert seen.bodies == [b"NOOP\n\n", b""]


def test_a_body_that_is_there_comes_with_its_call() -> None:
    (call,) = ServerConnection().receive_data(b"DATA a LENGTH 3\nabc")
    assert isinstance(call, Call)
    assert (call.octets, call.body) == (b"abc", None)


def test_length_counts_octets_on_the_wire() -> None:
    seen = same_at_every_octet(b"DATA a LENGTH 8 +BASE64\nYWJjZA==NOOP\n")
    assert (seen.words, seen.bodies) == (["Data", "Noop"], [b"abcd"])


@pytest.mark.parametrize("text", [b"YWJj!!!!", b"YWJjZA==YWJj", b"====", b"YQ=", b"Y"])
def test_bad_base64_makes_the_part_bad_and_nothing_else(text: bytes) -> None:
    seen = same_at_every_octet(b"DATA a LENGTH %d +BASE64\n%bNOOP\n" % (len(text), text))
    assert (seen.words, seen.bodies) == (["Data", "Noop"], ["BASE64"])
    seen = same_at_every_octet(b"DATA a +BASE64\n%b\n\n\nNOOP\n" % text)
    assert (seen.words, seen.bodies) == (["Data", "Noop"], ["BASE64"])


def test_base64_lines() -> None:
    seen = same_at_every_octet(b"DATA a +BASE64\nYW\r\n\nJj\n\n\nNOOP\n")
    assert (seen.words, seen.bodies) == (["Data", "Noop"], [b"abc"])
    assert same_at_every_octet(b"DATA a +BASE64\n\n\nNOOP\n").bodies == [b""]


def test_a_base64_line_is_bounded() -> None:
    octets = b"DATA a +BASE64\n" + b"A" * (MAX_LINE + 1)
    assert read(octets + b"\n").words == read(octets).words == ["Data", "LINE-TOO-LONG"]


def test_bodies_of_chained_commands_follow_in_their_order() -> None:
    seen = same_at_every_octet(
        b"DATA a LENGTH 2; NOOP;DATA b +BASE64; DATA c LENGTH 0;DATA d LENGTH 1\nabYw==\n\n\ndNOOP\n"
    )
    assert seen.words == ["Data", "Noop", "Data", "Data", "Data", "Noop"]
    assert seen.bodies == [b"ab", b"c", b"", b"d"]


def test_chunks() -> None:
    seen = same_at_every_octet(b"DATA a +CHUNKED\n" + chunks(None, b"CHUNK 0\n", b"x") + b"NOOP\n")
    assert (seen.words, seen.bodies) == (["Data", "Noop"], [b"CHUNK 0\nx"])
    seen = same_at_every_octet(b"DATA a +CHUNKED +BASE64\n" + chunks(None, b"YW", b"Jj", b"ZA==") + b"NOOP\n")
    assert (seen.words, seen.bodies) == (["Data", "Noop"], [b"abcd"])


def test_chunks_of_several_pipelines() -> None:
    seen = same_at_every_octet(
        b"DATA a +CHUNKED\nAS p DATA b +CHUNKED\nAS P NOOP\nCHUNK 1\nxas p chunk 2\nyz AS  p  CHUNK  0 \n"
        b"AS q DATA c LENGTH 8\nCHUNK 0\nCHUNK 00\nAS p NOOP\n"
    )
    assert seen.words == ["Data", "Data", "Noop", "Data", "Noop"]
    assert seen.bodies == [b"x", b"yz", b"CHUNK 0\n"]
    ends = [entry[1] for entry in seen.seen if entry[0] == "end"]
    assert ends == [1, 2, 0]


@pytest.mark.parametrize("line", [b"NOOP", b"DELIVER", b"AUTH RESPONSE x"])
def test_an_open_chunked_part_keeps_its_pipeline(line: bytes) -> None:
    seen = same_at_every_octet(b"DATA a +CHUNKED\n" + line + b"\n" + chunks(None, b"x") + line + b"\n")
    assert seen.words[:2] == ["Data", "CHUNK-EXPECTED"]
    assert len(seen.words) == 3
    assert seen.bodies == [b"x"]


def test_a_semicolon_after_a_chunked_part_equals_a_line_feed() -> None:
    for between in (b";", b"\n"):
        seen = read(b"DATA a +CHUNKED" + between + b"NOOP" + between + b"AS p NOOP\n" + chunks(None, b"x"))
        assert seen.words == ["Data", "CHUNK-EXPECTED", "Noop"]
        assert seen.bodies == [b"x"]


@pytest.mark.parametrize("between", [b";", b"\n"])
def test_another_part_while_a_chunked_one_is_open(between: bytes) -> None:
    seen = read(b"DATA a +CHUNKED" + between + b"DATA b LENGTH 1\n")
    assert seen.words == ["Data", "CHUNK-EXPECTED"]
    assert seen.connection.broken


@pytest.mark.parametrize("line", [b"ABORT", b"QUIT", b"NOOP x;ABORT"])
def test_a_chunked_part_is_given_up(line: bytes) -> None:
    seen = same_at_every_octet(b"DATA a +CHUNKED\nCHUNK 2\nab" + line + b"\nNOOP\n")
    assert seen.bodies == ["ABORTED"]
    assert seen.words[-2:] == ["Quit" if line == b"QUIT" else "Abort", "Noop"]
    assert seen.seen.index(("end", 0)) == len(seen.seen) - 3


def test_quit_gives_up_all_chunked_parts() -> None:
    seen = read(b"DATA a +CHUNKED\nAS p DATA b +CHUNKED\nAS q QUIT\n")
    assert (seen.words, seen.bodies) == (["Data", "Data", "Quit"], ["ABORTED", "ABORTED"])


@pytest.mark.parametrize("line", [b"CANCEL *", b"ACK c", b"AS p NOOP", b"FROB"])
def test_what_does_not_touch_a_chunked_part(line: bytes) -> None:
    seen = same_at_every_octet(b"DATA a +CHUNKED\n" + line + b"\n" + chunks(None, b"x"))
    assert seen.bodies == [b"x"]
    assert "CHUNK-EXPECTED" not in seen.words


@pytest.mark.parametrize(
    "octets",
    [
        b"CHUNK 3\n",
        b"NOOP;CHUNK 3\n",
        b"AS p CHUNK 3\n",
        b"DATA a +CHUNKED\nAS p CHUNK 3\n",
        b"DATA a +CHUNKED\nCHUNK\n",
        b"DATA a +CHUNKED\nCHUNK x\n",
        b"DATA a +CHUNKED\nCHUNK -1\n",
        b"DATA a +CHUNKED\nCHUNK 1 2\n",
        b"DATA a +CHUNKED\nCHUNK\t1\n",
        b"DATA a +CHUNKED\nCHUNK 1;NOOP\n",
        b'DATA a +CHUNKED\nCHUNK "1"\n',
        b"DATA a +CHUNKED\nCHUNK " + b"9" * 19 + b"\n",
        b"DATA a +CHUNKED\nCHUNK 0\nCHUNK 0\n",
        b"DATA a +CHUNKED\nABORT\nCHUNK 0\n",
        b"DATA a +CHUNKED;CHUNK 0\n",
    ],
)
def test_a_chunk_out_of_place_closes(octets: bytes) -> None:
    seen = same_at_every_octet(octets)
    assert seen.connection.broken
    assert seen.words[-1] in ("CHUNK", "CONTROL-CHARACTER")


@pytest.mark.parametrize(
    ("octets", "word"),
    [
        (b"DATA a\n", "NO-LENGTH"),
        (b"DATA\n", "NO-LENGTH"),
        (b"DATA a -BASE64 -CHUNKED\n", "NO-LENGTH"),
        (b"NOOP; AS p DATA a; NOOP\n", "NO-LENGTH"),
        (b"DATA a LENGTH 5 +CHUNKED\n", "LENGTH"),
        (b"DATA a LENGTH five\n", "BAD-VALUE"),
        (b"DATA a LENGTH 1" + b"0" * 18 + b"\n", "BAD-VALUE"),
        (b"DATA a b LENGTH 5\n", "UNKNOWN-PARAMETER"),
        (b"FROB +CHUNKED\n", "UNKNOWN-COMMAND"),
        (b"NOOP \x07\n", "CONTROL-CHARACTER"),
        (b"\xc3\x28\n", "UTF-8"),
    ],
)
def test_where_nobody_knows_what_follows_the_connection_closes(octets: bytes, word: str) -> None:
    seen = same_at_every_octet(octets + b"NOOP\n")
    assert seen.connection.broken
    assert seen.words[-1] == word


def test_trouble_is_told_in_its_pipeline() -> None:
    assert read(b"AS p DATA a\n").seen == [
        ("trouble", "p", OutOfStep, "NO-LENGTH", read(b"DATA a\n").seen[0][4]),
    ]


def test_chunked_parts_are_bounded_in_number() -> None:
    most = b"".join(b"AS p%d DATA x +CHUNKED\n" % number for number in range(MAX_CHUNKED))
    seen = read(most)
    assert seen.words == ["Data"] * MAX_CHUNKED
    assert seen.feed(b"DATA x +CHUNKED\n").words[-1] == "CHUNK"
    assert seen.connection.broken


def test_a_huge_length_keeps_nothing() -> None:
    seen = read(b"DATA a LENGTH 999999999999999999\n")
    for _ in range(10):
        seen.feed(b"x" * 100_000)
    assert seen.connection.waiting == 0
    assert seen.bodies == [None]


# --- commands that stand alone ---------------------------------------------------------------------------


@pytest.mark.parametrize("line", [b"UPGRADE TLS", b"AUTH RESPONSE x", b"AUTH SECRET a@b", b"AUTHENTICATE RESPONSE x"])
def test_what_follows_a_command_that_stands_alone_waits(line: bytes) -> None:
    rest = b"DATA a LENGTH 2\nabNOOP\n"
    seen = Read(resume=False).feed(line + b"\n" + rest[:5])
    assert len(seen.seen) == 1
    assert seen.connection.waiting == 5
    for octet in rest[5:]:
        seen.feed(bytes((octet,)))
    assert len(seen.seen) == 1
    assert seen.connection.waiting == len(rest)
    seen.resume()
    assert seen.words[1:] == ["Data", "Noop"]
    assert seen.bodies == [b"ab"]
    assert seen.connection.waiting == 0


def test_one_command_alone_after_the_other() -> None:
    seen = Read(resume=False).feed(b"NOOP\nAUTH RESPONSE a\r\nAUTH RESPONSE b\nNOOP\nAUTH RES")
    seen.feed(b"PONSE c\nNO")
    assert [entry[2] for entry in seen.seen] == [Noop(), AuthResponse(answer="a")]
    assert [entry[2] for entry in seen.resume().seen[2:]] == [AuthResponse(answer="b")]
    assert [entry[2] for entry in seen.resume().seen[3:]] == [Noop(), AuthResponse(answer="c")]
    assert seen.connection.waiting == 2
    assert [entry[2] for entry in seen.feed(b"OP").resume().feed(b"\n").seen[5:]] == [Noop()]


@pytest.mark.parametrize(
    "line", [b"AS p AUTH RESPONSE x", b"AUTH RESPONSE x; NOOP", b"NOOP; UPGRADE TLS", b"AS p UPGRADE TLS"]
)
def test_not_alone(line: bytes) -> None:
    seen = same_at_every_octet(line + b"\nNOOP\n")
    assert "ALONE" in seen.words
    assert not any(isinstance(entry[2], AuthResponse | Upgrade) for entry in seen.seen)
    assert seen.words[-1] == "Noop"
    assert not seen.connection.broken


def test_empty_commands_beside_it_do_not_count() -> None:
    assert read(b"; AUTH RESPONSE x;;\n").words == ["AuthResponse"]


def test_octets_behind_upgrade_can_be_seen() -> None:
    connection = ServerConnection()
    connection.receive_data(b"UPGRADE TLS\nNOOP\n")
    assert connection.waiting == 5
    connection = ServerConnection()
    connection.receive_data(b"UPGRADE TLS\n")
    assert connection.waiting == 0


def test_a_flood_that_waits_is_read_in_linear_time() -> None:
    line = b"AUTH RESPONSE x\n"
    connection = ServerConnection()
    connection.receive_data(line * 20_000)
    events = 0
    while connection.waiting:
        events += len(connection.resume())
    assert events == 20_000 - 1


def test_events_of_one_line() -> None:
    events = ServerConnection().receive_data(b"DELIVER;AS p FROB;DONE\n")
    deliver, trouble, done = events
    assert isinstance(deliver, Call)
    assert deliver.request == Deliver()
    assert isinstance(trouble, Trouble)
    assert (trouble.pid, type(trouble.error)) == ("p", SyntaxFault)
    assert isinstance(done, Call)
    assert done.request == Done()
    assert read(b"ABORT\nQUIT\n").words == [Abort.__name__, Quit.__name__]


# --- the client's side -----------------------------------------------------------------------------------


@st.composite
def replies(draw: st.DrawFn) -> tuple[bytes, list[ReplyLine | Block]]:
    """What a server sends, and what it means."""
    octets = b""
    events: list[ReplyLine | Block] = []
    for _ in range(draw(st.integers(0, 6))):
        pid = draw(st.none() | pids)
        prefix = "" if pid is None else f"{pid}: "
        end = draw(_ends)
        if draw(st.booleans()):
            body = draw(st.binary(max_size=40) | st.sampled_from([b"\n", b"200 Done\n", b""]))
            more = draw(st.booleans())
            extra = " more=1" * more + draw(st.sampled_from(["", " new=x"]))
            octets += f"{prefix}255- id {len(events)} {len(body)}{extra}{end}".encode() + body + b"\n"
            events.append(Block(pid, "id", str(len(events)), body, more))
        else:
            text = draw(st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=20))
            number = draw(st.sampled_from([100, 200, 250, 404, 720, 999]))
            dash = draw(st.booleans())
            octets += f"{prefix}{number}{'-' * dash} {text}{end}".encode()
            events.append(ReplyLine(pid, Line(number, text, dash)))
    return octets, events


@given(replies(), places)
def test_replies_are_understood_however_they_are_cut(sent: tuple[bytes, list[Any]], where: list[int]) -> None:
    octets, events = sent
    assert ClientConnection().receive_data(octets) == events
    connection = ClientConnection()
    assert [event for piece in cut(octets, where) for event in connection.receive_data(piece)] == events
    connection = ClientConnection()
    assert [event for n in range(len(octets)) for event in connection.receive_data(octets[n : n + 1])] == events


@given(st.binary(max_size=100), places)
@example(b"255- a b 3\nabc", [12])
def test_any_octets_become_replies_or_out_of_step(octets: bytes, where: list[int]) -> None:
    outcomes = []
    for pieces in ([octets], cut(octets, where)):
        connection = ClientConnection()
        events: list[Any] = []
        try:
            for piece in pieces:
                events += connection.receive_data(piece)
        except OutOfStep as error:
            events = [error.word]
        outcomes.append(events)
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize(
    ("octets", "pid", "line"),
    [
        (b"200 Done\n", None, Line(200, "Done")),
        (b"200\n", None, Line(200, "")),
        (b"200-\r\n", None, Line(200, "", True)),
        (b"200-   x \n", None, Line(200, "  x ", True)),
        (b"200 a: b\n", None, Line(200, "a: b")),
        (b"200: 200 Done\n", "200", Line(200, "Done")),
        (b"p.-_: 404 [X] y\n", "p.-_", Line(404, "[X] y")),
    ],
)
def test_reply_lines(octets: bytes, pid: str | None, line: Line) -> None:
    assert ClientConnection().receive_data(octets) == [ReplyLine(pid, line)]


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"x",
        b"20 x",
        b"2000 x",
        b"020 x",
        "٢٠٠ x".encode(),
        b"200x",
        b"200-x",
        b"200 x\xff",
        b": 200 x",
        b"a b: 200 x",
        b"*: 200 x",
        b"x" * 33 + b": 200 x",
        b"p:200 x",
        b"255 a b 3",
        b"255- a b",
        b"255- a b x",
        b"255- a b -1",
        "255- a b ٣".encode(),
        b"255- a  3",
        b"255- a b %d" % (MAX_BLOCK + 1),
        b"255- a b 1" + b"0" * 30,
        b"200 " + b"x" * (MAX_LINE - 3),
    ],
)
def test_what_is_no_reply(line: bytes) -> None:
    with pytest.raises(OutOfStep) as refused:
        ClientConnection().receive_data(line + b"\n")
    assert refused.value.word in ("REPLY", "BLOCK", "UTF-8", "LINE-TOO-LONG")


def test_the_longest_reply_line() -> None:
    longest = b"200 " + b"x" * (MAX_LINE - 4)
    for end in (b"\n", b"\r\n"):
        assert len(ClientConnection().receive_data(longest + end)) == 1
        connection = ClientConnection()
        assert connection.receive_data(longest) == []
        assert len(connection.receive_data(end[:-1]) + connection.receive_data(end[-1:])) == 1
    with pytest.raises(OutOfStep, match="LINE-TOO-LONG"):
        ClientConnection().receive_data(longest + b"x")


def test_a_block_that_is_longer_than_it_says() -> None:
    with pytest.raises(OutOfStep, match="BLOCK"):
        ClientConnection().receive_data(b"255- a b 2\nabc\n")


def test_a_block_octet_by_octet_takes_linear_time() -> None:
    connection = ClientConnection()
    connection.receive_data(b"255- a b 300000\n")
    for _ in range(300_000):
        assert connection.receive_data(b"x") == []
    assert connection.receive_data(b"\n") == [Block(None, "a", "b", b"x" * 300_000, False)]


@given(any_texts)
def test_a_server_may_say_anything_in_a_block(text: str) -> None:
    body = text.encode(errors="replace")
    octets = b"255- a json %d\n%b\n200 Done\n" % (len(body), body)
    block, line = ClientConnection().receive_data(octets)
    assert block == Block(None, "a", "json", body, False)
    assert line == ReplyLine(None, Line(200, "Done"))


UNREADABLE = [
    b"DELIVER TO #",
    b"AUTH SECRET",
    b"AS p FETCH /inbox PART x",
    b"MBOX CHECK",
    b"MBOX CHECK /\xff",
    b'NOOP "',
    b"XYZZY",
    b"NOOP +X",
    b"AS * NOOP",
    b"DATA x LENGTH y",
    b"DATA x",
    b"CHUNK 5",
    b"AS p UPGRADE TLS",
    b"XYZZY; QUIT",
]


@pytest.mark.parametrize("line", UNREADABLE)
@pytest.mark.parametrize("state", [State.CLEAR, State.UNAUTHENTICATED, State.USER])
def test_nothing_is_kept_of_a_line_that_was_not_understood(line: bytes, state: State) -> None:
    connection = ServerConnection(state)
    events = connection.receive_data(line + b"\n")
    assert isinstance(events[0], Trouble)
    error = weakref.ref(events[0].error)
    del events, connection
    gc.collect()
    assert error() is None
