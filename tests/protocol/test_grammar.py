"""Lines become requests and requests lines: every command, every way to write it, every error."""

import time
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.protocol.making import MESSAGE, any_requests, line_texts, pids, requests_of

from immpd.model.imid import parse_imid
from immpd.protocol.codes import Code
from immpd.protocol.commands import (
    Ack,
    AuthResponse,
    AuthScram,
    Cancel,
    Data,
    Deliver,
    Done,
    Help,
    MboxCheck,
    MboxFetch,
    MboxFlag,
    MboxIndex,
    MboxList,
    MboxPut,
    Noop,
    Quit,
    Watch,
)
from immpd.protocol.errors import OutOfStep, Refused, SyntaxFault
from immpd.protocol.grammar import KEPT, KEPT_LENGTH, Parsed, parse_line, print_request
from immpd.protocol.registry import BY_REQUEST, COMMANDS, Command, Request, Span

BOB = parse_imid("bob@b.example")
INBOX = parse_imid("/INBOX")


def one(line: str) -> Parsed:
    (parsed,) = parse_line(line.encode())
    return parsed


def request_of(line: str) -> Request:
    parsed = one(line)
    assert parsed.error is None, parsed.error
    assert parsed.request is not None
    assert parsed.command is BY_REQUEST[type(parsed.request)]
    return parsed.request


def error_of(line: str) -> Refused:
    parsed = one(line)
    assert parsed.request is None
    assert parsed.error is not None
    return parsed.error


# --- round trips -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
@given(data=st.data())
def test_every_command_round_trips(command: Command, data: st.DataObject) -> None:
    request = data.draw(requests_of(command))
    pid = None if command.alone else data.draw(st.none() | pids)
    line = print_request(request, pid)
    (parsed,) = parse_line(line.encode())
    assert (parsed.pid, parsed.command, parsed.request, parsed.error) == (pid, command, request, None)
    assert print_request(parsed.request, pid) == line


@given(st.lists(any_requests(), min_size=1, max_size=5), st.sampled_from([";", "; ", " ;  ", ";;"]))
def test_chains_round_trip(requests: list[Request], between: str) -> None:
    line = between.join(map(print_request, requests))
    alone = [BY_REQUEST[type(request)].alone and len(requests) > 1 for request in requests]
    for parsed, request, lonely in zip(parse_line(line.encode()), requests, alone, strict=True):
        if lonely:
            assert parsed.error is not None
            assert parsed.error.word == "ALONE"
        else:
            assert parsed.request == request


@given(st.binary(max_size=200))
@example(b'"')
@example(b'NOOP "\\')
@example("DEL\u0131VER".encode())
def test_any_octets_make_requests_or_errors(octets: bytes) -> None:
    for parsed in parse_line(octets):
        assert (parsed.request is None) != (parsed.error is None)


_words = st.sampled_from(
    ["AS", "DATA", "MBOX", "FETCH", "FLAG", "DELIVER", "TO", "LENGTH", "7", "+BASE64", "/inbox", "x@y", "FOR", "NAME"]
) | line_texts.map(lambda text: text or '""')


@given(st.lists(_words, max_size=8), st.sampled_from([" ", "  ", ";", ' "', '" ']))
def test_any_words_make_requests_or_errors(words: list[str], between: str) -> None:
    for parsed in parse_line(between.join(words).encode()):
        assert (parsed.request is None) != (parsed.error is None)


# --- lines -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", ["", " ", ";", " ; ;; ", "    "])
def test_nothing_is_on_the_line(line: str) -> None:
    assert parse_line(line.encode()) == []


def test_an_error_does_not_stop_the_rest_of_the_line() -> None:
    parsed = parse_line(b"NOOP; FROBNICATE; AS p1 DONE;; NOOP +x")
    assert [(p.pid, type(p.request)) for p in parsed] == [
        (None, Noop),
        (None, type(None)),
        ("p1", Done),
        (None, type(None)),
    ]


