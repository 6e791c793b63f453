"""Declarations of commands, and what is derived from them."""

import importlib.util
from base64 import b64encode
from typing import Annotated, Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.protocol.making import MESSAGE

from immpd.model.imid import Imid
from immpd.protocol import registry
from immpd.protocol.codes import Code
from immpd.protocol.commands import AccountDisable, AuthScram, Data, Deliver, MboxFetch, MboxFlag, MboxMove, Noop, Watch
from immpd.protocol.grammar import RESERVED
from immpd.protocol.registry import (
    BY_REQUEST,
    COMMANDS,
    COMMON_CODES,
    KEYWORDS,
    READERS,
    SEQUENCE_LENGTHS,
    Command,
    Span,
    print_value,
)
from immpd.protocol.replies import Ok, Reply
from immpd.protocol.states import EVERY


@pytest.fixture
def own() -> Any:
    """The module once more, with registers of this test's own."""
    spec = importlib.util.find_spec(registry.__name__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("entry", COMMANDS, ids=lambda entry: entry.name)
def test_every_command(entry: Command) -> None:
    assert BY_REQUEST[entry.request] is entry
    for sequence in (entry.keywords, *entry.aliases):
        assert KEYWORDS[" ".join(sequence)] is entry
        assert len(sequence) in SEQUENCE_LENGTHS[sequence[0]]
        assert all(word == word.upper() and word.isascii() for word in sequence)
    assert issubclass(entry.reply, Reply)
    assert entry.summary
    assert entry.summary[0].isupper()
    assert entry.request.__doc__
    assert entry.codes
    names = [parameter.name for parameter in entry.parameters]
    assert len(names) == len(set(names))
    assert not {switch.name for switch in entry.switches} & set(names)
    assert not entry.alone or not entry.body
    if entry.body in ("always", "framed"):
        assert {"LENGTH", "CHUNKED", "BASE64"} <= {*names, *entry.by_switch}
    elif entry.body == "counted":
        assert "LENGTH" in names
        assert not {"CHUNKED", "BASE64"} & entry.by_switch.keys()
    else:
        assert "LENGTH" not in names
    repeating = [parameter.repeats for parameter in entry.positionals]
    assert not any(repeating[:-1])  # nothing could come behind it
    required = [parameter.required for parameter in entry.positionals]
    assert required == sorted(required, reverse=True)
    assert entry.synopsis().startswith(entry.name)


@pytest.mark.parametrize("entry", COMMANDS, ids=lambda entry: entry.name)
def test_where_a_command_is_the_beginning_of_another_values_are_quoted(entry: Command) -> None:
    """Otherwise a positional value could become a keyword: the longest sequence wins."""
    for sequence in KEYWORDS:
        if sequence != entry.name and sequence.startswith(f"{entry.name} "):
            assert sequence.removeprefix(f"{entry.name} ").split()[0] in RESERVED


def test_the_codes_that_may_answer_anything_answer_errors() -> None:
    assert all(code >= 400 for code in COMMON_CODES)


def test_what_is_derived() -> None:
    data = BY_REQUEST[Data]
    assert data.reply.CODE is Code.PART
    assert list(data.by_name) == ["NAME", "TYPE", "LENGTH", "FOR"]
    assert list(data.by_switch) == ["BASE64", "CHUNKED", "CONTENT", "HEADERS"]
    assert [parameter.name for parameter in data.positionals] == ["NAME"]
    assert data.by_name["FOR"].field == "for_"
    assert BY_REQUEST[Deliver].repeated == ("to", "cc", "bcc", "references")
    assert BY_REQUEST[Deliver].by_switch["IMPORTANT"].default is None
    assert BY_REQUEST[MboxFlag].free_switches == "flags"
    assert BY_REQUEST[AccountDisable].by_switch["DISABLED"].default is True
    assert BY_REQUEST[Watch].by_name.keys() == {"SINCE", "NAME"}


def test_whose_lines_are_kept() -> None:
    assert BY_REQUEST[Noop].names_nobody
    assert BY_REQUEST[Data].names_nobody
    for request in (Deliver, MboxFetch, AuthScram):
        assert not BY_REQUEST[request].names_nobody
    for entry in COMMANDS:
        assert not (entry.names_nobody and entry.alone)


def test_synopsis() -> None:
    assert BY_REQUEST[Noop].synopsis() == "NOOP"
    assert BY_REQUEST[MboxFlag].synopsis() == "MBOX FLAG path [+FLAG|-FLAG]…"
    assert BY_REQUEST[MboxMove].synopsis() == "MBOX MOVE path TO path"
    assert BY_REQUEST[MboxFetch].synopsis().endswith("[+JSON] [+MIME] [+RAW] [+PRETTY] [-READ]")
    assert BY_REQUEST[Deliver].synopsis().startswith("DELIVER [TO imid]… [CC imid]…")


def test_a_command_of_ones_own(own: Any) -> None:
    @own.command("X Y", "Z", states=EVERY, shape=own.Shape.NOW, codes=(Code.OK,), summary="Try")
    class Try(own.Request[Ok], frozen=True, kw_only=True):
        """A command with everything."""

        first: Annotated[str, own.Positional, "thing"]
        others: Annotated[tuple[int, ...], own.Positional] = ()
        max_size_: int | None = None
        loud: bool = False

    entry = own.BY_REQUEST[Try]
    assert {"X Y": entry, "Z": entry} == own.KEYWORDS
    assert own.SEQUENCE_LENGTHS == {"X": (2,), "Z": (1,)}
    assert entry.reply is Ok
    assert entry.synopsis() == "X Y thing [n]… [MAX-SIZE n] [+LOUD]"
    assert entry.by_name.keys() == {"FIRST", "MAX-SIZE"}


def test_keywords_are_given_once(own: Any) -> None:
    def register() -> None:
        @own.command("X", states=EVERY, shape=own.Shape.NOW, codes=(Code.OK,), summary="Try")
        class Try(own.Request[Ok], frozen=True, kw_only=True):
            """Nothing."""

    register()
    with pytest.raises(ValueError, match="X is registered already"):
        register()


def test_a_request_says_what_it_answers(own: Any) -> None:
    with pytest.raises(TypeError, match="does not say what it answers"):

        @own.command("X", states=EVERY, shape=own.Shape.NOW, codes=(Code.OK,), summary="Try")
        class Try(own.Request, frozen=True, kw_only=True):
            """Nothing."""


# --- values ----------------------------------------------------------------------------------------------


@given(st.integers(0, 10**18 - 1))
def test_numbers(value: int) -> None:
    read, _ = READERS[int]
    assert read(print_value(value)) == read(f"{value:018}") == value


@given(st.binary(max_size=50))
def test_octets(value: bytes) -> None:
    read, _ = READERS[bytes]
    assert read(print_value(value)) == value


@given(st.uuids())
def test_uuids(value: UUID) -> None:
    read, _ = READERS[UUID]
    assert read(print_value(value)) == read(str(value).upper()) == value


@given(st.integers(0, 10**9), st.none() | st.integers(0, 10**9))
def test_spans(first: int, length: int | None) -> None:
    read, _ = READERS[Span]
    span = Span(first=first, last=None if length is None else first + length)
    assert read(print_value(span)) == span


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (int, ""),
        (int, "-1"),
        (int, "٣"),
        (int, "²"),
        (int, "1" * 19),
        (bytes, "a"),
        (bytes, "YQ"),
        (bytes, "YQ==\n"),
        (bytes, "ü"),
        (bytes, b64encode(b"\xff\xfe\xfd").decode().replace("/", "_")),
        (UUID, ""),
        (UUID, MESSAGE.hex),
        (UUID, f"{{{MESSAGE}}}"),
        (Span, ""),
        (Span, "5"),
        (Span, "-5"),
        (Span, "5-4"),
        (Span, "a-b"),
        (Span, "1-2-3"),
        (Imid, ""),
        (Imid, "bob"),
    ],
)
def test_what_is_no_value(kind: type, text: str) -> None:
    read, _ = READERS[kind]
    with pytest.raises(ValueError, match=" "):
        read(text)
