"""Quoting, and what never reaches a line."""

import time
import unicodedata

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.protocol.making import any_texts, line_texts

from immpd.model.characters import INVISIBLE
from immpd.protocol.errors import SyntaxFault
from immpd.protocol.grammar import split_quoted
from immpd.protocol.text import CONTROL, UNSAFE, LineReader, clean, escape_json, quote, quote_text, unescape


@given(line_texts, st.frozensets(st.sampled_from(["TO", "NOOP"])))
def test_a_quoted_value_is_one_word(value: str, names: frozenset[str]) -> None:
    printed = quote(value, names)
    assert split_quoted(printed) == [[value]]
    if not printed.startswith('"'):
        assert printed == value
        assert value.upper() not in names


@given(st.text(alphabet='ab "+é', max_size=14))
def test_plain_quotes_are_read_as_all_others(text: str) -> None:
    """A semicolon behind it makes the line take the longer way."""

    def words_of(line: str) -> list[tuple[type, str]] | str:
        try:
            return [(type(word), word) for word in split_quoted(line)[0]]
        except SyntaxFault as error:
            return error.text

    assert words_of(text) == words_of(f"{text} ;")


@pytest.mark.parametrize(
    ("value", "printed"),
    [
        ("", '""'),
        ("a", "a"),
        ("a b", '"a b"'),
        ("+a", '"+a"'),
        ("-a", '"-a"'),
        ("a-b", "a-b"),
        (";", '";"'),
        ('"', '"\\""'),
        ("\\", "\\"),
        ("\\ ", '"\\\\ "'),
        ("to", '"to"'),
    ],
)
def test_quote(value: str, printed: str) -> None:
    assert quote(value, frozenset({"TO"})) == printed


@pytest.mark.parametrize(
    ("body", "value"),
    [
        ("", ""),
        ('\\"', '"'),
        ("\\\\", "\\"),
        ("\\x", "\\x"),
        ('\\\\\\"', '\\"'),
        ("\\\\x", "\\x"),
        ("\\\\\\\\", "\\\\"),
    ],
)
def test_unescape(body: str, value: str) -> None:
    assert unescape(body) == value


@given(any_texts)
def test_what_is_clean_can_forge_nothing(text: str) -> None:
    cleaned = clean(text)
    assert len(cleaned) == len(text)
    assert clean(cleaned) == cleaned
    assert not CONTROL.search(cleaned)
    assert len(cleaned.splitlines()) <= 1
    cleaned.encode()
    for before, after in zip(text, cleaned, strict=True):
        assert after in (before, "\ufffd")


def test_every_character_that_could_forge_or_hide_a_line() -> None:
    unsafe = {chr(n) for n in range(0x110000) if clean(chr(n)) != chr(n)}
    expected = {
        character
        for character in map(chr, range(0x110000))
        if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")
        or unicodedata.bidirectional(character) in ("LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI", "FSI", "PDI")
    } | set("\u061c\u200e\u200f")
    assert unsafe >= expected
    assert all(INVISIBLE.fullmatch(character) for character in unsafe - expected)


fields = st.dictionaries(st.from_regex(r"[a-z][a-z0-9\-]{0,8}", fullmatch=True), line_texts, max_size=4)


@given(st.lists(line_texts, max_size=3), fields, line_texts)
def test_words_fields_and_text(words: list[str], values: dict[str, str], text: str) -> None:
    pieces = [*map(quote, words), *(f"{k}={quote(v)}" for k, v in values.items()), quote_text(text, False)]
    reader = LineReader(" ".join(pieces))
    assert [reader.word() for _ in words] == words
    assert reader.fields() == values
    assert reader.rest() == text
    assert reader.word() is None


@given(fields, line_texts)
def test_text_before_fields(values: dict[str, str], text: str) -> None:
    pieces = [quote_text(text, True), *(f"{k}={quote(v)}" for k, v in values.items())]
    assert LineReader(" ".join(piece for piece in pieces if piece)).text_and_fields() == (text, values)


@pytest.mark.parametrize("text", ["Done", "Created /a=b", 'He said "no"', "E=mc", "a  b", "[X] n=5", "naïve=x", ""])
def test_ordinary_text_stands_as_it_is(text: str) -> None:
    assert quote_text(text, False) == text
    assert LineReader(text).rest() == text


@pytest.mark.parametrize("text", ["n=5", "a-b=c d", '"a"', '"', " a", "a "])
def test_text_that_could_be_read_as_something_else_is_quoted(text: str) -> None:
    assert quote_text(text, False) == quote(text) or quote_text(text, False) == f'"{text}"'
    reader = LineReader(quote_text(text, False))
    assert (reader.fields(), reader.rest()) == ({}, text)


def test_reading() -> None:
    reader = LineReader('  a "b c"  x=1 y="q\\"r" x=2 z= The end, n=5  ')
    assert (reader.word(), reader.word()) == ("a", "b c")
    assert reader.fields() == {"x": "1", "y": 'q"r', "z": ""}
    assert reader.rest() == "The end, n=5"
    assert LineReader("Accepted a=b for v=x@y v=1 w=2 ").text_and_fields() == (
        "Accepted a=b for",
        {"v": "x@y", "w": "2"},
    )
    assert LineReader('"for v=x@y" v=1').text_and_fields() == ("for v=x@y", {"v": "1"})


@given(any_texts)
def test_anything_can_be_read(text: str) -> None:
    for ways in (("word", "fields", "rest"), ("fields", "word", "text_and_fields")):
        reader = LineReader(text)
        for way in ways:
            getattr(reader, way)()


@pytest.mark.parametrize(
    "text", ['"\\"' * 8_000, 'a="b ' * 4_000, "a=b " * 4_000 + '"', '"' + "\\ " * 8_000, "a " * 8_000]
)
def test_a_hostile_line_is_read_in_linear_time(text: str) -> None:
    start = time.perf_counter()
    LineReader(text).text_and_fields()
    reader = LineReader(text)
    while reader.word() is not None:
        pass
    assert time.perf_counter() - start < 0.5  # about 10 ms; anything quadratic takes seconds


def test_json_keeps_every_character_and_none_can_forge_or_hide_a_line() -> None:
    for character in map(chr, range(0x110000)):
        if UNSAFE.match(character) and not "\ud800" <= character <= "\udfff":
            octets = escape_json(msgspec.json.encode(f"a{character}b"))
            assert octets.isascii()
            assert b"\x7f" not in octets
            assert msgspec.json.decode(octets) == f"a{character}b"
    plain = msgspec.json.encode("Zürich – “ä” 东京 \\u202e \x01")
    assert escape_json(plain) == plain