def test_semicolons_in_quotes_part_nothing() -> None:
    assert request_of('DELIVER SUBJECT "a; NOOP"') == Deliver(subject="a; NOOP")
    assert [type(p.request) for p in parse_line(b'DELIVER SUBJECT ";";NOOP')] == [Deliver, Noop]


def test_not_utf_8() -> None:
    (parsed,) = parse_line(b"NOOP \xff")
    assert isinstance(parsed.error, OutOfStep)
    assert parsed.error.word == "UTF-8"


@pytest.mark.parametrize("character", [*map(chr, range(0x20)), "\x7f", "\x80", "\x85", "\x9f"])
def test_control_characters(character: str) -> None:
    error = error_of(f"NOOP {character}")
    assert isinstance(error, OutOfStep)
    assert error.word == "CONTROL-CHARACTER"


def test_other_spaces_belong_to_words() -> None:
    assert request_of("DELIVER SUBJECT a\u00a0b\u2028c") == Deliver(subject="a\u00a0b\u2028c")


# --- keywords and pipelines ------------------------------------------------------------------------------


@pytest.mark.parametrize("line", ["noop", "NoOp", "  NOOP  ", '"NOOP"'])
def test_keywords_are_compared_without_case_and_never_in_quotes(line: str) -> None:
    if '"' in line:
        assert error_of(line).word == "UNKNOWN-COMMAND"
    else:
        assert request_of(line) == Noop()


@pytest.mark.parametrize("line", ["DEL\u0131VER", "mbox li\u017ft", "DELIVER \u017fUBJECT x", "MBOX DELETE /a +\u017f"])
def test_without_case_means_ascii(line: str) -> None:
    assert error_of(line).code == Code.UNKNOWN


def test_aliases() -> None:
    assert request_of("authenticate response x") == request_of("AUTH RESPONSE x") == AuthResponse(answer="x")
    assert request_of("fetch /INBOX") == request_of("MBOX FETCH /INBOX") == MboxFetch(path=INBOX)


@pytest.mark.parametrize("line", ["MBOX", "MBOX NOOP", 'MBOX "LIST"', "AUTH", "AUTHENTICATE", "ACCOUNT x"])
def test_half_a_command_is_none(line: str) -> None:
    assert error_of(line).word == "UNKNOWN-COMMAND"


def test_pipelines() -> None:
    assert one("AS p1 NOOP").pid == one("as p1 NOOP").pid == "p1"
    assert one("AS P1 NOOP").pid == "P1"
    assert one("AS AS NOOP").pid == "AS"
    assert one("AS NOOP NOOP").pid == "NOOP"
    assert one("NOOP").pid is None


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("AS", "SYNTAX"),
        ("AS p", "SYNTAX"),
        ("AS * NOOP", "PIPELINE-NAME"),
        ("AS a/b NOOP", "PIPELINE-NAME"),
        ("AS ü NOOP", "PIPELINE-NAME"),
        (f"AS {'x' * 33} NOOP", "PIPELINE-NAME"),
        ('AS "p" NOOP', "PIPELINE-NAME"),
        ('"AS" p NOOP', "UNKNOWN-COMMAND"),
    ],
)
def test_bad_pipelines_are_answered_in_the_default_one(line: str, word: str) -> None:
    parsed = one(line)
    assert parsed.error is not None
    assert (parsed.pid, parsed.error.word) == (None, word)


def test_an_error_is_answered_in_its_pipeline() -> None:
    assert one("AS p NOOP x").pid == "p"
    assert one("AS p AS q NOOP").pid == "p"


# --- arguments -------------------------------------------------------------------------------------------


def test_names_and_switches_are_compared_without_case() -> None:
    assert request_of("deliver to bob@b.example Subject x +important") == Deliver(
        to=(BOB,), subject="x", important=True
    )


def test_a_name_takes_exactly_one_value_whatever_it_looks_like() -> None:
    assert request_of("DELIVER SUBJECT TO TO bob@b.example") == Deliver(subject="TO", to=(BOB,))
    assert request_of('DELIVER SUBJECT "+x"') == Deliver(subject="+x")
    assert request_of('DELIVER SUBJECT "a \\"b\\" \\\\ \\c"') == Deliver(subject='a "b" \\ \\c')


def test_a_quoted_name_is_a_value() -> None:
    assert request_of('HELP "TO"') == Help(words=("TO",))
    assert error_of('DELIVER "TO" bob@b.example').word == "UNKNOWN-PARAMETER"
    assert request_of('DATA "LENGTH" LENGTH 5') == Data(name="LENGTH", length=5)
    assert request_of('DATA "+BASE64" LENGTH 5') == Data(name="+BASE64", length=5)


def test_positional_parameters_have_names_too() -> None:
    assert request_of("MBOX CHECK PATH /INBOX") == request_of("MBOX CHECK /INBOX") == MboxCheck(path=INBOX)
    assert request_of("DATA LENGTH 5 NAME body") == request_of("DATA LENGTH 5 body") == Data(name="body", length=5)
    assert request_of("ACK NAME w c1") == Ack(cursor="c1", name="w")
    assert request_of("AUTH SCRAM-SHA-256 DEVICE phone eA==") == AuthScram(data=b"x", device="phone")
    assert error_of("DATA NAME a b LENGTH 5").word == "UNKNOWN-PARAMETER"
    assert error_of("DATA a NAME b LENGTH 5").word == "REPEATED"


def test_what_repeats() -> None:
    assert request_of("DELIVER TO bob@b.example CC /a TO /b") == Deliver(
        to=(BOB, parse_imid("/b")), cc=(parse_imid("/a"),)
    )
    assert request_of("WATCH /a /b") == Watch(paths=(parse_imid("/a"), parse_imid("/b")))
    assert request_of("MBOX FLAG /INBOX +READ -x +READ") == MboxFlag(
        path=INBOX, flags=(("READ", True), ("x", False), ("READ", True))
    )


def test_switches_of_its_own_come_before_free_ones() -> None:
    assert request_of("MBOX PUT /INBOX +important +Read") == MboxPut(
        path=INBOX, important=True, flags=(("Read", True),)
    )


@pytest.mark.parametrize(
    ("line", "code", "word"),
    [
        ("NOOP x", Code.UNKNOWN, "UNKNOWN-PARAMETER"),
        ("NOOP +x", Code.UNKNOWN, "UNKNOWN-SWITCH"),
        ("NOOP +", Code.UNKNOWN, "UNKNOWN-SWITCH"),
        ("MBOX FLAG /a +", Code.UNKNOWN, "UNKNOWN-SWITCH"),
        (f"MBOX FLAG /a +{'x' * 65}", Code.UNKNOWN, "UNKNOWN-SWITCH"),
        ("MBOX FLAG /a +ü", Code.UNKNOWN, "UNKNOWN-SWITCH"),
        ("MBOX CHECK", Code.SYNTAX, "MISSING"),
        ("MBOX MOVE /a", Code.SYNTAX, "MISSING"),
        ("MBOX CHECK PATH", Code.SYNTAX, "NO-VALUE"),
        ("MBOX INDEX /a LIMIT +JSON", Code.SYNTAX, "NO-VALUE"),
        ("MBOX INDEX /a LIMIT 1 LIMIT 1", Code.SYNTAX, "REPEATED"),
        ("MBOX INDEX /a +JSON -JSON", Code.SYNTAX, "REPEATED"),
        ("MBOX INDEX /a LIMIT x", Code.BAD_VALUE, "BAD-VALUE"),
        ("MBOX INDEX /a AFTER x", Code.BAD_VALUE, "BAD-VALUE"),
        ("MBOX INDEX inbox", Code.BAD_VALUE, "BAD-VALUE"),
        ("MBOX FETCH /a RANGE 5-4", Code.BAD_VALUE, "BAD-VALUE"),
        ("AUTH SCRAM-SHA-256 !", Code.BAD_VALUE, "BAD-VALUE"),
    ],
)
def test_what_is_wrong_is_named(line: str, code: Code, word: str) -> None:
    error = error_of(line)
    assert (type(error), error.code, error.word) == (SyntaxFault, code, word)
    assert error.__traceback__ is None


@pytest.mark.parametrize(
    ("line", "place"),
    [('MBOX CHECK "/inbox', 12), ('NOOP "a"b', 6), ('NOOP a"b', 6), ('NOOP "a""b"', 6), ('"', 1), ('NOOP "\\"', 6)],
)
def test_wrong_quotes_make_the_whole_line_one_error(line: str, place: int) -> None:
    error = error_of(f"{line}; NOOP")
    assert (type(error), error.word) == (SyntaxFault, "QUOTES")
    assert f"character {place} " in error.text


def test_values_of_each_kind() -> None:
    assert request_of("MBOX INDEX /INBOX LIMIT 007") == MboxIndex(path=INBOX, limit=7)
    assert request_of(f"MBOX FETCH /INBOX RANGE 5- AFTER {str(MESSAGE).upper()}") == MboxFetch(
        path=INBOX, range=Span(first=5), after=MESSAGE
    )
    assert request_of("CANCEL *") == Cancel(pid="*")
    assert request_of("DATA x LENGTH 1 FOR *") == Data(name="x", length=1, for_="*")


@pytest.mark.parametrize("number", ["-1", "+1", "1.0", "1e3", "0x1", "1_0", "٣", "", " 1", "9" * 19])
def test_no_numbers(number: str) -> None:
    assert error_of(f'MBOX INDEX /INBOX LIMIT "{number}"').word == "BAD-VALUE"


@pytest.mark.parametrize(
    "text", [MESSAGE.hex, f"{{{MESSAGE}", f"urn:uuid:{MESSAGE}", str(MESSAGE)[1:], f"{str(MESSAGE)[:-1]}g"]
)
def test_no_uuids(text: str) -> None:
    assert error_of(f"DELIVER ID {text}").word == "BAD-VALUE"


def test_misplaced_hyphens_are_no_uuid() -> None:
    text = "-".join(MESSAGE.hex[n : n + 8] for n in range(0, 32, 8)) + "-"
    assert UUID(text) == MESSAGE
    assert error_of(f"DELIVER ID {text}").word == "BAD-VALUE"


# --- where octets may follow -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "FROBNICATE LENGTH 5",
        "FROBNICATE length",
        "FROBNICATE +CHUNKED",
        "FROBNICATE +base64 x",
        "NOOP LENGTH 5",
        "AS a/b DATA x LENGTH 5",
        "AS DATA +BASE64",
        "DATA x LENGTH five",
        "DATA x LENGTH 5 LENGTH 5",
        "DATA x LENGTH",
        "DATA x LENGTH 5 +FROB",
        "DATA x y z",
        "DATA x +FROB",
        'DATA "x LENGTH 5',
        'NOOP "a"+base64',
    ],
)
def test_not_understood_and_octets_may_follow(line: str) -> None:
    assert isinstance(error_of(line), OutOfStep)


@pytest.mark.parametrize("line", ["CHUNK 5", "chunk 0", "CHUNK", "AS p CHUNK 5"])
def test_a_chunk_without_its_data(line: str) -> None:
    error = error_of(line)
    assert isinstance(error, OutOfStep)
    assert error.word == "CHUNK"


@pytest.mark.parametrize(
    "line", ['FROBNICATE "LENGTH" 5', 'DELIVER TO nobody SUBJECT "LENGTH 5"', "NOOP LENGTHS", "NOOP -BASE64", 'HELP "x']
)
def test_not_understood_but_nothing_follows(line: str) -> None:
    assert not isinstance(error_of(line), OutOfStep)


# --- printing --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "line"),
    [
        (Noop(), "NOOP"),
        (Watch(), "WATCH"),
        (Quit(), "QUIT"),
        (MboxList(), "MBOX LIST"),
        (MboxFetch(path=INBOX, read=False, json=True), "MBOX FETCH /INBOX +JSON -READ"),
        (Deliver(subject="", important=False), 'DELIVER SUBJECT "" -IMPORTANT'),
        (Deliver(subject='a "b" \\'), 'DELIVER SUBJECT "a \\"b\\" \\\\"'),
        (Data(name="to", length=0), "DATA to LENGTH 0"),
        (Data(name="length", length=0), 'DATA "length" LENGTH 0'),
        (Help(words=("MBOX", "x")), 'HELP "MBOX" x'),
        (AuthScram(data=b""), 'AUTH SCRAM-SHA-256 ""'),
    ],
)
def test_print(request_: Request, line: str) -> None:
    assert print_request(request_) == line
    assert request_of(line) == request_


@pytest.mark.parametrize("name", ["", "a b", "x; MBOX DELETE /INBOX", "ü", "a" * 65, 'a"'])
def test_a_flag_cannot_become_another_command(name: str) -> None:
    with pytest.raises(Refused, match="BAD-FLAG"):
        print_request(MboxFlag(path=INBOX, flags=((name, True),)))


def test_a_flag_cannot_become_a_switch() -> None:
    with pytest.raises(Refused, match="BAD-FLAG"):
        print_request(MboxPut(path=INBOX, flags=(("Important", True),)))


@pytest.mark.parametrize("pid", ["", "a b", "*", "x" * 33])
def test_what_names_no_pipeline_is_not_printed(pid: str) -> None:
    with pytest.raises(Refused, match="PIPELINE-NAME"):
        print_request(Noop(), pid)


# --- what is kept, and what a line may cost --------------------------------------------------------------


def test_lines_that_come_again_are_read_once() -> None:
    (first,) = parse_line(b"DATA body LENGTH 2048 +CONTENT")
    (second,) = parse_line(b"DATA body LENGTH 2048 +CONTENT")
    assert first is second
    assert parse_line(b"AS p1 NOOP") == [Parsed("p1", BY_REQUEST[Noop], Noop())]
    assert one("AS p2 NOOP").pid == "p2"


def test_addresses_ids_secrets_errors_and_long_lines_are_not_kept() -> None:
    lines = [
        b"DELIVER TO bob@b.example",
        b"FETCH /INBOX",
        b"AUTH RESPONSE secret",
        b"NOOP x",
        b"NOOP; NOOP",
        b"DATA " + b"x" * KEPT_LENGTH + b" LENGTH 1",
    ]
    for line in lines:
        parse_line(line)
        assert line not in KEPT


def test_what_is_kept_is_bounded() -> None:
    for number in range(3000):
        parse_line(b"DATA x LENGTH %d" % number)
    assert len(KEPT) <= 1024
    assert b"DATA x LENGTH 2999" in KEPT


@pytest.mark.parametrize(
    "line",
    [
        'NOOP "' + "a" * 16_000 + '"x',
        'NOOP "' + "\\\\" * 8_000,
        'NOOP "' + '\\"' * 8_000,
        'a"' * 8_000,
        '"" ' * 5_000 + '"',
        " " * 16_000 + '"',
        ";" * 16_000,
        "LENGTHx " * 2_000 + '"',
        "HELP" + ' "a"' * 4_000,
        "MBOX FLAG /a" + " +a" * 5_000,
    ],
)
def test_a_hostile_line_costs_no_more_than_a_long_one(line: str) -> None:
    octets = line.encode()
    best = min(_seconds(octets) for _ in range(3))
    assert best < 0.05  # about 5 ms on a slow machine; anything quadratic takes longer than a second


def _seconds(octets: bytes) -> float:
    start = time.perf_counter()
    parse_line(octets)
    return time.perf_counter() - start
